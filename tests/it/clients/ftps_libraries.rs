//! Libraries over FTPS: Python's `ftplib`, npm's `basic-ftp`, Rust's `suppaftp`; and clients that know no TLS.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use suppaftp::tokio::{AsyncRustlsConnector, AsyncRustlsFtpStream};
use suppaftp::types::FileType;
use suppaftp::{FtpError, Mode, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::ftps::{Way, ca};
use super::run;
use crate::harness::plan::PASSWORD;
use crate::harness::{Gateway, Ledger, Plan, Random, has_tool, script, skip};

async fn names(gateway: &Gateway, folder: &str) -> Vec<String> {
    let listed = gateway.rest("orders").list(folder).await;
    listed.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ftplib_with_session_reuse() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python; ./test makes one");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let (explicit, implicit) = (gateway.ftps.port().to_string(), gateway.ftps_implicit.port().to_string());
    let mut command = Command::new(python);
    command.arg(script("ftplib_session.py")).args([&explicit, &implicit, "edi01", PASSWORD]).arg(ca(&gateway));
    run(command).await;
    let expected = ["explicit-TLSv1_2.bin", "explicit-TLSv1_3.bin", "implicit-TLSv1_2.bin", "implicit-TLSv1_3.bin"];
    assert_eq!(names(&gateway, "/inbound/ftplib").await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn basic_ftp_of_npm() {
    if !has_tool("node") {
        return;
    }
    let Some(modules) = std::env::var_os("CAUSEWAY_TEST_NODE_MODULES") else {
        return skip("CAUSEWAY_TEST_NODE_MODULES is not set to a folder with basic-ftp; ./test makes one");
    };
    if !std::path::Path::new(&modules).join("basic-ftp").is_dir() {
        return skip("basic-ftp is not in CAUSEWAY_TEST_NODE_MODULES; ./test installs it");
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    for way in Way::ALL {
        let mut command = Command::new("node");
        command.env("NODE_PATH", &modules).arg(script("basic_ftp_session.js"));
        command.arg(way.port(&gateway).to_string()).arg(if way.implicit { "implicit" } else { "explicit" });
        command.arg(if way.old { "TLSv1.2" } else { "TLSv1.3" }).args(["edi01", PASSWORD]).arg(ca(&gateway));
        command.arg(format!("/inbound/{}", way.name()));
        run(command).await;
        assert_eq!(names(&gateway, &format!("/inbound/{}", way.name())).await, ["renamed.bin", "tree"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suppaftp_does_a_partners_session() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let content = Random::seeded("suppaftp").bytes(1_500_000);
    for way in Way::ALL {
        let mut client = suppaftp(&gateway, way).await;
        client.login("edi01", PASSWORD).await.unwrap();
        client.transfer_type(FileType::Binary).await.unwrap();
        let folder = format!("/inbound/{}", way.name());
        client.mkdir(&folder).await.unwrap();
        client.cwd(&folder).await.unwrap();
        assert_eq!(client.pwd().await.unwrap(), folder);
        for mode in [Mode::Passive, Mode::ExtendedPassive] {
            client.set_mode(mode);
            let sent = client.put_file("data.bin", &mut &content[..]).await.unwrap();
            assert_eq!(sent, content.len() as u64, "{way:?}");
            assert_eq!(client.size("data.bin").await.unwrap(), content.len());
            let mut got = Vec::new();
            let mut data = client.retr_as_stream("data.bin").await.unwrap();
            data.read_to_end(&mut got).await.unwrap();
            data.finish().await.unwrap();
            assert!(got == content, "{way:?}");
        }
        // From the middle; and more at the end.
        client.resume_transfer(1_000_000).await.unwrap();
        let (mut rest, mut data) = (Vec::new(), client.retr_as_stream("data.bin").await.unwrap());
        data.read_to_end(&mut rest).await.unwrap();
        data.finish().await.unwrap();
        assert!(rest == content[1_000_000..]);
        client.append_file("data.bin", &mut &b"tail"[..]).await.unwrap();
        // An upload that is aborted publishes nothing.
        let mut data = client.put_with_stream("aborted.bin").await.unwrap();
        data.write_all(&content[..300_000]).await.unwrap();
        client.abort(data).await.unwrap();
        client.noop().await.unwrap();
        let listed = client.mlsd(None).await.unwrap();
        assert!(listed.iter().any(|line| line.contains("size=1500004;") && line.ends_with(" data.bin")), "{listed:?}");
        client.rename("data.bin", "moved.bin").await.unwrap();
        client.rm("moved.bin").await.unwrap();
        let gone = client.rm("moved.bin").await;
        assert!(
            matches!(&gone, Err(FtpError::UnexpectedResponse(said)) if said.status == Status::FileUnavailable),
            "{gone:?}"
        );
        assert!(names(&gateway, &folder).await.is_empty(), "{way:?}");
        client.quit().await.unwrap();
    }
}

async fn suppaftp(gateway: &Gateway, way: Way) -> AsyncRustlsFtpStream {
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(ca(gateway)).unwrap();
    roots.add(rustls_pki_types::CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let versions = [if way.old { &rustls::version::TLS12 } else { &rustls::version::TLS13 }];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(64);
    let connector = AsyncRustlsConnector::from(tokio_rustls::TlsConnector::from(Arc::new(config)));
    if way.implicit {
        let address = gateway.ftps_implicit;
        return AsyncRustlsFtpStream::connect_secure_implicit(address, connector, "localhost").await.unwrap();
    }
    let client = AsyncRustlsFtpStream::connect(gateway.ftps).await.unwrap();
    client.into_secure(connector, "localhost").await.unwrap()
}

/// Runs a client that knows no TLS, with this on its standard input; all that it says.
async fn in_clear(mut command: Command, input: &'static str) -> String {
    let work = move || {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Where it has ended by now it did not want to hear more.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let ran = child.wait_with_output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// They are told what is missing, before they have sent a password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_without_tls_are_refused() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let port = gateway.ftps.port().to_string();
    let home = tempfile::tempdir().unwrap();
    if has_tool("ncftpls") {
        let mut command = Command::new("ncftpls");
        command
            .env("HOME", home.path())
            .args(["-u", "edi01", "-p", PASSWORD, "-P", &port, "-r", "0", "-t", "20", "-d", "stdout"]);
        command.arg("ftp://127.0.0.1/inbound/");
        let said = in_clear(command, "").await;
        assert!(said.contains("secure the connection first with AUTH TLS"), "{said}");
        assert!(!said.contains("230 ") && !said.contains("226 "), "{said}");
    }
    if has_tool("tnftp") {
        let mut command = Command::new("tnftp");
        command.env("HOME", home.path()).args(["-n", "-v", "-p", "127.0.0.1", &port]);
        let said = in_clear(command, "user edi01 password\nls\nput /etc/hostname stolen\nquit\n").await;
        assert!(said.contains("530 secure the connection first with AUTH TLS"), "{said}");
        assert!(!said.contains("230 ") && !said.contains("226 "), "{said}");
    }
    assert!(names(&gateway, "/inbound").await.is_empty());
    let logins = gateway.rest("orders").pages("/audit?operation=login&limit=200", "entries").await;
    assert!(logins.iter().all(|entry| entry["protocol"] != "ftps"), "{logins:?}");
}
