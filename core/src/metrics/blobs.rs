//! A storage, timed.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::{Counter, Histogram, Metrics};
use crate::error::Result;
use crate::ports::{BlobReader, BlobStore, BlobWriter};
use crate::records::BlobId;

/// The instruments of one storage: nothing is looked up where content moves.
struct Times {
    create: Arc<Histogram>,
    put: Arc<Histogram>,
    append: Arc<Histogram>,
    sync: Arc<Histogram>,
    open: Arc<Histogram>,
    read: Arc<Histogram>,
    remove: Arc<Histogram>,
    failures: Arc<Counter>,
}

impl Times {
    async fn time<T>(&self, histogram: &Histogram, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let began = Instant::now();
        let done = work.await;
        histogram.observe(began.elapsed());
        done.inspect_err(|_| self.failures.one())
    }
}

/// A storage whose operations are timed.
pub(crate) struct TimedBlobs {
    inner: Arc<dyn BlobStore>,
    times: Arc<Times>,
}

impl TimedBlobs {
    /// The storage of this name, timed.
    pub(crate) fn new(name: &str, inner: Arc<dyn BlobStore>, metrics: &Metrics) -> Self {
        let of = |operation: &'static str| metrics.blobs.at([name.to_owned().into(), operation.into()]);
        let times = Times {
            create: of("create"),
            put: of("put"),
            append: of("append"),
            sync: of("sync"),
            open: of("open"),
            read: of("read"),
            remove: of("remove"),
            failures: metrics.blob_failures.at([name.to_owned().into()]),
        };
        Self { inner, times: Arc::new(times) }
    }
}

#[async_trait]
impl BlobStore for TimedBlobs {
    async fn create(&self, id: &BlobId) -> Result<Box<dyn BlobWriter>> {
        let inner = self.times.time(&self.times.create, self.inner.create(id)).await?;
        Ok(Box::new(TimedWriter { inner, times: self.times.clone() }))
    }

    async fn put(&self, id: &BlobId, pieces: Vec<Bytes>) -> Result<()> {
        self.times.time(&self.times.put, self.inner.put(id, pieces)).await
    }

    async fn open(&self, id: &BlobId) -> Result<Arc<dyn BlobReader>> {
        let inner = self.times.time(&self.times.open, self.inner.open(id)).await?;
        Ok(Arc::new(TimedReader { inner, times: self.times.clone() }))
    }

    async fn remove(&self, id: &BlobId) -> Result<()> {
        self.times.time(&self.times.remove, self.inner.remove(id)).await
    }

    async fn claim(&self, gateway: Uuid) -> Result<()> {
        self.inner.claim(gateway).await
    }

    async fn keys(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<BlobId>> {
        self.inner.keys(after, limit).await
    }
}

struct TimedWriter {
    inner: Box<dyn BlobWriter>,
    times: Arc<Times>,
}

#[async_trait]
impl BlobWriter for TimedWriter {
    async fn append(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        self.times.time(&self.times.append, self.inner.append(pieces)).await
    }

    async fn sync(&mut self) -> Result<()> {
        self.times.time(&self.times.sync, self.inner.sync()).await
    }
}

struct TimedReader {
    inner: Arc<dyn BlobReader>,
    times: Arc<Times>,
}

#[async_trait]
impl BlobReader for TimedReader {
    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        self.times.time(&self.times.read, self.inner.read_at(offset, len)).await
    }
}
