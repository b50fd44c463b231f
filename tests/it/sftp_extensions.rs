//! The extensions of SFTP, by OpenSSH's `sftp` and by hand, against the real daemon.

use std::fs;

use crate::harness::openssh::OpenSsh;
use crate::harness::sftp::{self, Attrs, Body, Reply};
use crate::harness::{Ledger, Plan, Random, Sftp, has_tool, on_both_ledgers, sha256};
use crate::spine::events_come;

on_both_ledgers!(openssh, copies, checksums_and_room, truth_at_the_end);

fn ext(name: &str) -> Body {
    Body::default().string(name)
}

async fn extended(session: &mut Sftp, body: Body) -> sftp::Result<Vec<u8>> {
    match session.call(sftp::EXTENDED, body).await? {
        Reply::Extended(body) => Ok(body),
        other => panic!("no extended reply: {other:?}"),
    }
}

async fn copy(session: &mut Sftp, from: &[u8], to: &[u8]) -> sftp::Result<()> {
    let body = ext("copy-data").string(from).u64(0).u64(0).string(to).u64(0);
    session.call(sftp::EXTENDED, body).await.map(drop)
}

async fn openssh(ledger: Ledger) {
    if !has_tool("sftp") {
        return;
    }
    let gateway = Plan::new(ledger).edi_quota("1 GiB").start().await;
    let client = OpenSsh::new(&gateway, "edi01");
    let rest = gateway.rest("orders");
    // The client takes reads and writes of 255 KiB from `limits`, 64 of them ahead: 16 MiB under way both ways.
    let content = Random::seeded("limits").bytes(48 << 20);
    client.local("a.bin", &content);
    client.local("b.bin", b"other");
    let ran = client
        .batch(
            "cd /inbound\nput -f a.bin\nget a.bin back.bin\nput b.bin\ncp a.bin c.bin\nchmod 600 c.bin\nchmod -h 640 b.bin\n\
             chown 1000 b.bin\nchgrp 100 b.bin\nls -ln\ndf -h /inbound\ndf -i\n",
        )
        .await;
    assert!(ran.success, "{ran:?}");
    assert_eq!(fs::read(client.folder().join("back.bin")).unwrap(), content);
    assert_eq!(rest.entry("/inbound", "c.bin").await.unwrap()["hash"], sha256(&content));
    // The client writes the lines itself, with the names that it asked for; links are its own "?".
    for line in [
        "-rw-r--r--    ? causeway causeway 50331648 ",
        "-rw-r-----    ? 1000     100             5 ",
        "-rw-------    ? causeway causeway 50331648 ",
    ] {
        assert!(ran.output.contains(line), "{line}: {}", ran.output);
    }
    // 1 GiB, of which both large files take 96 MiB.
    let room = ran.output.lines().find(|line| line.contains("1.0GB")).expect("the quota of df -h");
    assert!(room.contains("96.0MB") && room.contains("928MB"), "{room}");

    // `rename` of OpenSSH's client is posix-rename; with -l it is the protocol's own, which replaces nothing.
    let refused = client.batch("rename -l /inbound/b.bin /inbound/c.bin\n").await;
    assert!(!refused.success, "{refused:?}");
    assert_eq!(rest.entry("/inbound", "c.bin").await.unwrap()["size"], 48 << 20);
    assert!(client.batch("rename /inbound/b.bin /inbound/c.bin\n").await.success);
    assert_eq!(rest.read("/inbound/c.bin").await.body, &b"other"[..]);
    assert!(!client.batch("ln /inbound/c.bin /inbound/link\n").await.success);
}

