//! The wire format of SFTP version 3 (draft-ietf-secsh-filexfer-02): pure functions over bytes. Requests are decoded
//! strictly: every length is checked against what is there, and bytes after the last field make the packet malformed.
//! Nothing here allocates more than the packet itself holds, and no input panics.

mod attributes;
mod extended;
mod fields;
mod frames;
mod reply;
mod request;

pub use attributes::FileAttributes;
pub use extended::{Copying, EXTENSIONS, Extended, FilesystemStatus, Hashing, Limits};
pub use frames::{FrameError, Frames, MAX_PACKET};
pub use reply::{NameEntry, Reply};
pub use request::{Malformed, OpenFlags, Request, decode, decode_init};

/// The protocol version spoken here (section 4).
pub const VERSION: u32 = 3;

/// `SSH_FXP_*` packet types (section 3).
pub mod kind {
    #![allow(missing_docs)]
    pub const INIT: u8 = 1;
    pub const VERSION: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const CLOSE: u8 = 4;
    pub const READ: u8 = 5;
    pub const WRITE: u8 = 6;
    pub const LSTAT: u8 = 7;
    pub const FSTAT: u8 = 8;
    pub const SETSTAT: u8 = 9;
    pub const FSETSTAT: u8 = 10;
    pub const OPENDIR: u8 = 11;
    pub const READDIR: u8 = 12;
    pub const REMOVE: u8 = 13;
    pub const MKDIR: u8 = 14;
    pub const RMDIR: u8 = 15;
    pub const REALPATH: u8 = 16;
    pub const STAT: u8 = 17;
    pub const RENAME: u8 = 18;
    pub const READLINK: u8 = 19;
    pub const SYMLINK: u8 = 20;
    pub const STATUS: u8 = 101;
    pub const HANDLE: u8 = 102;
    pub const DATA: u8 = 103;
    pub const NAME: u8 = 104;
    pub const ATTRS: u8 = 105;
    pub const EXTENDED: u8 = 200;
    pub const EXTENDED_REPLY: u8 = 201;
}

#[cfg(test)]
pub mod tests;
