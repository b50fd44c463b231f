//! Listeners: bound before anything else happens, accepting once the gateway is up, each with a limit of connections,
//! over all and for each source, and for SFTP one for those that have not logged in. A front end gets a connection that is accepted and, for the API, secured; it never sees a listener.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use causeway_core::wide::Wide;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::{Failure, Outcome};
use crate::proxy::{Header, Origin, Proxies};
use crate::sources::{Place, Sources};
use crate::startups::{Startup, Startups};

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Connections from one source at once, for each protocol that has no limit of its own: no single client takes all that a protocol has. It is far
/// above what a partner needs, since many of them may come through one address (NAT, a balancer).
const MAX_PER_SOURCE: usize = 1_000;

/// How long to wait before accepting again after an error that would come back at once (no file descriptors left).
const BREATH: Duration = Duration::from_millis(100);

/// One kind of listener, bound.
pub struct Bound {
    protocol: &'static str,
    listeners: Vec<TcpListener>,
    /// The addresses, with the ports that the system chose.
    pub addresses: Vec<SocketAddr>,
}

impl Bound {
    /// Binds all addresses of a protocol, or none.
    pub async fn bind(protocol: &'static str, wanted: &[SocketAddr]) -> Outcome<Self> {
        let mut listeners = Vec::with_capacity(wanted.len());
        let mut addresses = Vec::with_capacity(wanted.len());
        for address in wanted {
            let bound = TcpListener::bind(address).await.and_then(|l| l.local_addr().map(|a| (l, a)));
            let (listener, actual) = bound.map_err(|error| {
                let hint = match error.kind() {
                    std::io::ErrorKind::AddrInUse => "another process listens there; stop it or take another port",
                    std::io::ErrorKind::PermissionDenied => "this user may not listen there; take a port above 1023",
                    std::io::ErrorKind::AddrNotAvailable => "this machine has no such address; take another one",
                    _ => "take another address",
                };
                Failure::new(format!("{protocol}.listen: cannot listen on {address}: {error}; {hint}"))
            })?;
            listeners.push(listener);
            addresses.push(actual);
        }
        Ok(Self { protocol, listeners, addresses })
    }
}

/// Says whether an address is to be looked at at all.
pub type Admits = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Whom a protocol lets in. Clones are the same door: its places are shared.
#[derive(Clone)]
pub struct Door {
    /// Connections at once.
    pub limit: usize,
    /// The places that are left, for all listeners with this door together.
    pub places: Arc<Semaphore>,
    /// Connections from one source at once.
    pub sources: Sources,
    /// Connections that have not logged in.
    pub startups: Option<Startups>,
    /// Whether an address is to be looked at at all.
    pub admits: Option<Admits>,
    /// Whose connections are those of others, and whether they must say so. What they hand on counts for its client.
    pub proxies: Proxies,
    /// Whether they must say whose it is.
    pub header: Header,
    /// What those are told that are turned away, before the protocol begins; it is sent if it can be sent at once.
    pub refusal: &'static str,
}

impl Door {
    /// One that knows no other limit.
    pub fn new(limit: usize) -> Self {
        let (places, sources) = (Arc::new(Semaphore::new(limit)), Sources::new(MAX_PER_SOURCE));
        let (proxies, header) = (Proxies::new(&[]), Header::Optional);
        Self { limit, places, sources, startups: None, admits: None, proxies, header, refusal: "" }
    }

    fn refuse(&self, stream: &TcpStream) {
        // A courtesy: who cannot hear it now is not waited for.
        let _ = stream.try_write(self.refusal.as_bytes());
    }
}

/// Accepts connections until it is told to stop, and waits for those that are there.
#[derive(Clone)]
pub struct Supervisor {
    tasks: TaskTracker,
    /// Stop accepting; front ends end what they can end at once.
    stop: CancellationToken,
    /// End everything, now.
    abort: CancellationToken,
}

impl Supervisor {
    /// Without listeners.
    pub fn new() -> Self {
        Self { tasks: TaskTracker::new(), stop: CancellationToken::new(), abort: CancellationToken::new() }
    }

    /// What front ends watch.
    pub const fn shutdown(&self) -> &CancellationToken {
        &self.stop
    }

