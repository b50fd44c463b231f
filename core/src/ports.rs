//! What core needs of the outside: a ledger, blob stores, a way to deliver webhooks, files of keys. Small, streaming, `dyn`.

mod sinks;
mod trail;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::events::Webhook;
use crate::identity::{ClientCertificate, ClientCertificateRefusal, Revocations, Standing};
use crate::metrics::Timer;
use crate::records::{
    AuditFilter, AuditHead, AuditRecord, AuditRow, Backlog, BlobId, BlobRow, Delivery, DeliveryState, EventRecord,
    Grant, Incarnation, IssuerKeys, ItemState, Job, JobItem, KeyUse, Micros, Node, ObjectKey, RefreshToken,
    RevokedGrant, Seal, SessionRow, SessionSearch, SignIn, SigningKeyRow, StoredEvent, StoredObject, UploadRow,
    UploadState, WebhookHealth,
};

pub use sinks::{AuditSink, EventSink};
pub use trail::HeadShelf;

/// How durable a transaction must be before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Survives the end of the process, not a power cut: begins, checkpoints, audit entries of reads.
    Process,
    /// Survives a power cut: everything that is acknowledged to a client as done.
    Disk,
}

/// Whose rows a piece of work reads and changes. The ledger shows it no others, whatever it asks for by id, and refuses to write them:
/// so a slip in a condition tells nobody of another tenant. PostgreSQL holds it a second time, by row-level security.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One tenant's.
    Tenant(Arc<str>),
    /// All: the gateway's own work.
    Gateway,
}

impl Reach {
    /// Of what belongs to this tenant; an empty name is that of what belongs to none, as the gateway's own trail.
    pub fn of(tenant: &str) -> Self {
        if tenant.is_empty() { Self::Gateway } else { Self::Tenant(tenant.into()) }
    }

    /// The tenant that it ends at; none: it has no end.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::Tenant(tenant) => Some(tenant),
            Self::Gateway => None,
        }
    }
}

/// What a transaction locks before it looks. SQLite has one writer and needs none of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// The shape of a tenant's tree: taken by whatever gives a folder another parent.
    Tree(String),
    /// The reservations of a tenant's quota.
    Quota(String),
    /// A name in a folder: taken by whatever makes, replaces or removes what stands there.
    Name(Uuid, String),
    /// Anything else, by name.
    Other(String),
}

/// Reading the ledger. Every method is one statement; nothing is held between them.
#[async_trait]
pub trait Query: Send {
    /// Holds on to this until the connection is given back.
    fn keep(&mut self, _timer: Timer) {}
    /// The nodes on the way along these names, the tenant's root first, as far as they exist. Empty: the tenant has no root.
    async fn walk(&mut self, tenant: &str, names: &[&str]) -> Result<Vec<Node>>;
    /// A node by its id.
    async fn node(&mut self, id: Uuid) -> Result<Option<Node>>;
    /// Ids and names from the tenant's root (whose name is the tenant's id) down to this node. Empty: no such node.
    async fn ancestry(&mut self, id: Uuid) -> Result<Vec<(Uuid, String)>>;
    /// What a folder has under this name.
    async fn child(&mut self, parent: Uuid, name: &str) -> Result<Option<Node>>;
    /// Entries of a folder in the order of their names' bytes, after a name.
    async fn children(&mut self, parent: Uuid, after: Option<&str>, limit: u32) -> Result<Vec<Node>>;
    /// Whether a folder has any entry.
    async fn has_children(&mut self, parent: Uuid) -> Result<bool>;
    /// An upload by its id.
    async fn upload(&mut self, id: Uuid) -> Result<Option<UploadRow>>;
    /// The live uploads bound to this name, of all owners, the newest (by `updated_at`, then id) first.
    async fn uploads_named(&mut self, parent: Uuid, name: &str) -> Result<Vec<UploadRow>>;
    /// The live uploads of one owner bound to names in this folder.
    async fn uploads_within(&mut self, parent: Uuid, tenant: &str, identity: &str) -> Result<Vec<UploadRow>>;
    /// All live uploads of one owner.
    async fn uploads_of(&mut self, tenant: &str, identity: &str) -> Result<Vec<UploadRow>>;
    /// How many files of a tenant each identity has made the current version of. It looks at all of them.
    async fn file_counts(&mut self, tenant: &str) -> Result<Vec<(String, u64)>>;
    /// Bytes used and reserved, by one identity or the whole tenant (none).
    async fn usage(&mut self, tenant: &str, identity: Option<&str>) -> Result<u64>;

