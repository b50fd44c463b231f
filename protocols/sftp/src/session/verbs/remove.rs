//! `SSH_FXP_REMOVE` (draft-ietf-secsh-filexfer-02 section 6.5). Folders are removed by `RMDIR` only.

use causeway_core::VirtualPath;

use super::done;
use crate::codec::Reply;
use crate::files::Files;

/// Removes a file.
pub(in crate::session) async fn remove<F: Files>(files: &F, path: &VirtualPath) -> Reply {
    done(files.remove_file(path).await)
}
