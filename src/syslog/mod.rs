//! Audit entries to a syslog collector, over TLS (RFC 5425) or plain TCP (RFC 6587): core's [`AuditSink`] port.
//!
//! Syslog acknowledges nothing: what a connection that breaks had taken may be lost. But who has read up to the end of a connection, and
//! ends it in return, has read everything (RFC 5425 section 4.4). So what was written is kept until such an end: there is one
//! every [`KEPT`] bytes, when the gateway stops, and right after the first batch and after a connection that has broken. That shows in time, too,
//! what TLS 1.3 tells only after the handshake: that the collector refuses this client. A collector may get entries twice, and
//! knows them by chain and `seq`.

mod message;

use std::collections::VecDeque;
use std::io::{Error as IoError, ErrorKind as IoErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use causeway_core::ports::AuditSink;
use causeway_core::records::{AuditRecord, Seal};
use causeway_core::{Error, ErrorKind, Result};
use futures::FutureExt as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::failure::{Failure, Outcome};
use crate::trust;

/// How long connecting, or the writing of a batch, may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a collector has to end a connection that was ended to it.
const ENDING: Duration = Duration::from_secs(5);
/// How much is written on a connection before it is ended, to know that it was read; what is kept meanwhile to be sent again.
const KEPT: usize = 4 * 1024 * 1024;
/// A collector that ends a connection so long after the last batch has read it: its system would have reset the connection otherwise.
const READ: Duration = Duration::from_secs(5);

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
    /// The certificate to show, with its chain, and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// The connection, and what the collector may not have read yet.
struct Line {
    wire: Option<Box<dyn Wire>>,
    /// Batches, the oldest first.
    kept: VecDeque<Vec<u8>>,
    /// When the last one was written.
    written: Option<Instant>,
    /// Whether the next batch has to be shown to arrive: nothing was yet, or the last connection has broken.
    is_in_doubt: bool,
    /// Whether the collector ends a connection in return; none: nobody knows yet.
    answers: Option<bool>,
}

impl Default for Line {
    fn default() -> Self {
        Self { wire: None, kept: VecDeque::new(), written: None, is_in_doubt: true, answers: None }
    }
}

impl Line {
    /// The connection, if there is one that holds, out of its place: one that a write has left half done is not put back.
    fn take(&mut self) -> Option<Box<dyn Wire>> {
        let mut wire = self.wire.take()?;
        let Some(in_order) = ending(&mut *wire) else { return Some(wire) };
        if in_order && self.written.is_some_and(|at| at.elapsed() >= READ) {
            self.kept.clear();
        } else if !self.kept.is_empty() {
            self.is_in_doubt = true;
        }
        None
    }

    /// How many bytes are kept.
    fn size(&self) -> usize {
        self.kept.iter().map(Vec::len).sum()
    }

    /// Keeps a batch, and no more of the oldest than is worth it.
    fn keep(&mut self, batch: Vec<u8>) {
        if !batch.is_empty() {
            self.kept.push_back(batch);
        }
        while self.kept.len() > 1 && self.size() > KEPT {
            self.kept.pop_front();
        }
    }
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

    async fn connect(&self) -> IoResult<Box<dyn Wire>> {
        let stream = TcpStream::connect((self.target.host.as_str(), self.target.port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let host = ServerName::try_from(self.target.host.clone()).map_err(IoError::other)?;
        Ok(Box::new(tls.connect(host, stream).await?))
    }

    /// Sends a batch, which may be empty: then what a broken connection may not have brought there.
    async fn put(&self, batch: Vec<u8>) -> Result<()> {
        let mut line = self.line.lock().await;
        let done = self.write(&mut line, batch).await;
        line.is_in_doubt |= done.is_err();
        done.map_err(|error| Error::new(ErrorKind::Unavailable, format!("the syslog collector: {error}")))
    }

    async fn write(&self, line: &mut Line, batch: Vec<u8>) -> IoResult<()> {
        let there = line.take();
        let is_missing = there.is_none() && line.is_in_doubt && !line.kept.is_empty();
        if batch.is_empty() && !is_missing {
            line.wire = there;
            return Ok(());
        }
        let mut wire = if let Some(wire) = there {
            wire
        } else {
            let mut wire = in_time(self.connect()).await?;
            for one in &line.kept {
                in_time(wire.write_all(one)).await?;
            }
            wire
        };
        in_time(wire.write_all(&batch)).await?;
        in_time(wire.flush()).await?;
        line.written = Some(Instant::now());
        let is_much = line.answers != Some(false) && line.size() + batch.len() >= KEPT;
        if !line.is_in_doubt && !is_much {
            line.wire = Some(wire);
            line.keep(batch);
            return Ok(());
        }
        match (timeout(ENDING, end(&mut *wire)).await, line.answers) {
            (Ok(Ok(())), _) => {
                line.kept.clear();
                line.answers = Some(true);
            }
            (Ok(Err(error)), _) => return Err(error),
            (Err(_), Some(true)) => return Err(late()),
            (Err(_), known) => {
                if known.is_none() {
                    tracing::warn!(
                        sink = %self.name,
                        "the syslog collector does not end a connection in return, which would show that it has read everything; \
                         entries on their way may be lost when a connection breaks"
                    );
                }
                line.answers = Some(false);
                line.keep(batch);
            }
        }
        line.is_in_doubt = false;
        Ok(())
    }
}

/// Whether the collector has ended the connection (none: it has not), and whether in order: it has nothing to say on it, so whatever can
/// be read is the end.
fn ending(wire: &mut dyn Wire) -> Option<bool> {
    let mut some = [0; 64];
    match wire.read(&mut some).now_or_never()? {
        Ok(0) => Some(true),
        Ok(_) => None,
        Err(_) => Some(false),
    }
}

/// Ends a connection and waits for the other side to do the same.
async fn end(wire: &mut dyn Wire) -> IoResult<()> {
    wire.shutdown().await?;
    let mut some = [0; 512];
    loop {
        match wire.read(&mut some).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Over TLS without the word for it: it has read ours, and after that there is nothing to cut off.
            Err(error) if error.kind() == IoErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

async fn in_time<T>(step: impl Future<Output = IoResult<T>>) -> IoResult<T> {
    timeout(TIMEOUT, step).await.map_err(|_| late())?
}

fn late() -> IoError {
    IoError::new(IoErrorKind::TimedOut, "it does not answer, or does not take them, in time")
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
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let config = match &target.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let private = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong("syslog_key", key, e))?;
            let both = builder.with_client_auth_cert(trust::certificates(chain, "events.syslog_certificate")?, private);
            both.map_err(|e| wrong("syslog_certificate", chain, format_args!("does not go with its key: {e}")))?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn wrong(key: &str, path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::configuration(format!("events.{key}: {}: {why}", path.display()))
}

#[async_trait]
impl AuditSink for Syslog {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, entries: &[(Seal, AuditRecord)]) -> Result<()> {
        let batch: Vec<u8> = entries.iter().flat_map(|(seal, record)| message::framed(seal, record)).collect();
        self.put(batch).await
    }

    /// What was under way when the connection broke is sent again, even where nothing comes after it.
    async fn settle(&self) -> Result<()> {
        self.put(Vec::new()).await
    }

    /// A process that just ends may reset its connections, and what the collector has not read yet goes with them.
    async fn finish(&self) {
        let mut line = self.line.lock().await;
        if let Some(mut wire) = line.take()
            && matches!(timeout(ENDING, end(&mut *wire)).await, Ok(Ok(())))
        {
            line.kept.clear();
        }
    }
}

#[cfg(test)]
#[path = "syslog_test.rs"]
mod tests;
