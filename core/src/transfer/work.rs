//! What an upload's holder works on: the map of runs, the blob it appends to, the hash that follows the prefix. One
//! task at a time holds it. Bytes are gathered into pieces of half a megabyte; while one piece is hashed and written,
//! the next is received.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::content::{Reader, write_whole};
use super::copy::Origin;
use super::digest::Hasher;
use super::media_type::HEAD;
use super::segments::Segments;
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::ports::{BlobStore, BlobWriter, Durability, Lock, Query, Reach};
use crate::records::{BlobId, UploadRow, UploadState, now};

/// Bytes that are gathered before they are hashed and written.
const PIECE: usize = 512 * 1024;
/// Pieces that are gathered at most: little ones take more memory than their bytes.
pub(super) const MAX_PIECES: usize = 1024;
/// Bytes that are read at a time where a content is hashed that was not hashed when it came.
const REHASH: usize = 1024 * 1024;
/// From this size on a piece is hashed on the blocking pool, beside its writing.
const HASH_APART: usize = 64 * 1024;
/// Quota is reserved in steps that grow with the upload, between these.
pub(super) const MIN_SLAB: u64 = 1024 * 1024;
pub(super) const MAX_SLAB: u64 = 64 * 1024 * 1024;

struct Flight {
    writer: Option<Box<dyn BlobWriter>>,
    hasher: Hasher,
    result: Result<()>,
}

/// The working state of one upload.
pub(crate) struct Work {
    /// The row as it was last stored.
    pub row: UploadRow,
    pub segments: Segments,
    /// Whether the upload began empty in this process: then its one blob is all that it references.
    pub plain: bool,
    /// Whether the content was changed at all.
    pub wrote: bool,
    /// End of the file, gathered bytes included.
    pub size: u64,
    /// Bytes received by this holder.
    pub received: u64,
    /// Where the content comes from.
    pub origin: Origin,
    /// The digest of the whole content as it is now, where it is known without reading it.
    known: Option<[u8; 32]>,
    /// What went wrong for good: nothing more is taken, nothing is published.
    pub failed: Option<Error>,
    /// Bytes of the quota that the version to be replaced already takes, where that is charged to the same identity and
    /// changed in place.
    pub credit: u64,
    /// Whether reading through this handle is on record.
    pub read_on_record: bool,
    /// The digest that the content must have.
    pub expected: Option<[u8; 32]>,
    /// Whether it was detached for idleness; the next write takes it up again, unless another session did.
    pub detached: bool,
    pub blob: BlobId,
    store: Arc<dyn BlobStore>,
    writer: Option<Box<dyn BlobWriter>>,
    blob_len: u64,
    flight: Option<JoinHandle<Flight>>,
    hasher: Hasher,
    hashed: u64,
    rehash: bool,
    pending: Vec<Bytes>,
    pending_at: u64,
    pending_len: usize,
    /// A small content as a whole, hashed and about to be written in one step.
    whole: Option<Vec<Bytes>>,
    since_checkpoint: u64,
    reader: Option<Reader>,
}

impl Work {
    /// Takes up an upload at what its row says, with a new blob to append to.
    pub(crate) fn new(row: UploadRow, blob: BlobId, store: Arc<dyn BlobStore>, plain: bool) -> Self {
        let mut segments = Segments::new(row.segments.clone());
        // What an earlier holder wrote counts.
        let wrote = row.generation > 1;
        if !row.compare_base {
            segments.cut(row.prefix);
        }
        let size = if row.compare_base { row.size } else { row.prefix };
        let resumed = row.hash_state.as_deref().and_then(Hasher::resume).filter(|_| row.hashed <= segments.prefix());
        let (hasher, hashed) = match resumed {
            Some(hasher) => (hasher, row.hashed),
            None => (Hasher::default(), 0),
        };
        Self {
            row,
            segments,
            plain,
            wrote,
            size,
            received: 0,
            origin: if wrote { Origin::Sent } else { Origin::Nothing },
            known: None,
            failed: None,
            credit: 0,
            read_on_record: false,
            expected: None,
            detached: false,
            blob,
            store,
            writer: None,
            blob_len: 0,
            flight: None,
            hasher,
            hashed,
            rehash: false,
            pending: Vec::new(),
            pending_at: 0,
            pending_len: 0,
            whole: None,
            since_checkpoint: 0,
            reader: None,
        }
    }

    /// Fails as it failed before.
    pub(crate) fn check(&self) -> Result<()> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Remembers what went wrong, and hands it on.
    pub(crate) fn fail<T>(&mut self, error: Error) -> Result<T> {
        self.failed.get_or_insert_with(|| error.clone());
        Err(error)
    }

