//! Proxies in front of the gateway: who is believed of whom, on every listener.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use rustls::version::{TLS12, TLS13};
use serde_json::Value;

use crate::harness::ftps::connect_from;
use crate::harness::openssh::OpenSsh;
use crate::harness::plan::api_key;
use crate::harness::proxy::Proxy;
use crate::harness::{Ftps, Gateway, Ledger, Plan, Rest, has_tool};

/// The address that the trusted proxy connects from.
const TRUSTED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The client that it speaks of, and the address that the client connected to.
const CLIENT: &str = "203.0.113.7";
const V1: &str = "PROXY TCP4 203.0.113.7 198.51.100.1 40000 21\r\n";

fn v2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    header.extend([203, 0, 113, 7, 198, 51, 100, 1]);
    header.extend([0x9c, 0x40, 0, 21]);
    // A field that nobody here knows (PP2_TYPE_NOOP).
    header.extend([4, 0, 0]);
    header
}

fn plan() -> Plan {
    Plan::new(Ledger::Sqlite).trusted_proxies(&format!("{TRUSTED}"))
}

/// The addresses that the trail has of an operation over a protocol.
async fn addresses(gateway: &Gateway, protocol: &str, operation: &str) -> Vec<String> {
    let path = format!("/audit?protocol={protocol}&operation={operation}");
    let entries = gateway.rest("orders").pages(&path, "entries").await;
    entries.iter().map(|entry| entry["client_ip"].as_str().unwrap_or_default().to_owned()).collect()
}

