//! An upload that does not end well: left to be resumed, or given up.

use std::sync::Arc;

use uuid::Uuid;

use super::upload::UploadCore;
use super::work::Work;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Status};
use crate::gateway::{Inner, held, place_of};
use crate::identity::{Protocol, Session};
use crate::path::VirtualPath;
use crate::ports::{Durability, Lock, Reach, Tx};
use crate::records::{Micros, UploadRow, UploadState, later, now};

/// The holder of an upload that comes by one request after the other: nobody, and yet nothing was told of it, as it goes on.
pub(crate) const BETWEEN_REQUESTS: Uuid = Uuid::max();

/// Gives an upload up within a transaction: its row, its blobs. False where somebody else changed it meanwhile.
pub(crate) async fn discard_row(tx: &mut dyn Tx, mut row: UploadRow) -> Result<bool> {
    let (state, generation) = (row.state, row.generation);
    row.state = UploadState::Discarded;
    row.reserved = 0;
    row.segments = Vec::new();
    row.hash_state = None;
    row.updated_at = now();
    if !tx.update_upload(&row, &[state], generation).await? {
        return Ok(false);
    }
    tx.release_blobs(row.id, &[], now()).await?;
    Ok(true)
}

/// Whether the trail has not been told yet that an upload is incomplete: it is held by a session, or was detached only
/// for idleness. One that was told of is held by nobody.
pub(super) fn is_untold(row: &UploadRow) -> bool {
    row.state.is_live() && !row.incarnation.is_nil()
}

/// Gives up an upload that no session of this process ends itself: replaced, removed, expired.
pub(crate) async fn give_up_row(tx: &mut dyn Tx, row: UploadRow, node: &str, reason: &Error) -> Result<bool> {
    let untold = is_untold(&row);
    if !discard_row(&mut *tx, row.clone()).await? {
        return Ok(false);
    }
    if untold {
        tell_incomplete(&mut *tx, &row, node, reason).await?;
    }
    Ok(true)
}

/// The path in the tenant's tree of the name that an upload is bound to; none where its folder is gone, or was moved so deep that
/// no path reaches it: an upload must end there, too.
async fn path_of_row(tx: &mut dyn Tx, row: &UploadRow) -> Result<Option<VirtualPath>> {
    let folder = tx.ancestry(row.parent).await?;
    if folder.is_empty() {
        return Ok(None);
    }
    let mut names: Vec<&str> = folder.iter().skip(1).map(|(_, name)| name.as_str()).collect();
    names.push(&row.name);
    match VirtualPath::parse(&names.join("/")) {
        Err(error) if error.kind() == ErrorKind::InvalidName => Ok(None),
        path => path.map(Some),
    }
}

fn last_event(status: Status) -> &'static str {
    if status == Status::Cancelled { "transfer.cancelled" } else { "transfer.failed" }
}

/// Puts on record that an upload is incomplete, from what its row knows.
pub(crate) async fn tell_incomplete(tx: &mut dyn Tx, row: &UploadRow, node: &str, reason: &Error) -> Result<()> {
    let path = path_of_row(&mut *tx, row).await?;
    let facts = Facts {
        change: None,
        tenant: Some(row.tenant.as_str().into()),
        identity: Some(row.identity.clone()),
        login: Some(row.login.clone()),
        client: None,
        protocol: Protocol::parse(&row.protocol).unwrap_or(Protocol::Transfer),
        session: Some(row.session),
        client_ip: None,
        node: node.to_owned(),
        auth_method: None,
        cipher: None,
        client_version: None,
        operation: Operation::Upload,
        status: Status::Failed,
        at: now(),
        transfer_id: Some(row.id),
        file_id: None,
        path: path.map(|path| path.as_str().to_owned()),
        view_path: None,
        previous_path: None,
        size: Some(row.size),
        bytes: Some(row.prefix),
        complete: Some(false),
        hash: None,
        content_type: None,
        duration_ms: None,
        expires_at: None,
        error: None,
        details: Vec::new(),
        trace: crate::trace::current(),
    }
    .failed(reason);
    tx.append_audit(&facts.audit()).await?;
    tx.append_events(&[facts.event("upload.incomplete"), facts.event(last_event(facts.status))]).await
}

/// How an upload that this process holds ended without becoming a version.
#[derive(Clone)]
struct Ending {
    session: Arc<Session>,
    facts: Facts,
    refused: bool,
}

