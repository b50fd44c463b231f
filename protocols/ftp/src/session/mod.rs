//! What a control connection has said so far: how it is secured, who it is, where it stands, and how it wants its data.

mod parameters;
mod paths;
mod running;
mod standing;

use std::any::Any;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use causeway_core::events::Operation;
use causeway_core::identity::{ClientCertificate, Offence, Progress};
use causeway_core::{Error, ErrorKind, Gateway, Peer, Protocol, Session, VirtualPath};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

pub(crate) use parameters::{Mode, Parameters, Type};
pub(crate) use running::{Ended, Question, Running, Signal, Step};
pub(crate) use standing::Examined;

use crate::config::DataRules;
use crate::data::Channel;
use crate::tls::Sessions;
use crate::wire::Reply;
use crate::{Ends, Terms};

/// Refusals of connections that are not logged in, or of strangers at a data port, that one connection puts on record.
const MAX_RECORDED: u32 = 8;
/// Data connections of one control connection that may wait for the client to close them.
const LINGERING: usize = 4;

/// How the control connection is secured.
pub(crate) enum Security {
    /// It is not.
    Clear,
    /// By TLS.
    Tls {
        /// The sessions that its data connections resume.
        sessions: Sessions,
        /// The cipher suite.
        cipher: Option<String>,
        /// The certificate that the client showed.
        certificate: Option<ClientCertificate>,
        /// PBSZ came (RFC 2228 section 3).
        sized: bool,
        /// PROT P came: data connections are secured too.
        private: bool,
    },
}

/// Who is at the other end.
pub(crate) enum Stage {
    /// Nobody yet.
    Nobody,
    /// USER came.
    Named(String),
    /// PASS was right, and the login needs a code, too: ACCT brings it. With the name that it is logging in by.
    Halfway(String),
    /// Logged in.
    Inside(Inside),
}

/// A login, and where it stands.
pub(crate) struct Inside {
    pub(crate) session: Arc<Session>,
    pub(crate) rules: DataRules,
    /// The current folder.
    pub(crate) folder: VirtualPath,
    /// What RNFR named.
    pub(crate) renaming: Option<VirtualPath>,
    /// When its client certificate was last looked at.
    pub(crate) examined: Examined,
}

/// One control connection.
pub(crate) struct Conversation {
    pub(crate) terms: Arc<Terms>,
    pub(crate) peer: IpAddr,
    pub(crate) local: IpAddr,
    /// The address that the client connected to, as PASV announces it.
    pub(crate) reached: IpAddr,
    pub(crate) security: Security,
    pub(crate) stage: Stage,
    pub(crate) parameters: Parameters,
    /// How the next data connection comes about.
    pub(crate) channel: Option<Channel>,
    /// EPSV ALL came (RFC 2428 section 4).
    pub(crate) extended_only: bool,
    /// What runs beside the control connection.
    pub(crate) running: Option<Running>,
    /// Failed logins.
    pub(crate) tries: u32,
    /// How often a client certificate was examined for a login that it did not let in.
    pub(crate) shown: u32,
    /// What the login that is under way has proven.
    pub(crate) progress: Progress,
    /// How long its steps have waited for the gateway's own queue; the time to log in is put off by it.
    pub(crate) queued: Duration,
    pub(crate) blame: Blame,
    /// How data connections in memory come about.
    #[cfg(feature = "fuzz")]
    pub(crate) memory: Option<Box<dyn FnMut() -> tokio::io::DuplexStream + Send + Sync>>,
    held: Option<Held>,
    pub(crate) lingering: Arc<Semaphore>,
    recorded: u32,
    /// The operator was told that there is no passive port.
    warned: bool,
    strangers: (mpsc::Sender<IpAddr>, mpsc::Receiver<IpAddr>),
}

/// Given back when somebody has logged in.
pub(crate) type Held = Box<dyn Any + Send + Sync>;

/// Whether a connection's source pays for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Nobody has logged in, and this is the worst that was done; none: nothing at all was.
    Offence(Option<Offence>),
    /// Somebody has logged in, or the gateway itself was the reason that nobody could.
    None,
}

