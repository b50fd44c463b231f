//! SSH below SFTP: new keys in the middle of a transfer, compression, peers that died, and who is not let in.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::openssh::OpenSsh;
use crate::harness::proxy::Proxy;
use crate::harness::sftp::{CREATE, R, TRUNCATE, W};
use crate::harness::{Gateway, Ledger, Plan, Random, Sftp, eventually, has_tool, sha256};

/// Puts and gets a file by OpenSSH with these options; how often keys were exchanged in all.
async fn there_and_back(gateway: &Gateway, size: usize, options: &[&str]) -> usize {
    let mut client = OpenSsh::new(gateway, "app01").option("LogLevel=DEBUG1");
    for option in options {
        client = client.option(option);
    }
    let content = Random::seeded("rekey").bytes(size);
    client.local("there", &content);
    let ran = client.batch("put there /inbound/f\nget /inbound/f back\nrm /inbound/f\n").await;
    assert!(ran.success, "{options:?}: {}", tail(&ran.output));
    let back = std::fs::read(client.folder().join("back")).unwrap();
    assert_eq!(sha256(&back), sha256(&content), "{options:?}");
    ran.output.matches("SSH2_MSG_NEWKEYS received").count()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_exchanged_in_the_middle_of_a_file() {
    if !has_tool("sftp") {
        return;
    }
    let ciphers = ["Ciphers=aes128-gcm@openssh.com", "Ciphers=chacha20-poly1305@openssh.com", "Ciphers=aes256-ctr"];
    let gateway = Plan::new(Ledger::Sqlite).sftp("compression = true").start().await;
    assert_eq!(there_and_back(&gateway, 100_000, &[]).await, 1, "no new keys where nobody asks for them");
    for cipher in ciphers {
        let exchanges = there_and_back(&gateway, 24 << 20, &[cipher, "RekeyLimit=1M"]).await;
        assert!(exchanges >= 20, "the client wants new keys after each MiB, not {exchanges} times: {cipher}");
    }
    let exchanges = there_and_back(&gateway, 8 << 20, &["RekeyLimit=1M", "Compression=yes"]).await;
    assert!(exchanges >= 8, "{exchanges}");

    let gateway = Plan::new(Ledger::Sqlite).sftp("rekey_limit_bytes = \"1 MiB\"").start().await;
    for cipher in ciphers {
        let exchanges = there_and_back(&gateway, 24 << 20, &[cipher]).await;
        assert!(exchanges >= 20, "the gateway wants new keys after each MiB, not {exchanges} times: {cipher}");
    }
    let exchanges = there_and_back(&gateway, 8 << 20, &["Compression=yes"]).await;
    assert!(exchanges >= 8, "{exchanges}");
    let exchanges = there_and_back(&gateway, 8 << 20, &["RekeyLimit=1M"]).await;
    assert!(exchanges >= 8, "both at once: {exchanges}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_get_old() {
    if !has_tool("sftp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).sftp("rekey_limit_time = \"1s\"").start().await;
    let client = OpenSsh::new(&gateway, "app01").option("LogLevel=DEBUG1");
    let ran = client.batch("pwd\n!sleep 4\nls /inbound\n").await;
    assert!(ran.success, "{}", tail(&ran.output));
    let exchanges = ran.output.matches("SSH2_MSG_NEWKEYS received").count();
    assert!(exchanges >= 3, "an idle connection, too, gets new keys each second, not {exchanges} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compression_is_there_unless_it_is_switched_off() {
    if !has_tool("sftp") {
        return;
    }
    let text = "the same line over and over\n".repeat(100_000);
    for on in [true, false] {
        let gateway = Plan::new(Ledger::Sqlite).sftp(&format!("compression = {on}")).start().await;
        let client = OpenSsh::new(&gateway, "app01").option("LogLevel=DEBUG1").option("Compression=yes");
        client.local("there", text.as_bytes());
        let ran = client.batch("put there /inbound/f\nget /inbound/f back\n").await;
        assert!(ran.success, "{}", tail(&ran.output));
        assert!(std::fs::read(client.folder().join("back")).unwrap() == text.as_bytes());
        assert_eq!(ran.output.contains("compression: zlib@openssh.com"), on, "{}", tail(&ran.output));
        if on {
            // What went over the line, as the client counts it: far less than what was moved.
            let line = ran.output.lines().find(|line| line.contains("Transferred: sent")).expect("a count");
            let number = |after: &str| -> usize {
                let rest = line.split(after).nth(1).unwrap().trim_start();
                rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
            };
            assert!(number("sent") < text.len() / 4 && number("received") < text.len() / 4, "{line}");
        }
    }
}

async fn closed(gateway: &Gateway) -> usize {
    gateway.rest("orders").pages("/audit?operation=logout", "entries").await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_is_found_and_a_silent_one_is_kept() {
    let gateway = Plan::new(Ledger::Sqlite).sftp("keepalive = \"1s\"").start().await;
    let proxy = Proxy::to(gateway.sftp).await;
    let mut silent = gateway.sftp("app01").await;
    let mut dead = Sftp::connect(proxy.address, "app01").await.unwrap();
    dead.names("/").await.unwrap();
    proxy.freeze();
    eventually("the dead peer's session ends", Duration::from_secs(30), async || {
        (closed(&gateway).await == 1).then_some(())
    })
    .await;
    // The other one was silent for longer than that, but its SSH layer answered.
    silent.names("/").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_session_is_ended_whatever_its_keepalives() {
    let gateway = Plan::new(Ledger::Sqlite).sftp("keepalive = \"1s\"\nidle_timeout = \"3s\"").start().await;
    let mut sftp = gateway.sftp("app01").await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sftp.names("/").await.unwrap();
    }
    eventually("the idle session ends", Duration::from_secs(30), async || (closed(&gateway).await == 1).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_and_an_address_have_no_more_sessions_than_they_may() {
    let plan = Plan::new(Ledger::Sqlite).limits("sessions_per_login = 2\nsessions_per_address = 3");
    let gateway = plan.start().await;
    let first = gateway.sftp("app01").await;
    let _second = gateway.sftp("app01").await;
    Sftp::connect(gateway.sftp, "app01").await.err().expect("two are enough");
    let _third = gateway.sftp("edi01").await;
    Sftp::connect(gateway.sftp, "edi02").await.err().expect("three are enough for an address");
    if has_tool("sftp") {
        let ran = OpenSsh::new(&gateway, "app01").batch("pwd\n").await;
        assert!(!ran.success && ran.output.contains("this login has 2 sessions open"), "{}", ran.output);
        let ran = OpenSsh::new(&gateway, "edi02").batch("pwd\n").await;
        assert!(ran.output.contains("this address has 3 sessions open"), "{}", ran.output);
    }
    drop(first);
    eventually("the place is given back", Duration::from_secs(10), async || {
        Sftp::connect(gateway.sftp, "app01").await.ok()
    })
    .await;
    // The API's requests take no place.
    assert_eq!(gateway.rest("orders").get("/files?path=/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_and_handles_are_bounded_for_each_connection() {
    let gateway = Plan::new(Ledger::Sqlite).sftp("max_handles = 3\nmax_channels = 2").start().await;
    let mut sftp = gateway.sftp("app01").await;
    let mut handles = Vec::new();
    for n in 0..3 {
        handles.push(sftp.open(&format!("/inbound/{n}"), W | CREATE | TRUNCATE).await.unwrap());
    }
    let mut second = sftp.channel().await.unwrap();
    let refused = second.open("/inbound/0", R).await.unwrap_err();
    assert!(refused.message.contains("too many files are open on this connection"), "{refused:?}");
    assert!(sftp.channel().await.is_err(), "two channels are enough");
    sftp.close(&handles.pop().unwrap()).await.unwrap();
    let again = second.open("/inbound/2", R).await.unwrap();
    second.close(&again).await.unwrap();
}

/// What a new connection is greeted with.
async fn greeting(gateway: &Gateway) -> String {
    let mut stream = TcpStream::connect(gateway.sftp).await.unwrap();
    let mut bytes = [0; 64];
    let n = stream.read(&mut bytes).await.unwrap_or(0);
    String::from_utf8_lossy(&bytes[..n]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_makes_work_has_to_wait() {
    let gateway =
        Plan::new(Ledger::Sqlite).limits("penalties = { noauth = \"2s\", min = \"5s\", max = \"6s\" }").start().await;
    for _ in 0..3 {
        assert!(greeting(&gateway).await.starts_with("SSH-2.0-causeway"));
    }
    eventually("the source is refused", Duration::from_secs(10), async || {
        greeting(&gateway).await.starts_with("Not allowed at this time").then_some(())
    })
    .await;
    assert!(Sftp::connect(gateway.sftp, "app01").await.is_err(), "whoever it is");
    let rest = gateway.rest("orders");
    let asked = rest.try_send(rest.request(reqwest::Method::GET, "/files?path=/")).await;
    assert!(asked.is_err(), "at every door: {asked:?}");
    let began = Instant::now();
    eventually("it runs down", Duration::from_secs(20), async || Sftp::connect(gateway.sftp, "app01").await.ok()).await;
    assert!(began.elapsed() < Duration::from_secs(10), "being refused costs nothing more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_logins_cost_and_exempt_sources_pay_nothing() {
    let costly = "penalties = { invaliduser = \"8s\", authfail = \"1s\", min = \"10s\" }";
    let gateway = Plan::new(Ledger::Sqlite).limits(costly).start().await;
    Sftp::by_password(gateway.sftp, "app01", Some("wrong")).await.err().unwrap();
    assert!(gateway.sftp("app01").await.names("/").await.is_ok(), "one failed login is for free here");
    Sftp::by_password(gateway.sftp, "nobody", Some("wrong")).await.err().unwrap();
    eventually("two cost, and one price holds for both", Duration::from_secs(10), async || {
        greeting(&gateway).await.starts_with("Not allowed").then_some(())
    })
    .await;

    let gateway = Plan::new(Ledger::Sqlite).limits(costly).limits("penalty_exempt = [\"127.0.0.0/8\"]").start().await;
    for _ in 0..3 {
        Sftp::by_password(gateway.sftp, "nobody", Some("wrong")).await.err().unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(gateway.sftp("app01").await.names("/").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_without_a_login_do_not_keep_out_the_others_that_have_one() {
    let gateway = Plan::new(Ledger::Sqlite).sftp("max_startups = \"3\"\nlogin_grace = \"5s\"").start().await;
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(gateway.sftp("app01").await);
    }
    let mut hanging = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(gateway.sftp).await.unwrap();
        stream.write_all(b"SSH-2.0-Slow\r\n").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        assert_eq!(byte[0], b'S');
        hanging.push(stream);
    }
    assert!(greeting(&gateway).await.starts_with("Not allowed at this time"));
    for session in &mut sessions {
        session.names("/").await.unwrap();
    }
    drop(hanging);
    eventually("there is room again", Duration::from_secs(10), async || {
        Sftp::connect(gateway.sftp, "app01").await.ok()
    })
    .await;
}

/// Who knows nothing better than SHA-1 and CBC is let in where that is wanted, and nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_partners_come_in_by_name_or_by_legacy() {
    if !has_tool("sftp") {
        return;
    }
    let old = |gateway: &Gateway| {
        OpenSsh::new(gateway, "app01")
            .option("KexAlgorithms=diffie-hellman-group14-sha1")
            .option("Ciphers=aes128-cbc")
            .option("MACs=hmac-sha1")
    };
    let middling = |gateway: &Gateway| {
        OpenSsh::new(gateway, "app01")
            .option("KexAlgorithms=ecdh-sha2-nistp256")
            .option("Ciphers=aes128-ctr")
            .option("MACs=hmac-sha2-256")
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    for client in [old(&gateway), middling(&gateway)] {
        let ran = client.batch("pwd\n").await;
        assert!(!ran.success && ran.output.contains("no matching"), "{}", ran.output);
    }
    let named = "kex = [\"curve25519-sha256\", \"ecdh-sha2-nistp256\"]\nmacs = [\"hmac-sha2-256\"]";
    let gateway = Plan::new(Ledger::Sqlite).sftp(named).start().await;
    let ran = middling(&gateway).batch("pwd\n").await;
    assert!(ran.success, "{}", ran.output);
    let gateway = Plan::new(Ledger::Sqlite).sftp("legacy_algorithms = true").start().await;
    for client in [old(&gateway), middling(&gateway)] {
        let content = Random::seeded("old").bytes(300_000);
        client.local("there", &content);
        let ran = client.batch("put there /inbound/f\nget /inbound/f back\n").await;
        assert!(ran.success, "{}", ran.output);
        assert_eq!(std::fs::read(client.folder().join("back")).unwrap(), content);
    }
}
