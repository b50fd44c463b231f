//! Every REST route of this version: what it answers when all is well, and when it is not (contract, `api.md`).

use base64::Engine as _;
use reqwest::Method;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use crate::harness::rest::{content_path, encode};
use crate::harness::{Ledger, Plan, Random, Rest, on_both_ledgers, sha256};

on_both_ledgers!(uploads, downloads, listings, folders_and_deletes, trail);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asking() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let answer = rest.get("/auth/validate").await;
    assert!(!answer.header("x-request-id").is_empty(), "{answer:?}");
    let who = answer.ok();
    assert_eq!(who["tenant_id"], "acme");
    assert_eq!(who["identity"], "orders-app");
    assert_eq!(who["login"], "orders");
    assert_eq!(who["method"], "api_key");
    assert!(who["scopes"].as_array().unwrap().contains(&json!("files:write")), "{who}");
    // No key is used for longer than `api_key_max_age`, which is 90 days where nothing else is said.
    let ends = time::OffsetDateTime::parse(who["expires_at"].as_str().unwrap(), &Rfc3339).unwrap();
    let days = (ends - time::OffsetDateTime::now_utc()).whole_days();
    assert!((88..=90).contains(&days), "{who}");

    for wrong in ["", "cwk_nonsense", "nonsense", &gateway_key("orders")[..20]] {
        let answer = rest.with_key(wrong).get("/auth/validate").await;
        answer.problem(401, "unauthenticated");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
    }
    // The caller's own tenant may be named, another one not.
    let ask = |tenant: &str| rest.request(Method::GET, "/auth/validate").header("x-tenant-id", tenant);
    rest.send(ask("acme")).await.ok();
    assert!([400, 403].contains(&rest.send(ask("other")).await.status));
    // `ops` manages the tenant and sees no file content; `reader` may not write.
    gateway.rest("ops").get("/files?path=/").await.problem(403, "permission_denied");
    gateway.rest("reader").put("/inbound/x", b"x").await.problem(403, "permission_denied");
    gateway.rest("mill").get("/audit").await.problem(403, "permission_denied");
    gateway.rest("dropper").get("/events").await.problem(403, "permission_denied");
    rest.get("/no/such/route").await.problem(404, "no_such_route");
    let answer = rest.send(rest.request(Method::PATCH, "/auth/validate")).await;
    assert_eq!(answer.status, 405, "{answer:?}");
    // The operator's listener.
    let ops = |path: &str| {
        reqwest::Client::builder().no_proxy().build().unwrap().get(format!("http://{}{path}", gateway.ops)).send()
    };
    assert_eq!(ops("/healthz").await.unwrap().status(), 200);
    assert_eq!(ops("/readyz").await.unwrap().status(), 200);
}

fn gateway_key(id: &str) -> String {
    crate::harness::plan::api_key(id)
}

