//! FTPS: files over explicit and implicit TLS, 1.2 and 1.3; the control connection while a transfer runs; broken uploads that
//! are resumed, over FTPS and over the other protocols; text, packed data.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::ftps::{code, cut, reset};
use crate::harness::sftp;
use crate::harness::{Ftps, Gateway, Ledger, Plan, Random, eventually, on_both_ledgers, sha256};
use crate::spine::events_come;

on_both_ledgers!(
    files_come_and_go,
    a_broken_upload_is_resumed,
    an_aborted_upload_is_resumed_elsewhere,
    a_restart_mixes_nothing,
);

async fn files_come_and_go(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("ftps").bytes(3_000_001);
    for (n, version) in [&rustls::version::TLS13, &rustls::version::TLS12].into_iter().enumerate() {
        for implicit in [false, true] {
            let mut client = if implicit {
                let mut client = Ftps::implicit(&gateway, version).await;
                client.enter("edi01").await;
                client
            } else {
                Ftps::login_with(&gateway, "edi01", version).await
            };
            let name = format!("/inbound/f{n}{implicit}.bin");
            assert_eq!(client.put(&format!("STOR {name}"), &content).await, "226 stored; the file has 3000001 bytes");
            // 226 means visible, hashed, told.
            assert_eq!(rest.entry("/inbound", &name[9..]).await.unwrap()["hash"], sha256(&content));
            let told = events_come(&rest, "file.uploaded", &name, 1).await;
            assert_eq!(told[0]["data"]["protocol"], "ftps", "{told:?}");
            let (got, said) = client.get(&format!("RETR {name}")).await;
            assert_eq!((got == content, code(&said)), (true, 226), "{said}");
            events_come(&rest, "file.downloaded", &name, 1).await;
            // From the middle.
            assert_eq!(client.code("REST 3000000").await, 350);
            let (got, _) = client.get(&format!("RETR {name}")).await;
            assert_eq!(got, content[3_000_000..]);
            // REST holds for one transfer.
            let (got, _) = client.get(&format!("RETR {name}")).await;
            assert_eq!(got.len(), content.len());
            assert_eq!(client.put(&format!("STOR {name}"), b"").await, "226 stored; the file has 0 bytes");
            let (listed, said) = client.get("NLST /inbound").await;
            assert!(String::from_utf8(listed).unwrap().lines().any(|l| l == name), "{said}");
            assert_eq!(client.code("QUIT").await, 221);
            assert!(client.is_closed().await);
        }
    }
    let logins = rest.pages("/audit?operation=login&limit=200", "entries").await;
    let ours = |entry: &&serde_json::Value| entry["protocol"] == "ftps" && entry["outcome"] == "ok";
    assert_eq!(logins.iter().filter(ours).count(), 4, "{logins:?}");
}

/// What is there of an upload of `edi-partner`, as another session of it sees it.
async fn partial_size(gateway: &Gateway, path: &str) -> u64 {
    eventually("the upload is detached", Duration::from_secs(20), || async {
        gateway.sftp("edi02").await.stat(path).await.ok().and_then(|attrs| attrs.size)
    })
    .await
}

async fn a_broken_upload_is_resumed(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("broken").bytes(1_500_000);
    let mut client = Ftps::login(&gateway, "edi01").await;
    for (name, notified) in [("reset.bin", false), ("cut.bin", true)] {
        let path = format!("/inbound/{name}");
        let (_, data) = client.open(&format!("STOR {path}")).await;
        let mut data = data.unwrap();
        data.write_all(&content[..1_000_000]).await.unwrap();
        data.flush().await.unwrap();
        if notified {
            cut(data).await;
        } else {
            // What was sent has arrived before the reset.
            tokio::time::sleep(Duration::from_millis(300)).await;
            reset(data);
        }
        let said = client.reply().await;
        assert_eq!(code(&said), 426, "{said}");
        events_come(&rest, "upload.incomplete", &path, 1).await;
        assert!(rest.entry("/inbound", name).await.is_none(), "nothing is visible");
        let size = partial_size(&gateway, &path).await;
        assert!(size <= 1_000_000, "{size}");
        assert_eq!(client.say(&format!("SIZE {path}")).await, format!("213 {size}"));
        // Beyond what is there is refused, and harms nothing.
        assert_eq!(client.code(&format!("REST {}", size + 1)).await, 350);
        assert_eq!(code(&client.put(&format!("STOR {path}"), b"x").await), 554);
        assert_eq!(client.code(&format!("REST {size}")).await, 350);
        let said = client.put(&format!("STOR {path}"), &content[usize::try_from(size).unwrap()..]).await;
        if size == 0 {
            continue;
        }
        assert_eq!(said, "226 stored; the file has 1500000 bytes");
        assert_eq!(rest.entry("/inbound", name).await.unwrap()["hash"], sha256(&content));
        events_come(&rest, "file.uploaded", &path, 1).await;
    }
}

