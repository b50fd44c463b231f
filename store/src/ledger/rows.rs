//! The rows as the tables hold them, and their way to and from the records of core. They are the same on both databases;
//! lists are JSON text.

use std::collections::BTreeMap;

use causeway_core::records::{
    Attributes, AuditHead, AuditRecord, AuditRow, Backlog, BlobId, BlobRow, BlobState, Content, Delivery,
    DeliveryState, EventRecord, HeadKind, Incarnation, IssuerKeys, ItemKind, ItemState, Job, JobItem, KeyUse, Node,
    ObjectKey, RevokedGrant, Seal, SessionRow, SigningKeyRow, StoredEvent, StoredObject, TransferState, UploadRow,
    UploadState, WebhookHealth,
};
use causeway_core::trace::TraceContext;
use serde::Serialize;
use uuid::Uuid;

mod oauth;

use super::driver::{Columns, Failed, Json, Outcome, Record, Row, Value, unfit, values};

/// A size as the tables hold it. Sizes end at 2^63-1 (SEMANTICS, "Quota").
pub(super) fn signed(size: u64) -> Outcome<i64> {
    i64::try_from(size).map_err(unfit)
}

/// JSON text of a value.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Outcome<String> {
    serde_json::to_string(value).map_err(unfit)
}

fn attributes_text(attributes: &Attributes) -> Outcome<Option<String>> {
    if attributes.is_empty() { Ok(None) } else { json(attributes).map(Some) }
}

/// Rows of one column, or of a few that are no record.
macro_rules! plain {
    ($($type:ty: ($($way:ident),+);)*) => {
        $(
            impl Record for $type {
                fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
                    plain!(@ columns $($way)+)
                }
            }
        )*
    };
    (@ $columns:ident $way:ident) => { $columns.$way() };
    (@ $columns:ident $($way:ident)+) => { Ok(($($columns.$way()?),+)) };
}

plain! {
    i64: (take);
    Option<i64>: (maybe);
    Uuid: (take);
    String: (take);
    (u64, u64): (take, take);
    (String, u64): (take, take);
    (String, i64): (take, take);
    (Uuid, String, Uuid): (take, take, take);
    (Uuid, String, Vec<u8>): (take, take, take);
    ([u8; 32], Uuid): (take, take);
}

impl Record for KeyUse {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            key: columns.take()?,
            digest: columns.take()?,
            first_seen: columns.take()?,
            last_used: columns.maybe()?,
        })
    }
}

impl Record for SigningKeyRow {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            kid: columns.take()?,
            algorithm: columns.take()?,
            public: columns.take()?,
            private: columns.take::<Vec<u8>>()?.into(),
            sealed: columns.take()?,
            created_at: columns.take()?,
            signs_from: columns.take()?,
            retired_at: columns.maybe()?,
        })
    }
}

impl Record for RevokedGrant {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self { grant: columns.take()?, until: columns.take()?, revoked_at: columns.take()? })
    }
}

impl Record for IssuerKeys {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self { issuer: columns.take()?, keys: columns.take()?, fetched_at: columns.take()? })
    }
}

impl Record for Node {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        let (id, tenant, parent, name) = (columns.take()?, columns.take()?, columns.take()?, columns.take()?);
        let version: Option<Uuid> = columns.maybe()?;
        let (size, sha256, content_type, segments) =
            (columns.maybe()?, columns.maybe()?, columns.maybe::<String>()?, columns.maybe()?);
        let content = match (version, size, sha256, segments) {
            (Some(version), Some(size), Some(sha256), Some(Json(segments))) => {
                Some(Content { version, size, sha256, content_type: content_type.unwrap_or_default(), segments })
            }
            _ => None,
        };
        Ok(Self {
            id,
            tenant,
            parent,
            name,
            content,
            created_at: columns.take()?,
            modified_at: columns.take()?,
            attributes: columns.maybe()?.map_or_else(Attributes::default, |Json(attributes)| attributes),
            created_by: columns.take::<Json<_>>()?.0,
            classification: columns.maybe()?,
            tags: columns.maybe()?.map_or_else(BTreeMap::new, |Json(tags)| tags),
        })
    }
}

