//! `posix-rename@openssh.com` (OpenSSH's PROTOCOL, section 4.3): as rename(2), it replaces a file that is there.

use causeway_core::VirtualPath;

use super::done;
use crate::codec::Reply;
use crate::files::Files;

/// Renames or moves a file or folder; a file may take the place of another one.
pub(in crate::session) async fn posix_rename<F: Files>(files: &F, from: &VirtualPath, to: &VirtualPath) -> Reply {
    done(files.rename(from, to, true).await)
}
