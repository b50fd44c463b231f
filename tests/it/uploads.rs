//! Uploads in chunks over REST: in any order, several at a time, again, cut, wrong; what of it is told, and to whom.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::harness::rest::Answer;
use crate::harness::{Ledger, Plan, Random, Rest, eventually, on_both_ledgers, sha256};
use crate::spine::{audit_of, events_come, events_of};

on_both_ledgers!(
    chunks_in_any_order_become_the_file,
    the_same_chunk_again_takes_its_place,
    a_broken_chunk_leaves_nothing,
    what_is_wrong_is_told_exactly,
    uploads_are_their_owners_own,
    given_up_replaced_and_expired,
    the_quota_is_reserved_at_once,
    an_identity_without_rights_begins_nothing,
    many_chunks_on_one_connection_come_to_their_end,
    completed_again_it_is_the_same_file,
    an_announced_digest_binds,
);

const CHUNK: usize = 100_000;

/// Begins an upload; its id.
pub async fn begin(rest: &Rest, plan: &Value) -> String {
    let answer = rest.post_json("/uploads", plan).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let begun = answer.json();
    let id = begun["session_id"].as_str().unwrap().to_owned();
    assert!(answer.header("location").ends_with(&format!("/api/v1/uploads/{id}")), "{answer:?}");
    assert!(begun["expires_at"].as_str().unwrap().ends_with('Z'), "{begun}");
    id
}

/// Sends a chunk.
pub async fn chunk(rest: &Rest, id: &str, number: usize, content: &[u8]) -> Answer {
    let path = format!("/uploads/{id}/chunks/{number}");
    rest.send(rest.request(Method::PUT, &path).body(content.to_vec())).await
}

/// Sends what follows an offset.
pub async fn go_on(rest: &Rest, id: &str, from: usize, content: &[u8]) -> Answer {
    let range = format!("bytes {from}-{}/*", from + content.len() - 1);
    let request = rest.request(Method::PUT, &format!("/uploads/{id}/content")).header("content-range", range);
    rest.send(request.body(content.to_vec())).await
}

pub async fn complete(rest: &Rest, id: &str) -> Answer {
    rest.send(rest.request(Method::POST, &format!("/uploads/{id}/complete"))).await
}

pub async fn status(rest: &Rest, id: &str) -> Value {
    rest.get(&format!("/uploads/{id}")).await.ok()
}

/// A body that comes little by little, and breaks off behind this.
pub fn breaking_off(content: Bytes) -> reqwest::Body {
    let pieces: Vec<Bytes> = content.chunks(64 << 10).map(|piece| content.slice_ref(piece)).collect();
    let end = Err(std::io::Error::other("the client goes away"));
    let stream = futures::stream::iter(pieces.into_iter().map(Ok).chain([end]));
    reqwest::Body::wrap_stream(stream.then(|piece| async {
        tokio::time::sleep(Duration::from_millis(15)).await;
        piece
    }))
}

fn content_digest(content: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(content)))
}

