//! One SSH connection from its first byte to its last: login grace, idle time, shutdown, and the end of its login.

use std::any::Any;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use causeway_core::identity::{EndReason, Offence, QueueTime};
use causeway_core::{Gateway, Peer, Protocol, Session};
use russh::AlgorithmKind;
use russh::Disconnect;
use russh::keys::Algorithm;
use russh::server::Handle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::algorithms::Algorithms;
use crate::flow::Flow;
use crate::greeting::{Greeting, Listener};
use crate::handler::Callbacks;
use crate::wire::Wire;

/// How long a client that was told to go may take before its socket is cut.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long what a connection began may take to end once its socket is dead. What does not end is given up: its uploads
/// are left to be resumed.
const ENDING: Duration = Duration::from_secs(30);
/// How long channels may take to answer what they have let in, once their session was ended; then the client is told to go
/// all the same.
const PARTING: Duration = Duration::from_secs(5);
/// What a client is told that did not log in in time.
const TOO_LATE: &str = "the login took too long";
/// How often the idle time is looked at while work is being done.
const LOOK: Duration = Duration::from_secs(1);

/// What every connection of a listener shares.
pub(crate) struct Terms {
    pub(crate) russh: Arc<russh::server::Config>,
    pub(crate) ciphers: Arc<[&'static str]>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) banner: Option<String>,
    pub(crate) login_grace: Duration,
    pub(crate) max_auth_tries: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) scp: bool,
    pub(crate) algorithms: Algorithms,
    pub(crate) max_channels: usize,
    pub(crate) max_handles: usize,
}

/// One connection, shared by its callbacks and its channels.
pub(crate) struct Connection {
    terms: Arc<Terms>,
    flow: Arc<Flow>,
    ip: IpAddr,
    heard: Arc<OnceLock<Greeting>>,
    session: OnceLock<Arc<Session>>,
    inside: CancellationToken,
    /// How long its login has waited for checks of other clients' passwords: that is not its own time.
    queue: QueueTime,
    locked_out: CancellationToken,
    channels: TaskTracker,
    given_up: CancellationToken,
    shutdown: CancellationToken,
    scp: bool,
    /// Given back when the client has logged in.
    held: Mutex<Option<Box<dyn Any + Send>>>,
    /// What the client did wrong before it logged in.
    offence: Mutex<Option<Offence>>,
    /// Why the gateway wants this client to go.
    dismissed: OnceLock<String>,
    dismissal: CancellationToken,
}

