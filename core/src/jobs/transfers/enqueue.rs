//! Asking for a transfer: what is known to be wrong with it is told at once; the job and its event are one transaction.

use std::time::Duration;

use uuid::Uuid;

use super::pattern::Source;
use super::session::place_of_source;
use super::telling::event_of;
use crate::error::{Error, ErrorKind, Result};
use crate::events::Operation;
use crate::gateway::{Inner, Located, Place, locate, locate_place};
use crate::identity::{AuthMethod, Permission, Scope, Session};
use crate::namespace::Target;
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::Durability;
use crate::records::{Job, JobOperation, JobOrder, TransferState, micros, now};

/// How long a request is known by its `Idempotency-Key`.
pub(crate) const REMEMBERED: Duration = Duration::from_hours(24);

/// Transfers of one identity that have not ended, at the most.
const MAX_UNFINISHED: u32 = 10_000;

/// A transfer that is asked for.
#[derive(Clone, Debug)]
pub struct TransferRequest {
    /// What is to be transferred.
    pub source: Source,
    /// Where to.
    pub destination: VirtualPath,
    /// Whether the destination was written as a folder, with a slash at its end.
    pub into_folder: bool,
    /// Copy or move.
    pub operation: JobOperation,
    /// Whether files that are there may be replaced.
    pub overwrite: bool,
    /// From 0 to 9; of one identity's jobs the highest goes first.
    pub priority: i64,
    /// Whether webhooks are told of its `transfer.*` events.
    pub notify: bool,
    /// The request's `Idempotency-Key`, and the digest of what is asked for under it.
    pub key: Option<(String, [u8; 32])>,
}

/// A transfer that is refused, and by which of its fields.
#[derive(Clone, Debug)]
pub struct WrongTransfer {
    /// `source` or `destination`, where it is about one of them.
    pub field: Option<&'static str>,
    /// Why.
    pub error: Error,
}

impl From<Error> for WrongTransfer {
    fn from(error: Error) -> Self {
        Self { field: None, error }
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// There is a job of this id: made now, or by the same request before.
    Job(Uuid),
    /// The key belongs to another request.
    KeyReused,
}

/// Whether the view shows something below a path of its own, with permissions of its own.
fn has_entries_below(session: &Session, path: &VirtualPath) -> bool {
    session.identity.view.entries().iter().any(|entry| entry.at.below(path).is_some_and(|below| !below.is_root()))
}

const fn taking(operation: JobOperation) -> Permission {
    match operation {
        JobOperation::Copy => Permission::Download,
        JobOperation::Move => Permission::Rename,
    }
}

impl Inner {
    /// See [`crate::Gateway::request_transfer`].
    pub(crate) async fn request_transfer(
        &self,
        session: &Session,
        request: TransferRequest,
    ) -> Result<Enqueued, WrongTransfer> {
        self.require_open()?;
        let allowed = policy::require_scope(session, Scope::TransfersWrite);
        let from = Target::Path(request.source.path().clone());
        self.recorded(session, Operation::Transfer, &from, allowed).await?;
        if let Some(known) = self.known_request(session, request.key.as_ref()).await? {
            return Ok(known);
        }
        self.ledger.has_room()?;
        let source = self.check_source(session, &request).await;
        let (source_path, folder) = self
            .recorded(session, Operation::Transfer, &from, source)
            .await
            .map_err(|error| WrongTransfer { field: Some("source"), error })?;
        let to = Target::Path(request.destination.clone());
        let goal = self
            .recorded(session, Operation::Transfer, &to, check_destination(session, &request, folder))
            .await
            .map_err(|error| WrongTransfer { field: Some("destination"), error })?;
        let slash = if request.into_folder && !request.destination.is_root() { "/" } else { "" };
        let by_token = matches!(session.auth_method, AuthMethod::Token(_));
        let order = JobOrder {
            operation: request.operation,
            source: request.source.path().as_str().to_owned(),
            destination: format!("{}{slash}", request.destination),
            source_path,
            destination_path: Some(goal.path.as_str().to_owned()),
            overwrite: request.overwrite,
            notify: request.notify,
            api_key: session.auth_method.is_key(),
            issuer: session.issuer.as_deref().map(str::to_owned),
            grant: session.grounds.evidence.grant,
            scopes: by_token.then(|| session.scopes.words().map(|scope| scope.as_str().to_owned()).collect()),
            client_ip: Some(session.client_ip),
        };
        let enqueued = self.put_job(session, order, request.priority, request.key).await?;
        self.jobs_wake.notify_one();
        Ok(enqueued)
    }