async fn chunks_in_any_order_become_the_file(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("chunks").bytes(20 * CHUNK + 7);
    let plan = json!({"destination": "/made/for/it", "filename": "a.csv", "size": content.len(), "chunk_size": CHUNK,
        "sha256": sha256(&content)});
    let id = begin(&rest, &plan).await;
    let pieces: Vec<Bytes> = content.chunks(CHUNK).map(Bytes::copy_from_slice).collect();
    let begun = status(&rest, &id).await;
    assert_eq!((&begun["chunks"], &begun["received"], &begun["percent"]), (&json!(21), &json!([]), &json!(0.0)));
    assert_eq!((&begun["path"], &begun["protocol"]), (&json!("/made/for/it/a.csv"), &json!("api")), "{begun}");

    // All but two, backwards and eight at a time.
    let mut left: Vec<usize> = (0..21).rev().filter(|n| ![4, 11].contains(n)).collect();
    while !left.is_empty() {
        let some: Vec<usize> = left.drain(..left.len().min(8)).collect();
        let sent = some.iter().map(|n| chunk(&rest, &id, *n, &pieces[*n]));
        for answer in futures::future::join_all(sent).await {
            assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
        }
    }
    let seen = status(&rest, &id).await;
    assert_eq!(seen["received"], json!([[0, 3], [5, 10], [12, 20]]), "{seen}");
    assert_eq!(seen["bytes"], content.len() - 2 * CHUNK);
    assert_eq!(seen["offset"], 4 * CHUNK);
    let answer = complete(&rest, &id).await;
    answer.problem(409, "chunks_missing");
    assert_eq!(answer.json()["missing"], json!([[4, 4], [11, 11]]), "{answer:?}");
    assert!(answer.json()["detail"].as_str().unwrap().contains("4, 11"), "{answer:?}");
    rest.read("/made/for/it/a.csv").await.problem(404, "not_found");

    for n in [11, 4] {
        assert_eq!(chunk(&rest, &id, n, &pieces[n]).await.status, 204);
    }
    let answer = complete(&rest, &id).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let file = answer.json();
    assert_eq!((&file["hash"], &file["size"]), (&json!(sha256(&content)), &json!(content.len())), "{file}");
    assert_eq!(file["created_by"], json!({"identity": "orders-app", "login": "orders", "protocol": "api"}));
    assert_eq!(file["content_type"], "text/csv", "by its name");
    assert!(answer.header("location").ends_with(file["file_id"].as_str().unwrap()));
    assert_eq!(rest.read("/made/for/it/a.csv").await.body, content);
    // The answer may have been lost: asked again, it is the same.
    assert_eq!(complete(&rest, &id).await.ok()["file_id"], file["file_id"]);
    assert_eq!(status(&rest, &id).await["state"], "committed");
    chunk(&rest, &id, 0, &pieces[0]).await.problem(409, "conflict");

    let told = &events_come(&rest, "file.uploaded", "/made/for/it/a.csv", 1).await[0];
    assert_eq!(told["data"]["hash"], sha256(&content).as_str(), "{told}");
    assert_eq!(told["transfer_id"], id.as_str(), "{told}");
    let done = events_of(&rest, "transfer.completed", "/made/for/it/a.csv").await;
    assert_eq!(done.iter().filter(|event| event["transfer_id"] == id.as_str()).count(), 1, "{done:?}");
    assert!(events_of(&rest, "upload.incomplete", "/made/for/it/a.csv").await.is_empty());
    let audit = audit_of(&rest, "upload", "/made/for/it/a.csv").await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!((&audit[0]["outcome"], &audit[0]["protocol"]), (&json!("ok"), &json!("api")), "{audit:?}");
    assert!(rest.get("/uploads").await.ok()["uploads"].as_array().unwrap().is_empty());

    // Of nothing, there are no chunks.
    let id = begin(&rest, &json!({"path": "/empty", "size": 0})).await;
    assert_eq!(complete(&rest, &id).await.ok()["hash"], sha256(b""));
}

async fn the_same_chunk_again_takes_its_place(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("again").bytes(4 * CHUNK);
    let pieces: Vec<&[u8]> = content.chunks(CHUNK).collect();
    let plan = json!({"path": "/again", "size": content.len(), "chunk_size": CHUNK, "sha256": sha256(&content)});
    let id = begin(&rest, &plan).await;
    for n in [0, 1, 0, 2, 1, 1] {
        assert_eq!(chunk(&rest, &id, n, pieces[n]).await.status, 204);
    }
    let same = (0..8).map(|_| chunk(&rest, &id, 3, pieces[3]));
    for answer in futures::future::join_all(same).await {
        assert_eq!(answer.status, 204, "{answer:?}");
    }
    // One that is wrong is found out by the digest of the whole; it can be sent again, and the upload completed then.
    assert_eq!(chunk(&rest, &id, 2, pieces[0]).await.status, 204);
    complete(&rest, &id).await.problem(422, "digest_mismatch");
    rest.read("/again").await.problem(404, "not_found");
    assert_eq!(chunk(&rest, &id, 2, pieces[2]).await.status, 204);
    assert_eq!(complete(&rest, &id).await.ok()["hash"], sha256(&content));
    events_come(&rest, "file.uploaded", "/again", 1).await;

    // The digest may come with the request to complete it.
    let id = begin(&rest, &json!({"path": "/later", "size": 3})).await;
    assert_eq!(chunk(&rest, &id, 0, b"abc").await.status, 204);
    let path = format!("/uploads/{id}/complete");
    rest.post_json(&path, &json!({"sha256": sha256(b"abd")})).await.problem(422, "digest_mismatch");
    assert_eq!(rest.post_json(&path, &json!({"sha256": sha256(b"abc")})).await.ok()["hash"], sha256(b"abc"));
}

