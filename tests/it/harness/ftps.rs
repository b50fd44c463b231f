//! An FTPS client of the tests' own (RFC 959, RFC 4217), so that it can also do what no decent client does.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ALL_VERSIONS, ClientConfig, ConfigBuilder, NamedGroup, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Gateway;
use super::pki::Issued;
use super::plan::PASSWORD;

/// How long any one step may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// TLS of a client, up to this version: sessions are remembered within one value of this.
pub fn tls(gateway: &Gateway, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    tls_of(gateway, version, None)
}

/// The same, with a client certificate.
pub fn tls_of(
    gateway: &Gateway,
    version: &'static SupportedProtocolVersion,
    certificate: Option<&Issued>,
) -> Arc<ClientConfig> {
    let builder = trusting(gateway, version);
    let mut config = match certificate.map(Issued::load) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(64);
    Arc::new(config)
}

/// With somebody's certificate, and the key of another one.
pub fn tls_of_thief(
    gateway: &Gateway,
    version: &'static SupportedProtocolVersion,
    certificate: &Issued,
    other: &Issued,
) -> Arc<ClientConfig> {
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&other.load().1).unwrap();
    let stolen = CertifiedKey::new(certificate.load().0, key);
    Arc::new(trusting(gateway, version).with_client_cert_resolver(Arc::new(SingleCertAndKey::from(stolen))))
}

fn trusting(
    gateway: &Gateway,
    version: &'static SupportedProtocolVersion,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    trusting_by(gateway, version, rustls::crypto::aws_lc_rs::default_provider())
}

/// TLS of a client whose first key share is of a group that the gateway does not know: it is asked for another
/// (HelloRetryRequest, RFC 8446 section 4.1.4).
pub fn tls_asked_again(gateway: &Gateway) -> Arc<ClientConfig> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups = vec![&Unknown, rustls::crypto::aws_lc_rs::kx_group::X25519];
    Arc::new(trusting_by(gateway, &rustls::version::TLS13, provider).with_no_client_auth())
}

/// A key exchange that nobody else has.
#[derive(Debug)]
struct Unknown;

impl SupportedKxGroup for Unknown {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        Ok(Box::new(Self))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X448
    }
}

impl ActiveKeyExchange for Unknown {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, rustls::Error> {
        unreachable!("the gateway does not know it")
    }

    fn pub_key(&self) -> &[u8] {
        &[7; 56]
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X448
    }
}

fn trusting_by(
    gateway: &Gateway,
    version: &'static SupportedProtocolVersion,
    provider: CryptoProvider,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let pem = fs::read(gateway.data().join("certs/ca.pem")).expect("the development certificate's CA");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let older = [version];
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(if version.version == ProtocolVersion::TLSv1_3 { ALL_VERSIONS } else { &older })
        .unwrap()
        .with_root_certificates(roots)
}

enum Wire {
    Clear(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
    Gone,
}

/// A control connection.
pub struct Ftps {
    wire: Wire,
    read: Vec<u8>,
    pub tls: Arc<ClientConfig>,
    server: SocketAddr,
    /// The address that it connects from.
    from: IpAddr,
}

/// A data connection.
pub type Data = TlsStream<TcpStream>;

impl Ftps {
    /// Connects in clear, and takes the greeting.
    pub async fn connect(gateway: &Gateway, version: &'static SupportedProtocolVersion) -> Self {
        let loopback = if gateway.ftps.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { gateway.ftps.ip() };
        Self::connect_at(gateway, gateway.ftps, loopback, version).await
    }