impl Ending {
    fn new(core: &UploadCore, work: &Work, status: Option<Status>, reason: &Error) -> Self {
        let mut facts = core.inner.facts(&core.session, Operation::Upload);
        facts.transfer_id = Some(core.id);
        facts.file_id = core.visible.as_ref().map(|entry| entry.id);
        facts.size = Some(work.size);
        facts.bytes = Some(work.received);
        if let Some(from) = work.copied_from() {
            facts.operation = Operation::Copy;
            facts.previous_path = Some(from.to_owned());
        }
        facts.complete = Some(false);
        facts.duration_ms = u64::try_from(core.began.elapsed().as_millis()).ok();
        let mut facts = facts.failed(&core.session.cause(reason));
        if let Some(status) = status {
            facts.status = status;
        }
        Self { session: core.session.clone(), facts, refused: reason.kind().is_refusal() }
    }

    /// Where the name is by now: it may have been renamed, or its folder moved, since the upload began.
    async fn locate(&mut self, tx: &mut dyn Tx, row: &UploadRow) -> Result<()> {
        if let Some(path) = path_of_row(&mut *tx, row).await? {
            self.facts.view_path = place_of(&self.session, &path).map(|place| place.view_path.as_str().to_owned());
            self.facts.path = Some(path.as_str().to_owned());
        }
        Ok(())
    }

    async fn put(&self, tx: &mut dyn Tx) -> Result<()> {
        if self.session.answers_to_a_job() {
            // The job tells what became of its step.
            return Ok(());
        }
        let mut events = vec![self.facts.event("upload.incomplete"), self.facts.event(last_event(self.facts.status))];
        if self.refused {
            events.push(self.facts.event("policy.violated"));
        }
        tx.append_audit(&self.facts.audit()).await?;
        tx.append_events(&events).await
    }
}

/// Whether an upload that failed so can be of use to anybody: what is too large, or does not fit, would only take room.
pub(crate) const fn resumable(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::FileTooLarge
        | ErrorKind::QuotaExceeded
        | ErrorKind::NoSpace
        | ErrorKind::InvalidArgument
        | ErrorKind::DigestMismatch
        | ErrorKind::TypeMismatch
        | ErrorKind::Internal => false,
        ErrorKind::InvalidName
        | ErrorKind::NotFound
        | ErrorKind::NoSuchFolder
        | ErrorKind::AlreadyExists
        | ErrorKind::IsFolder
        | ErrorKind::NotFolder
        | ErrorKind::NotEmpty
        | ErrorKind::PermissionDenied
        | ErrorKind::Unauthenticated
        | ErrorKind::Conflict
        | ErrorKind::PreconditionFailed
        | ErrorKind::Incomplete
        | ErrorKind::TimedOut
        | ErrorKind::Expired
        | ErrorKind::Throttled
        | ErrorKind::Unsupported
        | ErrorKind::Unavailable => true,
    }
}

/// Whether what was acknowledged of this upload stays, though it failed so: the fault was this side's, or the quota's, and
/// the same request may succeed later; or more was sent than was announced, which was not taken.
const fn keeps(core: &UploadCore, work: &Work, kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Internal | ErrorKind::NoSpace | ErrorKind::QuotaExceeded => core.completing,
        ErrorKind::InvalidArgument => work.row.plan.is_some(),
        _ => false,
    }
}

/// Ends an upload that failed: left to be resumed where that can be of use to somebody, otherwise given up. False where it is not
/// this holder's any more.
pub(crate) async fn end_failed(core: &UploadCore, work: &Work, error: &Error) -> bool {
    let kept = resumable(error.kind()) || keeps(core, work, error.kind());
    let done = if core.options.resumable && kept {
        put_detached(core, work, work.row.clone(), error).await
    } else {
        put_discarded(core, work, Status::Failed, error).await
    };
    done.unwrap_or_else(|failure| {
        tracing::warn!(error = %failure, upload = %core.id, "a failed upload could not be put on record; it is tried again");
        true
    })
}

/// Leaves an upload to be resumed by its own identity: what was received is made durable and checkpointed; where that
/// fails it goes back to its last checkpoint. A change in place that changed nothing is simply forgotten.
pub(crate) async fn detach(core: &UploadCore, reason: &Error) {
    let mut work = core.work.lock().await;
    if work.row.compare_base && !work.wrote && work.failed.is_none() {
        if let Err(error) = forget(core, &work).await {
            tracing::warn!(%error, upload = %core.id, "an upload could not be forgotten; it is tried again");
        }
        core.unregister();
        return;
    }
    if core.options.resumable && work.failed.is_none() && resumable(reason.kind()) && work.sync().await.is_ok() {
        let row = work.checkpointed(UploadState::Detached);
        if let Err(error) = put_detached(core, &work, row, reason).await {
            tracing::warn!(%error, upload = %core.id, "an upload could not be detached; it is tried again");
        }
    } else {
        let error = work.failed.clone().unwrap_or_else(|| reason.clone());
        end_failed(core, &work, &error).await;
    }
    let error = work.failed.as_ref().unwrap_or(reason);
    core.count_end(&work, Status::of_failure(error), Some(error));
    core.unregister();
}

