//! Half a file is never seen: not while an upload runs, not after its connection was cut; and its own identity goes on
//! with it, from a new session while the old one still hangs, and over another protocol.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;

use crate::harness::openssh::OpenSsh;
use crate::harness::proxy::Proxy;
use crate::harness::sftp::{self, CREATE, NO_SUCH_FILE, TRUNCATE, W};
use crate::harness::{Gateway, Ledger, Plan, Random, Sftp, eventually, has_tool, on_both_ledgers, sha256};
use crate::spine::{audit_of, events_come, events_of};

on_both_ledgers!(
    others_see_the_old_version_or_nothing,
    a_cut_connection_leaves_a_resumable_upload,
    resumed_while_the_old_session_hangs,
    a_cut_request_publishes_nothing,
    a_reader_keeps_its_version,
);

/// What another identity and REST see of `/inbound/NAME`: this content, or nothing.
async fn others_see(gateway: &Gateway, name: &str, content: Option<&[u8]>) {
    let mut mill = gateway.sftp("mill01").await;
    let path = format!("/{name}");
    let listed = mill.names("/").await.unwrap().contains(&name.to_owned());
    assert_eq!(listed, content.is_some(), "{name} in another login's listing");
    for key in ["orders", "edi"] {
        let rest = gateway.rest(key);
        let entry = rest.entry("/inbound", name).await;
        assert_eq!(
            entry.as_ref().map(|e| e["hash"].as_str().unwrap().to_owned()),
            content.map(sha256),
            "REST of {key}"
        );
        let read = rest.read(&format!("/inbound/{name}")).await;
        match content {
            Some(content) => assert_eq!(read.body, content, "REST of {key}"),
            None => read.problem(404, "not_found"),
        }
    }
    if let Some(content) = content {
        assert_eq!(mill.stat(&path).await.unwrap().size, Some(content.len() as u64));
        assert_eq!(mill.get(&path).await.unwrap(), content);
    } else {
        assert_eq!(mill.stat(&path).await.unwrap_err().code, NO_SUCH_FILE);
        assert_eq!(mill.open(&path, sftp::R).await.unwrap_err().code, NO_SUCH_FILE);
    }
}

async fn others_see_the_old_version_or_nothing(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let content = Random::seeded("half").bytes(3 << 20);
    let mut writer = gateway.sftp("edi01").await;
    let handle = writer.open("/inbound/new.bin", W | CREATE | TRUNCATE).await.unwrap();
    for (n, piece) in content.chunks(1 << 20).enumerate() {
        writer.write_all(&handle, (n << 20) as u64, piece).await.unwrap();
        others_see(&gateway, "new.bin", None).await;
        // Its own session sees the partial.
        assert_eq!(writer.stat("/inbound/new.bin").await.unwrap().size, Some(((n + 1) << 20) as u64));
    }
    writer.close(&handle).await.unwrap();
    others_see(&gateway, "new.bin", Some(&content)).await;
    // An overwrite: the old version, until the moment of the close.
    let handle = writer.open("/inbound/new.bin", W | CREATE | TRUNCATE).await.unwrap();
    writer.write_all(&handle, 0, &content[..100_000]).await.unwrap();
    others_see(&gateway, "new.bin", Some(&content)).await;
    writer.close(&handle).await.unwrap();
    others_see(&gateway, "new.bin", Some(&content[..100_000])).await;
}

/// Waits until the upload of `edi-partner` with this name is detached: its other sessions see the partial.
async fn partial_size(gateway: &Gateway, path: &str) -> u64 {
    eventually("the upload is detached", Duration::from_secs(20), || async {
        gateway.sftp("edi02").await.stat(path).await.ok().and_then(|attrs| attrs.size)
    })
    .await
}

async fn a_cut_connection_leaves_a_resumable_upload(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let content = Random::seeded("cut").bytes(1 << 20);
    let proxy = Proxy::to(gateway.sftp).await;
    let mut writer = Sftp::connect(proxy.address, "edi01").await.unwrap();
    let handle = writer.open("/inbound/cut.bin", W | CREATE | TRUNCATE).await.unwrap();
    writer.write_all(&handle, 0, &content[..600_000]).await.unwrap();
    proxy.cut();
    assert!(writer.close(&handle).await.is_err(), "the line is cut");
    let size = partial_size(&gateway, "/inbound/cut.bin").await;
    assert_eq!(size, 600_000, "everything that was acknowledged is still there");
    others_see(&gateway, "cut.bin", None).await;
    let rest = gateway.rest("orders");
    let told = &events_come(&rest, "upload.incomplete", "/inbound/cut.bin", 1).await[0];
    assert_eq!(told["status"], "failed", "{told}");
    assert_eq!(told["data"]["complete"], false, "{told}");
    assert!(events_of(&rest, "file.uploaded", "/inbound/cut.bin").await.is_empty());

    // The same identity goes on, with `reput`, under its other login.
    if has_tool("sftp") {
        let client = OpenSsh::new(&gateway, "edi02");
        client.local("cut.bin", &content);
        let ran = client.batch("reput cut.bin /inbound/cut.bin\n").await;
        assert!(ran.success, "{ran:?}");
        others_see(&gateway, "cut.bin", Some(&content)).await;
        events_come(&rest, "file.uploaded", "/inbound/cut.bin", 1).await;
        let ok: Vec<_> = audit_of(&rest, "upload", "/inbound/cut.bin").await;
        assert_eq!(ok.iter().filter(|e| e["outcome"] == "ok").count(), 1, "{ok:?}");
    }
}

