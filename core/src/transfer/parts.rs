//! Uploads that come in parts: begun by a plan, completed when all of it is there (`part.rs` receives the parts).

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use uuid::Uuid;

use super::begin::credit;
use super::commit::{LOOKUP_PAUSE, LOOKUPS, commit, published_entry};
use super::detach::{end_failed, put_detached};
use super::incomplete::{Incomplete, Own, no_such_upload, require_free};
use super::upload::{UploadCore, traced};
use super::work::{Work, taken_over};
use super::{Disposition, Receipt, UploadOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Operation;
use crate::gateway::{Inner, Place, enduring};
use crate::identity::{Scope, Session};
use crate::namespace::{Entry, Target};
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::{Durability, Lock, Tx};
use crate::records::{BlobId, Micros, Node, UploadPlan, UploadRow, UploadState, now};

/// The most chunks that an upload can have: its map has as many runs at most, and is written with each of them.
pub const MAX_CHUNKS: u64 = 10_000;

/// What completing an upload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The file is there: durable, visible, hashed, audited, its events queued.
    Published(Box<Receipt>),
    /// Something is missing; nothing has changed.
    Missing(Box<Incomplete>),
}

fn options_of(plan: &UploadPlan, make_folders: bool) -> UploadOptions {
    let disposition = match (plan.overwrite, plan.conditions.present) {
        (false, _) => Disposition::Create { reserve: false },
        (true, true) => Disposition::Truncate,
        (true, false) => Disposition::Replace,
    };
    UploadOptions {
        declared_size: plan.size,
        content_type: plan.content_type.clone(),
        expected_sha256: plan.digest(),
        make_folders,
        ..UploadOptions::new(disposition)
    }
}

#[derive(Clone)]
struct Completing {
    id: Uuid,
    parent: Uuid,
    name: String,
    path: VirtualPath,
    incarnation: Uuid,
    session: Arc<Session>,
    sha256: Option<[u8; 32]>,
    /// When it was asked for; the row that it took has changed last then.
    asked_at: Micros,
    expires_at: Micros,
}

/// What a completion found.
enum Found {
    Taken(Box<UploadRow>, Option<Box<Node>>),
    Missing(Box<UploadRow>),
    /// It was published by an earlier request, whose answer may not have come.
    Done(Box<Receipt>),
}

impl Completing {
    /// Takes the upload, where nothing is missing.
    async fn run(self, tx: &mut dyn Tx) -> Result<Found> {
        tx.lock(&[Lock::Name(self.parent, self.name.clone())]).await?;
        let mut row = tx.upload(self.id).await?.ok_or_else(no_such_upload)?;
        if row.state == UploadState::Committed {
            let entry = published_entry(&mut *tx, &self.session, &row, self.path).await?;
            return Ok(Found::Done(Box::new(Receipt { entry, created: true, transfer_id: row.id })));
        }
        require_free(&row)?;
        let announced = row.plan.as_ref().and_then(UploadPlan::digest);
        if self.sha256.zip(announced).is_some_and(|(asked, announced)| asked != announced) {
            return Err(Error::new(
                ErrorKind::DigestMismatch,
                "the upload was begun with another SHA-256, which binds; complete it with that one or none, or begin anew",
            ));
        }
        let visible = tx.child(row.parent, &row.name).await?;
        if row.parent != self.parent || row.name != self.name {
            return Err(taken_over());
        }
        if row.announced_size().is_some_and(|size| row.prefix < size) {
            return Ok(Found::Missing(Box::new(row)));
        }
        let generation = row.generation;
        row.state = UploadState::Open;
        row.generation += 1;
        row.incarnation = self.incarnation;
        row.session = self.session.id;
        row.exclusive = false;
        row.updated_at = self.asked_at;
        row.expires_at = self.expires_at;
        if !tx.update_upload(&row, &[UploadState::Detached], generation).await? {
            return Err(taken_over());
        }
        Ok(Found::Taken(Box::new(row), visible.map(Box::new)))
    }

    /// Whether it has taken the row.
    fn has(&self, row: &UploadRow) -> bool {
        row.state == UploadState::Open && row.incarnation == self.incarnation && row.updated_at == self.asked_at
    }
}

