//! One incomplete upload for all protocols: cut over one, finished over another; killed and gone on with; taken over while a
//! chunk comes. The hash is right, and one event tells of it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::harness::ftps::{code, cut};
use crate::harness::proxy::Proxy;
use crate::harness::sftp::{CREATE, TRUNCATE, W};
use crate::harness::{Ftps, Gateway, Ledger, Plan, Random, Rest, Sftp, eventually, on_both_ledgers, sha256};
use crate::resumable::{append, create};
use crate::spine::{audit_of, events_come, events_of};
use crate::uploads::{begin, breaking_off, chunk, complete, go_on, status};

on_both_ledgers!(
    every_protocol_finishes_what_another_began,
    killed_at_any_moment_it_goes_on,
    a_chunk_that_comes_too_late_is_refused,
    an_idle_session_loses_its_upload,
    a_renamed_upload_goes_on_under_its_new_name,
    a_change_in_place_is_completed_within_its_quota,
    one_begun_later_outlives_a_session_that_breaks,
    a_session_writes_no_more_than_was_announced,
);

const CHUNK: usize = 50_000;
const PROTOCOLS: [&str; 6] = ["sftp", "ftps", "chunks", "content", "tus", "draft"];

/// The one incomplete upload of a path, once nobody holds it.
pub async fn left(rest: &Rest, path: &str) -> serde_json::Value {
    eventually("the upload is left to be resumed", Duration::from_secs(20), || async {
        let all = rest.get("/uploads").await.ok();
        let mut here = all["uploads"].as_array().unwrap().iter().filter(|upload| upload["path"] == path);
        let found = here.next().filter(|upload| upload["state"] == "detached").cloned();
        assert!(here.next().is_none(), "one upload of a name: {all}");
        found
    })
    .await
}

/// Begins an upload over a protocol, and has it break off.
pub async fn break_off(gateway: &Gateway, over: &str, path: &str, content: &Bytes, at: usize) {
    let rest = gateway.rest("edi");
    match over {
        "sftp" => {
            let proxy = Proxy::to(gateway.sftp).await;
            let mut writer = Sftp::connect(proxy.address, "edi01").await.unwrap();
            let handle = writer.open(path, W | CREATE | TRUNCATE).await.unwrap();
            writer.write_all(&handle, 0, &content[..at]).await.unwrap();
            proxy.cut();
        }
        "ftps" => {
            let mut client = Ftps::login(gateway, "edi01").await;
            let (_, data) = client.open(&format!("STOR {path}")).await;
            let mut data = data.unwrap();
            data.write_all(&content[..at]).await.unwrap();
            data.flush().await.unwrap();
            cut(data).await;
            assert_eq!(code(&client.reply().await), 426);
        }
        "chunks" => {
            let id = begin(&rest, &json!({"path": path, "size": content.len(), "chunk_size": CHUNK})).await;
            let pieces: Vec<&[u8]> = content.chunks(CHUNK).collect();
            // Without a gap up to the cut, and one more behind it.
            for n in (0..at / CHUNK).rev().chain([pieces.len() - 1]) {
                assert_eq!(chunk(&rest, &id, n, pieces[n]).await.status, 204);
            }
        }
        "tus" => {
            let created = rest.request(Method::POST, "/tus").header("tus-resumable", "1.0.0");
            let created = created.header("upload-length", content.len().to_string());
            let created = rest.send(created.header("upload-metadata", format!("path {}", STANDARD.encode(path)))).await;
            assert_eq!(created.status, 201, "{created:?}");
            let id = created.header("location").rsplit('/').next().unwrap().to_owned();
            let sent = rest.try_send(tus_patch(&rest, &id, 0).body(breaking_off(content.slice(..at)))).await;
            assert!(sent.is_err() || sent.unwrap().status >= 400);
            something_is_kept(&rest, &id).await;
        }
        "draft" => {
            let request = create(&rest, path, "?1", breaking_off(content.slice(..at)));
            let sent = rest.try_send(request.header("upload-length", content.len().to_string())).await;
            assert!(sent.is_err() || sent.unwrap().status >= 400);
            let id = left(&rest, path).await["session_id"].as_str().unwrap().to_owned();
            something_is_kept(&rest, &id).await;
        }
        _ => {
            let id = begin(&rest, &json!({"path": path, "size": content.len(), "sha256": sha256(content)})).await;
            let request = rest
                .request(Method::PUT, &format!("/uploads/{id}/content"))
                .header("content-range", format!("bytes 0-{}/*", content.len() - 1));
            let sent = rest.try_send(request.body(breaking_off(content.slice(..at)))).await;
            assert!(sent.is_err() || sent.unwrap().status >= 400);
            something_is_kept(&rest, &id).await;
        }
    }
}