async fn uploads(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let hash = sha256(b"content");

    // The fields of the form in any order.
    let (destination, overwrite) = (("destination", None, &b"/inbound"[..]), ("overwrite", None, &b"true"[..]));
    let digest = ("sha256", None, hash.as_bytes());
    let file = ("file", Some("form.txt"), &b"content"[..]);
    for parts in [
        [destination, overwrite, digest, file],
        [file, digest, overwrite, destination],
        [overwrite, file, destination, digest],
    ] {
        let answer = rest.send(rest.form_request(&parts)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let made = answer.json();
        assert_eq!(made["hash"], hash.as_str(), "{made}");
        assert_eq!(made["path"], "/inbound/form.txt", "{made}");
        assert!(answer.header("location").contains(made["file_id"].as_str().unwrap()), "{answer:?}");
    }
    // A folder that is missing is made.
    let answer = rest.upload("/inbound/deep/er", "a", b"a", false).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    // Without `overwrite` a name that is taken is 409, and the old content stays.
    rest.upload("/inbound", "form.txt", b"other", false).await.problem(409, "already_exists");
    assert_eq!(rest.read("/inbound/form.txt").await.body, &b"content"[..]);
    // A wrong digest publishes nothing, over an existing name neither.
    let wrong = sha256(b"else");
    for name in ["form.txt", "fresh.txt"] {
        let parts = [destination, overwrite, ("sha256", None, wrong.as_bytes()), ("file", Some(name), &b"x"[..])];
        rest.send(rest.form_request(&parts)).await.problem(422, "digest_mismatch");
    }
    assert!(rest.entry("/inbound", "fresh.txt").await.is_none());
    assert_eq!(rest.read("/inbound/form.txt").await.body, &b"content"[..]);
    // Forms that are not whole.
    assert_eq!(rest.send(rest.form_request(&[destination])).await.status, 400);
    assert_eq!(rest.send(rest.form_request(&[("file", Some("a/b"), &b"x"[..]), destination])).await.status, 400);
    let cut = rest
        .request(Method::POST, "/files/upload")
        .header("content-type", "multipart/form-data; boundary=cut")
        .body("--cut\r\ncontent-disposition: form-data; name=\"destination\"\r\n\r\n/inbound\r\n--cut\r\ncontent-disposition: form-data; name=\"file\"; filename=\"half.txt\"\r\n\r\nhalf");
    let answer = rest.send(cut).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(rest.entry("/inbound", "half.txt").await.is_none(), "a form without its end is not whole");

    // The raw body.
    let answer = rest.put("/inbound/raw.bin", b"one").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let first = answer.json();
    let answer = rest.put("/inbound/raw.bin", b"two").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let second = answer.json();
    assert_eq!(first["file_id"], second["file_id"]);
    assert_ne!(first["etag"], second["etag"]);
    let with = |header: &'static str, value: &str, body: &'static [u8]| {
        rest.put_request("/inbound/raw.bin", body.into()).header(header, value)
    };
    rest.send(with("if-none-match", "*", b"three")).await.problem(412, "precondition_failed");
    rest.send(with("if-match", first["etag"].as_str().unwrap(), b"three")).await.problem(412, "precondition_failed");
    assert_eq!(rest.read("/inbound/raw.bin").await.body, &b"two"[..]);
    rest.send(with("if-match", second["etag"].as_str().unwrap(), b"three")).await.ok();
    let structured = |bytes: &[u8]| {
        let raw = hex::decode(sha256(bytes)).unwrap();
        format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(raw))
    };
    rest.send(with("repr-digest", &structured(b"four"), b"four")).await.ok();
    rest.send(with("content-digest", &structured(b"not five"), b"five")).await.problem(422, "digest_mismatch");
    assert_eq!(rest.read("/inbound/raw.bin").await.body, &b"four"[..]);
    rest.put("/inbound/nowhere/raw.bin", b"x").await.problem(404, "no_such_folder");
    rest.put("/inbound", b"x").await.problem(409, "is_folder");
    // An empty file is a file.
    assert_eq!(rest.put("/inbound/empty", b"").await.ok()["size"], 0);
    assert_eq!(rest.read("/inbound/empty").await.body.len(), 0);
    // Not allowed there.
    gateway.rest("edi").put("/top", b"x").await.problem(403, "permission_denied");
    let dropper = gateway.rest("dropper");
    dropper.put("/drop", b"x").await.ok();
    dropper.put("/drop", b"y").await.problem(403, "permission_denied");
}

