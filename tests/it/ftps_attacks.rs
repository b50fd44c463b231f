//! What an attacker does to an FTPS server: each is refused, harms nobody, and is on record.

use std::time::Duration;

use rustls::HandshakeKind;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::harness::ftps::{code, connect_from, tls_asked_again};
use crate::harness::{Ftps, Gateway, Ledger, Plan, eventually};

/// Waits for an audit entry of a refusal whose message has these words.
pub async fn refused_on_record(rest: &crate::harness::Rest, words: &str) -> Value {
    eventually(words, Duration::from_secs(10), || async {
        let entries = rest.pages("/audit?outcome=denied&limit=200", "entries").await;
        entries.into_iter().find(|entry| entry.to_string().contains(words))
    })
    .await
}

/// Waits for an entry of the chain that belongs to no tenant, since nobody was logged in.
async fn recorded_of_nobody(gateway: &Gateway, words: &str) {
    let ledger = gateway.data().join("causeway.db");
    eventually(words, Duration::from_secs(10), || async {
        let ledger = rusqlite::Connection::open(&ledger).unwrap();
        let mut query = ledger.prepare("SELECT body FROM audit_entries WHERE outcome = 'denied'").unwrap();
        let bodies = query.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        bodies.map(Result::unwrap).any(|body| String::from_utf8_lossy(&body).contains(words)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_in_clear_behind_auth_are_thrown_away() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut client = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    client.raw(b"AUTH TLS\r\nUSER injected\r\nNOOP\r\n").await.unwrap();
    assert_eq!(code(&client.reply().await), 234);
    client.handshake().await.unwrap();
    // Had USER come through, 503 would be another answer here; had NOOP, its 200 would come first.
    let said = client.say("PASS x").await;
    assert_eq!(said, "503 send USER first");
    client.enter("edi01").await;
    assert_eq!(code(&client.put("STOR /inbound/after.bin", b"fine").await), 226);
    let log = gateway.log();
    assert!(!log.contains("injected"), "{log}");
    recorded_of_nobody(&gateway, "in clear behind AUTH were thrown away").await;
    // What comes behind 234 and before the handshake is no handshake: the connection ends, and nothing was done.
    let mut late = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    assert_eq!(late.code("AUTH TLS").await, 234);
    late.raw(b"USER injected\r\nPASS injected\r\n").await.unwrap();
    assert!(late.handshake().await.is_err());
    assert!(!gateway.log().contains("injected"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_takes_a_data_connection() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("edi");
    let mut client = Ftps::login(&gateway, "edi01").await;
    let address = client.passive().await;
    // Another address, before the client itself.
    let mut thief = connect_from("127.0.0.2".parse().unwrap(), address).await.unwrap();
    assert_eq!(thief.read(&mut [0]).await.unwrap_or(0), 0, "it is closed at once");
    refused_on_record(&rest, "127.0.0.2").await;
    // The client still gets its connection, and only one.
    let stream = TcpStream::connect(address).await.unwrap();
    eventually("the port is closed", Duration::from_secs(5), || async {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
    assert_eq!(code(&client.say("STOR /inbound/mine.bin").await), 150);
    let mut data = client.secure_data(stream).await.unwrap();
    data.write_all(b"mine").await.unwrap();
    data.shutdown().await.unwrap();
    assert_eq!(code(&client.reply().await), 226);
    // The same address, but another client: it has not the TLS session.
    let address = client.passive().await;
    let thief = TcpStream::connect(address).await.unwrap();
    assert_eq!(code(&client.say("RETR /inbound/mine.bin").await), 150);
    let other = Ftps::login(&gateway, "edi02").await;
    let mut stolen = Vec::new();
    if let Ok(mut data) = other.secure_data(thief).await {
        let _ = data.read_to_end(&mut stolen).await;
    }
    assert!(stolen.is_empty());
    assert_eq!(code(&client.reply().await), 522);
    refused_on_record(&rest, "did not resume the control connection").await;
    // Neither is a listing or an upload, nor does one try help the next: none hands out a ticket.
    for command in ["MLSD /inbound", "STOR /inbound/stolen.bin"] {
        let address = client.passive().await;
        let thief = TcpStream::connect(address).await.unwrap();
        assert_eq!(code(&client.say(command).await), 150);
        let mut taken = Vec::new();
        if let Ok(mut data) = other.secure_data(thief).await {
            let _ = data.write_all(b"not yours").await;
            let _ = data.read_to_end(&mut taken).await;
        }
        assert!(taken.is_empty());
        assert_eq!(code(&client.reply().await), 522, "{command}");
    }
    // Nor does it help to be asked for another key, which puts off that it is known whether a session is resumed; a ticket that
    // was handed out to the first would let in the second.
    let asked = TlsConnector::from(tls_asked_again(&gateway));
    for _ in 0..2 {
        let address = client.passive().await;
        let thief = TcpStream::connect(address).await.unwrap();
        assert_eq!(code(&client.say("RETR /inbound/mine.bin").await), 150);
        let mut taken = Vec::new();
        if let Ok(mut data) = asked.connect("localhost".try_into().unwrap(), thief).await {
            assert_eq!(data.get_ref().1.handshake_kind(), Some(HandshakeKind::FullWithHelloRetryRequest));
            let _ = data.read_to_end(&mut taken).await;
        }
        assert!(taken.is_empty());
        assert_eq!(code(&client.reply().await), 522);
    }
    let entries = rest.pages("/audit?operation=transfer&limit=200", "entries").await;
    let thefts = entries.iter().filter(|entry| entry.to_string().contains("did not resume")).count();
    assert_eq!(thefts, 5, "each is on record: {entries:?}");
    assert!(gateway.rest("orders").entry("/inbound", "stolen.bin").await.is_none());
    assert_eq!(client.get("RETR /inbound/mine.bin").await.0, b"mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn active_mode_goes_to_the_client_alone() {
    let gateway = Plan::new(Ledger::Sqlite).ftps("active_mode = true").start().await;
    let rest = gateway.rest("edi");
    let mut client = Ftps::login(&gateway, "edi01").await;
    assert_eq!(code(&client.put("STOR /inbound/a.bin", b"active").await), 226);
    // Bounce, and low ports.
    let victim = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = victim.local_addr().unwrap().port();
    assert_eq!(client.code(&format!("PORT 127,0,0,2,{},{}", port >> 8, port & 255)).await, 501);
    refused_on_record(&rest, "control connection's own address").await;
    assert_eq!(client.code(&format!("EPRT |1|127.0.0.2|{port}|")).await, 501);
    assert_eq!(client.code("PORT 127,0,0,1,0,25").await, 501);
    refused_on_record(&rest, "above 1023").await;
    assert_eq!(client.code("EPRT |1|127.0.0.1|80|").await, 501);
    assert_eq!(client.code("EPRT |2|::1|5000|").await, 501);
    assert_eq!(client.code("RETR /inbound/a.bin").await, 425);
    assert!(tokio::time::timeout(Duration::from_millis(300), victim.accept()).await.is_err());
    // What is right works.
    let own = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = own.local_addr().unwrap().port();
    assert_eq!(client.code(&format!("EPRT |1|127.0.0.1|{port}|")).await, 200);
    assert_eq!(code(&client.say("RETR /inbound/a.bin").await), 150);
    let (stream, _) = own.accept().await.unwrap();
    let mut data = client.secure_data(stream).await.unwrap();
    let mut got = Vec::new();
    data.read_to_end(&mut got).await.unwrap();
    data.shutdown().await.unwrap();
    assert_eq!((got.as_slice(), code(&client.reply().await)), (&b"active"[..], 226));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_never_goes_in_clear() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("edi");
    let mut client = Ftps::login(&gateway, "edi01").await;
    assert_eq!(client.code("PROT C").await, 534);
    refused_on_record(&rest, "data connections must be secured").await;
    assert_eq!(client.code("CCC").await, 534);
    refused_on_record(&rest, "CCC is refused").await;
    // Without PROT P nothing begins.
    assert_eq!(client.code("REIN").await, 220);
    assert_eq!(client.code("USER edi01").await, 331);
    assert_eq!(client.code(&format!("PASS {}", crate::harness::plan::PASSWORD)).await, 230);
    client.passive().await;
    assert_eq!(client.code("STOR /inbound/clear.bin").await, 521);
    assert_eq!(client.code("LIST").await, 521);
    // Clear bytes on a data connection that should be TLS.
    for command in ["PBSZ 0", "PROT P", "TYPE I"] {
        assert_eq!(client.code(command).await, 200);
    }
    let address = client.passive().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(code(&client.say("STOR /inbound/clear.bin").await), 150);
    stream.write_all(b"this is the content, in clear").await.unwrap();
    assert_eq!(code(&client.reply().await), 425);
    assert!(gateway.rest("orders").entry("/inbound", "clear.bin").await.is_none());
    refused_on_record(&rest, "the TLS handshake of a data connection failed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_bounded() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let before = gateway.memory("VmRSS:");
    // A line without an end, before TLS: it is one refusal, and takes no room.
    let mut client = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    let chunk = vec![b'A'; 1 << 20];
    for _ in 0..32 {
        client.raw(&chunk).await.unwrap();
    }
    client.raw(b"\r\nSYST\r\n").await.unwrap();
    assert_eq!(client.reply().await, "500 the line is too long");
    assert_eq!(code(&client.reply().await), 215);
    // Nonsense is not listened to for ever.
    let mut replies = Vec::new();
    for _ in 0..40 {
        if client.raw(b"NONSENSE\r\n").await.is_err() {
            break;
        }
        let said = client.reply().await;
        if said.is_empty() {
            break;
        }
        replies.push(code(&said));
    }
    assert_eq!(replies.last(), Some(&421), "{replies:?}");
    // Offsets that do not fit, or that nothing is behind.
    let mut client = Ftps::login(&gateway, "edi01").await;
    for wrong in ["18446744073709551616", "9223372036854775808", "-1", "1e3", "0x10", ""] {
        assert_eq!(client.code(&format!("REST {wrong}")).await, 501, "{wrong}");
    }
    assert_eq!(client.code("REST 9223372036854775807").await, 350);
    assert_eq!(code(&client.put("STOR /inbound/rest.bin", b"x").await), 550);
    assert_eq!(code(&client.put("STOR /inbound/rest.bin", b"x").await), 226, "the offset is forgotten");
    assert_eq!(client.code("REST 9223372036854775807").await, 350);
    assert_eq!(code(&client.put("STOR /inbound/rest.bin", b"x").await), 554);
    assert_eq!(client.code("REST 9223372036854775807").await, 350);
    assert_eq!(code(&client.put("APPE /inbound/rest.bin", b"x").await), 554);
    assert_eq!(client.get("RETR /inbound/rest.bin").await.0, b"x");
    // Commands without end while a transfer runs: the socket is left alone once the queue is full.
    let (_, data) = client.open("STOR /inbound/flood.bin").await;
    let mut data = data.unwrap();
    let flood = b"PWD\r\n".repeat(100);
    client.raw(&flood).await.unwrap();
    data.write_all(b"x").await.unwrap();
    data.shutdown().await.unwrap();
    assert_eq!(code(&client.reply().await), 226);
    for _ in 0..100 {
        assert_eq!(code(&client.reply().await), 257);
    }
    let grown = gateway.memory("VmRSS:").saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB more than before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_told_to_go() {
    let plan = Plan::new(Ledger::Sqlite)
        .limits("penalty_exempt = [\"127.0.0.0/8\"]")
        .ftps("login_grace = \"2s\"")
        .ftps("idle_timeout = \"2s\"")
        .ftps("stall_timeout = \"1s\"")
        .ftps("data_timeout = \"1s\"");
    let gateway = plan.start().await;
    let rest = gateway.rest("orders");
    // Who does not log in, one byte at a time or not at all.
    let mut silent = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    let mut slow = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    let dripping = async {
        while slow.raw(b"A").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let dripped = tokio::time::timeout(Duration::from_secs(10), dripping).await;
    assert!(dripped.is_ok(), "a slow line is cut");
    assert_eq!(code(&silent.reply().await), 421);
    // A handshake that does not come.
    let mut half = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    assert_eq!(half.code("AUTH TLS").await, 234);
    assert!(half.is_closed().await);
    // A download that nobody takes: more than the sockets' buffers hold.
    let mut reader = Ftps::login(&gateway, "edi01").await;
    assert_eq!(code(&reader.put("STOR /inbound/large.bin", &vec![7; 32 << 20]).await), 226);
    let (_, mut untaken) = reader.open("RETR /inbound/large.bin").await;
    assert_eq!(code(&reader.reply().await), 426);
    assert_eq!(reader.code("NOOP").await, 200);
    let mut rest_of_it = Vec::new();
    let end = untaken.as_mut().unwrap().read_to_end(&mut rest_of_it).await;
    assert!(end.is_err() && rest_of_it.len() < 32 << 20, "{end:?}: it does not end as if it were whole");
    // A data connection that does not come, one that never says a word, one that stops.
    let mut client = Ftps::login(&gateway, "edi01").await;
    client.passive().await;
    assert_eq!(code(&client.say("STOR /inbound/never.bin").await), 150);
    assert_eq!(code(&client.reply().await), 425);
    let address = client.passive().await;
    let mute = TcpStream::connect(address).await.unwrap();
    assert_eq!(code(&client.say("STOR /inbound/never.bin").await), 150);
    assert_eq!(code(&client.reply().await), 425);
    drop(mute);
    let (_, data) = client.open("STOR /inbound/stalled.bin").await;
    let mut data = data.unwrap();
    data.write_all(b"half of it").await.unwrap();
    data.flush().await.unwrap();
    assert_eq!(code(&client.reply().await), 426);
    drop(data);
    assert!(rest.entry("/inbound", "stalled.bin").await.is_none());
    assert_eq!(client.say("SIZE /inbound/stalled.bin").await, "213 10");
    assert_eq!(client.code("SIZE /inbound/never.bin").await, 550, "nothing came, nothing is kept");
    // A command that comes byte by byte does not hold the connection longer than silence does.
    let began = std::time::Instant::now();
    let mut dripper = Ftps::login(&gateway, "edi02").await;
    let dripping = async {
        while dripper.raw(b"N").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), dripping).await.is_ok(), "a slow command is cut");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // And who does nothing at all.
    assert_eq!(code(&client.reply().await), 421);
    assert!(client.is_closed().await);
}

/// A command that comes byte by byte holds its connection no longer than a line may take, however long silence may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_is_cut() {
    let plan = Plan::new(Ledger::Sqlite).ftps("line_timeout = \"2s\"").ftps("idle_timeout = \"10m\"");
    let gateway = plan.start().await;
    let mut client = Ftps::login(&gateway, "edi01").await;
    assert_eq!(client.code("NOOP").await, 200);
    let dripping = async {
        while client.raw(b"N").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), dripping).await.expect("the connection is closed");
    // Who is silent between commands stays.
    let mut silent = Ftps::login(&gateway, "edi01").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(silent.code("NOOP").await, 200);
}
