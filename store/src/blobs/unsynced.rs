//! A test port: a store that loses what was not synced, as a disk does in a power cut, and that fails on demand.
//! Nothing of the gateway uses it outside tests.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::ports::{BlobReader, BlobStore, BlobWriter};
use causeway_core::records::BlobId;
use causeway_core::{Error, ErrorKind, Result};
use uuid::Uuid;

use super::MemoryBlobs;
use super::memory::MemoryBlob;

/// An operation that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// [`BlobStore::create`].
    Create,
    /// [`BlobWriter::append`]: nothing is appended, and the writer is of no more use.
    Append,
    /// [`BlobWriter::sync`]: nothing becomes durable, and the writer is of no more use.
    Sync,
    /// [`BlobStore::open`].
    Open,
    /// [`BlobReader::read_at`].
    Read,
    /// [`BlobStore::remove`]: the blob stays.
    Remove,
}

/// A blob store with a power switch: [`PowerCut::cut`] takes every byte appended since the last sync of its blob, and
/// every blob that was never synced. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct PowerCut {
    blobs: MemoryBlobs,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How often the power went. Writers and readers of an earlier life are dead.
    life: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How much of a blob is durable.
    durable: HashMap<Uuid, u64>,
    /// Durable blobs whose removal is not durable.
    removed: Vec<(BlobId, MemoryBlob, u64)>,
    faults: Vec<Fault>,
    log: VecDeque<(Op, Uuid)>,
}

#[derive(Debug)]
struct Fault {
    op: Op,
    /// How many more of them go well before.
    after: usize,
    kind: ErrorKind,
}

/// How many operations [`PowerCut::log`] remembers.
const LOG: usize = 100_000;

impl PowerCut {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the power go and come back. What is open now answers `Unavailable` from here on.
    pub fn cut(&self) {
        let mut state = self.shared.state();
        self.shared.life.fetch_add(1, Ordering::AcqRel);
        state.removed.clear();
        self.blobs.retain(|key, blob| match state.durable.get(&key) {
            Some(len) => {
                blob.truncate(*len);
                true
            }
            None => false,
        });
    }

    /// As [`PowerCut::cut`], and removals since the last cut are undone: removing syncs nothing, so a disk may do that.
    pub fn cut_and_undo_removals(&self) {
        let removed = std::mem::take(&mut self.shared.state().removed);
        for (id, blob, len) in removed {
            self.shared.state().durable.insert(id.key, len);
            self.blobs.put(id, blob);
        }
        self.cut();
    }

    /// Lets the next operation of this sort fail with this kind. Several calls make several fail, one after the other.
    pub fn fail_next(&self, op: Op, kind: ErrorKind) {
        let waiting = self.shared.state().faults.iter().filter(|fault| fault.op == op).count();
        self.fail_after(op, waiting, kind);
    }

    /// Lets an operation of this sort fail with this kind, after `well` others from now on went well.
    pub fn fail_after(&self, op: Op, well: usize, kind: ErrorKind) {
        self.shared.state().faults.push(Fault { op, after: well, kind });
    }

    /// What was done since the last call, oldest first, what failed included: the operation and the blob's key.
    pub fn take_log(&self) -> Vec<(Op, Uuid)> {
        self.shared.state().log.drain(..).collect()
    }

    /// Bytes of all blobs that are there, durable or not.
    pub fn size(&self) -> u64 {
        self.blobs.size()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an operation, and fails it where that was asked for.
    fn pass(&self, op: Op, key: Uuid) -> Result<()> {
        let mut state = self.state();
        if state.log.len() >= LOG {
            state.log.pop_front();
        }
        state.log.push_back((op, key));
        let due = state.faults.iter().position(|fault| fault.op == op && fault.after == 0);
        for fault in state.faults.iter_mut().filter(|fault| fault.op == op) {
            fault.after = fault.after.saturating_sub(1);
        }
        match due {
            None => Ok(()),
            Some(index) => {
                let kind = state.faults.remove(index).kind;
                Err(Error::new(kind, "a fault that a test asked for"))
            }
        }
    }

    /// Fails what was opened before the power went.
    fn alive(&self, life: u64) -> Result<()> {
        if self.life.load(Ordering::Acquire) == life {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, "the power went after this was opened"))
    }
}

#[async_trait]
impl BlobStore for PowerCut {
    async fn create(&self, id: &BlobId) -> Result<Box<dyn BlobWriter>> {
        self.shared.pass(Op::Create, id.key)?;
        let life = self.shared.life.load(Ordering::Acquire);
        let blob = self.blobs.begin(id)?;
        Ok(Box::new(Writer { key: id.key, blob, life, shared: self.shared.clone(), failed: None }))
    }

    async fn open(&self, id: &BlobId) -> Result<Arc<dyn BlobReader>> {
        self.shared.pass(Op::Open, id.key)?;
        let life = self.shared.life.load(Ordering::Acquire);
        let blob = self.blobs.find(id)?;
        Ok(Arc::new(Reader { key: id.key, blob, life, shared: self.shared.clone() }))
    }

