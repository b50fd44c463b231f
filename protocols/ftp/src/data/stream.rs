//! The stream of a data connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use causeway_core::wide::Wide;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A data connection's stream: TLS, and for the fuzz target of whole sessions a pipe in memory.
pub(crate) enum DataStream {
    /// TLS over TCP.
    Tls(Box<TlsStream<Wide<TcpStream>>>),
    /// In memory.
    #[cfg(feature = "fuzz")]
    Memory(tokio::io::DuplexStream),
}

impl DataStream {
    /// See [`super::channel::quicken`].
    pub(crate) fn quicken(&self) {
        match self {
            Self::Tls(stream) => super::channel::quicken(stream.get_ref().0.get_ref()),
            #[cfg(feature = "fuzz")]
            Self::Memory(_) => {}
        }
    }
}

impl AsyncRead for DataStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(feature = "fuzz")]
            Self::Memory(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for DataStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "fuzz")]
            Self::Memory(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "fuzz")]
            Self::Memory(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "fuzz")]
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
