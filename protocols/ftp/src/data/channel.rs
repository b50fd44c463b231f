//! From PASV, EPSV, PORT or EPRT to a secured data connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::Broken;
use super::passive::Passive;
use crate::tls::{Insecure, Sessions, Way};

/// How the next data connection comes about.
#[derive(Debug)]
pub(crate) enum Channel {
    /// The client connects.
    Passive(Passive),
    /// The client is connected to, from this local address.
    Active(IpAddr, SocketAddr),
}

/// What opening takes.
pub(crate) struct Opening {
    pub(crate) channel: Channel,
    pub(crate) sessions: Sessions,
    pub(crate) way: Way,
    /// Whether the control connection's session must be resumed.
    pub(crate) resume: bool,
    /// For the connection, and again for the handshake.
    pub(crate) limit: Duration,
    pub(crate) abort: CancellationToken,
}

impl Opening {
    /// Opens it.
    pub(crate) async fn run(self) -> Result<TlsStream<TcpStream>, Broken> {
        let abort = self.abort.clone();
        tokio::select! {
            biased;
            () = abort.cancelled() => Err(Broken::Aborted),
            opened = self.open() => opened,
        }
    }

    async fn open(self) -> Result<TlsStream<TcpStream>, Broken> {
        let none = "no data connection came about; connect to the port that PASV or EPSV told, or check the firewall";
        let stream = match self.channel {
            Channel::Passive(passive) => {
                timeout(self.limit, passive.connected()).await.ok().flatten().ok_or(Broken::NotConnected(none))?
            }
            Channel::Active(local, to) => {
                let refused = Broken::NotConnected("the data connection could not be made; use PASV or EPSV");
                let connect = async {
                    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                    socket.bind(SocketAddr::new(local, 0))?;
                    socket.connect(to).await
                };
                timeout(self.limit, connect).await.ok().and_then(Result::ok).ok_or(refused)?
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        self.sessions.secure(stream, self.way, self.resume, self.limit).await.map_err(|why| match why {
            Insecure::NotResumed => Broken::NotResumed,
            Insecure::Late => Broken::NotConnected("the TLS handshake of the data connection took too long"),
            Insecure::Handshake(error) => {
                tracing::debug!(%error, "no TLS handshake on a data connection");
                Broken::NotConnected("the TLS handshake of the data connection failed")
            }
        })
    }
}