    /// All keys that tokens are signed by, the oldest first.
    async fn signing_keys(&mut self) -> Result<Vec<SigningKeyRow>>;
    /// The grants that were revoked at that moment or later, and whose tokens may hold by themselves beyond `now`.
    async fn revoked_grants(&mut self, since: Micros, now: Micros) -> Result<Vec<RevokedGrant>>;
    /// What was last kept of an issuer's keys.
    async fn issuer_keys(&mut self, issuer: &str) -> Result<Option<IssuerKeys>>;

    /// A tenant's events above a position, oldest first; `kinds` empty: all.
    async fn events(&mut self, tenant: &str, after: i64, kinds: &[String], limit: u32) -> Result<Vec<StoredEvent>>;
    /// A tenant's events below a position, the newest first.
    async fn latest_events(&mut self, tenant: &str, before: i64, limit: u32) -> Result<Vec<StoredEvent>>;
    /// The tenants that have events with a position (`""`: those that belong to none), each with its last one.
    async fn event_tenants(&mut self) -> Result<Vec<(String, i64)>>;
    /// The position of an event, once it has one.
    async fn event_position(&mut self, id: Uuid) -> Result<Option<i64>>;
    /// The highest position given so far, 0 if none.
    async fn last_position(&mut self) -> Result<i64>;
    /// Entries of a chain that match, in the order of the chain; behind them those that wait for their place.
    async fn audit(&mut self, chain: &str, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRow>>;
    /// The names of all chains that have an entry or a seal.
    async fn chains(&mut self) -> Result<Vec<String>>;
    /// The seals of a chain above `after`, by `seq`, each with its entry, if the entry is still there.
    async fn seals(&mut self, chain: &str, after: i64, limit: u32) -> Result<Vec<(Seal, Option<AuditRecord>)>>;
    /// The signed heads of a chain above `after`, by `seq`.
    async fn audit_heads(&mut self, chain: &str, after: i64, limit: u32) -> Result<Vec<AuditHead>>;
    /// The signed cuts of a chain, by `seq`: those that nothing was cut behind.
    async fn audit_cuts(&mut self, chain: &str) -> Result<Vec<AuditHead>>;
    /// The triggers that keep the trail append-only and that are not there, or are switched off. They keep out mistakes, not
    /// whoever owns the database: the chains show what he did.
    async fn lost_guards(&mut self) -> Result<Vec<String>>;
    /// How far each chain, or the events of each tenant, were sent to a sink.
    async fn sink_places(&mut self, sink: &str) -> Result<Vec<(String, i64)>>;
    /// Entries of a chain that wait to be sealed, and entries that neither are sealed nor wait (which nothing of the
    /// gateway's makes: they were inserted by somebody else).
    async fn unsealed_counts(&mut self, chain: &str) -> Result<(u64, u64)>;
    /// The pending deliveries of one webhook by position, each with its event.
    async fn pending_deliveries(&mut self, webhook: &str, limit: u32) -> Result<Vec<(Delivery, EventRecord)>>;

    /// How the endpoint of a webhook fares; none: nothing of it has failed yet.
    async fn webhook_health(&mut self, webhook: &str) -> Result<Option<WebhookHealth>>;
    /// The same of all endpoints of a tenant, or of all tenants (none), by their names.
    async fn webhook_healths(&mut self, tenant: Option<&str>) -> Result<Vec<WebhookHealth>>;
    /// Deliveries of a webhook in this state (none: in any) at positions below this one, the newest first, each with its event.
    async fn deliveries(
        &mut self,
        webhook: &str,
        state: Option<DeliveryState>,
        before: i64,
        limit: u32,
    ) -> Result<Vec<(Delivery, EventRecord)>>;
    /// A tenant's events of this moment or later above a position, oldest first.
    async fn events_since(&mut self, tenant: &str, since: Micros, after: i64, limit: u32) -> Result<Vec<StoredEvent>>;

    /// Blobs doomed before this moment, or whose deletion was begun.
    async fn doomed_blobs(&mut self, before: Micros, limit: u32) -> Result<Vec<BlobRow>>;
    /// A blob's row.
    async fn blob(&mut self, key: Uuid) -> Result<Option<BlobRow>>;
    /// Detached uploads that expired before this moment.
    async fn expired_uploads(&mut self, before: Micros, limit: u32) -> Result<Vec<UploadRow>>;
    /// Live uploads held by this process.
    async fn uploads_held_by(&mut self, incarnation: Uuid, limit: u32) -> Result<Vec<UploadRow>>;
    /// All processes that are registered.
    async fn incarnations(&mut self) -> Result<Vec<Incarnation>>;
    /// Sessions that processes have told of, the newest first.
    async fn sessions(&mut self, search: &SessionSearch, limit: u32) -> Result<Vec<SessionRow>>;
    /// Sessions of a process whose end was asked for.
    async fn sessions_to_end(&mut self, incarnation: Uuid) -> Result<Vec<Uuid>>;
    /// How many sessions a process has told of.
    async fn session_count(&mut self, incarnation: Uuid) -> Result<u64>;

    /// What is known of a tenant's API keys, by id and digest.
    async fn key_uses(&mut self, tenant: &str) -> Result<Vec<KeyUse>>;
    /// Everything that administrators declared through the API, by tenant, kind and id.
    async fn objects(&mut self) -> Result<Vec<StoredObject>>;
    /// How many changes of objects there were.
    async fn object_generation(&mut self) -> Result<i64>;

    /// The step of a sign-in that this cookie stands for, by the SHA-256 of it.
    async fn sign_in(&mut self, hash: &[u8; 32]) -> Result<Option<SignIn>>;
    /// A tenant's grant, by the SHA-256 of its code.
    async fn grant_of_code(&mut self, tenant: &str, hash: &[u8; 32]) -> Result<Option<Grant>>;
    /// A tenant's grant, by its id.
    async fn grant(&mut self, tenant: &str, id: Uuid) -> Result<Option<Grant>>;
    /// A tenant's refresh token, by its SHA-256.
    async fn refresh_token(&mut self, tenant: &str, hash: &[u8; 32]) -> Result<Option<RefreshToken>>;
    /// Grants behind this id whose codes were exchanged and that are not over, of all tenants, in the order of their ids.
    async fn live_grants(&mut self, after: Uuid, now: Micros, limit: u32) -> Result<Vec<Grant>>;

    /// A job by its id.
    async fn job(&mut self, id: Uuid) -> Result<Option<Job>>;
    /// A tenant's jobs with ids below this one, the newest first.
    async fn jobs(&mut self, tenant: &str, before: Uuid, limit: u32) -> Result<Vec<Job>>;
    /// Steps of a job in this state (none: in any) behind a number, in the order of their numbers.
    async fn job_items(&mut self, job: Uuid, after: i64, state: Option<ItemState>, limit: u32) -> Result<Vec<JobItem>>;
    /// How much waits in the whole ledger, and since when; counts end at `most`.
    async fn backlog(&mut self, most: u32) -> Result<Backlog>;
    /// When the first job may be claimed; none where none waits or runs.
    async fn next_job_due(&mut self) -> Result<Option<Micros>>;
    /// An identity's jobs that have not ended, `most` at the most.
    async fn unfinished_jobs(&mut self, owner: (&str, &str), most: u32) -> Result<u64>;
    /// What was remembered under a key since this moment: the request's digest and its job.
    async fn known_request(
        &mut self,
        owner: (&str, &str),
        key: &str,
        since: Micros,
    ) -> Result<Option<([u8; 32], Uuid)>>;
    /// A tenant's uploads under way with ids below this one, the newest first: live, held or between two requests, and a
    /// session's.
    async fn uploads_under_way(&mut self, tenant: &str, before: Uuid, limit: u32) -> Result<Vec<UploadRow>>;
    /// A tenant's events that end uploads and downloads with ids below this one, the newest transfer first and of one
    /// transfer the last event first.
    async fn transfer_ends(&mut self, tenant: &str, before: Uuid, limit: u32) -> Result<Vec<EventRecord>>;
}

/// Changing the ledger. All that one [`TxOp`] does is one transaction.
#[async_trait]
pub trait Tx: Query {
    /// Takes locks, in the one order that all transactions keep (the caller need not sort), until the end of the transaction.
    async fn lock(&mut self, locks: &[Lock]) -> Result<()>;
    /// Reads a folder and keeps it from being removed until the end of the transaction. None: no such folder.
    async fn hold_folder(&mut self, id: Uuid) -> Result<Option<Node>>;
    /// Reads a node and keeps everybody else from changing it until the end of the transaction.
    async fn hold_node(&mut self, id: Uuid) -> Result<Option<Node>>;
    /// The tenant's root, made if missing.
    async fn ensure_root(&mut self, tenant: &str, now: Micros) -> Result<Node>;
    /// Adds a node. `AlreadyExists` where the name is taken.
    async fn insert_node(&mut self, node: &Node) -> Result<()>;
    /// Writes every field of a node that is there, found by its id. `AlreadyExists` where the new name is taken.
    async fn update_node(&mut self, node: &Node) -> Result<()>;
    /// Removes a node.
    async fn delete_node(&mut self, id: Uuid) -> Result<()>;
    /// Adds an upload. `AlreadyExists` where it is exclusive and the name is reserved by another open upload.
    async fn insert_upload(&mut self, row: &UploadRow) -> Result<()>;
    /// Writes every field of an upload whose row is in one of these states and has this generation; false: it is not.
    async fn update_upload(&mut self, row: &UploadRow, states: &[UploadState], generation: i64) -> Result<bool>;
    /// Removes rows of committed and discarded uploads that have not changed since.
    async fn purge_uploads(&mut self, before: Micros) -> Result<u64>;
    /// Adds to what an identity uses; may be negative.
    async fn add_usage(&mut self, tenant: &str, identity: &str, delta: i64) -> Result<()>;