async fn downloads(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("downloads").bytes(300_000);
    let file = rest.put("/inbound/d.bin", &content).await.ok();
    let id = file["file_id"].as_str().unwrap();
    let etag = file["etag"].as_str().unwrap();
    for path in [format!("/files/{id}/download"), content_path("/inbound/d.bin")] {
        let answer = rest.get(&path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, content);
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert!(answer.header("repr-digest").starts_with("sha-256=:"), "{:?}", answer.headers);
        assert!(answer.header("content-disposition").contains("d.bin"), "{:?}", answer.headers);
        let head = rest.head(&path).await;
        assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, "300000"));

        let range = |value: &str| rest.request(Method::GET, &path).header("range", value);
        for (value, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=100-199", 100, 200),
            ("bytes=299990-", 299_990, 300_000),
            ("bytes=-5", 299_995, 300_000),
            ("bytes=299999-999999999", 299_999, 300_000),
            ("bytes=-999999999", 0, 300_000),
        ] {
            let answer = rest.send(range(value)).await;
            assert_eq!(answer.status, 206, "{value}: {answer:?}");
            assert_eq!(answer.body, content.slice(from..to), "{value}");
            assert_eq!(answer.header("content-range"), format!("bytes {from}-{}/300000", to - 1), "{value}");
        }
        for value in ["bytes=300000-", "bytes=400000-500000", "bytes=-0"] {
            let answer = rest.send(range(value)).await;
            assert_eq!((answer.status, answer.body.len()), (416, 0), "{value}: {answer:?}");
            assert_eq!(answer.header("content-range"), "bytes */300000", "{value}");
        }
        // Several at once.
        let answer = rest.send(range("bytes=0-9, 299990-, 100-109,105-120,400000-")).await;
        assert_eq!(answer.status, 206, "{answer:?}");
        assert_eq!(answer.header("content-range"), "");
        let boundary =
            answer.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
        let mut expected = Vec::new();
        for (from, to) in [(0, 10), (299_990, 300_000), (100, 121)] {
            let head = format!(
                "{}--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {from}-{}/300000\r\n\r\n",
                if from == 0 { "" } else { "\r\n" },
                to - 1
            );
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(&content[from..to]);
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert_eq!(answer.body, expected);
        assert_eq!(answer.header("content-length"), expected.len().to_string());
        let beyond = rest.send(range("bytes=300000-,400000-500000")).await;
        assert_eq!((beyond.status, beyond.body.len()), (416, 0));
        let many = (0..200).map(|n| format!("{n}0-{n}1")).collect::<Vec<_>>().join(",");
        for value in [format!("bytes={many}"), "bytes=0-,0-,0-".to_owned()] {
            let answer = rest.send(range(&value)).await;
            assert_eq!((answer.status, answer.body.len()), (200, 300_000), "{value}");
        }
        // The digest is told unless it is not wanted.
        let want = |name: &'static str, value: &str| rest.request(Method::GET, &path).header(name, value);
        assert_eq!(rest.send(want("want-repr-digest", "sha-256=0")).await.header("repr-digest"), "");
        let wanted = rest.send(want("want-content-digest", "sha-256=5")).await;
        assert_eq!(wanted.header("content-digest"), wanted.header("repr-digest"));
        // What is not understood is ignored (RFC 9110 section 14.2).
        for value in ["lines=1-2", "bytes=5-1", "bytes=x"] {
            assert_eq!(rest.send(range(value)).await.status, 200, "{value}");
        }
        let answer = rest.send(range("bytes=0-9").header("if-range", etag)).await;
        assert_eq!((answer.status, answer.body.len()), (206, 10));
        let answer = rest.send(range("bytes=0-9").header("if-range", "\"another\"")).await;
        assert_eq!((answer.status, answer.body.len()), (200, 300_000));
        let answer = rest.send(rest.request(Method::GET, &path).header("if-none-match", etag)).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0));
    }
    let seen = rest.get(&format!("/files/{id}")).await.ok();
    assert_eq!(seen["hash"], sha256(&content), "{seen}");
    assert_eq!(seen["type"], "file");
    rest.get(&format!("/files/{}", uuid::Uuid::now_v7())).await.problem(404, "not_found");
    assert!([400, 404].contains(&rest.get("/files/not-an-id").await.status));
    rest.read("/inbound/none").await.problem(404, "not_found");
    rest.read("/inbound").await.problem(409, "is_folder");
    // By id what is outside the view does not exist either.
    rest.put("/secret.txt", b"s").await.ok();
    let secret = rest.entry("/", "secret.txt").await.unwrap()["file_id"].as_str().unwrap().to_owned();
    let mill = gateway.rest("mill");
    mill.get(&format!("/files/{secret}")).await.problem(404, "not_found");
    mill.get(&format!("/files/{secret}/download")).await.problem(404, "not_found");
    mill.delete(&format!("/files/{secret}")).await.problem(404, "not_found");
    assert_eq!(mill.get(&format!("/files/{id}")).await.ok()["path"], "/d.bin", "the caller's own view");
    // Over HTTP/1.1 as over HTTP/2.
    let ca = std::fs::read(gateway.data().join("certs/ca.pem")).unwrap();
    let http1 = Rest::http1(gateway.api, &ca, &gateway_key("orders"));
    assert_eq!(http1.read("/inbound/d.bin").await.body, content);
    assert_eq!(http1.put("/inbound/d.bin", &content[..10]).await.status, 200);
}

