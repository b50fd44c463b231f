//! Client certificates over the REST API: they stand for the login that takes them where no header is sent.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client_certificates::{Pki, login};
use crate::harness::ftps::tls_of;
use crate::harness::pki::{Issued, self_signed};
use crate::harness::plan::{Secrets, api_key};
use crate::harness::{Gateway, eventually, has_tool};

const DAY: time::Duration = time::Duration::days(1);

/// A login of `edi-partner` over the API.
fn api_login(username: &str, taken: &[&str], more: &str) -> String {
    login(username, taken, more).replace("[\"ftps\"]", "[\"api\"]")
}

/// An HTTP/1.1 connection.
struct Http(TlsStream<TcpStream>);

impl Http {
    async fn connect(gateway: &Gateway, tls: &Arc<ClientConfig>) -> std::io::Result<Self> {
        let stream = TcpStream::connect(gateway.api).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(tls.clone()).connect(name, stream).await.map(Self)
    }

    /// Asks who it is, with more header lines; status and body. Status 0: the connection is closed.
    async fn validate(&mut self, more: &str) -> (u16, Value) {
        self.ask("GET /api/v1/auth/validate", more).await
    }

    async fn ask(&mut self, what: &str, more: &str) -> (u16, Value) {
        let request = format!("{what} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
        let mut read = Vec::new();
        if self.0.write_all(request.as_bytes()).await.is_err() {
            return (0, Value::Null);
        }
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                if body.len() >= length.expect("a length").parse::<usize>().unwrap() {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return (status, serde_json::from_str(body).unwrap());
                }
            }
            let mut buffer = [0; 4096];
            match self.0.read(&mut buffer).await {
                Ok(0) | Err(_) => return (0, Value::Null),
                Ok(n) => read.extend_from_slice(&buffer[..n]),
            }
        }
    }
}

/// Whom a certificate stands for.
async fn whom(gateway: &Gateway, certificate: Option<&Issued>, more: &str) -> (u16, Value) {
    let mut http = Http::connect(gateway, &tls_of(gateway, &TLS13, certificate)).await.unwrap();
    http.validate(more).await
}

#[tokio::test]
async fn a_certificate_stands_for_its_login() {
    let pki = Pki::new();
    let (pinned, named) = (self_signed(pki.folder(), "pinned", |_| {}), pki.issue("named", &["DNS:edi.example"]));
    let both = pki.issue("both", &["DNS:edi.example", "DNS:mill.example"]);
    let (second, stranger) = (self_signed(pki.folder(), "second", |_| {}), self_signed(pki.folder(), "none", |_| {}));
    let over_ftps = self_signed(pki.folder(), "ftps", |_| {});
    let password = format!("password_hash = {:?}\nrequire = \"certificate+password\"", Secrets::get().password_hash);
    let gateway = pki
        .plan()
        .whole_login(&api_login("pin01", &[&pinned.fingerprint()], ""))
        .whole_login(&api_login("name01", &["san:edi.example"], ""))
        .whole_login(&api_login("mill11", &["san:mill.example"], "").replace("edi-partner", "mill"))
        .whole_login(&api_login("second01", &[&second.fingerprint()], &password))
        .whole_login(&login("ftps01", &[&over_ftps.fingerprint(), &pinned.fingerprint()], ""))
        .start()
        .await;
    for (certificate, login) in [(&pinned, "pin01"), (&named, "name01")] {
        let (status, said) = whom(&gateway, Some(certificate), "").await;
        assert_eq!(status, 200, "{said} {}", gateway.log());
        assert_eq!((&said["login"], &said["identity"]), (&login.into(), &"edi-partner".into()), "{said}");
        assert_eq!((&said["method"], &said["tenant_id"]), (&"certificate".into(), &"acme".into()), "{said}");
    }
    for (what, certificate) in [
        ("none", None),
        ("a stranger's", Some(&stranger)),
        ("one of two logins", Some(&both)),
        ("of a login that needs a password, too", Some(&second)),
        ("of a login of FTPS", Some(&over_ftps)),
    ] {
        let (status, said) = whom(&gateway, certificate, "").await;
        assert_eq!((status, &said["code"]), (401, &"unauthenticated".into()), "{what}: {said}");
    }
    // A header counts alone, be it right, wrong or of another kind.
    let key = format!("Authorization: Bearer {}\r\n", api_key("orders"));
    for certificate in [&pinned, &stranger] {
        let (status, said) = whom(&gateway, Some(certificate), &key).await;
        assert_eq!((status, &said["identity"]), (200, &"orders-app".into()), "{said}");
    }
    for header in ["Authorization: Bearer cwk_wrong\r\n", "Authorization: Basic YTpi\r\n", "Authorization: \r\n"] {
        assert_eq!(whom(&gateway, Some(&pinned), header).await.0, 401, "{header}");
    }
    assert_eq!(whom(&gateway, Some(&pinned), "X-Tenant-Id: acme\r\n").await.0, 200);
    assert_eq!(whom(&gateway, Some(&pinned), "X-Tenant-Id: other\r\n").await.0, 403);
    eventually("refusals are on record", Duration::from_secs(10), async || {
        let denied = gateway.rest("orders").pages("/audit?operation=login&outcome=denied&limit=200", "entries").await;
        denied.iter().any(|entry| entry["login"] == "second01" && entry["auth_method"] == "certificate").then_some(())
    })
    .await;
    assert!(gateway.log().contains("a client certificate stands for two logins"), "{}", gateway.log());
}

