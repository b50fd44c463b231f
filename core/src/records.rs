//! The rows of the ledger, as core knows them. How a backend lays them out is its own business; what they mean is said
//! here (SEMANTICS, "Uploads", "Blobs", "The tree").

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::trace::TraceContext;

mod backlog;
mod head;
mod job;
mod key;
mod moment;
mod oauth;
mod object;
mod session;
mod token;
mod webhook;

pub use backlog::Backlog;
pub use head::{AuditHead, HeadKind};
pub use job::{ItemKind, ItemState, Job, JobItem, JobOperation, JobOrder, TransferState};
pub use key::KeyUse;
pub use moment::{Micros, instant, later, micros, now, since_epoch};
pub use oauth::{AuthorizationRequest, Grant, RefreshToken, SignIn};
pub use object::{ObjectKey, ObjectKind, StoredObject};
pub use session::{SessionRow, SessionSearch};
pub use token::{IssuerKeys, RevokedGrant, SigningKeyRow};
pub use webhook::{Circuit, WebhookHealth};

/// Where a blob is: immutable once written, never named after anything a user sends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobId {
    /// The random key (UUIDv4).
    #[serde(rename = "k")]
    pub key: Uuid,
    /// The name of the storage.
    #[serde(rename = "s")]
    pub storage: Arc<str>,
    /// Folder or key prefix inside the storage (`tenant.mount.path`).
    #[serde(rename = "p")]
    pub prefix: Arc<str>,
}

/// One run of a file's content. The runs of a content follow each other without gap; a run without a blob is zeros.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Where the run begins in the file.
    #[serde(rename = "a")]
    pub start: u64,
    /// How many bytes.
    #[serde(rename = "n")]
    pub len: u64,
    /// The blob that holds it; none: zeros.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<BlobId>,
    /// Where the run begins in the blob.
    #[serde(rename = "o", default)]
    pub offset: u64,
}

/// The content of one version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The version's id: that of the upload that made it. The blobs of the segments are referenced under this id.
    pub version: Uuid,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// Media type.
    pub content_type: String,
    /// The runs, from 0 to `size`.
    pub segments: Vec<Segment>,
}

/// Who made something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The identity's id.
    pub identity: String,
    /// The login or key id.
    pub login: String,
    /// The protocol's name.
    pub protocol: String,
}

/// Attributes that a client may set. What is none stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Modification time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Micros>,
    /// Access time, kept as it was set (reads do not change it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accessed_at: Option<Micros>,
    /// POSIX permission bits (0o7777 at most), shown to those who ask, enforced on nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Owner as a number, shown only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group as a number, shown only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

impl Attributes {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This, with what `later` sets put over it.
    pub fn merged(&self, later: &Self) -> Self {
        Self {
            modified_at: later.modified_at.or(self.modified_at),
            accessed_at: later.accessed_at.or(self.accessed_at),
            mode: later.mode.or(self.mode),
            uid: later.uid.or(self.uid),
            gid: later.gid.or(self.gid),
        }
    }
}

/// A file or folder of a tenant's tree. A node with content is a file. The root of a tenant has the nil UUID as its
/// parent and the tenant's id as its name, so that it is unique too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// UUIDv7; stays when the node is renamed, moved or overwritten. The `file_id` of the API.
    pub id: Uuid,
    /// The tenant's id.
    pub tenant: String,
    /// The folder that it is in.
    pub parent: Uuid,
    /// Its name there.
    pub name: String,
    /// The content; none: a folder.
    pub content: Option<Content>,
    /// When the node was made.
    pub created_at: Micros,
    /// When its content was last changed, or what a client set.
    pub modified_at: Micros,
    /// What clients set besides `modified_at` (which stands in its own field and is none here).
    pub attributes: Attributes,
    /// Who made the current version (of a folder: the folder).
    pub created_by: Actor,
    /// One of the tenant's classifications.
    pub classification: Option<String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

/// The parent of folders that were removed with everything in them, until they are purged. No node has this id, so that
/// nothing below it hangs in any tenant's tree. Their names are their ids there, which are unique.
pub const DETACHED: Uuid = Uuid::max();

impl Node {
    /// Whether it is a folder.
    pub const fn is_folder(&self) -> bool {
        self.content.is_none()
    }

    /// Size of the content; 0 for a folder.
    pub fn size(&self) -> u64 {
        self.content.as_ref().map_or(0, |c| c.size)
    }
}

/// Where an upload stands. open → detached → open …, open → sealed → committed, or → discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UploadState {
    /// A session holds it and may write.
    Open,
    /// Nobody holds it; its own identity may resume it.
    Detached,
    /// Complete; its commit is under way, nobody may write any more.
    Sealed,
    /// Its content is a visible version. The row stays for a day, so that an uncertain commit can be looked up.
    Committed,
    /// Given up. The row stays for a day.
    Discarded,
}

