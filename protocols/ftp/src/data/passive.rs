//! Listening for one data connection: only from the address of the control connection, and only one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ports::Ports;

/// Connections that the system holds while nobody has accepted them.
const BACKLOG: u32 = 16;

/// A port on which one data connection is awaited. It is closed when this is dropped, or has its connection.
#[derive(Debug)]
pub(crate) struct Passive {
    port: u16,
    connected: oneshot::Receiver<TcpStream>,
    _open: DropGuard,
}

impl Passive {
    /// Listens at a local address for a connection from `peer`, for at most `limit`. Connections of others are dropped,
    /// and their addresses told to `strangers`.
    pub(crate) fn listen(
        ports: &Arc<Ports>,
        local: IpAddr,
        peer: IpAddr,
        limit: Duration,
        strangers: mpsc::Sender<IpAddr>,
    ) -> io::Result<Self> {
        let full = || io::Error::new(io::ErrorKind::AddrInUse, "no passive port is free");
        for _ in 0..ports.len() {
            let lease = ports.take(peer).ok_or_else(full)?;
            let socket = if local.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // Connections of before may still linger on the port.
            socket.set_reuseaddr(true)?;
            let listener = match socket.bind(SocketAddr::new(local, lease.port())).and_then(|()| socket.listen(BACKLOG))
            {
                Ok(listener) => listener,
                // Another program has it.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) => return Err(error),
            };
            let (port, (found, connected), closed) = (lease.port(), oneshot::channel(), CancellationToken::new());
            let open = closed.clone().drop_guard();
            tokio::spawn(async move {
                let accepting = async {
                    loop {
                        match listener.accept().await {
                            Ok((stream, from)) if from.ip().to_canonical() == peer => return Some(stream),
                            // Where the queue is full, the flood itself is on record.
                            Ok((_, from)) => drop(strangers.try_send(from.ip().to_canonical())),
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
                if let Some(stream) = accepted {
                    drop(found.send(stream));
                }
            });
            return Ok(Self { port, connected, _open: open });
        }
        Err(full())
    }

    /// The port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The connection, once there is one; none where none came in time.
    pub(crate) async fn connected(mut self) -> Option<TcpStream> {
        (&mut self.connected).await.ok()
    }
}
