//! `SSH_FXP_RENAME` (draft-ietf-secsh-filexfer-02 section 6.5): "it is an error if there already exists a file with the
//! name specified by newpath".

use causeway_core::VirtualPath;

use super::done;
use crate::codec::Reply;
use crate::files::Files;

/// Renames or moves a file or folder, and overwrites nothing.
pub(in crate::session) async fn rename<F: Files>(files: &F, from: &VirtualPath, to: &VirtualPath) -> Reply {
    done(files.rename(from, to, false).await)
}