fn last(addresses: &[String]) -> &str {
    addresses.last().map_or("", String::as_str)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sftp_takes_the_client_that_a_trusted_proxy_names() {
    if !has_tool("sftp") {
        return;
    }
    let gateway = plan().start().await;
    for header in [V1.as_bytes().to_vec(), v2()] {
        let proxy = Proxy::before(gateway.sftp, TRUSTED.into(), header).await;
        let client = OpenSsh::new(&gateway, "edi01").at(proxy.address);
        let local = client.local("orders.csv", b"1;2;3\n");
        let ran = client.batch(&format!("put {} /inbound/orders.csv\n", local.display())).await;
        assert!(ran.success, "{}", ran.output);
        assert_eq!(last(&addresses(&gateway, "sftp", "upload").await), CLIENT);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_is_believed_and_a_trusted_proxy_must_speak() {
    let gateway = plan().start().await;
    // To the SSH and FTP of somebody who is no proxy the header is garbage.
    let stranger = Proxy::before(gateway.sftp, Ipv4Addr::LOCALHOST.into(), V1).await;
    let ran = OpenSsh::new(&gateway, "edi01").at(stranger.address).batch("pwd\n").await;
    assert!(!ran.success, "{}", ran.output);
    let silent = Proxy::before(gateway.sftp, TRUSTED.into(), "").await;
    let ran = OpenSsh::new(&gateway, "edi01").at(silent.address).batch("pwd\n").await;
    assert!(!ran.success, "{}", ran.output);
    assert!(gateway.log().contains("a trusted proxy sent no PROXY header"), "{}", gateway.log());
    // The proxy's own connection, a health check, is served as what it is.
    let health = Proxy::before(gateway.sftp, TRUSTED.into(), "PROXY UNKNOWN\r\n").await;
    let ran = OpenSsh::new(&gateway, "edi01").at(health.address).batch("pwd\n").await;
    assert!(ran.success, "{}", ran.output);
    assert_eq!(last(&addresses(&gateway, "sftp", "login").await), TRUSTED.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ftps_announces_what_the_client_reached_and_takes_data_through_the_proxy() {
    let gateway = plan().start().await;
    for (listener, version) in [(gateway.ftps, &TLS13), (gateway.ftps, &TLS12)] {
        let proxy = Proxy::before(listener, TRUSTED.into(), v2()).await;
        let mut ftps = Ftps::connect_at(&gateway, proxy.address, Ipv4Addr::LOCALHOST.into(), version).await;
        ftps.secure().await;
        ftps.enter("edi01").await;
        let said = ftps.say("PASV").await;
        assert!(said.starts_with("227 ") && said.contains("(198,51,100,1,"), "{said}");
        let port = ftps.agreed(&said).port();
        let data = Proxy::before(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TRUSTED.into(), V1).await;
        let opened = ftps.open_at(data.address, "STOR /inbound/by-proxy.csv").await;
        let said = ftps.send_all(opened, b"content").await;
        assert!(said.starts_with("226 "), "{said}");
        assert_eq!(last(&addresses(&gateway, "ftps", "upload").await), CLIENT);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_connection_of_another_client_through_the_same_proxy_is_a_strangers() {
    let gateway = plan().ftps("data_timeout = \"1s\"").start().await;
    let proxy = Proxy::before(gateway.ftps, TRUSTED.into(), V1).await;
    let mut ftps = Ftps::connect_at(&gateway, proxy.address, Ipv4Addr::LOCALHOST.into(), &TLS13).await;
    ftps.secure().await;
    ftps.enter("edi01").await;
    let port = ftps.passive().await.port();
    let other = V1.replace(CLIENT, "203.0.113.8");
    let thief = Proxy::before(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TRUSTED.into(), other).await;
    let _stream = connect_from(Ipv4Addr::LOCALHOST.into(), thief.address).await.unwrap();
    let said = ftps.say("LIST /inbound").await;
    assert!(said.starts_with("150 "), "{said}");
    let said = ftps.reply().await;
    assert!(said.starts_with("425 "), "{said}");
    let entries = gateway.rest("orders").pages("/audit?protocol=ftps&outcome=denied", "entries").await;
    assert!(entries.iter().any(|entry| entry.to_string().contains("203.0.113.8")), "{entries:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_takes_either_header_and_only_from_trusted_proxies() {
    if !has_tool("curl") {
        return;
    }
    let gateway = plan().start().await;
    let ask = |at: SocketAddr, from: IpAddr, forwarded: &str| {
        let out = Command::new("curl")
            .args(["--silent", "--insecure", "--max-time", "20", "--interface", &from.to_string()])
            .args(["--header", &format!("Authorization: Bearer {}", api_key("orders"))])
            .args(["--header", &format!("X-Forwarded-For: {forwarded}")])
            .arg(format!("https://{at}/api/v1/files?path=/inbound"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert!(answer["entries"].is_array(), "{answer}");
    };
    let seen = async || last(&addresses(&gateway, "api", "list").await).to_owned();
    ask(gateway.api, TRUSTED.into(), "192.0.2.66, 203.0.113.9");
    assert_eq!(seen().await, "203.0.113.9", "what the client wrote before it counts for nothing");
    ask(gateway.api, Ipv4Addr::LOCALHOST.into(), "203.0.113.9");
    assert_eq!(seen().await, "127.0.0.1", "anybody can send the field");
    for header in [V1.as_bytes().to_vec(), v2()] {
        let proxy = Proxy::before(gateway.api, TRUSTED.into(), header).await;
        ask(proxy.address, Ipv4Addr::LOCALHOST.into(), "203.0.113.9");
        assert_eq!(seen().await, CLIENT, "the client of the PROXY header is no proxy");
    }
    // The operator's listener, too.
    let proxy = Proxy::before(gateway.ops, TRUSTED.into(), V1).await;
    let out = Command::new("curl").args(["-s", &format!("http://{}/healthz", proxy.address)]).output().unwrap();
    assert_eq!(out.stdout, b"ok\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_behind_a_proxy_is_banned_alone() {
    let gateway = plan().limits("failed_logins = 2").start().await;
    let proxied = async |client: &str| {
        let header = format!("PROXY TCP4 {client} 198.51.100.1 40000 443\r\n");
        let proxy = Proxy::before(gateway.api, TRUSTED.into(), header).await;
        let ca = std::fs::read(ca_of(&gateway)).unwrap();
        (Rest::new(proxy.address, &ca, "cwk_wrong"), proxy)
    };
    let (wrong, _proxy) = proxied(CLIENT).await;
    let mut last = 401;
    // Of one address ten times as many may fail as of one login.
    for _ in 0..30 {
        last = wrong.get("/auth/validate").await.status;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    let (other, _proxy) = proxied("203.0.113.8").await;
    assert_eq!(other.get("/auth/validate").await.status, 401, "the others behind the proxy are not banned");
    assert_eq!(other.with_key(&api_key("orders")).get("/auth/validate").await.status, 200);
}

fn ca_of(gateway: &Gateway) -> std::path::PathBuf {
    Path::new(&gateway.data()).join("certs/ca.pem")
}