impl Inner {
    /// See [`crate::Gateway::plan_upload`].
    pub(crate) async fn plan_upload(
        self: &Arc<Self>,
        session: &Arc<Session>,
        path: &VirtualPath,
        plan: UploadPlan,
        make_folders: bool,
    ) -> Result<Incomplete> {
        let (inner, owner, to) = (self.clone(), session.clone(), path.clone());
        let begun = async move {
            if plan.chunk_size == 0 || plan.chunks().is_some_and(|chunks| chunks > MAX_CHUNKS) {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("an upload has at most {MAX_CHUNKS} chunks; choose larger ones"),
                ));
            }
            let beginning = inner.beginning(&owner, &to, options_of(&plan, make_folders), Some(plan))?;
            inner.run_beginning(beginning).await
        };
        let result = enduring(&self.tasks, "beginning an upload", begun).await.flatten();
        let begun = self.recorded(session, Operation::Upload, &Target::Path(path.clone()), result).await?;
        Ok(Incomplete::of(&begun.row, Some(path.clone())))
    }

    /// See [`crate::Gateway::complete_upload`].
    pub(crate) async fn complete_upload(
        self: &Arc<Self>,
        session: &Arc<Session>,
        id: Uuid,
        sha256: Option<[u8; 32]>,
    ) -> Result<Completion> {
        let (inner, owner) = (self.clone(), session.clone());
        let completed = async move {
            let taken = inner.take_to_complete(&owner, id, sha256).await;
            let (found, at) = inner.upload_recorded(&owner, Some(id), taken).await?;
            let receipt = match found {
                Found::Missing(row) => {
                    return Ok(Completion::Missing(Box::new(Incomplete::of(&row, Some(at.1)))));
                }
                Found::Done(receipt) => return Ok(Completion::Published(receipt)),
                Found::Taken(row, visible) => {
                    inner.lanes.close(id);
                    let core = Arc::new(inner.completing(&owner, *row, at, visible.as_deref(), sha256)?);
                    traced(core.clone(), Box::pin(publish(core))).await?
                }
            };
            Ok(Completion::Published(Box::new(receipt)))
        };
        enduring(&self.tasks, "completing an upload", completed).await?
    }

    async fn take_to_complete(
        &self,
        session: &Arc<Session>,
        id: Uuid,
        sha256: Option<[u8; 32]>,
    ) -> Result<(Found, (Place, VirtualPath))> {
        self.require_open()?;
        policy::require_scope(session, Scope::FilesWrite)?;
        self.ledger.has_room()?;
        let own = Own::find(&mut *self.ledger.read(session.reach()).await?, session, id).await?;
        let at = own.writable()?;
        let completing = Completing {
            id,
            parent: own.row.parent,
            name: own.row.name.clone(),
            path: at.1.clone(),
            incarnation: self.incarnation,
            session: session.clone(),
            sha256,
            asked_at: now(),
            expires_at: self.expiry(),
        };
        let again = completing.clone();
        let found = self
            .write(session.reach(), Durability::Process, move |tx| {
                let completing = completing.clone();
                Box::pin(async move { completing.run(tx).await })
            })
            .await;
        match found {
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok((self.look_up_taken(&again, error).await?, at)),
            found => Ok((found?, at)),
        }
    }

    /// Where COMMIT's outcome is not known, the row tells: taken by this process and held by nobody, it would be out of
    /// everybody's reach until the process ends.
    async fn look_up_taken(&self, completing: &Completing, error: Error) -> Result<Found> {
        let mut refused = 0;
        for _ in 0..LOOKUPS {
            match self.find_taken(completing).await {
                Ok(Some(found)) => return Ok(found),
                // It may still come to its end at this very moment: asked twice.
                Ok(None) if refused > 0 => break,
                Ok(None) => refused += 1,
                Err(_) => {}
            }
            tokio::time::sleep(LOOKUP_PAUSE).await;
        }
        Err(error)
    }

    async fn find_taken(&self, completing: &Completing) -> Result<Option<Found>> {
        let mut query = self.ledger.read(completing.session.reach()).await?;
        let Some(row) = query.upload(completing.id).await?.filter(|row| completing.has(row)) else { return Ok(None) };
        let visible = query.child(row.parent, &row.name).await?;
        Ok(Some(Found::Taken(Box::new(row), visible.map(Box::new))))
    }

    /// The holder of an upload that was taken to be completed.
    fn completing(
        self: &Arc<Self>,
        session: &Arc<Session>,
        row: UploadRow,
        (place, path): (Place, VirtualPath),
        visible: Option<&Node>,
        sha256: Option<[u8; 32]>,
    ) -> Result<UploadCore> {
        let options = match &row.plan {
            Some(plan) => options_of(plan, false),
            None => UploadOptions::new(Disposition::Replace),
        };
        // Nothing is written to it, unless too many runs are copied into one; that takes a key of its own.
        let blob = BlobId {
            key: Uuid::new_v4(),
            storage: row.storage.as_str().into(),
            prefix: row.prefix_path.as_str().into(),
        };
        let store = self.storage(&row.storage)?.clone();
        let credit = credit(&row, visible);
        let (id, visible) = (row.id, visible.map(|node| Entry::of_node(node, path.clone(), false)));
        let age = Duration::from_micros(u64::try_from(now() - row.created_at).unwrap_or(0));
        let mut work = Work::new(row, blob, store, false);
        work.expected = sha256.or(options.expected_sha256);
        work.received = work.size;
        work.credit = credit;
        Ok(UploadCore {
            inner: self.clone(),
            session: session.clone(),
            place,
            path,
            options,
            id,
            resumed: true,
            completing: true,
            began: Instant::now().checked_sub(age).unwrap_or_else(Instant::now),
            visible,
            touched: AtomicI64::new(now()),
            work: Arc::new(Mutex::new(work)),
            pacer: self.pacer(session),
            span: session.span.child("upload"),
        })
    }
}

/// Publishes it. A wrong digest leaves the upload as it is: a chunk can be sent again, and it be completed then.
async fn publish(core: Arc<UploadCore>) -> Result<Receipt> {
    let mut work = core.work.lock().await;
    if let Some(expected) = work.expected {
        let error = match work.digest(&core.inner).await {
            Ok(digest) if digest == expected => None,
            Ok(_) => Some(Error::new(
                ErrorKind::DigestMismatch,
                "the content does not have the announced SHA-256; nothing was published, send what is wrong again or begin anew",
            )),
            Err(error) => Some(error),
        };
        match error {
            None => {}
            Some(error) if error.kind() == ErrorKind::DigestMismatch => {
                put_detached(&core, &work, work.checkpointed(UploadState::Detached), &error).await?;
                return Err(error);
            }
            Some(error) => {
                end_failed(&core, &work, &error).await;
                return Err(error);
            }
        }
    }
    drop(work);
    commit(core).await
}
