//! How things end over FTPS: ABOR just before the end of the data, refusals while a client is still sending, places that are
//! given back, and what is forgotten.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::ftps::{code, cut};
use crate::harness::plan::PASSWORD;
use crate::harness::{Ftps, Ledger, Plan, Random, eventually, on_both_ledgers, sha256};
use crate::spine::events_come;

on_both_ledgers!(an_abort_before_the_end_counts);

/// ABOR is sent before the data ends, on another connection: whichever the gateway reads first, nothing is published.
async fn an_abort_before_the_end_counts(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("abort").bytes(200_000);
    for round in 0..10 {
        // A connection that is aborted may take the ticket with it that the next one needs: each round has its own.
        let mut client = Ftps::login(&gateway, "edi01").await;
        let (name, telnet) = (format!("a{round}.bin"), round % 2 == 1);
        let path = format!("/inbound/{name}");
        let (_, data) = client.open(&format!("STOR {path}")).await;
        let mut data = data.unwrap();
        data.write_all(&content[..100_000]).await.unwrap();
        data.flush().await.unwrap();
        client.raw(if telnet { b"\xff\xf4\xff\xf2ABOR\r\n" } else { b"ABOR\r\n" }).await.unwrap();
        let _ = data.shutdown().await;
        let _ = data.read_to_end(&mut Vec::new()).await;
        assert_eq!(client.reply().await, "426 transfer aborted", "round {round}");
        assert_eq!(client.reply().await, "226 ABOR is done");
        assert!(rest.entry("/inbound", &name).await.is_none(), "round {round}: it is not visible");
        // What came is kept, and told as incomplete.
        let size = client.say(&format!("SIZE {path}")).await;
        if size == "550 no such file or folder" {
            continue;
        }
        let told = events_come(&rest, "upload.incomplete", &path, 1).await;
        assert!(told[0].to_string().contains("aborted"), "{told:?}");
        let size: usize = size.strip_prefix("213 ").expect(&size).parse().unwrap();
        assert!(size <= 100_000, "{size}");
        assert_eq!(client.code(&format!("REST {size}")).await, 350);
        assert_eq!(code(&client.put(&format!("STOR {path}"), &content[size..]).await), 226);
        assert_eq!(rest.entry("/inbound", &name).await.unwrap()["hash"], sha256(&content));
    }
    let mut client = Ftps::login(&gateway, "edi01").await;
    // Behind 226 there is nothing left to abort.
    assert_eq!(code(&client.put("STOR /inbound/kept.bin", b"kept").await), 226);
    assert_eq!(client.say("ABOR").await, "226 nothing to abort");
    assert!(rest.entry("/inbound", "kept.bin").await.is_some());
    // Who says it twice is answered twice.
    let (_, data) = client.open("STOR /inbound/twice.bin").await;
    client.raw(b"ABOR\r\nABOR\r\n").await.unwrap();
    for expected in [426, 226, 226] {
        assert_eq!(code(&client.reply().await), expected);
    }
    assert_eq!(client.code("NOOP").await, 200);
    drop(data);
    // Commands that were waiting get their turn all the same, in order.
    let (_, data) = client.open("STOR /inbound/turns.bin").await;
    let mut data = data.unwrap();
    client.raw(b"PWD\r\nNOOP\r\nABOR\r\n").await.unwrap();
    let _ = data.shutdown().await;
    assert_eq!(code(&client.reply().await), 426);
    assert_eq!(code(&client.reply().await), 226);
    assert_eq!(code(&client.reply().await), 257);
    assert_eq!(code(&client.reply().await), 200);
    assert!(rest.entry("/inbound", "turns.bin").await.is_none());
}

