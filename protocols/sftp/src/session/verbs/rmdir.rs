//! `SSH_FXP_RMDIR` (draft-ietf-secsh-filexfer-02 section 6.6).

use causeway_core::VirtualPath;

use super::done;
use crate::codec::Reply;
use crate::files::Files;

/// Removes an empty folder.
pub(in crate::session) async fn rmdir<F: Files>(files: &F, path: &VirtualPath) -> Reply {
    done(files.remove_folder(path).await)
}
