//! The body of a download: 256 KiB steps with one read ahead, in a task that owns the [`Download`] and tells core how it
//! ended. Where a read fails the body ends with an error, and with it the connection or stream, so that no client can
//! take what it got for the whole (RFC 9112 section 8, RFC 9113 section 8.1.1).
//!
//! What counts as sent: on HTTP/2 a download is finished once the client's flow control had room for every byte. On
//! HTTP/1.1 nothing tells that the last bytes left: there it is finished once the connection took them all, and what is
//! then in its buffer (one step) and the system's may still be lost with the connection.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use causeway_core::{Download, Error, ErrorKind, Result};
use http::Version;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Bytes of one read.
const STEP: u64 = 256 * 1024;

/// Content to be sent: what a download is to this module, so that its ends can be tested without a gateway.
pub trait Source: Send + Sync + 'static {
    /// Up to `len` bytes from `offset`.
    fn read_at(&self, offset: u64, len: usize) -> impl Future<Output = Result<Bytes>> + Send;
    /// All was sent.
    fn finish(self) -> impl Future<Output = Result<()>> + Send;
    /// Waits until nothing more is to be sent; why.
    fn cut(&self) -> impl Future<Output = Error> + Send;
    /// The reader broke off, or reading failed.
    fn fail(self, reason: Error) -> impl Future<Output = ()> + Send;
}

impl Source for Download {
    fn read_at(&self, offset: u64, len: usize) -> impl Future<Output = Result<Bytes>> + Send {
        Self::read_at(self, offset, len)
    }
    fn finish(self) -> impl Future<Output = Result<()>> + Send {
        Self::finish(self)
    }
    fn cut(&self) -> impl Future<Output = Error> + Send {
        self.until_ended()
    }
    fn fail(self, reason: Error) -> impl Future<Output = ()> + Send {
        Self::fail(self, reason)
    }
}

/// A run of a body's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These bytes: what stands between the parts of several ranges.
    Text(Bytes),
    /// `len` bytes of the content from `start`.
    Content {
        /// The first byte.
        start: u64,
        /// How many.
        len: u64,
    },
}

/// What a body is made of, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces(VecDeque<Piece>);

impl FromIterator<Piece> for Pieces {
    fn from_iter<I: IntoIterator<Item = Piece>>(pieces: I) -> Self {
        Self(pieces.into_iter().collect())
    }
}

impl Pieces {
    /// One run of the content.
    pub fn run(start: u64, len: u64) -> Self {
        Self::from_iter([Piece::Content { start, len }])
    }

    /// Adds one at the end.
    pub fn push(&mut self, piece: Piece) {
        self.0.push_back(piece);
    }

    /// Bytes that are left.
    pub fn len(&self) -> u64 {
        let sizes = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::Content { len, .. } => *len,
        });
        sizes.sum()
    }

    /// The next bytes, one step at most; empty at the end.
    async fn next<S: Source>(&mut self, source: &S) -> Result<Bytes> {
        loop {
            match self.0.pop_front() {
                None => return Ok(Bytes::new()),
                Some(Piece::Text(text)) if text.is_empty() => {}
                Some(Piece::Text(text)) => return Ok(text),
                Some(Piece::Content { len: 0, .. }) => {}
                Some(Piece::Content { start, len }) => {
                    let bytes = source.read_at(start, len.min(STEP) as usize).await?;
                    if bytes.is_empty() {
                        return Err(Error::internal("a file ended before its size"));
                    }
                    let read = bytes.len() as u64;
                    self.0.push_front(Piece::Content { start: start + read, len: len.saturating_sub(read) });
                    return Ok(bytes);
                }
            }
        }
    }
}

