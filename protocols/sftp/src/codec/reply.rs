//! Replies of the server (draft-ietf-secsh-filexfer-02 section 7), encoded.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use super::attributes::FileAttributes;
use super::extended::{EXTENSIONS, FilesystemStatus, Limits, put_names};
use super::fields::put_string;
use super::{VERSION, kind};
use crate::status::Code;

/// One name of an `SSH_FXP_NAME` reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameEntry {
    /// The name alone, or a whole path in the reply to `REALPATH`.
    pub name: String,
    /// The line of `ls -l`.
    pub long_name: String,
    /// What it is.
    pub attributes: FileAttributes,
}

impl NameEntry {
    /// How many bytes it takes in a reply, at most.
    pub const fn encoded_len(&self) -> usize {
        8 + self.name.len() + self.long_name.len() + 36
    }
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `SSH_FXP_STATUS`: a code, and a sentence for whoever reads the client's log.
    Status(Code, Cow<'static, str>),
    /// `SSH_FXP_HANDLE`.
    Handle(u32),
    /// `SSH_FXP_DATA`.
    Data(Bytes),
    /// `SSH_FXP_NAME`.
    Names(Vec<NameEntry>),
    /// `SSH_FXP_ATTRS`.
    Attributes(FileAttributes),
    /// `SSH_FXP_EXTENDED_REPLY` to `statvfs@openssh.com`.
    Filesystem(FilesystemStatus),
    /// The same to `limits@openssh.com`.
    Limits(Limits),
    /// The same to `users-groups-by-id@openssh.com`: names of users and of groups, empty where there is none.
    Owners(Vec<&'static str>, Vec<&'static str>),
    /// The same to `check-file-handle` and `check-file-name` (draft-ietf-secsh-filexfer-extensions-00 section 3).
    Hashes {
        /// Whether `check-file` stands before it all: see [`Hashing::echo`](super::Hashing::echo).
        echo: bool,
        /// The algorithm.
        algorithm: &'static str,
        /// The hashes of all blocks, one after the other.
        hashes: Vec<u8>,
    },
}

impl Reply {
    /// Success.
    pub const fn ok() -> Self {
        Self::Status(Code::Ok, Cow::Borrowed("done"))
    }

    /// The end of a file or folder.
    pub const fn eof() -> Self {
        Self::Status(Code::Eof, Cow::Borrowed("no more data"))
    }

    /// Writes the packet, its length before it. The content of `Data` is not copied: it is handed back, to be sent right
    /// after what was written.
    pub fn encode(self, id: u32, output: &mut BytesMut) -> Option<Bytes> {
        let at = output.len();
        output.put_u32(0);
        let mut content = None;
        match self {
            Self::Status(code, message) => {
                output.put_u8(kind::STATUS);
                output.put_u32(id);
                output.put_u32(code as u32);
                put_string(output, message.as_bytes());
                put_string(output, b"");
            }
            Self::Handle(handle) => {
                output.put_u8(kind::HANDLE);
                output.put_u32(id);
                put_string(output, &handle.to_be_bytes());
            }
            Self::Data(data) => {
                output.put_u8(kind::DATA);
                output.put_u32(id);
                output.put_u32(data.len() as u32);
                content = Some(data);
            }
            Self::Names(names) => {
                output.put_u8(kind::NAME);
                output.put_u32(id);
                output.put_u32(names.len() as u32);
                for entry in names {
                    put_string(output, entry.name.as_bytes());
                    put_string(output, entry.long_name.as_bytes());
                    entry.attributes.encode(output);
                }
            }
            Self::Attributes(attributes) => {
                output.put_u8(kind::ATTRS);
                output.put_u32(id);
                attributes.encode(output);
            }
            Self::Filesystem(status) => {
                output.put_u8(kind::EXTENDED_REPLY);
                output.put_u32(id);
                status.encode(output);
            }
            Self::Limits(limits) => {
                output.put_u8(kind::EXTENDED_REPLY);
                output.put_u32(id);
                limits.encode(output);
            }
            Self::Owners(users, groups) => {
                output.put_u8(kind::EXTENDED_REPLY);
                output.put_u32(id);
                put_names(output, &users);
                put_names(output, &groups);
            }
            Self::Hashes { echo, algorithm, hashes } => {
                output.put_u8(kind::EXTENDED_REPLY);
                output.put_u32(id);
                if echo {
                    put_string(output, b"check-file");
                }
                put_string(output, algorithm.as_bytes());
                output.put_slice(&hashes);
            }
        }
        let length = output.len() - at - 4 + content.as_ref().map_or(0, Bytes::len);
        put_length(at, length, output);
        content
    }

    /// Writes `SSH_FXP_VERSION` (section 4), with the extensions that are offered.
    pub fn encode_version(output: &mut BytesMut) {
        let at = output.len();
        output.put_u32(0);
        output.put_u8(kind::VERSION);
        output.put_u32(VERSION);
        for (name, version) in EXTENSIONS {
            put_string(output, name.as_bytes());
            put_string(output, version.as_bytes());
        }
        put_length(at, output.len() - at - 4, output);
    }
}

/// Writes a packet's length where room was left for it.
fn put_length(at: usize, length: usize, output: &mut BytesMut) {
    if let Some(field) = output.get_mut(at..at + 4) {
        field.copy_from_slice(&(length as u32).to_be_bytes());
    }
}