async fn a_broken_chunk_leaves_nothing(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("broken").bytes(2 * CHUNK);
    let id = begin(&rest, &json!({"path": "/broken", "size": content.len(), "chunk_size": CHUNK})).await;
    let path = format!("/uploads/{id}/chunks/1");
    for http1 in [false, true] {
        // Each on a line of its own: one on which a body was refused is closed, which a pool may learn too late.
        let fresh = || if http1 { gateway.rest_http1("orders") } else { gateway.rest("orders") };
        // Its connection breaks.
        let rest = fresh();
        let request = rest.request(Method::PUT, &path).body(breaking_off(content.slice(..70_000)));
        let sent = rest.try_send(request).await;
        assert!(sent.is_err() || sent.unwrap().status >= 400);
        // It is too short, too long, with and without a length.
        chunk(&fresh(), &id, 1, &content[..CHUNK - 1]).await.problem(400, "incomplete");
        chunk(&fresh(), &id, 1, &content[..=CHUNK]).await.problem(413, "body_too_large");
        for (len, expected, code) in [(CHUNK - 1, 400, "incomplete"), (CHUNK + 1, 413, "body_too_large")] {
            let stream = futures::stream::iter([Ok::<_, std::io::Error>(content.slice(..len))]);
            let rest = fresh();
            let request = rest.request(Method::PUT, &path).body(reqwest::Body::wrap_stream(stream));
            rest.send(request).await.problem(expected, code);
        }
        // It is not what was announced.
        let rest = fresh();
        let wrong = rest.request(Method::PUT, &path).header("content-digest", content_digest(b"other"));
        rest.send(wrong.body(content.slice(CHUNK..))).await.problem(422, "digest_mismatch");
        let rest = fresh();
        let unreadable = rest.request(Method::PUT, &path).header("content-digest", "sha-256=:AA==:");
        rest.send(unreadable.body(content.slice(CHUNK..))).await.problem(400, "invalid_argument");
        let rest = fresh();
        let coded = rest.request(Method::PUT, &path).header("content-encoding", "gzip");
        rest.send(coded.body(content.slice(CHUNK..))).await.problem(415, "unsupported_media_type");
        assert_eq!(status(&fresh(), &id).await["bytes"], 0);
    }
    let right = rest.request(Method::PUT, &path).header("content-digest", content_digest(&content[CHUNK..]));
    assert_eq!(rest.send(right.body(content.slice(CHUNK..))).await.status, 204);
    // Without a length, and whole.
    let stream = futures::stream::iter([Ok::<_, std::io::Error>(content.slice(..CHUNK))]);
    let http1 = gateway.rest_http1("orders");
    let request = http1.request(Method::PUT, &format!("/uploads/{id}/chunks/0"));
    assert_eq!(http1.send(request.body(reqwest::Body::wrap_stream(stream))).await.status, 204);
    assert_eq!(complete(&rest, &id).await.ok()["hash"], sha256(&content));
    events_come(&rest, "file.uploaded", "/broken", 1).await;
    assert!(events_of(&rest, "upload.incomplete", "/broken").await.is_empty(), "it went on all the time");
}

