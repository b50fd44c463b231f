//! The rows as the tables hold them, and their way to and from the records of core. They are the same on both databases:
//! sqlx decodes ids, numbers and text alike, and lists are JSON text.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;

use causeway_core::records::{
    Actor, Attributes, AuditRecord, AuditRow, BlobId, BlobRow, BlobState, Content, Delivery, DeliveryState,
    EventRecord, Incarnation, Node, Seal, Segment, StoredEvent, UploadRow, UploadState,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::FromRow;
use uuid::Uuid;

/// What a statement returns.
pub(super) type Outcome<T> = Result<T, sqlx::Error>;

fn unreadable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// A size as the tables hold it. Sizes end at 2^63-1 (SEMANTICS, "Quota").
pub(super) fn signed(size: u64) -> Outcome<i64> {
    i64::try_from(size).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn unsigned(size: i64) -> Outcome<u64> {
    u64::try_from(size).map_err(unreadable)
}

/// JSON text of a value.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Outcome<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn parsed<T: DeserializeOwned>(text: &str) -> Outcome<T> {
    serde_json::from_str(text).map_err(unreadable)
}

fn digest(bytes: Vec<u8>) -> Outcome<[u8; 32]> {
    bytes.try_into().map_err(|_| unreadable("a digest of the ledger is not 32 bytes long"))
}

/// A row of `nodes`.
#[derive(FromRow)]
pub(super) struct NodeRow {
    pub(super) id: Uuid,
    pub(super) tenant: String,
    pub(super) parent: Uuid,
    pub(super) name: String,
    pub(super) version: Option<Uuid>,
    pub(super) size: Option<i64>,
    pub(super) sha256: Option<Vec<u8>>,
    pub(super) content_type: Option<String>,
    pub(super) segments: Option<String>,
    pub(super) created_at: i64,
    pub(super) modified_at: i64,
    pub(super) attributes: Option<String>,
    pub(super) created_by: String,
    pub(super) classification: Option<String>,
    pub(super) tags: Option<String>,
}

fn attributes_text(attributes: &Attributes) -> Outcome<Option<String>> {
    if attributes.is_empty() { Ok(None) } else { json(attributes).map(Some) }
}

fn attributes_of(text: Option<&str>) -> Outcome<Attributes> {
    text.map_or_else(|| Ok(Attributes::default()), parsed)
}

impl NodeRow {
    pub(super) fn of(node: &Node) -> Outcome<Self> {
        let content = node.content.as_ref();
        Ok(Self {
            id: node.id,
            tenant: node.tenant.clone(),
            parent: node.parent,
            name: node.name.clone(),
            version: content.map(|c| c.version),
            size: content.map(|c| signed(c.size)).transpose()?,
            sha256: content.map(|c| c.sha256.to_vec()),
            content_type: content.map(|c| c.content_type.clone()),
            segments: content.map(|c| json(&c.segments)).transpose()?,
            created_at: node.created_at,
            modified_at: node.modified_at,
            attributes: attributes_text(&node.attributes)?,
            created_by: json(&node.created_by)?,
            classification: node.classification.clone(),
            tags: if node.tags.is_empty() { None } else { Some(json(&node.tags)?) },
        })
    }

    pub(super) fn node(self) -> Outcome<Node> {
        let content = match (self.version, self.size, self.sha256, self.segments) {
            (Some(version), Some(size), Some(sha256), Some(segments)) => Some(Content {
                version,
                size: unsigned(size)?,
                sha256: digest(sha256)?,
                content_type: self.content_type.unwrap_or_default(),
                segments: parsed::<Vec<Segment>>(&segments)?,
            }),
            _ => None,
        };
        Ok(Node {
            id: self.id,
            tenant: self.tenant,
            parent: self.parent,
            name: self.name,
            content,
            created_at: self.created_at,
            modified_at: self.modified_at,
            attributes: attributes_of(self.attributes.as_deref())?,
            created_by: parsed::<Actor>(&self.created_by)?,
            classification: self.classification,
            tags: self.tags.as_deref().map_or_else(|| Ok(BTreeMap::new()), parsed)?,
        })
    }
}

/// A row of `uploads`.
#[derive(FromRow)]
pub(super) struct UploadLine {
    pub(super) id: Uuid,
    pub(super) tenant: String,
    pub(super) identity: String,
    pub(super) login: String,
    pub(super) protocol: String,
    pub(super) session: Uuid,
    pub(super) parent: Uuid,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) generation: i64,
    pub(super) incarnation: Uuid,
    pub(super) exclusive: bool,
    pub(super) base_version: Option<Uuid>,
    pub(super) compare_base: bool,
    pub(super) size: i64,
    pub(super) prefix: i64,
    pub(super) reserved: i64,
    pub(super) segments: String,
    pub(super) hash_state: Option<Vec<u8>>,
    pub(super) hashed: i64,
    pub(super) attributes: Option<String>,
    pub(super) storage: String,
    pub(super) prefix_path: String,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) expires_at: i64,
}