async fn an_aborted_upload_is_resumed_elsewhere(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("aborted").bytes(900_000);
    let mut client = Ftps::login(&gateway, "edi01").await;
    // By APPE, by SFTP.
    for how in ["APPE", "SFTP"] {
        let path = format!("/inbound/{how}.bin");
        let (_, data) = client.open(&format!("STOR {path}")).await;
        let mut data = data.unwrap();
        data.write_all(&content[..600_000]).await.unwrap();
        data.flush().await.unwrap();
        // One piece at least has been taken over.
        eventually("some of it is there", Duration::from_secs(10), || async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Some(())
        })
        .await;
        assert_eq!(client.say("ABOR").await, "426 transfer aborted");
        assert_eq!(client.reply().await, "226 ABOR is done");
        drop(data);
        let size = usize::try_from(partial_size(&gateway, &path).await).unwrap();
        assert!(rest.entry("/inbound", &path[9..]).await.is_none());
        if how == "APPE" {
            assert_eq!(code(&client.put(&format!("APPE {path}"), &content[size..]).await), 226);
        } else {
            let mut other = gateway.sftp("edi02").await;
            let handle = other.open(&path, sftp::W).await.unwrap();
            other.write_all(&handle, size as u64, &content[size..]).await.unwrap();
            other.close(&handle).await.unwrap();
        }
        assert_eq!(rest.entry("/inbound", &path[9..]).await.unwrap()["hash"], sha256(&content), "{how} from {size}");
    }
    // APPE goes on at the end of a visible file, too.
    assert_eq!(code(&client.put("APPE /inbound/APPE.bin", b"more").await), 226);
    let (got, _) = client.get("RETR /inbound/APPE.bin").await;
    assert_eq!(got, [&content[..], b"more"].concat());
}