async fn what_is_wrong_is_told_exactly(ledger: Ledger) {
    let gateway = Plan::new(ledger).limits("max_file_size = \"10 MiB\"").start().await;
    let rest = gateway.rest("orders");
    rest.put("/there", b"old").await.ok();
    let plan = |path: &str, size: u64| json!({"path": path, "size": size});
    for (body, code, expected) in [
        (json!({}), 400, "invalid_argument"),
        (json!([]), 400, "invalid_argument"),
        (json!({"path": "/a", "size": "1"}), 400, "invalid_argument"),
        (json!({"path": "/a", "size": 1, "colour": "red"}), 400, "invalid_argument"),
        (json!({"path": "/a", "size": 20_000, "chunk_size": 1}), 400, "invalid_argument"),
        (json!({"destination": "/", "filename": "a/b", "size": 1}), 400, "invalid_name"),
        (plan("/a/../b", 1), 400, "invalid_name"),
        (plan("/", 1), 409, "is_folder"),
        (plan("/no/such/folder", 1), 404, "no_such_folder"),
        (plan("/there/below", 1), 409, "not_folder"),
        (plan("/there", 1), 409, "already_exists"),
        (plan("/large", 11 << 20), 413, "file_too_large"),
    ] {
        let answer = rest.post_json("/uploads", &body).await;
        answer.problem(code, expected);
    }
    rest.send(rest.request(Method::POST, "/uploads").body("{}")).await.problem(415, "unsupported_media_type");

    let id = begin(&rest, &json!({"path": "/there", "size": 3, "overwrite": true})).await;
    for number in ["x", "-1", "+0", "1", "18446744073709551616", "0x0"] {
        let request = rest.request(Method::PUT, &format!("/uploads/{id}/chunks/{number}"));
        rest.send(request.body("abc")).await.problem(400, "invalid_argument");
    }
    for range in ["", "bytes 0-2", "bytes 2-0/*", "bytes 0-2/2", "bytes 0-2/4", "bytes 0-3/*"] {
        let request = rest.request(Method::PUT, &format!("/uploads/{id}/content")).header("content-range", range);
        rest.send(request.body("abc")).await.problem(400, "invalid_argument");
    }
    let bare = rest.request(Method::PUT, &format!("/uploads/{id}/content"));
    rest.send(bare.body("abc")).await.problem(400, "invalid_argument");
    let answer = go_on(&rest, &id, 1, b"bc").await;
    answer.problem(409, "conflict");
    assert!(answer.json()["detail"].as_str().unwrap().contains("byte 0"), "{answer:?}");
    let short = rest.request(Method::PUT, &format!("/uploads/{id}/content")).header("content-range", "bytes 0-2/*");
    rest.send(short.body("ab")).await.problem(400, "incomplete");
    let json = rest.request(Method::POST, &format!("/uploads/{id}/complete")).body("{}");
    rest.send(json).await.problem(415, "unsupported_media_type");
    rest.post_json(&format!("/uploads/{id}/complete"), &json!({"sha256": 7})).await.problem(400, "invalid_argument");
    rest.send(rest.request(Method::PATCH, "/uploads")).await.problem(405, "method_not_allowed");
    assert_eq!(go_on(&rest, &id, 0, b"abc").await.header("upload-offset"), "3");
    assert_eq!(complete(&rest, &id).await.ok()["hash"], sha256(b"abc"));

    // Made by somebody else meanwhile: it stays, and so does the upload.
    gateway.rest("mill").with_key("").get("/uploads").await.problem(401, "unauthenticated");
    let mut mill = gateway.sftp("mill01").await;
    let id = begin(&rest, &plan("/inbound/raced", 3)).await;
    chunk(&rest, &id, 0, b"abc").await.ok();
    mill.put("/raced", b"theirs").await.unwrap();
    complete(&rest, &id).await.problem(409, "already_exists");
    assert_eq!(rest.read("/inbound/raced").await.body, "theirs");
    assert_eq!(status(&rest, &id).await["bytes"], 3);
}

async fn uploads_are_their_owners_own(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let id = begin(&rest, &json!({"path": "/inbound/own", "size": 6, "chunk_size": 3})).await;
    chunk(&rest, &id, 0, b"abc").await.ok();
    for key in ["edi", "mill", "other"] {
        let stranger = gateway.rest(key);
        assert_eq!(stranger.get("/uploads").await.ok()["uploads"], json!([]), "{key}");
        stranger.get(&format!("/uploads/{id}")).await.problem(404, "not_found");
        chunk(&stranger, &id, 1, b"def").await.problem(404, "not_found");
        go_on(&stranger, &id, 3, b"def").await.problem(404, "not_found");
        complete(&stranger, &id).await.problem(404, "not_found");
        stranger.delete(&format!("/uploads/{id}")).await.problem(404, "not_found");
    }
    for nothing in [Uuid::now_v7().to_string(), "nothing".to_owned()] {
        rest.get(&format!("/uploads/{nothing}")).await.problem(404, "not_found");
        chunk(&rest, &nothing, 0, b"x").await.problem(404, "not_found");
        go_on(&rest, &nothing, 0, b"x").await.problem(404, "not_found");
        complete(&rest, &nothing).await.problem(404, "not_found");
        rest.delete(&format!("/uploads/{nothing}")).await.problem(404, "not_found");
    }
    // Its owner sees it, over each protocol, and in no listing of REST's.
    let mine = rest.get("/uploads").await.ok();
    assert_eq!((&mine["uploads"][0]["session_id"], &mine["uploads"][0]["bytes"]), (&json!(id), &json!(3)), "{mine}");
    assert_eq!(gateway.sftp("app01").await.stat("/inbound/own").await.unwrap().size, Some(3));
    assert!(rest.entry("/inbound", "own").await.is_none());
    assert!(gateway.sftp("edi01").await.stat("/inbound/own").await.is_err());
    // Where its folder is gone it can only be given up.
    rest.delete("/folders?path=/inbound").await.ok();
    chunk(&rest, &id, 1, b"def").await.problem(404, "no_such_folder");
    complete(&rest, &id).await.problem(404, "no_such_folder");
    assert_eq!(status(&rest, &id).await["path"], Value::Null);
    assert_eq!(rest.delete(&format!("/uploads/{id}")).await.status, 204);
}

