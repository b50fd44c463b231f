//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): what a proxy in front of the gateway says before
//! everything else of who its client is. It is believed from `network.trusted_proxies` alone; from anybody else such a
//! header is what it looks like to the protocol, garbage.
//!
//! The protocol's text forbids to guess whether a header is there (section 2). So SFTP and FTPS want one from a trusted proxy. On
//! the API and the operator's listener one may be missing, as a proxy of HTTP names its client in `X-Forwarded-For`: there what
//! begins with neither of the two signatures is taken as it is.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use causeway_core::identity::lies_in;
use ipnet::IpNet;
use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a header may take: proxies send it with the first packet (section 2).
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest header of version 1 (section 2.1), with its line's end.
const LONGEST_V1: usize = 107;
/// The longest one of version 2 that is read: an address, and more of what may stand behind it than proxies send.
const LONGEST_V2: usize = 4096;
/// What both versions have at least, before it is known which one it is.
const SIGNATURE: usize = 12;
/// The fixed part of version 2 (section 2.2).
const FIXED_V2: usize = 16;

/// Where a connection came from, and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client.
    pub peer: SocketAddr,
    /// The address of this machine.
    pub local: SocketAddr,
    /// The address that the client connected to: another one where a proxy stands before this machine.
    pub reached: SocketAddr,
}

/// Whether a trusted proxy may leave its header out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// It must not.
    Required,
    /// It may.
    Optional,
}

/// The proxies that are believed.
#[derive(Clone, Debug)]
pub struct Proxies(Arc<[IpNet]>);

impl Proxies {
    /// Those in these networks.
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether an address is one of theirs.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| lies_in(*network, address))
    }

    /// Reads the header of a trusted proxy's connection; none where there is none, or it is the proxy's own connection
    /// (`LOCAL`, `UNKNOWN`: a health check). Fails with what is wrong, for the log.
    pub async fn origin(
        &self,
        stream: &mut TcpStream,
        header: Header,
    ) -> Result<Option<(SocketAddr, SocketAddr)>, &'static str> {
        within(PATIENCE, stream, header).await
    }
}

async fn within(
    limit: Duration,
    stream: &mut TcpStream,
    header: Header,
) -> Result<Option<(SocketAddr, SocketAddr)>, &'static str> {
    let read = timeout(limit, read(stream, header)).await;
    read.unwrap_or(Err("the PROXY header did not come in time"))
}

async fn read(stream: &mut TcpStream, header: Header) -> Result<Option<(SocketAddr, SocketAddr)>, &'static str> {
    let gone = |_| "the connection ended before its PROXY header";
    if header == Header::Optional {
        let mut first = [0];
        // TLS begins with 0x16 (RFC 8446 section 5.1), HTTP in clear with the method.
        if stream.peek(&mut first).await.map_err(gone)? == 0 || !matches!(first, [b'P' | b'\r']) {
            return Ok(None);
        }
    }
    let mut bytes = vec![0; SIGNATURE];
    stream.read_exact(&mut bytes).await.map_err(gone)?;
    if bytes.starts_with(b"PROXY ") {
        // Nothing behind the line may be read away, and nothing says how long it is.
        while !bytes.ends_with(b"\r\n") {
            if bytes.len() >= LONGEST_V1 {
                return Err("the PROXY header of version 1 is too long");
            }
            bytes.push(stream.read_u8().await.map_err(gone)?);
        }
    } else {
        bytes.resize(FIXED_V2, 0);
        let (signature, rest) = bytes.split_at_mut(SIGNATURE);
        if signature != b"\r\n\r\n\0\r\nQUIT\n" {
            return Err(
                "a trusted proxy sent no PROXY header; switch it on there, or take it out of network.trusted_proxies",
            );
        }
        stream.read_exact(rest).await.map_err(gone)?;
        let length = match rest {
            [_, _, high, low] => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        };
        if FIXED_V2 + length > LONGEST_V2 {
            return Err("the PROXY header of version 2 is too long");
        }
        bytes.resize(FIXED_V2 + length, 0);
        let body = bytes.get_mut(FIXED_V2..).unwrap_or_default();
        stream.read_exact(body).await.map_err(gone)?;
    }
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(&bytes, config) {
        Ok((header, used)) if used == bytes.len() => {
            Ok(header.proxied_address().map(|address| (address.source, address.destination)))
        }
        Ok(_) | Err(Error::BufferTooShort | Error::Invalid | _) => Err("the PROXY header is malformed"),
    }
}