/// REST and STOR on a visible version: what was behind the offset is gone, whether the upload breaks or not.
async fn a_restart_mixes_nothing(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let mut client = Ftps::login(&gateway, "edi01").await;
    let path = "/inbound/r.txt";
    let old = b"the old content, which is long";
    assert_eq!(code(&client.put(&format!("STOR {path}"), old).await), 226);
    assert_eq!(client.code("REST 4").await, 350);
    let (_, data) = client.open(&format!("STOR {path}")).await;
    let mut data = data.unwrap();
    data.write_all(b"new").await.unwrap();
    data.flush().await.unwrap();
    cut(data).await;
    assert_eq!(code(&client.reply().await), 426);
    assert_eq!(rest.read(path).await.body, old.as_slice(), "the old version is served on");
    assert_eq!(client.say(&format!("SIZE {path}")).await, "213 7");
    assert_eq!(client.code("REST 7").await, 350);
    assert_eq!(code(&client.put(&format!("STOR {path}"), b" one").await), 226);
    assert_eq!(rest.read(path).await.body, b"the new one".as_slice());
    // A rest of nothing cuts, too.
    assert_eq!(client.code("REST 3").await, 350);
    assert_eq!(code(&client.put(&format!("STOR {path}"), b"").await), 226);
    assert_eq!(rest.read(path).await.body, b"the".as_slice());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_connection_answers_while_a_transfer_runs() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let mut client = Ftps::login(&gateway, "edi01").await;
    let (_, data) = client.open("STOR /inbound/slow.bin").await;
    let mut data = data.unwrap();
    data.write_all(&[7; 300_000]).await.unwrap();
    data.flush().await.unwrap();
    assert_eq!(client.code("NOOP").await, 200);
    let status = client.say("STAT").await;
    assert!(status.starts_with("211-") && status.contains("an upload of /inbound/slow.bin is under way"), "{status}");
    // Other commands wait their turn, in order.
    client.raw(b"PWD\r\nSYST\r\n").await.unwrap();
    data.shutdown().await.unwrap();
    assert_eq!(code(&client.reply().await), 226);
    assert_eq!(code(&client.reply().await), 257);
    assert_eq!(code(&client.reply().await), 215);
    // ABOR with nothing to abort.
    assert_eq!(client.say("ABOR").await, "226 nothing to abort");
    // A download that nobody reads is aborted, too: by the Telnet form.
    assert_eq!(code(&client.put("STOR /inbound/big.bin", &vec![1; 30_000_000]).await), 226);
    let (_, data) = client.open("RETR /inbound/big.bin").await;
    client.raw(b"\xff\xf4\xff\xf2ABOR\r\n").await.unwrap();
    assert_eq!(client.reply().await, "426 transfer aborted");
    assert_eq!(client.reply().await, "226 ABOR is done");
    drop(data);
    // After QUIT a transfer comes to its end.
    let (_, data) = client.open("STOR /inbound/last.bin").await;
    let mut data = data.unwrap();
    data.write_all(b"one ").await.unwrap();
    assert_eq!(client.code("QUIT").await, 221);
    data.write_all(b"two").await.unwrap();
    data.shutdown().await.unwrap();
    assert_eq!(code(&client.reply().await), 226);
    assert!(client.is_closed().await);
    assert_eq!(rest.read("/inbound/last.bin").await.body, b"one two".as_slice());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_does_not_outlive_its_control_connection() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let mut client = Ftps::login(&gateway, "edi01").await;
    let (_, data) = client.open("STOR /inbound/orphan.bin").await;
    let mut data = data.unwrap();
    data.write_all(&[7; 300_000]).await.unwrap();
    data.flush().await.unwrap();
    drop(client);
    events_come(&rest, "upload.incomplete", "/inbound/orphan.bin", 1).await;
    assert!(rest.entry("/inbound", "orphan.bin").await.is_none());
    drop(data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_packed_data_are_translated() {
    let gateway = Plan::new(Ledger::Sqlite).ftps("mode_z = true").start().await;
    let rest = gateway.rest("orders");
    let mut client = Ftps::login(&gateway, "edi01").await;
    assert_eq!(client.code("TYPE A").await, 200);
    assert_eq!(code(&client.put("STOR /inbound/t.txt", b"a\r\nb\rc\r\n").await), 226);
    assert_eq!(rest.read("/inbound/t.txt").await.body, b"a\nb\rc\n".as_slice());
    assert_eq!(client.get("RETR /inbound/t.txt").await.0, b"a\r\nb\rc\r\n");
    assert_eq!(client.code("SIZE /inbound/t.txt").await, 550);
    assert_eq!(client.code("REST 1").await, 350);
    assert_eq!(code(&client.get("RETR /inbound/t.txt").await.1), 554);
    assert_eq!(client.code("TYPE I").await, 200);
    assert_eq!(client.say("SIZE /inbound/t.txt").await, "213 6");

    // MODE Z, both ways, and for listings.
    let content: Vec<u8> = (0..2_000_000u32).map(|n| (n / 1000) as u8).collect();
    assert_eq!(client.code("OPTS MODE Z LEVEL 10").await, 501);
    assert_eq!(client.code("MODE Z").await, 200);
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, &content).unwrap();
    let packed = packer.finish().unwrap();
    assert_eq!(client.put("STOR /inbound/z.bin", &packed).await, "226 stored; the file has 2000000 bytes");
    assert_eq!(rest.entry("/inbound", "z.bin").await.unwrap()["hash"], sha256(&content));
    let unpack = |bytes: &[u8]| {
        let mut out = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(bytes), &mut out).unwrap();
        out
    };
    let (got, _) = client.get("RETR /inbound/z.bin").await;
    assert!(got.len() < content.len() / 10);
    assert_eq!(unpack(&got), content);
    let (got, _) = client.get("NLST /inbound").await;
    assert_eq!(unpack(&got), b"/inbound/t.txt\r\n/inbound/z.bin\r\n");
    // A stream that is cut off, or is none, publishes nothing.
    for wrong in [&packed[..packed.len() - 5], b"not packed at all"] {
        assert_eq!(code(&client.put("STOR /inbound/w.bin", wrong).await), 426);
        assert!(rest.entry("/inbound", "w.bin").await.is_none());
    }
    assert_eq!(client.code("MODE S").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_may_have_rules_of_its_own() {
    let plan = Plan::new(Ledger::Sqlite)
        .partner_login("old01", "ftps = { session_reuse = \"optional\", close_notify = \"optional\" }");
    let gateway = plan.start().await;
    let rest = gateway.rest("orders");
    for (login, allowed) in [("old01", true), ("edi01", false)] {
        let path = format!("/inbound/{login}.bin");
        // Without close_notify.
        let mut client = Ftps::login(&gateway, login).await;
        let (_, data) = client.open(&format!("STOR {path}")).await;
        let mut data = data.unwrap();
        data.write_all(b"content").await.unwrap();
        data.flush().await.unwrap();
        cut(data).await;
        assert_eq!(code(&client.reply().await), if allowed { 226 } else { 426 }, "{login}");
        assert_eq!(rest.entry("/inbound", &path[9..]).await.is_some(), allowed);
        // A reset is the end for everybody.
        let (_, data) = client.open("STOR /inbound/r.bin").await;
        let mut data = data.unwrap();
        data.write_all(b"content").await.unwrap();
        data.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        reset(data);
        assert_eq!(code(&client.reply().await), 426, "{login}");
        // Without the control connection's session.
        client.tls = crate::harness::ftps::tls(&gateway, &rustls::version::TLS13);
        let address = client.passive().await;
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        assert_eq!(client.code("LIST /").await, 150);
        let secured = client.secure_data(stream).await;
        assert_eq!(secured.is_ok(), allowed, "no handshake is finished, so no ticket is handed out");
        let mut listed = Vec::new();
        if let Ok(mut data) = secured {
            data.read_to_end(&mut listed).await.unwrap();
        }
        assert_eq!(!listed.is_empty(), allowed);
        let said = client.reply().await;
        assert_eq!(code(&said), if allowed { 226 } else { 522 }, "{login}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_end_with_the_gateway() {
    let mut gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut idle = Ftps::login(&gateway, "edi01").await;
    let mut busy = Ftps::login(&gateway, "edi01").await;
    let (_, data) = busy.open("STOR /inbound/late.bin").await;
    let mut data = data.unwrap();
    data.write_all(b"half ").await.unwrap();
    data.flush().await.unwrap();
    gateway.terminate();
    assert_eq!(code(&idle.reply().await), 421);
    // What is under way may end.
    data.write_all(b"whole").await.unwrap();
    data.shutdown().await.unwrap();
    assert_eq!(code(&busy.reply().await), 226);
    assert_eq!(code(&busy.reply().await), 421);
    assert!(gateway.wait().await.success());
    gateway.start().await;
    assert_eq!(gateway.rest("orders").read("/inbound/late.bin").await.body, b"half whole".as_slice());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_taken_while_serving() {
    let gateway = Plan::new(Ledger::Sqlite).limits("penalty_exempt = [\"127.0.0.0/8\"]").start().await;
    let certs = gateway.data().join("certs");
    let mut old = Ftps::login(&gateway, "edi01").await;
    // Another development certificate takes the place of this one: made by another gateway.
    let other = Plan::new(Ledger::Sqlite).start().await;
    for file in ["ca.pem", "server.key", "server.pem"] {
        let content = std::fs::read(other.data().join("certs").join(file)).unwrap();
        std::fs::write(certs.join(file), content).unwrap();
    }
    eventually("the new certificate is shown", Duration::from_secs(20), || async {
        let mut client = Ftps::connect(&gateway, &rustls::version::TLS13).await;
        assert_eq!(client.code("AUTH TLS").await, 234);
        client.handshake().await.ok()
    })
    .await;
    // The API shows it too, and who was there goes on, with new data connections.
    gateway.rest("orders").list("/inbound").await;
    assert_eq!(code(&old.put("STOR /inbound/still.bin", b"here").await), 226);
}

/// What the operator allows a session to move is kept to over FTPS too, in both directions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bandwidth_is_limited() {
    let limits = "bandwidth_up = \"512 KiB/s\"\nbandwidth_down = \"1 MiB/s\"";
    let gateway = Plan::new(Ledger::Sqlite).limits(limits).start().await;
    let mut client = Ftps::login(&gateway, "edi01").await;
    // A second's worth goes at once, the rest at the rate: three seconds, and one.
    let content = Random::seeded("slow").bytes(2 << 20);
    let began = Instant::now();
    assert_eq!(code(&client.put("STOR /inbound/slow.bin", &content).await), 226);
    let took = began.elapsed();
    assert!((Duration::from_millis(2_900)..Duration::from_secs(12)).contains(&took), "{took:?}");
    let began = Instant::now();
    assert!(client.get("RETR /inbound/slow.bin").await.0 == content);
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&took), "{took:?}");
}