impl Connection {
    /// The gateway.
    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.terms.gateway
    }

    /// How long its login has waited for the gateway's own queue.
    pub(crate) const fn queue(&self) -> &QueueTime {
        &self.queue
    }

    /// Whether it may open one more channel.
    pub(crate) fn has_channel(&self) -> bool {
        self.channels.len() < self.terms.max_channels
    }

    /// Whether a client may sign with this.
    pub(crate) fn takes(&self, algorithm: &Algorithm) -> bool {
        self.terms.algorithms.takes(algorithm)
    }

    /// Remembers that a login failed: where none comes about, its source pays for it.
    pub(crate) fn failed(&self, login: &str) {
        let offence = self.gateway().offence_of(login, &self.peer());
        let mut known = self.offence.lock().unwrap_or_else(PoisonError::into_inner);
        *known = (*known).max(Some(offence));
    }

    /// Ends this connection, telling the client why.
    pub(crate) fn dismiss(&self, why: String) {
        let _ = self.dismissed.set(why);
        self.dismissal.cancel();
    }

    /// Why the client has to go, if it has to.
    pub(crate) fn dismissed(&self) -> Option<&str> {
        self.dismissed.get().map(String::as_str)
    }

    async fn is_dismissed(&self) -> &str {
        self.dismissal.cancelled().await;
        self.dismissed.get().map_or("the gateway ends this connection", String::as_str)
    }

    /// Makes the source of a connection on which nobody logged in pay for that.
    fn settle(&self, overstayed: bool) {
        // Nobody is blamed for what the gateway itself ended.
        if self.session.get().is_some() || self.shutdown.is_cancelled() || self.dismissal.is_cancelled() {
            return;
        }
        let known = *self.offence.lock().unwrap_or_else(PoisonError::into_inner);
        let offence = if overstayed { Offence::GraceExceeded } else { known.unwrap_or(Offence::NoAuth) };
        self.gateway().offence(self.ip, offence);
    }

    /// What is under way.
    pub(crate) const fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }

    /// How many channels are being served.
    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Serves a channel by this work, in a task of its own.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let given_up = self.given_up.clone();
        // Boxed: each future around it would else keep room for it twice, in every idle session.
        let work = Box::pin(work);
        self.channels.spawn(async move {
            given_up.run_until_cancelled_owned(work).await;
        });
    }

    /// Cancelled when the gateway shuts down.
    pub(crate) const fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Whether the old scp protocol is spoken.
    pub(crate) const fn scp(&self) -> bool {
        self.scp
    }

    /// Whether its session was ended by the gateway.
    pub(crate) fn is_ended(&self) -> bool {
        self.session.get().is_some_and(|session| session.ended().is_cancelled())
    }

    /// Waits until the gateway ends the session that is logged in here; the reason.
    pub(crate) async fn ended(&self) -> &'static str {
        self.inside.cancelled().await;
        let Some(session) = self.session.get() else { return std::future::pending().await };
        session.ended().cancelled().await;
        session.end_reason().map_or("the gateway has ended this session", EndReason::sentence)
    }

    /// The login, once there is one.
    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        self.session.get()
    }

    /// The other end, as far as it is known.
    pub(crate) fn peer(&self) -> Peer {
        let greeting = self.heard.get().cloned().unwrap_or_default();
        Peer {
            ip: self.ip,
            protocol: Protocol::Sftp,
            client_version: greeting.client_version,
            cipher: greeting.cipher,
            required_certificate: None,
        }
    }

    /// Takes the login of this connection. SSH has one login for each connection (RFC 4252 section 5.1).
    pub(crate) fn entered(&self, session: Arc<Session>) {
        let _ = self.session.set(session);
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.flow.touch();
        self.flow.distance().settle();
        self.inside.cancel();
    }

    /// Ends the connection: its login has failed too often.
    pub(crate) fn failed_too_often(&self) {
        self.locked_out.cancel();
    }
}

/// Serves a connection until it ends. When `cut` is cancelled its socket is dead at once.
pub(crate) async fn serve<S>(
    terms: Arc<Terms>,
    stream: S,
    ip: IpAddr,
    shutdown: CancellationToken,
    cut: CancellationToken,
    held: Box<dyn Any + Send>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Arc::new(Connection {
        terms: terms.clone(),
        flow: Arc::new(Flow::with_handles(terms.max_handles)),
        ip,
        heard: Arc::default(),
        session: OnceLock::new(),
        inside: CancellationToken::new(),
        queue: QueueTime::default(),
        locked_out: CancellationToken::new(),
        channels: TaskTracker::new(),
        given_up: CancellationToken::new(),
        shutdown,
        scp: terms.scp,
        held: Mutex::new(Some(held)),
        offence: Mutex::new(None),
        dismissed: OnceLock::new(),
        dismissal: CancellationToken::new(),
    });
    let overstayed = talk(&terms, &connection, stream, &cut).await;
    cut.cancel();
    connection.settle(overstayed);
    connection.channels.close();
    if timeout(ENDING, connection.channels.wait()).await.is_err() {
        tracing::error!(%ip, channels = connection.channels.len(), "channels of an ended connection are given up");
        connection.given_up.cancel();
        connection.channels.wait().await;
    }
    if let Some(session) = connection.session.get() {
        connection.gateway().close_session(session).await;
    }
}

/// How much is told of what a client offered, in bytes.
const TOLD: usize = 300;

