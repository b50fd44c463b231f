//! Blobs in memory: `kind = "memory"`, for tests and for trying things out. They are gone when the process ends.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use causeway_core::ports::{BlobReader, BlobStore, BlobWriter};
use causeway_core::records::BlobId;
use causeway_core::{Error, Result};
use uuid::Uuid;

use super::{belongs_to, check_prefix, missing};

/// Pieces from this size on are kept as they are. A smaller one is copied: it may be a slice of a network buffer many
/// times its size, which it would keep in memory.
const KEEP: usize = 16 * 1024;
/// Copied pieces are gathered in runs of this size.
const RUN: usize = 64 * 1024;

/// Blobs in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlobs {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    owner: Option<Uuid>,
    blobs: BTreeMap<Uuid, (BlobId, MemoryBlob)>,
}

impl MemoryBlobs {
    /// With nothing in it, and nobody's.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of all blobs that are there.
    pub fn size(&self) -> u64 {
        self.shared().blobs.values().map(|(_, blob)| blob.len()).sum()
    }

    /// Begins a blob; a key that is there is never written again.
    pub(super) fn begin(&self, id: &BlobId) -> Result<MemoryBlob> {
        check_prefix(&id.prefix)?;
        let mut shared = self.shared();
        if shared.blobs.contains_key(&id.key) {
            return Err(Error::internal(format_args!("blob {} is there already", id.key)));
        }
        let blob = MemoryBlob::default();
        shared.blobs.insert(id.key, (id.clone(), blob.clone()));
        Ok(blob)
    }

    pub(super) fn find(&self, id: &BlobId) -> Result<MemoryBlob> {
        check_prefix(&id.prefix)?;
        // A blob is under its prefix, here as on a disk.
        let shared = self.shared();
        let found = shared.blobs.get(&id.key).filter(|(stored, _)| stored.prefix == id.prefix);
        found.map(|(_, blob)| blob.clone()).ok_or_else(|| missing(id.key))
    }

    pub(super) fn take(&self, id: &BlobId) -> Result<Option<(BlobId, MemoryBlob)>> {
        check_prefix(&id.prefix)?;
        let mut shared = self.shared();
        let there = shared.blobs.get(&id.key).is_some_and(|(stored, _)| stored.prefix == id.prefix);
        Ok(if there { shared.blobs.remove(&id.key) } else { None })
    }

    pub(super) fn put(&self, id: BlobId, blob: MemoryBlob) {
        self.shared().blobs.insert(id.key, (id, blob));
    }

    /// Keeps the blobs for which `keep` answers true.
    pub(super) fn retain(&self, mut keep: impl FnMut(Uuid, &MemoryBlob) -> bool) {
        self.shared().blobs.retain(|key, (_, blob)| keep(*key, blob));
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    async fn create(&self, id: &BlobId) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(self.begin(id)?))
    }

    async fn open(&self, id: &BlobId) -> Result<Arc<dyn BlobReader>> {
        Ok(Arc::new(self.find(id)?))
    }

    async fn remove(&self, id: &BlobId) -> Result<()> {
        self.take(id).map(drop)
    }

    async fn claim(&self, gateway: Uuid) -> Result<()> {
        match *self.shared().owner.get_or_insert(gateway) {
            owner if owner == gateway => Ok(()),
            other => Err(belongs_to(other)),
        }
    }

    async fn keys(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<BlobId>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let shared = self.shared();
        Ok(shared.blobs.range((from, Bound::Unbounded)).take(limit).map(|(_, (id, _))| id.clone()).collect())
    }
}

/// One blob, shared by its writer, its readers and the store.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryBlob {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    /// Where each run begins, and the run. They follow each other without gap.
    runs: Vec<(u64, Bytes)>,
    /// The small pieces since the last run.
    tail: BytesMut,
    /// Where the tail begins.
    tail_start: u64,
}

impl MemoryBlob {
    pub(super) fn append_all(&self, pieces: Vec<Bytes>) {
        let mut content = self.content();
        for piece in pieces {
            content.append(piece);
        }
    }

    pub(super) fn read(&self, offset: u64, len: usize) -> Bytes {
        self.content().read(offset, len)
    }

    pub(super) fn len(&self) -> u64 {
        self.content().len()
    }

