//! Downloads: the mirror of uploads. A download keeps its version whatever happens to the name.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use uuid::Uuid;

use super::Pacer;
use super::ahead::Ahead;
use super::content::{MAX_READ, Reader};
use super::segments::Segments;
use super::source::{Kind, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Status};
use crate::gateway::{Inner, Place, enduring, held, locate_place};
use crate::identity::{Permission, Session};
use crate::jobs::Reap;
use crate::metrics::Direction;
use crate::namespace::{Entry, Target, existing, session_path};
use crate::policy;
use crate::ports::Durability;
use crate::records::{Micros, now};
use crate::trace::Span;

/// What a download is.
pub(crate) struct DownloadCore {
    inner: Arc<Inner>,
    session: Arc<Session>,
    pub(super) place: Place,
    pub(super) entry: Entry,
    id: Uuid,
    began: Instant,
    lease: (Micros, Uuid),
    pub(super) reader: Arc<Reader>,
    ahead: tokio::sync::Mutex<Ahead>,
    pacer: Arc<Pacer>,
    sent: Mutex<Sent>,
    /// What is told of it in a trace: it ends with this value.
    span: Span,
}

impl Drop for DownloadCore {
    fn drop(&mut self) {
        held(&self.inner.reads).remove(&self.lease);
        held(&self.inner.downloads).remove(&self.id);
    }
}

/// What was read so far.
#[derive(Default)]
struct Sent {
    bytes: u64,
    /// Which parts of the file: the same map that uploads use.
    parts: Segments,
    /// The reads jumped about so much that it is not known any more whether the whole file was read.
    scattered: bool,
}

/// Parts that are remembered of one download.
const MAX_PARTS: usize = 1024;

impl Sent {
    fn note(&mut self, offset: u64, len: u64) {
        self.bytes += len;
        if self.scattered {
            return;
        }
        self.parts.put(offset, len, None, 0);
        if self.parts.runs().len() > MAX_PARTS {
            self.scattered = true;
            self.parts = Segments::default();
        }
    }
}

/// A download under way. Dropping it is an incomplete download.
pub struct Download {
    core: Option<Arc<DownloadCore>>,
    entry: Entry,
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            let reaper = core.inner.reaper.clone();
            drop(reaper.send(Reap::Download(core)));
        }
    }
}

impl Inner {
    /// See [`crate::Gateway::begin_download`].
    pub(crate) async fn begin_download(self: &Arc<Self>, session: &Arc<Session>, target: &Target) -> Result<Download> {
        let result = self.begin_download_of(session, target).await;
        self.recorded(session, Operation::Download, target, result).await
    }

    async fn begin_download_of(self: &Arc<Self>, session: &Arc<Session>, target: &Target) -> Result<Download> {
        let core = self.open_download(session, target).await?;
        // A read's entry is committed before its first byte.
        self.put(Durability::Process, core.facts().audit(), Vec::new()).await?;
        let entry = core.entry.clone();
        held(&self.downloads).insert(core.id, Arc::downgrade(&core));
        Ok(Download { core: Some(core), entry })
    }

    /// Opens a version for reading: permission and lease. Nothing of it is on record yet.
    pub(super) async fn open_download(
        self: &Arc<Self>,
        session: &Arc<Session>,
        target: &Target,
    ) -> Result<Arc<DownloadCore>> {
        self.require_open()?;
        session.require_live()?;
        // The lease comes before the look at the ledger: the sweeper spares what was live when the oldest read began.
        let lease = (now(), Uuid::now_v7());
        held(&self.reads).insert(lease);
        let opened = self.open_version(session, target).await;
        let (place, entry, reader) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                held(&self.reads).remove(&lease);
                return Err(error);
            }
        };
        Ok(Arc::new(DownloadCore {
            inner: self.clone(),
            session: session.clone(),
            place,
            entry,
            id: Uuid::now_v7(),
            began: Instant::now(),
            lease,
            reader: Arc::new(reader),
            ahead: tokio::sync::Mutex::default(),
            pacer: self.pacer(session),
            sent: Mutex::default(),
            span: session.span.child("download"),
        }))
    }

    async fn open_version(&self, session: &Session, target: &Target) -> Result<(Place, Entry, Reader)> {
        let mut query = self.ledger.read(session.reach()).await?;
        let path = session_path(&mut *query, session, target).await?;
        let place = locate_place(session, &path)?;
        policy::require(place.permissions, Permission::Download)?;
        let node = existing(&mut *query, session, &place).await?;
        drop(query);
        let Some(content) = &node.content else {
            return Err(Error::new(ErrorKind::IsFolder, "this is a folder; list it instead"));
        };
        let reader = Reader::open(self, Segments::new(content.segments.clone())).await?;
        Ok((place, Entry::of_node(&node, path, false), reader))
    }
}

