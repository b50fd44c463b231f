//! What must not work: each a clear error in the protocol's own form, the session goes on where the protocol allows it,
//! and nothing is left behind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::StreamExt as _;

use crate::harness::sftp::{
    self, Attrs, BAD_MESSAGE, Body, CREATE, FAILURE, NO_SUCH_FILE, PERMISSION_DENIED, Reply, TRUNCATE, UNSUPPORTED, W,
};
use crate::harness::{Gateway, Ledger, Plan, Random, Sftp, eventually, on_both_ledgers, skip};

on_both_ledgers!(names, too_large, full_quota);

/// The session still answers, and the folder holds what it held.
async fn goes_on(session: &mut Sftp, after: &str) {
    let names = session.names("/inbound").await.unwrap_or_else(|s| panic!("after {after}: {s:?}"));
    assert!(names.is_empty(), "after {after}: {names:?} is left behind");
}

async fn names(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let mut session = gateway.sftp("edi01").await;
    let long = [b"/inbound/".as_slice(), &[b'x'; 256]].concat();
    let deep = [b"/inbound".as_slice(), &b"/0123456789".repeat(400)].concat();
    let bad: &[(&str, &[u8])] = &[
        ("NUL", b"/inbound/a\0b"),
        ("a control character", b"/inbound/a\x1bb"),
        ("a line feed", b"/inbound/a\nb"),
        ("DEL", b"/inbound/a\x7fb"),
        ("a C1 control character", "/inbound/a\u{85}b".as_bytes()),
        ("not UTF-8", b"/inbound/\xff\xfe"),
        ("UTF-8 of a surrogate", b"/inbound/\xed\xa0\x80"),
        ("an overlong slash", b"/inbound/\xc0\xaf"),
        ("not NFC", "/inbound/e\u{301}".as_bytes()),
        ("a name of 256 bytes", &long),
        ("a path above 4096 bytes", &deep),
    ];
    for (what, name) in bad {
        let none = Attrs::default();
        for (kind, body) in [
            (sftp::OPEN, Body::default().string(name).u32(W | CREATE | TRUNCATE).attrs(&none)),
            (sftp::MKDIR, Body::default().string(name).attrs(&none)),
            (sftp::STAT, Body::default().string(name)),
            (sftp::REMOVE, Body::default().string(name)),
            (sftp::OPENDIR, Body::default().string(name)),
            (sftp::RENAME, Body::default().string("/inbound").string(name)),
            (sftp::SETSTAT, Body::default().string(name).attrs(&none)),
        ] {
            let status = session.call(kind, body).await.expect_err(what);
            assert!([FAILURE, NO_SUCH_FILE, BAD_MESSAGE].contains(&status.code), "{what}, type {kind}: {status:?}");
            assert!(!status.message.is_empty() && !status.message.contains("/data/"), "{what}: {status:?}");
        }
        goes_on(&mut session, what).await;
        // REST refuses them too; where the bytes are no UTF-8, as a whole.
        let rest = gateway.rest("edi");
        let path = format!("/files/content?path={}", crate::harness::rest::encode_bytes(name));
        let answer = rest.send(rest.request(reqwest::Method::PUT, &path).body("x")).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert_eq!(rest.get(&path).await.status, 400, "{what}");
        let file =
            String::from_utf8_lossy(name.strip_prefix(b"/inbound/").unwrap_or(name)).replace(['\n', '\0'], "\u{1}");
        let answer = rest.upload("/inbound", &file, b"x", false).await;
        assert!(what.contains("UTF-8") || what.contains("overlong") || answer.status == 400, "{what}: {answer:?}");
        if answer.status == 201 {
            rest.delete(&format!("/files/{}", answer.json()["file_id"].as_str().unwrap())).await;
        }
        goes_on(&mut session, what).await;
    }
    // What climbs stays inside: it names something else, which is not there.
    for path in ["/../../etc/passwd", "../../../etc/passwd", "/inbound/../../../../etc/passwd"] {
        assert_eq!(session.stat(path).await.unwrap_err().code, NO_SUCH_FILE, "{path}");
        assert_eq!(session.open(path, sftp::R).await.unwrap_err().code, NO_SUCH_FILE, "{path}");
        assert_eq!(gateway.rest("edi").read(path).await.status, 400, "{path}");
    }
    assert_eq!(session.realpath("/../..").await.unwrap(), "/");
    // The longest name there may be is fine.
    let longest = format!("/inbound/{}", "ü".repeat(127));
    session.put(&longest, b"x").await.unwrap();
    session.remove(&longest).await.unwrap();
    goes_on(&mut session, "the longest name").await;
}

