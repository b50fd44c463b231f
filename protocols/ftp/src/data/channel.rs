//! From PASV, EPSV, PORT or EPRT to a secured data connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::broken::{NO_HANDSHAKE, OTHER_CLIENT};
use super::passive::Passive;
use super::{Broken, DataStream};
use crate::session::Signal;
use crate::tls::{Insecure, Sessions, Way};

/// How long 150 waits for a connection to the client, or for a handshake that the client has begun.
const AHEAD: Duration = Duration::from_millis(300);

/// Makes the system acknowledge at once what comes next: clients hold their last small piece back until the one before it
/// is acknowledged (Nagle), which the system would do 40 ms later.
pub(crate) fn quicken(stream: &TcpStream) {
    // It is a hint, and there are systems without it.
    let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
}

/// Whether bytes have come, or the end, or the news that it broke. The system is asked itself: of a socket that is new the runtime may not know yet.
pub(crate) fn has_begun(stream: &TcpStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    !matches!(recv(stream, &mut [0u8; 1], flags), Err(Errno::WOULDBLOCK))
}

/// How the next data connection comes about.
#[derive(Debug)]
pub(crate) enum Channel {
    /// The client connects.
    Passive(Passive),
    /// The client is connected to, from this local address.
    Active(IpAddr, SocketAddr),
    /// It is there, in memory.
    #[cfg(feature = "fuzz")]
    Memory(tokio::io::DuplexStream),
}

/// What opening takes.
pub(crate) struct Opening {
    pub(crate) channel: Channel,
    pub(crate) sessions: Sessions,
    /// Whether the control connection's session must be resumed.
    pub(crate) resume: bool,
    /// For the connection, and again for the handshake.
    pub(crate) limit: Duration,
    pub(crate) abort: CancellationToken,
    /// Given when the client may be told to go on (150).
    pub(crate) go_on: Signal,
}

impl Opening {
    /// Opens it.
    pub(crate) async fn run(self, way: Way) -> Result<DataStream, Broken> {
        let abort = self.abort.clone();
        tokio::select! {
            biased;
            () = abort.cancelled() => Err(Broken::Aborted),
            opened = self.open(way) => opened,
        }
    }

    async fn open(self, way: Way) -> Result<DataStream, Broken> {
        let mut go_on = self.go_on;
        let none = "no data connection came about; connect to the port that PASV or EPSV told, or check the firewall";
        let stream = match self.channel {
            Channel::Passive(passive) => {
                let mut connected = std::pin::pin!(passive.connected());
                let stream = if let Ok(early) = timeout(Duration::ZERO, &mut connected).await {
                    early
                } else {
                    go_on.give();
                    timeout(self.limit, connected).await.ok().flatten()
                };
                stream.ok_or(Broken::NotConnected(none))?
            }
            Channel::Active(local, to) => {
                let refused = Broken::NotConnected("the data connection could not be made; use PASV or EPSV");
                let connect = async {
                    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                    socket.bind(SocketAddr::new(local, 0))?;
                    socket.connect(to).await
                };
                let mut connect = std::pin::pin!(timeout(self.limit, connect));
                // A firewall may swallow what is sent: the client is to be heard meanwhile (ABOR, NOOP, QUIT).
                let connected = if let Ok(early) = timeout(AHEAD, &mut connect).await {
                    early
                } else {
                    go_on.give();
                    connect.await
                };
                connected.ok().and_then(Result::ok).ok_or(refused)?
            }
            #[cfg(feature = "fuzz")]
            Channel::Memory(stream) => {
                go_on.give();
                return Ok(DataStream::Memory(stream));
            }
        };
        quicken(&stream);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        // A client that has begun its handshake by now goes on with it before it looks for 150. It gets its next session
        // ticket with the end of the handshake; told to send before it has that, it might send a small file, close, and
        // have no ticket left for its next data connection.
        let begun = has_begun(&stream);
        if !begun {
            go_on.give();
        }
        let mut secured = std::pin::pin!(self.sessions.secure(stream, way, self.resume, self.limit));
        let secured = if let Ok(secured) = timeout(AHEAD, &mut secured).await {
            secured
        } else {
            go_on.give();
            secured.await
        };
        secured.map(|stream| DataStream::Tls(Box::new(stream))).map_err(|why| match why {
            Insecure::NotResumed => Broken::NotResumed,
            Insecure::OtherClient => Broken::NotConnected(OTHER_CLIENT),
            Insecure::Late => Broken::NotConnected("the TLS handshake of the data connection took too long"),
            Insecure::Handshake(error) => {
                tracing::debug!(%error, "no TLS handshake on a data connection");
                Broken::NotConnected(NO_HANDSHAKE)
            }
        })
    }
}
