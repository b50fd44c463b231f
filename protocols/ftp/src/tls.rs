//! TLS of one control connection and of its data connections (RFC 4217).
//!
//! Each control connection has its own ticket key and its own store of sessions, and its data connections use them too. So
//! a data connection can be resumed only from a session of the same control connection: that it was resumed proves that
//! the same client is at the other end, and not another one that was quicker to connect to the port.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ServerSessionMemoryCache;
use rustls::{HandshakeKind, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// TLS 1.2 sessions with an id that one control connection remembers, for clients without tickets.
const SESSIONS: usize = 8;
/// TLS 1.3 tickets that a client gets at its login. Each data connection gives it one more: many clients use a ticket only
/// once (RFC 8446 appendix C.4 wishes it, and OpenSSL sees to it). Those that use a ticket once and never read on an upload's
/// data connection, and so never see the new one, can make this many uploads in a row.
const TICKETS: usize = 8;
/// Bytes that rustls holds of what is to be sent on a data connection.
const BUFFER: usize = 256 * 1024 + 8 * 1024;

/// The TLS settings of one control connection and its data connections.
#[derive(Clone)]
pub(crate) struct Sessions {
    /// For the control connection.
    pub(crate) control: Arc<ServerConfig>,
    data: Arc<ServerConfig>,
}

impl Sessions {
    /// Fresh ones.
    pub(crate) fn new(base: &ServerConfig) -> io::Result<Self> {
        let mut control = base.clone();
        control.alpn_protocols.clear();
        control.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        control.ticketer = Ticketer::new().map_err(io::Error::other)?;
        control.send_tls13_tickets = TICKETS;
        let mut data = control.clone();
        data.send_tls13_tickets = 1;
        Ok(Self { control: Arc::new(control), data: Arc::new(data) })
    }

    /// Secures a data connection; `resume`: it must resume this control connection's session.
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        resume: bool,
        limit: Duration,
    ) -> Result<TlsStream<TcpStream>, Insecure> {
        let mut stream = match timeout(limit, TlsAcceptor::from(self.data.clone()).accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Insecure::Handshake(error)),
            Err(_) => return Err(Insecure::Late),
        };
        let tls = stream.get_mut().1;
        if resume && tls.handshake_kind() != Some(HandshakeKind::Resumed) {
            return Err(Insecure::NotResumed);
        }
        tls.set_buffer_limit(Some(BUFFER));
        Ok(stream)
    }
}

/// Why a data connection was not secured.
#[derive(Debug)]
pub(crate) enum Insecure {
    /// The handshake failed.
    Handshake(io::Error),
    /// It took too long.
    Late,
    /// It did not resume the control connection's session.
    NotResumed,
}

/// The cipher suite, by its name, and the version.
pub(crate) fn cipher(stream: &TlsStream<TcpStream>) -> Option<String> {
    stream.get_ref().1.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).map(str::to_owned)
}