fn packet(length: u32, payload: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes()[..], payload].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    // Well framed, wrong inside: an error with the request's id, and the session goes on (or ends, but never hangs).
    let well_framed: &[(&str, u8, Body, &[u32])] = &[
        ("an unknown type", 99, Body::default(), &[UNSUPPORTED]),
        ("an unknown extension", 200, Body::default().string("no@such.extension"), &[UNSUPPORTED]),
        ("a body that is missing", sftp::OPEN, Body::default(), &[BAD_MESSAGE]),
        ("a string longer than its packet", sftp::STAT, Body::default().u32(5000), &[BAD_MESSAGE]),
        ("a string of 4 GiB", sftp::STAT, Body::default().u32(u32::MAX), &[BAD_MESSAGE]),
        ("attributes cut short", sftp::MKDIR, Body::default().string("/inbound/x").u32(1), &[BAD_MESSAGE]),
        ("a handle nobody gave", sftp::CLOSE, Body::default().string(b"nobody's"), &[FAILURE, BAD_MESSAGE]),
        (
            "a handle of 1000 bytes",
            sftp::READ,
            Body::default().string([7; 1000]).u64(0).u32(1),
            &[FAILURE, BAD_MESSAGE],
        ),
        ("an empty handle", sftp::READDIR, Body::default().string(b""), &[FAILURE, BAD_MESSAGE]),
        (
            "flags of open that make no sense",
            sftp::OPEN,
            Body::default().string("/inbound/x").u32(0).attrs(&Attrs::default()),
            &[FAILURE, BAD_MESSAGE],
        ),
    ];
    let mut session = gateway.sftp("edi01").await;
    for (what, kind, body, codes) in well_framed {
        let status = session.call(*kind, body.clone()).await.expect_err(what);
        assert!(codes.contains(&status.code), "{what}: {status:?}");
        goes_on(&mut session, what).await;
    }
    // Framing itself is broken: the session ends, the gateway lives, and nobody else notices.
    for (what, bytes) in [
        ("a packet of no bytes", packet(0, b"")),
        ("a packet of 4 GiB", packet(u32::MAX, b"\x03\0\0\0\x01")),
        ("a packet just above every limit", packet(1 << 24, &[0; 4096])),
        ("a packet without an id", packet(2, &[sftp::STAT, 0])),
    ] {
        let mut bad = gateway.sftp("edi01").await;
        let _ = bad.send_raw(&bytes).await;
        let end = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                match bad.receive_raw().await {
                    Err(status) => break status,
                    Ok(reply) => assert_eq!(reply.first(), Some(&101), "{what}: {reply:?}"),
                }
            }
        });
        // It may also be answered, where the rest can still be told apart.
        if let Ok(status) = end.await {
            assert!(!status.message.contains("hung"), "{what}: {status:?}");
        }
        goes_on(&mut session, what).await;
    }
    // A packet in single bytes, and two packets in one write.
    let id = 77_u32.to_be_bytes();
    let stat = [&packet(5 + 4 + 8, &[sftp::STAT])[..], &id, &8_u32.to_be_bytes(), b"/inbound"].concat();
    for byte in &stat {
        session.send_raw(&[*byte]).await.unwrap();
    }
    assert!(matches!(session.receive().await.unwrap(), (77, Reply::Attrs(_))));
    session.send_raw(&[&stat[..], &stat[..]].concat()).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(session.receive().await.unwrap(), (77, Reply::Attrs(_))));
    }
    goes_on(&mut session, "all that").await;
    // A connection that is no SSH at all.
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 5000], &[0xff; 70_000]] {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        for address in [gateway.sftp, gateway.api] {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(noise).await;
            let _ = stream.shutdown().await;
            let ended = tokio::time::timeout(Duration::from_mins(1), async {
                let mut buffer = [0; 1024];
                while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
            });
            assert!(ended.await.is_ok(), "{address} keeps a connection of noise");
        }
    }
    goes_on(&mut session, "noise").await;
    assert!(gateway.memory("VmRSS") < 150 * 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_and_handles() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut session = gateway.sftp("edi01").await;
    let handle = session.open("/inbound/o", W | CREATE | TRUNCATE).await.unwrap();
    for offset in [1 << 63, u64::MAX, (1 << 63) - 1, 1 << 62] {
        let status = session.write(&handle, offset, b"xx").await.expect_err("a huge offset");
        assert_eq!(status.code, FAILURE, "{offset}: {status:?}");
    }
    for size in [1 << 63, u64::MAX] {
        let status =
            session.fsetstat(&handle, &Attrs { size: Some(size), ..Attrs::default() }).await.expect_err("huge");
        assert_eq!(status.code, FAILURE, "{size}: {status:?}");
    }
    // A write that was refused is never part of a file: either close says so, or the file is what was taken.
    let closed = session.close(&handle).await;
    if closed.is_ok() {
        assert_eq!(session.stat("/inbound/o").await.unwrap().size, Some(0));
        session.remove("/inbound/o").await.unwrap();
    } else {
        let _ = session.remove("/inbound/o").await;
    }
    goes_on(&mut session, "huge offsets").await;

    session.put("/inbound/o", b"0123456789").await.unwrap();
    let handle = session.open("/inbound/o", sftp::R).await.unwrap();
    for offset in [10, 11, 1 << 40, i64::MAX as u64, u64::MAX] {
        assert_eq!(session.read(&handle, offset, 100).await, Ok(None), "{offset}: the end of the file");
    }
    assert_eq!(session.read(&handle, 5, u32::MAX).await.unwrap().unwrap(), b"56789");
    let refused = session.write(&handle, 0, b"x").await.expect_err("a handle to read");
    assert!([FAILURE, PERMISSION_DENIED].contains(&refused.code), "{refused:?}");
    session.close(&handle).await.unwrap();
    assert_eq!(session.close(&handle).await.unwrap_err().code, FAILURE, "closed already");
    assert_eq!(session.read(&handle, 0, 1).await.unwrap_err().code, FAILURE);

    // Handles are bounded, and the bound is per session.
    let mut open = Vec::new();
    let refused = loop {
        match session.open("/inbound/o", sftp::R).await {
            Ok(handle) => open.push(handle),
            Err(status) => break status,
        }
        assert!(open.len() < 20_000, "handles without end");
    };
    assert_eq!(refused.code, FAILURE, "{refused:?}");
    assert!(open.len() >= 64, "only {} handles", open.len());
    let mut other = gateway.sftp("edi02").await;
    assert_eq!(other.get("/inbound/o").await.unwrap(), b"0123456789");
    for handle in open {
        session.close(&handle).await.unwrap();
    }
    session.remove("/inbound/o").await.unwrap();
    goes_on(&mut session, "many handles").await;
}