/// The columns of a node that are JSON.
pub(super) struct NodeTexts {
    size: Option<i64>,
    segments: Option<String>,
    attributes: Option<String>,
    created_by: String,
    tags: Option<String>,
}

impl NodeTexts {
    pub(super) fn of(node: &Node) -> Outcome<Self> {
        let content = node.content.as_ref();
        Ok(Self {
            size: content.map(|c| signed(c.size)).transpose()?,
            segments: content.map(|c| json(&c.segments)).transpose()?,
            attributes: attributes_text(&node.attributes)?,
            created_by: json(&node.created_by)?,
            tags: if node.tags.is_empty() { None } else { Some(json(&node.tags)?) },
        })
    }

    /// The node's columns, in the order of `node_columns`.
    pub(super) fn values<'v>(&'v self, node: &'v Node) -> [Value<'v>; 15] {
        let content = node.content.as_ref();
        values![
            node.id,
            &node.tenant,
            node.parent,
            &node.name,
            content.map(|c| c.version),
            self.size,
            content.map(|c| c.sha256.as_slice()),
            content.map(|c| c.content_type.as_str()),
            &self.segments,
            node.created_at,
            node.modified_at,
            &self.attributes,
            &self.created_by,
            &node.classification,
            &self.tags,
        ]
    }
}

impl Record for UploadRow {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            id: columns.take()?,
            tenant: columns.take()?,
            identity: columns.take()?,
            login: columns.take()?,
            protocol: columns.take()?,
            session: columns.take()?,
            parent: columns.take()?,
            name: columns.take()?,
            state: UploadState::parse(columns.take()?).ok_or_else(|| unfit("an upload's state is no known word"))?,
            generation: columns.take()?,
            incarnation: columns.take()?,
            exclusive: columns.take()?,
            base_version: columns.maybe()?,
            compare_base: columns.take()?,
            size: columns.take()?,
            prefix: columns.take()?,
            reserved: columns.take()?,
            segments: columns.take::<Json<_>>()?.0,
            hash_state: columns.maybe()?,
            hashed: columns.take()?,
            attributes: columns.maybe()?.map_or_else(Attributes::default, |Json(attributes)| attributes),
            storage: columns.take()?,
            prefix_path: columns.take()?,
            created_at: columns.take()?,
            updated_at: columns.take()?,
            expires_at: columns.take()?,
            plan: columns.maybe()?.map(|Json(plan)| plan),
        })
    }
}

/// The columns of an upload that are not as its record has them.
pub(super) struct UploadTexts {
    sizes: [i64; 4],
    segments: String,
    attributes: Option<String>,
    plan: Option<String>,
}

impl UploadTexts {
    pub(super) fn of(row: &UploadRow) -> Outcome<Self> {
        Ok(Self {
            sizes: [signed(row.size)?, signed(row.prefix)?, signed(row.reserved)?, signed(row.hashed)?],
            segments: json(&row.segments)?,
            attributes: attributes_text(&row.attributes)?,
            plan: row.plan.as_ref().map(json).transpose()?,
        })
    }

    /// The upload's columns, in the order of `upload_columns`, and what more the statement takes.
    pub(super) fn values<'v>(&'v self, row: &'v UploadRow) -> [Value<'v>; 27] {
        let [size, prefix, reserved, hashed] = self.sizes;
        values![
            row.id,
            &row.tenant,
            &row.identity,
            &row.login,
            &row.protocol,
            row.session,
            row.parent,
            &row.name,
            row.state.as_str(),
            row.generation,
            row.incarnation,
            row.exclusive,
            row.base_version,
            row.compare_base,
            size,
            prefix,
            reserved,
            &self.segments,
            row.hash_state.as_deref(),
            hashed,
            &self.attributes,
            &row.storage,
            &row.prefix_path,
            row.created_at,
            row.updated_at,
            row.expires_at,
            &self.plan,
        ]
    }
}

impl Record for BlobRow {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        let id = BlobId { key: columns.take()?, storage: columns.take()?, prefix: columns.take()? };
        let state = match columns.take()? {
            "live" => BlobState::Live,
            "doomed" => BlobState::Doomed,
            "deleting" => BlobState::Deleting,
            _ => return Err(unfit("a blob's state is no known word")),
        };
        Ok(Self { id, state, doomed_at: columns.maybe()? })
    }
}

