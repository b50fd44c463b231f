//! Extended requests and their replies (draft-ietf-secsh-filexfer-02 section 8): OpenSSH's (its PROTOCOL file, section 4)
//! and the file hashing of draft-ietf-secsh-filexfer-extensions-00 section 3.

use bytes::{BufMut, Bytes, BytesMut};

use super::attributes::FileAttributes;
use super::fields::{Reason, end, put_string, string, uint32, uint64};
use super::request::handle;

/// The extensions that the version reply offers, with their versions, in OpenSSH's order. `check-file` is the name that
/// the draft has for the two requests.
pub const EXTENSIONS: &[(&str, &str)] = &[
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
    ("users-groups-by-id@openssh.com", "1"),
    ("check-file", "1"),
    ("check-file-handle", "1"),
    ("check-file-name", "1"),
];

/// What of a file is to be hashed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// Names of algorithms, with commas between, the client's favourite first.
    pub algorithms: Bytes,
    /// From where.
    pub start: u64,
    /// How many bytes; 0: to the end.
    pub length: u64,
    /// Bytes that each hash is of; 0: one hash of all.
    pub block: u32,
    /// Whether it was asked for by the name `check-file`: clients that do (paramiko) expect the name in the reply, too.
    pub echo: bool,
}

/// `copy-data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copying {
    /// The file that is open for reading.
    pub from: Bytes,
    /// From where.
    pub offset: u64,
    /// How many bytes; 0: to the end.
    pub length: u64,
    /// The file that is open for writing.
    pub to: Bytes,
    /// To where.
    pub at: u64,
}

/// An extended request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extended {
    /// `posix-rename@openssh.com`: old and new name.
    PosixRename(Bytes, Bytes),
    /// `statvfs@openssh.com`.
    Statvfs(Bytes),
    /// `fstatvfs@openssh.com`.
    Fstatvfs(Bytes),
    /// `hardlink@openssh.com`, which is not offered.
    Hardlink(Bytes, Bytes),
    /// `fsync@openssh.com`.
    Fsync(Bytes),
    /// `lsetstat@openssh.com`.
    Lsetstat(Bytes, FileAttributes),
    /// `limits@openssh.com`.
    Limits,
    /// `expand-path@openssh.com`.
    ExpandPath(Bytes),
    /// `copy-data`.
    CopyData(Copying),
    /// `home-directory`: of this user.
    HomeDirectory(Bytes),
    /// `users-groups-by-id@openssh.com`: numbers of users and of groups.
    OwnersById(Vec<u32>, Vec<u32>),
    /// `check-file-handle` (some clients say `check-file`).
    CheckHandle(Bytes, Hashing),
    /// `check-file-name`.
    CheckName(Bytes, Hashing),
    /// One that is not known here.
    Unknown(Bytes),
}

impl Extended {
    /// Reads what follows the request's id.
    pub(super) fn decode(input: &mut Bytes) -> Result<Self, Reason> {
        let name = string(input)?;
        let request = match &name[..] {
            b"posix-rename@openssh.com" => Self::PosixRename(string(input)?, string(input)?),
            b"statvfs@openssh.com" => Self::Statvfs(string(input)?),
            b"fstatvfs@openssh.com" => Self::Fstatvfs(handle(input)?),
            b"hardlink@openssh.com" => Self::Hardlink(string(input)?, string(input)?),
            b"fsync@openssh.com" => Self::Fsync(handle(input)?),
            b"lsetstat@openssh.com" => Self::Lsetstat(string(input)?, FileAttributes::decode(input)?),
            b"limits@openssh.com" => Self::Limits,
            b"expand-path@openssh.com" => Self::ExpandPath(string(input)?),
            b"copy-data" => Self::CopyData(Copying {
                from: handle(input)?,
                offset: uint64(input)?,
                length: uint64(input)?,
                to: handle(input)?,
                at: uint64(input)?,
            }),
            b"home-directory" => Self::HomeDirectory(string(input)?),
            b"users-groups-by-id@openssh.com" => Self::OwnersById(numbers(string(input)?)?, numbers(string(input)?)?),
            b"check-file" => Self::CheckHandle(handle(input)?, hashing(input, true)?),
            b"check-file-handle" => Self::CheckHandle(handle(input)?, hashing(input, false)?),
            b"check-file-name" => Self::CheckName(string(input)?, hashing(input, false)?),
            // What follows belongs to the extension, and it is not known.
            _ => return Ok(Self::Unknown(name)),
        };
        end(input)?;
        Ok(request)
    }
}

fn hashing(input: &mut Bytes, echo: bool) -> Result<Hashing, Reason> {
    let (algorithms, start, length) = (string(input)?, uint64(input)?, uint64(input)?);
    Ok(Hashing { algorithms, start, length, block: uint32(input)?, echo })
}

fn numbers(mut packed: Bytes) -> Result<Vec<u32>, Reason> {
    let mut numbers = Vec::with_capacity(packed.len() / 4);
    while !packed.is_empty() {
        numbers.push(uint32(&mut packed)?);
    }
    Ok(numbers)
}

/// The reply to `statvfs@openssh.com`, with the names of `statvfs(3)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilesystemStatus {
    /// Bytes of a block: of all block counts here.
    pub block: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free, for everybody who may ask.
    pub free: u64,
    /// Files in all.
    pub files: u64,
    /// Files that may still be made.
    pub files_free: u64,
    /// `ST_RDONLY` (1) and `ST_NOSUID` (2).
    pub flags: u64,
    /// Bytes of the longest name.
    pub name_max: u64,
}

impl FilesystemStatus {
    pub(super) fn encode(&self, output: &mut BytesMut) {
        let fields = [
            self.block,
            self.block,
            self.blocks,
            self.free,
            self.free,
            self.files,
            self.files_free,
            self.files_free,
            0,
            self.flags,
            self.name_max,
        ];
        for field in fields {
            output.put_u64(field);
        }
    }
}

/// The reply to `limits@openssh.com`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the longest packet.
    pub packet: u64,
    /// Bytes of the longest read.
    pub read: u64,
    /// Bytes of the longest write.
    pub write: u64,
    /// Handles that may be open at a time.
    pub handles: u64,
}

impl Limits {
    pub(super) fn encode(&self, output: &mut BytesMut) {
        for field in [self.packet, self.read, self.write, self.handles] {
            output.put_u64(field);
        }
    }
}

/// Writes names as one string of strings.
pub(super) fn put_names(output: &mut BytesMut, names: &[&'static str]) {
    output.put_u32(names.iter().map(|name| 4 + name.len() as u32).sum());
    for name in names {
        put_string(output, name.as_bytes());
    }
}