    /// Marks the code of this step (RFC 6238 section 4.2) as used by a login; false where it, or one of a later step, was
    /// used before: each counts once (section 5.2). Where two transactions bring the same one, one of them gets false.
    async fn use_code(&mut self, tenant: &str, login: &str, step: i64, now: Micros) -> Result<bool>;
    /// Forgets codes that were used before this moment; how many.
    async fn purge_codes(&mut self, before: Micros) -> Result<u64>;

    /// Notes that an API key, by its id and its SHA-256, is there since this moment; one that is known stays as it is.
    async fn meet_key(&mut self, tenant: &str, key: &str, digest: &[u8; 32], now: Micros) -> Result<()>;
    /// Notes that a known key let somebody in at this moment; an earlier one than is known changes nothing.
    async fn note_key_use(&mut self, tenant: &str, key: &str, digest: &[u8; 32], at: Micros) -> Result<()>;
    /// Marks this end of a key as told; false where it was before. Of two transactions that tell the same one, one gets false.
    async fn warn_of_key(
        &mut self,
        tenant: &str,
        key: &str,
        digest: &[u8; 32],
        ends_at: Micros,
        now: Micros,
    ) -> Result<bool>;
    /// Counts a change of objects where there were so many before; false: another came first, and what this change was
    /// decided on may not be true any more. Until the end of the transaction nobody else changes objects.
    async fn advance_objects(&mut self, from: i64) -> Result<bool>;
    /// Adds an object (`expected` none), or writes version, body and time of change of the one that has this version; false:
    /// it is there already, or is gone or has another version. The transaction must have advanced the objects.
    async fn put_object(&mut self, object: &StoredObject, expected: Option<i64>) -> Result<bool>;
    /// Removes the object that has this version; false: it is gone or has another one. The transaction must have advanced the
    /// objects.
    async fn delete_object(&mut self, key: &ObjectKey, expected: i64) -> Result<bool>;

