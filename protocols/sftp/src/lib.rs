//! SFTP version 3 (draft-ietf-secsh-filexfer-02) over SSH (RFC 4251 to 4254): the front for partners that speak SFTP.
//!
//! [`Front::serve`] takes an accepted stream and speaks SSH on it by russh, which knows nothing of SFTP; the SFTP layer is
//! our own. What a login may do, what is complete, what is put on record: all of that is [`causeway_core::Gateway`]'s.
//!
//! | module | what it knows |
//! |---|---|
//! | `config`, `algorithms`, `host_key`, `host_keys`, `host_certificate` | settings, algorithms, keys in files, and who is told of them |
//! | `certificate`, `hardware_key`, [`krl`] | user certificates, the touch of hardware keys, and what is revoked |
//! | `connection`, `wire`, `greeting`, `flow`, `window` | one SSH connection: its times, its socket, what the client says of itself, back-pressure |
//! | `handler`, `auth`, `channel`, `refusal` | russh's callbacks: logins and channels; all else is refused |
//! | [`codec`] | packets as pure functions over bytes |
//! | `session` | one SFTP session over any stream of bytes; `session::verbs` has the requests, one verb a file |
//! | `exec` | command lines without a shell: words, patterns, checksum commands |
//! | `scp` | the old scp protocol, both ways |
//! | `files` | what a session needs of the gateway |
//! | [`status`] | the one map from kinds of failure to `SSH_FX_*` |

mod algorithms;
mod auth;
mod certificate;
mod channel;
mod checksum;
pub mod codec;
mod config;
mod connection;
mod exec;
mod files;
mod flow;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod greeting;
mod handler;
mod hardware_key;
mod host_certificate;
mod host_key;
mod host_keys;
pub mod krl;
mod refusal;
mod scp;
mod session;
pub mod status;
mod window;
mod wire;

use std::any::Any;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use causeway_core::{Gateway, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use algorithms::{AlgorithmList, Algorithms, NoSuchAlgorithm};
pub use config::{MAX_REKEY_BYTES, SftpConfig};
pub use host_certificate::HostCertificate;
pub use host_key::{HostKey, HostKeyKind, generate_client_key};
pub use status::status_of;

use connection::Terms;

/// Settings that a front can go on with.
pub struct Prepared(Arc<Terms>);

/// The SFTP front of a gateway.
#[derive(Clone)]
pub struct Front {
    terms: Arc<RwLock<Arc<Terms>>>,
    connections: TaskTracker,
}

impl Front {
    /// With these settings. Fails with `InvalidArgument` where there is no host key.
    pub fn new(config: SftpConfig, gateway: Arc<Gateway>) -> Result<Self> {
        let terms = Arc::new(RwLock::new(Arc::new(terms(config, gateway)?)));
        Ok(Self { terms, connections: TaskTracker::new() })
    }

    /// Makes ready to go on with these settings. Fails as [`Front::new`] does.
    pub fn prepare(&self, config: SftpConfig) -> Result<Prepared> {
        let gateway = self.terms().gateway.clone();
        terms(config, gateway).map(|terms| Prepared(Arc::new(terms)))
    }

    /// Serves connections that come from now on with other settings.
    pub fn adopt(&self, prepared: Prepared) {
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = prepared.0;
    }

    fn terms(&self) -> Arc<Terms> {
        self.terms.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves one accepted connection until it ends, and its login is closed. When `shutdown` is cancelled nothing new is
    /// begun, uploads that are open may be finished, and then the connection is closed; how long that may take is the
    /// caller's to say: dropping this future cuts the socket, and what is still open is left incomplete, which
    /// [`Front::ended`] waits for.
    pub async fn serve<S>(&self, stream: S, peer: IpAddr, shutdown: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_holding(stream, peer, shutdown, Box::new(())).await;
    }

    /// [`Front::serve`], dropping what is held as soon as the client has logged in, or is gone: its place among the
    /// connections that have not.
    pub async fn serve_holding<S>(
        &self,
        stream: S,
        peer: IpAddr,
        shutdown: CancellationToken,
        held: Box<dyn Any + Send>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let cut = CancellationToken::new();
        let served = connection::serve(self.terms(), stream, peer, shutdown, cut.clone(), held);
        // A task of its own, so that its end is orderly however this future ends.
        let work = self.connections.spawn(served);
        let _guard = cut.drop_guard();
        if let Err(error) = work.await {
            tracing::error!(%error, "serving an SFTP connection failed");
        }
    }

    /// Waits until every connection has ended, with its login closed, those too whose [`Front::serve`] was dropped. To be
    /// called when no more connections come.
    pub async fn ended(&self) {
        self.connections.close();
        self.connections.wait().await;
    }
}

/// What every connection shares.
fn terms(config: SftpConfig, gateway: Arc<Gateway>) -> Result<Terms> {
    let banner = config.banner.clone().filter(|text| !text.is_empty()).map(|mut text| {
        if !text.ends_with('\n') {
            text.push_str("\r\n");
        }
        text
    });
    Ok(Terms {
        ciphers: config.algorithms.ciphers.as_slice().into(),
        gateway,
        banner,
        login_grace: config.login_grace,
        max_auth_tries: config.max_auth_tries,
        idle_timeout: config.idle_timeout,
        algorithms: config.algorithms.clone(),
        scp: config.scp,
        max_channels: config.max_channels,
        max_handles: config.max_handles,
        russh: Arc::new(config::russh_config(config)?),
    })
}

#[cfg(test)]
mod tests;
