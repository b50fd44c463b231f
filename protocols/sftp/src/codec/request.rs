//! Requests of the client (draft-ietf-secsh-filexfer-02 section 6), decoded.

use bytes::Bytes;

use super::attributes::FileAttributes;
use super::extended::Extended;
use super::fields::{Reason, byte, end, string, uint32, uint64};
use super::kind;

/// The longest handle (section 6.2).
const MAX_HANDLE: usize = 256;

/// How a file is to be opened (section 6.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    /// Open for reading.
    pub const READ: u32 = 0x01;
    /// Open for writing.
    pub const WRITE: u32 = 0x02;
    /// All writes go to the end.
    pub const APPEND: u32 = 0x04;
    /// Make the file if it is not there.
    pub const CREAT: u32 = 0x08;
    /// Cut an existing file to nothing.
    pub const TRUNC: u32 = 0x10;
    /// Fail if the file is there.
    pub const EXCL: u32 = 0x20;

    /// Whether this flag is set.
    pub const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}

impl std::fmt::Debug for OpenFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

/// One request. Paths and handles are the bytes that the client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `SSH_FXP_OPEN`, section 6.3.
    Open {
        /// The file.
        path: Bytes,
        /// How.
        flags: OpenFlags,
        /// Attributes of a file that is made.
        attributes: FileAttributes,
    },
    /// `SSH_FXP_CLOSE`, section 6.3.
    Close(Bytes),
    /// `SSH_FXP_READ`, section 6.4.
    Read {
        /// The open file.
        handle: Bytes,
        /// From where.
        offset: u64,
        /// How many bytes at most.
        length: u32,
    },
    /// `SSH_FXP_WRITE`, section 6.4.
    Write {
        /// The open file.
        handle: Bytes,
        /// To where.
        offset: u64,
        /// The content.
        data: Bytes,
    },
    /// `SSH_FXP_LSTAT`, section 6.8.
    Lstat(Bytes),
    /// `SSH_FXP_FSTAT`, section 6.8.
    Fstat(Bytes),
    /// `SSH_FXP_SETSTAT`, section 6.9.
    Setstat(Bytes, FileAttributes),
    /// `SSH_FXP_FSETSTAT`, section 6.9.
    Fsetstat(Bytes, FileAttributes),
    /// `SSH_FXP_OPENDIR`, section 6.7.
    Opendir(Bytes),
    /// `SSH_FXP_READDIR`, section 6.7.
    Readdir(Bytes),
    /// `SSH_FXP_REMOVE`, section 6.5.
    Remove(Bytes),
    /// `SSH_FXP_MKDIR`, section 6.6.
    Mkdir(Bytes, FileAttributes),
    /// `SSH_FXP_RMDIR`, section 6.6.
    Rmdir(Bytes),
    /// `SSH_FXP_REALPATH`, section 6.11.
    Realpath(Bytes),
    /// `SSH_FXP_STAT`, section 6.8.
    Stat(Bytes),
    /// `SSH_FXP_RENAME`, section 6.5: old and new name.
    Rename(Bytes, Bytes),
    /// `SSH_FXP_READLINK`, section 6.10.
    Readlink(Bytes),
    /// `SSH_FXP_SYMLINK`, section 6.10. Clients disagree on the order of the two, and neither is followed here.
    Symlink(Bytes, Bytes),
    /// `SSH_FXP_EXTENDED`, section 8.
    Extended(Extended),
    /// A type that version 3 does not know.
    Unknown(u8),
}

/// A packet that is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The request's id; none where the packet is too short to have one.
    pub id: Option<u32>,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Reads a packet (without its length) as a request: its id, and what is asked.
pub fn decode(mut packet: Bytes) -> Result<(u32, Request), Malformed> {
    let kind = byte(&mut packet).map_err(|reason| Malformed { id: None, reason })?;
    let id = uint32(&mut packet).map_err(|reason| Malformed { id: None, reason })?;
    match body(kind, &mut packet) {
        Ok(request) => Ok((id, request)),
        Err(reason) => Err(Malformed { id: Some(id), reason }),
    }
}

/// Reads the first packet of a session, `SSH_FXP_INIT` (section 4), and hands back the client's version. Extension pairs
/// are read over.
pub fn decode_init(mut packet: Bytes) -> Result<u32, Malformed> {
    let mut init = || {
        if byte(&mut packet)? != kind::INIT {
            return Err("the first packet has to be SSH_FXP_INIT");
        }
        let version = uint32(&mut packet)?;
        while !packet.is_empty() {
            string(&mut packet)?;
            string(&mut packet)?;
        }
        Ok(version)
    };
    init().map_err(|reason| Malformed { id: None, reason })
}

pub(super) fn handle(input: &mut Bytes) -> Result<Bytes, Reason> {
    let handle = string(input)?;
    if handle.len() > MAX_HANDLE { Err("the handle is longer than 256 bytes") } else { Ok(handle) }
}

fn body(kind: u8, input: &mut Bytes) -> Result<Request, Reason> {
    let request = match kind {
        kind::OPEN => Request::Open {
            path: string(input)?,
            flags: OpenFlags(uint32(input)?),
            attributes: FileAttributes::decode(input)?,
        },
        kind::CLOSE => Request::Close(handle(input)?),
        kind::READ => Request::Read { handle: handle(input)?, offset: uint64(input)?, length: uint32(input)? },
        kind::WRITE => Request::Write { handle: handle(input)?, offset: uint64(input)?, data: string(input)? },
        kind::LSTAT => Request::Lstat(string(input)?),
        kind::FSTAT => Request::Fstat(handle(input)?),
        kind::SETSTAT => Request::Setstat(string(input)?, FileAttributes::decode(input)?),
        kind::FSETSTAT => Request::Fsetstat(handle(input)?, FileAttributes::decode(input)?),
        kind::OPENDIR => Request::Opendir(string(input)?),
        kind::READDIR => Request::Readdir(handle(input)?),
        kind::REMOVE => Request::Remove(string(input)?),
        kind::MKDIR => Request::Mkdir(string(input)?, FileAttributes::decode(input)?),
        kind::RMDIR => Request::Rmdir(string(input)?),
        kind::REALPATH => Request::Realpath(string(input)?),
        kind::STAT => Request::Stat(string(input)?),
        kind::RENAME => Request::Rename(string(input)?, string(input)?),
        kind::READLINK => Request::Readlink(string(input)?),
        kind::SYMLINK => Request::Symlink(string(input)?, string(input)?),
        kind::EXTENDED => return Extended::decode(input).map(Request::Extended),
        other => return Ok(Request::Unknown(other)),
    };
    end(input)?;
    Ok(request)
}