/// The body. hyper drops it when it has asked for all of it, or when the client is gone.
///
/// On HTTP/2 hyper asks for a frame before the client has room for it, and sends it whole as soon as there is any. So a
/// frame is counted only when the next is asked for, the end is told by one more question after the last, and the last
/// byte is a frame of its own: it waits until there was room for all before it.
pub struct DownloadBody {
    first: Option<Bytes>,
    rest: mpsc::Receiver<Result<Bytes>>,
    last: Option<Bytes>,
    http2: bool,
    remaining: u64,
    /// Bytes of the last frame, as long as they are not counted.
    handed: u64,
    taken: Arc<AtomicU64>,
}

/// Begins to send these pieces of a content. The first bytes are read before this returns, so that a storage that fails
/// at once is a proper answer and not a broken connection. `version`: the request's. `stall`: how long the client may
/// take for one step.
pub async fn stream<S: Source>(
    source: S,
    mut pieces: Pieces,
    version: Version,
    stall: Duration,
    tasks: &TaskTracker,
) -> Result<DownloadBody> {
    let len = pieces.len();
    let first = match pieces.next(&source).await {
        Ok(first) => first,
        Err(error) => {
            source.fail(error.clone()).await;
            return Err(error);
        }
    };
    let taken = Arc::new(AtomicU64::new(0));
    let (sender, rest) = mpsc::channel(1);
    let body = DownloadBody {
        first: (len > 0).then_some(first),
        rest,
        last: None,
        http2: version >= Version::HTTP_2,
        remaining: len,
        handed: 0,
        taken: Arc::clone(&taken),
    };
    let pump = Pump { source, sender, taken, len, stall };
    tasks.spawn(pump.run(pieces));
    Ok(body)
}

struct Pump<S> {
    source: S,
    sender: mpsc::Sender<Result<Bytes>>,
    taken: Arc<AtomicU64>,
    len: u64,
    stall: Duration,
}

impl<S: Source> Pump<S> {
    async fn run(self, mut pieces: Pieces) {
        loop {
            let next = tokio::select! {
                biased;
                why = self.source.cut() => Err(why),
                next = pieces.next(&self.source) => next,
            };
            let bytes = match next {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => bytes,
                Err(error) => {
                    // Nobody may be there to hear it; then the body's own count tells that it is short.
                    let _ = self.sender.try_send(Err(error.clone()));
                    return self.source.fail(error).await;
                }
            };
            let sending = tokio::time::timeout(self.stall, self.sender.send(Ok(bytes)));
            let sent = tokio::select! {
                biased;
                why = self.source.cut() => return self.source.fail(why).await,
                sent = sending => sent,
            };
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return self.source.fail(gone()).await,
                Err(_) => return self.source.fail(stalled()).await,
            }
        }
        // All is read; the body is dropped when the last byte is taken or the client is gone.
        loop {
            let before = self.taken.load(Ordering::Acquire);
            let closed = tokio::select! {
                closed = tokio::time::timeout(self.stall, self.sender.closed()) => closed.is_ok(),
                why = self.source.cut() => return self.source.fail(why).await,
            };
            let taken = self.taken.load(Ordering::Acquire);
            if closed && taken == self.len {
                if let Err(error) = self.source.finish().await {
                    tracing::warn!(%error, "a finished download could not be told");
                }
                return;
            }
            if closed {
                return self.source.fail(gone()).await;
            }
            if taken == before {
                return self.source.fail(stalled()).await;
            }
        }
    }
}

fn gone() -> Error {
    Error::broken_off()
}

fn stalled() -> Error {
    Error::new(ErrorKind::Incomplete, "the client took nothing for too long")
}

impl DownloadBody {
    fn count(&mut self) {
        self.taken.fetch_add(std::mem::take(&mut self.handed), Ordering::AcqRel);
    }
}

