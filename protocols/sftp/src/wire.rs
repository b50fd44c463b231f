//! The socket of a connection as russh sees it: it can be held (see [`crate::flow`]), cut from outside, and the client's
//! greeting is read along.
//!
//! russh reads four bytes, then the packet: two system calls for a request of fifty bytes. So a little more than was asked
//! for is read, and what is left over kept for the next read. No buffer is held while there is nothing in it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::flow::Flow;
use crate::greeting::Listener;

/// Bytes that are read where fewer are asked for: some dozens of requests. Content is mostly read straight to its place.
const AHEAD: usize = 4096;

/// See the module.
pub(crate) struct Wire<S> {
    stream: S,
    /// Read, and not asked for yet.
    ahead: Bytes,
    flow: Arc<Flow>,
    listener: Option<Listener>,
    // One for each direction, as each has a waker of its own.
    cut_read: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_write: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> Wire<S> {
    /// Over this stream. When `cut` is cancelled, reading and writing fail.
    pub(crate) fn new(stream: S, flow: Arc<Flow>, listener: Listener, cut: &CancellationToken) -> Self {
        Self {
            stream,
            ahead: Bytes::new(),
            flow,
            listener: Some(listener),
            cut_read: Box::pin(cut.clone().cancelled_owned()),
            cut_write: Box::pin(cut.clone().cancelled_owned()),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        if self.listener.is_none() {
            self.flow.distance().came();
        }
        if let Some(listener) = &mut self.listener
            && !listener.hear(bytes)
        {
            self.listener = None;
        }
    }

    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut_write.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.cut_read.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        ready!(this.flow.poll_open(context));
        if !this.ahead.is_empty() {
            buffer.put_slice(&this.ahead.split_to(this.ahead.len().min(buffer.remaining())));
        } else if buffer.remaining() < AHEAD {
            let mut memory = [MaybeUninit::uninit(); AHEAD];
            let mut more = ReadBuf::uninit(&mut memory);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut more))?;
            this.hear(more.filled());
            let (asked, ahead) = more.filled().split_at(more.filled().len().min(buffer.remaining()));
            buffer.put_slice(asked);
            this.ahead = Bytes::copy_from_slice(ahead);
        } else {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            this.hear(buffer.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.poll_cut(context)?;
        this.flow.distance().sent();
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_cut(context)?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.poll_cut(context)?;
        this.flow.distance().sent();
        Pin::new(&mut this.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_was_read_ahead_comes_in_order() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let listener = Listener::new(Arc::from([]), Arc::default());
        let mut wire = Wire::new(near, Arc::new(Flow::new()), listener, &CancellationToken::new());
        let sent: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        far.write_all(&sent).await.unwrap();
        drop(far);
        let (mut got, mut size) = (Vec::new(), 1);
        while got.len() < sent.len() {
            let mut piece = vec![0; size.min(sent.len() - got.len())];
            wire.read_exact(&mut piece).await.unwrap();
            got.extend_from_slice(&piece);
            assert!(wire.ahead.len() < AHEAD);
            size = size * 3 % 30_011;
        }
        assert!(got == sent);
        assert_eq!(wire.read(&mut [0; 4]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_cut_ends_reading_and_writing() {
        let (near, _far) = tokio::io::duplex(16);
        let cut = CancellationToken::new();
        let listener = Listener::new(Arc::from([]), Arc::default());
        let mut wire = Wire::new(near, Arc::new(Flow::new()), listener, &cut);
        let cutter = cut.clone();
        let task = tokio::spawn(async move {
            let error = wire.read_u8().await.unwrap_err();
            (error.kind(), wire.write_all(&[0; 100]).await.unwrap_err().kind())
        });
        tokio::task::yield_now().await;
        cutter.cancel();
        assert_eq!(task.await.unwrap(), (io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionAborted));
    }
}
