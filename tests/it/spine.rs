//! The spine: one file over SFTP and REST, its hash, its audit entry, its events, its signed webhook; both ways round.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::openssh::OpenSsh;
use crate::harness::webhooks::Post;
use crate::harness::{Gateway, Ledger, Plan, Random, Receiver, Rest, has_tool, on_both_ledgers, sha256};

on_both_ledgers!(sftp_in_rest_out, rest_in_sftp_out, webhooks_survive_refusals_and_a_restart);

const HOOKED: &[&str] = &["file.uploaded", "transfer.*"];

/// The audit entries of one operation on a path, over REST.
pub async fn audit_of(rest: &Rest, operation: &str, path: &str) -> Vec<Value> {
    let query = format!("/audit?operation={operation}&path={}&limit=200", crate::harness::rest::encode(path));
    rest.pages(&query, "entries").await
}

/// The events of one kind about a path, over REST.
pub async fn events_of(rest: &Rest, kind: &str, path: &str) -> Vec<Value> {
    let mut out = Vec::new();
    let mut after = String::new();
    loop {
        let answer = rest.get(&format!("/events?type={kind}&limit=200{after}")).await.ok();
        let page = answer["events"].as_array().expect("events").clone();
        let Some(last) = page.last() else { break };
        after = format!("&after={}", last["id"].as_str().unwrap());
        out.extend(page.into_iter().filter(|e| e["data"]["path"] == path));
    }
    out
}