    async fn remove(&self, id: &BlobId) -> Result<()> {
        self.shared.pass(Op::Remove, id.key)?;
        let mut state = self.shared.state();
        if let Some((id, blob)) = self.blobs.take(id)?
            && let Some(len) = state.durable.remove(&id.key)
        {
            state.removed.push((id, blob, len));
        }
        Ok(())
    }

    /// Durable at once.
    async fn claim(&self, gateway: Uuid) -> Result<()> {
        self.blobs.claim(gateway).await
    }

    async fn keys(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<BlobId>> {
        self.blobs.keys(after, limit).await
    }
}

struct Writer {
    key: Uuid,
    blob: MemoryBlob,
    life: u64,
    shared: Arc<Shared>,
    /// The first failure, which every later call repeats.
    failed: Option<Error>,
}

impl Writer {
    fn attempt(&mut self, op: Op) -> Result<()> {
        self.shared.alive(self.life)?;
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.shared.pass(op, self.key).inspect_err(|error| self.failed = Some(error.clone()))
    }
}

#[async_trait]
impl BlobWriter for Writer {
    async fn append(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        self.attempt(Op::Append)?;
        self.blob.append_all(pieces);
        Ok(())
    }

    async fn sync(&mut self) -> Result<()> {
        self.attempt(Op::Sync)?;
        let mut state = self.shared.state();
        // The power may have gone since; then this life's blob is not to become durable any more.
        self.shared.alive(self.life)?;
        state.durable.insert(self.key, self.blob.len());
        Ok(())
    }
}

struct Reader {
    key: Uuid,
    blob: MemoryBlob,
    life: u64,
    shared: Arc<Shared>,
}

#[async_trait]
impl BlobReader for Reader {
    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        self.shared.alive(self.life)?;
        self.shared.pass(Op::Read, self.key)?;
        Ok(self.blob.read(offset, len))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::blobs::contract::{blob_id, read_all};

    #[tokio::test]
    async fn what_was_not_synced_is_gone() {
        let store = PowerCut::new();
        let (kept, lost) = (blob_id("p"), blob_id("p"));
        let mut writer = store.create(&kept).await.unwrap();
        writer.append(vec![Bytes::from_static(b"synced")]).await.unwrap();
        writer.sync().await.unwrap();
        writer.append(vec![Bytes::from_static(b" and not")]).await.unwrap();
        let mut never = store.create(&lost).await.unwrap();
        never.append(vec![Bytes::from_static(b"x")]).await.unwrap();
        let reader = store.open(&kept).await.unwrap();
        assert_eq!(read_all(&store, &kept).await, &b"synced and not"[..]);

        store.cut();
        assert_eq!(read_all(&store, &kept).await, &b"synced"[..]);
        assert!(store.open(&lost).await.is_err());
        assert_eq!(store.keys(None, 10).await.unwrap(), std::slice::from_ref(&kept));
        assert_eq!(writer.sync().await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(never.append(Vec::new()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(reader.read_at(0, 1).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(store.size(), 6);
    }

    #[tokio::test]
    async fn a_removal_can_be_undone_by_the_cut() {
        let store = PowerCut::new();
        let id = blob_id("");
        for undo in [false, true] {
            let mut writer = store.create(&id).await.unwrap();
            writer.append(vec![Bytes::from_static(b"x")]).await.unwrap();
            writer.sync().await.unwrap();
            writer.append(vec![Bytes::from_static(b"y")]).await.unwrap();
            store.remove(&id).await.unwrap();
            if undo {
                store.cut_and_undo_removals();
                assert_eq!(read_all(&store, &id).await, &b"x"[..]);
            } else {
                store.cut();
                assert!(store.open(&id).await.is_err());
            }
        }
    }

    #[tokio::test]
    async fn faults_come_when_asked_for() {
        let store = PowerCut::new();
        let id = blob_id("p");
        store.fail_next(Op::Create, ErrorKind::NoSpace);
        store.fail_next(Op::Create, ErrorKind::Unavailable);
        assert_eq!(store.create(&id).await.err().unwrap().kind(), ErrorKind::NoSpace);
        assert_eq!(store.create(&id).await.err().unwrap().kind(), ErrorKind::Unavailable);
        let mut writer = store.create(&id).await.unwrap();

        store.fail_after(Op::Append, 1, ErrorKind::NoSpace);
        writer.append(vec![Bytes::from_static(b"x")]).await.unwrap();
        assert_eq!(writer.append(Vec::new()).await.unwrap_err().kind(), ErrorKind::NoSpace);
        assert_eq!(writer.append(Vec::new()).await.unwrap_err().kind(), ErrorKind::NoSpace, "of no more use");
        assert_eq!(writer.sync().await.unwrap_err().kind(), ErrorKind::NoSpace);

        for (op, fails) in [(Op::Open, "open"), (Op::Remove, "remove")] {
            store.fail_next(op, ErrorKind::Internal);
            let failed =
                if fails == "open" { store.open(&id).await.is_err() } else { store.remove(&id).await.is_err() };
            assert!(failed, "{fails}");
        }
        assert_eq!(read_all(&store, &id).await, &b"x"[..]);
        let ops: Vec<Op> = store.take_log().into_iter().map(|(op, _)| op).collect();
        assert_eq!(ops.get(..5).unwrap(), [Op::Create, Op::Create, Op::Create, Op::Append, Op::Append]);
    }
}
