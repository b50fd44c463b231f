//! A TCP stream that is read in large pieces: TLS asks for few kilobytes at a time, and each time the system would be called.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use causeway_core::piece::{PIECE, Piece};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The stream; it reads what it is asked for until it is told that much will come.
pub(crate) struct Wide {
    tcp: TcpStream,
    /// What was read, once much is read.
    ahead: Option<Piece>,
    /// What of it was handed on.
    taken: usize,
}

impl Wide {
    /// Of a socket.
    pub(crate) const fn new(tcp: TcpStream) -> Self {
        Self { tcp, ahead: None, taken: 0 }
    }

    /// From now on it reads as much as there is.
    pub(crate) fn widen(&mut self) {
        self.ahead.get_or_insert_default();
    }

    /// The socket.
    pub(crate) const fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl AsyncRead for Wide {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(ahead) = &mut this.ahead else { return Pin::new(&mut this.tcp).poll_read(context, buffer) };
        if this.taken == ahead.len() {
            ahead.clear();
            this.taken = 0;
            let mut room = ReadBuf::new(ahead.room(PIECE));
            ready!(Pin::new(&mut this.tcp).poll_read(context, &mut room))?;
            let read = room.filled().len();
            ahead.fill(read);
        }
        let rest = ahead.as_ref().get(this.taken..).unwrap_or_default();
        let (now, _) = rest.split_at(rest.len().min(buffer.remaining()));
        buffer.put_slice(now);
        this.taken += now.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wide {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn hands_on_what_came_and_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut wide = Wide::new(listener.accept().await.unwrap().0);
        let content: Vec<u8> = (0..3 * PIECE + 77).map(|n| (n / 5 % 251) as u8).collect();
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
        wide.widen();
        let mut some = [0; 4096];
        for size in (1..=4096).cycle() {
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
}