    /// Tells of sessions; of those that are told of already nothing changes.
    async fn insert_sessions(&mut self, rows: &[SessionRow]) -> Result<()>;
    /// Forgets sessions.
    async fn delete_sessions(&mut self, ids: &[Uuid]) -> Result<()>;
    /// Forgets all sessions of a process; how many.
    async fn clear_sessions(&mut self, incarnation: Uuid) -> Result<u64>;
    /// Asks for the end of a session, of this tenant or of any (none), which is returned; none: no process has told of it.
    async fn ask_session_end(&mut self, id: Uuid, tenant: Option<&str>, now: Micros) -> Result<Option<SessionRow>>;
    /// Adds a step of a sign-in.
    async fn insert_sign_in(&mut self, row: &SignIn) -> Result<()>;
    /// Takes a step of a sign-in away, where it still counts; false where it does not. One of several that try gets true.
    async fn take_sign_in(&mut self, hash: &[u8; 32], now: Micros) -> Result<bool>;
    /// Adds a grant.
    async fn insert_grant(&mut self, grant: &Grant) -> Result<()>;
    /// Spends the code of a grant that is not over, where it still counts; false where it does not. One of several that try gets
    /// true.
    async fn spend_authorization_code(&mut self, tenant: &str, hash: &[u8; 32], now: Micros) -> Result<bool>;
    /// Ends a grant before its time; false where it had ended so before. One of several that try gets true.
    async fn end_grant(&mut self, tenant: &str, id: Uuid, now: Micros) -> Result<bool>;
    /// Adds a refresh token.
    async fn insert_refresh_token(&mut self, row: &RefreshToken) -> Result<()>;
    /// Spends a refresh token of a grant that is not over, where it still counts; false where it does not. One of several that
    /// try gets true.
    async fn spend_refresh_token(&mut self, tenant: &str, hash: &[u8; 32], now: Micros) -> Result<bool>;
    /// Forgets sign-ins that lapsed before this moment, grants that ended or whose codes lapsed unused before it, and refresh
    /// tokens without a grant; how many rows.
    async fn purge_grants(&mut self, before: Micros) -> Result<u64>;
    /// Adds a key that tokens are signed by. `AlreadyExists` where there is one of its id.
    async fn insert_signing_key(&mut self, row: &SigningKeyRow) -> Result<()>;
    /// Says of all keys that sign from that moment or earlier, and of which it is not said yet, when nothing of theirs is believed any
    /// more; how many.
    async fn retire_signing_keys(&mut self, signs_from: Micros, at: Micros) -> Result<u64>;
    /// Revokes all tokens of a grant, which end by themselves at `until`. Once that is committed, this process has to be told, too
    /// (`Inner::grant_is_revoked`). Revoking one again changes nothing but a later end.
    async fn revoke_grant(&mut self, grant: Uuid, until: Micros, now: Micros) -> Result<()>;
    /// Keeps an issuer's keys, in place of older ones.
    async fn put_issuer_keys(&mut self, keys: &IssuerKeys) -> Result<()>;
    /// Forgets the revocations whose tokens have ended by `now`, and removes the keys that nothing is believed of any more; how many.
    async fn purge_tokens(&mut self, now: Micros) -> Result<u64>;
    /// Marks what was signed, by its SHA-256, as used by the API key of this tenant and id; false where it was used before. It
    /// may be forgotten from `lapses` on. Where two transactions bring the same one, one of them gets false.
    async fn use_signature(&mut self, key: (&str, &str), digest: &[u8; 32], lapses: Micros) -> Result<bool>;
    /// Forgets signatures that lapsed before this moment; how many.
    async fn purge_signatures(&mut self, before: Micros) -> Result<u64>;