/// What came of a request that broke off is kept a moment later.
async fn something_is_kept(rest: &Rest, id: &str) {
    eventually("what came is kept", Duration::from_secs(20), || async {
        (status(rest, id).await["offset"] != 0).then_some(())
    })
    .await;
}

fn tus_patch(rest: &Rest, id: &str, offset: usize) -> reqwest::RequestBuilder {
    rest.request(Method::PATCH, &format!("/tus/{id}"))
        .header("tus-resumable", "1.0.0")
        .header("content-type", "application/offset+octet-stream")
        .header("upload-offset", offset.to_string())
}

/// Finishes it over another.
async fn finish(gateway: &Gateway, over: &str, path: &str, content: &[u8]) {
    let rest = gateway.rest("edi");
    let upload = left(&rest, path).await;
    let (id, offset) = (upload["session_id"].as_str().unwrap(), upload["offset"].as_u64().unwrap() as usize);
    match over {
        "sftp" => {
            let mut session = gateway.sftp("edi02").await;
            assert_eq!(session.stat(path).await.unwrap().size, Some(offset as u64), "what REST says, SFTP says");
            let handle = session.open(path, W).await.unwrap();
            session.write_all(&handle, offset as u64, &content[offset..]).await.unwrap();
            session.close(&handle).await.unwrap();
        }
        "ftps" => {
            let mut client = Ftps::login(gateway, "edi02").await;
            assert_eq!(client.say(&format!("SIZE {path}")).await, format!("213 {offset}"));
            assert_eq!(client.code(&format!("REST {offset}")).await, 350);
            assert_eq!(code(&client.put(&format!("STOR {path}"), &content[offset..]).await), 226);
        }
        "chunks" if upload["chunks"].is_u64() => {
            let size = upload["chunk_size"].as_u64().unwrap() as usize;
            let answer = complete(&rest, id).await;
            answer.problem(409, "chunks_missing");
            let pieces: Vec<&[u8]> = content.chunks(size).collect();
            for run in answer.json()["missing"].as_array().unwrap() {
                for n in run[0].as_u64().unwrap()..=run[1].as_u64().unwrap() {
                    assert_eq!(chunk(&rest, id, n as usize, pieces[n as usize]).await.status, 204);
                }
            }
            assert_eq!(complete(&rest, id).await.ok()["hash"], sha256(content));
        }
        "tus" => {
            let answer = rest.send(tus_patch(&rest, id, offset).body(content[offset..].to_vec())).await;
            assert_eq!(
                (answer.status, answer.header("upload-offset")),
                (204, &*content.len().to_string()),
                "{answer:?}"
            );
            // Of what was begun without its size tus cannot know that this is the end.
            if answer.header("x-file-id").is_empty() {
                assert!(upload["size"].is_null(), "{answer:?}");
                assert_eq!(complete(&rest, id).await.ok()["hash"], sha256(content));
            }
        }
        "draft" => {
            let resource = format!("/uploads/{id}/content");
            assert_eq!(crate::resumable::offset(&rest, &resource).await.0, offset);
            let middle = (offset + content.len()).div_ceil(2);
            let some = append(&rest, &resource, offset, "?0", content[offset..middle].to_vec());
            assert_eq!(rest.send(some).await.status, 204);
            let last = append(&rest, &resource, middle, "?1", content[middle..].to_vec());
            assert_eq!(rest.send(last).await.ok()["hash"], sha256(content));
        }
        _ => {
            if !upload["chunks"].is_u64() {
                chunk(&rest, id, 0, b"x").await.problem(400, "invalid_argument");
            }
            let middle = (offset + content.len()).div_ceil(2);
            assert_eq!(go_on(&rest, id, offset, &content[offset..middle]).await.status, 204);
            // Twice, and over the border: what is there is not taken again.
            assert_eq!(
                go_on(&rest, id, offset, &content[offset..]).await.header("upload-offset"),
                content.len().to_string()
            );
            assert_eq!(complete(&rest, id).await.ok()["hash"], sha256(content));
        }
    }
}