/// Waits for the events of one kind about a path, which get their position a moment after the reply.
pub async fn events_come(rest: &Rest, kind: &str, path: &str, count: usize) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let events = events_of(rest, kind, path).await;
        if events.len() >= count {
            assert_eq!(events.len(), count, "{kind} of {path}: {events:?}");
            return events;
        }
        if began.elapsed() > Duration::from_secs(10) {
            let all = rest.get("/events?limit=1000").await.ok();
            let told: Vec<String> = all["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| format!("{} {} {}", e["type"], e["data"]["path"], e["data"]["error_message"]))
                .collect();
            panic!("{kind} of {path} was told {} times, not {count}; told was:\n{}", events.len(), told.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

struct Expected<'a> {
    path: &'a str,
    view_path: &'a str,
    identity: &'a str,
    login: &'a str,
    protocol: &'a str,
    hash: &'a str,
    size: usize,
}

/// One audit entry, one `file.uploaded`, one `transfer.completed`, one webhook for each, all with the same facts.
async fn leaves_its_trail(gateway: &Gateway, receiver: &Receiver, expected: &Expected<'_>) {
    let rest = gateway.rest("orders");
    let entries = audit_of(&rest, "upload", expected.path).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    let entry = &entries[0];
    assert_eq!(entry["outcome"], "ok", "{entry}");
    assert_eq!(entry["auth_method"], if expected.protocol == "api" { "api_key" } else { "publickey" }, "{entry}");
    assert!(entry["cipher"].as_str().is_some_and(|c| !c.is_empty()), "{entry}");

    let uploaded = &events_come(&rest, "file.uploaded", expected.path, 1).await[0];
    // The path was downloaded as well, which is a transfer of its own.
    let completed = events_of(&rest, "transfer.completed", expected.path).await;
    let completed: Vec<_> = completed.iter().filter(|e| e["data"]["operation"] == "upload").collect();
    assert_eq!(completed.len(), 1, "{completed:?}");
    let completed = completed[0];
    assert_eq!(uploaded["transfer_id"], completed["transfer_id"]);
    for event in [uploaded, completed] {
        assert_eq!(event["tenant_id"], "acme", "{event}");
        assert_eq!(event["status"], "completed", "{event}");
        assert!(event["timestamp"].as_str().unwrap().ends_with('Z'), "{event}");
        let data = &event["data"];
        for (field, value) in [
            ("identity", expected.identity),
            ("login", expected.login),
            ("protocol", expected.protocol),
            ("client_ip", "127.0.0.1"),
            ("node", "gw-test"),
            ("operation", "upload"),
            ("path", expected.path),
            ("view_path", expected.view_path),
            ("hash", expected.hash),
            ("hash_algorithm", "sha256"),
        ] {
            assert_eq!(data[field], value, "{field} of {event}");
        }
        assert_eq!(data["size"], expected.size, "{event}");
        assert_eq!(data["bytes"], expected.size, "{event}");
        assert_eq!(data["complete"], true, "{event}");
        for field in ["previous_path", "error_code", "error_message"] {
            assert!(data[field].is_null(), "{field} of {event}");
        }
        assert!(data["duration_ms"].is_number(), "{event}");
        assert!(data["session"].as_str().is_some_and(|s| s.len() == 36), "{event}");
    }
    let is_upload = |p: &&Post| p.path() == expected.path && p.event["data"]["operation"] == "upload";
    let posts = receiver.until("both webhooks", |posts| posts.iter().filter(is_upload).count() >= 2).await;
    let posts: Vec<_> = posts.iter().filter(is_upload).collect();
    assert_eq!(posts.iter().filter(|p| p.kind() == "file.uploaded").count(), 1, "{posts:?}");
    assert_eq!(posts.iter().filter(|p| p.kind() == "transfer.completed").count(), 1, "{posts:?}");
    for post in posts {
        let same = if post.kind() == "file.uploaded" { uploaded } else { completed };
        assert_eq!(post.event, *same, "the webhook's body is the event");
    }
    let verified = rest.get("/audit/verify").await.ok();
    assert_eq!(verified["valid"], true, "{verified}");
}

async fn sftp_in_rest_out(ledger: Ledger) {
    if !has_tool("sftp") {
        return;
    }
    let receiver = Receiver::start().await;
    let gateway = Plan::new(ledger).webhook("orders-hook", &receiver, HOOKED).start().await;
    let client = OpenSsh::new(&gateway, "edi01");
    let content = Random::seeded("spine").bytes(1_234_567);
    client.local("orders.csv", &content);
    let ran = client.batch("put orders.csv /inbound/orders.csv\n").await;
    assert!(ran.success, "{ran:?}");

    let rest = gateway.rest("orders");
    let hash = sha256(&content);
    let file = rest.entry("/inbound", "orders.csv").await.expect("it is listed");
    assert_eq!(file["hash"], hash.as_str(), "{file}");
    assert_eq!(file["hash_algorithm"], "sha256");
    assert_eq!(file["size"], content.len());
    assert_eq!(file["type"], "file");
    assert_eq!(file["path"], "/inbound/orders.csv");
    assert_eq!(
        file["created_by"],
        serde_json::json!({"identity": "edi-partner", "login": "edi01", "protocol": "sftp"})
    );
    let id = file["file_id"].as_str().unwrap();
    let download = rest.get(&format!("/files/{id}/download")).await;
    assert_eq!(download.status, 200);
    assert_eq!(download.body, content, "byte for byte");

    leaves_its_trail(
        &gateway,
        &receiver,
        &Expected {
            path: "/inbound/orders.csv",
            view_path: "/inbound/orders.csv",
            identity: "edi-partner",
            login: "edi01",
            protocol: "sftp",
            hash: &hash,
            size: content.len(),
        },
    )
    .await;
    let downloaded = &events_come(&rest, "file.downloaded", "/inbound/orders.csv", 1).await[0];
    assert_eq!(downloaded["data"]["bytes"], content.len(), "{downloaded}");
    assert_eq!(downloaded["data"]["complete"], true, "{downloaded}");
    assert_eq!(audit_of(&rest, "download", "/inbound/orders.csv").await.len(), 1);

    // Overwriting keeps the id, changes the etag, and is one more upload.
    client.local("orders.csv", b"second");
    assert!(client.batch("put orders.csv /inbound/orders.csv\n").await.success);
    let again = rest.entry("/inbound", "orders.csv").await.unwrap();
    assert_eq!(again["file_id"], file["file_id"]);
    assert_ne!(again["etag"], file["etag"]);
    assert_eq!(again["hash"], sha256(b"second"));
    assert_eq!(audit_of(&rest, "upload", "/inbound/orders.csv").await.len(), 2);
}

async fn rest_in_sftp_out(ledger: Ledger) {
    if !has_tool("sftp") {
        return;
    }
    let receiver = Receiver::with_secret("not a standard secret").await;
    let gateway = Plan::new(ledger).webhook("orders-hook", &receiver, HOOKED).start().await;
    let content = Random::seeded("spine").bytes(700_001);
    let hash = sha256(&content);
    // `mill` sees /inbound as its root.
    let answer = gateway.rest("mill").upload("/", "flour.bin", &content, false).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(!answer.header("location").is_empty(), "{answer:?}");
    let file = answer.json();
    assert_eq!(file["hash"], hash.as_str(), "{file}");
    assert_eq!(file["path"], "/flour.bin", "{file}");

    let client = OpenSsh::new(&gateway, "edi01");
    let ran = client.batch("get /inbound/flour.bin back.bin\nls -l /inbound\n").await;
    assert!(ran.success, "{ran:?}");
    assert!(ran.output.contains("700001"), "{ran:?}");
    assert_eq!(std::fs::read(client.folder().join("back.bin")).unwrap(), content, "byte for byte");
    leaves_its_trail(
        &gateway,
        &receiver,
        &Expected {
            path: "/inbound/flour.bin",
            view_path: "/flour.bin",
            identity: "mill",
            login: "mill",
            protocol: "api",
            hash: &hash,
            size: content.len(),
        },
    )
    .await;
    let downloaded = &events_come(&gateway.rest("orders"), "file.downloaded", "/inbound/flour.bin", 1).await[0];
    assert_eq!(downloaded["data"]["protocol"], "sftp", "{downloaded}");
    assert_eq!(downloaded["data"]["bytes"], content.len(), "{downloaded}");
    // What one tenant does another one knows nothing of.
    let other = gateway.rest("other");
    assert!(other.list("/").await.is_empty());
    other.get(&format!("/files/{}", file["file_id"].as_str().unwrap())).await.problem(404, "not_found");
    assert!(audit_of(&other, "upload", "/inbound/flour.bin").await.is_empty());
}

async fn webhooks_survive_refusals_and_a_restart(ledger: Ledger) {
    let receiver = Receiver::start().await;
    receiver.refuse(3);
    // The usual waits, each anything up to its limit, may come to more than a test waits.
    let plan = Plan::new(ledger).events("webhook_first_wait = \"200ms\"\nwebhook_longest_wait = \"1s\"");
    let mut gateway = plan.webhook("orders-hook", &receiver, &["file.*"]).start().await;
    let rest = gateway.rest("orders");
    for (n, content) in [b"one".as_slice(), b"two", b"three"].into_iter().enumerate() {
        let answer = rest.upload("/inbound", "a.txt", content, n > 0).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    receiver.until("a first, refused attempt", |posts| !posts.is_empty()).await;
    gateway.kill().await;
    gateway.start().await;
    let posts = receiver
        .until("all three deliveries", |posts| {
            posts.iter().filter(|p| p.answered == 200 && p.kind() == "file.uploaded").count() >= 3
        })
        .await;
    // In order, each first refused attempt under the id of the one that was accepted.
    let hashes: Vec<&str> = posts
        .iter()
        .filter(|p| p.answered == 200 && p.kind() == "file.uploaded")
        .map(super::harness::webhooks::Post::hash)
        .collect();
    let mut firsts: Vec<&str> = Vec::new();
    for hash in hashes {
        if !firsts.contains(&hash) {
            firsts.push(hash);
        }
    }
    assert_eq!(firsts, [sha256(b"one"), sha256(b"two"), sha256(b"three")]);
    for refused in posts.iter().filter(|p| p.answered != 200) {
        assert!(posts.iter().any(|p| p.answered == 200 && p.id == refused.id), "{refused:?} was given up");
    }
    gateway.stop().await;
}