async fn copies(ledger: Ledger) {
    let gateway = Plan::new(ledger).edi_quota("5 MiB").start().await;
    let mut session = gateway.sftp("edi01").await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("copies").bytes(2 << 20);
    session.put("/inbound/a", &content).await.unwrap();
    let blobs = gateway.blob_files().len();

    let from = session.open("/inbound/a", sftp::R).await.unwrap();
    let to = session.open("/inbound/b", sftp::W | sftp::CREATE | sftp::TRUNCATE).await.unwrap();
    copy(&mut session, &from, &to).await.unwrap();
    assert!(rest.entry("/inbound", "b").await.is_none(), "not before its close");
    session.close(&to).await.unwrap();
    assert_eq!(gateway.blob_files().len(), blobs, "by reference");
    let told = &events_come(&rest, "file.copied", "/inbound/b", 1).await[0];
    assert_eq!(told["data"]["previous_path"], "/inbound/a", "{told}");
    assert_eq!(told["data"]["operation"], "copy", "{told}");
    assert_eq!(told["data"]["hash"], sha256(&content), "{told}");
    events_come(&rest, "transfer.completed", "/inbound/b", 1).await;
    events_come(&rest, "file.uploaded", "/inbound/b", 0).await;
    assert_eq!(rest.read("/inbound/b").await.body, content);

    // Charged in full: the third copy does not fit, and nothing of it is published.
    let to = session.open("/inbound/c", sftp::W | sftp::CREATE | sftp::TRUNCATE).await.unwrap();
    let refused = copy(&mut session, &from, &to).await.unwrap_err();
    assert!(refused.message.contains("quota"), "{refused:?}");
    assert_eq!(session.close(&to).await.unwrap_err().code, sftp::FAILURE);
    assert!(rest.entry("/inbound", "c").await.is_none());
    events_come(&rest, "upload.incomplete", "/inbound/c", 1).await;

    // The copy outlives what it was copied from, and room comes back.
    session.close(&from).await.unwrap();
    session.remove("/inbound/a").await.unwrap();
    assert_eq!(session.get("/inbound/b").await.unwrap(), content);

    // A copy that goes on is hashed as what it became; the source may be gone by then.
    let from = session.open("/inbound/b", sftp::R).await.unwrap();
    let to = session.open("/inbound/d", sftp::W | sftp::CREATE | sftp::TRUNCATE).await.unwrap();
    session.remove("/inbound/b").await.unwrap();
    copy(&mut session, &from, &to).await.unwrap();
    session.write(&to, content.len() as u64, b"and more").await.unwrap();
    session.call(sftp::EXTENDED, ext("fsync@openssh.com").string(&to)).await.unwrap();
    session.close(&to).await.unwrap();
    let longer = [&content[..], b"and more"].concat();
    assert_eq!(rest.entry("/inbound", "d").await.unwrap()["hash"], sha256(&longer));
    assert_eq!(rest.read("/inbound/d").await.body, longer);
    events_come(&rest, "file.uploaded", "/inbound/d", 1).await;

    // Whose name was removed meanwhile takes nothing over, and neither does who asks for what is not open.
    let (gone, kept) = ("/inbound/gone", "/inbound/kept");
    let to = session.open(gone, sftp::W | sftp::CREATE | sftp::TRUNCATE).await.unwrap();
    session.remove(gone).await.unwrap();
    let from = session.open("/inbound/d", sftp::R).await.unwrap();
    copy(&mut session, &from, &to).await.unwrap_err();
    session.close(&to).await.unwrap_err();
    session.close(&from).await.unwrap();
    session.put(kept, b"the old version").await.unwrap();
    let to = session.open(kept, sftp::W | sftp::TRUNCATE).await.unwrap();
    copy(&mut session, &from, &to).await.unwrap_err();
    session.close(&to).await.unwrap_err();
    assert_eq!(session.get(kept).await.unwrap(), b"the old version");
}