    /// Adds a blob's row, live, with its first reference.
    async fn insert_blob(&mut self, id: &BlobId, holder: Uuid) -> Result<()>;
    /// Takes one more reference, where the blob is live; `Conflict` where it is not.
    async fn reference_blob(&mut self, key: Uuid, holder: Uuid) -> Result<()>;
    /// Drops the references of a holder (a version or an upload), but for these blobs; blobs that lose their last one are doomed.
    async fn release_blobs(&mut self, holder: Uuid, keep: &[Uuid], now: Micros) -> Result<()>;
    /// Marks a doomed blob as being deleted; false where it is not doomed (or being deleted) any more.
    async fn mark_deleting(&mut self, key: Uuid) -> Result<bool>;
    /// Removes a blob's row.
    async fn delete_blob(&mut self, key: Uuid) -> Result<()>;

    /// Appends an audit entry; it waits for its seal.
    async fn append_audit(&mut self, record: &AuditRecord) -> Result<()>;
    /// Queues events, in this order.
    async fn append_events(&mut self, events: &[EventRecord]) -> Result<()>;
    /// Entries that wait for their seal, in the order they were appended: id, chain, bytes.
    async fn unsealed(&mut self, limit: u32) -> Result<Vec<(Uuid, String, Vec<u8>)>>;
    /// The last seal of a chain.
    async fn last_seal(&mut self, chain: &str) -> Result<Option<Seal>>;
    /// Stores seals; their entries wait no more.
    async fn insert_seals(&mut self, seals: &[Seal]) -> Result<()>;
    /// Stores a signed head or cut. Fails where there is one of its kind at that place.
    async fn insert_audit_head(&mut self, head: &AuditHead) -> Result<()>;
    /// Removes the seals of a chain up to this place, with their entries, and what was signed before it; how many entries. The
    /// ledger refuses it where no cut is stored that covers them.
    async fn cut_audit(&mut self, chain: &str, upto: i64) -> Result<u64>;
    /// Notes how far a chain, or the events of a tenant, were sent to a sink.
    async fn put_sink_place(&mut self, sink: &str, chain: &str, seq: i64) -> Result<()>;
    /// Events that wait for their position, in the order they were queued.
    async fn unpositioned(&mut self, limit: u32) -> Result<Vec<EventRecord>>;
    /// Gives positions, and queues the deliveries.
    async fn position_events(&mut self, positions: &[(Uuid, i64)], deliveries: &[Delivery]) -> Result<()>;
    /// Writes the state, attempts, time and result of deliveries after one more attempt at each. Those that are not there stay away, and
    /// those of which another attempt was written, or that were queued again since that one was begun, stay as they are.
    async fn update_deliveries(&mut self, deliveries: &[Delivery]) -> Result<()>;
    /// Writes how an endpoint fares, in place of what is known of it.
    async fn put_webhook_health(&mut self, health: &WebhookHealth) -> Result<()>;
    /// Queues deliveries; those that are there begin anew.
    async fn queue_deliveries(&mut self, deliveries: &[Delivery]) -> Result<()>;
    /// Makes a delivery pending again, not tried yet and due now; false where there is none.
    async fn requeue_delivery(&mut self, webhook: &str, event: Uuid, now: Micros) -> Result<bool>;
    /// Gives up all pending deliveries of a webhook, with this result; how many.
    async fn bury_deliveries(&mut self, webhook: &str, result: &str) -> Result<u64>;
    /// Forgets the deliveries of a webhook and how its endpoint fared; how many deliveries.
    async fn forget_webhook(&mut self, webhook: &str) -> Result<u64>;
    /// Takes or renews a lease by name until a moment; false while another holds it.
    async fn take_lease(&mut self, name: &str, holder: Uuid, until: Micros, now: Micros) -> Result<bool>;
    /// Adds a job.
    async fn insert_job(&mut self, job: &Job) -> Result<()>;
    /// Reads a job and keeps everybody else from changing it until the end of the transaction.
    async fn hold_job(&mut self, id: Uuid) -> Result<Option<Job>>;
    /// Writes every field of a job that still has this generation; false: it has another, or is gone.
    async fn update_job(&mut self, job: &Job, generation: i64) -> Result<bool>;
    /// Claims the job whose turn it is among those that are due: of the tenant that was served longest ago, and of its identity
    /// that was, the one of the highest priority, and of those the oldest. It is then running under a new generation, with one more
    /// attempt, and a lease until that moment. Jobs that another transaction is claiming are passed over.
    async fn claim_job(&mut self, holder: Uuid, until: Micros, now: Micros) -> Result<Option<Job>>;
    /// Puts off the end of a lease and notes what was copied of the file under way; false where the job does not run under
    /// this generation any more.
    async fn renew_job(&mut self, id: Uuid, generation: i64, until: Micros, partial: u64) -> Result<bool>;
    /// Makes the running jobs of a process claimable at once, under another generation; how many.
    async fn release_jobs(&mut self, holder: Uuid, now: Micros) -> Result<u64>;
    /// Adds steps to a job.
    async fn insert_job_items(&mut self, job: Uuid, items: &[JobItem]) -> Result<()>;
    /// Removes all steps of a job.
    async fn delete_job_items(&mut self, job: Uuid) -> Result<()>;
    /// Makes the failed steps of a job pending again.
    async fn reset_job_items(&mut self, job: Uuid) -> Result<()>;
    /// Writes how a pending step ended, and counts it in its job; false where the job does not run under this generation any
    /// more, or the step is not pending. Until the end of the transaction nobody else can take the job.
    async fn settle_item(&mut self, job: Uuid, generation: i64, item: &JobItem) -> Result<bool>;
    /// Remembers that this request, by its digest, made this job. What is known already under that key is returned instead.
    async fn remember_request(
        &mut self,
        owner: (&str, &str),
        key: &str,
        request: (&[u8; 32], Uuid),
        now: Micros,
    ) -> Result<Option<([u8; 32], Uuid)>>;
    /// Forgets requests that were made before this moment; how many.
    async fn purge_requests(&mut self, before: Micros) -> Result<u64>;
    /// Removes some of the jobs that ended before this moment, with their steps; how many jobs.
    async fn purge_jobs(&mut self, before: Micros) -> Result<u64>;
    /// Writes a process's row, new or not.
    async fn put_incarnation(&mut self, incarnation: &Incarnation) -> Result<()>;
    /// Forgets a process.
    async fn delete_incarnation(&mut self, id: Uuid) -> Result<()>;
}

/// The work of one transaction. It may be run more than once, where the database asks for that (serialisation failure,
/// deadlock): it must keep no state from a run that did not commit.
pub trait TxOp: Send + Sync {
    /// Does the work.
    fn run<'t>(&'t self, tx: &'t mut dyn Tx) -> BoxFuture<'t, Result<()>>;
}

/// The ledger: SQLite or PostgreSQL behind one trait.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Runs the work in a transaction and commits it with this durability. An error of the work rolls all of it back.
    /// An error of the commit itself is `Unavailable`: its outcome is not known.
    async fn write(&self, reach: Reach, durability: Durability, op: Arc<dyn TxOp>) -> Result<()>;
    /// A connection to read by.
    async fn read(&self, reach: Reach) -> Result<Box<dyn Query>>;
    /// Whether writers may go on: `NoSpace` when the ledger's disk is nearly full.
    fn has_room(&self) -> Result<()>;
    /// Waits for what is under way and closes.
    async fn close(&self);
}