async fn resumed_while_the_old_session_hangs(ledger: Ledger) {
    let gateway = Plan::new(ledger).uploads("idle_detach = \"1s\"").start().await;
    let content = Random::seeded("hang").bytes(1 << 20);
    let proxy = Proxy::to(gateway.sftp).await;
    let mut hanging = Sftp::connect(proxy.address, "edi01").await.unwrap();
    let handle = hanging.open("/inbound/hang.bin", W | CREATE | TRUNCATE).await.unwrap();
    hanging.write_all(&handle, 0, &content[..500_000]).await.unwrap();
    proxy.freeze();
    assert_eq!(partial_size(&gateway, "/inbound/hang.bin").await, 500_000);
    others_see(&gateway, "hang.bin", None).await;

    let mut next = gateway.sftp("edi01").await;
    let resumed = next.open("/inbound/hang.bin", W).await.unwrap();
    assert_eq!(next.fstat(&resumed).await.unwrap().size, Some(500_000));
    next.write_all(&resumed, 500_000, &content[500_000..]).await.unwrap();
    next.close(&resumed).await.unwrap();
    others_see(&gateway, "hang.bin", Some(&content)).await;

    // A session that was thought dead, on a direct line this time, can write no more once another one took over.
    let mut old = gateway.sftp("edi01").await;
    let handle = old.open("/inbound/taken.bin", W | CREATE | TRUNCATE).await.unwrap();
    old.write_all(&handle, 0, &content[..200_000]).await.unwrap();
    assert_eq!(partial_size(&gateway, "/inbound/taken.bin").await, 200_000);
    let resumed = next.open("/inbound/taken.bin", W).await.unwrap();
    next.write_all(&resumed, 200_000, &content[200_000..300_000]).await.unwrap();
    let wrote = old.write(&handle, 0, b"ghost").await;
    let closed = old.close(&handle).await;
    assert!(closed.is_err(), "the old holder cannot commit: {wrote:?}, {closed:?}");
    others_see(&gateway, "taken.bin", None).await;
    next.close(&resumed).await.unwrap();
    others_see(&gateway, "taken.bin", Some(&content[..300_000])).await;
}

async fn a_cut_request_publishes_nothing(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    rest.put("/inbound/kept.bin", b"the old version").await.ok();
    let piece = Random::seeded("body").bytes(200_000);
    for name in ["kept.bin", "never.bin"] {
        // The body breaks off in its middle.
        let pieces = vec![Ok(piece.clone()), Ok(piece.clone()), Err(std::io::Error::other("the client goes away"))];
        let stream = futures::stream::iter(pieces).then(|piece: Result<Bytes, std::io::Error>| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            piece
        });
        let request = rest
            .request(reqwest::Method::PUT, &crate::harness::rest::content_path(&format!("/inbound/{name}")))
            .body(reqwest::Body::wrap_stream(stream));
        let sent = rest.try_send(request).await;
        assert!(sent.is_err() || sent.unwrap().status >= 400, "a body cut short is no success");
    }
    others_see(&gateway, "kept.bin", Some(b"the old version")).await;
    others_see(&gateway, "never.bin", None).await;
    events_come(&rest, "upload.incomplete", "/inbound/never.bin", 1).await;
    assert!(events_of(&rest, "file.uploaded", "/inbound/never.bin").await.is_empty());
    // `orders-app` began it over REST and can go on over SFTP.
    let mut session = gateway.sftp("app01").await;
    let size = session.stat("/inbound/never.bin").await.unwrap().size.unwrap();
    assert!(size <= 400_000 && piece.len() as u64 * 2 >= size, "{size}");
    let handle = session.open("/inbound/never.bin", W).await.unwrap();
    session.write_all(&handle, size, b" and its end").await.unwrap();
    session.close(&handle).await.unwrap();
    let both = [&piece[..], &piece[..]].concat();
    others_see(&gateway, "never.bin", Some(&[&both[..size as usize], b" and its end"].concat())).await;
}

async fn a_reader_keeps_its_version(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let old = Random::seeded("reader").bytes(2 << 20);
    gateway.rest("orders").put("/inbound/r.bin", &old).await.ok();
    let mut reader = gateway.sftp("edi01").await;
    let handle = reader.open("/inbound/r.bin", sftp::R).await.unwrap();
    let first = reader.read(&handle, 0, 32_768).await.unwrap().unwrap();
    assert_eq!(first, &old[..first.len()]);
    gateway.rest("orders").put("/inbound/r.bin", b"new").await.ok();
    let mut rest_of_it = first;
    while let Some(data) = reader.read(&handle, rest_of_it.len() as u64, 32_768).await.unwrap() {
        rest_of_it.extend_from_slice(&data);
    }
    assert_eq!(rest_of_it, old, "the version that was opened, whole");
    reader.close(&handle).await.unwrap();
    assert_eq!(reader.get("/inbound/r.bin").await.unwrap(), b"new");
    // Removed while it is read: the same.
    let handle = reader.open("/inbound/r.bin", sftp::R).await.unwrap();
    let mut other = gateway.sftp("mill01").await;
    other.remove("/r.bin").await.unwrap();
    assert_eq!(reader.read(&handle, 0, 10).await.unwrap().unwrap(), b"new");
    reader.close(&handle).await.unwrap();
    assert_eq!(reader.stat("/inbound/r.bin").await.unwrap_err().code, NO_SUCH_FILE);
}