/// The entry with this id, of the columns that follow it. Somebody who writes the tables can put in what cannot be read (SQLite takes any
/// bytes for a text). That entry is told with nothing in it, and so as changed: a walk along the chain must come to it and past it.
fn entry<R: Row>(id: Uuid, columns: &mut Columns<'_, R>) -> AuditRecord {
    // All of them are read, so that those behind them are in their places.
    let (chain, at) = (columns.take(), columns.take());
    let (identity, login) = (columns.maybe(), columns.maybe());
    let (operation, outcome, path) = (columns.take(), columns.take(), columns.maybe());
    let (protocol, body) = (columns.take(), columns.take());
    let whole = || {
        Ok::<_, Failed>(AuditRecord {
            id,
            chain: chain?,
            at: at?,
            identity: identity?,
            login: login?,
            operation: operation?,
            outcome: outcome?,
            path: path?,
            protocol: protocol?,
            body: body?,
        })
    };
    whole().unwrap_or_else(|_| AuditRecord {
        id,
        chain: String::new(),
        at: 0,
        identity: None,
        login: None,
        operation: String::new(),
        outcome: String::new(),
        path: None,
        protocol: String::new(),
        body: Vec::new(),
    })
}

/// An entry with its seal, if it has one.
impl Record for AuditRow {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        let id = columns.take().unwrap_or_default();
        let record = entry(id, columns);
        let seal = match (columns.maybe()?, columns.maybe()?) {
            (Some(seq), Some(hash)) => Some(Seal { chain: record.chain.clone(), seq, entry: record.id, hash }),
            _ => None,
        };
        Ok(Self { record, seal })
    }
}

impl Record for Seal {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self { chain: columns.take()?, seq: columns.take()?, entry: columns.take()?, hash: columns.take()? })
    }
}

/// A seal with its entry, if it is there. One that names no entry in words of ours names none.
impl Record for (Seal, Option<AuditRecord>) {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        let (chain, seq) = (columns.take()?, columns.take()?);
        let (entry_id, hash) = (columns.take().unwrap_or_default(), columns.take().unwrap_or_default());
        let seal = Seal { chain, seq, entry: entry_id, hash };
        let id: Option<Uuid> = columns.maybe().unwrap_or_default();
        Ok((seal, id.map(|id| entry(id, columns))))
    }
}

impl Record for AuditHead {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            kind: if columns.take()? { HeadKind::Cut } else { HeadKind::Head },
            chain: columns.take()?,
            seq: columns.take()?,
            hash: columns.take()?,
            at: columns.take()?,
            key: columns.take()?,
            signature: columns.take()?,
        })
    }
}

impl Record for EventRecord {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            id: columns.take()?,
            tenant: columns.take()?,
            kind: columns.take()?,
            at: columns.take()?,
            path: columns.maybe()?,
            order_keys: columns.take::<Json<_>>()?.0,
            body: columns.take()?,
            transfer: columns.maybe()?,
            quiet: columns.take()?,
            trace: columns.maybe::<&str>()?.and_then(TraceContext::from_stored),
        })
    }
}

/// An event and its position.
impl Record for StoredEvent {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        let event = EventRecord::read(columns)?;
        Ok(Self { position: columns.take()?, event })
    }
}

fn delivery_state(word: &str) -> Outcome<DeliveryState> {
    match word {
        "pending" => Ok(DeliveryState::Pending),
        "delivered" => Ok(DeliveryState::Delivered),
        "dead" => Ok(DeliveryState::Dead),
        _ => Err(unfit("a delivery's state is no known word")),
    }
}

impl Record for WebhookHealth {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            webhook: columns.take()?,
            failures: columns.take()?,
            failing_since: columns.maybe()?,
            probe_at: columns.maybe()?,
            trips: columns.take()?,
            disabled_at: columns.maybe()?,
            disabled_why: columns.maybe()?,
            changed_at: columns.take()?,
        })
    }
}

