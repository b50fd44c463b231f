//! The control connection as a stream of lines and replies, in clear or secured.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use causeway_core::identity::ClientCertificate;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::data::channel::has_begun;
use crate::tls;
use crate::wire::{Line, Lines, Reply};

/// How long a client may take to take a reply.
const WRITE: Duration = Duration::from_secs(30);
/// How long a line may take whose first bytes are there.
const ARRIVING: Duration = Duration::from_millis(100);
/// How long a client that is told goodbye may take.
const FAREWELL: Duration = Duration::from_secs(2);

enum Wire {
    Clear(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
    /// In memory, in clear or taken for secured.
    #[cfg(feature = "fuzz")]
    Memory(tokio::io::DuplexStream),
    /// A handshake failed, or is under way.
    Gone,
}

impl Wire {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer).await,
            Self::Secure(stream) => stream.read(buffer).await,
            #[cfg(feature = "fuzz")]
            Self::Memory(stream) => stream.read(buffer).await,
            Self::Gone => Ok(0),
        }
    }
}

/// A line took longer than it may.
#[derive(Debug)]
pub(crate) struct SlowLine;

impl std::fmt::Display for SlowLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a command took too long to come")
    }
}

impl std::error::Error for SlowLine {}

/// What a handshake has told.
pub(crate) struct Secured {
    /// The cipher suite.
    pub(crate) cipher: Option<String>,
    /// The client's certificate.
    pub(crate) certificate: Option<ClientCertificate>,
}

/// The control connection.
pub(crate) struct Control {
    wire: Wire,
    lines: Lines,
    /// How long a line may take from its first byte to its end.
    line_timeout: Duration,
    /// When the line that is coming began to come.
    began: Option<Instant>,
}

impl Control {
    /// In clear.
    pub(crate) fn new(stream: TcpStream, line_timeout: Duration) -> Self {
        Self { wire: Wire::Clear(stream), lines: Lines::default(), line_timeout, began: None }
    }

    /// In memory.
    #[cfg(feature = "fuzz")]
    pub(crate) fn in_memory(stream: tokio::io::DuplexStream, line_timeout: Duration) -> Self {
        Self { wire: Wire::Memory(stream), lines: Lines::default(), line_timeout, began: None }
    }

    /// Secures it and tells how. What came in clear is thrown away.
    pub(crate) async fn secure(&mut self, config: Arc<ServerConfig>) -> io::Result<Secured> {
        #[cfg(feature = "fuzz")]
        if matches!(self.wire, Wire::Memory(_)) {
            self.clear();
            return Ok(Secured { cipher: None, certificate: None });
        }
        let Wire::Clear(stream) = std::mem::replace(&mut self.wire, Wire::Gone) else {
            return Err(io::Error::other("secured already"));
        };
        self.clear();
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let secured = Secured { cipher: tls::cipher(&stream), certificate: tls::certificate(&stream) };
        self.wire = Wire::Secure(Box::new(stream));
        Ok(secured)
    }

    fn clear(&mut self) -> bool {
        self.began = None;
        self.lines.clear()
    }

    /// Throws away what has come behind the last line; true where there was anything.
    pub(crate) fn discard(&mut self) -> bool {
        self.clear()
    }

    /// The next line; none where the client is gone; [`SlowLine`] where one takes too long. Nothing is lost where this is
    /// dropped while it waits.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        let mut buffer = [0; 4096];
        loop {
            let line = self.lines.next_line();
            let answers = self.lines.take_answers();
            if !answers.is_empty() {
                self.write(&answers).await?;
            }
            if let Some(line) = line {
                self.began = None;
                return Ok(Some(line));
            }
            let read = self.wire.read(&mut buffer);
            let read = if self.lines.is_partial() {
                let began = *self.began.get_or_insert_with(Instant::now);
                timeout_at(began + self.line_timeout, read).await.map_err(|_| io::Error::other(SlowLine))??
            } else {
                read.await?
            };
            match buffer.get(..read) {
                None | Some([]) => return Ok(None),
                Some(bytes) => self.lines.push(bytes),
            }
        }
    }

    /// The next line, if the client has sent it by now; none where nothing is there. Nothing is lost.
    pub(crate) async fn next_of_now(&mut self) -> Option<io::Result<Option<Line>>> {
        // What the system has is not always known to the runtime yet.
        let come = match &self.wire {
            Wire::Clear(stream) => has_begun(stream),
            Wire::Secure(stream) => has_begun(stream.get_ref().0),
            #[cfg(feature = "fuzz")]
            Wire::Memory(_) => false,
            Wire::Gone => false,
        };
        let patience = if come { ARRIVING } else { Duration::ZERO };
        // What is here is not to be missed because the runtime wants another task to have its turn.
        timeout(patience, tokio::task::unconstrained(self.next())).await.ok()
    }

    /// Sends a reply.
    pub(crate) async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        self.write(&reply.encode()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let wire = &mut self.wire;
        let work = async {
            match wire {
                Wire::Clear(stream) => stream.write_all(bytes).await,
                Wire::Secure(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
                #[cfg(feature = "fuzz")]
                Wire::Memory(stream) => stream.write_all(bytes).await,
                Wire::Gone => Err(io::ErrorKind::NotConnected.into()),
            }
        };
        timeout(WRITE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Ends it in order: what was sent is delivered, with close_notify on TLS.
    pub(crate) async fn close(mut self) {
        let parting = async {
            let ended = match &mut self.wire {
                Wire::Clear(stream) => stream.shutdown().await,
                Wire::Secure(stream) => stream.shutdown().await,
                #[cfg(feature = "fuzz")]
                Wire::Memory(stream) => stream.shutdown().await,
                Wire::Gone => return,
            };
            // Closing with bytes unread would reset the connection, and the client might not see the last reply.
            let mut rest = [0; 4096];
            let mut left = 64;
            while ended.is_ok() && left > 0 {
                let read = match &mut self.wire {
                    Wire::Clear(stream) => stream.read(&mut rest).await,
                    Wire::Secure(stream) => stream.read(&mut rest).await,
                    #[cfg(feature = "fuzz")]
                    Wire::Memory(stream) => stream.read(&mut rest).await,
                    Wire::Gone => return,
                };
                match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => left -= 1,
                }
            }
        };
        // Where the client does not play along, the socket is simply closed.
        let _ = timeout(FAREWELL, parting).await;
    }
}