/// Forgets an upload that changed nothing; false where it is not this holder's any more.
pub(crate) async fn forget(core: &UploadCore, work: &Work) -> Result<bool> {
    let row = work.row.clone();
    let done = core
        .inner
        .write(core.session.reach(), Durability::Process, move |tx| {
            let row = row.clone();
            Box::pin(async move { discard_held(tx, row.id, row.generation).await })
        })
        .await;
    if done.is_err() {
        core.inner.leave_unsettled(Unsettled {
            row: work.row.clone(),
            held_until: work.row.expires_at,
            ending: None,
            give_up: true,
        });
    }
    done
}

/// Discards an upload that still has this generation, whatever its holder believes of its state.
async fn discard_held(tx: &mut dyn Tx, id: Uuid, generation: i64) -> Result<bool> {
    match tx.upload(id).await?.filter(|row| row.state.is_live() && row.generation == generation) {
        Some(row) => discard_row(&mut *tx, row).await,
        None => Ok(false),
    }
}

/// An upload that could not be put away, as the ledger did not answer: it is tried again ([`Inner::put_away_again`]).
pub(crate) struct Unsettled {
    /// As its holder left it.
    row: UploadRow,
    /// When it would have been given up, as its row says while this holder has it: set anew by each that takes an upload, and by
    /// nothing else while it is held.
    held_until: Micros,
    /// What is told of it; none: it changed nothing, and is forgotten.
    ending: Option<Ending>,
    /// Whether to give it up; otherwise it is left to be resumed.
    give_up: bool,
}

impl Unsettled {
    /// Whether the row is still the holder's that is gone. Its name and attributes, and with them its generation, may be other ones by
    /// now. Once somebody has changed its state it is nobody's to put away: it may have been by the first try, whose outcome was not
    /// heard of, and parts may have come to it since.
    fn has(&self, now: &UploadRow, incarnation: Uuid) -> bool {
        matches!(now.state, UploadState::Open | UploadState::Sealed)
            && now.incarnation == incarnation
            && now.session == self.row.session
            && now.expires_at == self.held_until
    }

    /// What a row of a holder that is gone becomes.
    async fn run(&self, tx: &mut dyn Tx, incarnation: Uuid, node: &str) -> Result<()> {
        let Some(seen) = tx.upload(self.row.id).await? else { return Ok(()) };
        tx.lock(&[Lock::Name(seen.parent, seen.name.clone())]).await?;
        let Some(now) = tx.upload(self.row.id).await?.filter(|now| self.has(now, incarnation)) else { return Ok(()) };
        if (now.parent, &now.name) != (seen.parent, &seen.name) {
            return Err(Error::new(ErrorKind::Conflict, "the upload was renamed meanwhile"));
        }
        let ending = match self.ending.clone() {
            Some(mut ending) => {
                ending.locate(&mut *tx, &now).await?;
                Some(ending)
            }
            None => None,
        };
        if self.give_up || has_newer_detached(&mut *tx, &now).await? {
            discard_row(&mut *tx, now).await?;
        } else {
            let (states, generation) = ([now.state], now.generation);
            let row = self.put_away(now);
            if !tx.update_upload(&row, &states, generation).await? {
                return Ok(());
            }
            replace_other_detached(&mut *tx, &row, node).await?;
        }
        match ending {
            Some(ending) => ending.put(&mut *tx).await,
            None => Ok(()),
        }
    }

    /// The row with what its holder has received, and what others have set since.
    fn put_away(&self, now: UploadRow) -> UploadRow {
        let left = self.row.clone();
        let attributes =
            if now.generation == left.generation { left.attributes } else { left.attributes.merged(&now.attributes) };
        UploadRow {
            state: UploadState::Detached,
            incarnation: Uuid::nil(),
            size: left.size,
            prefix: left.prefix,
            segments: left.segments,
            hash_state: left.hash_state,
            hashed: left.hashed,
            reserved: left.reserved,
            attributes,
            updated_at: left.updated_at,
            expires_at: left.expires_at,
            ..now
        }
    }
}

