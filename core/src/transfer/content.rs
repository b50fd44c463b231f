//! Reading a content along its runs.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::media_type::HEAD;
use super::segments::Segments;
use crate::error::{Error, Result};
use crate::gateway::Inner;
use crate::ports::{BlobReader, BlobWriter};
use crate::records::{BlobId, Content, Segment};

/// The most that one read returns.
pub(crate) const MAX_READ: usize = 4 * 1024 * 1024;

/// Copies a content into a blob whose row is there, durably. `moved` hears how far it came, and may end it.
pub(crate) async fn copy_content(
    inner: &Inner,
    content: &Content,
    blob: &BlobId,
    moved: impl Fn(u64) -> Result<()> + Send + Sync,
) -> Result<()> {
    let reader = Reader::open(inner, Segments::new(content.segments.clone())).await?;
    let writer = inner.storage(&blob.storage)?.create(blob).await?;
    write_whole(&reader, content.size, writer, moved).await?.sync().await
}

/// The first bytes of a content: what its type is judged by.
pub(crate) async fn head_of(inner: &Inner, content: &Content) -> Result<Bytes> {
    let mut first = Segments::new(content.segments.clone());
    first.cut(HEAD as u64);
    Reader::open(inner, first).await?.read_at(0, HEAD).await
}

/// Appends all that a reader has to a blob.
pub(crate) async fn write_whole(
    reader: &Reader,
    size: u64,
    mut writer: Box<dyn BlobWriter>,
    moved: impl Fn(u64) -> Result<()> + Send + Sync,
) -> Result<Box<dyn BlobWriter>> {
    let mut at = 0;
    while at < size {
        let piece = reader.read_at(at, MAX_READ).await?;
        if piece.is_empty() {
            return Err(Error::internal("a content ended before its size"));
        }
        at += piece.len() as u64;
        writer.append(vec![piece]).await?;
        moved(at)?;
    }
    Ok(writer)
}

/// A content whose blobs are open: they go on being readable when the name is given to another version.
pub(crate) struct Reader {
    segments: Segments,
    blobs: HashMap<Uuid, Arc<dyn BlobReader>>,
}

impl Reader {
    /// Opens every blob of these runs.
    pub(crate) async fn open(inner: &Inner, segments: Segments) -> Result<Self> {
        let mut blobs = HashMap::new();
        for id in segments.blobs() {
            let reader = inner.storage(&id.storage)?.open(&id).await?;
            blobs.insert(id.key, reader);
        }
        Ok(Self { segments, blobs })
    }

    /// The runs.
    pub(crate) const fn segments(&self) -> &Segments {
        &self.segments
    }

    #[cfg(test)]
    pub(crate) fn over(segments: Segments, key: Uuid, blob: Arc<dyn BlobReader>) -> Self {
        Self { segments, blobs: HashMap::from([(key, blob)]) }
    }

    /// Up to `len` bytes from `offset`; fewer only at the end or at a gap.
    pub(crate) async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let mut runs = self.segments.clipped(offset, len.min(MAX_READ) as u64);
        let Some(first) = runs.next() else { return Ok(Bytes::new()) };
        if first.start != offset {
            return Ok(Bytes::new());
        }
        let bytes = self.read_run(&first).await?;
        let Some(second) = runs.next() else { return Ok(bytes) };
        let mut at = offset + bytes.len() as u64;
        let mut whole = BytesMut::from(bytes);
        for run in std::iter::once(second).chain(runs) {
            if run.start != at {
                break;
            }
            whole.extend_from_slice(&self.read_run(&run).await?);
            at += run.len;
        }
        Ok(whole.freeze())
    }

    async fn read_run(&self, run: &Segment) -> Result<Bytes> {
        let Some(id) = &run.blob else {
            return Ok(BytesMut::zeroed(run.len as usize).freeze());
        };
        let blob = self.blobs.get(&id.key).ok_or_else(|| Error::internal("a run names a blob that was not opened"))?;
        let bytes = blob.read_at(run.offset, run.len as usize).await?;
        if bytes.len() as u64 != run.len {
            return Err(Error::internal(format_args!("blob {} is shorter than its row says", id.key)));
        }
        Ok(bytes)
    }
}
