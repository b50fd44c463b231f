//! A connection that cannot stall its server, and that is closed so that the last answer arrives. Where an answer goes
//! out before the whole request was read (a refused upload, say), closing at once makes the client's kernel drop the
//! answer: RFC 9112 section 9.6 asks for half a close and a short wait.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use crate::interim::Line;

/// How long the rest of a refused request is read, and how much of it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 << 20;

/// A stream whose writes fail where the other side takes nothing for too long, and which is handed back when it was
/// shut down in order.
pub struct Guarded<S> {
    inner: Option<S>,
    stall: Duration,
    /// Bytes that the other side took.
    written: Arc<AtomicU64>,
    /// Since when a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    shut: bool,
    hand_back: Option<oneshot::Sender<S>>,
    /// Where interim responses come from.
    line: Arc<Line>,
    /// What is left to write of one that was begun.
    interim: Bytes,
}

impl<S> Guarded<S> {
    /// Guards a stream, and counts in `written` what is written to it. The receiver gets it back after an orderly
    /// shutdown.
    pub fn new(stream: S, stall: Duration, written: Arc<AtomicU64>, line: Arc<Line>) -> (Self, oneshot::Receiver<S>) {
        let (sender, receiver) = oneshot::channel();
        let (inner, hand_back, interim) = (Some(stream), Some(sender), Bytes::new());
        (Self { inner, stall, written, waiting: None, shut: false, hand_back, line, interim }, receiver)
    }

    fn count(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written.fetch_add(*bytes as u64, Ordering::AcqRel);
        }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let stall = self.stall;
        let timer = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + stall)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    /// Writes the rest of an interim response that was begun.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let Some(stream) = &mut self.inner else { return Poll::Ready(Err(closed())) };
            let written = Pin::new(stream).poll_write(cx, &self.interim);
            self.count(&written);
            match std::task::ready!(self.watch(cx, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => self.interim.advance(bytes),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads what a client still sends, for a short while, so that it gets to read its answer.
pub async fn linger<S: AsyncRead + Unpin>(mut stream: S) {
    let drain = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut total = 0;
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            total += read;
            if total > LINGER_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        if self.shut
            && let (Some(stream), Some(sender)) = (self.inner.take(), self.hand_back.take())
        {
            // Where nobody waits for it any more it is simply closed.
            drop(sender.send(stream));
        }
    }
}

fn closed() -> io::Error {
    io::Error::from(io::ErrorKind::NotConnected)
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Some(stream) => Pin::new(stream).poll_read(cx, buf),
            None => Poll::Ready(Err(closed())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !self.interim.is_empty() {
            std::task::ready!(self.poll_interim(cx))?;
        }
        let Some(stream) = &mut self.inner else { return Poll::Ready(Err(closed())) };
        let written = Pin::new(stream).poll_write(cx, buf);
        self.count(&written);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.interim.is_empty() {
            std::task::ready!(self.poll_interim(cx))?;
        }
        let Some(stream) = &mut self.inner else { return Poll::Ready(Err(closed())) };
        let written = Pin::new(stream).poll_write_vectored(cx, bufs);
        self.count(&written);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is left to write of what the layer above has had to say: here one may come between.
        if self.interim.is_empty()
            && let Some(interim) = self.line.take(cx)
        {
            self.interim = interim;
        }
        if !self.interim.is_empty() {
            std::task::ready!(self.poll_interim(cx))?;
        }
        let Some(stream) = &mut self.inner else { return Poll::Ready(Err(closed())) };
        let flushed = Pin::new(stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.inner else { return Poll::Ready(Err(closed())) };
        let shut = Pin::new(stream).poll_shutdown(cx);
        self.shut |= matches!(shut, Poll::Ready(Ok(())));
        self.watch(cx, shut)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut() {
        let (near, _far) = tokio::io::duplex(8);
        let (mut guarded, _back) = Guarded::new(near, Duration::from_mins(1), Arc::default(), Arc::default());
        let error = guarded.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// Whatever the client takes at a time, an interim response stands between what is written, whole.
    #[tokio::test]
    async fn an_interim_response_stands_between_two_writes() {
        for room in [1, 3, 7, 64] {
            let (near, mut far) = tokio::io::duplex(room);
            let line = Arc::new(Line::default());
            let (mut guarded, _back) = Guarded::new(near, Duration::from_mins(1), Arc::default(), Arc::clone(&line));
            let writing = tokio::spawn(async move {
                let interim = line.open();
                guarded.write_all(b"before ").await.unwrap();
                interim.send("104 Here", &http::HeaderMap::new());
                // Only a flush proves that nothing before it is left to write.
                guarded.write_all(b"and still ").await.unwrap();
                // Given up in its middle, as a caller does that has something else to do.
                for _ in 0..3 {
                    let flush = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut guarded).poll_flush(cx)));
                    let _ = flush.await;
                }
                line.close();
                interim.send("104 Too late", &http::HeaderMap::new());
                guarded.write_all(b"after").await.unwrap();
                guarded.flush().await.unwrap();
            });
            let mut said = Vec::new();
            far.read_to_end(&mut said).await.unwrap();
            writing.await.unwrap();
            assert_eq!(String::from_utf8_lossy(&said), "before and still HTTP/1.1 104 Here\r\n\r\nafter", "{room}");
        }
    }

    #[tokio::test]
    async fn the_stream_comes_back_after_a_shutdown_only() {
        let (near, _far) = tokio::io::duplex(8);
        let (guarded, back) = Guarded::new(near, Duration::from_mins(1), Arc::default(), Arc::default());
        drop(guarded);
        assert!(back.await.is_err());
        let (near, mut far) = tokio::io::duplex(8);
        let (mut guarded, back) = Guarded::new(near, Duration::from_mins(1), Arc::default(), Arc::default());
        guarded.shutdown().await.unwrap();
        drop(guarded);
        let client = tokio::spawn(async move { far.write_all(&[0; 100]).await });
        linger(back.await.unwrap()).await;
        assert!(client.await.unwrap().is_ok(), "what the client still sent was taken");
    }
}
