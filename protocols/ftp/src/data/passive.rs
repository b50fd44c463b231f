//! Listening for one data connection: only from the address of the control connection, and only one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ports::Ports;
use crate::config::Forwarders;

/// Connections that the system holds while nobody has accepted them.
const BACKLOG: u32 = 16;
/// How long a client may take to close a connection that nothing came of.
const LINGER: Duration = Duration::from_secs(5);

/// A port on which one data connection is awaited. It is closed when this is dropped, or has its connection.
#[derive(Debug)]
pub(crate) struct Passive {
    port: u16,
    connected: oneshot::Receiver<TcpStream>,
    open: Option<DropGuard>,
    /// Ends when the port is free again.
    listening: Option<JoinHandle<()>>,
    lingering: Arc<Semaphore>,
}

/// Between whom a data connection comes about.
#[derive(Debug)]
pub(crate) struct DataEnds {
    /// The address here.
    pub(crate) local: IpAddr,
    /// The client.
    pub(crate) peer: IpAddr,
    /// Who may hand the client's connection on.
    pub(crate) forwarders: Arc<dyn Forwarders>,
}

impl DataEnds {
    /// Whether a connection is the client's; if not, whose it is, as far as that is known.
    async fn admit(&self, stream: &mut TcpStream, from: IpAddr) -> Result<(), IpAddr> {
        let from = from.to_canonical();
        let source = if self.forwarders.forwards(from) {
            self.forwarders.origin(stream).await.map_or(Err(from), |source| Ok(source.to_canonical()))?
        } else {
            from
        };
        if source == self.peer { Ok(()) } else { Err(source) }
    }
}

impl Passive {
    /// Listens for a connection between these ends, for at most `limit`. Connections of others are dropped,
    /// and their addresses told to `strangers`. `lingering`: how many connections that nothing came of may wait for the
    /// client to close them.
    pub(crate) fn listen(
        ports: &Arc<Ports>,
        ends: DataEnds,
        limit: Duration,
        strangers: mpsc::Sender<IpAddr>,
        lingering: &Arc<Semaphore>,
    ) -> io::Result<Self> {
        let full = || io::Error::new(io::ErrorKind::AddrInUse, "no passive port is free");
        let mut begin = ports.any();
        for _ in 0..ports.len() {
            let lease = ports.take(ends.peer, begin).ok_or_else(full)?;
            begin = lease.port().saturating_add(1);
            let socket = if ends.local.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // Connections of before may still linger on the port.
            socket.set_reuseaddr(true)?;
            let listener =
                match socket.bind(SocketAddr::new(ends.local, lease.port())).and_then(|()| socket.listen(BACKLOG)) {
                    Ok(listener) => listener,
                    // Another program has it.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                    Err(error) => return Err(error),
                };
            let (port, (found, connected), closed) = (lease.port(), oneshot::channel(), CancellationToken::new());
            let open = closed.clone().drop_guard();
            let parting = lingering.clone();
            let listening = tokio::spawn(async move {
                let accepting = async {
                    loop {
                        match listener.accept().await {
                            Ok((mut stream, from)) => match ends.admit(&mut stream, from.ip()).await {
                                Ok(()) => return Some(stream),
                                // Where the queue is full, the flood itself is on record.
                                Err(stranger) => drop(strangers.try_send(stranger)),
                            },
                            Err(error) => {
                                tracing::warn!(%error, "a data connection could not be accepted");
                                return None;
                            }
                        }
                    }
                };
                let accepted = tokio::select! {
                    accepted = timeout(limit, accepting) => accepted.ok().flatten(),
                    () = closed.cancelled() => None,
                };
                drop((listener, lease));
                if let Some(Err(stream)) = accepted.map(|stream| found.send(stream)) {
                    part(stream, &parting);
                }
            });
            let (open, listening) = (Some(open), Some(listening));
            return Ok(Self { port, connected, open, listening, lingering: lingering.clone() });
        }
        Err(full())
    }

    /// The port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Gives it up; the port is free when this returns.
    pub(crate) async fn close(mut self) {
        self.open = None;
        if let Some(listening) = self.listening.take() {
            // It has nothing to tell.
            let _ = listening.await;
        }
    }

    /// The connection, once there is one; none where none came in time.
    pub(crate) async fn connected(mut self) -> Option<TcpStream> {
        (&mut self.connected).await.ok()
    }
}

impl Drop for Passive {
    fn drop(&mut self) {
        // A refused command leaves a connection behind that nobody waits for any more.
        if let Ok(stream) = self.connected.try_recv() {
            part(stream, &self.lingering);
        }
    }
}

/// Ends a connection that nothing came of. It is not reset, whatever the client has sent on it by then: the client is to hear
/// the reply on the control connection.
fn part(mut stream: TcpStream, lingering: &Arc<Semaphore>) {
    let (Ok(place), Ok(runtime)) = (lingering.clone().try_acquire_owned(), tokio::runtime::Handle::try_current())
    else {
        return;
    };
    runtime.spawn(async move {
        let closing = async {
            let mut rest = vec![0; 16 * 1024];
            if stream.shutdown().await.is_ok() {
                while matches!(stream.read(&mut rest).await, Ok(read) if read > 0) {}
            }
        };
        // Whether the client closes or not: the connection is closed.
        let _ = timeout(LINGER, closing).await;
        drop(place);
    });
}
