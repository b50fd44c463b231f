//! FTP over TLS (RFC 959, 2228, 2389, 2428, 2640, 3659, 4217, 7151): the front for partners that speak FTPS.
//!
//! [`Front::serve`] takes an accepted stream and speaks FTP on it, from the first byte in TLS (implicit) or from AUTH on
//! (explicit). What a login may do, what is complete, what is put on record: all of that is [`causeway_core::Gateway`]'s.
//!
//! | module | what it knows |
//! |---|---|
//! | `config` | settings |
//! | [`wire`] | lines, commands, replies, facts, listings as pure functions over bytes |
//! | `connection`, `control` | one control connection: its times, its socket, its queue of commands |
//! | `session` | what a connection has said so far: security, login, folder, parameters |
//! | `verbs` | the commands, one verb a file |
//! | `data` | data connections: ports, who may connect, TLS, pieces in and out |
//! | `transfer` | what runs beside the control connection: uploads, downloads, listings, digests |
//! | `tls` | TLS sessions that belong to one control connection |
//! | [`status`] | the one map from kinds of failure to reply codes |

mod config;
mod connection;
mod control;
mod data;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod session;
pub mod status;
mod tickets;
mod tls;
mod transfer;
mod verbs;
pub mod wire;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use causeway_core::Gateway;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{DataRules, Forwarders, FtpsConfig, NoForwarders};
pub use status::status_of;

use control::Control;
use data::ports::Ports;
use session::Conversation;

/// What every connection shares.
pub(crate) struct Terms {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) config: FtpsConfig,
    pub(crate) ports: Arc<Ports>,
    tls: watch::Receiver<Arc<ServerConfig>>,
}

/// Where a connection came from, and to.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The client.
    pub peer: SocketAddr,
    /// The address of this machine that it came to.
    pub local: SocketAddr,
    /// The address that the client connected to, which PASV announces: another one where a proxy stands in between.
    pub reached: SocketAddr,
}

/// How a connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// In clear, until AUTH TLS (RFC 4217).
    Explicit,
    /// TLS from the first byte.
    Implicit,
}

/// The FTPS front of a gateway.
#[derive(Clone)]
pub struct Front {
    terms: Arc<RwLock<Arc<Terms>>>,
    connections: TaskTracker,
}

impl Front {
    /// With these settings and this certificate, which may change: it holds for the connections that come then. (Versions are
    /// taken from there, too; tickets and session storage are every connection's own.)
    pub fn new(config: FtpsConfig, tls: watch::Receiver<Arc<ServerConfig>>, gateway: Arc<Gateway>) -> Self {
        let ports = Ports::new(config.passive_ports.clone());
        let terms = Terms { gateway, config, ports, tls };
        Self { terms: Arc::new(RwLock::new(Arc::new(terms))), connections: TaskTracker::new() }
    }

    /// Serves connections that come from now on with these settings; but for the passive ports, whether a certificate is
    /// required, and which proxies are believed, which stay.
    pub fn adopt(&self, config: FtpsConfig) {
        let old = self.terms();
        let (passive_ports, certificate_required) = (old.config.passive_ports.clone(), old.config.certificate_required);
        let forwarders = old.config.forwarders.clone();
        let config = FtpsConfig { passive_ports, certificate_required, forwarders, ..config };
        let terms = Terms { gateway: old.gateway.clone(), config, ports: old.ports.clone(), tls: old.tls.clone() };
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
    }

    fn terms(&self) -> Arc<Terms> {
        self.terms.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves one accepted connection until it ends, and its login is closed. When `shutdown` is cancelled a transfer under
    /// way may be finished, and then the connection is closed; how long that may take is the caller's to say: dropping this
    /// future cuts the connection, and what is still open is left incomplete, which [`Front::ended`] waits for.
    ///
    /// `held` is dropped when its client has logged in, or at its end: what the caller counts connections by that have not.
    pub async fn serve(
        &self,
        stream: TcpStream,
        ends: Ends,
        start: Start,
        shutdown: CancellationToken,
        held: Box<dyn Any + Send + Sync>,
    ) {
        let cut = CancellationToken::new();
        let terms = self.terms();
        let control = Control::new(stream, terms.config.line_timeout);
        let talk = Conversation::new(terms, ends, held);
        // A task of its own, so that its end is orderly however this future ends.
        let work = self.connections.spawn(connection::serve(talk, control, start, shutdown, cut.clone()));
        let _guard = cut.drop_guard();
        if let Err(error) = work.await {
            tracing::error!(%error, "serving an FTPS connection failed");
        }
    }

    /// Waits until every connection has ended, with its login closed, those too whose [`Front::serve`] was dropped. To be
    /// called when no more connections come.
    pub async fn ended(&self) {
        self.connections.close();
        self.connections.wait().await;
    }
}

impl Terms {
    /// The TLS settings of now.
    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        self.tls.borrow().clone()
    }
}