/// The content is whole when its connection has ended in order: a client that then is gone has not taken it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_behind_its_data_has_sent_it() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let mut client = Ftps::login(&gateway, "edi01").await;
    let (_, data) = client.open("STOR /inbound/left.bin").await;
    let mut data = data.unwrap();
    data.write_all(b"whole").await.unwrap();
    data.shutdown().await.unwrap();
    client.raw(b"QUIT\r\n").await.unwrap();
    drop(client);
    events_come(&rest, "file.uploaded", "/inbound/left.bin", 1).await;
    assert_eq!(rest.read("/inbound/left.bin").await.body, b"whole".as_slice());
    // Its word counts also where it came before the end of the data, and behind other commands.
    for (round, words) in ["QUIT\r\n", "PWD\r\nQUIT\r\n"].into_iter().enumerate() {
        let path = format!("/inbound/word{round}.bin");
        let mut client = Ftps::login(&gateway, "edi01").await;
        let (_, data) = client.open(&format!("STOR {path}")).await;
        let mut data = data.unwrap();
        data.write_all(b"whole").await.unwrap();
        client.raw(words.as_bytes()).await.unwrap();
        client.hang_up().await;
        data.shutdown().await.unwrap();
        events_come(&rest, "file.uploaded", &path, 1).await;
    }
}

/// Many TLS libraries end a data connection in order when their program gives up, so that its end alone is no word: who is gone
/// by then, without QUIT, has sent nothing whole. While NOOPs are answered the end of the data is noticed before that of the
/// control connection, though it came behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_gone_has_sent_nothing_whole() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    for (round, orderly) in [true, false, true, false, true, false].into_iter().enumerate() {
        let name = format!("gone{round}.bin");
        let mut client = Ftps::login(&gateway, "edi01").await;
        let (_, data) = client.open(&format!("STOR /inbound/{name}")).await;
        let mut data = data.unwrap();
        data.write_all(b"half of it").await.unwrap();
        data.flush().await.unwrap();
        client.raw(&b"NOOP\r\n".repeat(if round < 4 { 100 } else { 0 })).await.unwrap();
        if orderly {
            client.hang_up().await;
        } else {
            drop(client);
        }
        // The gateway may have ended it by then.
        let _ = data.shutdown().await;
        events_come(&rest, "upload.incomplete", &format!("/inbound/{name}"), 1).await;
        assert!(rest.entry("/inbound", &name).await.is_none(), "round {round}");
    }
    // Between the end of the data and 226 it is a race that the client cannot see: all of it or none of it is there.
    for round in 0..6 {
        let (name, path) = (format!("late{round}.bin"), format!("/inbound/late{round}.bin"));
        let mut client = Ftps::login(&gateway, "edi01").await;
        let (_, data) = client.open(&format!("STOR {path}")).await;
        let mut data = data.unwrap();
        data.write_all(b"whole").await.unwrap();
        data.shutdown().await.unwrap();
        drop(client);
        let kind = eventually("it is told how it ended", Duration::from_secs(10), || async {
            let told = rest.pages("/events?limit=500", "events").await;
            let ours = told.into_iter().find(|event| event["data"]["path"] == path.as_str());
            ours.map(|event| event["type"].as_str().unwrap().to_owned())
        })
        .await;
        match rest.entry("/inbound", &name).await {
            Some(entry) => assert_eq!((kind.as_str(), &entry["hash"]), ("file.uploaded", &json!(sha256(b"whole")))),
            None => assert_eq!(kind, "upload.incomplete"),
        }
    }
}

