//! The commit: sealed, blob durable, then one transaction that makes the version visible, hashed, audited and its events
//! queued. No session's end can cancel it (`enduring`). What stays after a crash between any two steps is said
//! in ARCHITECTURE.md's crash table.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::MutexGuard;
use uuid::Uuid;

use super::begin::{require_conditions, require_match};
use super::detach::{end_failed, forget, leave_unknown, put_discarded};
use super::media_type::{Judged, TypeCheck, judge};
use super::upload::UploadCore;
use super::work::{Work, taken_over};
use super::{Disposition, Receipt, UploadOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Status};
use crate::gateway::{Inner, Place, place_of};
use crate::identity::{Permission, Session};
use crate::namespace::{Entry, Target, path_of, release_version, require_unreserved, session_path};
use crate::path::{Name, VirtualPath};
use crate::policy;
use crate::ports::{Durability, Lock, Query, Tx};
use crate::records::{Attributes, BlobId, Content, Node, UploadRow, UploadState, now};

/// More runs than this, left by random writes or small chunks, are copied into one blob before the commit. Chunks of the usual
/// size are fewer.
const MAX_RUNS: usize = 1_024;
/// How often a commit whose outcome is not known is looked up, and how long is waited between.
pub(super) const LOOKUPS: u32 = 20;
pub(super) const LOOKUP_PAUSE: Duration = Duration::from_millis(250);

/// Ends an upload. See [`super::Upload::commit`].
pub(crate) async fn commit(core: Arc<UploadCore>) -> Result<Receipt> {
    let done = commit_held(&core).await;
    core.unregister();
    done
}

async fn commit_held(core: &UploadCore) -> Result<Receipt> {
    let mut work = core.work.lock().await;
    if work.row.compare_base && !work.wrote && work.failed.is_none() {
        return close_unchanged(core, work).await;
    }
    let done = commit_changed(core, &mut work).await;
    core.count_end(&work, done.as_ref().map_or_else(Status::of_failure, |_| Status::Completed), done.as_ref().err());
    done
}

async fn commit_changed(core: &UploadCore, work: &mut Work) -> Result<Receipt> {
    let whole = match prepare(core, work).await {
        Ok(whole) => whole,
        Err(error) => return Err(give_up(core, work, error).await),
    };
    let sha256 = match work.digest(&core.inner).await {
        Ok(sha256) => sha256,
        Err(error) => return Err(give_up(core, work, error).await),
    };
    if work.expected.is_some_and(|expected| expected != sha256) {
        let error = Error::new(
            ErrorKind::DigestMismatch,
            "the content does not have the announced SHA-256; nothing was published, send it again",
        );
        return Err(give_up(core, work, error).await);
    }
    let judged = match judge_content(core, work).await {
        Ok(judged) => judged,
        Err(error) => return Err(give_up(core, work, error).await),
    };
    if work.segments.runs().len() > MAX_RUNS
        && let Err(error) = compact(core, work).await
    {
        return Err(give_up(core, work, error).await);
    }
    // Sealing keeps other sessions out while the content becomes durable: both at once, the transaction after both. The
    // seal stores no more than the last checkpoint, so that a crash in between leaves no row that promises bytes which
    // did not reach the disk. A content that is written in one step is not worth a transaction to keep others out: whoever
    // takes the upload over meanwhile finds it empty, and the transaction below finds another generation or state.
    let (state, (seal, sync)) = if whole {
        (UploadState::Open, (Ok(()), work.sync().await))
    } else {
        let sealed = UploadRow { state: UploadState::Sealed, updated_at: now(), ..work.row.clone() };
        (UploadState::Sealed, tokio::join!(seal(core, sealed), work.sync()))
    };
    if let Err(error) = sync {
        // Where nothing is new, only a copy could not be made durable.
        if core.completing {
            return Err(give_up(core, work, error).await);
        }
        // A failed sync is not tried again: what was written is given up.
        put_discarded(core, work, Status::Failed, &error).await?;
        return Err(error);
    }
    work.row = work.checkpointed(state);
    if let Err(error) = seal {
        return Err(give_up(core, work, error).await);
    }
    publish(core, work, sha256, judged).await
}