impl Blame {
    /// With one more.
    pub(crate) fn add(&mut self, offence: Offence) {
        if let Self::Offence(worst) = self {
            *worst = (*worst).max(Some(offence));
        }
    }
}

/// What a command comes to.
pub(crate) enum Answer {
    /// A reply.
    Reply(Reply),
    /// Something runs now; its replies follow.
    Begun(Running),
    /// A reply, and then TLS.
    Secure(Reply),
    /// A reply, and the end of the connection.
    Close(Reply),
}

/// A refusal is a reply, too.
pub(crate) type Turn = Result<Answer, Reply>;

/// A reply of one line, and nothing more, in the form that every verb answers in.
#[allow(clippy::unnecessary_wraps)]
pub(crate) fn say(code: u16, text: impl Into<std::borrow::Cow<'static, str>>) -> Turn {
    Ok(Answer::Reply(Reply::new(code, text)))
}

impl Conversation {
    /// At its beginning.
    pub(crate) fn new(terms: Arc<Terms>, ends: Ends, held: Held) -> Self {
        Self {
            terms,
            peer: ends.peer.ip().to_canonical(),
            local: ends.local.ip().to_canonical(),
            reached: ends.reached.ip().to_canonical(),
            security: Security::Clear,
            stage: Stage::Nobody,
            parameters: Parameters::default(),
            channel: None,
            extended_only: false,
            running: None,
            tries: 0,
            shown: 0,
            progress: Progress::new(),
            queued: Duration::ZERO,
            blame: Blame::Offence(None),
            #[cfg(feature = "fuzz")]
            memory: None,
            held: Some(held),
            lingering: Arc::new(Semaphore::new(LINGERING)),
            recorded: 0,
            warned: false,
            strangers: mpsc::channel(4),
        }
    }

    /// The gateway.
    pub(crate) fn gateway(&self) -> Arc<Gateway> {
        self.terms.gateway.clone()
    }

    /// The other end, as far as it is known.
    pub(crate) fn as_peer(&self) -> Peer {
        let cipher = match &self.security {
            Security::Tls { cipher, .. } => cipher.clone(),
            Security::Clear => None,
        };
        Peer {
            ip: self.peer,
            protocol: Protocol::Ftps,
            client_version: self.parameters.client.clone(),
            cipher,
            required_certificate: self.certificate().cloned().filter(|_| self.terms.config.certificate_required),
        }
    }

    /// The certificate that the client showed on the control connection.
    pub(crate) const fn certificate(&self) -> Option<&ClientCertificate> {
        match &self.security {
            Security::Tls { certificate, .. } => certificate.as_ref(),
            Security::Clear => None,
        }
    }

    /// Whether the control connection is secured.
    pub(crate) const fn is_secure(&self) -> bool {
        matches!(self.security, Security::Tls { .. })
    }

    /// The login; a refusal where there is none.
    pub(crate) fn inside(&mut self) -> Result<&mut Inside, Reply> {
        match &mut self.stage {
            Stage::Inside(inside) => Ok(inside),
            Stage::Nobody | Stage::Named(_) => Err(Reply::new(530, "log in first with USER and PASS")),
            Stage::Halfway(_) => Err(Reply::new(530, "log in first: send ACCT with the code")),
        }
    }

    /// Lets a login in.
    pub(crate) fn enter(&mut self, session: Arc<Session>) {
        let rules = self.terms.config.rules(&session.tenant.id, &session.login);
        self.stage = Stage::Inside(Inside {
            session,
            rules,
            folder: VirtualPath::root(),
            renaming: None,
            examined: Examined::now(),
        });
        self.blame = Blame::None;
        self.held = None;
    }

    /// Makes the source of a connection on which nobody logged in pay for that.
    pub(crate) fn settle(&self) {
        if let Blame::Offence(worst) = self.blame {
            self.terms.gateway.offence(self.peer, worst.unwrap_or(Offence::NoAuth));
        }
    }