/// Data connections of FTP come through the same proxies.
impl causeway_ftp::Forwarders for Proxies {
    fn forwards(&self, address: IpAddr) -> bool {
        self.trusts(address)
    }

    fn origin<'s>(&'s self, stream: &'s mut TcpStream) -> Pin<Box<dyn Future<Output = Option<IpAddr>> + Send + 's>> {
        let proxy = stream.peer_addr().ok().map(|peer| peer.ip());
        let read = self.origin(stream, Header::Required);
        Box::pin(async move {
            match read.await {
                Ok(origin) => origin.map(|(source, _)| source.ip()).or(proxy),
                Err(why) => {
                    tracing::warn!(?proxy, why, "a data connection was refused");
                    None
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxy_header::ProxiedAddress;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    const CLIENT: &str = "203.0.113.7:40000";

    /// What is read of these bytes, and what is left behind it.
    async fn take(bytes: &[u8], header: Header) -> (Result<Option<(SocketAddr, SocketAddr)>, &'static str>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut near, _) = listener.accept().await.unwrap();
        far.write_all(bytes).await.unwrap();
        drop(far);
        let read = Proxies::new(&["127.0.0.1/32".parse().unwrap()]).origin(&mut near, header).await;
        let mut rest = Vec::new();
        let _ = near.read_to_end(&mut rest).await;
        (read, rest)
    }

    fn headers() -> [Vec<u8>; 2] {
        let address = ProxiedAddress::stream(CLIENT.parse().unwrap(), "192.0.2.1:22".parse().unwrap());
        let header = ProxyHeader::with_address(address);
        let (mut one, mut two) = (Vec::new(), Vec::new());
        header.encode_v1(&mut one).unwrap();
        header.encode_v2(&mut two).unwrap();
        [one, two]
    }

    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_what_follows() {
        for bytes in headers() {
            for wanted in [Header::Required, Header::Optional] {
                let (read, rest) = take(&[&bytes[..], b"SSH-2.0-x\r\n"].concat(), wanted).await;
                assert_eq!(read, Ok(Some((CLIENT.parse().unwrap(), "192.0.2.1:22".parse().unwrap()))));
                assert_eq!(rest, b"SSH-2.0-x\r\n");
            }
        }
    }

    #[tokio::test]
    async fn a_proxy_may_speak_for_itself() {
        let mut local = Vec::new();
        ProxyHeader::with_local().encode_v2(&mut local).unwrap();
        for bytes in [&local[..], b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"] {
            assert_eq!(take(bytes, Header::Required).await.0, Ok(None));
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_told_or_left_alone() {
        let hello = [0x16, 3, 1, 0, 5];
        assert_eq!(take(&hello, Header::Optional).await, (Ok(None), hello.to_vec()));
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200], b"\r\n".to_vec()].concat();
        let mut endless = headers()[1].clone();
        endless[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        let garbled = b"PROXY TCP4 203.0.113.999 192.0.2.1 1 2\r\n".to_vec();
        for bytes in [b"SSH-2.0-OpenSSH_9\r\n".to_vec(), long, endless, garbled, b"PROXY".to_vec()] {
            assert!(take(&bytes, Header::Required).await.0.is_err(), "{bytes:?}");
        }
        // A request in clear that begins like one.
        assert!(take(b"POST / HTTP/1.1\r\n\r\n", Header::Optional).await.0.is_err());
    }

    #[tokio::test]
    async fn a_header_is_not_awaited_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut near, _) = listener.accept().await.unwrap();
        let read = within(Duration::from_millis(20), &mut near, Header::Optional).await;
        assert_eq!(read, Err("the PROXY header did not come in time"));
    }
}
