//! The facade that every front end calls. One method is one operation: it passes the same permission, policy, quota
//! and throttle code whatever protocol asked, and leaves the same audit entry and events.

mod access;
mod administration;
mod appended;
mod claim;
mod client_certificates;
mod configuration;
mod enduring;
mod failures;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod fake;
mod feed;
mod holding;
mod inner;
mod limits;
mod live_sessions;
mod login;
mod measured;
mod oauth;
mod operator;
mod parts;
mod proof;
mod remembered;
mod roster;
mod signed;
mod tokens;
mod trail;
mod webhooks;

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::watch;
use uuid::Uuid;

use crate::audit::Verification;
use crate::error::{Error, Result};
use crate::events::{EventFilter, Facts, Operation};
use crate::identity::{
    BodyMac, ClientCertificate, Credential, Directory, LeftOut, Offence, Peer, Progress, Protocol, PublicKey, Session,
    SignedRequest, TenantRecord,
};
use crate::jobs::transfers::{
    Control, Enqueued, Transfer, TransferFilter, TransferPage, TransferRequest, WrongTransfer,
};
use crate::metrics::Family;
use crate::namespace::{Changes, Entry, Listing, Target};
use crate::path::{Name, VirtualPath};
use crate::ports::Reach;
use crate::records::{Attributes, AuditFilter, AuditRow, StoredEvent, UploadPlan};
use crate::trace::Tracer;
use crate::transfer::{Completion, Download, Incomplete, Part, PartAt, Receipt, Source, Space, Upload, UploadOptions};

pub(crate) use access::{Located, Place, locate, locate_place, place_of, view_path};
pub(crate) use claim::allowed_from;
pub use configuration::Reconfigured;
pub(crate) use enduring::enduring;
pub use feed::EventFeed;
pub(crate) use inner::{Inner, held};
pub use limits::Limits;
pub use limits::{LIMITS, UPLOADS};
pub use live_sessions::{LiveSession, SessionFilter, SessionPage};
pub use login::Admission;
pub use oauth::{
    Asked, Authorization, AuthorizationRefusal, ClientClaim, Consent, Introspection, Issued, OAuthAnswer, OAuthFault,
    OAuthRefusal, OAuthSettings, SignInNext, SignInStage, SignInStep, TokenKind, TokenRequest,
};
pub use parts::{Parts, Settings};
pub(crate) use proof::scopes_of_key;
pub use signed::NotLetIn;

/// The gateway.
pub struct Gateway {
    inner: Arc<Inner>,
}

impl Gateway {
    // ---- life

    /// Registers this process, makes the tenants' roots, and recovers what ended processes left.
    pub async fn start(parts: Parts) -> Result<Arc<Self>> {
        let inner = Arc::new(Inner::new(parts));
        inner.put_alive().await?;
        inner.follow_objects().await?;
        inner.meet_keys().await?;
        inner.recover().await?;
        Ok(Arc::new(Self { inner }))
    }

    /// Starts the background jobs (sequencer, webhook dispatchers, sweeper, signs of life, reaper). They end in
    /// [`Gateway::stop`].
    pub fn spawn_jobs(&self) {
        self.inner.spawn_jobs();
    }

    /// Detaches what is still open, lets the jobs finish their step, and closes the ledger. Call it when every session
    /// has ended, or may wait no longer.
    pub async fn stop(&self) {
        self.inner.stop().await;
    }

    /// Whether the ledger answers and has room (for `/readyz`).
    pub async fn ready(&self) -> Result<()> {
        self.inner.require_open()?;
        self.inner.ledger.has_room()?;
        self.inner.ledger.read(Reach::Gateway).await?.incarnations().await.map(drop)
    }

    /// What is counted and measured of the gateway, for its operator. The ledger is asked, for a bounded time: where it does not
    /// answer, what it would tell is left out.
    pub async fn measured(&self) -> Vec<Family> {
        self.inner.measured().await
    }

    /// The settings of now.
    pub fn settings(&self) -> Arc<Settings> {
        self.inner.rules()
    }

    /// Puts on record, in the gateway's own chain, what reading the configuration again came to.
    pub async fn reconfigured(&self, outcome: &Reconfigured) -> Result<()> {
        self.inner.put_reconfigured(outcome).await
    }

    /// Goes on with these settings, as far as they can change while it runs: `max_file_size`, `incomplete_expiry`,
    /// `temporary_names`, `content_type_check`, the bandwidth (of sessions that begin to move something), `throttle`, `penalties`
    /// and `sessions`. The others stay as they were at the start.
    pub async fn adopt(&self, settings: Settings) {
        self.inner.adopt(settings).await;
    }