    /// The login's session; a refusal where there is none.
    pub(crate) fn session(&mut self) -> Result<Arc<Session>, Reply> {
        self.inside().map(|inside| inside.session.clone())
    }

    /// The login's session, if there is one.
    pub(crate) fn session_of_now(&self) -> Option<Arc<Session>> {
        match &self.stage {
            Stage::Inside(inside) => Some(inside.session.clone()),
            Stage::Nobody | Stage::Named(_) | Stage::Halfway(_) => None,
        }
    }

    /// Whether somebody is logged in.
    pub(crate) const fn is_inside(&self) -> bool {
        matches!(self.stage, Stage::Inside(_))
    }

    /// Puts a refusal of the front end itself on record. `what`: what was asked for.
    pub(crate) async fn refuse(&mut self, operation: Operation, what: &str, error: &Error) {
        match &self.stage {
            Stage::Inside(inside) => self.terms.gateway.refused(&inside.session, operation, what, error).await,
            // Who is not logged in must not be able to fill the ledger.
            _ if self.recorded < MAX_RECORDED => {
                self.recorded += 1;
                self.terms.gateway.refused_peer(&self.as_peer(), operation, what, error).await;
            }
            _ => {}
        }
    }

    /// Where strangers at a data port are told.
    pub(crate) fn strangers(&self) -> mpsc::Sender<IpAddr> {
        self.strangers.0.clone()
    }

    /// The next stranger at a data port.
    pub(crate) async fn stranger(strangers: &mut mpsc::Receiver<IpAddr>) -> IpAddr {
        match strangers.recv().await {
            Some(address) => address,
            // One sender is this conversation's own.
            None => std::future::pending().await,
        }
    }

    /// What the loop waits for beside commands, both at a time.
    pub(crate) const fn waits(&mut self) -> (&mut Option<Running>, &mut mpsc::Receiver<IpAddr>) {
        (&mut self.running, &mut self.strangers.1)
    }

    /// Puts on record that another address tried to take a data connection.
    pub(crate) async fn record_stranger(&mut self, address: IpAddr) {
        let (peer, text) = (self.peer, "a data connection from another address was dropped");
        if self.recorded < MAX_RECORDED {
            self.recorded += 1;
            tracing::warn!(%peer, stranger = %address, "{text}");
            let error = Error::new(
                ErrorKind::PermissionDenied,
                format!("a data connection from {address} was dropped: it is not the control connection's address"),
            );
            self.refuse(Operation::Transfer, "", &error).await;
        } else {
            tracing::debug!(%peer, stranger = %address, "{text}");
        }
    }

    /// Tells the operator why no data connection can be awaited; once for a connection, however often it asks.
    pub(crate) fn warn_of_no_port(&mut self, error: &io::Error) {
        let (peer, text) = (self.peer, "no passive port");
        if std::mem::replace(&mut self.warned, true) {
            tracing::debug!(%peer, %error, "{text}");
        } else {
            tracing::warn!(%peer, %error, "{text}");
        }
    }

    /// Forgets the login and all parameters (REIN, and the end).
    pub(crate) async fn leave(&mut self) {
        self.channel = None;
        self.extended_only = false;
        self.progress = Progress::new();
        self.parameters = Parameters { client: self.parameters.client.take(), ..Parameters::default() };
        if let Stage::Inside(inside) = std::mem::replace(&mut self.stage, Stage::Nobody) {
            self.terms.gateway.close_session(&inside.session).await;
        }
    }

    /// Forgets what was said in clear: it could be anybody's. HOST is to be sent again (RFC 7151 section 3.3).
    pub(crate) fn forget_clear(&mut self) {
        self.parameters = Parameters::default();
    }

    /// The address that a data connection of the client's must be at.
    pub(crate) fn is_own_address(&self, to: SocketAddr) -> bool {
        to.ip().to_canonical() == self.peer
    }

    /// A token for what runs now.
    pub(crate) fn abort_token() -> CancellationToken {
        CancellationToken::new()
    }
}
