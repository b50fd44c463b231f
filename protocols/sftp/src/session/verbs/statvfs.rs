//! `statvfs@openssh.com` and `fstatvfs@openssh.com` (OpenSSH's PROTOCOL, section 4.4): what the quotas leave.

use causeway_core::{Space, VirtualPath};

use crate::codec::{FilesystemStatus, Reply};
use crate::files::Files;
use crate::status::failure;

/// Bytes of a block.
const BLOCK: u64 = 4096;
/// Files that may be made; they are not limited.
const FILES: u64 = 1 << 32;
/// Bytes of the longest name (SEMANTICS, "Names and views").
const NAME_MAX: u64 = 255;
const READ_ONLY: u64 = 1;
const NO_SETUID: u64 = 2;

/// How much room there is.
pub(in crate::session) async fn statvfs<F: Files>(files: &F, path: &VirtualPath) -> Reply {
    match files.space(path).await {
        Ok(space) => Reply::Filesystem(status(space)),
        Err(error) => failure(&error),
    }
}

const fn status(space: Space) -> FilesystemStatus {
    FilesystemStatus {
        block: BLOCK,
        blocks: space.total / BLOCK,
        free: space.free / BLOCK,
        files: FILES,
        files_free: FILES,
        flags: if space.read_only { NO_SETUID | READ_ONLY } else { NO_SETUID },
        name_max: NAME_MAX,
    }
}