impl UploadState {
    /// The word in the ledger and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Detached => "detached",
            Self::Sealed => "sealed",
            Self::Committed => "committed",
            Self::Discarded => "discarded",
        }
    }

    /// The state with this word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Detached, Self::Sealed, Self::Committed, Self::Discarded]
            .into_iter()
            .find(|s| s.as_str() == text)
    }

    /// Whether the upload still can become a version.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Open | Self::Detached | Self::Sealed)
    }
}

/// An upload's row. Every change of it is conditional on state and generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    /// UUIDv7; becomes the version's id, and is the `transfer_id` of its events.
    pub id: Uuid,
    /// The tenant's id.
    pub tenant: String,
    /// The owner, with the tenant.
    pub identity: String,
    /// The login that began it.
    pub login: String,
    /// The protocol that began it.
    pub protocol: String,
    /// The session that holds or last held it.
    pub session: Uuid,
    /// The folder it is bound to.
    pub parent: Uuid,
    /// The name it is bound to.
    pub name: String,
    /// Where it stands.
    pub state: UploadState,
    /// Bumped whenever another holder takes it.
    pub generation: i64,
    /// The process that holds it.
    pub incarnation: Uuid,
    /// Whether it reserves its name (create, exclusive).
    pub exclusive: bool,
    /// The version that this changes in place, and which must still be the current one at commit. Of a committed one that is
    /// marked so (`compare_base` false), the file that it became.
    pub base_version: Option<Uuid>,
    /// Whether the commit compares `base_version` (in-place changes do; a plain overwrite does not).
    pub compare_base: bool,
    /// End of the highest byte written, at the last checkpoint.
    pub size: u64,
    /// Length of the contiguous prefix at the last checkpoint: what a resume goes on from.
    pub prefix: u64,
    /// Bytes reserved of the quotas.
    pub reserved: u64,
    /// The runs that are durable, sorted by `start`, not overlapping, maybe with gaps.
    pub segments: Vec<Segment>,
    /// State of the SHA-256 over the first `hashed` bytes, serialised as `sha2` does.
    pub hash_state: Option<Vec<u8>>,
    /// How many bytes `hash_state` covers.
    pub hashed: u64,
    /// Attributes to give the version.
    pub attributes: Attributes,
    /// Where new bytes go: the storage of the mount.
    pub storage: String,
    /// The mount's prefix in that storage.
    pub prefix_path: String,
    /// When it was begun.
    pub created_at: Micros,
    /// When its row last changed.
    pub updated_at: Micros,
    /// When a detached one is given up.
    pub expires_at: Micros,
    /// What the client announced, where it did (uploads in chunks); it binds whoever finishes the upload.
    pub plan: Option<UploadPlan>,
}

impl UploadRow {
    /// The size of the whole, where the client announced it.
    pub fn announced_size(&self) -> Option<u64> {
        self.plan.as_ref().and_then(|plan| plan.size)
    }
}

/// What a client announces of a content that it sends in several requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPlan {
    /// Bytes of the whole content: neither more nor less is published. None: not announced yet; its client says when it has
    /// sent all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes of a chunk but for the last one; at least 1.
    pub chunk_size: u64,
    /// SHA-256 of the whole content, lower-case hex: no other is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether a file of that name may be replaced.
    #[serde(default)]
    pub overwrite: bool,
    /// The media type that the client announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// What the client wants to read again as it sent it (`Upload-Metadata` of tus).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// What must hold of the file that is there, when this one takes its place.
    #[serde(default, skip_serializing_if = "UploadConditions::is_empty")]
    pub conditions: UploadConditions,
}

/// Conditions of a request (RFC 9110 section 13.1) on the file that an upload replaces, for its commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadConditions {
    /// There is none (`If-None-Match: *`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    /// There is one (`If-Match: *`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub present: bool,
    /// It has one of these SHA-256, lower-case hex (`If-Match`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<Vec<String>>,
}

impl UploadConditions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether they hold of what is there: the SHA-256 of the file, or no file.
    pub fn hold(&self, current: Option<&[u8; 32]>) -> bool {
        let listed = |digests: &Vec<String>| current.is_some_and(|current| digests.contains(&hex::encode(current)));
        match current {
            Some(_) if self.absent => false,
            None if self.present => false,
            _ => self.digests.as_ref().is_none_or(listed),
        }
    }
}