/// Whether the owner has left another upload of the same name that was begun later.
async fn has_newer_detached(tx: &mut dyn Tx, row: &UploadRow) -> Result<bool> {
    let named = tx.uploads_named(row.parent, &row.name).await?;
    Ok(named.iter().any(|other| {
        (&other.tenant, &other.identity) == (&row.tenant, &row.identity)
            && other.id != row.id
            && other.state == UploadState::Detached
            && other.created_at > row.created_at
    }))
}

/// Stores a row as detached, with its trail; false where another session has taken the upload over meanwhile. What the
/// holder believes of the row's state does not matter: the generation proves that it is still the holder.
pub(crate) async fn put_detached(core: &UploadCore, work: &Work, row: UploadRow, reason: &Error) -> Result<bool> {
    let row = UploadRow {
        state: UploadState::Detached,
        incarnation: Uuid::nil(),
        updated_at: now(),
        expires_at: core.inner.expiry(),
        ..row
    };
    let (ending, node, taken) =
        (Ending::new(core, work, None, reason), core.inner.settings.node.clone(), reason.kind() == ErrorKind::Conflict);
    let again = Box::new(Unsettled {
        row: row.clone(),
        held_until: work.row.expires_at,
        ending: Some(ending.clone()),
        give_up: false,
    });
    let writing = core.inner.write(core.session.reach(), Durability::Disk, move |tx| {
        let (row, mut ending, node) = (row.clone(), ending.clone(), node.clone());
        Box::pin(async move {
            let now = tx.upload(row.id).await?.filter(|now| now.state.is_live() && now.generation == row.generation);
            let held = match &now {
                Some(_) => tx.update_upload(&row, &HELD, row.generation).await?,
                None => false,
            };
            ending.locate(&mut *tx, &row).await?;
            if !held {
                // The holder is told that it lost the upload, and that is on record; the upload itself goes on.
                if taken {
                    tx.append_audit(&ending.facts.audit()).await?;
                }
                return Ok(false);
            }
            if now.is_some_and(|now| is_untold(&now)) {
                replace_other_detached(&mut *tx, &row, &node).await?;
                ending.put(&mut *tx).await?;
            }
            Ok(true)
        })
    });
    let done = Box::pin(writing).await;
    if done.is_err() {
        core.inner.leave_unsettled(*again);
    }
    done
}

/// The states of an upload that a holder may have left.
const HELD: [UploadState; 3] = [UploadState::Open, UploadState::Detached, UploadState::Sealed];

/// One detached upload per owner and name: the one that is detached now replaces another one.
pub(crate) async fn replace_other_detached(tx: &mut dyn Tx, row: &UploadRow, node: &str) -> Result<()> {
    for other in tx.uploads_named(row.parent, &row.name).await? {
        let same_owner = other.tenant == row.tenant && other.identity == row.identity;
        // One in chunks that was begun later has taken this one's place, and goes on.
        let newer = other.plan.is_some() && other.created_at > row.created_at;
        if same_owner && other.id != row.id && other.state == UploadState::Detached && !newer {
            give_up_row(&mut *tx, other, node, &replaced()).await?;
        }
    }
    Ok(())
}

/// Why an incomplete upload gives way to another one of its owner.
pub(crate) fn replaced() -> Error {
    Error::new(ErrorKind::Incomplete, "the incomplete upload was replaced by another one of the same name")
}

/// Gives an upload up and removes what was written, with its trail.
pub(crate) async fn discard(core: &UploadCore, status: Status, reason: &Error) -> Result<()> {
    let work = core.work.lock().await;
    // Where it had failed before, by the quota say, that is what is told.
    let (status, reason) = match &work.failed {
        Some(failure) => (Status::Failed, failure.clone()),
        None => (status, reason.clone()),
    };
    let done = put_discarded(core, &work, status, &reason).await;
    let (status, error) = match status {
        Status::Cancelled => (status, None),
        _ => (Status::of_failure(&reason), Some(&reason)),
    };
    core.count_end(&work, status, error);
    core.unregister();
    done.map(drop)
}

