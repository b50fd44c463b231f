//! The namespace: what a session sees of its tenant's tree, and changing it.

mod arrival;
mod attributes;
mod change;
mod entries;
mod folders;
mod labels;
mod listing;
mod relocate;
mod remove;
mod remove_tree;
mod rename;
mod stat;

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::error::{Error, ErrorKind};
use crate::path::VirtualPath;
use crate::records::{Actor, Attributes, Micros};

pub use change::Changes;
pub(crate) use entries::{Viewer, find};
pub(crate) use folders::{ensure_folder, refuse_reserved, require_unreserved};
pub use labels::{Classify, Labels, MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS, check_classification, check_tags};
pub use listing::Listing;
pub(crate) use remove::release_version;
pub(crate) use stat::{existing, path_of, path_within, session_path};

/// How a front end names a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By its path below the session's root.
    Path(VirtualPath),
    /// By its id (REST).
    Id(Uuid),
}

/// A file or folder as a session sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The node's id. Nil for folders that exist only in the view (above a mount point).
    pub id: Uuid,
    /// The path below the session's root.
    pub path: VirtualPath,
    /// The last part of it; empty for the root.
    pub name: String,
    /// Whether it is a folder.
    pub folder: bool,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// SHA-256 of the content; none for a folder and for a partial upload.
    pub sha256: Option<[u8; 32]>,
    /// Media type; none for a folder.
    pub content_type: Option<String>,
    /// When it was made.
    pub created_at: Micros,
    /// When its content changed last.
    pub modified_at: Micros,
    /// Mode, owner, group, access time, where a client has set them (`modified_at` is none here).
    pub attributes: Attributes,
    /// Who made the current version.
    pub created_by: Option<Actor>,
    /// Classification.
    pub classification: Option<String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// Whether this is the owner's incomplete upload of that name, with the size of what is there of it.
    pub partial: bool,
    /// Whether it is a mount point of the view, which can be neither renamed nor removed.
    pub mount_point: bool,
}

fn not_folder() -> Error {
    Error::new(ErrorKind::NotFolder, "this is a file, not a folder; remove it as a file")
}

/// The media type that a name's extension stands for.
pub(crate) fn content_type_of(name: &str) -> &'static str {
    mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream")
}