/// Puts the end of a connection into the log. That nothing is in common is what an operator has to know: a partner who was
/// let in by the server before this one stands outside.
fn report(connection: &Connection, error: &russh::Error, what: &str) {
    let russh::Error::NoCommonAlgo { kind, theirs, .. } = error else {
        tracing::debug!(ip = %connection.ip, %error, "{what}");
        return;
    };
    let key = match kind {
        AlgorithmKind::Kex => "kex",
        AlgorithmKind::Key => "host_key_algorithms",
        AlgorithmKind::Cipher => "ciphers",
        AlgorithmKind::Mac => "macs",
        AlgorithmKind::Compression => "compression",
    };
    let offered: String = theirs.join(",").chars().filter(char::is_ascii_graphic).take(TOLD).collect();
    tracing::warn!(
        ip = %connection.ip,
        offered,
        "a client and the gateway have no algorithm in common; if it is a partner, add one that the client offers to \
         `{key}` in [sftp], or set legacy_algorithms = true"
    );
}

/// True where the client took too long to log in.
async fn talk<S>(terms: &Terms, connection: &Arc<Connection>, stream: S, cut: &CancellationToken) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let deadline = Instant::now() + terms.login_grace;
    let listener = Listener::new(terms.ciphers.clone(), connection.heard.clone());
    let wire = Wire::new(stream, connection.flow.clone(), listener, cut);
    let callbacks = Callbacks::new(connection.clone(), terms.banner.clone(), terms.max_auth_tries);
    let started = tokio::select! {
        started = timeout_at(deadline, russh::server::run_stream(terms.russh.clone(), wire, callbacks)) => started,
        () = connection.shutdown.cancelled() => return false,
    };
    let mut running = match started {
        Ok(Ok(running)) => running,
        Ok(Err(error)) => {
            report(connection, &error, "no SSH connection came about");
            return false;
        }
        Err(_) => {
            tracing::debug!(ip = %connection.ip, "a client did not introduce itself in time");
            return true;
        }
    };
    let handle = running.handle();
    let farewell = tokio::select! {
        ended = &mut running => {
            if let Err(error) = ended {
                report(connection, &error, "an SSH connection broke");
            }
            return false;
        }
        reason = overstays(connection, deadline, terms.idle_timeout) => reason,
        reason = connection.is_dismissed() => reason,
        () = closes(connection) => "the gateway is shutting down",
        reason = parts(connection) => reason,
    };
    let overstayed = farewell == TOO_LATE;
    tracing::debug!(ip = %connection.ip, farewell, "a client is told to go");
    let parting = async {
        say(&handle, farewell).await;
        (&mut running).await
    };
    if timeout(FAREWELL, parting).await.is_err() {
        cut.cancel();
        if timeout(ENDING, running).await.is_err() {
            tracing::error!(ip = %connection.ip, "an SSH connection does not end though its socket is dead");
        }
    }
    overstayed
}

/// Waits until the client has taken too long to log in, has failed to too often, or has been idle for too long afterwards: nothing came, nothing
/// went, and nothing was being worked on. Keep-alive messages of SSH do not count.
async fn overstays(connection: &Connection, deadline: Instant, idle: Duration) -> &'static str {
    tokio::select! {
        () = connection.inside.cancelled() => {}
        () = connection.locked_out.cancelled() => return "too many authentication failures",
        () = connection.queue.outlast(deadline) => return TOO_LATE,
    }
    loop {
        match connection.flow.idle() {
            Some(so_far) if so_far >= idle => return "the connection was idle for too long",
            Some(so_far) => sleep(idle.saturating_sub(so_far)).await,
            None => sleep(LOOK.min(idle)).await,
        }
    }
}

/// Waits until the gateway shuts down, and the channels have done what was under way.
async fn closes(connection: &Connection) {
    connection.shutdown.cancelled().await;
    connection.channels.close();
    connection.channels.wait().await;
}

/// Waits until the gateway ends the session, and the channels have answered what they had let in: what is being committed
/// comes to its end, and its client hears of it.
async fn parts(connection: &Connection) -> &'static str {
    let reason = connection.ended().await;
    connection.channels.close();
    if timeout(PARTING, connection.channels.wait()).await.is_err() {
        tracing::debug!(ip = %connection.ip, "a client takes no answer; it is told to go all the same");
    }
    reason
}

async fn say(handle: &Handle, farewell: &str) {
    // Where the connection is gone already there is nobody to tell.
    let _ = handle.disconnect(Disconnect::ByApplication, farewell.to_owned(), String::new()).await;
}