async fn every_protocol_finishes_what_another_began(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let (rest, events) = (gateway.rest("edi"), gateway.rest("orders"));
    let mut random = Random::seeded("every protocol");
    for from in PROTOCOLS {
        for to in PROTOCOLS {
            let path = format!("/inbound/{from}-{to}.bin");
            let size = 400_000 + random.below(200_000) as usize;
            let content = random.bytes(size);
            // A chunk at the least: over FTPS, going on at 0 is beginning anew. And a chunk less than all: the chunks up
            // to the cut and the last one are not to be the whole, for which there is nothing left to finish.
            let at = CHUNK + random.below((content.len() - 2 * CHUNK) as u64) as usize;
            break_off(&gateway, from, &path, &content, at).await;
            let upload = left(&rest, &path).await;
            let over_rest = !from.ends_with("ftp") && !from.ends_with("ftps");
            let began = if over_rest { "api" } else { from };
            assert_eq!(upload["protocol"], began, "{upload}");
            assert!(rest.entry("/inbound", &format!("{from}-{to}.bin")).await.is_none(), "half a file is never seen");
            finish(&gateway, to, &path, &content).await;
            assert_eq!(rest.read(&path).await.body, content, "{from} to {to}, cut at {at}");
            let told = &events_come(&events, "file.uploaded", &path, 1).await[0];
            assert_eq!(told["data"]["hash"], sha256(&content).as_str(), "{told}");
            assert_eq!(told["transfer_id"], upload["session_id"], "{told}");
            // A connection that breaks is told of; requests that come one after the other are no such thing.
            let incomplete = events_of(&events, "upload.incomplete", &path).await.len();
            assert_eq!(incomplete, usize::from(!over_rest), "{from} to {to}");
            let done = audit_of(&events, "upload", &path).await;
            assert_eq!(done.iter().filter(|entry| entry["outcome"] == "ok").count(), 1, "{done:?}");
        }
    }
    assert_eq!(rest.get("/uploads").await.ok()["uploads"], json!([]));
}