    /// What is told of traces.
    pub fn tracer(&self) -> &Tracer {
        &self.inner.settings.tracer
    }

    /// Who is known, whenever somebody else is.
    pub fn watch_known(&self) -> watch::Receiver<Arc<Directory>> {
        self.inner.known.subscribe()
    }

    /// Whether any login that may come by this protocol takes a TLS client certificate.
    pub fn takes_client_certificates(&self, protocol: Protocol) -> bool {
        self.inner.directory().logins().any(|found| found.login.takes_client_certificates(protocol))
    }

    /// Takes what a new configuration declares: who is not there any more is not known from here on. Fails with
    /// `InvalidArgument` where its tenants cannot stand beside each other; then everything stays as it was.
    pub async fn declare(&self, records: Vec<TenantRecord>) -> Result<()> {
        self.inner.declare(records).await
    }

    /// What [`Gateway::configuration`] answers from now on: the configuration with nothing in it that is a secret.
    pub fn show_configuration(&self, shown: serde_json::Value) {
        *held(&self.inner.configuration) = Arc::new(shown);
    }

    /// What was declared through the API and does not count, and why.
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.inner.directory().left_out().to_vec()
    }

    /// The limits of now: the settings', and over them what was set through the API.
    pub fn limits(&self) -> Limits {
        self.inner.limits()
    }

    // ---- who

    /// Lets a caller in by this credential alone, or not: `Unauthenticated` (the same answer and time for an unknown
    /// login as for a wrong password), `Throttled`. That without a time to wait says that the credential is right, but
    /// the login or its address has as many sessions as it may have: the client is to be told so. Failures are audited
    /// here. A session of SFTP or FTPS tells `auth.succeeded` and
    /// `session.opened`, and must be given to [`Gateway::close_session`] at its end.
    pub async fn login(&self, credential: Credential, peer: &Peer) -> Result<Arc<Session>> {
        self.inner.login(credential, peer).await
    }

    /// The same for a request of the API, with what it shows to prove that nobody has changed it; none: nothing. It is judged by the
    /// API key that lets the caller in: every signature that is there must be right, and there must be one where the key wants
    /// it (`require_signature`). What signs a request that changes something counts once. Answers what the body, which is
    /// still to come, must be, where that was signed.
    pub async fn login_signed(
        &self,
        credential: Credential,
        peer: &Peer,
        request: Option<&SignedRequest>,
    ) -> Result<(Arc<Session>, Option<BodyMac>), NotLetIn> {
        self.inner.login_signed(credential, peer, request).await
    }

    /// Puts on record that the body of a signed request was not the one that was signed.
    pub async fn refused_body(&self, session: &Session, error: &Error) {
        self.inner.put_refused_request(session, error, "a body").await;
    }

    /// One step of a login that may need several (`require`): takes a credential and answers the session, or what would
    /// bring the login on. `progress` belongs to one connection and knows what was proven before; it begins anew with
    /// another name. Fails and leaves its trail as [`Gateway::login`] does, for each step that fails; `auth.succeeded`
    /// comes once, when the caller is in.
    pub async fn log_in(&self, progress: &mut Progress, credential: Credential, peer: &Peer) -> Result<Admission> {
        self.inner.log_in(progress, credential, peer).await
    }

    /// One step of a login by the client certificate of the TLS handshake; as [`Gateway::log_in`]. What it proves of the login
    /// counts in `progress`. A refusal is on record where the login takes certificates, and is no failure otherwise: the
    /// client may go on with what else it knows.
    pub async fn show_certificate(
        &self,
        progress: &mut Progress,
        login: &str,
        certificate: &ClientCertificate,
        peer: &Peer,
    ) -> Result<Admission> {
        self.inner.show_certificate(progress, login, certificate, peer).await
    }

    /// Whether what a session owes to a client certificate still holds: it came by it, or the peer had to show one. It holds on
    /// where nobody can say it (a list that cannot be read), which then lets nobody else in.
    pub async fn still_knows(&self, session: &Session, certificate: &ClientCertificate, peer: &Peer) -> bool {
        self.inner.still_knows(session, certificate, peer).await
    }

    /// Lets a caller in by its client certificate alone, which says itself whose it is: the one login that takes it and may
    /// come by the peer's protocol. `Unauthenticated` where there is none, or several, or the login must prove more.
    pub async fn login_by_certificate(&self, certificate: &ClientCertificate, peer: &Peer) -> Result<Arc<Session>> {
        self.inner.login_by_certificate(certificate, peer).await
    }

    /// The public keys that the gateway's own tokens are verified by: a JSON Web Key Set (RFC 7517 section 5).
    pub async fn published_keys(&self) -> Result<serde_json::Value> {
        self.inner.published_keys().await
    }

    /// Whether there is a tenant of this name (FTP's HOST may name it).
    pub fn has_tenant(&self, name: &str) -> bool {
        self.inner.directory().tenant(name).is_some()
    }

    /// Whether a login would be brought on by this key if it signed with it (SSH's query, RFC 4252 section 7). No failure
    /// is counted.
    pub async fn accepts_key(&self, progress: &mut Progress, login: &str, key: &PublicKey, peer: &Peer) -> bool {
        self.inner.accepts_key(progress, login, key, peer).await
    }

    /// Whether any tenant believes OpenSSH user certificates.
    pub fn believes_certificates(&self) -> bool {
        self.inner.directory().believes_certificates()
    }

    /// Whether a connection from this address is to be looked at at all. To be asked when it is accepted, before any
    /// work is done for it.
    pub fn admits(&self, ip: IpAddr) -> bool {
        self.inner.penalties.admits(ip)
    }

    /// Makes an address pay for a connection on which nobody logged in. To be called once, at that connection's end.
    pub fn offence(&self, ip: IpAddr, offence: Offence) {
        self.inner.penalties.add(ip, offence);
    }

    /// What a failed login of this name is. For [`Gateway::offence`] alone: no client may learn it.
    pub fn offence_of(&self, login: &str, peer: &Peer) -> Offence {
        self.inner.offence_of(login, peer)
    }

    /// Tells `session.closed`, once, and gives the session's place to the next one.
    pub async fn close_session(&self, session: &Session) {
        self.inner.close_session(session).await;
    }

    /// The live sessions of all nodes, the newest first: needs `admin`; another tenant's need `admin:gateway`. Those of other
    /// nodes are known about a second after they began.
    pub async fn sessions(&self, session: &Session, filter: &SessionFilter, limit: u32) -> Result<SessionPage> {
        self.inner.sessions(session, filter, limit).await
    }

    /// Ends a live session: needs `admin`; another tenant's needs `admin:gateway`, and is `NotFound` without. One of this node
    /// ends now, another one within about a second: what it is committing comes to its end, what it has open is left incomplete.
    pub async fn end_session(&self, session: &Session, id: Uuid) -> Result<()> {
        self.inner.end_session(session, id).await
    }

    // ---- names

    /// What a path or id is: needs `list`; for a file `download` will do.
    pub async fn stat(&self, session: &Session, target: &Target) -> Result<Entry> {
        session.traced("stat", self.inner.stat(session, target)).await
    }

    /// Begins to list a folder, after a name: needs `list`. Audited once.
    pub async fn list(&self, session: &Arc<Session>, path: &VirtualPath, after: Option<Name>) -> Result<Listing> {
        session.traced("list", self.inner.list(session, path, after)).await
    }

    /// Makes a folder: needs `mkdir`.
    pub async fn make_folder(&self, session: &Session, path: &VirtualPath, attributes: Attributes) -> Result<Entry> {
        session.traced("mkdir", self.inner.make_folder(session, path, attributes)).await
    }

    /// Removes an empty folder: needs `delete`. `NotEmpty`, `NotFolder`.
    pub async fn remove_folder(&self, session: &Session, path: &VirtualPath) -> Result<()> {
        session.traced("rmdir", self.inner.remove_folder(session, path)).await
    }

    /// Removes a folder with everything below it: needs `delete` there, and wherever the caller's view has a rule of its own
    /// below it. `NotFolder`. It is gone at once, whatever its size; its quota and its content are given back soon after.
    pub async fn remove_tree(&self, session: &Session, path: &VirtualPath) -> Result<()> {
        session.traced("rmdir", self.inner.remove_tree(session, path)).await
    }

    /// Removes a file: needs `delete`. `IsFolder`.
    pub async fn remove_file(&self, session: &Session, target: &Target) -> Result<()> {
        session.traced("delete", self.inner.remove_file(session, target, None)).await
    }

    /// The same where the content has one of these digests; `PreconditionFailed` where it has not (`If-Match`).
    pub async fn remove_version(&self, session: &Session, target: &Target, digests: Vec<[u8; 32]>) -> Result<()> {
        session.traced("delete", self.inner.remove_file(session, target, Some(digests))).await
    }

    /// Renames or moves a file or folder: needs `rename` at the source, `upload` (a folder: `mkdir`) at the target, and
    /// `overwrite` where a file is there. `AlreadyExists` where the target is there and `overwrite` is false.
    pub async fn rename(&self, session: &Session, from: &Target, to: &VirtualPath, overwrite: bool) -> Result<Entry> {
        session.traced("rename", self.inner.rename(session, from, to, overwrite)).await
    }

    /// Sets attributes: needs `attributes`.
    pub async fn set_attributes(&self, session: &Session, target: &Target, attributes: Attributes) -> Result<Entry> {
        session.traced("attributes", self.inner.set_attributes(session, target, attributes)).await
    }

    /// Changes several things of a file at once, or nothing of it. What each needs is said with [`Changes`]. Leaves the
    /// trail of each: a rename, and a change of attributes.
    pub async fn change(&self, session: &Session, target: &Target, changes: Changes) -> Result<Entry> {
        session.traced("change", self.inner.change(session, target, changes)).await
    }

    // ---- content

    /// Begins an upload: needs `upload`, or `overwrite` where a file is there.
    pub async fn begin_upload(
        &self,
        session: &Arc<Session>,
        path: &VirtualPath,
        options: UploadOptions,
    ) -> Result<Upload> {
        session.begun("upload", self.inner.begin_upload(session, path, options).await)
    }

    /// Begins an upload that comes in parts: needs `upload`, or `overwrite` where a file is there and the plan says that it may
    /// be replaced; otherwise that is `AlreadyExists`. It takes the place of the identity's incomplete upload of that name.
    /// `make_folders`: whether missing folders on the way are made.
    pub async fn plan_upload(
        &self,
        session: &Arc<Session>,
        path: &VirtualPath,
        plan: UploadPlan,
        make_folders: bool,
    ) -> Result<Incomplete> {
        self.inner.plan_upload(session, path, plan, make_folders).await
    }

    /// The identity's incomplete uploads that lie in its view, whatever protocol began them, the newest first.
    pub async fn incomplete_uploads(&self, session: &Session) -> Result<Vec<Incomplete>> {
        self.inner.incomplete_uploads(session).await
    }

    /// One of them; for a day also one that was completed. `NotFound`, `Expired`.
    pub async fn incomplete_upload(&self, session: &Session, id: Uuid) -> Result<Incomplete> {
        self.inner.incomplete_upload(session, id).await
    }

    /// The same, once no part of it is on its way on this node any more: where it says that it goes on, it does. `Unavailable` where
    /// that takes long.
    pub async fn settled_upload(&self, session: &Session, id: Uuid) -> Result<Incomplete> {
        self.inner.settled_upload(session, id).await
    }

    /// Begins to receive a part of an upload that no session holds, whatever protocol began it; several parts may come at a time.
    /// `NotFound`, `Expired`; `Conflict` where a session holds it, or the part would leave a gap where none may be.
    pub async fn begin_part(&self, session: &Arc<Session>, id: Uuid, at: PartAt) -> Result<Part> {
        self.inner.begin_part(session, id, at).await
    }

    /// Completes an upload that no session holds, whatever protocol began it: as [`Upload::commit`], and in the same words
    /// in the trail. `sha256`: the digest that the content must have; with another one, as with the announced one, it is
    /// `DigestMismatch`, and the upload stays. One that was completed before is answered with its file again.
    pub async fn complete_upload(
        &self,
        session: &Arc<Session>,
        id: Uuid,
        sha256: Option<[u8; 32]>,
    ) -> Result<Completion> {
        self.inner.complete_upload(session, id, sha256).await
    }

    /// Gives an upload up that no session holds, and removes what came of it. `NotFound`, `Expired`, `Conflict`.
    pub async fn abandon_upload(&self, session: &Arc<Session>, id: Uuid) -> Result<()> {
        self.inner.abandon_upload(session, id).await
    }

    /// Begins a download: needs `download`. Its audit entry is committed when this returns.
    pub async fn begin_download(&self, session: &Arc<Session>, target: &Target) -> Result<Download> {
        session.begun("download", self.inner.begin_download(session, target).await)
    }

    /// Opens a file to be read on this side of the wire, for a checksum: needs `download`. It is on record as a download
    /// that sent nothing; no event is told of it.
    pub async fn examine(&self, session: &Arc<Session>, target: &Target) -> Result<Source> {
        self.inner.examine(session, target).await
    }

    /// Copies a file: needs `download` at the source, and `upload` (`overwrite` where a file is there) at the target. By
    /// reference where both lie in one storage; charged to the quota in full either way. `AlreadyExists` where the
    /// target is there and `overwrite` is false.
    pub async fn copy(
        &self,
        session: &Arc<Session>,
        from: &Target,
        to: &VirtualPath,
        overwrite: bool,
    ) -> Result<Receipt> {
        session.traced("copy", self.inner.copy(session, from, to, overwrite)).await
    }

    /// How much room there is at a path, by the quotas: needs what [`Gateway::stat`] needs.
    pub async fn space(&self, session: &Session, path: &VirtualPath) -> Result<Space> {
        self.inner.space(session, path).await
    }

    // ---- transfers in the background

    /// Asks for files to be copied or moved in the background: needs `transfers:write`, and for each file what
    /// [`Gateway::copy`] and [`Gateway::rename`] need; what is known of that now is looked at now, the rest when it is done.
    pub async fn request_transfer(
        &self,
        session: &Session,
        request: TransferRequest,
    ) -> Result<Enqueued, WrongTransfer> {
        self.inner.request_transfer(session, request).await
    }

    /// The tenant's transfers, whatever carries them, the newest first: needs `transfers:read`, or `admin`. The caller's own,
    /// and those that lie in its view.
    pub async fn transfers(&self, session: &Session, filter: &TransferFilter, limit: u32) -> Result<TransferPage> {
        self.inner.transfers(session, filter, limit).await
    }

    /// One of them, with its files where it is a job.
    pub async fn transfer(&self, session: &Session, id: Uuid) -> Result<Transfer> {
        self.inner.transfer(session, id).await
    }

    /// Ends a job before its time: the caller's own (needs `transfers:write`), or any of the tenant's (`admin`). It is ended
    /// when this returns: whoever works on it changes nothing any more. What it has done already stays.
    pub async fn cancel_transfer(&self, session: &Session, id: Uuid) -> Result<Control> {
        self.inner.cancel_transfer(session, id).await
    }

    /// Asks again for what a failed or cancelled job has not done: needs what [`Gateway::cancel_transfer`] needs.
    pub async fn retry_transfer(&self, session: &Session, id: Uuid) -> Result<Control> {
        self.inner.retry_transfer(session, id).await
    }

    // ---- trail

    /// The tenant's events above a position that lie in the caller's view, oldest first: needs `events:read`. `after`:
    /// an event's id; one that is unknown or has no position yet is `InvalidArgument`. None, and the nil UUID: before the first.
    pub async fn events(
        &self,
        session: &Session,
        after: Option<Uuid>,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<StoredEvent>> {
        self.inner.events(session, after, filter, limit).await
    }

    /// Follows the same events as they come: needs `events:read`. Where it begins is settled when this returns: behind `after`, as with
    /// [`Gateway::events`]; none: behind all that have their position by now. `most`: the feeds that the session's identity may
    /// have at the same time in this process; one more is `Throttled`. It is the front end that ends it with its session.
    pub async fn follow_events(
        &self,
        session: &Arc<Session>,
        after: Option<Uuid>,
        filter: EventFilter,
        most: u32,
    ) -> Result<EventFeed> {
        self.inner.follow_events(session, after, filter, most).await
    }

    /// The tenant's audit entries that match, oldest first: needs `audit:read`.
    pub async fn audit(&self, session: &Session, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRow>> {
        self.inner.audit(session, filter, limit).await
    }

    /// Walks the tenant's chain: needs `audit:read`.
    pub async fn verify_audit(&self, session: &Session) -> Result<Verification> {
        self.inner.verify_audit(session).await
    }

    /// Records a refusal that a front end itself made (a path that does not parse, an unsupported request): one audit
    /// entry, and `policy.violated` where the kind is a refusal. `path` is what the client called it; empty: nothing.
    pub async fn refused(&self, session: &Session, operation: Operation, path: &str, error: &Error) {
        let mut facts = self.inner.facts(session, operation);
        facts.view_path = Some(path.to_owned()).filter(|path| !path.is_empty());
        self.inner.put_failure(facts, error).await;
    }

    /// Records an operation that a front end found to fail before it came to asking for it (what it looked at first is not
    /// there, say): as the operation itself would have been.
    pub async fn failed(&self, session: &Session, operation: Operation, target: &Target, error: &Error) {
        self.inner.put_failed(session, operation, (target, None), error).await;
    }

    /// Puts on record that an API key was sent in a URL, where it is one: its owner has to replace it. Nothing of it is told.
    pub async fn leaked_key(&self, key: &SecretString, peer: &Peer) {
        self.inner.put_leaked_key(key, peer).await;
    }

    /// The same for a client that is not logged in. The caller bounds how often it does this: it is not throttled here.
    pub async fn refused_peer(&self, peer: &Peer, operation: Operation, path: &str, error: &Error) {
        let mut facts = Facts::of_peer(peer, &self.inner.settings.node, operation);
        facts.view_path = Some(path.to_owned()).filter(|path| !path.is_empty());
        self.inner.put_failure(facts, error).await;
    }
}
