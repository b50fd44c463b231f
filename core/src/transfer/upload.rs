//! The handle of an upload under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::commit::commit;
use super::detach::{detach, discard};
use super::pace::Pacer;
use super::work::Work;
use super::{Receipt, UploadOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Operation, Status};
use crate::gateway::{Inner, Place, enduring, held};
use crate::identity::{Permission, Session};
use crate::jobs::Reap;
use crate::metrics::Direction;
use crate::namespace::{Entry, Target};
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::Durability;
use crate::records::{Attributes, now};
use crate::trace::Span;

/// The largest offset that a file can have (2^63 - 1): files are described by signed 64-bit numbers.
const MAX_OFFSET: u64 = i64::MAX as u64;

/// What an upload is, apart from its working state.
pub(crate) struct UploadCore {
    pub inner: Arc<Inner>,
    pub session: Arc<Session>,
    pub place: Place,
    /// Below the session's root.
    pub path: VirtualPath,
    pub options: UploadOptions,
    pub id: Uuid,
    pub began: Instant,
    pub resumed: bool,
    /// Whether it was taken only to be completed: everything of it was acknowledged before, and no byte is new.
    pub completing: bool,
    /// The visible version when it began.
    pub visible: Option<Entry>,
    /// When it last received something.
    pub touched: AtomicI64,
    pub work: Arc<Mutex<Work>>,
    pub pacer: Arc<Pacer>,
    /// What is told of it in a trace: it ends with this value.
    pub span: Span,
}

impl UploadCore {
    /// Takes it off the list of uploads under way.
    pub(crate) fn unregister(&self) {
        let mut uploads = held(&self.inner.uploads);
        // Another session of this process may have resumed the upload: then the place is its.
        if uploads.get(&self.id).is_some_and(|other| std::ptr::eq(other.as_ptr(), self)) {
            uploads.remove(&self.id);
        }
    }

    /// Counts its end, once it has come.
    pub(super) fn count_end(&self, work: &Work, status: Status, error: Option<&Error>) {
        let direction = if work.copied_from().is_some() { Direction::Copy } else { Direction::Upload };
        self.inner.metrics.transfer(self.session.protocol, direction, self.began.elapsed(), status, error);
    }

    pub(super) fn check_range(&self, work: &Work, offset: u64, len: u64) -> Result<u64> {
        let end = offset.checked_add(len).filter(|end| *end <= MAX_OFFSET).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "the offset is beyond what a file can hold (2^63 - 1 bytes)")
        })?;
        if end > self.inner.limits().max_file_size {
            return Err(Error::too_large(self.inner.limits().max_file_size));
        }
        // What was announced of an upload in chunks binds whoever goes on with it.
        let planned = work.row.announced_size();
        if self.options.declared_size.or(planned).is_some_and(|size| end > size) {
            return Err(Error::new(ErrorKind::InvalidArgument, "more bytes were sent than were announced"));
        }
        Ok(end)
    }

    /// Takes bytes over at an offset; none: at the end.
    pub(super) async fn write(&self, work: &mut Work, offset: Option<u64>, data: Bytes) -> Result<()> {
        work.check()?;
        let offset = offset.unwrap_or(work.size);
        let end = match self.check_range(work, offset, data.len() as u64) {
            Ok(end) => end,
            Err(error) => return work.fail(error),
        };
        self.touched.store(now(), Ordering::Relaxed);
        work.reattach(&self.inner).await?;
        self.reserve(work, end).await?;
        self.session.life.came(data.len() as u64);
        work.write(offset, data).await?;
        if work.checkpoint_due(self.inner.settings.checkpoint_bytes) {
            if self.options.resumable {
                work.checkpoint(&self.inner, Durability::Process).await?;
            } else {
                work.settle_bytes().await?;
            }
        }
        Ok(())
    }

    /// Reads what was written so far.
    pub(super) async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let mut work = self.work.lock().await;
        work.check()?;
        if !work.plain {
            if let Err(error) = policy::require(self.place.permissions, Permission::Download) {
                // Once for a handle, however often it asks.
                if !std::mem::replace(&mut work.read_on_record, true) {
                    let target = Target::Path(self.path.clone());
                    self.inner.put_failed(&self.session, Operation::Download, (&target, None), &error).await;
                }
                return Err(error);
            }
            if !work.read_on_record {
                let mut facts = self.inner.facts_at(&self.session, Operation::Download, &self.place);
                facts.file_id = self.visible.as_ref().map(|entry| entry.id);
                facts.transfer_id = Some(self.id);
                self.inner.put(Durability::Process, facts.audit(), Vec::new()).await?;
                work.read_on_record = true;
            }
        }
        work.read(&self.inner, offset, len).await
    }

    pub(super) async fn reserve(&self, work: &mut Work, end: u64) -> Result<()> {
        let (tenant, identity) = self.session.quotas();
        work.reserve(&self.inner, end, tenant, identity).await
    }
}