    /// Takes bytes over.
    pub(crate) async fn write(&mut self, offset: u64, data: Bytes) -> Result<()> {
        let len = data.len();
        if len == 0 {
            return Ok(());
        }
        if self.pending_len > 0 && self.pending_at + self.pending_len as u64 != offset {
            self.flush().await?;
        }
        if self.pending_len == 0 {
            self.pending_at = offset;
        }
        self.pending.push(data);
        self.pending_len += len;
        self.received += len as u64;
        self.origin = Origin::Sent;
        self.known = None;
        self.size = self.size.max(offset + len as u64);
        self.wrote = true;
        if self.pending_len >= PIECE || self.pending.len() >= MAX_PIECES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends the gathered bytes on their way.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        if self.pending_len == 0 {
            return Ok(());
        }
        self.land().await?;
        let writer = self.writer.take();
        let (store, blob) = (self.store.clone(), self.blob.clone());
        let (at, len) = (self.pending_at, self.pending_len as u64);
        let pieces = std::mem::take(&mut self.pending);
        self.pending_len = 0;
        self.reader = None;
        self.segments.put(at, len, Some(&self.blob), self.blob_len);
        self.blob_len += len;
        self.since_checkpoint += len;
        let follows = !self.rehash && at == self.hashed;
        if follows {
            self.hashed += len;
        } else if at < self.hashed {
            self.rehash = true;
        }
        let mut hasher = std::mem::take(&mut self.hasher);
        self.flight = Some(tokio::spawn(async move {
            // In the flight, as a caller that goes away must not leave a blob behind that is there and not known.
            let mut writer = match writer {
                Some(writer) => writer,
                None => match store.create(&blob).await {
                    Ok(writer) => writer,
                    Err(error) => return Flight { writer: None, hasher, result: Err(error) },
                },
            };
            let mut apart = None;
            if follows {
                if len as usize >= HASH_APART {
                    let (pieces, mut moved) = (pieces.clone(), std::mem::take(&mut hasher));
                    apart = Some(tokio::task::spawn_blocking(move || {
                        moved.update(&pieces);
                        moved
                    }));
                } else {
                    hasher.update(&pieces);
                }
            }
            let mut result = writer.append(pieces).await;
            if let Some(apart) = apart {
                match apart.await {
                    Ok(done) => hasher = done,
                    Err(error) => result = result.and(Err(Error::internal(format_args!("hashing: {error}")))),
                }
            }
            Flight { writer: Some(writer), hasher, result }
        }));
        Ok(())
    }

    /// Takes the gathered bytes for the whole content, where they are that and few: then [`Self::sync`] writes them in one
    /// step, and no part of them is on the disk before. False: they are not.
    pub(crate) fn take_whole(&mut self) -> bool {
        let untouched = self.plain && self.blob_len == 0 && self.writer.is_none() && self.flight.is_none();
        let len = self.pending_len as u64;
        let all = len > 0 && self.pending_at == 0 && len == self.size && self.pending_len < HASH_APART;
        if !(untouched && all && !self.rehash && self.hashed == 0) {
            return false;
        }
        let pieces = std::mem::take(&mut self.pending);
        self.pending_len = 0;
        self.reader = None;
        self.segments.put(0, len, Some(&self.blob), 0);
        self.blob_len = len;
        self.hasher.update(&pieces);
        self.hashed = len;
        self.whole = Some(pieces);
        true
    }

    /// Waits for what is on its way.
    pub(crate) async fn land(&mut self) -> Result<()> {
        if let Some(flight) = &mut self.flight {
            let landed = flight.await;
            self.flight = None;
            match landed {
                Ok(Flight { writer, hasher, result }) => {
                    self.writer = writer;
                    self.hasher = hasher;
                    if let Err(error) = result {
                        return self.fail(error);
                    }
                }
                Err(error) => return self.fail(Error::internal(format_args!("writing: {error}"))),
            }
        }
        self.check()
    }

    /// Makes what was written so far durable. A failed sync is for good.
    pub(crate) async fn sync(&mut self) -> Result<()> {
        self.flush().await?;
        self.land().await?;
        if let Some(pieces) = self.whole.take()
            && let Err(error) = self.store.put(&self.blob, pieces).await
        {
            return self.fail(error);
        }
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.sync().await
        {
            return self.fail(error);
        }
        Ok(())
    }