    /// Cuts it to this length.
    pub(super) fn truncate(&self, len: u64) {
        self.content().truncate(len);
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn len(&self) -> u64 {
        self.tail_start + self.tail.len() as u64
    }

    fn append(&mut self, piece: Bytes) {
        if piece.len() >= KEEP {
            self.seal();
            self.push(piece);
        } else {
            self.tail.extend_from_slice(&piece);
            if self.tail.len() >= RUN {
                self.seal();
            }
        }
    }

    /// Makes a run of the tail.
    fn seal(&mut self) {
        let tail = std::mem::take(&mut self.tail).freeze();
        self.push(tail);
    }

    fn push(&mut self, run: Bytes) {
        if !run.is_empty() {
            let start = self.tail_start;
            self.tail_start += run.len() as u64;
            self.runs.push((start, run));
        }
    }

    /// Without a copy where the range lies in one run, else copied together.
    fn read(&self, offset: u64, len: usize) -> Bytes {
        let end = offset.saturating_add(len as u64).min(self.len());
        if offset >= end {
            return Bytes::new();
        }
        let part = |start: u64, run_len: usize| {
            // Both ends lie within the run, so they fit its length.
            let from = offset.saturating_sub(start).min(run_len as u64) as usize;
            let to = end.saturating_sub(start).min(run_len as u64) as usize;
            from..to
        };
        let first = self.runs.partition_point(|(start, run)| start + run.len() as u64 <= offset);
        let touched = || self.runs.iter().skip(first).take_while(|(start, _)| *start < end);
        if let Some((start, run)) = touched().next()
            && start + run.len() as u64 >= end
        {
            return run.slice(part(*start, run.len()));
        }
        let mut copy = BytesMut::with_capacity((end - offset) as usize);
        for (start, run) in touched() {
            copy.extend_from_slice(run.get(part(*start, run.len())).unwrap_or_default());
        }
        copy.extend_from_slice(self.tail.get(part(self.tail_start, self.tail.len())).unwrap_or_default());
        copy.freeze()
    }

    fn truncate(&mut self, len: u64) {
        if len >= self.len() {
            return;
        }
        self.seal();
        self.runs.retain(|(start, _)| *start < len);
        if let Some((start, run)) = self.runs.last_mut() {
            run.truncate((len - *start).min(run.len() as u64) as usize);
        }
        self.tail_start = len;
    }
}

#[async_trait]
impl BlobWriter for MemoryBlob {
    async fn append(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        self.append_all(pieces);
        Ok(())
    }

    /// Memory has nothing more durable to offer.
    async fn sync(&mut self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl BlobReader for MemoryBlob {
    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        Ok(self.read(offset, len))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the pieces, ranges and cuts: the same bytes as one flat buffer would have.
        #[test]
        fn it_reads_like_one_flat_buffer(
            pieces in proptest::collection::vec(0usize..40_000, 0..12),
            ranges in proptest::collection::vec((0u64..300_000, 0usize..100_000), 1..8),
            cut in proptest::option::of(0u64..300_000),
        ) {
            let mut flat = Vec::new();
            let blob = MemoryBlob::default();
            for (index, len) in pieces.iter().enumerate() {
                let piece: Vec<u8> = (0..*len).map(|n| (n * 31 + index) as u8).collect();
                flat.extend_from_slice(&piece);
                blob.append_all(vec![Bytes::from(piece)]);
            }
            if let Some(cut) = cut {
                flat.truncate(cut as usize);
                blob.truncate(cut);
                blob.append_all(vec![Bytes::from_static(b"more")]);
                flat.extend_from_slice(b"more");
            }
            prop_assert_eq!(blob.len(), flat.len() as u64);
            for (offset, len) in ranges {
                let from = (offset as usize).min(flat.len());
                let to = (from + len).min(flat.len());
                let expected = if offset as usize >= flat.len() { &[][..] } else { flat.get(from..to).unwrap() };
                prop_assert_eq!(&blob.read(offset, len)[..], expected);
            }
        }
    }

    #[test]
    fn a_large_piece_is_kept_and_a_small_one_does_not_pin_its_buffer() {
        let blob = MemoryBlob::default();
        let large = Bytes::from(vec![1u8; KEEP]);
        blob.append_all(vec![large.clone()]);
        assert_eq!(blob.read(0, KEEP).as_ptr(), large.as_ptr());
        let buffer = Bytes::from(vec![2u8; 1 << 20]);
        blob.append_all(vec![buffer.slice(..100)]);
        assert!(buffer.is_unique());
    }
}
