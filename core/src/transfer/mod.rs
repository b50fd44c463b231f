//! Content in and out: uploads that become visible whole or not at all, downloads that keep their version.

mod ahead;
mod begin;
mod commit;
mod content;
mod copy;
mod detach;
mod digest;
mod download;
mod incomplete;
mod landing;
mod lanes;
mod media_type;
mod pace;
mod part;
mod parts;
mod segments;
mod source;
mod space;
mod taking;
mod upload;
mod work;

use uuid::Uuid;

use crate::namespace::{Entry, Labels};
use crate::records::Attributes;

pub(crate) use begin::{require_digest, require_match};
pub(crate) use content::{copy_content, head_of};
pub(crate) use detach::{
    Unsettled, broken, detach, discard_row, give_up_row, replace_other_detached, replaced, tell_incomplete,
};
pub use download::Download;
pub(crate) use download::DownloadCore;
pub use incomplete::Incomplete;
pub(crate) use lanes::Lanes;
pub use media_type::TypeCheck;
pub(crate) use media_type::judge;
pub(crate) use pace::Pacer;
pub(crate) use part::PartCore;
pub use part::{Part, PartAt};
pub use parts::{Completion, MAX_CHUNKS};
pub use source::Source;
pub use space::Space;
pub use upload::Upload;
pub(crate) use upload::UploadCore;

/// What an upload does with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Makes the file or replaces it whole.
    Replace,
    /// Makes the file; `AlreadyExists` where it is there. `reserve`: the name is reserved from now on (SFTP's `EXCL`);
    /// otherwise it is only looked at now and at commit.
    Create {
        /// Whether to reserve the name.
        reserve: bool,
    },
    /// Replaces a file that is there; `NotFound` where it is not.
    Truncate,
    /// Goes on with the caller's own detached upload of that name, else changes the visible version in place; `create`:
    /// else makes an empty file, otherwise `NotFound`.
    Modify {
        /// Whether to make the file.
        create: bool,
    },
}

/// How to upload.
#[derive(Clone, Debug)]
pub struct UploadOptions {
    /// What to do with what is there.
    pub disposition: Disposition,
    /// Attributes of the new version (SFTP's OPEN carries them).
    pub attributes: Attributes,
    /// The size that the client announced; more is refused with `InvalidArgument`, less with `Incomplete`.
    pub declared_size: Option<u64>,
    /// The media type that the client announced.
    pub content_type: Option<String>,
    /// The digest that the content must have; `DigestMismatch` at commit, and nothing is published.
    pub expected_sha256: Option<[u8; 32]>,
    /// The digests one of which the current version must have (`If-Match`); `PreconditionFailed`, now and at commit.
    pub if_match: Option<Vec<[u8; 32]>>,
    /// Whether missing folders on the way are made (needs `mkdir`).
    pub make_folders: bool,
    /// The labels of the new version.
    pub labels: Labels,
    /// Whether it can be resumed when it does not end well. Otherwise it is given up then, with its content and what it takes
    /// of the quota: what nobody would come back for must not lie about.
    pub resumable: bool,
}

impl UploadOptions {
    /// With this disposition and nothing else.
    pub fn new(disposition: Disposition) -> Self {
        Self {
            disposition,
            attributes: Attributes::default(),
            declared_size: None,
            content_type: None,
            expected_sha256: None,
            if_match: None,
            make_folders: false,
            labels: Labels::default(),
            resumable: true,
        }
    }
}

/// Proof of a committed upload: durable, visible, hashed, audited, its events queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The file as it is now.
    pub entry: Entry,
    /// Whether the file was made (201) rather than replaced (200).
    pub created: bool,
    /// The transfer's id.
    pub transfer_id: Uuid,
}
