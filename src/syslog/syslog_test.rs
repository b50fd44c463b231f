use std::net::SocketAddr;

use causeway_core::events::{Facts, Operation};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

fn entries(seqs: std::ops::Range<i64>) -> Vec<(Seal, AuditRecord)> {
    seqs.map(|seq| {
        let record = Facts::of_gateway_in(&"acme".into(), "gw-1", Operation::Upload).audit();
        (Seal { chain: "acme".into(), seq, entry: record.id, hash: [7; 32] }, record)
    })
    .collect()
}

/// Reads so many messages.
async fn messages(wire: &mut (impl AsyncRead + Unpin), count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        let mut length = 0;
        loop {
            match wire.read_u8().await.unwrap() {
                b' ' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut message = vec![0; length];
        wire.read_exact(&mut message).await.unwrap();
        all.push(String::from_utf8(message).unwrap());
    }
    all
}

fn seqs(messages: &[String]) -> Vec<i64> {
    let seq = |message: &String| message.split_once("seq=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap();
    messages.iter().map(seq).collect()
}

/// Reads a connection to its end, and ends it in return.
async fn read_out(mut wire: impl AsyncRead + Unpin) -> Vec<i64> {
    let mut all = Vec::new();
    wire.read_to_end(&mut all).await.unwrap();
    let (mut rest, mut found) = (all.as_slice(), Vec::new());
    while !rest.is_empty() {
        found.extend(messages(&mut rest, 1).await);
    }
    seqs(&found)
}

fn target(address: SocketAddr, tls: bool, ca: Option<PathBuf>) -> Target {
    let host = if tls { "localhost".to_owned() } else { address.ip().to_string() };
    Target { tls, host, port: address.port(), ca, identity: None }
}

#[tokio::test]
async fn a_connection_that_broke_is_made_again_and_nothing_is_missing() {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let sink = Syslog::new(target(listener.local_addr().unwrap(), false, None)).unwrap();
    assert!(sink.name().starts_with("syslog tcp://127.0.0.1:"));
    let next = {
        let listener = listener.clone();
        move || {
            let listener = listener.clone();
            async move { read_out(listener.accept().await.unwrap().0).await }
        }
    };
    // That the first ones arrive is seen.
    let first = entries(1..4);
    let (sent, got) = tokio::join!(sink.send(&first), next());
    sent.unwrap();
    assert_eq!(got, [1, 2, 3]);

    sink.send(&entries(4..5)).await.unwrap();
    let (mut wire, _) = listener.accept().await.unwrap();
    assert_eq!(seqs(&messages(&mut wire, 1).await), [4], "once");
    sink.send(&entries(5..6)).await.unwrap();
    // It is there and is not read when the collector goes: the connection is reset.
    wire.peek(&mut [0]).await.unwrap();
    drop(wire);
    let reading = tokio::spawn(next());
    while !reading.is_finished() {
        sink.settle().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(reading.await.unwrap(), [4, 5], "though nothing comes after them");

    sink.send(&entries(6..8)).await.unwrap();
    let (wire, _) = listener.accept().await.unwrap();
    let ((), got) = tokio::join!(sink.finish(), read_out(wire));
    assert_eq!(got, [6, 7], "and what was read is not sent again");

    drop(next);
    drop(listener);
    assert_eq!(sink.send(&entries(8..9)).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_batch_that_was_given_up_half_written_spoils_no_frame() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = Syslog::new(target(listener.local_addr().unwrap(), false, None)).unwrap();
    let first = entries(1..2);
    let (sent, got) = tokio::join!(sink.send(&first), async { read_out(listener.accept().await.unwrap().0).await });
    sent.unwrap();
    assert_eq!(got, [1]);
    // More than the buffers of a connection hold, to a collector that does not read.
    let many = entries(2..15_000);
    let stuck = tokio::select! {
        biased;
        sent = sink.send(&many) => Err(sent),
        wire = async {
            let (wire, _) = listener.accept().await.unwrap();
            wire.peek(&mut [0]).await.unwrap();
            wire
        } => Ok(wire),
    };
    let abandoned = stuck.expect("nobody reads");
    sink.send(&entries(15_000..15_001)).await.unwrap();
    let (mut wire, _) = timeout(TIMEOUT, listener.accept()).await.expect("a connection of its own").unwrap();
    assert_eq!(seqs(&messages(&mut wire, 1).await), [15_000]);
    drop(abandoned);
}

/// A certificate authority, and the file with its certificate.
fn authority(root: &Path, name: &str) -> (Issuer<'static, KeyPair>, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let path = root.join(name);
    std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
    (Issuer::new(params, key), path)
}

/// Accepts until a handshake comes to its end, and reads that connection.
async fn collect(listener: TcpListener, config: ServerConfig) -> Vec<i64> {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(wire) = acceptor.accept(stream).await {
            return read_out(wire).await;
        }
    }
}

#[tokio::test]
async fn a_collector_over_tls_must_show_who_it_is() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let root = tempfile::tempdir().unwrap();
    let ((issuer, ca), (_, other)) = (authority(root.path(), "ca"), authority(root.path(), "other"));
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let collector = tokio::spawn(collect(listener, config));
    let stranger = Syslog::new(target(address, true, Some(other))).unwrap();
    assert_eq!(stranger.send(&entries(1..3)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    // Under the right authority, but of another name.
    let elsewhere = Target { host: "127.0.0.1".to_owned(), ..target(address, true, Some(ca.clone())) };
    let elsewhere = Syslog::new(elsewhere).unwrap();
    assert_eq!(elsewhere.send(&entries(1..3)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let sink = Syslog::new(target(address, true, Some(ca))).unwrap();
    sink.send(&entries(1..3)).await.unwrap();
    assert_eq!(collector.await.unwrap(), [1, 2]);

    let none = root.path().join("none");
    std::fs::write(&none, "").unwrap();
    assert_eq!(Syslog::new(target(address, true, Some(none))).unwrap_err().code, 2);
}

#[tokio::test]
async fn a_collector_may_want_to_know_who_sends() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let root = tempfile::tempdir().unwrap();
    let (issuer, ca) = authority(root.path(), "ca");
    let certified = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        (leaf, key)
    };
    let (leaf, key) = certified("localhost");
    let mut roots = RootCertStore::empty();
    for certificate in trust::certificates(&ca, "events.syslog_ca").unwrap() {
        roots.add(certificate).unwrap();
    }
    let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let config = ServerConfig::builder()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let collector = tokio::spawn(collect(listener, config));
    // In TLS 1.3 the handshake is over for the client before the server says no.
    let nobody = Syslog::new(target(address, true, Some(ca.clone()))).unwrap();
    assert_eq!(nobody.send(&entries(1..3)).await.unwrap_err().kind(), ErrorKind::Unavailable);

    let (leaf, key) = certified("gateway");
    let both = root.path().join("both.pem");
    std::fs::write(&both, leaf.pem() + &key.serialize_pem()).unwrap();
    let shown = |chain: &Path, key: &Path| Target {
        identity: Some((chain.to_owned(), key.to_owned())),
        ..target(address, true, Some(ca.clone()))
    };
    Syslog::new(shown(&both, &both)).unwrap().send(&entries(1..3)).await.unwrap();
    assert_eq!(collector.await.unwrap(), [1, 2]);

    let other = root.path().join("other.key");
    std::fs::write(&other, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    for (chain, key) in [(&both, &other), (&ca, &both), (&both, &ca)] {
        assert_eq!(Syslog::new(shown(chain, key)).unwrap_err().code, 2, "{} {}", chain.display(), key.display());
    }
}
