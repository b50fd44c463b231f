//! tus 1.0.0: its words byte by byte, its clients, and the same uploads as everywhere else.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::clients::run;
use crate::harness::plan::api_key;
use crate::harness::rest::Answer;
use crate::harness::sftp::W;
use crate::harness::{Gateway, Ledger, Plan, Random, Rest, eventually, has_tool, on_both_ledgers, sha256, skip};
use crate::spine::{events_come, events_of};
use crate::uploads::{breaking_off, complete};
use crate::uploads_resumed::{break_off, left};

on_both_ledgers!(
    the_words_of_tus,
    a_cut_patch_keeps_what_came,
    one_upload_with_the_other_protocols,
    killed_in_its_one_patch_it_goes_on,
    while_a_session_has_it_it_is_locked,
    a_part_takes_no_more_of_the_quota_than_it_has,
);

const PART: &str = "application/offset+octet-stream";

fn request(rest: &Rest, method: Method, path: &str) -> reqwest::RequestBuilder {
    rest.request(method, path).header("tus-resumable", "1.0.0")
}

pub fn metadata(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect::<Vec<_>>().join(",")
}

/// Creates an upload; its path below the base.
async fn create(rest: &Rest, size: usize, pairs: &[(&str, &str)]) -> String {
    let request = request(rest, Method::POST, "/tus").header("upload-length", size.to_string());
    let answer = rest.send(request.header("upload-metadata", metadata(pairs))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    location(&answer)
}

fn location(answer: &Answer) -> String {
    let location = answer.header("location");
    location.strip_prefix("/api/v1").unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

fn part(rest: &Rest, path: &str, offset: usize, content: &[u8]) -> reqwest::RequestBuilder {
    request(rest, Method::PATCH, path)
        .header("content-type", PART)
        .header("upload-offset", offset.to_string())
        .body(content.to_vec())
}

async fn offset(rest: &Rest, path: &str) -> usize {
    let answer = rest.send(request(rest, Method::HEAD, path)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("upload-offset").parse().unwrap()
}

async fn the_words_of_tus(ledger: Ledger) {
    let gateway = Plan::new(ledger).limits("max_file_size = \"10 MiB\"").start().await;
    let rest = gateway.rest("orders");
    // Nobody has to say who asks what the server can do.
    let answer = rest.send(rest.with_key("").request(Method::OPTIONS, "/tus")).await;
    assert_eq!((answer.status, answer.header("tus-version")), (204, "1.0.0"), "{answer:?}");
    assert_eq!(answer.header("tus-extension"), "creation,creation-with-upload,expiration,checksum,termination");
    assert_eq!(answer.header("tus-checksum-algorithm"), "sha1,sha256");
    assert_eq!(answer.header("tus-max-size"), (10 << 20).to_string());
    rest.send(request(&rest.with_key(""), Method::POST, "/tus")).await.problem(401, "unauthenticated");
    for version in ["", "0.2.2"] {
        let answer = rest.send(rest.request(Method::POST, "/tus").header("tus-resumable", version)).await;
        answer.problem(412, "unsupported_tus_version");
        assert_eq!((answer.header("tus-version"), answer.header("tus-resumable")), ("1.0.0", "1.0.0"));
    }

    // Creation.
    let name = metadata(&[("filename", "words.txt")]);
    for (length, meta, status, code) in [
        (None, &*name, 400, "invalid_argument"),
        (Some("x"), &*name, 400, "invalid_argument"),
        (Some("3"), "", 400, "invalid_argument"),
        (Some("3"), "filename ***", 400, "invalid_argument"),
        (Some("3"), "path L2EvLi4vYg==", 400, "invalid_name"),
        (Some("10485761"), &*name, 413, "file_too_large"),
    ] {
        let mut request = request(&rest, Method::POST, "/tus").header("upload-metadata", meta);
        if let Some(length) = length {
            request = request.header("upload-length", length);
        }
        rest.send(request).await.problem(status, code);
    }
    let pairs = [("filename", "words.txt"), ("sha256", &*sha256(b"hello world")), ("note", "kept as it is")];
    let path = create(&rest, 11, &pairs).await;
    let answer = rest.send(request(&rest, Method::HEAD, &path)).await;
    assert_eq!((answer.status, answer.header("upload-offset"), answer.header("upload-length")), (200, "0", "11"));
    assert_eq!((answer.header("upload-metadata"), answer.header("cache-control")), (&*metadata(&pairs), "no-store"));
    assert!(answer.header("upload-expires").ends_with(" GMT"), "{answer:?}");

    // Parts.
    let wrong = part(&rest, &path, 0, b"hello").header("upload-checksum", format!("sha1 {}", STANDARD.encode([7; 20])));
    rest.send(wrong).await.problem(460, "digest_mismatch");
    assert_eq!(offset(&rest, &path).await, 0, "nothing of it was kept");
    let unknown = part(&rest, &path, 0, b"hello").header("upload-checksum", "crc32 AAAAAA==");
    rest.send(unknown).await.problem(400, "invalid_argument");
    rest.send(part(&rest, &path, 1, b"hello")).await.problem(409, "conflict");
    rest.send(part(&rest, &path, 0, b"hello world!")).await.problem(413, "body_too_large");
    let typed = request(&rest, Method::PATCH, &path).header("content-type", "text/plain").header("upload-offset", "0");
    rest.send(typed.body("hello")).await.problem(415, "unsupported_media_type");
    let nowhere = request(&rest, Method::PATCH, &path).header("content-type", PART);
    rest.send(nowhere.body("hello")).await.problem(400, "invalid_argument");
    let right = part(&rest, &path, 0, b"hello ")
        .header("upload-checksum", format!("sha1 {}", STANDARD.encode(Sha1::digest(b"hello "))));
    let answer = rest.send(right).await;
    assert_eq!((answer.status, answer.header("upload-offset"), answer.header("x-file-id")), (204, "6", ""));
    assert!(answer.header("upload-expires").ends_with(" GMT") && answer.header("tus-resumable") == "1.0.0");
    rest.send(part(&rest, &path, 0, b"hello ")).await.problem(409, "conflict");
    // By another method, with the other checksum.
    let last = rest
        .request(Method::POST, &path)
        .header("tus-resumable", "1.0.0")
        .header("x-http-method-override", "PATCH")
        .header("content-type", PART)
        .header("upload-offset", "6")
        .header("upload-checksum", format!("sha256 {}", STANDARD.encode(Sha256::digest(b"world"))));
    let answer = rest.send(last.body("world")).await;
    assert_eq!((answer.status, answer.header("upload-offset")), (204, "11"), "{answer:?}");
    let file = answer.header("x-file-id").to_owned();
    assert_eq!(rest.get(&format!("/files/{file}")).await.ok()["hash"], sha256(b"hello world"));
    let answer = rest.send(request(&rest, Method::HEAD, &path)).await;
    assert_eq!((answer.header("upload-offset"), answer.header("x-file-id")), ("11", &*file), "the end is told again");
    rest.send(part(&rest, &path, 11, b"")).await.problem(409, "conflict");
    events_come(&rest, "file.uploaded", "/words.txt", 1).await;

    // Creation with the upload, whole and in part.
    let request_with = |size: &str, name: &str, content: &'static str| {
        request(&rest, Method::POST, "/tus")
            .header("upload-length", size)
            .header("upload-metadata", metadata(&[("filename", name)]))
            .header("content-type", PART)
            .body(content)
    };
    let answer = rest.send(request_with("5", "whole.txt", "whole")).await;
    assert_eq!((answer.status, answer.header("upload-offset")), (201, "5"), "{answer:?}");
    assert!(!answer.header("x-file-id").is_empty());
    assert_eq!(rest.read("/whole.txt").await.body, "whole");
    let answer = rest.send(request_with("5", "part.txt", "wh")).await;
    assert_eq!((answer.status, answer.header("upload-offset"), answer.header("x-file-id")), (201, "2", ""));
    let path = location(&answer);

    // Termination.
    gateway.rest("mill").send(request(&gateway.rest("mill"), Method::DELETE, &path)).await.problem(404, "not_found");
    assert_eq!(rest.send(request(&rest, Method::DELETE, &path)).await.status, 204);
    assert_eq!(rest.send(request(&rest, Method::HEAD, &path)).await.status, 404);
    rest.send(part(&rest, &path, 2, b"ole")).await.problem(404, "not_found");
    rest.send(request(&rest, Method::HEAD, "/tus/nothing")).await.status.eq(&404).then_some(()).unwrap();
    rest.read("/part.txt").await.problem(404, "not_found");
}

async fn a_cut_patch_keeps_what_came(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let content = Random::seeded("cut patch").bytes(4 << 20);
    let events = gateway.rest("orders");
    for (name, rest) in [("http2", gateway.rest("orders")), ("http1", gateway.rest_http1("orders"))] {
        let path = create(&rest, content.len(), &[("filename", name)]).await;
        let mut at = 0;
        for _ in 0..3 {
            let request = request(&rest, Method::PATCH, &path)
                .header("content-type", PART)
                .header("upload-offset", at.to_string())
                .body(breaking_off(content.slice(at..at + (1 << 20))));
            let sent = rest.try_send(request).await;
            assert!(sent.is_err() || sent.unwrap().status >= 400);
            // What came of it is there a moment later; how much that is, the line decides.
            let (before, end) = (at, at + (1 << 20));
            at = eventually("what came is kept", std::time::Duration::from_secs(10), || async {
                Some(offset(&rest, &path).await).filter(|now| *now > before)
            })
            .await;
            assert!(at <= end, "{at}");
        }
        let answer = rest.send(part(&rest, &path, at, &content[at..])).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        assert!(!answer.header("x-file-id").is_empty());
        assert_eq!(rest.read(&format!("/{name}")).await.body, content);
        events_come(&events, "file.uploaded", &format!("/{name}"), 1).await;
        assert!(events_of(&events, "upload.incomplete", &format!("/{name}")).await.is_empty());
    }
}

async fn one_upload_with_the_other_protocols(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("edi");
    let content = Random::seeded("tus and others").bytes(100_000);
    // Begun over tus, finished over SFTP.
    let path = create(&rest, content.len(), &[("path", "/inbound/t.bin")]).await;
    rest.send(part(&rest, &path, 0, &content[..60_000])).await.ok();
    let mut session = gateway.sftp("edi01").await;
    let handle = session.open("/inbound/t.bin", W).await.unwrap();
    assert_eq!(session.fstat(&handle).await.unwrap().size, Some(60_000));
    session.write_all(&handle, 60_000, &content[60_000..]).await.unwrap();
    session.close(&handle).await.unwrap();
    assert_eq!(rest.read("/inbound/t.bin").await.body, content);
    assert_eq!(offset(&rest, &path).await, content.len());

    // Begun over tus, its chunks sent over REST.
    let path = create(&rest, content.len(), &[("path", "/inbound/u.bin")]).await;
    let id = path.rsplit('/').next().unwrap();
    let seen = rest.get(&format!("/uploads/{id}")).await.ok();
    assert_eq!((&seen["chunks"], &seen["size"]), (&json!(1), &json!(100_000)), "{seen}");
    assert_eq!(crate::uploads::chunk(&rest, id, 0, &content).await.status, 204);
    // A client that asks where to go on and is told "at the end" asks for no more: so that completes it.
    let answer = rest.send(request(&rest, Method::HEAD, &path)).await;
    assert_eq!(answer.header("upload-offset"), "100000");
    assert_eq!(rest.get(&format!("/files/{}", answer.header("x-file-id"))).await.ok()["hash"], sha256(&content));
    events_come(&gateway.rest("orders"), "file.uploaded", "/inbound/u.bin", 1).await;
}

/// Of the one request that clients send by default, the end of the process takes what came since the last checkpoint.
async fn killed_in_its_one_patch_it_goes_on(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).uploads("checkpoint = \"1 MiB\"").start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("killed patch").bytes(4 << 20);
    let path = create(&rest, content.len(), &[("filename", "killed.bin")]).await;
    let (pieces, body) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(4);
    let stream = futures::stream::unfold(body, |mut body| async move { body.recv().await.map(|piece| (piece, body)) });
    let patch = request(&rest, Method::PATCH, &path).header("content-type", PART).header("upload-offset", "0");
    let patch = patch.body(reqwest::Body::wrap_stream(stream));
    let sending = tokio::spawn({
        let rest = rest.clone();
        async move { rest.try_send(patch).await.map(|answer| answer.status) }
    });
    for piece in content.slice(..5 << 19).chunks(64 << 10) {
        pieces.send(Ok(Bytes::copy_from_slice(piece))).await.unwrap();
    }
    let at = eventually("a checkpoint is told of", std::time::Duration::from_secs(20), || async {
        Some(offset(&rest, &path).await).filter(|at| *at >= 2 << 20)
    })
    .await;
    gateway.kill().await;
    drop(pieces);
    assert!(sending.await.unwrap().is_err(), "its server died");
    gateway.start().await;
    let rest = gateway.rest("orders");
    assert_eq!(offset(&rest, &path).await, at);
    rest.send(part(&rest, &path, at, &content[at..])).await.ok();
    assert_eq!(rest.read("/killed.bin").await.body, content);
    events_come(&rest, "file.uploaded", "/killed.bin", 1).await;
}

/// A client that is told that all of its bytes are there goes away; so it is told only once they are a file.
async fn while_a_session_has_it_it_is_locked(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("edi");
    let path = create(&rest, 6, &[("path", "/inbound/held.bin")]).await;
    rest.send(part(&rest, &path, 0, b"abc")).await.ok();
    let mut session = gateway.sftp("edi01").await;
    let handle = session.open("/inbound/held.bin", W).await.unwrap();
    session.write_all(&handle, 3, b"def").await.unwrap();
    let answer = rest.send(request(&rest, Method::HEAD, &path)).await;
    assert_eq!((answer.status, answer.header("upload-offset")), (423, ""), "{answer:?}");
    session.close(&handle).await.unwrap();
    let answer = rest.send(request(&rest, Method::HEAD, &path)).await;
    assert_eq!((answer.status, answer.header("upload-offset")), (200, "6"), "{answer:?}");
    assert_eq!(rest.get(&format!("/files/{}", answer.header("x-file-id"))).await.ok()["hash"], sha256(b"abcdef"));
}

/// The size of what another protocol began is not known: what a part brings is all that is asked of the quota.
async fn a_part_takes_no_more_of_the_quota_than_it_has(ledger: Ledger) {
    let gateway = Plan::new(ledger).edi_quota("1 MiB").start().await;
    let (rest, at) = (gateway.rest("edi"), "/inbound/unknown.bin");
    let content = Random::seeded("unknown size").bytes(20_000);
    break_off(&gateway, "sftp", at, &content, 10_000).await;
    let upload = left(&rest, at).await;
    let id = upload["session_id"].as_str().unwrap();
    let answer = rest.send(part(&rest, &format!("/tus/{id}"), 10_000, &content[10_000..])).await;
    assert_eq!((answer.status, answer.header("upload-offset")), (204, "20000"), "{answer:?}");
    assert_eq!(complete(&rest, id).await.ok()["hash"], sha256(&content));
    // One that brings more than there is room for, which nobody knew before, is refused, and that is on record once.
    let at = "/inbound/endless.bin";
    break_off(&gateway, "sftp", at, &content, 10_000).await;
    let upload = left(&rest, at).await;
    let id = upload["session_id"].as_str().unwrap();
    let endless = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 2 << 20]))]);
    let request = part(&rest, &format!("/tus/{id}"), 10_000, b"").body(reqwest::Body::wrap_stream(endless));
    rest.send(request).await.problem(507, "quota_exceeded");
    let orders = gateway.rest("orders");
    let denied = orders.pages("/audit?identity=edi-partner&outcome=denied&limit=200", "entries").await;
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!((denied[0]["path"].as_str(), denied[0]["transfer_id"].as_str()), (Some(at), Some(id)), "{denied:?}");
    events_come(&orders, "policy.violated", at, 1).await;
}