impl DownloadCore {
    pub(super) fn facts(&self) -> Facts {
        let mut facts = self.inner.facts_at(&self.session, Operation::Download, &self.place);
        facts.transfer_id = Some(self.id);
        facts.file_id = Some(self.entry.id);
        facts.size = Some(self.entry.size);
        facts.hash = self.entry.sha256;
        facts.content_type.clone_from(&self.entry.content_type);
        facts.trace = self.span.context().cloned();
        facts
    }

    /// Whose it is.
    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Its id, the path in the tenant's tree, the file's size, and the bytes that were read.
    pub(crate) fn under_way(&self) -> (Uuid, &str, u64, u64) {
        (self.id, self.place.path.as_str(), self.entry.size, held(&self.sent).bytes)
    }

    /// Tells how the download ended.
    pub(crate) async fn end(&self, failure: Option<&Error>) -> Result<()> {
        let mut facts = self.facts();
        {
            let sent = held(&self.sent);
            facts.bytes = Some(sent.bytes);
            facts.complete = Some(!sent.scattered && sent.parts.prefix() >= self.entry.size);
            self.span.note("file.size", self.entry.size);
            self.span.note("causeway.bytes", sent.bytes);
        }
        let took = self.began.elapsed();
        facts.duration_ms = u64::try_from(took.as_millis()).ok();
        let status = failure.map_or(Status::Completed, Status::of_failure);
        self.inner.metrics.transfer(self.session.protocol, Direction::Download, took, status, failure);
        let last = match failure {
            Some(error) => {
                self.span.fail_by(&self.session.cause(error));
                facts = facts.failed(&self.session.cause(error));
                // What was read for it and what it received are not the same: a download that broke off is not whole.
                facts.complete = Some(false);
                "transfer.failed"
            }
            None => "transfer.completed",
        };
        let events = vec![facts.event("file.downloaded"), facts.event(last)];
        self.inner
            .write(self.session.reach(), Durability::Process, move |tx| {
                let events = events.clone();
                Box::pin(async move { tx.append_events(&events).await })
            })
            .await
    }
}

impl Download {
    /// The file.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Waits until the session that it is for is ended; why it breaks off.
    pub async fn until_ended(&self) -> Error {
        match &self.core {
            Some(core) => core.session.until_ended().await,
            None => std::future::pending().await,
        }
    }

    /// The transfer's id.
    pub fn id(&self) -> Uuid {
        self.core.as_ref().map_or_else(Uuid::nil, |core| core.id)
    }

    /// Up to `len` bytes from `offset` (4 MiB at most at a time); fewer only at the end of the file, none beyond it.
    /// Waits for the bandwidth limit.
    pub async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let core = self.core.as_ref().ok_or_else(|| Error::internal("a download was used after its end"))?;
        let bytes = {
            let mut ahead = core.ahead.lock().await;
            ahead.read(&core.reader, core.entry.size, core.pacer.ahead(), offset, len.min(MAX_READ)).await?
        };
        if !bytes.is_empty() {
            held(&core.sent).note(offset, bytes.len() as u64);
            core.session.life.went(bytes.len() as u64);
            core.inner.metrics.went(core.session.protocol, bytes.len());
        }
        core.pacer.down(bytes.len()).await;
        Ok(bytes)
    }

    /// The content, to be read on this side: for a copy or a checksum.
    pub fn source(&self) -> Result<Source> {
        let core = self.core.as_ref().ok_or_else(|| Error::internal("a download was used after its end"))?;
        Ok(Source(Kind::Version(core.clone())))
    }

    /// The reader is done: tells `file.downloaded`, with the bytes that were read and whether that was the whole file,
    /// and `transfer.completed`.
    pub async fn finish(mut self) -> Result<()> {
        let Some(core) = self.core.take() else { return Ok(()) };
        let tasks = core.inner.tasks.clone();
        enduring(&tasks, "the end of a download", async move { core.end(None).await }).await?
    }

    /// The reader broke off: tells `file.downloaded` as incomplete, and `transfer.failed`.
    pub async fn fail(mut self, reason: Error) {
        let Some(core) = self.core.take() else { return };
        let tasks = core.inner.tasks.clone();
        let ended = async move {
            if let Err(error) = core.end(Some(&reason)).await {
                tracing::warn!(%error, "the end of a download could not be put on record");
            }
        };
        // Its failure is in the log.
        let _ = enduring(&tasks, "the end of a download", ended).await;
    }
}
