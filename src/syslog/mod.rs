//! Audit entries to a syslog collector, over TLS (RFC 5425) or plain TCP (RFC 6587): core's [`AuditSink`] port.
//!
//! Syslog acknowledges nothing. What a connection that breaks had taken may be lost, so the last entries are sent again on the next one:
//! a collector may get entries twice, and knows them by chain and `seq`.

mod message;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use causeway_core::ports::AuditSink;
use causeway_core::records::{AuditRecord, Seal};
use causeway_core::{Error, ErrorKind, Result};
use futures::FutureExt as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::failure::{Failure, Outcome};
use crate::trust;

/// How long connecting, or the writing of a batch, may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How much is kept to be sent again after a connection has broken.
const KEPT: usize = 256 * 1024;

/// Where the collector is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Its host, a name or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The certificates that its own must be under, PEM; none: those that this machine trusts.
    pub ca: Option<PathBuf>,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// The connection, and what went over it last.
#[derive(Default)]
struct Line {
    wire: Option<Box<dyn Wire>>,
    /// The last batches, the oldest first.
    kept: std::collections::VecDeque<Vec<u8>>,
}

/// Sends to a collector.
pub struct Syslog {
    name: String,
    target: Target,
    tls: Option<TlsConnector>,
    line: Mutex<Line>,
}

impl std::fmt::Debug for Syslog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Syslog({})", self.name)
    }
}

impl Syslog {
    /// Fails where the certificates cannot be read. Nothing is connected yet.
    pub fn new(target: Target) -> Outcome<Self> {
        let tls = if target.tls { Some(connector(&target)?) } else { None };
        let scheme = if target.tls { "tls" } else { "tcp" };
        let name = format!("syslog {scheme}://{}:{}", target.host, target.port);
        Ok(Self { name, target, tls, line: Mutex::default() })
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Wire>> {
        let stream = TcpStream::connect((self.target.host.as_str(), self.target.port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let host = ServerName::try_from(self.target.host.clone()).map_err(std::io::Error::other)?;
        Ok(Box::new(tls.connect(host, stream).await?))
    }

    async fn write(&self, line: &mut Line, batch: &[u8]) -> std::io::Result<()> {
        if line.wire.as_mut().is_some_and(|wire| has_ended(&mut **wire)) {
            line.wire = None;
        }
        let wire = match &mut line.wire {
            Some(wire) => wire,
            none => {
                let wire = none.insert(self.connect().await?);
                for batch in &line.kept {
                    wire.write_all(batch).await?;
                }
                wire
            }
        };
        wire.write_all(batch).await?;
        wire.flush().await
    }
}

/// Whether the collector has closed the connection: it has nothing to say on it, so whatever can be read is the end.
fn has_ended(wire: &mut dyn Wire) -> bool {
    let mut some = [0; 64];
    !matches!(wire.read(&mut some).now_or_never(), None | Some(Ok(1..)))
}

fn connector(target: &Target) -> Outcome<TlsConnector> {
    let roots = if let Some(path) = &target.ca {
        trust::roots(path, "events.syslog_ca")?
    } else {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(Failure::configuration(
                "events.syslog: this machine trusts no certificate authority; name the collector's in events.syslog_ca",
            ));
        }
        roots
    };
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[async_trait]
impl AuditSink for Syslog {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, entries: &[(Seal, AuditRecord)]) -> Result<()> {
        let batch: Vec<u8> = entries.iter().flat_map(|(seal, record)| message::framed(seal, record)).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let mut line = self.line.lock().await;
        let written = timeout(TIMEOUT, self.write(&mut line, &batch)).await;
        let failed = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it does not take them in time".to_owned()),
        };
        if let Some(why) = failed {
            line.wire = None;
            return Err(Error::new(ErrorKind::Unavailable, format!("the syslog collector: {why}")));
        }
        line.kept.push_back(batch);
        while line.kept.len() > 1 && line.kept.iter().map(Vec::len).sum::<usize>() > KEPT {
            line.kept.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "syslog_test.rs"]
mod tests;
