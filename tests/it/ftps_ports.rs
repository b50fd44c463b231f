//! The ports of passive data connections: no number of PASV uses them up, nor sockets; they are shared fairly; each can be
//! used again at once.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::harness::ftps::{code, connect_from};
use crate::harness::{Ftps, Gateway, Ledger, Plan, eventually};

/// As many ports behind each other that are free now, and that no other test here gets.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 20_000 + u16::try_from(std::process::id() % 9_000).unwrap();
    loop {
        let first = base + NEXT.fetch_add(count, Ordering::Relaxed);
        let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + count).all(free) {
            return first;
        }
    }
}

async fn login_from(gateway: &Gateway, from: &str, login: &str) -> Ftps {
    let mut client = Ftps::connect_at(gateway, gateway.ftps, from.parse().unwrap(), &rustls::version::TLS13).await;
    client.secure().await;
    client.enter(login).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_pasv_leave_nothing_behind() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut client = Ftps::login(&gateway, "edi01").await;
    assert_eq!(client.code("PASV").await, 227);
    let (files, memory) = (gateway.open_files(), gateway.memory("VmRSS:"));
    // Many at once, as an attacker sends them; on some somebody connects and then nothing follows.
    let mut most = 0;
    for round in 0..1_000 {
        client.raw(&b"PASV\r\n".repeat(10)).await.unwrap();
        let mut said = String::new();
        for _ in 0..10 {
            said = client.reply().await;
            assert_eq!(code(&said), 227, "round {round}: {said}");
        }
        if round % 10 == 0 {
            drop(TcpStream::connect(client.agreed(&said)).await.unwrap());
            most = most.max(gateway.open_files());
        }
    }
    assert!(most <= files + 16, "{most} files and sockets at the most, {files} before");
    eventually("nothing is left open", Duration::from_secs(10), || async {
        (gateway.open_files() <= files + 1).then_some(())
    })
    .await;
    let grown = gateway.memory("VmRSS:").saturating_sub(memory);
    assert!(grown < 32 * 1024, "{grown} KiB more than before");
    // Nobody was kept out, and the client itself goes on.
    let mut other = Ftps::login(&gateway, "edi02").await;
    assert_eq!(code(&other.put("STOR /inbound/other.bin", b"x").await), 226);
    assert_eq!(code(&client.put("STOR /inbound/own.bin", b"x").await), 226);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_leaves_ports_to_the_others() {
    let first = free_ports(8);
    let range = format!("passive_ports = \"{first}-{}\"", first + 7);
    let gateway = Plan::new(Ledger::Sqlite).ftps(&range).start().await;
    let mut greedy = Vec::new();
    for _ in 0..8 {
        greedy.push(Ftps::login(&gateway, "edi01").await);
    }
    let mut got = 0;
    for client in &mut greedy {
        let said = client.say("PASV").await;
        if code(&said) == 227 {
            got += 1;
        } else {
            assert!(said.starts_with("425 no port is free"), "{said}");
        }
    }
    assert_eq!(got, 4, "half of what there is");
    // Another address finds some, and they work.
    let mut other = login_from(&gateway, "127.0.0.2", "edi02").await;
    assert_eq!(code(&other.put("STOR /inbound/other.bin", b"fair").await), 226);
    let mut more = login_from(&gateway, "127.0.0.3", "mill01").await;
    assert_eq!(more.code("PASV").await, 227);
    // What is given back can be had.
    assert_eq!(greedy[7].code("PASV").await, 425);
    assert_eq!(greedy[0].code("QUIT").await, 221);
    assert!(greedy[0].is_closed().await);
    let began = Instant::now();
    while greedy[7].code("PASV").await != 227 {
        assert!(began.elapsed() < Duration::from_secs(10), "the port of a session that has ended is not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A range of one port serves one session after the other, and the same one again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_port_is_used_again_at_once() {
    let port = free_ports(1);
    let gateway = Plan::new(Ledger::Sqlite).ftps(&format!("passive_ports = \"{port}-{port}\"")).start().await;
    let mut client = Ftps::login(&gateway, "edi01").await;
    for round in 0..100 {
        let said = client.say(if round % 2 == 0 { "PASV" } else { "EPSV" }).await;
        assert_eq!(client.agreed(&said).port(), port, "round {round}: {said}");
    }
    for round in 0..20 {
        let said = client.put(&format!("STOR /inbound/f{round}.bin"), b"again").await;
        assert_eq!(code(&said), 226, "round {round}: {said}");
    }
}

/// What a client can do as often as it likes is told to the operator a few times and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_fills_the_log() {
    let port = free_ports(1);
    let gateway = Plan::new(Ledger::Sqlite).ftps(&format!("passive_ports = \"{port}-{port}\"")).start().await;
    let told = |words: &str| gateway.log().lines().filter(|line| line.contains(words)).count();
    let mut holder = Ftps::login(&gateway, "edi01").await;
    let address = holder.passive().await;
    let mut other = Ftps::login(&gateway, "edi02").await;
    for _ in 0..20 {
        assert_eq!(other.code("EPSV").await, 425);
    }
    assert_eq!(told("no passive port"), 1, "{}", gateway.log());
    for _ in 0..30 {
        let mut stranger = connect_from("127.0.0.2".parse().unwrap(), address).await.unwrap();
        assert_eq!(stranger.read(&mut [0]).await.unwrap_or(0), 0);
        assert_eq!(holder.code("NOOP").await, 200);
    }
    let strangers = told("a data connection from another address was dropped");
    assert!((1..=8).contains(&strangers), "{strangers}");
}