    /// Accepts on all listeners of a protocol whom its door lets in. `serve` drops the [`Startup`], if there is one, when
    /// its client has logged in.
    pub fn accept_by<F, S>(&self, bound: Bound, door: Door, serve: F)
    where
        F: Fn(TcpStream, Origin, Option<Startup>) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let entrance = Entrance { protocol: bound.protocol, door, serve: Arc::new(serve), supervisor: self.clone() };
        for listener in bound.listeners {
            let entrance = entrance.clone();
            self.tasks.spawn(async move { entrance.accept(listener).await });
        }
    }

    /// Stops accepting, gives the connections `grace` to end, cuts those that are left.
    pub async fn drain(self, grace: Duration, hurry: impl Future<Output = ()>) {
        self.stop.cancel();
        self.tasks.close();
        let waited = tokio::select! {
            waited = timeout(grace, self.tasks.wait()) => waited.is_ok(),
            () = hurry => false,
        };
        if !waited {
            tracing::warn!(connections = self.tasks.len(), "cutting the connections that are left");
            self.abort.cancel();
            self.tasks.wait().await;
        }
    }
}

/// Where the connections of a protocol come in.
struct Entrance<F> {
    protocol: &'static str,
    door: Door,
    serve: Arc<F>,
    supervisor: Supervisor,
}

impl<F> Clone for Entrance<F> {
    fn clone(&self) -> Self {
        let (door, serve, supervisor) = (self.door.clone(), self.serve.clone(), self.supervisor.clone());
        Self { protocol: self.protocol, door, serve, supervisor }
    }
}

impl<F, S> Entrance<F>
where
    F: Fn(TcpStream, Origin, Option<Startup>) -> S + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    async fn accept(&self, listener: TcpListener) {
        let protocol = self.protocol;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.supervisor.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let accepted = accepted.and_then(|(stream, peer)| stream.local_addr().map(|local| (stream, peer, local)));
            let (stream, peer, local) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(protocol, %error, "a connection could not be accepted");
                    sleep(BREATH).await;
                    continue;
                }
            };
            let origin = Origin { peer, local, reached: local };
            if self.door.proxies.trusts(peer.ip()) {
                self.unwrap(stream, origin);
            } else if self.admits(&stream, origin.peer)
                && let Some(permit) = self.permit(&stream, peer)
            {
                self.enter(stream, origin, permit);
            }
        }
    }

    /// Takes in what a proxy hands on, once it has said whose connection it is.
    fn unwrap(&self, mut stream: TcpStream, proxied: Origin) {
        let Some(permit) = self.permit(&stream, proxied.peer) else { return };
        let this = self.clone();
        self.supervisor.tasks.spawn(async move {
            let (protocol, proxy) = (this.protocol, proxied.peer);
            let read = tokio::select! {
                read = this.door.proxies.origin(&mut stream, this.door.header) => read,
                () = this.supervisor.stop.cancelled() => return,
            };
            match read {
                Ok(Some((peer, reached))) if this.admits(&stream, peer) => {
                    this.enter(stream, Origin { peer, reached, ..proxied }, permit);
                }
                Ok(Some(_)) => {}
                // Its own connection, or one whose client is named later.
                Ok(None) => this.begin(stream, proxied, permit, None),
                Err(why) => tracing::warn!(protocol, %proxy, why, "a connection was refused"),
            }
        });
    }

    fn admits(&self, stream: &TcpStream, peer: SocketAddr) -> bool {
        let admitted = self.door.admits.as_ref().is_none_or(|admits| admits(peer.ip()));
        if !admitted {
            tracing::debug!(protocol = self.protocol, %peer, "a connection was refused: its source has to wait");
            self.door.refuse(stream);
        }
        admitted
    }

    fn permit(&self, stream: &TcpStream, peer: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let permit = self.door.places.clone().try_acquire_owned().ok();
        if permit.is_none() {
            let (protocol, limit) = (self.protocol, self.door.limit);
            tracing::warn!(protocol, %peer, limit, "a connection was refused: there are too many");
            self.door.refuse(stream);
        }
        permit
    }

    /// Lets a client in, if its source has not got enough already.
    fn enter(&self, stream: TcpStream, origin: Origin, permit: OwnedSemaphorePermit) {
        let (protocol, peer) = (self.protocol, origin.peer);
        let Some(place) = self.door.sources.enter(peer.ip()) else {
            tracing::debug!(protocol, %peer, "a connection was refused: its source has too many");
            self.door.refuse(&stream);
            return;
        };
        self.begin(stream, origin, permit, Some(place));
    }

    fn begin(&self, stream: TcpStream, origin: Origin, permit: OwnedSemaphorePermit, place: Option<Place>) {
        let (protocol, peer) = (self.protocol, origin.peer);
        let startup = self.door.startups.as_ref().map(|startups| startups.enter(peer.ip()));
        if let Some(None) = startup {
            tracing::debug!(protocol, %peer, "a connection was dropped: too many, of all or of its source, are on their way to a login");
            self.door.refuse(&stream);
            return;
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(protocol, %peer, %error, "TCP_NODELAY could not be set");
        }
        let (abort, session) = (self.supervisor.abort.clone(), (self.serve)(stream, origin, startup.flatten()));
        self.supervisor.tasks.spawn(async move {
            tokio::select! {
                () = session => {}
                () = abort.cancelled() => tracing::info!(protocol, %peer, "a connection was cut: the gateway stops"),
            }
            drop((permit, place));
        });
    }
}