/// The same for a holder of the working state; false where the upload is not this holder's any more.
pub(crate) async fn put_discarded(core: &UploadCore, work: &Work, status: Status, reason: &Error) -> Result<bool> {
    let ending = Ending::new(core, work, Some(status).filter(|_| !reason.kind().is_refusal()), reason);
    // Where the ledger's answer was missed, the commit may have come about, and somebody looks again and again.
    let told = core.session.answers_to_a_job() || reason.kind() == ErrorKind::Unavailable;
    let row = work.row.clone();
    let again = Box::new(Unsettled {
        row: row.clone(),
        held_until: row.expires_at,
        ending: Some(ending.clone()),
        give_up: true,
    });
    let writing = core.inner.write(core.session.reach(), Durability::Disk, move |tx| {
        let (row, mut ending) = (row.clone(), ending.clone());
        Box::pin(async move {
            ending.locate(&mut *tx, &row).await?;
            let held = discard_held(&mut *tx, row.id, row.generation).await?;
            if held {
                ending.put(&mut *tx).await?;
            } else if !told {
                tx.append_audit(&ending.facts.audit()).await?;
            }
            Ok(held)
        })
    });
    let done = Box::pin(writing).await;
    if done.is_err() {
        core.inner.leave_unsettled(*again);
    }
    done
}

/// Leaves an upload whose commit's outcome is not known to be looked at again: where it was not committed it can be resumed then.
pub(super) fn leave_unknown(core: &UploadCore, work: &Work, reason: &Error) {
    let row = UploadRow { updated_at: now(), expires_at: core.inner.expiry(), ..work.row.clone() };
    let ending = Some(Ending::new(core, work, None, reason));
    core.inner.leave_unsettled(Unsettled { row, held_until: work.row.expires_at, ending, give_up: false });
}

impl Inner {
    /// The last word on an upload counts.
    fn leave_unsettled(&self, upload: Unsettled) {
        held(&self.unsettled).insert(upload.row.id, Arc::new(upload));
    }

    /// Puts away what could not be put away when it ended: without that, nobody could resume it before the process ends.
    pub(crate) async fn put_away_again(&self) {
        let left: Vec<Arc<Unsettled>> = held(&self.unsettled).values().cloned().collect();
        for upload in left {
            let (id, node, incarnation) = (upload.row.id, self.settings.node.clone(), self.incarnation);
            let again = upload.clone();
            let done = self.write(Reach::of(&again.row.tenant), Durability::Disk, move |tx| {
                let (upload, node) = (again.clone(), node.clone());
                Box::pin(async move { upload.run(tx, incarnation, &node).await })
            });
            match done.await {
                Ok(()) => {
                    // Another ending of it may have been left meanwhile.
                    let mut left = held(&self.unsettled);
                    if left.get(&id).is_some_and(|now| Arc::ptr_eq(now, &upload)) {
                        left.remove(&id);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, upload = %id, "an upload that ended could still not be put away");
                    // Where the ledger is away no other one can be put away either.
                    if error.kind() == ErrorKind::Unavailable {
                        return;
                    }
                }
            }
        }
    }

    /// When an upload that is detached now can be resumed no more.
    pub(crate) fn expiry(&self) -> Micros {
        later(now(), self.limits().incomplete_expiry)
    }

    /// Detaches the uploads of this process that have received nothing for a while, so that another session of their
    /// owners can resume them: the connection they came by may be dead without anybody knowing. Nothing is told of it
    /// yet, as the session may go on.
    pub(crate) async fn detach_idle(&self, idle: i64) {
        let cores: Vec<_> = held(&self.uploads).values().filter_map(std::sync::Weak::upgrade).collect();
        for core in cores {
            let busy = now() - core.touched.load(std::sync::atomic::Ordering::Relaxed) < idle;
            if busy || !core.options.resumable {
                continue;
            }
            // One that is busy, in its commit say, is not idle.
            let Ok(mut work) = core.work.try_lock() else { continue };
            let unchanged = work.row.compare_base && !work.wrote;
            if work.detached || unchanged || work.failed.is_some() || work.sync().await.is_err() {
                continue;
            }
            let row = UploadRow { expires_at: self.expiry(), ..work.checkpointed(UploadState::Detached) };
            let (stored, node) = (row.clone(), self.settings.node.clone());
            let done = self
                .write(Reach::of(&stored.tenant), Durability::Process, move |tx| {
                    let (row, node) = (row.clone(), node.clone());
                    Box::pin(async move {
                        if !tx.update_upload(&row, &[UploadState::Open], row.generation).await? {
                            return Ok(false);
                        }
                        replace_other_detached(tx, &row, &node).await?;
                        Ok(true)
                    })
                })
                .await;
            match done {
                Ok(true) => {
                    work.row = stored;
                    work.detached = true;
                }
                Ok(false) => work.failed = Some(super::work::taken_over()),
                Err(error) => tracing::warn!(%error, upload = %core.id, "an idle upload could not be detached"),
            }
        }
    }
}

/// What a session that went away leaves behind as the reason.
pub(crate) fn broken() -> Error {
    Error::broken_off()
}