async fn listings(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let mut names: Vec<String> = ["b", "a", "Z", "ä", "é", "a b", "x%y", "+&=?#", "日本"].map(str::to_owned).to_vec();
    for name in &names {
        rest.put(&format!("/inbound/{name}"), name.as_bytes()).await.ok();
    }
    rest.post_json("/folders", &json!({"path": "/inbound/folder"})).await.ok();
    names.push("folder".into());
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    let listed: Vec<String> =
        rest.list("/inbound").await.iter().map(|e| e["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, names, "by bytes");
    let folder = rest.entry("/inbound", "folder").await.unwrap();
    assert_eq!(folder["type"], "folder", "{folder}");
    // Page by page, the same.
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = rest.get(&format!("/files?path=inbound&limit=3{cursor}")).await.ok();
        let entries = page["entries"].as_array().unwrap();
        assert!(entries.len() <= 3, "{page}");
        paged.extend(entries.iter().map(|e| e["name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", encode(next)),
            None => break,
        }
    }
    assert_eq!(paged, names);
    // Everything below, by `recursive`, if this version can; otherwise it says so.
    rest.get("/files?path=/nowhere").await.problem(404, "not_found");
    for path in ["/inbound/..", "/inbound/./a", "/a//b", "/a%00b", "/%0A"] {
        rest.get(&format!("/files?path={path}")).await.problem(400, "invalid_name");
    }
    assert_eq!(rest.get("/files?path=/&limit=0").await.status, 400);
    assert_eq!(rest.get("/files?path=/&limit=x").await.status, 400);
    // The view's own root, and the mount point in it.
    let seen: Vec<String> =
        gateway.rest("edi").list("/").await.iter().map(|e| e["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seen, ["/inbound"]);
}

async fn folders_and_deletes(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let answer = rest.post_json("/folders", &json!({"path": "/inbound/a"})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["path"], "/inbound/a");
    rest.post_json("/folders", &json!({"path": "/inbound/a"})).await.problem(409, "already_exists");
    rest.post_json("/folders", &json!({"path": "/no/such"})).await.problem(404, "no_such_folder");
    rest.post_json("/folders", &json!({"path": "/a/../b"})).await.problem(400, "invalid_name");
    assert_eq!(rest.post_json("/folders", &json!({"pth": "/b"})).await.status, 400);
    let answer =
        rest.send(rest.request(Method::POST, "/folders").header("content-type", "application/json").body("{")).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let file = rest.put("/inbound/a/f", b"f").await.ok();
    let id = file["file_id"].as_str().unwrap();
    rest.delete("/folders?path=/inbound/a").await.problem(409, "not_empty");
    gateway.rest("dropper").delete(&format!("/files/{id}")).await.problem(403, "permission_denied");
    let answer = rest.delete(&format!("/files/{id}")).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
    rest.delete(&format!("/files/{id}")).await.problem(404, "not_found");
    rest.get(&format!("/files/{id}")).await.problem(404, "not_found");
    assert_eq!(rest.delete("/folders?path=/inbound/a").await.status, 204);
    rest.delete("/folders?path=/inbound/a").await.problem(404, "not_found");
    rest.put("/inbound/plain", b"f").await.ok();
    rest.delete("/folders?path=/inbound/plain").await.problem(409, "not_folder");
    let answer = rest.delete("/folders?path=/").await;
    assert!([403, 409].contains(&answer.status), "the root stays: {answer:?}");
    let deleted = crate::spine::events_come(&rest, "file.deleted", "/inbound/a/f", 1).await;
    assert_eq!(deleted[0]["data"]["operation"], "delete");
    crate::spine::events_come(&rest, "folder.created", "/inbound/a", 1).await;
    crate::spine::events_come(&rest, "folder.deleted", "/inbound/a", 1).await;
}

async fn trail(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    for n in 0..5 {
        rest.put(&format!("/inbound/{n}"), b"x").await.ok();
    }
    gateway.rest("mill").read("/none").await.problem(404, "not_found");
    gateway.rest("edi").put("/denied", b"x").await.problem(403, "permission_denied");
    // The audit trail's filters.
    let uploads = rest.pages("/audit?operation=upload&outcome=ok&limit=2", "entries").await;
    assert_eq!(uploads.len(), 5, "{uploads:?}");
    let denied = rest.pages("/audit?outcome=denied", "entries").await;
    assert!(
        denied.iter().any(|e| e["identity"] == "edi-partner" && e["error_code"] == "permission_denied"),
        "{denied:?}"
    );
    assert!(rest.pages("/audit?identity=nobody", "entries").await.is_empty());
    let one = rest.pages("/audit?operation=upload&path=/inbound/3", "entries").await;
    assert_eq!(one.len(), 1, "{one:?}");
    assert_eq!(rest.get("/audit?since=yesterday").await.status, 400);
    let future = rest.pages("/audit?since=2200-01-01T00:00:00Z", "entries").await;
    assert!(future.is_empty(), "{future:?}");
    // `policy.violated` tells the refusal.
    crate::spine::events_come(&rest, "policy.violated", "/partners/edi/denied", 1).await;
    // Events by cursor: nothing twice, nothing missed.
    let all =
        crate::harness::eventually("all events have their position", std::time::Duration::from_secs(10), || async {
            let page = rest.get("/events?type=file.uploaded&limit=100").await.ok();
            let events = page["events"].as_array().unwrap().clone();
            (events.len() == 5).then_some(events)
        })
        .await;
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = rest.get(&format!("/events?type=file.uploaded&limit=2{after}")).await.ok();
        let events = page["events"].as_array().unwrap().clone();
        let Some(last) = events.last() else { break };
        after = format!("&after={}", last["id"].as_str().unwrap());
        seen.extend(events);
    }
    assert_eq!(seen, all);
    // Only what lies in the caller's view, unless it may read the tenant's trail as a whole.
    rest.put("/outside", b"x").await.ok();
    crate::spine::events_come(&rest, "file.uploaded", "/outside", 1).await;
    let mill = gateway.rest("mill");
    assert!(crate::spine::events_of(&mill, "file.uploaded", "/outside").await.is_empty());
    crate::spine::events_come(&mill, "file.uploaded", "/inbound/3", 1).await;
    let verified = rest.get("/audit/verify").await.ok();
    assert_eq!(verified["valid"], true, "{verified}");
    assert!(verified["broken_at"].is_null(), "{verified}");
    assert!(verified["entries"].as_u64().unwrap() >= 7, "{verified}");
}