/// A delivery and its event.
impl Record for (Delivery, EventRecord) {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        let mut delivery = Delivery {
            webhook: columns.take()?,
            event: Uuid::nil(),
            attempts: columns.take()?,
            next_at: columns.take()?,
            last_result: columns.maybe()?,
            position: columns.take()?,
            state: delivery_state(columns.take()?)?,
        };
        let event = EventRecord::read(columns)?;
        delivery.event = event.id;
        Ok((delivery, event))
    }
}

impl Record for StoredObject {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            key: ObjectKey { tenant: columns.take()?, kind: columns.take()?, id: columns.take()? },
            version: columns.take()?,
            body: columns.take()?,
            created_at: columns.take()?,
            changed_at: columns.take()?,
        })
    }
}

impl Record for Incarnation {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            id: columns.take()?,
            node: columns.take()?,
            installation: columns.take()?,
            heartbeat: columns.take()?,
            oldest_read: columns.take()?,
        })
    }
}

impl Record for SessionRow {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            id: columns.take()?,
            tenant: columns.take()?,
            identity: columns.take()?,
            login: columns.take()?,
            protocol: columns.take()?,
            client_ip: columns.take()?,
            client_version: columns.maybe()?,
            auth_method: columns.take()?,
            node: columns.take()?,
            incarnation: columns.take()?,
            started_at: columns.take()?,
            end_asked: columns.maybe()?,
        })
    }
}

impl Record for Job {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            id: columns.take()?,
            tenant: columns.take()?,
            identity: columns.take()?,
            login: columns.take()?,
            state: TransferState::parse(columns.take()?).ok_or_else(|| unfit("a job's state is no known word"))?,
            generation: columns.take()?,
            holder: columns.take()?,
            due_at: columns.maybe()?,
            priority: columns.take()?,
            attempts: columns.take()?,
            planned: columns.take()?,
            size: columns.take()?,
            bytes: columns.take()?,
            partial: columns.take()?,
            files: columns.take()?,
            done: columns.take()?,
            failed: columns.take()?,
            error_code: columns.maybe()?,
            error_message: columns.maybe()?,
            created_at: columns.take()?,
            started_at: columns.maybe()?,
            finished_at: columns.maybe()?,
            order: columns.take::<Json<_>>()?.0,
        })
    }
}

/// The columns of a job that are not as its record has them.
pub(super) struct JobTexts {
    counts: [i64; 6],
    order: String,
}

impl JobTexts {
    pub(super) fn of(job: &Job) -> Outcome<Self> {
        Ok(Self {
            counts: [
                signed(job.size)?,
                signed(job.bytes)?,
                signed(job.partial)?,
                signed(job.files)?,
                signed(job.done)?,
                signed(job.failed)?,
            ],
            order: json(&job.order)?,
        })
    }

    /// The job's columns, in the order of `job_columns`.
    pub(super) fn values<'v>(&'v self, job: &'v Job) -> [Value<'v>; 23] {
        let [size, bytes, partial, files, done, failed] = self.counts;
        values![
            job.id,
            &job.tenant,
            &job.identity,
            &job.login,
            job.state.as_str(),
            job.generation,
            job.holder,
            job.due_at,
            job.priority,
            job.attempts,
            job.planned,
            size,
            bytes,
            partial,
            files,
            done,
            failed,
            &job.error_code,
            &job.error_message,
            job.created_at,
            job.started_at,
            job.finished_at,
            &self.order,
        ]
    }
}

impl Record for Backlog {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            deliveries: columns.take()?,
            oldest_delivery: columns.maybe()?,
            dead: columns.take()?,
            unsealed: columns.take()?,
            oldest_unsealed: columns.maybe()?,
            unpositioned: columns.take()?,
            oldest_unpositioned: columns.maybe()?,
            queued: columns.take()?,
            running: columns.take()?,
            retrying: columns.take()?,
        })
    }
}

impl Record for JobItem {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            number: columns.take()?,
            kind: ItemKind::parse(columns.take()?).ok_or_else(|| unfit("a step's kind is no known word"))?,
            source: columns.take()?,
            destination: columns.take()?,
            size: columns.take()?,
            state: ItemState::parse(columns.take()?).ok_or_else(|| unfit("a step's state is no known word"))?,
            error_code: columns.maybe()?,
            error_message: columns.maybe()?,
        })
    }
}