/// What a client script of the tree needs: where the gateway is, and the CA in this variable.
fn client(program: impl AsRef<std::ffi::OsStr>, script: &str, ca_in: &str, gateway: &Gateway) -> Command {
    let mut command = Command::new(program);
    command.env(ca_in, gateway.data().join("certs/ca.pem")).env("NO_PROXY", "localhost");
    command.arg(format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR")));
    command.arg(format!("https://localhost:{}", gateway.api.port())).arg(api_key("orders"));
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuspy_uploads_and_resumes() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with tuspy; ./test makes one");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    run(client(python, "tuspy_session.py", "REQUESTS_CA_BUNDLE", &gateway)).await;
    events_come(&gateway.rest("orders"), "file.uploaded", "/resumed.bin", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tus_js_client_uploads_and_resumes() {
    if !has_tool("node") {
        return;
    }
    let Some(modules) = std::env::var_os("CAUSEWAY_TEST_NODE_MODULES") else {
        return skip("CAUSEWAY_TEST_NODE_MODULES is not set to a folder with tus-js-client; ./test makes one");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut command = client("node", "tus_js_session.js", "NODE_EXTRA_CA_CERTS", &gateway);
    command.env("NODE_PATH", modules);
    run(command).await;
    events_come(&gateway.rest("orders"), "file.uploaded", "/aborted.bin", 1).await;
}