/// What is said before the end of the data is listened to, but not for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_pauses_gets_the_reply_all_the_same() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut client = Ftps::login(&gateway, "edi01").await;
    let (_, data) = client.open("STOR /inbound/noisy.bin").await;
    let mut data = data.unwrap();
    data.write_all(b"noisy").await.unwrap();
    client.raw(&b"NOOP\r\n".repeat(3000)).await.unwrap();
    data.shutdown().await.unwrap();
    let began = Instant::now();
    let mut answered = 0;
    loop {
        let said = client.reply().await;
        if code(&said) == 226 {
            break;
        }
        assert_eq!(code(&said), 200, "{said}");
        assert!(began.elapsed() < Duration::from_secs(15), "the upload is not finished; {answered} replies");
        answered += 1;
        if answered % 500 == 0 {
            client.raw(&b"NOOP\r\n".repeat(500)).await.unwrap();
        }
    }
    assert!(gateway.rest("orders").entry("/inbound", "noisy.bin").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_while_sending_hears_the_reply() {
    let gateway = Plan::new(Ledger::Sqlite).edi_quota("1 MiB").start().await;
    let rest = gateway.rest("orders");
    let mut client = Ftps::login(&gateway, "edi01").await;
    // Everything is sent before the reply is looked at, as most clients do.
    let content = Random::seeded("quota").bytes(12_000_000);
    let (_, data) = client.open("STOR /inbound/large.bin").await;
    let mut data = data.unwrap();
    data.write_all(&content).await.expect("no reset while the client sends");
    data.shutdown().await.expect("nor at its end");
    assert_eq!(data.read_to_end(&mut Vec::new()).await.expect("a close_notify"), 0);
    let said = client.reply().await;
    assert_eq!(code(&said), 552, "{said}");
    assert!(rest.entry("/inbound", "large.bin").await.is_none());
    events_come(&rest, "upload.incomplete", "/inbound/large.bin", 1).await;

    // A command that is refused leaves no reset behind either, though the client has begun its handshake.
    let address = client.passive().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[22; 300]).await.unwrap();
    assert_eq!(client.code("STOR /nowhere/at-all.bin").await, 550);
    assert_eq!(stream.read(&mut [0; 10]).await.expect("an end, not a reset"), 0);
    drop(stream);
    assert_eq!(code(&client.put("STOR /inbound/small.bin", b"small").await), 226);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_both_listeners_count_together() {
    let gateway = Plan::new(Ledger::Sqlite).ftps("max_sessions = 2").start().await;
    let mut explicit = Ftps::login(&gateway, "edi01").await;
    let mut implicit = Ftps::implicit(&gateway, &rustls::version::TLS13).await;
    implicit.enter("edi02").await;
    let mut third = TcpStream::connect(gateway.ftps).await.unwrap();
    let mut told = String::new();
    third.read_to_string(&mut told).await.unwrap();
    assert_eq!(code(&told), 421, "{told}");
    let mut third = TcpStream::connect(gateway.ftps_implicit).await.unwrap();
    assert_eq!(third.read(&mut [0]).await.unwrap_or(0), 0, "before TLS there is nothing to say");
    // A place is given back whichever listener it was taken at.
    assert_eq!(implicit.code("QUIT").await, 221);
    assert!(implicit.is_closed().await);
    drop(implicit);
    eventually("the place is free", Duration::from_secs(10), || async {
        let mut stream = TcpStream::connect(gateway.ftps).await.unwrap();
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).await.ok().filter(|_| &greeting == b"220")
    })
    .await;
    assert_eq!(explicit.code("NOOP").await, 200);
}

/// What came in clear could be anybody's: somebody on the way could send a login to another tenant, or put words into the
/// trail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_in_clear_is_forgotten_at_auth() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut client = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    assert_eq!(client.code("HOST other").await, 220);
    assert_eq!(client.code("CLNT injected").await, 200);
    client.secure().await;
    client.enter("edi01").await;
    // Behind TLS it counts: the tenant `other` has no login of this name.
    let mut client = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    client.secure().await;
    assert_eq!(client.code("HOST other").await, 220);
    assert_eq!(client.code("USER edi01").await, 331);
    assert_eq!(client.code(&format!("PASS {PASSWORD}")).await, 530);
    assert_eq!(client.code("HOST acme").await, 220);
    client.enter("edi01").await;
    let logins = gateway.rest("orders").pages("/audit?operation=login&limit=200", "entries").await;
    assert!(logins.iter().any(|entry| entry["outcome"] == "ok" && entry["protocol"] == "ftps"), "{logins:?}");
    assert!(logins.iter().all(|entry| !entry.to_string().contains("injected")), "{logins:?}");
}