/// The type of the content, and how that contradicts what was declared; `TypeMismatch` where that is refused.
async fn judge_content(core: &UploadCore, work: &mut Work) -> Result<Judged> {
    let planned = work.row.plan.as_ref().and_then(|plan| plan.content_type.clone());
    let declared = core.options.content_type.clone().or(planned);
    let check = core.inner.rules().content_type_check;
    // Of a copy it is known.
    let head = if check == TypeCheck::Off || work.copied_from().is_some() {
        Bytes::new()
    } else {
        work.head(&core.inner).await?
    };
    let judged = judge(declared.as_deref(), &work.row.name, &head);
    match judged.contradiction {
        Some(error) if check == TypeCheck::Refuse => Err(error),
        _ => Ok(judged),
    }
}

/// Everything that must hold before the content is hashed: all bytes written, or in hand as a whole (then true), the
/// announced size reached.
async fn prepare(core: &UploadCore, work: &mut Work) -> Result<bool> {
    work.check()?;
    work.reattach(&core.inner).await?;
    let whole = work.take_whole();
    if !whole {
        work.flush().await?;
        work.land().await?;
    }
    // What was announced of an upload in chunks binds whoever finishes it.
    let announced = core.options.declared_size.or(work.row.announced_size());
    if announced.is_some_and(|size| size != work.size) {
        return Err(Error::new(
            ErrorKind::Incomplete,
            "the content has not the size that was announced; nothing was published",
        ));
    }
    let size = work.size;
    core.reserve(work, size).await?;
    work.segments.fill(size);
    Ok(whole)
}

async fn compact(core: &UploadCore, work: &mut Work) -> Result<()> {
    let blob = BlobId { key: Uuid::new_v4(), ..work.blob.clone() };
    let (key, holder, row) = (blob.clone(), core.id, work.row.clone());
    let held = core
        .inner
        .write(core.session.reach(), Durability::Disk, move |tx| {
            let (key, row) = (key.clone(), row.clone());
            Box::pin(async move {
                // A blob of an upload that is gone would be nobody's to give back.
                let held = tx.update_upload(&row, &[UploadState::Open], row.generation).await?;
                if held {
                    tx.insert_blob(&key, holder).await?;
                }
                Ok(held)
            })
        })
        .await?;
    if !held {
        return Err(taken_over());
    }
    work.compact(&core.inner, blob).await
}

async fn seal(core: &UploadCore, row: UploadRow) -> Result<()> {
    let held = core
        .inner
        .write(core.session.reach(), Durability::Process, move |tx| {
            let row = row.clone();
            Box::pin(async move {
                let generation = row.generation;
                tx.update_upload(&row, &[UploadState::Open], generation).await
            })
        })
        .await?;
    if held { Ok(()) } else { Err(taken_over()) }
}

/// A file that was opened for change in place and not changed: no new version. Attributes that were set through the
/// handle are set on the file.
async fn close_unchanged(core: &UploadCore, work: MutexGuard<'_, Work>) -> Result<Receipt> {
    if !forget(core, &work).await? {
        return Err(taken_over());
    }
    let attributes = work.row.attributes.clone();
    // Setting attributes holds the uploads of that name, which this one must not keep waiting.
    drop(work);
    let entry = if attributes.is_empty() {
        core.visible.clone().ok_or_else(Error::not_found)?
    } else {
        core.inner.set_attributes(&core.session, &Target::Path(core.path.clone()), attributes).await?
    };
    Ok(Receipt { entry, created: false, transfer_id: core.id })
}

/// After an error: the upload is put away, and the error handed on.
async fn give_up(core: &UploadCore, work: &Work, error: Error) -> Error {
    end_failed(core, work, &error).await;
    error
}

#[derive(Clone)]
struct Publication {
    session: Arc<Session>,
    place: Place,
    options: UploadOptions,
    row: UploadRow,
    sha256: [u8; 32],
    plain: bool,
    temporary: bool,
    facts: Facts,
    content_type: String,
    contradiction: Option<Error>,
}

struct Published {
    node: Node,
    created: bool,
}