    /// Whether a checkpoint is due.
    pub(crate) fn checkpoint_due(&self, every: u64) -> bool {
        self.since_checkpoint >= every
    }

    /// The row as a checkpoint of what is durable now.
    pub(crate) fn checkpointed(&self, state: UploadState) -> UploadRow {
        let valid = !self.rehash;
        UploadRow {
            state,
            size: self.size,
            prefix: self.segments.prefix(),
            segments: self.segments.runs().to_vec(),
            hash_state: valid.then(|| self.hasher.state()),
            hashed: if valid { self.hashed } else { 0 },
            // What nobody holds keeps no more of the quota than it takes.
            reserved: match state {
                UploadState::Detached => self.row.reserved.min(self.size),
                _ => self.row.reserved,
            },
            updated_at: now(),
            ..self.row.clone()
        }
    }

    /// Makes what was written so far durable and stores a checkpoint of it, which is as durable as is asked.
    pub(crate) async fn checkpoint(&mut self, inner: &Inner, durability: Durability) -> Result<()> {
        self.sync().await?;
        let row = self.checkpointed(UploadState::Open);
        self.put_row(inner, row, UploadState::Open, durability).await?;
        self.since_checkpoint = 0;
        Ok(())
    }

    /// The same without the checkpoint: nobody may go on with it, so nothing of it is to be there after the process.
    pub(crate) async fn settle_bytes(&mut self) -> Result<()> {
        self.sync().await?;
        self.since_checkpoint = 0;
        Ok(())
    }

    /// Stores the row where it still is in this state and this holder's; otherwise the upload was taken over.
    pub(crate) async fn store_row(&mut self, inner: &Inner, row: UploadRow, from: UploadState) -> Result<()> {
        self.put_row(inner, row, from, Durability::Process).await
    }

    async fn put_row(
        &mut self,
        inner: &Inner,
        row: UploadRow,
        from: UploadState,
        durability: Durability,
    ) -> Result<()> {
        let (stored, generation) = (row.clone(), self.row.generation);
        let held = inner
            .write(Reach::of(&stored.tenant), durability, move |tx| {
                let row = row.clone();
                Box::pin(async move { tx.update_upload(&row, &[from], generation).await })
            })
            .await?;
        if !held {
            return self.fail(taken_over());
        }
        self.row = stored;
        Ok(())
    }

    /// Takes an upload up again that was detached for idleness.
    pub(crate) async fn reattach(&mut self, inner: &Inner) -> Result<()> {
        if !self.detached {
            return Ok(());
        }
        let row = UploadRow { state: UploadState::Open, updated_at: now(), ..self.row.clone() };
        self.store_row(inner, row, UploadState::Detached).await?;
        self.detached = false;
        Ok(())
    }

    /// Reserves quota up to `end`. Fails with `QuotaExceeded`.
    pub(crate) async fn reserve(
        &mut self,
        inner: &Inner,
        end: u64,
        tenant: Option<u64>,
        identity: Option<u64>,
    ) -> Result<()> {
        let end = end.saturating_sub(self.credit);
        if end <= self.row.reserved || (tenant.is_none() && identity.is_none()) {
            return Ok(());
        }
        let slab = end.saturating_add(self.row.reserved.clamp(MIN_SLAB, MAX_SLAB));
        let (mut row, generation) = (self.row.clone(), self.row.generation);
        row.updated_at = now();
        let stored = inner
            .write(Reach::of(&self.row.tenant), Durability::Process, move |tx| {
                let mut row = row.clone();
                Box::pin(async move {
                    tx.lock(&[Lock::Quota(row.tenant.clone())]).await?;
                    let room = quota_room(&mut *tx, (&row.tenant, tenant), (&row.identity, identity)).await?;
                    if end - row.reserved > room {
                        return Err(quota_exceeded());
                    }
                    row.reserved = row.reserved.saturating_add(room.min(slab - row.reserved));
                    let state = row.state;
                    if tx.update_upload(&row, &[state], generation).await? { Ok(row) } else { Err(taken_over()) }
                })
            })
            .await;
        match stored {
            Ok(row) => {
                self.row = row;
                Ok(())
            }
            Err(error) => self.fail(error),
        }
    }

    /// Cuts or extends.
    pub(crate) async fn set_size(&mut self, size: u64) -> Result<()> {
        self.flush().await?;
        self.land().await?;
        if size == self.size {
            return Ok(());
        }
        if size < self.size {
            self.segments.cut(size);
            self.rehash |= size < self.hashed;
        }
        self.origin = Origin::Sent;
        self.known = None;
        self.size = size;
        self.wrote = true;
        self.reader = None;
        Ok(())
    }

