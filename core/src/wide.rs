//! A stream that is read in large pieces where much comes: TLS asks for few kilobytes at a time, and each time the system would
//! be called, and the sender be told that there is a little more room.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::piece::{PIECE, Piece};

/// Less than this asked for at a time is never a sign of much to come.
const MUCH: usize = 4 * 1024;
/// A large read that brought less than this is taken for the end of much.
const LITTLE: usize = 16 * 1024;

/// The stream. It reads what it is asked for, until a read has brought all that was asked for; then as much as there is,
/// until little comes. While nothing is there it holds no buffer.
pub struct Wide<S> {
    stream: S,
    /// Whether much comes.
    much: bool,
    /// What was read and not yet handed on.
    ahead: Option<Piece>,
    /// What of it was handed on.
    taken: usize,
}

impl<S> Wide<S> {
    /// Of a stream.
    pub const fn new(stream: S) -> Self {
        Self { stream, much: false, ahead: None, taken: 0 }
    }

    /// The stream.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> Wide<S> {
    fn poll_little(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.much = buffer.remaining() == 0 && buffer.filled().len() - before >= MUCH;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wide<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ahead = match this.ahead.take() {
            Some(ahead) => ahead,
            None if !this.much => return this.poll_little(context, buffer),
            None => {
                let mut ahead = Piece::new();
                let mut room = ReadBuf::new(ahead.room(PIECE));
                ready!(Pin::new(&mut this.stream).poll_read(context, &mut room))?;
                let read = room.filled().len();
                ahead.fill(read);
                (this.taken, this.much) = (0, read >= LITTLE);
                ahead
            }
        };
        let rest = ahead.as_ref().get(this.taken..).unwrap_or_default();
        let (now, later) = rest.split_at(rest.len().min(buffer.remaining()));
        buffer.put_slice(now);
        this.taken += now.len();
        if !later.is_empty() {
            this.ahead = Some(ahead);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wide<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|n| (n / 5 % 251) as u8).collect()
    }

    #[tokio::test]
    async fn hands_on_what_came_and_the_end() {
        let (near, mut client) = tokio::io::duplex(4 * PIECE);
        let mut wide = Wide::new(near);
        let content = content(3 * PIECE + 77);
        let sent = content.clone();
        let sending = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        });
        let mut got = vec![0; 5];
        wide.read_exact(&mut got).await.unwrap();
        let mut some = [0; 4096];
        for size in (1..=4096).rev().cycle() {
            let read = wide.read(some.get_mut(..size).unwrap()).await.unwrap();
            if read == 0 {
                break;
            }
            got.extend_from_slice(some.get(..read).unwrap());
        }
        assert!(got == content);
        assert_eq!(wide.read(&mut some).await.unwrap(), 0, "the end stays the end");
        wide.write_all(b"heard").await.unwrap();
        wide.shutdown().await.unwrap();
        assert_eq!(sending.await.unwrap(), b"heard");
    }

    #[tokio::test]
    async fn a_buffer_is_held_only_while_there_is_something_in_it() {
        let (near, mut client) = tokio::io::duplex(PIECE);
        let mut wide = Wide::new(near);
        let mut some = [0; MUCH];
        client.write_all(&content(100)).await.unwrap();
        assert_eq!(wide.read(&mut some).await.unwrap(), 100);
        assert!(!wide.much && wide.ahead.is_none(), "little comes");
        client.write_all(&content(3 * MUCH)).await.unwrap();
        assert_eq!(wide.read(&mut some).await.unwrap(), MUCH);
        assert!(wide.much && wide.ahead.is_none());
        assert_eq!(wide.read(&mut some).await.unwrap(), MUCH);
        assert!(wide.ahead.is_some(), "the rest was read as well");
        assert_eq!(wide.read(&mut some).await.unwrap(), MUCH);
        assert!(wide.ahead.is_none() && !wide.much, "what came was little");
    }
}