/// The end of an upload, as a part of what is told of it in a trace.
pub(super) async fn traced(core: Arc<UploadCore>, end: impl Future<Output = Result<Receipt>>) -> Result<Receipt> {
    let done = core.span.within(end).await;
    match &done {
        Ok(receipt) => core.span.note("file.size", receipt.entry.size),
        Err(error) => core.span.fail_by(error),
    }
    done
}

/// An upload under way. Dropping it detaches it: its own identity can resume it, nobody else sees it.
pub struct Upload {
    core: Option<Arc<UploadCore>>,
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            core.span.fail("incomplete", false);
            // Nothing can be awaited here: the reaper takes over, and recovery stands behind it.
            let reaper = core.inner.reaper.clone();
            drop(reaper.send(Reap::Upload(core)));
        }
    }
}

impl Upload {
    pub(crate) fn new(core: Arc<UploadCore>) -> Self {
        held(&core.inner.uploads).insert(core.id, Arc::downgrade(&core));
        Self { core: Some(core) }
    }

    pub(super) fn core(&self) -> Result<&Arc<UploadCore>> {
        self.core.as_ref().ok_or_else(|| Error::internal("an upload was used after its end"))
    }

    /// The upload's id, which is its transfer's id too.
    pub fn id(&self) -> Uuid {
        self.core.as_ref().map_or_else(Uuid::nil, |core| core.id)
    }

    /// Whether it goes on with an upload that was begun before.
    pub fn is_resumed(&self) -> bool {
        self.core.as_ref().is_some_and(|core| core.resumed)
    }

    /// Writes bytes at an offset. Returns when they are taken over, not when they are durable; an error that writing
    /// behind met is told at the next call. In order is the fast path, any order is allowed. After an error nothing of
    /// this upload will be published.
    pub async fn write_at(&self, offset: u64, data: Bytes) -> Result<()> {
        self.write(Some(offset), data).await
    }

    /// Writes bytes at the end (SFTP's APPEND, FTP's APPE, HTTP bodies).
    pub async fn append(&self, data: Bytes) -> Result<()> {
        self.write(None, data).await
    }

    async fn write(&self, offset: Option<u64>, data: Bytes) -> Result<()> {
        let core = self.core()?;
        core.pacer.up(data.len()).await;
        let (bytes, mut work) = (data.len(), core.work.lock().await);
        core.write(&mut work, offset, data).await?;
        core.inner.metrics.came(core.session.protocol, bytes);
        Ok(())
    }