    /// Reads what was written so far; gaps are zeros.
    pub(crate) async fn read(&mut self, inner: &Inner, offset: u64, len: usize) -> Result<Bytes> {
        self.flush().await?;
        self.land().await?;
        if offset >= self.size {
            return Ok(Bytes::new());
        }
        let reader = if let Some(reader) = self.reader.take() {
            reader
        } else {
            let mut whole = self.segments.clone();
            whole.fill(self.size);
            Reader::open(inner, whole).await?
        };
        let bytes = reader.read_at(offset, len).await;
        self.reader = Some(reader);
        bytes
    }

    /// The first bytes of the content, all of which is on its way to the storage or in hand as a whole.
    pub(crate) async fn head(&mut self, inner: &Inner) -> Result<Bytes> {
        let Some(pieces) = &self.whole else {
            let mut first = self.segments.clone();
            first.cut(HEAD as u64);
            return Reader::open(inner, first).await?.read_at(0, HEAD).await;
        };
        let mut head = Vec::new();
        for piece in pieces {
            head.extend_from_slice(piece.get(..HEAD.saturating_sub(head.len())).unwrap_or(piece));
        }
        Ok(head.into())
    }

    /// The hash of the whole content. Reads again only what the hash could not follow.
    pub(crate) async fn digest(&mut self, inner: &Inner) -> Result<[u8; 32]> {
        if let Some(known) = self.known {
            return Ok(known);
        }
        if self.rehash {
            self.hasher = Hasher::default();
            self.hashed = 0;
            self.rehash = false;
        }
        if self.hashed < self.size {
            let reader = Reader::open(inner, self.segments.clone()).await?;
            let mut piece = reader.read_at(self.hashed, REHASH).await?;
            while !piece.is_empty() {
                self.hashed += piece.len() as u64;
                let mut hasher = std::mem::take(&mut self.hasher);
                let hashing = tokio::task::spawn_blocking(move || {
                    hasher.update(&[piece]);
                    hasher
                });
                // The next piece is read while this one is hashed.
                let (hashed, next) = tokio::join!(hashing, reader.read_at(self.hashed, REHASH));
                self.hasher = hashed.map_err(|error| Error::internal(format_args!("hashing: {error}")))?;
                piece = next?;
            }
            if self.hashed < self.size {
                return Err(Error::internal("a content ended before its size"));
            }
        }
        Ok(self.hasher.finish())
    }

    /// Whether it began empty and nothing was written to it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.plain && !self.wrote && self.size == 0
    }

    /// Takes a whole content over whose blobs this upload refers to by now. It is empty.
    pub(crate) fn adopt(&mut self, segments: Segments, sha256: [u8; 32]) {
        self.size = segments.end();
        self.segments = segments;
        self.known = Some(sha256);
        self.plain = false;
        self.wrote = true;
        self.reader = None;
    }

    /// Copies the content into one new blob, where random writes have left it in too many runs. The blob's row is there.
    pub(crate) async fn compact(&mut self, inner: &Inner, blob: BlobId) -> Result<()> {
        let reader = Reader::open(inner, self.segments.clone()).await?;
        let writer = write_whole(&reader, self.size, self.store.create(&blob).await?, |_| Ok(())).await?;
        let mut segments = Segments::default();
        segments.put(0, self.size, Some(&blob), 0);
        self.segments = segments;
        self.blob = blob;
        self.blob_len = self.size;
        self.writer = Some(writer);
        self.plain = false;
        Ok(())
    }
}

pub(crate) fn taken_over() -> Error {
    Error::new(ErrorKind::Conflict, "the upload was taken over, replaced or removed by another session; begin again")
}

/// Bytes that the quotas leave, of a tenant and of one of its identities; each by its id, with its quota, if it has one.
pub(crate) async fn quota_room(
    query: &mut dyn Query,
    (tenant, tenant_quota): (&str, Option<u64>),
    (identity, identity_quota): (&str, Option<u64>),
) -> Result<u64> {
    let mut room = u64::MAX;
    if let Some(quota) = tenant_quota {
        room = room.min(quota.saturating_sub(query.usage(tenant, None).await?));
    }
    if let Some(quota) = identity_quota {
        room = room.min(quota.saturating_sub(query.usage(tenant, Some(identity)).await?));
    }
    Ok(room)
}

pub(crate) fn quota_exceeded() -> Error {
    Error::new(ErrorKind::QuotaExceeded, "the quota is used up; remove files or ask for more room")
}