#[tokio::test]
async fn nobody_removes_the_home_that_is_his_whole_view() {
    let pki = Pki::new();
    let named = pki.issue("named", &["DNS:edi.example"]);
    let home = "home = \"/orders/acme\"";
    let login = api_login("name01", &["san:edi.example"], home).replace("edi-partner", "orders-app");
    let gateway = pki.plan().whole_login(&login).start().await;
    let rest = gateway.rest("orders");
    for folder in ["/orders", "/orders/acme", "/orders/acme/in"] {
        let made = rest.post_json("/folders", &serde_json::json!({ "path": folder })).await;
        assert!([201, 409].contains(&made.status), "{made:?}");
    }
    rest.put("/orders/acme/in/a.csv", b"1").await.ok();
    let mut http = Http::connect(&gateway, &tls_of(&gateway, &TLS13, Some(&named))).await.unwrap();
    for path in ["", "/"] {
        for recursive in ["true", "false"] {
            let what = format!("DELETE /api/v1/folders?path={path}&recursive={recursive}");
            let (status, said) = http.ask(&what, "").await;
            assert_eq!((status, &said["code"]), (403, &"permission_denied".into()), "{what}: {said}");
        }
    }
    assert_eq!(rest.read("/orders/acme/in/a.csv").await.body, &b"1"[..]);
}

#[tokio::test]
async fn each_request_asks_again_and_a_resumed_session_keeps_the_certificate() {
    let pki = Pki::new();
    let named = pki.issue("named", &["DNS:edi.example"]);
    pki.revoke(&[pki.ca.revoke(&[], DAY)]);
    let gateway = pki
        .plan()
        .acme(&format!("client_crl = {:?}", pki.path("crl.pem")))
        .whole_login(&api_login("name01", &["san:edi.example"], ""))
        .start()
        .await;
    for version in [&TLS12, &TLS13] {
        pki.revoke(&[pki.ca.revoke(&[], DAY)]);
        let tls = tls_of(&gateway, version, Some(&named));
        let mut first = Http::connect(&gateway, &tls).await.unwrap();
        assert_eq!(first.validate("").await.0, 200, "{}", gateway.log());
        assert_eq!(first.0.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
        let mut resumed = Http::connect(&gateway, &tls).await.unwrap();
        assert_eq!(resumed.0.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Resumed), "{version:?}");
        let (status, said) = resumed.validate("").await;
        assert_eq!((status, &said["login"]), (200, &"name01".into()), "{said}");
        pki.revoke(&[pki.ca.revoke(&[named.serial], DAY)]);
        for http in [&mut first, &mut resumed] {
            assert_eq!(http.validate("").await.0, 401, "it is revoked now, on a connection that is there, too");
        }
    }
}

#[tokio::test]
async fn where_certificates_are_required() {
    let pki = Pki::new();
    let (pinned, stranger) = (self_signed(pki.folder(), "pinned", |_| {}), self_signed(pki.folder(), "none", |_| {}));
    let signed = pki.issue("signed", &["DNS:any.example"]);
    let mut gateway = pki.plan().whole_login(&api_login("pin01", &[&pinned.fingerprint()], "")).start().await;
    gateway.stop().await;
    gateway.change(|plan| plan.api("client_certificates = \"required\""));
    gateway.start().await;
    for version in [&TLS12, &TLS13] {
        let tls = tls_of(&gateway, version, None);
        let answer = match Http::connect(&gateway, &tls).await {
            Ok(mut http) => http.validate("").await.0,
            Err(_) => 0,
        };
        assert_eq!(answer, 0, "no certificate, no connection");
    }
    let key = |id: &str| format!("Authorization: Bearer {}\r\n", api_key(id));
    for (certificate, header, wanted) in [
        (&pinned, String::new(), 200),
        (&signed, String::new(), 401),
        (&stranger, String::new(), 401),
        (&pinned, key("orders"), 200),
        (&signed, key("orders"), 200),
        (&stranger, key("orders"), 401),
        (&signed, key("other"), 401),
    ] {
        let (status, said) = whom(&gateway, Some(certificate), &header).await;
        assert_eq!(status, wanted, "{:?} {said}", certificate.chain);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_shows_a_certificate() {
    if !has_tool("curl") {
        return;
    }
    let pki = Pki::new();
    let named = pki.issue("named", &["DNS:edi.example"]);
    let gateway = pki.plan().whole_login(&api_login("name01", &["san:edi.example"], "")).start().await;
    fs::write(pki.path("file"), b"by certificate").unwrap();
    for more in [&["--http1.1", "--tls-max", "1.2"][..], &["--http1.1"], &["--http2"]] {
        let url = format!("https://localhost:{}/api/v1/files/content?path=/inbound/by-curl", gateway.api.port());
        let mut command = Command::new("curl");
        command.current_dir(pki.folder()).args(["-q", "-sS", "--fail-with-body", "--noproxy", "*", "--max-time", "60"]);
        command.arg("--cacert").arg(gateway.data().join("certs/ca.pem")).arg("--cert").arg(&named.chain);
        command.arg("--key").arg(&named.key).args(more).args(["-T", "file", &url]);
        let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(ran.status.success(), "{more:?}: {ran:?}");
        let file: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(file["created_by"]["login"], "name01", "{file}");
    }
}