    /// The same, from another address of this machine, to any address of the gateway's.
    pub async fn connect_at(
        gateway: &Gateway,
        server: SocketAddr,
        from: IpAddr,
        version: &'static SupportedProtocolVersion,
    ) -> Self {
        let stream = connect_from(from, server).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let tls = tls(gateway, version);
        let mut client = Self { wire: Wire::Clear(stream), read: Vec::new(), tls, server, from };
        let greeting = client.reply().await;
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Connects and secures, with a client certificate or without.
    pub async fn shows(
        gateway: &Gateway,
        version: &'static SupportedProtocolVersion,
        certificate: Option<&Issued>,
    ) -> Self {
        let mut client = Self::connect(gateway, version).await;
        client.tls = tls_of(gateway, version, certificate);
        client.secure().await;
        client
    }

    /// Connects to the listener of implicit TLS.
    pub async fn implicit(gateway: &Gateway, version: &'static SupportedProtocolVersion) -> Self {
        let stream = TcpStream::connect(gateway.ftps_implicit).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let server = gateway.ftps_implicit;
        let from = stream.local_addr().unwrap().ip();
        let tls = tls(gateway, version);
        let mut client = Self { wire: Wire::Clear(stream), read: Vec::new(), tls, server, from };
        client.handshake().await.unwrap();
        let greeting = client.reply().await;
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Secured, logged in, ready for binary transfers.
    pub async fn login(gateway: &Gateway, login: &str) -> Self {
        Self::login_with(gateway, login, &rustls::version::TLS13).await
    }

    pub async fn login_with(gateway: &Gateway, login: &str, version: &'static SupportedProtocolVersion) -> Self {
        let mut client = Self::connect(gateway, version).await;
        client.secure().await;
        client.enter(login).await;
        client
    }

    /// AUTH TLS and the handshake.
    pub async fn secure(&mut self) {
        assert_eq!(self.code("AUTH TLS").await, 234);
        self.handshake().await.unwrap();
    }

    pub async fn handshake(&mut self) -> io::Result<()> {
        let Wire::Clear(stream) = std::mem::replace(&mut self.wire, Wire::Gone) else { panic!("secured already") };
        let connector = TlsConnector::from(self.tls.clone());
        let secured = timeout(PATIENCE, connector.connect(name(), stream)).await.expect("a handshake in time")?;
        self.wire = Wire::Secure(Box::new(secured));
        Ok(())
    }

    /// What the server has shown.
    pub fn server_certificate(&self) -> Vec<u8> {
        let Wire::Secure(stream) = &self.wire else { panic!("not secured") };
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    pub async fn enter(&mut self, login: &str) {
        assert_eq!(self.code(&format!("USER {login}")).await, 331);
        let said = self.say(&format!("PASS {PASSWORD}")).await;
        assert!(said.starts_with("230"), "{said}");
        for (command, code) in [("PBSZ 0", 200), ("PROT P", 200), ("TYPE I", 200)] {
            assert_eq!(self.code(command).await, code, "{command}");
        }
    }

    /// Sends bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.wire {
            Wire::Clear(stream) => stream.write_all(bytes).await,
            Wire::Secure(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Wire::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends a command and takes its reply.
    pub async fn say(&mut self, command: &str) -> String {
        self.raw(format!("{command}\r\n").as_bytes()).await.unwrap();
        self.reply().await
    }

    /// Sends a command and takes the code of its reply.
    pub async fn code(&mut self, command: &str) -> u16 {
        code(&self.say(command).await)
    }

    /// The next reply, all of its lines; empty at the end of the connection.
    pub async fn reply(&mut self) -> String {
        let mut lines: Vec<String> = Vec::new();
        while let Some(line) = self.line().await {
            let last =
                line.len() >= 4 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit) && line.as_bytes()[3] == b' ';
            lines.push(line);
            if last {
                break;
            }
        }
        lines.join("\n")
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").expect("lines end with CRLF");
                return Some(String::from_utf8(line.to_vec()).unwrap());
            }
            let mut buffer = [0; 4096];
            let work = async {
                match &mut self.wire {
                    Wire::Clear(stream) => stream.read(&mut buffer).await,
                    Wire::Secure(stream) => stream.read(&mut buffer).await,
                    Wire::Gone => Ok(0),
                }
            };
            match timeout(PATIENCE, work).await.expect("a reply in time") {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.read.extend_from_slice(&buffer[..n]),
            }
        }
    }

    /// EPSV: where to connect to.
    pub async fn passive(&mut self) -> SocketAddr {
        let said = self.say("EPSV").await;
        self.agreed(&said)
    }

    /// Where a reply to PASV or EPSV says to connect to; of PASV, its port at the server's address.
    pub fn agreed(&self, said: &str) -> SocketAddr {
        let port = match announced(said) {
            Some(announced) => announced.port(),
            None => said.split("(|||").nth(1).and_then(|rest| rest.split('|').next()).expect(said).parse().unwrap(),
        };
        SocketAddr::new(self.server.ip(), port)
    }

    /// Secures a data connection with this client's TLS.
    pub async fn secure_data(&self, stream: TcpStream) -> io::Result<Data> {
        stream.set_nodelay(true).unwrap();
        let connector = TlsConnector::from(self.tls.clone());
        timeout(PATIENCE, connector.connect(name(), stream)).await.expect("a handshake in time")
    }

    /// Sends a command that opens a data connection; the first reply, and the connection if it is 150.
    pub async fn open(&mut self, command: &str) -> (String, Option<Data>) {
        let address = self.passive().await;
        self.open_at(address, command).await
    }

    /// The same, where the data connection is agreed on already.
    pub async fn open_at(&mut self, address: SocketAddr, command: &str) -> (String, Option<Data>) {
        let stream = connect_from(self.from, address).await.unwrap();
        let said = self.say(command).await;
        if !said.starts_with("150") {
            return (said, None);
        }
        let data = self.secure_data(stream).await.unwrap();
        (said, Some(data))
    }

    /// Uploads; the last reply.
    pub async fn put(&mut self, command: &str, content: &[u8]) -> String {
        let opened = self.open(command).await;
        self.send_all(opened, content).await
    }

    /// Sends everything on what [`Ftps::open`] gave; the last reply.
    pub async fn send_all(&mut self, (said, data): (String, Option<Data>), content: &[u8]) -> String {
        let Some(mut data) = data else { return said };
        data.write_all(content).await.unwrap();
        data.shutdown().await.unwrap();
        // To the server's close_notify: on the way comes the ticket for the next data connection.
        timeout(PATIENCE, data.read_to_end(&mut Vec::new())).await.expect("an end in time").ok();
        self.reply().await
    }

    /// Uploads over a data connection that the server may not want; the last reply.
    pub async fn attempt(&mut self, command: &str, content: &[u8]) -> String {
        let address = self.passive().await;
        let stream = TcpStream::connect(address).await.unwrap();
        self.raw(format!("{command}\r\n").as_bytes()).await.unwrap();
        if let Ok(mut data) = self.secure_data(stream).await {
            let _ = data.write_all(content).await;
            let _ = data.shutdown().await;
        }
        let said = self.reply().await;
        if said.starts_with("150") { self.reply().await } else { said }
    }

    /// Downloads or lists; the data, and the last reply.
    pub async fn get(&mut self, command: &str) -> (Vec<u8>, String) {
        let opened = self.open(command).await;
        self.take_all(opened).await
    }

    /// Takes everything from what [`Ftps::open`] gave; the data, and the last reply.
    pub async fn take_all(&mut self, (said, data): (String, Option<Data>)) -> (Vec<u8>, String) {
        let Some(mut data) = data else { return (Vec::new(), said) };
        let mut content = Vec::new();
        timeout(PATIENCE, data.read_to_end(&mut content)).await.expect("data in time").expect("a close_notify");
        data.shutdown().await.unwrap();
        (content, self.reply().await)
    }

    /// Ends the control connection in order, without QUIT.
    pub async fn hang_up(mut self) {
        match &mut self.wire {
            Wire::Clear(stream) => stream.shutdown().await.unwrap(),
            Wire::Secure(stream) => stream.shutdown().await.unwrap(),
            Wire::Gone => {}
        }
    }

    /// Whether the server has closed the connection.
    pub async fn is_closed(&mut self) -> bool {
        self.line().await.is_none()
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// The code of a reply.
pub fn code(reply: &str) -> u16 {
    reply.get(..3).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no reply: `{reply}`"))
}

/// The address that a reply to PASV tells.
pub fn announced(said: &str) -> Option<SocketAddr> {
    let inside = said.strip_prefix("227 ")?.split('(').nth(1)?.split(')').next()?;
    let numbers: Vec<u8> = inside.split(',').map(|n| n.parse().unwrap()).collect();
    let [a, b, c, d, high, low] = numbers.try_into().expect(said);
    Some(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low]))))
}

/// Connects from one of this machine's addresses.
pub async fn connect_from(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

/// Ends a connection with a TCP reset.
pub fn reset(data: Data) {
    let (stream, _) = data.into_inner();
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// Ends a connection without a close_notify.
pub async fn cut(data: Data) {
    let (mut stream, _) = data.into_inner();
    stream.shutdown().await.unwrap();
}