    /// The source in the tenant's tree, and whether it is a folder or a pattern.
    async fn check_source(&self, session: &Session, request: &TransferRequest) -> Result<(Option<String>, bool)> {
        let source = &request.source;
        let entry = self.existing_source(session, source.base()).await?;
        if source.is_pattern() && !entry.folder {
            return Err(Error::new(ErrorKind::NotFolder, "the pattern looks for names below a file; check the path"));
        }
        let place = match locate(session, source.base())? {
            // A folder of the view alone; what is below it says what may be done there.
            Located::Above(_) => return Ok((None, true)),
            Located::Place(place) => place,
        };
        if !entry.folder {
            policy::require(place.permissions, taking(request.operation))?;
            return Ok((Some(place.path.as_str().to_owned()), false));
        }
        policy::require(place.permissions, Permission::List)?;
        if !has_entries_below(session, &place.view_path) {
            policy::require(place.permissions, taking(request.operation))?;
        }
        Ok((place_of_source(session, source)?, true))
    }

    /// What the same request made before, whatever has become of its source since; none where it is new.
    async fn known_request(&self, session: &Session, key: Option<&(String, [u8; 32])>) -> Result<Option<Enqueued>> {
        let Some((key, digest)) = key else { return Ok(None) };
        let (owner, since) = ((&*session.tenant.id, &*session.identity.id), now().saturating_sub(micros(REMEMBERED)));
        let known = self.ledger.read(session.reach()).await?.known_request(owner, key, since).await?;
        Ok(known.map(|(known, made)| if known == *digest { Enqueued::Job(made) } else { Enqueued::KeyReused }))
    }

    async fn put_job(
        &self,
        session: &Session,
        order: JobOrder,
        priority: i64,
        key: Option<(String, [u8; 32])>,
    ) -> Result<Enqueued> {
        let now = now();
        let job = Job {
            id: Uuid::now_v7(),
            tenant: session.tenant.id.to_string(),
            identity: session.identity.id.to_string(),
            login: session.login.to_string(),
            state: TransferState::Queued,
            generation: 1,
            holder: Uuid::nil(),
            due_at: Some(now),
            priority,
            attempts: 0,
            planned: false,
            size: 0,
            bytes: 0,
            partial: 0,
            files: 0,
            done: 0,
            failed: 0,
            error_code: None,
            error_message: None,
            created_at: now,
            started_at: None,
            finished_at: None,
            order,
        };
        let event = event_of(&job, &self.settings.node, "transfer.queued");
        self.write(session.reach(), Durability::Disk, move |tx| {
            let (job, event, key) = (job.clone(), event.clone(), key.clone());
            Box::pin(async move {
                if let Some((key, digest)) = key {
                    tx.purge_requests(now.saturating_sub(micros(REMEMBERED))).await?;
                    let owner = (job.tenant.as_str(), job.identity.as_str());
                    match tx.remember_request(owner, &key, (&digest, job.id), now).await? {
                        None => {}
                        Some((known, made)) if known == digest => return Ok(Enqueued::Job(made)),
                        Some(_) => return Ok(Enqueued::KeyReused),
                    }
                }
                if tx.unfinished_jobs((&job.tenant, &job.identity), MAX_UNFINISHED).await? >= u64::from(MAX_UNFINISHED)
                {
                    return Err(Error::new(
                        ErrorKind::Throttled,
                        "too many transfers of this identity have not ended yet; ask again when some have",
                    )
                    .with_retry_after(Duration::from_mins(1)));
                }
                tx.insert_job(&job).await?;
                tx.append_events(&[event]).await?;
                Ok(Enqueued::Job(job.id))
            })
        })
        .await
    }
}

fn check_destination(session: &Session, request: &TransferRequest, folder: bool) -> Result<Place> {
    let (from, to) = (request.source.path(), &request.destination);
    let place = locate_place(session, to)?;
    let may = |needed| policy::require(place.permissions, needed).is_ok();
    // Whether a folder is made, and whether it is one, shows when it is done.
    let makes = folder && may(Permission::Mkdir);
    if !(may(Permission::Upload) || may(Permission::Overwrite) || makes) {
        policy::require(place.permissions, Permission::Upload)?;
    }
    if !request.source.is_pattern() {
        if folder && to.below(from).is_some() {
            return Err(Error::new(ErrorKind::InvalidArgument, "a folder cannot be put into itself or below itself"));
        }
        if to == from && !request.into_folder {
            return Err(Error::new(ErrorKind::InvalidArgument, "the source and the destination are the same"));
        }
    }
    Ok(place)
}