    /// Reads what was written so far (handles that read and write). Fewer bytes only at the end. Content that was there
    /// before needs `download`; what this handle wrote itself does not.
    pub async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let core = self.core()?;
        let bytes = core.read_at(offset, len).await?;
        core.session.life.went(bytes.len() as u64);
        core.inner.metrics.went(core.session.protocol, bytes.len());
        core.pacer.down(bytes.len()).await;
        Ok(bytes)
    }

    /// Sets the size (FSETSTAT): cuts, or extends with zeros.
    pub async fn set_size(&self, size: u64) -> Result<()> {
        let core = self.core()?;
        let mut work = core.work.lock().await;
        work.check()?;
        if let Err(error) = core.check_range(&work, size, 0) {
            return work.fail(error);
        }
        core.touched.store(now(), Ordering::Relaxed);
        work.reattach(&core.inner).await?;
        core.reserve(&mut work, size).await?;
        work.set_size(size).await
    }

    /// Attributes for the version to come. They need no permission of their own.
    pub async fn set_attributes(&self, attributes: Attributes) -> Result<()> {
        let core = self.core()?;
        let mut work = core.work.lock().await;
        work.check()?;
        work.row.attributes = work.row.attributes.merged(&attributes);
        Ok(())
    }

    /// The digest that the content must have, where the client tells it only now (a form field or trailer behind the
    /// content): `DigestMismatch` at commit, and nothing is published.
    pub async fn expect_sha256(&self, digest: [u8; 32]) -> Result<()> {
        self.core()?.work.lock().await.expected = Some(digest);
        Ok(())
    }

    /// The file as it would be if it were committed now.
    pub async fn stat(&self) -> Result<Entry> {
        let core = self.core()?;
        let work = core.work.lock().await;
        let mut entry = Entry::of_upload(&work.row, core.visible.as_ref(), core.path.clone());
        entry.size = work.size;
        entry.attributes = entry.attributes.merged(&Attributes { modified_at: None, ..work.row.attributes.clone() });
        if let Some(modified_at) = work.row.attributes.modified_at {
            entry.modified_at = modified_at;
        }
        Ok(entry)
    }

    /// Makes durable what was written so far (fsync@openssh.com): its bytes, and the checkpoint that tells of them. From
    /// then on neither a crash nor a power cut takes it from the upload; it is not visible for that.
    pub async fn sync(&self) -> Result<()> {
        let core = self.core()?;
        let mut work = core.work.lock().await;
        work.check()?;
        work.reattach(&core.inner).await?;
        work.checkpoint(&core.inner, Durability::Disk).await
    }

    /// Ends the upload: when this returns `Ok` the content is durable, visible, hashed, audited and its events are
    /// queued. It comes to its end even if the caller goes away. On an error nothing is published, and what was
    /// received stays as a detached upload where it can be of use.
    pub async fn commit(mut self) -> Result<Receipt> {
        let core = self.core.take().ok_or_else(|| Error::internal("an upload was used after its end"))?;
        let tasks = core.inner.tasks.clone();
        enduring(&tasks, "a commit", traced(core.clone(), Box::pin(commit(core)))).await?
    }

    /// Gives the upload up and removes what was written. It comes to its end even if the caller goes away.
    pub async fn discard(self) -> Result<()> {
        let cancelled = Error::new(ErrorKind::Incomplete, "the upload was given up");
        self.discard_as(Status::Cancelled, cancelled).await
    }

    /// The same, after a failure; `reason` stands in `upload.incomplete`, unless something of it had failed before.
    pub async fn discard_for(self, reason: &Error) -> Result<()> {
        self.discard_as(Status::Failed, reason.clone()).await
    }

    async fn discard_as(mut self, status: Status, reason: Error) -> Result<()> {
        let core = self.core.take().ok_or_else(|| Error::internal("an upload was used after its end"))?;
        let tasks = core.inner.tasks.clone();
        core.span.fail_by(&reason);
        enduring(&tasks, "a discard", async move { discard(&core, status, &reason).await }).await?
    }

    /// Leaves the upload to be resumed; `reason` stands in `upload.incomplete`. It comes to its end even if the
    /// caller goes away: a request whose client has reset it is dropped while it waits here.
    pub async fn detach(mut self, reason: Error) {
        if let Some(core) = self.core.take() {
            let tasks = core.inner.tasks.clone();
            core.span.fail_by(&reason);
            // Its failure is in the log.
            let _ = enduring(&tasks, "a detach", async move { detach(&core, &reason).await }).await;
        }
    }
}