async fn publish(core: &UploadCore, work: &Work, sha256: [u8; 32], judged: Judged) -> Result<Receipt> {
    let row = work.row.clone();
    let mut facts = core.inner.facts(&core.session, Operation::Upload);
    facts.transfer_id = facts.transfer_id.or(Some(core.id));
    facts.size = Some(row.size);
    facts.bytes = Some(work.received);
    if let Some(from) = work.copied_from() {
        facts.operation = Operation::Copy;
        facts.previous_path = Some(from.to_owned());
        facts.bytes = Some(row.size);
    }
    facts.complete = Some(true);
    facts.hash = Some(sha256);
    facts.duration_ms = u64::try_from(core.began.elapsed().as_millis()).ok();
    let publication = Publication {
        session: core.session.clone(),
        place: core.place.clone(),
        options: core.options.clone(),
        temporary: core.inner.is_temporary(&row.name),
        plain: work.plain,
        row,
        sha256,
        facts,
        content_type: judged.content_type,
        contradiction: judged.contradiction,
    };
    let done = core
        .inner
        .write(core.session.reach(), Durability::Disk, move |tx| {
            let publication = publication.clone();
            Box::pin(async move { publication.run(tx).await })
        })
        .await;
    match done {
        Ok(Published { node, created }) => {
            let entry = Entry::of_node(&node, core.path.clone(), false);
            Ok(Receipt { entry, created, transfer_id: core.id })
        }
        // Where COMMIT's outcome is not known, the upload's row tells. OK is never a guess.
        Err(error) if error.kind() == ErrorKind::Unavailable => look_up(core, work, error).await,
        Err(error) => Err(give_up(core, work, error).await),
    }
}

async fn look_up(core: &UploadCore, work: &Work, error: Error) -> Result<Receipt> {
    for _ in 0..LOOKUPS {
        if let Ok(found) = outcome(&core.inner, core).await {
            if let Some(receipt) = found {
                return Ok(receipt);
            }
            // It did not happen, unless it still does at this very moment: then the row is not ours to put away.
            if end_failed(core, work, &error).await {
                return Err(error);
            }
        }
        tokio::time::sleep(LOOKUP_PAUSE).await;
    }
    leave_unknown(core, work, &error);
    Err(error)
}

/// What the ledger says of a commit: its receipt, or that it did not happen.
async fn outcome(inner: &Inner, core: &UploadCore) -> Result<Option<Receipt>> {
    let mut query = inner.ledger.read(core.session.reach()).await?;
    let Some(row) = query.upload(core.id).await?.filter(|row| row.state == UploadState::Committed) else {
        return Ok(None);
    };
    let entry = published_entry(&mut *query, &core.session, &row, core.path.clone()).await?;
    Ok(Some(Receipt { entry, created: core.visible.is_none(), transfer_id: core.id }))
}

/// What a committed upload became: the file where it has that content still, wherever it is by now; otherwise what was published
/// then, under the file's id.
pub(super) async fn published_entry(
    query: &mut dyn Query,
    session: &Session,
    row: &UploadRow,
    path: VirtualPath,
) -> Result<Entry> {
    let file = row.base_version.filter(|_| !row.compare_base);
    if let Some(id) = file
        && let Some(node) = query.node(id).await?
        && node.content.as_ref().is_some_and(|content| content.version == row.id)
    {
        match session_path(&mut *query, session, &Target::Id(id)).await {
            Ok(path) => return Ok(Entry::of_node(&node, path, false)),
            // Moved out of what the session sees, or too deep for any path.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidName) => {}
            Err(error) => return Err(error),
        }
    }
    let then = Entry::of_upload(row, None, path);
    Ok(Entry { id: file.unwrap_or(then.id), size: row.size, ..then })
}

impl Publication {
    async fn run(mut self, tx: &mut dyn Tx) -> Result<Published> {
        let (parent, name) = (self.row.parent, self.row.name.clone());
        tx.lock(&[Lock::Name(parent, name.clone())]).await?;
        tx.hold_folder(parent).await?.ok_or_else(Error::no_such_folder)?;
        let existing = match tx.child(parent, &name).await? {
            Some(node) => tx.hold_node(node.id).await?,
            None => None,
        };
        self.check(&mut *tx, parent, &name, existing.as_ref()).await?;
        let segments = super::segments::Segments::new(self.row.segments.clone());
        let content = Content {
            version: self.row.id,
            size: self.row.size,
            sha256: self.sha256,
            content_type: self.content_type.clone(),
            segments: segments.runs().to_vec(),
        };
        // References of blobs that the map no longer names: overwritten runs, blobs of earlier holders.
        let keep: Vec<Uuid> = segments.blobs().iter().map(|blob| blob.key).collect();
        if !(self.plain && keep.len() == 1) {
            for blob in &keep {
                tx.reference_blob(*blob, self.row.id).await?;
            }
            tx.release_blobs(self.row.id, &keep, now()).await?;
        }
        let created = existing.is_none();
        let node = self.switch(&mut *tx, existing, content).await?;
        let (state, generation) = (self.row.state, self.row.generation);
        let committed = UploadRow {
            state: UploadState::Committed,
            base_version: Some(node.id),
            compare_base: false,
            reserved: 0,
            segments: Vec::new(),
            hash_state: None,
            updated_at: now(),
            ..self.row.clone()
        };
        if !tx.update_upload(&committed, &[state], generation).await? {
            return Err(taken_over());
        }
        self.facts.file_id = Some(node.id);
        self.facts.content_type = node.content.as_ref().map(|c| c.content_type.clone());
        self.facts.at = now();
        tx.append_audit(&self.facts.audit()).await?;
        if !self.temporary {
            let copied = self.facts.operation == Operation::Copy;
            let arrival = if copied { "file.copied" } else { "file.uploaded" };
            let mut events = vec![self.facts.event(arrival)];
            // A job's end is told when all of its files are done.
            if self.session.errand.is_none() {
                events.push(self.facts.event("transfer.completed"));
            }
            tx.append_events(&events).await?;
        }
        if let Some(error) = &self.contradiction {
            // It is let through, and somebody may want to know.
            let mut told = self.facts.clone();
            told.error = Some((error.kind().code().to_owned(), error.message().to_owned()));
            tx.append_events(&[told.event("policy.violated")]).await?;
        }
        self.session.settle(tx, self.row.size).await?;
        Ok(Published { node, created })
    }