/// No blob stays in the storage.
async fn storage_is_empty(gateway: &Gateway) {
    eventually("the blobs of refused uploads are swept", Duration::from_mins(1), || async {
        gateway.blob_files().is_empty().then_some(())
    })
    .await;
}

/// A plan whose refused uploads are swept soon.
fn soon_swept(ledger: Ledger) -> Plan {
    Plan::new(ledger).uploads("incomplete_expiry = \"1s\"").uploads("blob_grace = \"0s\"")
}

async fn too_large(ledger: Ledger) {
    let gateway = soon_swept(ledger).limits("max_file_size = \"1 MiB\"").start().await;
    let content = Random::seeded("too large").bytes((1 << 20) + 1);
    let mut session = gateway.sftp("edi01").await;
    let handle = session.open("/inbound/big", W | CREATE | TRUNCATE).await.unwrap();
    let wrote = session.write_all(&handle, 0, &content).await;
    let closed = session.close(&handle).await;
    let told = wrote.err().or(closed.clone().err()).expect("too large");
    assert_eq!(told.code, FAILURE, "{told:?}");
    assert!(closed.is_err(), "what was refused is not committed");
    assert_eq!(
        session.setstat("/inbound/none", &Attrs { size: Some(2 << 20), ..Attrs::default() }).await.unwrap_err().code,
        NO_SUCH_FILE
    );
    let rest = gateway.rest("edi");
    rest.put("/inbound/big", &content).await.problem(413, "file_too_large");
    rest.upload("/inbound", "big", &content, false).await.problem(413, "file_too_large");
    // Without Content-Length it shows only on the way.
    let pieces: Vec<Result<bytes::Bytes, std::io::Error>> =
        (0..30).map(|n| Ok(content.slice(n * 50_000 % 900_000..n * 50_000 % 900_000 + 50_000))).collect();
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces).then(|piece| async { piece }));
    let request = rest.request(reqwest::Method::PUT, &crate::harness::rest::content_path("/inbound/big")).body(body);
    rest.send(request).await.problem(413, "file_too_large");
    assert!(gateway.rest("orders").list("/inbound").await.is_empty());
    // Exactly the limit is fine.
    rest.put("/inbound/fits", &content[..1 << 20]).await.ok();
    session.put("/inbound/fits", &content[..1 << 20]).await.unwrap();
    session.remove("/inbound/fits").await.unwrap();
    let _ = session.remove("/inbound/big").await;
    goes_on(&mut session, "large files").await;
    storage_is_empty(&gateway).await;
}