impl UploadLine {
    pub(super) fn of(row: &UploadRow) -> Outcome<Self> {
        Ok(Self {
            id: row.id,
            tenant: row.tenant.clone(),
            identity: row.identity.clone(),
            login: row.login.clone(),
            protocol: row.protocol.clone(),
            session: row.session,
            parent: row.parent,
            name: row.name.clone(),
            state: row.state.as_str().to_owned(),
            generation: row.generation,
            incarnation: row.incarnation,
            exclusive: row.exclusive,
            base_version: row.base_version,
            compare_base: row.compare_base,
            size: signed(row.size)?,
            prefix: signed(row.prefix)?,
            reserved: signed(row.reserved)?,
            segments: json(&row.segments)?,
            hash_state: row.hash_state.clone(),
            hashed: signed(row.hashed)?,
            attributes: attributes_text(&row.attributes)?,
            storage: row.storage.clone(),
            prefix_path: row.prefix_path.clone(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            expires_at: row.expires_at,
        })
    }

    pub(super) fn upload(self) -> Outcome<UploadRow> {
        Ok(UploadRow {
            id: self.id,
            tenant: self.tenant,
            identity: self.identity,
            login: self.login,
            protocol: self.protocol,
            session: self.session,
            parent: self.parent,
            name: self.name,
            state: UploadState::parse(&self.state).ok_or_else(|| unreadable("an upload's state is no known word"))?,
            generation: self.generation,
            incarnation: self.incarnation,
            exclusive: self.exclusive,
            base_version: self.base_version,
            compare_base: self.compare_base,
            size: unsigned(self.size)?,
            prefix: unsigned(self.prefix)?,
            reserved: unsigned(self.reserved)?,
            segments: parsed(&self.segments)?,
            hash_state: self.hash_state,
            hashed: unsigned(self.hashed)?,
            attributes: attributes_of(self.attributes.as_deref())?,
            storage: self.storage,
            prefix_path: self.prefix_path,
            created_at: self.created_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
        })
    }
}

/// A row of `blobs`.
#[derive(FromRow)]
pub(super) struct BlobLine {
    key: Uuid,
    storage: String,
    prefix: String,
    state: String,
    doomed_at: Option<i64>,
}

impl BlobLine {
    pub(super) fn blob(self) -> Outcome<BlobRow> {
        let state = match self.state.as_str() {
            "live" => BlobState::Live,
            "doomed" => BlobState::Doomed,
            "deleting" => BlobState::Deleting,
            _ => return Err(unreadable("a blob's state is no known word")),
        };
        let id = BlobId { key: self.key, storage: Arc::from(self.storage), prefix: Arc::from(self.prefix) };
        Ok(BlobRow { id, state, doomed_at: self.doomed_at })
    }
}

/// A row of `audit_entries` with its seal, if it has one.
#[derive(FromRow)]
pub(super) struct EntryLine {
    id: Uuid,
    chain: String,
    at: i64,
    identity: Option<String>,
    login: Option<String>,
    operation: String,
    outcome: String,
    path: Option<String>,
    protocol: String,
    body: Vec<u8>,
    seq: Option<i64>,
    hash: Option<Vec<u8>>,
}

impl EntryLine {
    pub(super) fn entry(self) -> Outcome<AuditRow> {
        let seal = match (self.seq, self.hash) {
            (Some(seq), Some(hash)) => {
                Some(Seal { chain: self.chain.clone(), seq, entry: self.id, hash: digest(hash)? })
            }
            _ => None,
        };
        let record = AuditRecord {
            id: self.id,
            chain: self.chain,
            at: self.at,
            identity: self.identity,
            login: self.login,
            operation: self.operation,
            outcome: self.outcome,
            path: self.path,
            protocol: self.protocol,
            body: self.body,
        };
        Ok(AuditRow { record, seal })
    }
}

/// A row of `audit_seals`, with the bytes of its entry if it is there.
#[derive(FromRow)]
pub(super) struct SealLine {
    chain: String,
    seq: i64,
    entry: Uuid,
    hash: Vec<u8>,
    body: Option<Vec<u8>>,
}

impl SealLine {
    pub(super) fn seal(self) -> Outcome<(Seal, Option<Vec<u8>>)> {
        Ok((Seal { chain: self.chain, seq: self.seq, entry: self.entry, hash: digest(self.hash)? }, self.body))
    }
}

/// A row of `events`.
#[derive(FromRow)]
pub(super) struct EventLine {
    id: Uuid,
    tenant: String,
    kind: String,
    at: i64,
    path: Option<String>,
    order_keys: String,
    body: String,
    position: Option<i64>,
}

impl EventLine {
    pub(super) fn event(self) -> Outcome<EventRecord> {
        Ok(EventRecord {
            id: self.id,
            tenant: self.tenant,
            kind: self.kind,
            at: self.at,
            path: self.path,
            order_keys: parsed(&self.order_keys)?,
            body: self.body,
        })
    }

    pub(super) fn stored(self) -> Outcome<StoredEvent> {
        let position =
            self.position.ok_or_else(|| unreadable("an event without a position was read as one with it"))?;
        Ok(StoredEvent { position, event: self.event()? })
    }
}

/// The word of a delivery's state.
pub(super) const fn delivery_word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead => "dead",
    }
}

/// A row of `deliveries` with its event.
#[derive(FromRow)]
pub(super) struct DeliveryLine {
    webhook: String,
    attempts: i64,
    next_at: i64,
    last_result: Option<String>,
    delivery_position: i64,
    #[sqlx(flatten)]
    event: EventLine,
}

impl DeliveryLine {
    /// A pending delivery (no other is ever read).
    pub(super) fn pending(self) -> Outcome<(Delivery, EventRecord)> {
        let delivery = Delivery {
            webhook: self.webhook,
            event: self.event.id,
            position: self.delivery_position,
            state: DeliveryState::Pending,
            attempts: self.attempts,
            next_at: self.next_at,
            last_result: self.last_result,
        };
        Ok((delivery, self.event.event()?))
    }
}

/// A row of `incarnations`.
#[derive(FromRow)]
pub(super) struct IncarnationLine {
    id: Uuid,
    node: String,
    installation: Uuid,
    heartbeat: i64,
    oldest_read: i64,
}

impl IncarnationLine {
    pub(super) fn incarnation(self) -> Incarnation {
        Incarnation {
            id: self.id,
            node: self.node,
            installation: self.installation,
            heartbeat: self.heartbeat,
            oldest_read: self.oldest_read,
        }
    }
}
