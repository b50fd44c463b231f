//! `SSH_FXP_MKDIR` (draft-ietf-secsh-filexfer-02 section 6.6).

use causeway_core::VirtualPath;

use super::super::entries::to_be_made;
use super::done;
use crate::codec::{FileAttributes, Reply};
use crate::files::Files;

/// Makes a folder.
pub(in crate::session) async fn mkdir<F: Files>(files: &F, path: &VirtualPath, attributes: &FileAttributes) -> Reply {
    done(files.make_folder(path, to_be_made(attributes)).await)
}