async fn full_quota(ledger: Ledger) {
    let gateway = soon_swept(ledger).edi_quota("1 MiB").start().await;
    let content = Random::seeded("quota").bytes(700_000);
    let mut session = gateway.sftp("edi01").await;
    let rest = gateway.rest("edi");
    session.put("/inbound/first", &content).await.unwrap();
    let told = session.put("/inbound/second", &content).await.expect_err("above the quota");
    assert_eq!(told.code, FAILURE, "{told:?}");
    rest.put("/inbound/third", &content).await.problem(507, "quota_exceeded");
    rest.upload("/inbound", "third", &content, false).await.problem(507, "quota_exceeded");
    let names: Vec<_> =
        gateway.rest("orders").list("/inbound").await.iter().map(|e| e["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["first"]);
    let _ = session.remove("/inbound/second").await;
    // Another identity has its own; the creator of the version pays, whoever's folder it is.
    gateway.rest("mill").put("/by-mill", &content).await.ok();
    // An overwrite frees what it replaces; so does a delete.
    session.put("/inbound/first", &content[..300_000]).await.unwrap();
    session.put("/inbound/second", &content).await.unwrap();
    session.remove("/inbound/second").await.unwrap();
    rest.put("/inbound/third", &content).await.ok();
    for name in ["first", "third", "by-mill"] {
        session.remove(&format!("/inbound/{name}")).await.unwrap();
    }
    goes_on(&mut session, "a full quota").await;
    storage_is_empty(&gateway).await;
    crate::spine::events_come(&gateway.rest("orders"), "policy.violated", "/inbound/third", 2).await;
}

/// A small tmpfs.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"])
            .arg(folder.path())
            .status()
            .is_ok_and(|s| s.success());
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk() {
    let Some(disk) = SmallDisk::mount("4m") else {
        return skip("a tmpfs cannot be mounted here; the full disk was not tested");
    };
    let gateway = soon_swept(Ledger::Sqlite).storage_root(&disk.path().join("content")).start().await;
    let content = Random::seeded("disk").bytes(6 << 20);
    let mut session = gateway.sftp("edi01").await;
    session.put("/inbound/small", &content[..500_000]).await.unwrap();
    let told = session.put("/inbound/large", &content).await.expect_err("the disk is full");
    assert_eq!(told.code, FAILURE, "{told:?}");
    let _ = session.remove("/inbound/large").await;
    let rest = gateway.rest("edi");
    rest.put("/inbound/large", &content).await.problem(507, "no_space");
    let names: Vec<_> = rest.list("/inbound").await.iter().map(|e| e["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["small"]);
    assert_eq!(rest.read("/inbound/small").await.body, &content[..500_000]);
    // What was refused is swept, and then there is room again.
    eventually("there is room again", Duration::from_mins(1), || async {
        let answer = rest.put("/inbound/again", &content[..3 << 20]).await;
        assert!([200, 201, 507].contains(&answer.status), "{answer:?}");
        (answer.status < 300).then_some(())
    })
    .await;
    assert_eq!(session.get("/inbound/again").await.unwrap(), &content[..3 << 20]);
}