async fn checksums_and_room(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let mut session = gateway.sftp("edi01").await;
    session.put("/inbound/a", b"abc").await.unwrap();
    let check = |name: &str| ext("check-file-name").string("/inbound/a").string(name).u64(0).u64(0).u32(0);
    let reply = |name: &str, hash: &str| {
        Body::default().string(name).0.into_iter().chain(hex::decode(hash).unwrap()).collect::<Vec<u8>>()
    };
    let known = extended(&mut session, check("sha256,md5")).await.unwrap();
    assert_eq!(known, reply("sha256", &sha256(b"abc")));
    let read = extended(&mut session, check("md5")).await.unwrap();
    assert_eq!(read, reply("md5", "900150983cd24fb0d6963f7d28e17f72"));
    let rest = gateway.rest("orders");
    events_come(&rest, "file.uploaded", "/inbound/a", 1).await;
    events_come(&rest, "file.downloaded", "/inbound/a", 0).await;

    // Whoever may not download learns no digest, and that is on record.
    let mut dropper = gateway.sftp("drop01").await;
    let body = ext("check-file-name").string("/a").string("sha256").u64(0).u64(0).u32(0);
    assert_eq!(extended(&mut dropper, body).await.unwrap_err().code, sftp::PERMISSION_DENIED);
    events_come(&rest, "policy.violated", "/inbound/a", 1).await;

    // What is so already may be set by whoever may set nothing; anything else not.
    let shown = dropper.stat("/a").await.unwrap();
    dropper.setstat("/a", &Attrs { size: None, ..shown }).await.unwrap();
    let other = Attrs { mode: Some(0o600), ..Attrs::default() };
    assert_eq!(dropper.setstat("/a", &other).await.unwrap_err().code, sftp::PERMISSION_DENIED);

    // A folder in which nothing can be made is told to be read-only.
    let flags = async |session: &mut Sftp, path: &str| {
        let body = extended(session, ext("statvfs@openssh.com").string(path)).await.unwrap();
        u64::from_be_bytes(body[72..80].try_into().unwrap())
    };
    assert_eq!(flags(&mut session, "/inbound").await, 2);
    assert_eq!(flags(&mut session, "/").await, 3);
    let unknown = session.call(sftp::EXTENDED, ext("nothing@example.com")).await.unwrap_err();
    assert_eq!(unknown.code, sftp::UNSUPPORTED);
}

async fn truth_at_the_end(ledger: Ledger) {
    let gateway = Plan::new(ledger).limits("max_file_size = \"1 MiB\"").start().await;
    let rest = gateway.rest("orders");
    let flags = sftp::W | sftp::CREATE | sftp::TRUNCATE;
    // The session ends without a close.
    let mut session = gateway.sftp("edi01").await;
    let left = session.open("/inbound/left", flags).await.unwrap();
    session.write(&left, 0, b"half").await.unwrap();
    // And with a write that nobody waits for.
    let late = session.open("/inbound/late", flags).await.unwrap();
    session.send(sftp::WRITE, Body::default().string(&late).u64(0).string(b"half")).await.unwrap();
    drop(session);
    // A write fails; the next one and the close say so.
    let mut session = gateway.sftp("edi01").await;
    let large = session.open("/inbound/large", flags).await.unwrap();
    session.write(&large, 0, b"begin").await.unwrap();
    assert!(session.write(&large, 1 << 20, b"x").await.unwrap_err().message.contains("limit"));
    assert_eq!(session.write(&large, 5, b"x").await.unwrap_err().code, sftp::FAILURE);
    assert_eq!(session.close(&large).await.unwrap_err().code, sftp::FAILURE);
    // The folder goes away under an upload: the close fails.
    session.mkdir("/inbound/sub").await.unwrap();
    let lost = session.open("/inbound/sub/lost", flags).await.unwrap();
    session.write(&lost, 0, b"x").await.unwrap();
    let mut other = gateway.sftp("mill01").await;
    other.rmdir("/sub").await.unwrap();
    assert_eq!(session.close(&lost).await.unwrap_err().code, sftp::NO_SUCH_FILE);
    for name in ["left", "late", "large"] {
        let path = format!("/inbound/{name}");
        events_come(&rest, "upload.incomplete", &path, 1).await;
        events_come(&rest, "transfer.failed", &path, 1).await;
        events_come(&rest, "file.uploaded", &path, 0).await;
        assert!(rest.entry("/inbound", name).await.is_none(), "{name}");
    }
}