async fn killed_at_any_moment_it_goes_on(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    let content = Random::seeded("killed chunks").bytes(60 * CHUNK + 1);
    let pieces: Vec<Bytes> = content.chunks(CHUNK).map(Bytes::copy_from_slice).collect();
    let plan = json!({"path": "/inbound/k", "size": content.len(), "chunk_size": CHUNK, "sha256": sha256(&content)});
    let id = begin(&gateway.rest("orders"), &plan).await;
    let mut random = Random::seeded("when to kill");
    let mut acknowledged = std::collections::BTreeSet::new();
    for round in 0..4 {
        let rest = gateway.rest("orders");
        let missing: Vec<usize> = (0..pieces.len()).rev().filter(|n| !acknowledged.contains(n)).collect();
        let kill_after = 3 + random.below(10) as usize;
        // Eight at a time; the process dies when some have been acknowledged, whatever the others are at.
        let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
        let senders: Vec<_> = (0..8)
            .map(|lane| {
                let (rest, id, told) = (rest.clone(), id.clone(), told.clone());
                let mine: Vec<(usize, Bytes)> =
                    missing.iter().skip(lane).step_by(8).map(|n| (*n, pieces[*n].clone())).collect();
                tokio::spawn(async move {
                    for (n, piece) in mine {
                        let request = rest.request(Method::PUT, &format!("/uploads/{id}/chunks/{n}")).body(piece);
                        match rest.try_send(request).await {
                            Ok(answer) if answer.status == 204 => drop(told.send(n)),
                            Ok(answer) => panic!("{answer:?}"),
                            Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        drop(told);
        for _ in 0..kill_after {
            if let Some(n) = tells.recv().await {
                acknowledged.insert(n);
            }
        }
        gateway.kill().await;
        for sender in senders {
            sender.await.unwrap();
        }
        while let Some(n) = tells.recv().await {
            acknowledged.insert(n);
        }
        gateway.start().await;
        let seen = status(&gateway.rest("orders"), &id).await;
        let received: Vec<usize> = seen["received"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|run| run[0].as_u64().unwrap() as usize..=run[1].as_u64().unwrap() as usize)
            .collect();
        for n in &acknowledged {
            assert!(received.contains(n), "round {round}: chunk {n} was acknowledged: {seen}");
        }
    }
    let rest = gateway.rest("orders");
    let answer = complete(&rest, &id).await;
    answer.problem(409, "chunks_missing");
    for (n, piece) in pieces.iter().enumerate() {
        if !acknowledged.contains(&n) {
            assert_eq!(chunk(&rest, &id, n, piece).await.status, 204);
        }
    }
    // Killed while it is completed: it is a file, or can be completed again.
    let asked = tokio::spawn({
        let (rest, id) = (rest.clone(), id.clone());
        async move { rest.try_send(rest.request(Method::POST, &format!("/uploads/{id}/complete"))).await.is_ok() }
    });
    tokio::time::sleep(Duration::from_millis(random.below(6))).await;
    gateway.kill().await;
    drop(asked.await);
    gateway.start().await;
    let rest = gateway.rest("orders");
    assert_eq!(complete(&rest, &id).await.ok()["hash"], sha256(&content));
    assert_eq!(rest.read("/inbound/k").await.body, content);
    events_come(&rest, "file.uploaded", "/inbound/k", 1).await;
}

/// Somebody of the same identity takes the upload over while a chunk is on its way: the chunk comes too late.
async fn a_chunk_that_comes_too_late_is_refused(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("edi");
    let content = Random::seeded("late chunk").bytes(3 * CHUNK);
    let path = "/inbound/late.bin";
    let id = begin(&rest, &json!({"path": path, "size": content.len(), "chunk_size": CHUNK})).await;
    chunk(&rest, &id, 0, &content[..CHUNK]).await.ok();
    let (first, body) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(4);
    let stream = futures::stream::unfold(body, |mut body| async move { body.recv().await.map(|piece| (piece, body)) });
    let sending = tokio::spawn({
        let rest = rest.clone();
        let request = rest.request(Method::PUT, &format!("/uploads/{id}/chunks/1"));
        let request = request.body(reqwest::Body::wrap_stream(stream));
        async move { rest.send(request).await }
    });
    first.send(Ok(content.slice(CHUNK..CHUNK + 100))).await.unwrap();
    // It is under way once its lane is there; a whole chunk beside it shows that the upload still takes some.
    eventually("the chunk is under way", Duration::from_secs(10), || async {
        (gateway.blob_files().len() > 1 || chunk(&rest, &id, 2, &content[2 * CHUNK..]).await.status == 204)
            .then_some(())
    })
    .await;
    let mut session = gateway.sftp("edi01").await;
    let handle = session.open(path, W).await.unwrap();
    chunk(&rest, &id, 1, &content[CHUNK..2 * CHUNK]).await.problem(409, "conflict");
    complete(&rest, &id).await.problem(409, "conflict");
    rest.delete(&format!("/uploads/{id}")).await.problem(409, "conflict");
    assert_eq!(status(&rest, &id).await["state"], "open");
    // Where the answer is there already, nobody takes the rest.
    let _ = first.send(Ok(content.slice(CHUNK + 100..2 * CHUNK))).await;
    drop(first);
    sending.await.unwrap().problem(409, "conflict");
    // What was announced binds whoever finishes it: less than all is not published.
    session.write_all(&handle, CHUNK as u64, &content[CHUNK..CHUNK + 10]).await.unwrap();
    assert!(session.close(&handle).await.is_err());
    rest.read(path).await.problem(404, "not_found");
    let handle = session.open(path, W).await.unwrap();
    session.write_all(&handle, CHUNK as u64, &content[CHUNK..]).await.unwrap();
    session.close(&handle).await.unwrap();
    assert_eq!(rest.read(path).await.body, content);
    events_come(&gateway.rest("orders"), "file.uploaded", path, 1).await;
}

/// A session that hangs loses its upload to REST, and can write no more.
async fn an_idle_session_loses_its_upload(ledger: Ledger) {
    let gateway = Plan::new(ledger).uploads("idle_detach = \"1s\"").start().await;
    let rest = gateway.rest("edi");
    let content = Random::seeded("idle").bytes(200_000);
    let path = "/inbound/idle.bin";
    let mut hanging = gateway.sftp("edi01").await;
    let handle = hanging.open(path, W | CREATE | TRUNCATE).await.unwrap();
    hanging.write_all(&handle, 0, &content[..120_000]).await.unwrap();
    // Behind a gap: whoever goes on sends it again.
    hanging.write_all(&handle, 150_000, b"behind a gap").await.unwrap();
    let upload = left(&rest, path).await;
    assert_eq!((&upload["offset"], &upload["size"]), (&json!(120_000), &serde_json::Value::Null), "{upload}");
    let id = upload["session_id"].as_str().unwrap();
    assert_eq!(go_on(&rest, id, 120_000, &content[120_000..160_000]).await.header("upload-offset"), "160000");
    let wrote = hanging.write(&handle, 0, b"ghost").await;
    let closed = hanging.close(&handle).await;
    assert!(closed.is_err(), "the old holder cannot commit: {wrote:?}");
    assert_eq!(go_on(&rest, id, 160_000, &content[160_000..]).await.status, 204);
    assert_eq!(complete(&rest, id).await.ok()["hash"], sha256(&content));
    events_come(&gateway.rest("orders"), "file.uploaded", path, 1).await;
}

async fn a_renamed_upload_goes_on_under_its_new_name(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("edi");
    let content = Random::seeded("renamed").bytes(2 * CHUNK);
    let plan = json!({"path": "/inbound/before.bin", "size": content.len(), "chunk_size": CHUNK});
    let id = begin(&rest, &plan).await;
    chunk(&rest, &id, 1, &content[CHUNK..]).await.ok();
    gateway.sftp("edi01").await.rename("/inbound/before.bin", "/inbound/after.bin").await.unwrap();
    let seen = status(&rest, &id).await;
    assert_eq!((&seen["path"], &seen["received"]), (&json!("/inbound/after.bin"), &json!([[1, 1]])), "{seen}");
    chunk(&rest, &id, 0, &content[..CHUNK]).await.ok();
    assert_eq!(complete(&rest, &id).await.ok()["path"], "/inbound/after.bin");
    assert_eq!(rest.read("/inbound/after.bin").await.body, content);
    rest.read("/inbound/before.bin").await.problem(404, "not_found");
    // Removed over SFTP, it is gone for REST, and told to be incomplete: nobody had been told before.
    let id = begin(&rest, &json!({"path": "/inbound/removed.bin", "size": 3})).await;
    gateway.sftp("edi01").await.remove("/inbound/removed.bin").await.unwrap();
    rest.get(&format!("/uploads/{id}")).await.problem(404, "not_found");
    events_come(&gateway.rest("orders"), "upload.incomplete", "/inbound/removed.bin", 1).await;
}

/// What the version that is changed takes of the quota is not asked for again, whoever ends the change.
async fn a_change_in_place_is_completed_within_its_quota(ledger: Ledger) {
    let gateway = Plan::new(ledger).edi_quota("1 MiB").start().await;
    let (rest, path) = (gateway.rest("edi"), "/inbound/changed.bin");
    let mut content = Random::seeded("changed").bytes(800_000).to_vec();
    rest.put(path, &content).await.ok();
    let proxy = Proxy::to(gateway.sftp).await;
    let mut writer = Sftp::connect(proxy.address, "edi01").await.unwrap();
    let handle = writer.open(path, W).await.unwrap();
    writer.write_all(&handle, 5, b"changed").await.unwrap();
    proxy.cut();
    let upload = left(&rest, path).await;
    content[5..12].copy_from_slice(b"changed");
    let done = complete(&rest, upload["session_id"].as_str().unwrap()).await;
    assert_eq!(done.ok()["hash"], sha256(&content));
}

/// A session breaks whose upload somebody of its identity has begun anew: that one goes on.
async fn one_begun_later_outlives_a_session_that_breaks(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let (rest, events, path) = (gateway.rest("edi"), gateway.rest("orders"), "/inbound/anew.bin");
    let proxy = Proxy::to(gateway.sftp).await;
    let mut writer = Sftp::connect(proxy.address, "edi01").await.unwrap();
    let handle = writer.open(path, W | CREATE | TRUNCATE).await.unwrap();
    writer.write_all(&handle, 0, b"what came first").await.unwrap();
    let id = begin(&rest, &json!({"path": path, "size": 6, "chunk_size": 3})).await;
    chunk(&rest, &id, 0, b"abc").await.ok();
    proxy.cut();
    events_come(&events, "upload.incomplete", path, 1).await;
    assert_eq!(chunk(&rest, &id, 1, b"def").await.status, 204);
    assert_eq!(complete(&rest, &id).await.ok()["hash"], sha256(b"abcdef"));
}

async fn a_session_writes_no_more_than_was_announced(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let (rest, path) = (gateway.rest("edi"), "/inbound/bounded.bin");
    let id = begin(&rest, &json!({"path": path, "size": 6, "chunk_size": 3})).await;
    chunk(&rest, &id, 0, b"abc").await.ok();
    let proxy = Proxy::to(gateway.sftp).await;
    let mut writer = Sftp::connect(proxy.address, "edi01").await.unwrap();
    let handle = writer.open(path, W).await.unwrap();
    assert!(writer.write(&handle, 3, b"defgh").await.is_err());
    proxy.cut();
    let upload = left(&rest, path).await;
    assert_eq!((&upload["session_id"], &upload["offset"]), (&json!(id), &json!(3)), "{upload}");
    chunk(&rest, &id, 1, b"def").await.ok();
    assert_eq!(complete(&rest, &id).await.ok()["hash"], sha256(b"abcdef"));
}