struct FnOp<F, T> {
    work: F,
    out: std::sync::Mutex<Option<T>>,
}

impl<F, T> TxOp for FnOp<F, T>
where
    F: for<'t> Fn(&'t mut dyn Tx) -> BoxFuture<'t, Result<T>> + Send + Sync,
    T: Send,
{
    fn run<'t>(&'t self, tx: &'t mut dyn Tx) -> BoxFuture<'t, Result<()>> {
        Box::pin(async move {
            let value = (self.work)(tx).await?;
            *self.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(value);
            Ok(())
        })
    }
}

/// Runs a closure as one transaction of the ledger and hands back what it returned.
pub async fn transact<T, F>(ledger: &dyn Ledger, reach: Reach, durability: Durability, work: F) -> Result<T>
where
    T: Send + 'static,
    F: for<'t> Fn(&'t mut dyn Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
{
    let op = Arc::new(FnOp { work, out: std::sync::Mutex::new(None) });
    ledger.write(reach, durability, op.clone()).await?;
    let value = op.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    value.ok_or_else(|| Error::internal("a transaction ended without its result"))
}

/// One storage for blobs. Blobs are append-only while they are written and immutable afterwards.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Begins a blob. Its row is in the ledger already.
    async fn create(&self, id: &BlobId) -> Result<Box<dyn BlobWriter>>;
    /// Makes a blob of all of its content, durably: creates it, appends and syncs. For small ones, which a storage may
    /// write in fewer steps.
    async fn put(&self, id: &BlobId, pieces: Vec<Bytes>) -> Result<()> {
        let mut writer = self.create(id).await?;
        writer.append(pieces).await?;
        writer.sync().await
    }
    /// Opens a blob to read. The reader goes on working when the blob is removed meanwhile, where the storage can do that.
    async fn open(&self, id: &BlobId) -> Result<Arc<dyn BlobReader>>;
    /// Removes a blob; fine where it is not there.
    async fn remove(&self, id: &BlobId) -> Result<()>;
    /// Marks an empty storage as this gateway's, or checks that it is: `Conflict` where it is another one's.
    async fn claim(&self, gateway: Uuid) -> Result<()>;
    /// The prefixes and keys that are there, for the search for orphans. At most `limit`, after `after` in the order of keys.
    async fn keys(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<BlobId>>;
}

