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

fn target(address: SocketAddr, tls: bool, ca: Option<PathBuf>) -> Target {
    let host = if tls { "localhost".to_owned() } else { address.ip().to_string() };
    Target { tls, host, port: address.port(), ca }
}

#[tokio::test]
async fn a_connection_that_broke_is_made_again_and_nothing_is_missing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = Syslog::new(target(listener.local_addr().unwrap(), false, None)).unwrap();
    assert!(sink.name().starts_with("syslog tcp://127.0.0.1:"));
    sink.send(&entries(1..4)).await.unwrap();
    let (mut wire, _) = listener.accept().await.unwrap();
    assert_eq!(seqs(&messages(&mut wire, 3).await), [1, 2, 3]);
    sink.send(&entries(4..5)).await.unwrap();
    assert_eq!(seqs(&messages(&mut wire, 1).await), [4]);
    drop(wire);
    tokio::time::sleep(Duration::from_millis(50)).await;
    sink.send(&entries(5..7)).await.unwrap();
    let (mut wire, _) = listener.accept().await.unwrap();
    assert_eq!(seqs(&messages(&mut wire, 6).await), [1, 2, 3, 4, 5, 6], "the last ones again, in their order");

    drop((wire, listener));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(sink.send(&entries(7..8)).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_collector_over_tls_must_show_who_it_is() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let root = tempfile::tempdir().unwrap();
    let authority = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let path = root.path().join(name);
        std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
        (Issuer::new(params, key), path)
    };
    let ((issuer, ca), (_, other)) = (authority("ca"), authority("other"));
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let collector = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut wire) = acceptor.accept(stream).await {
                return messages(&mut wire, 2).await;
            }
        }
    });
    let stranger = Syslog::new(target(address, true, Some(other))).unwrap();
    assert_eq!(stranger.send(&entries(1..3)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let sink = Syslog::new(target(address, true, Some(ca))).unwrap();
    sink.send(&entries(1..3)).await.unwrap();
    assert_eq!(seqs(&collector.await.unwrap()), [1, 2]);

    let none = root.path().join("none");
    std::fs::write(&none, "").unwrap();
    assert_eq!(Syslog::new(target(address, true, Some(none))).unwrap_err().code, 2);
}