/// Checksums are reads: they need `download`, and are not told as downloads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checksums_are_no_downloads() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    assert_eq!(rest.upload("/inbound", "sum.bin", b"0123456789", false).await.status, 201);
    let mut client = Ftps::login(&gateway, "edi01").await;
    for command in ["HASH", "XSHA256", "XMD5", "XCRC"] {
        let said = client.say(&format!("{command} /inbound/sum.bin")).await;
        assert!([213, 250].contains(&code(&said)), "{said}");
    }
    let mut dropper = Ftps::login(&gateway, "drop01").await;
    for command in ["HASH", "XSHA256", "XMD5"] {
        assert_eq!(dropper.code(&format!("{command} /sum.bin")).await, 550, "{command}");
    }
    // A download behind them is the first that is told.
    assert_eq!(client.get("RETR /inbound/sum.bin").await.0, b"0123456789");
    let told = events_come(&rest, "file.downloaded", "/inbound/sum.bin", 1).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let read = rest.pages("/audit?operation=download&limit=200", "entries").await;
    let ours = read.iter().filter(|entry| entry["protocol"] == "ftps" && entry["outcome"] == "ok").count();
    assert!(ours >= 5, "each read is on record: {}", json!(read));
}

/// One upload, three protocols' worth of interruptions, told each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_break_is_told_until_the_upload_is_whole() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("breaks").bytes(400_000);
    let mut client = Ftps::login(&gateway, "edi01").await;
    let path = "/inbound/breaks.bin";
    let mut there = 0;
    for (round, verb) in ["STOR", "STOR", "APPE"].into_iter().enumerate() {
        if there > 0 && verb == "STOR" {
            assert_eq!(client.code(&format!("REST {there}")).await, 350);
        }
        let (_, data) = client.open(&format!("{verb} {path}")).await;
        let mut data = data.unwrap();
        data.write_all(&content[there..there + 100_000]).await.unwrap();
        data.flush().await.unwrap();
        cut(data).await;
        assert_eq!(code(&client.reply().await), 426);
        events_come(&rest, "upload.incomplete", path, round + 1).await;
        let size = client.say(&format!("SIZE {path}")).await;
        there = size.strip_prefix("213 ").expect(&size).parse().unwrap();
        assert_eq!(there, (round + 1) * 100_000, "what came before the end without close_notify is kept");
    }
    let mut other = gateway.sftp("edi02").await;
    let handle = other.open(path, crate::harness::sftp::W).await.unwrap();
    other.write_all(&handle, there as u64, &content[there..]).await.unwrap();
    other.close(&handle).await.unwrap();
    assert_eq!(rest.entry("/inbound", "breaks.bin").await.unwrap()["hash"], sha256(&content));
    let told = events_come(&rest, "file.uploaded", path, 1).await;
    assert_eq!(told[0]["data"]["protocol"], "sftp", "{told:?}");
}

/// A file that goes to another storage is copied there meanwhile; replies come in the order of the commands, and the move
/// comes to its end even where the client is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_to_another_storage_comes_to_its_end() {
    let plan = Plan::new(Ledger::Sqlite)
        .acme("[[tenant.mount]]\nat = \"/inbound/vault\"\nstorage = \"vault\"\npath = \"vault\"")
        .acme("[[storage]]\nname = \"vault\"\nkind = \"memory\"");
    let gateway = plan.start().await;
    let rest = gateway.rest("orders");
    let mut client = Ftps::login(&gateway, "edi01").await;
    let content = vec![7; 8 << 20];
    for name in ["one", "two"] {
        assert_eq!(code(&client.put(&format!("STOR /inbound/{name}"), &content).await), 226);
    }
    if client.code("CWD /inbound/vault").await != 250 {
        assert_eq!(client.code("MKD /inbound/vault").await, 257);
    }
    assert_eq!(client.code("RNFR /inbound/one").await, 350);
    client.raw(b"RNTO /inbound/vault/one\r\nNOOP\r\nPWD\r\nSTAT /inbound/*\r\nNOOP\r\n").await.unwrap();
    for expected in [250, 200, 257, 212, 200] {
        let reply = client.reply().await;
        assert_eq!(code(&reply), expected, "{reply}");
    }
    assert!(rest.read("/inbound/vault/one").await.body == content);
    assert_eq!(client.code("RNFR /inbound/two").await, 350);
    client.raw(b"RNTO /inbound/vault/two\r\n").await.unwrap();
    client.hang_up().await;
    eventually("the move ends", Duration::from_secs(20), async || rest.entry("/inbound/vault", "two").await).await;
    assert!(rest.entry("/inbound", "two").await.is_none());
}