/// A blob that is being written.
#[async_trait]
pub trait BlobWriter: Send + Sync {
    /// Appends these pieces, in order.
    async fn append(&mut self, pieces: Vec<Bytes>) -> Result<()>;
    /// Makes durable what was appended so far, so that the blob can be found after a power cut too.
    async fn sync(&mut self) -> Result<()>;
}

/// A blob that is being read.
#[async_trait]
pub trait BlobReader: Send + Sync {
    /// Up to `len` bytes from `offset`; fewer only at the blob's end.
    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes>;
}

/// What a webhook attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A response: its status and `Retry-After`.
    Status(u16, Option<Duration>),
    /// No response: why.
    Failed(String),
}

/// Sends a webhook over HTTP.
#[async_trait]
pub trait WebhookSender: Send + Sync {
    /// One POST to where a webhook goes, no redirects, within the time-out.
    async fn post(&self, webhook: &Webhook, headers: &[(&'static str, String)], body: Bytes) -> Answer;

    /// Lets go of what is kept for a webhook, by its key: connections, and how TLS is spoken.
    fn forget(&self, _webhook: &str) {}
}

/// Fetches what OpenID providers publish.
#[async_trait]
pub trait DocumentSource: Send + Sync {
    /// The body of the answer to a GET of this URL, where that is a `200` of at most `most` bytes. No redirect is followed, time is
    /// bounded, and only HTTPS is spoken, but for loopback addresses where the configuration allows it. Otherwise why there is none,
    /// for the log.
    async fn fetch(&self, url: &str, most: usize) -> Result<Bytes, String>;
}

/// Fetches nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoDocuments;

#[async_trait]
impl DocumentSource for NoDocuments {
    async fn fetch(&self, _url: &str, _most: usize) -> Result<Bytes, String> {
        Err("nothing is fetched here".to_owned())
    }
}

/// The longest file of keys, in bytes.
pub const MAX_KEY_FILE: u64 = 64 * 1024;

/// Reads files of authorized keys when somebody logs in.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The text of the file at this path, which is relative and has plain names alone; none where there is no such file.
    /// An implementation never leaves its folder, whatever links are in it, and fails for a file above [`MAX_KEY_FILE`].
    async fn read(&self, path: &str) -> Result<Option<String>>;
}

/// Says what is revoked when somebody shows a key or a certificate.
#[async_trait]
pub trait RevocationSource: std::fmt::Debug + Send + Sync {
    /// What is revoked now. Where that cannot be said it fails, and no key and no certificate lets in.
    async fn current(&self) -> Result<Arc<Revocations>>;
}

/// Says what the CAs of a tenant hold of a TLS client certificate when somebody shows it.
#[async_trait]
pub trait ClientAuthority: std::fmt::Debug + Send + Sync {
    /// What they say of it now. Where that cannot be said (a file that cannot be read, a list that is out of date) it fails,
    /// and no client certificate lets in.
    async fn examine(&self, certificate: &ClientCertificate) -> Result<Standing>;
}

/// Reads no client certificates, so that none lets in.
#[derive(Clone, Copy, Debug)]
pub struct NoClientAuthority;

#[async_trait]
impl ClientAuthority for NoClientAuthority {
    async fn examine(&self, _certificate: &ClientCertificate) -> Result<Standing> {
        Ok(Standing::Refused(ClientCertificateRefusal::Malformed))
    }
}

/// Nothing is revoked.
#[derive(Clone, Copy, Debug)]
pub struct NothingRevoked;

#[async_trait]
impl RevocationSource for NothingRevoked {
    async fn current(&self) -> Result<Arc<Revocations>> {
        Ok(Arc::default())
    }
}

/// A source without files.
#[derive(Clone, Copy, Debug)]
pub struct NoKeyFiles;

#[async_trait]
impl KeySource for NoKeyFiles {
    async fn read(&self, _path: &str) -> Result<Option<String>> {
        Ok(None)
    }
}