    /// Permission, parent, reservation and conditions, looked at again: they may have changed since the upload began.
    async fn check(&mut self, tx: &mut dyn Tx, parent: Uuid, name: &str, existing: Option<&Node>) -> Result<()> {
        let folder = path_of(&mut *tx, &self.session, parent).await?.ok_or_else(Error::no_such_folder)?;
        let path = folder.join(&Name::parse(name)?)?;
        // Where several entries of the view show the place, the one counts that the upload came by.
        let place = if self.place.path == path { Some(self.place.clone()) } else { place_of(&self.session, &path) };
        let place = place.ok_or_else(|| Error::permission_denied("upload"))?;
        // What was asked when the upload began binds whoever finishes it.
        if let Some(plan) = &self.row.plan {
            require_conditions(&plan.conditions, existing)?;
        }
        self.facts.path = Some(place.path.as_str().to_owned());
        self.facts.view_path = Some(place.view_path.as_str().to_owned());
        match existing {
            Some(node) if node.is_folder() => {
                return Err(Error::new(ErrorKind::IsFolder, "a folder was made under that name meanwhile"));
            }
            Some(_) => {
                if matches!(self.options.disposition, Disposition::Create { .. }) {
                    return Err(Error::already_exists());
                }
                policy::require(place.permissions, Permission::Overwrite)?;
            }
            None => policy::require(place.permissions, Permission::Upload)?,
        }
        require_match(self.options.if_match.as_deref(), existing)?;
        let current = existing.and_then(|node| node.content.as_ref()).map(|content| content.version);
        if self.row.compare_base && current != self.row.base_version {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the file was replaced by somebody else since it was opened; read it again and repeat the change",
            ));
        }
        require_unreserved(&mut *tx, parent, name, Some(self.row.id)).await
    }

    async fn switch(&self, tx: &mut dyn Tx, existing: Option<Node>, content: Content) -> Result<Node> {
        let now = now();
        let size = content.size as i64;
        let set = &self.row.attributes;
        let modified_at = set.modified_at.unwrap_or(now);
        let created_by = Inner::actor(&self.session);
        let node = if let Some(mut node) = existing {
            release_version(&mut *tx, &node).await?;
            node.content = Some(content);
            node.modified_at = modified_at;
            node.attributes = node.attributes.merged(&Attributes { modified_at: None, ..set.clone() });
            node.created_by = created_by;
            self.options.labels.apply(&mut node)?;
            tx.update_node(&node).await?;
            node
        } else {
            let mut node = Node {
                id: Uuid::now_v7(),
                tenant: self.row.tenant.clone(),
                parent: self.row.parent,
                name: self.row.name.clone(),
                content: Some(content),
                created_at: now,
                modified_at,
                attributes: Attributes { modified_at: None, ..set.clone() },
                created_by,
                classification: None,
                tags: std::collections::BTreeMap::new(),
            };
            self.options.labels.apply(&mut node)?;
            tx.insert_node(&node).await?;
            node
        };
        tx.add_usage(&self.row.tenant, &node.created_by.identity, size).await?;
        Ok(node)
    }
}
