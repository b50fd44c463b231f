//! An upload that does not end well: left to be resumed, or given up.

use uuid::Uuid;

use super::upload::UploadCore;
use super::work::Work;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Status};
use crate::gateway::Inner;
use crate::ports::{Durability, Tx};
use crate::records::{AuditRecord, EventRecord, UploadRow, UploadState, now};

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

/// What the trail says of an upload that did not become a version.
pub(crate) fn incomplete_facts(core: &UploadCore, work: &Work, status: Option<Status>, error: &Error) -> Facts {
    let mut facts = core.inner.facts_at(&core.session, Operation::Upload, &core.place);
    facts.transfer_id = Some(core.id);
    facts.file_id = core.visible.as_ref().map(|entry| entry.id);
    facts.size = Some(work.size);
    facts.bytes = Some(work.received);
    facts.complete = Some(false);
    facts.duration_ms = u64::try_from(core.began.elapsed().as_millis()).ok();
    let mut facts = facts.failed(error);
    if let Some(status) = status {
        facts.status = status;
    }
    facts
}

fn trail(facts: &Facts, refused: bool) -> (AuditRecord, Vec<EventRecord>) {
    let last = if facts.status == Status::Cancelled { "transfer.cancelled" } else { "transfer.failed" };
    let mut events = vec![facts.event("upload.incomplete"), facts.event(last)];
    if refused {
        events.push(facts.event("policy.violated"));
    }
    (facts.audit(), events)
}

/// Whether an upload that failed so can be of use to anybody: what is too large, or does not fit, would only take room.
pub(crate) const fn resumable(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::FileTooLarge
        | ErrorKind::QuotaExceeded
        | ErrorKind::NoSpace
        | ErrorKind::InvalidArgument
        | ErrorKind::DigestMismatch
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
        | ErrorKind::Throttled
        | ErrorKind::Unsupported
        | ErrorKind::Unavailable => true,
    }
}

/// Ends an upload that failed: left to be resumed where that can be of use, otherwise given up.
pub(crate) async fn end_failed(core: &UploadCore, work: &Work, from: UploadState, error: &Error) {
    let done = if resumable(error.kind()) {
        let row = UploadRow { state: UploadState::Detached, updated_at: now(), ..work.row.clone() };
        put_detached(core, work, row, from, error).await
    } else {
        put_discarded(core, work, Status::Failed, error).await
    };
    if let Err(failure) = done {
        tracing::warn!(error = %failure, upload = %core.id, "a failed upload could not be put on record; recovery will see to it");
    }
}

/// Leaves an upload to be resumed by its own identity: what was received is made durable and checkpointed; where that
/// fails it goes back to its last checkpoint.
pub(crate) async fn detach(core: &UploadCore, reason: &Error) {
    core.unregister();
    let mut work = core.work.lock().await;
    let from = if work.detached { UploadState::Detached } else { UploadState::Open };
    if work.failed.is_none() && resumable(reason.kind()) && work.sync().await.is_ok() {
        let row = work.checkpointed(UploadState::Detached);
        if let Err(error) = put_detached(core, &work, row, from, reason).await {
            tracing::warn!(%error, upload = %core.id, "an upload could not be detached; recovery will see to it");
        }
        return;
    }
    let error = work.failed.clone().unwrap_or_else(|| reason.clone());
    end_failed(core, &work, from, &error).await;
}

/// Stores a row as detached, with its trail. It is no error where another session has taken the upload over.
pub(crate) async fn put_detached(
    core: &UploadCore,
    work: &Work,
    row: UploadRow,
    from: UploadState,
    reason: &Error,
) -> Result<()> {
    let facts = incomplete_facts(core, work, None, reason);
    let (audit, events) = trail(&facts, reason.kind().is_refusal());
    core.inner
        .write(Durability::Disk, move |tx| {
            let (row, audit, events) = (row.clone(), audit.clone(), events.clone());
            Box::pin(async move {
                let generation = row.generation;
                if tx.update_upload(&row, &[from], generation).await? {
                    replace_other_detached(tx, &row).await?;
                    tx.append_audit(&audit).await?;
                    tx.append_events(&events).await?;
                }
                Ok(())
            })
        })
        .await
}

/// One detached upload per owner and name: the one that is detached now replaces an older one.
pub(crate) async fn replace_other_detached(tx: &mut dyn Tx, row: &UploadRow) -> Result<()> {
    for other in tx.uploads_named(row.parent, &row.name).await? {
        let same_owner = other.tenant == row.tenant && other.identity == row.identity;
        if same_owner && other.id != row.id && other.state == UploadState::Detached {
            discard_row(&mut *tx, other).await?;
        }
    }
    Ok(())
}

/// Gives an upload up and removes what was written, with its trail.
pub(crate) async fn discard(core: &UploadCore, status: Status, reason: &Error) -> Result<()> {
    core.unregister();
    let work = core.work.lock().await;
    put_discarded(core, &work, status, reason).await
}

pub(crate) async fn put_discarded(core: &UploadCore, work: &Work, status: Status, reason: &Error) -> Result<()> {
    let (audit, events) = trail(&incomplete_facts(core, work, Some(status), reason), reason.kind().is_refusal());
    let (id, generation): (Uuid, i64) = (core.id, work.row.generation);
    core.inner
        .write(Durability::Disk, move |tx| {
            let (audit, events) = (audit.clone(), events.clone());
            Box::pin(async move {
                let row = tx.upload(id).await?.filter(|row| row.state.is_live() && row.generation == generation);
                if let Some(row) = row {
                    discard_row(&mut *tx, row).await?;
                }
                tx.append_audit(&audit).await?;
                tx.append_events(&events).await
            })
        })
        .await
}

impl Inner {
    /// Detaches the uploads of this process that have received nothing for a while, so that another session of their
    /// owners can resume them: the connection they came by may be dead without anybody knowing.
    pub(crate) async fn detach_idle(&self, idle: i64) {
        let cores: Vec<_> = crate::gateway::held(&self.uploads).values().filter_map(std::sync::Weak::upgrade).collect();
        for core in cores {
            if now() - core.touched.load(std::sync::atomic::Ordering::Relaxed) < idle {
                continue;
            }
            // One that is busy, in its commit say, is not idle.
            let Ok(mut work) = core.work.try_lock() else { continue };
            if work.detached || work.failed.is_some() || work.sync().await.is_err() {
                continue;
            }
            let row = work.checkpointed(UploadState::Detached);
            let generation = work.row.generation;
            let stored = row.clone();
            let done = self
                .write(Durability::Process, move |tx| {
                    let row = row.clone();
                    Box::pin(async move {
                        if !tx.update_upload(&row, &[UploadState::Open], generation).await? {
                            return Ok(false);
                        }
                        replace_other_detached(tx, &row).await?;
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
    Error::new(ErrorKind::Incomplete, "the connection ended before the upload was complete")
}