async fn given_up_replaced_and_expired(ledger: Ledger) {
    let gateway = Plan::new(ledger).uploads("incomplete_expiry = \"8s\"").start().await;
    let rest = gateway.rest("orders");
    let plan = |path: &str| json!({"path": path, "size": 3});
    // Given up.
    let id = begin(&rest, &plan("/gone")).await;
    chunk(&rest, &id, 0, b"abc").await.ok();
    assert_eq!(rest.delete(&format!("/uploads/{id}")).await.status, 204);
    rest.get(&format!("/uploads/{id}")).await.problem(404, "not_found");
    rest.delete(&format!("/uploads/{id}")).await.problem(404, "not_found");
    let told = &events_come(&rest, "transfer.cancelled", "/gone", 1).await[0];
    assert_eq!((&told["status"], &told["data"]["bytes"]), (&json!("cancelled"), &json!(3)), "{told}");
    events_come(&rest, "upload.incomplete", "/gone", 1).await;
    let audit = audit_of(&rest, "upload", "/gone").await;
    assert_eq!(audit.len(), 1, "{audit:?}");

    // Replaced by another one of its name.
    let first = begin(&rest, &plan("/twice")).await;
    let second = begin(&rest, &plan("/twice")).await;
    chunk(&rest, &first, 0, b"abc").await.problem(404, "not_found");
    chunk(&rest, &second, 0, b"abd").await.ok();
    assert_eq!(complete(&rest, &second).await.ok()["hash"], sha256(b"abd"));
    events_come(&rest, "upload.incomplete", "/twice", 1).await;

    // Nobody comes back; what is sent puts the end off.
    let id = begin(&rest, &json!({"path": "/late", "size": 6, "chunk_size": 3})).await;
    let before = status(&rest, &id).await["expires_at"].as_str().unwrap().to_owned();
    chunk(&rest, &id, 0, b"abc").await.ok();
    assert!(status(&rest, &id).await["expires_at"].as_str().unwrap() > before.as_str());
    eventually("it expires", Duration::from_secs(30), || async {
        (rest.get(&format!("/uploads/{id}")).await.status == 410).then_some(())
    })
    .await;
    rest.get(&format!("/uploads/{id}")).await.problem(410, "expired");
    chunk(&rest, &id, 1, b"def").await.problem(410, "expired");
    go_on(&rest, &id, 3, b"def").await.problem(410, "expired");
    complete(&rest, &id).await.problem(410, "expired");
    rest.delete(&format!("/uploads/{id}")).await.problem(410, "expired");
    assert_eq!(rest.get("/uploads").await.ok()["uploads"], json!([]));
}

async fn the_quota_is_reserved_at_once(ledger: Ledger) {
    let gateway = Plan::new(ledger).edi_quota("1 MiB").start().await;
    let rest = gateway.rest("edi");
    let plan = |path: &str, size: usize| json!({"path": path, "size": size, "chunk_size": CHUNK});
    rest.post_json("/uploads", &plan("/inbound/a", (1 << 20) + 1)).await.problem(507, "quota_exceeded");
    let id = begin(&rest, &plan("/inbound/a", 900_000)).await;
    rest.post_json("/uploads", &plan("/inbound/b", 200_000)).await.problem(507, "quota_exceeded");
    let content = Random::seeded("quota").bytes(900_000);
    for (n, piece) in content.chunks(CHUNK).enumerate() {
        assert_eq!(chunk(&rest, &id, n, piece).await.status, 204);
    }
    complete(&rest, &id).await.ok();
    // What is given up leaves its room to the next one.
    let id = begin(&rest, &plan("/inbound/b", 100_000)).await;
    rest.post_json("/uploads", &plan("/inbound/c", 100_000)).await.problem(507, "quota_exceeded");
    assert_eq!(rest.delete(&format!("/uploads/{id}")).await.status, 204);
    begin(&rest, &plan("/inbound/c", 100_000)).await;
    events_come(&gateway.rest("orders"), "policy.violated", "/inbound/c", 1).await;
}