impl http_body::Body for DownloadBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.count();
        if self.remaining == 0 {
            // Where the task gave up on the client meanwhile, the download is on record as failed: no end, then.
            return Poll::Ready(self.rest.is_closed().then(|| Err(stalled())));
        }
        let next = match self.last.take().or_else(|| self.first.take()) {
            Some(bytes) => Some(Ok(bytes)),
            None => match self.rest.poll_recv(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(Some(match next {
            Some(Ok(mut bytes)) => {
                if self.http2 && bytes.len() > 1 && bytes.len() as u64 == self.remaining {
                    self.last = Some(bytes.split_off(bytes.len() - 1));
                }
                self.handed = bytes.len() as u64;
                self.remaining = self.remaining.saturating_sub(self.handed);
                if !self.http2 {
                    // Nobody asks again after the last one.
                    self.count();
                }
                Ok(Frame::data(bytes))
            }
            Some(Err(error)) => Err(error),
            // The task ended without the rest: never a short body that looks whole.
            None => Err(stalled()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0 && self.handed == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::sync::Mutex;

    #[derive(Clone)]
    struct Content {
        size: u64,
        broken_at: u64,
        end: Arc<Mutex<Option<&'static str>>>,
    }

    impl Content {
        fn new(size: u64, broken_at: u64) -> Self {
            Self { size, broken_at, end: Arc::default() }
        }
        fn ended(&self) -> Option<&'static str> {
            *self.end.lock().unwrap()
        }
    }

    impl Source for Content {
        async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
            if offset >= self.broken_at {
                return Err(Error::new(ErrorKind::Unavailable, "gone"));
            }
            let end = (offset + len as u64).min(self.size);
            Ok((offset..end).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into())
        }
        async fn finish(self) -> Result<()> {
            *self.end.lock().unwrap() = Some("finished");
            Ok(())
        }
        async fn cut(&self) -> Error {
            std::future::pending().await
        }
        async fn fail(self, _: Error) {
            *self.end.lock().unwrap() = Some("failed");
        }
    }

    const STALL: Duration = Duration::from_mins(1);

    const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

    async fn settle(tasks: &TaskTracker) {
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn all_of_it_is_finished() {
        for (start, len) in [(0, 0), (0, 1), (0, 10), (5, STEP * 3), (0, STEP), (1, 2 * STEP + 1)] {
            for version in BOTH {
                let (content, tasks) = (Content::new(start + len, u64::MAX), TaskTracker::new());
                let body = stream(content.clone(), Pieces::run(start, len), version, STALL, &tasks).await.unwrap();
                assert_eq!(http_body::Body::size_hint(&body).exact(), Some(len));
                assert_eq!(http_body::Body::is_end_stream(&body), len == 0);
                let sent = body.collect().await.unwrap().to_bytes();
                assert_eq!(sent, (start..start + len).map(|n| (n % 251) as u8).collect::<Vec<u8>>());
                settle(&tasks).await;
                assert_eq!(content.ended(), Some("finished"), "{start} {len} {version:?}");
            }
        }
    }

    #[tokio::test]
    async fn several_pieces_follow_each_other() {
        let text = |text: &'static str| Piece::Text(Bytes::from_static(text.as_bytes()));
        let big = Piece::Content { start: 10, len: 2 * STEP + 5 };
        let all = [
            text("a"),
            text(""),
            Piece::Content { start: 3, len: 2 },
            big,
            Piece::Content { start: 0, len: 0 },
            text("z"),
        ];
        for version in BOTH {
            let (content, tasks) = (Content::new(3 * STEP, u64::MAX), TaskTracker::new());
            let pieces: Pieces = all.clone().into_iter().collect();
            assert_eq!(pieces.len(), 1 + 2 + 2 * STEP + 5 + 1);
            let body = stream(content.clone(), pieces, version, STALL, &tasks).await.unwrap();
            let sent = body.collect().await.unwrap().to_bytes();
            let mut expected = vec![b'a', 3, 4];
            expected.extend((10..2 * STEP + 15).map(|n| (n % 251) as u8));
            expected.push(b'z');
            assert_eq!(sent, expected);
            settle(&tasks).await;
            assert_eq!(content.ended(), Some("finished"), "{version:?}");
        }
    }

    #[tokio::test]
    async fn a_reader_that_leaves_is_a_failure() {
        for (version, steps) in BOTH.into_iter().flat_map(|version| [0, 1, 2].map(|steps| (version, steps))) {
            let (content, tasks) = (Content::new(STEP * 3, u64::MAX), TaskTracker::new());
            let mut body = stream(content.clone(), Pieces::run(0, STEP * 3), version, STALL, &tasks).await.unwrap();
            for _ in 0..steps {
                body.frame().await.unwrap().unwrap();
            }
            drop(body);
            settle(&tasks).await;
            assert_eq!(content.ended(), Some("failed"), "{version:?} after {steps} steps");
        }
    }

    /// Downloads over a real HTTP/2 connection whose client takes nothing, with a window of so many bytes, and leaves.
    async fn left_over_http2(size: u64, window: u32) -> Option<&'static str> {
        let (content, tasks) = (Content::new(size, u64::MAX), TaskTracker::new());
        let body = stream(content.clone(), Pieces::run(0, size), Version::HTTP_2, STALL, &tasks).await.unwrap();
        let body = Arc::new(Mutex::new(Some(body)));
        let (near, far) = tokio::io::duplex(1 << 20);
        let server = tokio::spawn(async move {
            let limits = crate::serve::Limits::of(&crate::config::ApiConfig::new("", ""));
            let service = move |_| {
                let body = body.lock().unwrap().take();
                async move { axum::response::Response::new(axum::body::Body::new(body.unwrap())) }
            };
            crate::serve::serve_connection(near, &limits, tokio_util::sync::CancellationToken::new(), service).await;
        });
        let (mut client, connection) = hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .initial_stream_window_size(window)
            .handshake::<_, axum::body::Body>(hyper_util::rt::TokioIo::new(far))
            .await
            .unwrap();
        let driver = tokio::spawn(connection);
        let request = http::Request::builder().uri("https://a/").body(axum::body::Body::empty()).unwrap();
        let answer = client.send_request(request).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        driver.abort();
        drop((answer, client));
        server.await.unwrap();
        settle(&tasks).await;
        content.ended()
    }

    #[tokio::test]
    async fn what_an_http2_client_had_no_room_for_was_not_sent() {
        assert_eq!(left_over_http2(100, 0).await, Some("failed"));
        assert_eq!(left_over_http2(100, 99).await, Some("failed"));
        assert_eq!(left_over_http2(100, 100).await, Some("finished"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stands_still_is_a_failure_and_never_a_short_end() {
        let (content, tasks) = (Content::new(STEP * 4, u64::MAX), TaskTracker::new());
        let body = stream(content.clone(), Pieces::run(0, STEP * 4), Version::HTTP_11, STALL, &tasks).await.unwrap();
        settle(&tasks).await;
        assert_eq!(content.ended(), Some("failed"));
        assert!(body.collect().await.is_err());
        // All is there, but not taken in time.
        let (content, tasks) = (Content::new(10, u64::MAX), TaskTracker::new());
        let body = stream(content.clone(), Pieces::run(0, 10), Version::HTTP_2, STALL, &tasks).await.unwrap();
        settle(&tasks).await;
        assert_eq!(content.ended(), Some("failed"));
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_read_that_fails_ends_the_body_with_an_error() {
        let (content, tasks) = (Content::new(STEP * 3, STEP), TaskTracker::new());
        let body = stream(content.clone(), Pieces::run(0, STEP * 3), Version::HTTP_2, STALL, &tasks).await.unwrap();
        assert!(body.collect().await.is_err());
        settle(&tasks).await;
        assert_eq!(content.ended(), Some("failed"));
        let content = Content::new(10, 0);
        assert!(stream(content.clone(), Pieces::run(0, 10), Version::HTTP_2, STALL, &tasks).await.is_err());
        assert_eq!(content.ended(), Some("failed"));
    }
}
