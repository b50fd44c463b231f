//! What a session has with it that works on a job: whose step it does, and under which generation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::ports::Tx;
use crate::records::{ItemState, JobItem};

/// One worker's time with a job.
#[derive(Debug)]
pub(crate) struct Run {
    stop: CancellationToken,
    lost: AtomicBool,
    partial: AtomicU64,
}

impl Run {
    /// One that ends with this token.
    pub(super) fn new(stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { stop, lost: AtomicBool::new(false), partial: AtomicU64::new(0) })
    }

    /// The job is somebody else's, or nobody's any more.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.stop.cancel();
    }

    /// Whether it was lost.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Whether it is to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Bytes that were copied of the file under way.
    pub(super) fn partial(&self) -> u64 {
        self.partial.load(Ordering::Relaxed)
    }

    /// The next file begins.
    pub(super) fn next_file(&self) {
        self.partial.store(0, Ordering::Relaxed);
    }
}

/// The job that a session works on.
#[derive(Debug)]
pub(crate) struct Errand {
    /// Its id, which is the transfer's in all that the session leaves in the trail.
    pub job: Uuid,
    /// The generation with which it was claimed.
    pub generation: i64,
    /// The step under way; none while the steps are looked for.
    pub item: Option<JobItem>,
    /// The worker's time with it.
    pub run: Arc<Run>,
}

impl Errand {
    /// Notes bytes that were copied of the file under way; fails where the job is to go no further.
    pub(crate) fn moved(&self, bytes: u64) -> Result<()> {
        self.run.partial.store(bytes, Ordering::Relaxed);
        if self.run.is_stopped() { Err(interrupted()) } else { Ok(()) }
    }
}

/// Puts the step of an errand on record as done, in the transaction that does it. Fails where the job has changed hands: then
/// nothing of the transaction may happen.
pub(crate) async fn settle(tx: &mut dyn Tx, errand: Option<&Errand>, bytes: u64) -> Result<()> {
    let Some((errand, item)) = errand.and_then(|errand| Some((errand, errand.item.as_ref()?))) else { return Ok(()) };
    let done = JobItem { state: ItemState::Done, size: bytes, ..item.clone() };
    if tx.settle_item(errand.job, errand.generation, &done).await? { Ok(()) } else { Err(overtaken()) }
}

/// The job is not this worker's any more.
pub(super) fn overtaken() -> Error {
    Error::new(ErrorKind::Conflict, "the transfer was cancelled or is done by another process; nothing was changed")
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Unavailable, "the transfer was interrupted")
}