async fn an_identity_without_rights_begins_nothing(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    gateway.rest("orders").put("/inbound/x", b"old").await.ok();
    let reader = gateway.rest("reader");
    reader.post_json("/uploads", &json!({"path": "/inbound/a", "size": 1})).await.problem(403, "permission_denied");
    reader.get("/uploads").await.problem(403, "permission_denied");
    reader.get(&format!("/uploads/{}", Uuid::now_v7())).await.problem(403, "permission_denied");
    chunk(&reader, &Uuid::now_v7().to_string(), 0, b"a").await.problem(403, "permission_denied");
    // May make files, and not replace them.
    let dropper = gateway.rest("dropper");
    let over = json!({"path": "/x", "size": 1, "overwrite": true});
    dropper.post_json("/uploads", &over).await.problem(403, "permission_denied");
    let id = begin(&dropper, &json!({"path": "/y", "size": 1, "overwrite": true})).await;
    chunk(&dropper, &id, 0, b"a").await.ok();
    gateway.rest("orders").put("/inbound/y", b"first").await.ok();
    complete(&dropper, &id).await.problem(403, "permission_denied");
    assert_eq!(gateway.rest("orders").read("/inbound/y").await.body, "first");
}

/// Far more chunks than are received at a time share the room of one connection: those that have to wait must not take it.
async fn many_chunks_on_one_connection_come_to_their_end(ledger: Ledger) {
    const LARGE: usize = 1 << 20;
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("many chunks").bytes(40 * LARGE);
    let id = begin(&rest, &json!({"path": "/many", "size": content.len(), "chunk_size": LARGE})).await;
    let sent = content.chunks(LARGE).enumerate().map(|(n, piece)| {
        let path = format!("/uploads/{id}/chunks/{n}");
        let (rest, piece) = (rest.clone(), Bytes::copy_from_slice(piece));
        async move {
            loop {
                match rest.try_send(rest.request(Method::PUT, &path).body(piece.clone())).await {
                    Ok(answer) if answer.status == 503 => {
                        answer.problem(503, "unavailable");
                        assert_eq!(answer.header("retry-after"), "1", "{answer:?}");
                    }
                    Ok(answer) => return answer.status,
                    // It was refused while its body was still on its way.
                    Err(_) => {}
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
    let all = tokio::time::timeout(Duration::from_secs(90), futures::future::join_all(sent));
    let all = all.await.expect("the chunks keep each other up");
    assert!(all.iter().all(|status| *status == 204), "{all:?}");
    assert_eq!(complete(&rest, &id).await.ok()["hash"], sha256(&content));
}

async fn completed_again_it_is_the_same_file(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let id = begin(&rest, &json!({"path": "/first", "size": 3})).await;
    chunk(&rest, &id, 0, b"abc").await.ok();
    let file = complete(&rest, &id).await.ok()["file_id"].as_str().unwrap().to_owned();
    let again = || async {
        let answer = complete(&rest, &id).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(answer.header("location").ends_with(&format!("/files/{file}")), "{answer:?}");
        let seen = answer.json();
        assert_eq!((&seen["file_id"], &seen["size"]), (&json!(file), &json!(3)), "{seen}");
        seen
    };
    gateway.sftp("app01").await.rename("/first", "/second").await.unwrap();
    let moved = again().await;
    assert_eq!((&moved["path"], &moved["hash"]), (&json!("/second"), &json!(sha256(b"abc"))), "{moved}");
    rest.put("/second", b"other").await.ok();
    again().await;
    rest.delete(&format!("/files/{file}")).await.ok();
    again().await;
    rest.get(&format!("/files/{file}")).await.problem(404, "not_found");
}

async fn an_announced_digest_binds(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let id = begin(&rest, &json!({"path": "/bound", "size": 3, "sha256": sha256(b"abc")})).await;
    chunk(&rest, &id, 0, b"abd").await.ok();
    let path = format!("/uploads/{id}/complete");
    rest.post_json(&path, &json!({"sha256": sha256(b"abd")})).await.problem(422, "digest_mismatch");
    rest.read("/bound").await.problem(404, "not_found");
    chunk(&rest, &id, 0, b"abc").await.ok();
    assert_eq!(rest.post_json(&path, &json!({"sha256": sha256(b"abc")})).await.ok()["hash"], sha256(b"abc"));
}
