//! The lanes of uploads that come in parts: blobs that parts are appended to, each by one part at a time. A few lanes for
//! many parts keep the number of blobs small, and parts that come one after the other in one run. Only this process
//! appends to them, and what they hold counts when the upload's row says so: after a restart, or on another node, an
//! upload goes on with new lanes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::gateway::held;
use crate::ports::BlobWriter;
use crate::records::BlobId;

/// Parts of one upload that are received at a time.
const LANES: usize = 16;
/// How long further ones wait for their turn. Not longer: what has come of them meanwhile is read by nobody, and takes the room
/// of a connection that the parts before them may share with them (RFC 9113 section 5.2), so that all would stand still.
const WAIT: Duration = Duration::from_secs(1);
/// How long is waited for the parts of an upload to come to their end, where somebody has to know exactly where it stands.
const SETTLE: Duration = Duration::from_secs(10);
/// Lanes of all uploads that are kept open between parts: each is a file of the host's.
const MAX_IDLE: usize = 256;
/// What an upload may leave unused in its lanes, in bytes, before it has to be begun anew: parts that were cut, or sent again.
/// No quota knows of it.
const MAX_WASTE: u64 = 4 << 30;

/// A blob that parts are appended to.
pub(super) struct Lane {
    pub blob: BlobId,
    /// None until something is written.
    pub writer: Option<Box<dyn BlobWriter>>,
    /// Bytes appended so far.
    pub len: u64,
}

/// The right to receive a part.
pub(super) struct Turn {
    pub lane: Option<Lane>,
    /// None once it is given back.
    permit: Option<OwnedSemaphorePermit>,
    ended: Arc<Notify>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.ended.notify_waiters();
    }
}

struct Pool {
    idle: Vec<Lane>,
    wasted: u64,
    turns: Arc<Semaphore>,
    /// Told whenever a part has ended.
    ended: Arc<Notify>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle: Vec::new(), wasted: 0, turns: Arc::new(Semaphore::new(LANES)), ended: Arc::default() }
    }
}

/// The lanes of this process, by upload.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<HashMap<Uuid, Pool>>);

impl Lanes {
    /// Waits a moment for a turn to receive a part, with a lane where one is free. `Unavailable` where there is none,
    /// `NoSpace` where the upload has wasted too much.
    pub(super) async fn turn(&self, upload: Uuid) -> Result<Turn> {
        let (turns, ended) = {
            let mut pools = held(&self.0);
            let pool = pools.entry(upload).or_default();
            (pool.turns.clone(), pool.ended.clone())
        };
        let Ok(permit) = tokio::time::timeout(WAIT, turns.acquire_owned()).await else {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{LANES} parts of this upload are on their way already; send this one in a moment"),
            )
            .with_retry_after(WAIT));
        };
        let permit = permit.map_err(|_| Error::internal("the turns of an upload were closed"))?;
        let mut pools = held(&self.0);
        let pool = pools.entry(upload).or_default();
        if pool.wasted > MAX_WASTE {
            return Err(Error::new(
                ErrorKind::NoSpace,
                "too many parts of this upload were cut or sent again; begin it anew",
            ));
        }
        Ok(Turn { lane: pool.idle.pop(), permit: Some(permit), ended })
    }

    /// Waits until no part of an upload is on its way here. `Unavailable` where one still is after a while.
    pub(super) async fn settle(&self, upload: Uuid) -> Result<()> {
        let pool = held(&self.0).get(&upload).map(|pool| (pool.turns.clone(), pool.ended.clone()));
        let Some((turns, ended)) = pool else { return Ok(()) };
        // Not in the queue for all turns: parts that come meanwhile would have to wait behind it.
        let settled = async {
            loop {
                let one = ended.notified();
                if turns.available_permits() == LANES {
                    return;
                }
                one.await;
            }
        };
        match tokio::time::timeout(SETTLE, settled).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                "a part of this upload is still on its way; ask again in a moment",
            )
            .with_retry_after(WAIT)),
        }
    }

    /// Gives a lane back for the next part.
    pub(super) fn give_back(&self, upload: Uuid, lane: Lane) {
        let mut pools = held(&self.0);
        let open: usize = pools.values().map(|pool| pool.idle.len()).sum();
        if let Some(pool) = pools.get_mut(&upload)
            && open < MAX_IDLE
        {
            pool.idle.push(lane);
        }
    }

    /// Notes bytes in a lane that nothing will name.
    pub(super) fn waste(&self, upload: Uuid, bytes: u64) {
        let mut pools = held(&self.0);
        if let Some(pool) = pools.get_mut(&upload) {
            pool.wasted = pool.wasted.saturating_add(bytes);
        }
    }

    /// Closes the lanes of an upload that has ended, or has another holder.
    pub(super) fn close(&self, upload: Uuid) {
        held(&self.0).remove(&upload);
    }

    /// The uploads that have lanes here.
    pub(crate) fn uploads(&self) -> Vec<Uuid> {
        held(&self.0).keys().copied().collect()
    }

    /// Closes the lanes of an upload that no part is received of.
    pub(crate) fn close_idle(&self, upload: Uuid) {
        let mut pools = held(&self.0);
        if pools.get(&upload).is_some_and(|pool| pool.turns.available_permits() == LANES) {
            pools.remove(&upload);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_part_too_many_is_told_to_come_again() {
        let (lanes, upload) = (Lanes::default(), Uuid::now_v7());
        let mut turns = Vec::new();
        for _ in 0..LANES {
            turns.push(lanes.turn(upload).await.unwrap());
        }
        let error = lanes.turn(upload).await.err().unwrap();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(WAIT)));
        lanes.turn(Uuid::now_v7()).await.unwrap();
        turns.pop();
        lanes.turn(upload).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn settled_is_what_no_part_comes_of() {
        let (lanes, upload) = (Lanes::default(), Uuid::now_v7());
        lanes.settle(upload).await.unwrap();
        let turn = lanes.turn(upload).await.unwrap();
        assert_eq!(lanes.settle(upload).await.unwrap_err().kind(), ErrorKind::Unavailable);
        drop(turn);
        lanes.settle(upload).await.unwrap();
        // And it can go on.
        lanes.turn(upload).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_the_end_of_parts_keeps_no_other_part_waiting() {
        let (lanes, upload) = (Lanes::default(), Uuid::now_v7());
        let first = lanes.turn(upload).await.unwrap();
        let settled = lanes.settle(upload);
        let others = async {
            tokio::task::yield_now().await;
            let second = lanes.turn(upload).await.unwrap();
            drop(first);
            tokio::task::yield_now().await;
            drop(second);
        };
        let (settled, ()) = tokio::join!(settled, others);
        settled.unwrap();
    }
}