/// Secures a connection, in time; none where the client does not manage that.
pub async fn secure(
    stream: TcpStream,
    peer: SocketAddr,
    config: Arc<ServerConfig>,
) -> Option<TlsStream<Wide<TcpStream>>> {
    match timeout(HANDSHAKE, TlsAcceptor::from(config).accept(Wide::new(stream))).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "no TLS handshake");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "the TLS handshake took too long");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::startups::StartupLimits;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn bound() -> Bound {
        Bound::bind("test", &["127.0.0.1:0".parse().unwrap()]).await.unwrap()
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_are_closed() {
        let supervisor = Supervisor::new();
        let bound = bound().await;
        let address = bound.addresses[0];
        supervisor.accept_by(bound, Door::new(1), |mut stream, _, _| async move {
            let _ = stream.write_all(b"x").await;
            let _ = stream.read(&mut [0]).await;
        });
        let mut first = TcpStream::connect(address).await.unwrap();
        assert_eq!(first.read_u8().await.unwrap(), b'x');
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0);
        drop(first);
        supervisor.drain(Duration::from_secs(5), std::future::pending()).await;
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn who_is_turned_away_is_told() {
        let supervisor = Supervisor::new();
        let bound = bound().await;
        let address = bound.addresses[0];
        let open = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let asked = open.clone();
        let door = Door {
            startups: Some(Startups::new(StartupLimits { begin: 1, percent: 100, full: 1 }, &[])),
            admits: Some(Arc::new(move |_| asked.load(std::sync::atomic::Ordering::Acquire))),
            refusal: "not now",
            ..Door::new(8)
        };
        supervisor.accept_by(bound, door, |mut stream, _, startup| async move {
            let _ = stream.write_all(b"x").await;
            if stream.read_u8().await.is_ok() {
                drop(startup);
                let _ = stream.write_all(b"y").await;
                let _ = stream.read(&mut [0]).await;
            }
        });
        let told = async || {
            let mut text = String::new();
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.read_to_string(&mut text).await;
            text
        };
        let mut first = TcpStream::connect(address).await.unwrap();
        assert_eq!(first.read_u8().await.unwrap(), b'x');
        assert_eq!(told().await, "not now", "the one place before the login is taken");
        first.write_u8(1).await.unwrap();
        assert_eq!(first.read_u8().await.unwrap(), b'y');
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(second.read_u8().await.unwrap(), b'x', "who has logged in takes none");
        open.store(false, std::sync::atomic::Ordering::Release);
        assert_eq!(told().await, "not now");
        drop((first, second));
        supervisor.drain(Duration::from_secs(5), std::future::pending()).await;
    }

    #[tokio::test]
    async fn one_source_does_not_keep_out_another_one() {
        let supervisor = Supervisor::new();
        let bound = bound().await;
        let address = bound.addresses[0];
        let limits = StartupLimits { begin: 40, percent: 100, full: 40 };
        let door = Door { startups: Some(Startups::new(limits, &[])), refusal: "-", ..Door::new(100) };
        supervisor.accept_by(bound, door, |mut stream, _, startup| async move {
            let _ = stream.write_all(b"+").await;
            let _ = stream.read(&mut [0]).await;
            drop(startup);
        });
        let told = async |source: &str| {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
            let mut stream = socket.connect(address).await.unwrap();
            (stream.read_u8().await.unwrap(), stream)
        };
        let mut held = Vec::new();
        for _ in 0..10 {
            let (said, stream) = told("127.0.0.1").await;
            assert_eq!(said, b'+');
            held.push(stream);
        }
        assert_eq!(told("127.0.0.1").await.0, b'-', "it has its part of the places");
        assert_eq!(told("127.0.0.2").await.0, b'+', "the others have theirs");
        drop(held);
        supervisor.drain(Duration::from_secs(5), std::future::pending()).await;
    }

    #[tokio::test]
    async fn what_does_not_end_in_time_is_cut() {
        let supervisor = Supervisor::new();
        let bound = bound().await;
        let address = bound.addresses[0];
        supervisor.accept_by(bound, Door::new(8), |stream, _, _| async move {
            std::future::pending::<()>().await;
            drop(stream);
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        supervisor.drain(Duration::from_millis(50), std::future::pending()).await;
        assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn a_taken_port_says_so() {
        let first = bound().await;
        let failure = Bound::bind("sftp", &first.addresses).await.err().unwrap();
        assert!(failure.message.contains("another process listens there"), "{}", failure.message);
    }
}