impl UploadPlan {
    /// The announced SHA-256.
    pub fn digest(&self) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        hex::decode_to_slice(self.sha256.as_deref()?, &mut digest).ok()?;
        Some(digest)
    }

    /// How many chunks there are, where the size is known.
    pub fn chunks(&self) -> Option<u64> {
        Some(self.size?.div_ceil(self.chunk_size.max(1)))
    }

    /// Where a chunk, counted from 0, begins and ends; none beyond the last one.
    pub fn chunk(&self, number: u64) -> Option<(u64, u64)> {
        let size = self.size?;
        let start = number.checked_mul(self.chunk_size).filter(|start| *start < size)?;
        Some((start, start.saturating_add(self.chunk_size).min(size)))
    }
}

/// State of a blob's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobState {
    /// Referenced, or about to be.
    Live,
    /// Without reference since `doomed_at`; no new reference may be taken.
    Doomed,
    /// Its bytes are being removed.
    Deleting,
}

/// A blob's row; it is there before the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRow {
    /// Where.
    pub id: BlobId,
    /// Its state.
    pub state: BlobState,
    /// When the last reference went.
    pub doomed_at: Option<Micros>,
}

/// An audit entry to be appended. `body` is the entry; the other fields are copies out of it that queries filter by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// UUIDv7.
    pub id: Uuid,
    /// The chain: the tenant's id, or empty for the gateway's own.
    pub chain: String,
    /// When.
    pub at: Micros,
    /// The identity, if one is known.
    pub identity: Option<String>,
    /// The login or key id, if one was given.
    pub login: Option<String>,
    /// The operation's word.
    pub operation: String,
    /// `ok`, `denied` or `error`.
    pub outcome: String,
    /// The path in the tenant's tree.
    pub path: Option<String>,
    /// The protocol's word.
    pub protocol: String,
    /// The canonical bytes (RFC 8785) that the chain hashes.
    pub body: Vec<u8>,
}

/// A sealed place in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The chain.
    pub chain: String,
    /// From 1.
    pub seq: i64,
    /// The entry's id.
    pub entry: Uuid,
    /// SHA-256(previous hash || entry bytes).
    pub hash: [u8; 32],
}

/// An entry as the ledger returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// The entry.
    pub record: AuditRecord,
    /// Its place in the chain, once sealed.
    pub seal: Option<Seal>,
}

/// What to look for in the trail.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Not before.
    pub since: Option<Micros>,
    /// Before.
    pub until: Option<Micros>,
    /// By this identity.
    pub identity: Option<String>,
    /// By this login.
    pub login: Option<String>,
    /// This operation.
    pub operation: Option<String>,
    /// This outcome.
    pub outcome: Option<String>,
    /// This path and all below it, in the tenant's tree.
    pub path: Option<String>,
    /// Over this protocol.
    pub protocol: Option<String>,
    /// Entries behind this place of the chain; those that wait for theirs are behind every place.
    pub after: Option<i64>,
}

/// An event to be queued: the outbox row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// UUIDv7; the `webhook-id`.
    pub id: Uuid,
    /// The tenant's id, or empty where it belongs to none.
    pub tenant: String,
    /// The event's name.
    pub kind: String,
    /// When.
    pub at: Micros,
    /// The path in the tenant's tree, if it is about a file.
    pub path: Option<String>,
    /// What deliveries must keep in order: file id and tenant paths.
    pub order_keys: Vec<String>,
    /// The JSON that is delivered.
    pub body: String,
    /// The upload or download that it ends.
    pub transfer: Option<Uuid>,
    /// Whether no webhook is told of it.
    pub quiet: bool,
    /// Where in a trace the operation was that made it.
    pub trace: Option<TraceContext>,
}

/// A queued event with its place in the tenant's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// From 1, given by the sequencer, ascending over the whole gateway.
    pub position: i64,
    /// The event.
    pub event: EventRecord,
}

/// Where the delivery of one event to one webhook stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be sent at `next_at`.
    Pending,
    /// Accepted.
    Delivered,
    /// Given up.
    Dead,
}

/// The delivery of one event to one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// `tenant/webhook`.
    pub webhook: String,
    /// The event's id.
    pub event: Uuid,
    /// The event's position.
    pub position: i64,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is due.
    pub next_at: Micros,
    /// What the last attempt answered: a status, or a sentence.
    pub last_result: Option<String>,
}

/// A running or dead process of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// UUIDv7, made at start.
    pub id: Uuid,
    /// The node's name.
    pub node: String,
    /// The installation: a random id kept in the data folder, which only one process can lock.
    pub installation: Uuid,
    /// When it last gave a sign of life.
    pub heartbeat: Micros,
    /// The start of its oldest download under way, or its last heartbeat.
    pub oldest_read: Micros,
}
