//! Every operation of SFTP, by OpenSSH's `sftp` (and paramiko, where it is installed) and by hand.

use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::harness::openssh::OpenSsh;
use crate::harness::plan::Secrets;
use crate::harness::sftp::{self, Attrs, Body, Reply};
use crate::harness::{Ledger, Plan, Random, Sftp, has_tool, on_both_ledgers, skip};

on_both_ledgers!(openssh_does_all_it_can, by_hand, temporary_names);

async fn openssh_does_all_it_can(ledger: Ledger) {
    if !has_tool("sftp") {
        return;
    }
    let gateway = Plan::new(ledger).start().await;
    let client = OpenSsh::new(&gateway, "edi01");
    let content = Random::seeded("openssh").bytes(400_000);
    let local = client.local("a.bin", &content);
    let then = SystemTime::UNIX_EPOCH + Duration::from_mins(25_000_000);
    File::options().write(true).open(&local).unwrap().set_modified(then).unwrap();

    let ran = client
        .batch(
            "mkdir /inbound/in\ncd /inbound/in\npwd\nput -p a.bin\nls -l\nrename a.bin b.bin\nget -p b.bin c.bin\n\
             ls /inbound/in\nput a.bin d.bin\nrm d.bin\nmkdir sub\nrmdir sub\n-rmdir /inbound\nls -1 /\n",
        )
        .await;
    assert!(ran.success, "{ran:?}");
    assert!(ran.output.contains("Remote working directory: /inbound/in"), "{ran:?}");
    assert_eq!(fs::read(client.folder().join("c.bin")).unwrap(), content);
    assert_eq!(fs::metadata(client.folder().join("c.bin")).unwrap().modified().unwrap(), then, "put -p and get -p");
    let rest = gateway.rest("orders");
    let names: Vec<String> =
        rest.list("/inbound/in").await.iter().map(|e| e["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["b.bin"]);
    let file = rest.entry("/inbound/in", "b.bin").await.unwrap();
    assert!(file["modified_at"].as_str().unwrap().starts_with("2017-07-14T02:40:00"), "{file}");

    // What must not work says so, and the session goes on.
    for (command, message) in [
        ("get /inbound/nothing", "not found"),
        ("rm /inbound/nothing", "No such file"),
        ("rmdir /inbound/in", "Failure"),
        ("put a.bin /no.bin", "ermission denied"),
        ("mkdir /inbound/in", "Failure"),
        ("put a.bin /inbound/nowhere/x", "No such file"),
        ("ln -s b.bin /inbound/in/link", "peration unsupported"),
    ] {
        let ran = client.batch(&format!("-{command}\nls /inbound/in\n")).await;
        assert!(ran.success, "{command}: the session goes on: {ran:?}");
        assert!(ran.output.contains(message), "{command}: {ran:?}");
        let alone = client.batch(&format!("{command}\n")).await;
        assert!(!alone.success, "{command} must fail: {alone:?}");
    }

    // Folders as a whole.
    fs::create_dir_all(client.folder().join("tree/x/y")).unwrap();
    for (name, text) in [("tree/1", "one"), ("tree/x/2", "two"), ("tree/x/y/3", "three")] {
        client.local(name, text.as_bytes());
    }
    let ran =
        client.batch("put -r tree /inbound/\nrename /inbound/tree /inbound/moved\nget -r /inbound/moved back\n").await;
    assert!(ran.success, "{ran:?}");
    assert_eq!(fs::read(client.folder().join("back/x/y/3")).unwrap(), b"three");

    // `reput` and `reget` go on where a transfer broke off.
    fs::write(client.folder().join("part.bin"), &content[..123_456]).unwrap();
    let ran = client.batch("reget /inbound/in/b.bin part.bin\n").await;
    assert!(ran.success, "{ran:?}");
    assert_eq!(fs::read(client.folder().join("part.bin")).unwrap(), content);
    assert!(client.batch("put part.bin /inbound/in/again.bin\n").await.success);
    let longer = [&content[..], b"and more"].concat();
    client.local("a.bin", &longer);
    let ran = client.batch("reput a.bin /inbound/in/again.bin\n").await;
    assert!(ran.success, "{ran:?}");
    assert_eq!(rest.read("/inbound/in/again.bin").await.body, longer, "reput changes the visible version in place");

    // By password too; a wrong one is refused.
    let ran = client.with_password(crate::harness::plan::PASSWORD, "ls /inbound/in\n").await;
    assert!(ran.success && ran.output.contains("b.bin"), "{ran:?}");
    let ran = client.with_password("wrong", "ls\n").await;
    assert!(!ran.success && ran.output.contains("Permission denied"), "{ran:?}");
}

async fn by_hand(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let mut session = gateway.sftp("edi01").await;
    let rest = gateway.rest("orders");

    assert_eq!(session.realpath(".").await.unwrap(), "/");
    assert_eq!(session.realpath("/inbound/../../x/./y").await.unwrap(), "/x/y");
    assert_eq!(session.names("/").await.unwrap(), ["inbound"]);
    assert!(session.stat("/inbound").await.unwrap().is_folder());

    // Out-of-order and sparse writes, all in one pass over the wire; the file is visible at close alone.
    let handle = session.open("/inbound/sparse", sftp::W | sftp::CREATE).await.unwrap();
    session.write(&handle, 100, b"end").await.unwrap();
    session.write(&handle, 0, b"begin").await.unwrap();
    session.write(&handle, 2, b"GG").await.unwrap();
    assert_eq!(session.fstat(&handle).await.unwrap().size, Some(103));
    assert!(rest.entry("/inbound", "sparse").await.is_none(), "not before its close");
    session.close(&handle).await.unwrap();
    let mut expected = b"beGGn".to_vec();
    expected.resize(100, 0);
    expected.extend_from_slice(b"end");
    assert_eq!(session.get("/inbound/sparse").await.unwrap(), expected);

    // Change in place: base and overlay. Nothing written, nothing changed.
    let handle = session.open("/inbound/sparse", sftp::R | sftp::W).await.unwrap();
    session.write(&handle, 50, b"middle").await.unwrap();
    assert_eq!(session.read(&handle, 0, 5).await.unwrap().unwrap(), b"beGGn");
    assert_eq!(session.read(&handle, 50, 6).await.unwrap().unwrap(), b"middle");
    assert_eq!(rest.read("/inbound/sparse").await.body, expected, "the old version until then");
    session.close(&handle).await.unwrap();
    expected[50..56].copy_from_slice(b"middle");
    assert_eq!(rest.read("/inbound/sparse").await.body, expected);
    let before = rest.entry("/inbound", "sparse").await.unwrap();
    let handle = session.open("/inbound/sparse", sftp::W).await.unwrap();
    session.close(&handle).await.unwrap();
    assert_eq!(rest.entry("/inbound", "sparse").await.unwrap()["etag"], before["etag"], "no new version");

    // Append, whatever the offset says. Cut and extend by FSETSTAT and SETSTAT.
    let handle = session.open("/inbound/sparse", sftp::W | sftp::APPEND).await.unwrap();
    session.write(&handle, 0, b"!").await.unwrap();
    session.close(&handle).await.unwrap();
    expected.push(b'!');
    assert_eq!(rest.read("/inbound/sparse").await.body, expected);
    let handle = session.open("/inbound/sparse", sftp::W).await.unwrap();
    session.fsetstat(&handle, &Attrs { size: Some(4), ..Attrs::default() }).await.unwrap();
    session.close(&handle).await.unwrap();
    assert_eq!(rest.read("/inbound/sparse").await.body, &b"beGG"[..]);
    session.setstat("/inbound/sparse", &Attrs { size: Some(6), ..Attrs::default() }).await.unwrap();
    assert_eq!(rest.read("/inbound/sparse").await.body, &b"beGG\0\0"[..]);

    // Times and modes.
    let attrs = Attrs { mode: Some(0o640), times: Some((1_000_000_000, 1_100_000_000)), ..Attrs::default() };
    session.setstat("/inbound/sparse", &attrs).await.unwrap();
    let seen = session.lstat("/inbound/sparse").await.unwrap();
    assert_eq!(seen.times, Some((1_000_000_000, 1_100_000_000)));
    assert_eq!(seen.mode.unwrap() & 0o7777, 0o640);

    // CREATE|EXCLUSIVE reserves the name at open.
    let lock = session.open("/inbound/lock", sftp::W | sftp::CREATE | sftp::EXCLUSIVE).await.unwrap();
    let mut second = gateway.sftp("mill01").await;
    let refused = second.open("/lock", sftp::W | sftp::CREATE | sftp::EXCLUSIVE).await.unwrap_err();
    assert_eq!(refused.code, sftp::FAILURE, "{refused:?}");
    session.close(&lock).await.unwrap();
    let refused = second.open("/lock", sftp::W | sftp::CREATE | sftp::EXCLUSIVE).await.unwrap_err();
    assert_eq!(refused.code, sftp::FAILURE, "{refused:?}");

    // Rename of version 3 overwrites nothing.
    session.put("/inbound/other", b"other").await.unwrap();
    let refused = session.rename("/inbound/other", "/inbound/sparse").await.unwrap_err();
    assert_eq!(refused.code, sftp::FAILURE, "{refused:?}");
    session.rename("/inbound/other", "/inbound/third").await.unwrap();
    assert_eq!(session.get("/inbound/third").await.unwrap(), b"other");

    // What a mount point of the view is cannot be renamed or removed; what is not in the view is not there.
    for refused in [
        session.rename("/inbound", "/outbound").await.unwrap_err(),
        session.rmdir("/inbound").await.unwrap_err(),
        session.put("/top", b"x").await.unwrap_err(),
        session.mkdir("/top").await.unwrap_err(),
    ] {
        assert_eq!(refused.code, sftp::PERMISSION_DENIED, "{refused:?}");
    }
    assert_eq!(session.stat("/partners").await.unwrap_err().code, sftp::NO_SUCH_FILE);

    // Links do not exist.
    let link = Body::default().string("/inbound/third").string("/inbound/link");
    assert_eq!(session.call(sftp::SYMLINK, link).await.unwrap_err().code, sftp::UNSUPPORTED);
    let link = Body::default().string("/inbound/third");
    assert_eq!(session.call(sftp::READLINK, link).await.unwrap_err().code, sftp::UNSUPPORTED);

    // Requests in one burst are all answered, each under its own id.
    let mut sent = Vec::new();
    for _ in 0..200 {
        sent.push(session.send(sftp::STAT, Body::default().string("/inbound/third")).await.unwrap());
    }
    let mut answered = Vec::new();
    for _ in 0..200 {
        let (id, reply) = session.receive().await.unwrap();
        assert!(matches!(reply, Reply::Attrs(a) if a.size == Some(5)), "{reply:?}");
        answered.push(id);
    }
    answered.sort_unstable();
    assert_eq!(answered, sent);

    // A folder of many entries comes whole and sorted by bytes.
    session.mkdir("/inbound/many").await.unwrap();
    for n in 0..300 {
        session.mkdir(&format!("/inbound/many/{n:03}")).await.unwrap();
    }
    let names = session.names("/inbound/many").await.unwrap();
    assert_eq!(names, (0..300).map(|n| format!("{n:03}")).collect::<Vec<_>>());

    // The wrong password and an unknown login get the same refusal.
    let wrong = Sftp::by_password(gateway.sftp, "edi01", Some("no")).await.err();
    let unknown = Sftp::by_password(gateway.sftp, "nobody", Some("no")).await.err();
    assert_eq!(wrong.as_deref(), Some("edi01 was not let in"));
    assert_eq!(unknown.as_deref(), Some("nobody was not let in"));
    assert!(Sftp::by_password(gateway.sftp, "edi01@acme", None).await.is_ok());
    assert!(Sftp::connect(gateway.sftp, "edi01@other").await.is_err());
}

async fn temporary_names(ledger: Ledger) {
    use crate::spine::events_come;
    let gateway = Plan::new(ledger).start().await;
    let mut session = gateway.sftp("edi01").await;
    session.put("/inbound/a.csv.filepart", b"content").await.unwrap();
    session.rename("/inbound/a.csv.filepart", "/inbound/a.csv").await.unwrap();
    session.put("/inbound/b.csv", b"direct").await.unwrap();
    let rest = gateway.rest("orders");
    events_come(&rest, "file.uploaded", "/inbound/b.csv", 1).await;
    let arrived = &events_come(&rest, "file.uploaded", "/inbound/a.csv", 1).await[0];
    assert_eq!(arrived["data"]["previous_path"], "/inbound/a.csv.filepart", "{arrived}");
    assert_eq!(arrived["data"]["hash"], crate::harness::sha256(b"content"), "{arrived}");
    assert_eq!(arrived["data"]["size"], 7, "{arrived}");
    events_come(&rest, "file.uploaded", "/inbound/a.csv.filepart", 0).await;
    // From one final name to another one it is a rename, not an arrival.
    session.rename("/inbound/a.csv", "/inbound/c.csv").await.unwrap();
    let renamed = &events_come(&rest, "file.renamed", "/inbound/c.csv", 1).await[0];
    assert_eq!(renamed["data"]["previous_path"], "/inbound/a.csv", "{renamed}");
    events_come(&rest, "file.uploaded", "/inbound/c.csv", 0).await;
}

/// Who may replace a file and not read it does not read it through a handle of both either, and that is on record once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_reads_no_more_than_it_may() {
    use crate::spine::events_come;
    let gateway = Plan::new(Ledger::Sqlite).person("half01", &["list", "upload", "overwrite"]).start().await;
    let rest = gateway.rest("orders");
    rest.put("/inbound/there.txt", b"content").await.ok();
    let mut session = Sftp::connect(gateway.sftp, "half01").await.unwrap();
    let handle = session.open("/there.txt", sftp::R | sftp::W).await.unwrap();
    for _ in 0..3 {
        assert_eq!(session.read(&handle, 0, 7).await.unwrap_err().code, 3);
    }
    session.close(&handle).await.unwrap();
    let denied = rest.pages("/audit?identity=half01&outcome=denied&limit=200", "entries").await;
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!(denied[0]["operation"], "download", "{denied:?}");
    assert_eq!(denied[0]["path"], "/inbound/there.txt", "{denied:?}");
    events_come(&rest, "policy.violated", "/inbound/there.txt", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paramiko() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with paramiko; ./test makes one");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/paramiko_session.py");
    let key = Secrets::get().private_key();
    let port = gateway.sftp.port().to_string();
    let ran = tokio::task::spawn_blocking(move || {
        Command::new(python).arg(script).arg(port).arg("edi01").arg(key).output().unwrap()
    })
    .await
    .unwrap();
    let output = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{output}");
    let rest = gateway.rest("orders");
    assert_eq!(rest.read("/inbound/paramiko/renamed.bin").await.body.len(), 3_000_000);
}
