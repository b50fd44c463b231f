//! TLS of one control connection and of its data connections (RFC 4217).
//!
//! Each control connection has its own ticket key and its own store of sessions, and its data connections use them too. So
//! a data connection can be resumed only from a session of the same control connection: that it was resumed proves that
//! the same client is at the other end, and not another one that was quicker to connect to the port.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use causeway_core::identity::ClientCertificate;
use causeway_core::wide::Wide;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{Acceptor, ServerSessionMemoryCache};
use rustls::{CipherSuite, HandshakeKind, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tickets;

/// TLS 1.2 sessions with an id that one control connection remembers, for clients without tickets.
const SESSIONS: usize = 8;
/// TLS 1.3 tickets that a client gets at its login. A data connection gives it one more: many clients use a ticket only
/// once (RFC 8446 appendix C.4 wishes it, and OpenSSL sees to it). Those that use a ticket once and never read on an upload's
/// data connection, and so never see the new one, can make this many uploads in a row.
///
/// Clients written in Go (rclone) never read on an upload either. There a ticket would do harm: closing a socket with unread
/// bytes resets the connection, and what the client had still to send is lost. They use a ticket many times, and so need
/// none. They are told apart by how they signal secure renegotiation (RFC 5746 section 3.4): OpenSSL, rustls and Java, which use
/// tickets once, by a cipher suite (rustls only where it offers TLS 1.2, too); Go, GnuTLS and Windows by an extension.
const TICKETS: usize = 8;
/// Bytes that rustls holds of what is to be sent on a data connection.
const BUFFER: usize = 256 * 1024 + 8 * 1024;

/// The TLS settings of one control connection and its data connections.
#[derive(Clone)]
pub(crate) struct Sessions {
    /// For the control connection.
    pub(crate) control: Arc<ServerConfig>,
    data: Arc<ServerConfig>,
    silent: Arc<ServerConfig>,
    /// The certificate that the login came by: its data connections belong to the same one. A resumed session has it too.
    client: Option<ClientCertificate>,
}

/// Which way a data connection's content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client.
    In,
    /// To the client.
    Out,
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
        let mut silent = control.clone();
        silent.send_tls13_tickets = 0;
        Ok(Self { control: Arc::new(control), data: Arc::new(data), silent: Arc::new(silent), client: None })
    }

    /// For the data connections of a login that came by this certificate; none: by something else.
    pub(crate) fn of_client(&self, client: Option<ClientCertificate>) -> Self {
        Self { client, ..self.clone() }
    }

    /// Secures a data connection; `resume`: it must resume this control connection's session.
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        way: Way,
        resume: bool,
        limit: Duration,
    ) -> Result<TlsStream<Wide<TcpStream>>, Insecure> {
        let handshake = async {
            let begun = LazyConfigAcceptor::new(Acceptor::default(), Wide::new(stream)).await?;
            let once = begun.client_hello().cipher_suites().contains(&CipherSuite::TLS_EMPTY_RENEGOTIATION_INFO_SCSV);
            let config = if way == Way::Out || once { &self.data } else { &self.silent };
            // With the ClientHello it is decided whether a session is resumed, or, where a HelloRetryRequest is needed, with the
            // second one. Where it is not, nothing more is said: the end of a whole handshake would hand out a ticket of this
            // control connection's, with which a thief's next connection would be resumed.
            let config = if resume { tickets::for_resumed_only(config) } else { config.clone() };
            let mut kind = None;
            let stream = begun.into_stream_with(config, |tls| kind = tls.handshake_kind());
            if resume && !matches!(kind, Some(HandshakeKind::Resumed | HandshakeKind::FullWithHelloRetryRequest)) {
                return Ok(None);
            }
            let stream = stream.await?;
            let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            Ok((resumed || !resume).then_some(stream))
        };
        let mut stream = match timeout(limit, handshake).await {
            Ok(Ok(Some(stream))) => stream,
            Ok(Ok(None)) => return Err(Insecure::NotResumed),
            Ok(Err(error)) => return Err(Insecure::Handshake(error)),
            Err(_) => return Err(Insecure::Late),
        };
        let tls = stream.get_mut().1;
        tls.set_buffer_limit(Some(BUFFER));
        let shown = certificate(&stream);
        let same = |wanted: &ClientCertificate| shown.is_some_and(|shown| shown.fingerprint() == wanted.fingerprint());
        if self.client.as_ref().is_some_and(|wanted| !same(wanted)) {
            return Err(Insecure::OtherClient);
        }
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
    /// It showed another client certificate than the one that the login came by, or none.
    OtherClient,
}

/// The certificate that the client showed and has the key of.
pub(crate) fn certificate<S>(stream: &TlsStream<S>) -> Option<ClientCertificate> {
    let chain = stream.get_ref().1.peer_certificates()?;
    ClientCertificate::new(chain.iter().map(|certificate| certificate.to_vec()))
}

/// The cipher suite, by its name, and the version.
pub(crate) fn cipher(stream: &TlsStream<TcpStream>) -> Option<String> {
    stream.get_ref().1.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).map(str::to_owned)
}
