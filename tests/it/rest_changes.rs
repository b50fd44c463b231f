//! Changing files over REST (contract, `api.md`, "Files"): `PATCH`, copies, removals with conditions, and removing folders
//! with everything in them.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::plan::api_key;
use crate::harness::rest::Answer;
use crate::harness::{Gateway, Ledger, Plan, Rest, eventually, on_both_ledgers, sha256};
use crate::spine::events_come;

on_both_ledgers!(patches, patches_are_all_or_nothing, conditions, copies, whole_folders, quota_comes_back);

fn id(file: &Value) -> String {
    format!("/files/{}", file["file_id"].as_str().unwrap())
}

async fn patch(rest: &Rest, file: &Value, body: Value) -> Answer {
    patch_if(rest, file, None, body).await
}

async fn patch_if(rest: &Rest, file: &Value, tag: Option<&str>, body: Value) -> Answer {
    let request = rest.request(Method::PATCH, &id(file)).header("content-type", "application/json");
    let request = if let Some(tag) = tag { request.header("if-match", tag) } else { request };
    rest.send(request.body(body.to_string())).await
}

fn wrong_fields(answer: &Answer) -> Vec<String> {
    answer.problem(400, "invalid_argument");
    answer.json()["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap().to_owned()).collect()
}

async fn patches(ledger: Ledger) {
    let gateway = Plan::new(ledger).other("classifications = [\"red\", \"green\"]").start().await;
    let rest = gateway.rest("orders");
    let file = rest.put("/inbound/a.txt", b"content").await.ok();
    assert_eq!((&file["classification"], &file["tags"]), (&Value::Null, &json!({})), "{file}");

    // All at once.
    let all = json!({
        "path": "/partners/b.txt", "classification": "confidential", "tags": {"order": "4711", "größe": ""},
        "modified_at": "2020-01-02T03:04:05.000006+01:00",
    });
    let changed = patch(&rest, &file, all).await.ok();
    assert_eq!(changed["file_id"], file["file_id"]);
    assert_eq!(changed["path"], "/partners/b.txt");
    assert_eq!(changed["classification"], "confidential");
    assert_eq!(changed["tags"], json!({"order": "4711", "größe": ""}));
    assert_eq!(changed["modified_at"], "2020-01-02T02:04:05.000006Z");
    assert_eq!(changed["etag"], file["etag"]);
    assert_eq!(rest.get(&id(&file)).await.ok(), changed, "as it was answered");
    assert!(rest.entry("/inbound", "a.txt").await.is_none());
    let renamed = events_come(&rest, "file.renamed", "/partners/b.txt", 1).await;
    assert_eq!(renamed[0]["data"]["previous_path"], "/inbound/a.txt");
    let labelled = events_come(&rest, "file.attributes_changed", "/partners/b.txt", 1).await;
    assert_eq!(labelled[0]["data"]["operation"], "attributes");
    for operation in ["rename", "attributes"] {
        let entries = rest.pages(&format!("/audit?operation={operation}&path=/partners/b.txt"), "entries").await;
        assert_eq!(entries.len(), 1, "{operation}: {entries:?}");
    }

    // One thing at a time; what is not named stays; `null` takes the classification away, `{}` the tags.
    let changed = patch(&rest, &file, json!({"tags": {"a": "b"}})).await.ok();
    assert_eq!((&changed["classification"], &changed["tags"]), (&json!("confidential"), &json!({"a": "b"})));
    let changed = patch(&rest, &file, json!({"classification": null, "tags": {}})).await.ok();
    assert_eq!((&changed["classification"], &changed["tags"]), (&Value::Null, &json!({})));
    assert_eq!(patch(&rest, &file, json!({})).await.ok()["path"], "/partners/b.txt");
    // Into a folder, under its own name.
    assert_eq!(patch(&rest, &file, json!({"path": "/inbound/"})).await.ok()["path"], "/inbound/b.txt");
    // What was labelled under its temporary name keeps that when it arrives over what has none, or another one.
    let old = rest.put("/inbound/c.txt", b"old").await.ok();
    let new = rest.put("/inbound/c.txt.tmp", b"new").await.ok();
    patch(&rest, &new, json!({"classification": "restricted", "tags": {"k": "v"}})).await.ok();
    let arrived = patch(&rest, &new, json!({"path": "/inbound/c.txt", "overwrite": true})).await.ok();
    assert_eq!((&arrived["file_id"], &arrived["classification"]), (&old["file_id"], &json!("restricted")));
    assert_eq!((&arrived["tags"], arrived["size"].as_u64()), (&json!({"k": "v"}), Some(3)));
    // A folder is moved the same way, and has no labels.
    let folder = rest.post_json("/folders", &json!({"path": "/inbound/f"})).await.ok();
    assert_eq!(patch(&rest, &folder, json!({"path": "/inbound/g"})).await.ok()["path"], "/inbound/g");
    patch(&rest, &folder, json!({"classification": "public"})).await.problem(409, "is_folder");
    // What a tenant calls its classes is its own.
    let other = gateway.rest("other");
    let theirs = other.put("/x", b"x").await.ok();
    assert_eq!(patch(&other, &theirs, json!({"classification": "red"})).await.ok()["classification"], "red");
    assert_eq!(wrong_fields(&patch(&other, &theirs, json!({"classification": "public"})).await), ["classification"]);
    patch(&rest, &theirs, json!({"path": "/y"})).await.problem(404, "not_found");
}

async fn patches_are_all_or_nothing(ledger: Ledger) {
    let gateway = Plan::new(ledger).person("half", &["list", "download", "upload", "rename"]).start().await;
    let rest = gateway.rest("orders");
    let file = rest.put("/inbound/a", b"a").await.ok();
    let taken = rest.put("/inbound/taken", b"taken").await.ok();
    let unchanged = || async {
        assert_eq!(rest.get(&id(&file)).await.ok(), file);
        assert_eq!(rest.read("/inbound/taken").await.body, &b"taken"[..]);
    };
    let labels = json!({"a": "b"});
    patch(&rest, &file, json!({"path": "/inbound/taken", "tags": labels})).await.problem(409, "already_exists");
    unchanged().await;
    patch(&rest, &file, json!({"path": "/no/where", "tags": labels})).await.problem(404, "no_such_folder");
    unchanged().await;
    let bad = patch(&rest, &file, json!({"path": "/a/../b", "tags": labels})).await;
    bad.problem(400, "invalid_name");
    assert_eq!(bad.json()["errors"][0]["field"], "path");
    unchanged().await;
    let long = |n: usize| "x".repeat(n);
    let many: serde_json::Map<String, Value> = (0..33).map(|n| (n.to_string(), json!("v"))).collect();
    for (body, fields) in [
        (json!({"path": "/inbound/b", "classification": "secret"}), vec!["classification"]),
        (json!({"path": "/inbound/b", "tags": {long(65): "v"}}), vec!["tags"]),
        (json!({"path": "/inbound/b", "tags": {"k": long(257)}}), vec!["tags"]),
        (json!({"path": "/inbound/b", "tags": many}), vec!["tags"]),
        (json!({"path": "/inbound/b", "tags": {"k": 1}}), vec!["tags"]),
        (
            json!({"path": 1, "overwrite": "true", "modified_at": "now", "size": 3}),
            vec!["path", "overwrite", "modified_at", "size"],
        ),
    ] {
        assert_eq!(wrong_fields(&patch(&rest, &file, body.clone()).await), fields, "{body}");
        unchanged().await;
    }
    // Labels and times need `attributes`, which `dropper` has not; nor may it rename.
    let dropper = gateway.rest("dropper");
    for body in [json!({"tags": {}}), json!({"path": "/b"}), json!({"path": "/b", "tags": labels})] {
        patch(&dropper, &file, body).await.problem(403, "permission_denied");
    }
    unchanged().await;
    // A refusal by id names the path, too: the new one where there was to be one.
    events_come(&rest, "policy.violated", "/inbound/a", 1).await;
    for denied in events_come(&rest, "policy.violated", "/inbound/b", 2).await {
        let data = &denied["data"];
        assert_eq!((&data["previous_path"], &data["file_id"]), (&json!("/inbound/a"), &file["file_id"]), "{denied}");
    }
    // Replacing needs to be asked for.
    let moved = patch(&rest, &file, json!({"path": "/inbound/taken", "overwrite": true, "tags": labels})).await.ok();
    assert_eq!((&moved["file_id"], &moved["tags"]), (&file["file_id"], &labels));
    assert_eq!(rest.read("/inbound/taken").await.body, &b"a"[..]);
    rest.get(&id(&taken)).await.problem(404, "not_found");
}

async fn conditions(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let first = rest.put("/inbound/a", b"one").await.ok();
    let old = first["etag"].as_str().unwrap().to_owned();
    let current = rest.put("/inbound/a", b"two").await.ok()["etag"].as_str().unwrap().to_owned();
    for body in [json!({}), json!({"tags": {"a": "b"}}), json!({"path": "/inbound/b", "tags": {"a": "b"}})] {
        patch_if(&rest, &first, Some(&old), body.clone()).await.problem(412, "precondition_failed");
        patch_if(&rest, &first, Some(&format!("W/{current}")), body).await.problem(412, "precondition_failed");
    }
    assert_eq!(rest.get(&id(&first)).await.ok()["tags"], json!({}));
    patch_if(&rest, &first, Some("nonsense"), json!({})).await.problem(400, "invalid_argument");
    let changed = patch_if(&rest, &first, Some(&current), json!({"path": "/inbound/b", "tags": {"a": "b"}})).await;
    assert_eq!(changed.ok()["path"], "/inbound/b");
    patch_if(&rest, &first, Some("*"), json!({"tags": {}})).await.ok();

    let remove =
        |header: &'static str, value: &str| rest.send(rest.request(Method::DELETE, &id(&first)).header(header, value));
    remove("if-match", &old).await.problem(412, "precondition_failed");
    remove("if-none-match", &current).await.problem(412, "precondition_failed");
    remove("if-none-match", "*").await.problem(412, "precondition_failed");
    let long_ago = "Sat, 01 Jan 2000 00:00:00 GMT";
    remove("if-unmodified-since", long_ago).await.problem(412, "precondition_failed");
    assert_eq!(rest.read("/inbound/b").await.body, &b"two"[..]);
    assert_eq!(remove("if-match", &format!("{old}, {current}")).await.status, 204);
    rest.get(&id(&first)).await.problem(404, "not_found");
    events_come(&rest, "file.deleted", "/inbound/b", 1).await;
}

async fn copies(ledger: Ledger) {
    let gateway = Plan::new(ledger).edi_quota("100 KiB").start().await;
    let rest = gateway.rest("orders");
    let content = Bytes::from(vec![7; 60_000]);
    let file = rest.put("/inbound/a.bin", &content).await.ok();
    patch(&rest, &file, json!({"classification": "restricted", "tags": {"k": "v"}})).await.ok();
    let copy = |rest: Rest, body: Value| {
        let path = format!("{}/copy", id(&file));
        async move { rest.post_json(&path, &body).await }
    };
    let blobs = gateway.blob_files().len();
    let answer = copy(rest.clone(), json!({"destination": "/partners/b.bin"})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let made = answer.json();
    assert_ne!(made["file_id"], file["file_id"]);
    assert!(answer.header("location").ends_with(&id(&made)), "{answer:?}");
    assert_eq!(answer.header("etag"), file["etag"].as_str().unwrap());
    for (field, value) in [("path", json!("/partners/b.bin")), ("hash", file["hash"].clone())] {
        assert_eq!(made[field], value, "{made}");
    }
    assert_eq!(made["classification"], "restricted", "a copy is as confidential as what it is a copy of: {made}");
    assert_eq!(made["tags"], json!({"k": "v"}));
    assert_eq!(gateway.blob_files().len(), blobs, "by reference");
    assert_eq!(rest.read("/partners/b.bin").await.body, content);
    let told = events_come(&rest, "file.copied", "/partners/b.bin", 1).await;
    assert_eq!(told[0]["data"]["previous_path"], "/inbound/a.bin");
    // The copy outlives what it is a copy of.
    let answer = copy(rest.clone(), json!({"destination": "/partners/"})).await;
    assert_eq!(answer.ok()["path"], "/partners/a.bin");
    copy(rest.clone(), json!({"destination": "/partners/"})).await.problem(409, "already_exists");
    assert_eq!(copy(rest.clone(), json!({"destination": "/partners/", "overwrite": true})).await.status, 201);
    copy(rest.clone(), json!({"destination": "/no/x"})).await.problem(404, "no_such_folder");
    copy(rest.clone(), json!({"destination": "/inbound"})).await.problem(409, "is_folder");
    assert_eq!(wrong_fields(&copy(rest.clone(), json!({"to": "/x"})).await), ["destination", "to"]);
    // Charged in full, whoever made the first.
    assert_eq!(copy(gateway.rest("edi"), json!({"destination": "/inbound/c.bin"})).await.status, 201);
    copy(gateway.rest("edi"), json!({"destination": "/inbound/d.bin"})).await.problem(507, "quota_exceeded");
    copy(gateway.rest("reader"), json!({"destination": "/inbound/e.bin"})).await.problem(403, "permission_denied");
    copy(gateway.rest("other"), json!({"destination": "/e.bin"})).await.problem(404, "not_found");
    rest.delete(&id(&file)).await;
    assert_eq!(rest.read("/partners/b.bin").await.body, content);
    // A copy of what has no labels takes none away from what it replaces.
    let plain = rest.put("/inbound/plain", b"plain").await.ok();
    let over = json!({"destination": "/partners/b.bin", "overwrite": true});
    let replaced = rest.post_json(&format!("{}/copy", id(&plain)), &over).await.ok();
    assert_eq!((&replaced["hash"], &replaced["classification"]), (&plain["hash"], &json!("restricted")));
    assert_eq!((&replaced["file_id"], &replaced["tags"]), (&made["file_id"], &json!({"k": "v"})));
}

/// An identity that sees a folder twice, once without `delete`, does not remove what that is in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_below_keeps_a_folder() {
    let keeper = format!(
        "username = \"keeper01\"\nidentity = \"keeper\"\nprotocols = [\"sftp\"]\n\
         [[tenant.identity]]\nid = \"keeper\"\nscopes = [\"files:read\", \"files:write\"]\n\
         view = [{{ at = \"/\", path = \"/inbound\", permissions = [\"*\"] }}, \
         {{ at = \"/seen\", path = \"/inbound/t/locked\", permissions = [\"list\", \"download\"] }}]\n\
         [[tenant.api_key]]\nid = \"keeper\"\nidentity = \"keeper\"\nkey_hash = \"{}\"\n",
        sha256(api_key("keeper").as_bytes())
    );
    let gateway = Plan::new(Ledger::Sqlite).whole_login(&keeper).start().await;
    let (rest, keeper) = (gateway.rest("orders"), gateway.rest("keeper"));
    tree(&rest, "/inbound/t", 1, 1).await;
    assert_eq!(rest.upload("/inbound/t/locked", "x", b"x", false).await.status, 201);
    let refused = keeper.delete("/folders?path=/t&recursive=true").await;
    refused.problem(403, "permission_denied");
    assert!(refused.json()["detail"].as_str().unwrap().contains("`/seen`"), "{refused:?}");
    assert_eq!(&rest.read("/inbound/t/locked/x").await.body[..], b"x");
    events_come(&rest, "policy.violated", "/inbound/t", 1).await;
    assert_eq!(keeper.delete("/folders?path=/t/0&recursive=true").await.status, 204, "beside it there is no such rule");
    assert_eq!(rest.tree("/inbound/t").await.len(), 2);
}

async fn tree(rest: &Rest, top: &str, folders: usize, files: usize) {
    rest.post_json("/folders", &json!({ "path": top })).await.ok();
    for n in 0..folders {
        for file in 0..files {
            let answer = rest.upload(&format!("{top}/{n}/deep/er"), &file.to_string(), b"0123456789", false).await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
    }
}

async fn whole_folders(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    tree(&rest, "/inbound/t", 3, 4).await;
    let inside = rest.entry("/inbound/t/0/deep/er", "0").await.unwrap();
    let folder = rest.entry("/inbound", "t").await.unwrap();
    events_come(&rest, "file.uploaded", "/inbound/t/2/deep/er/3", 1).await;
    let before = rest.get("/events?limit=1000").await.ok()["events"].as_array().unwrap().len();
    assert_eq!(rest.delete("/folders?path=/inbound/t").await.status, 409, "without `recursive` it must be empty");
    let answer = rest.delete("/folders?path=/inbound/t&recursive=true").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
    // At once, by path and by id.
    assert!(rest.tree("/inbound").await.is_empty());
    rest.read("/inbound/t/0/deep/er/0").await.problem(404, "no_such_folder");
    for gone in [&inside, &folder] {
        rest.get(&id(gone)).await.problem(404, "not_found");
        patch(&rest, gone, json!({"path": "/inbound/back"})).await.problem(404, "not_found");
    }
    rest.delete("/folders?path=/inbound/t&recursive=true").await.problem(404, "not_found");
    // One event for all of it.
    events_come(&rest, "folder.deleted", "/inbound/t", 1).await;
    let after = rest.get("/events?limit=1000").await.ok()["events"].as_array().unwrap().len();
    assert_eq!(after, before + 1);
    // The name is free.
    rest.put("/inbound/t", b"a file now").await.ok();
    rest.delete("/folders?path=/inbound/t&recursive=true").await.problem(409, "not_folder");
    // The root, the folders of a view, and what a rule below protects.
    for path in ["/", "/inbound"] {
        let answer = gateway.rest("edi").delete(&format!("/folders?path={path}&recursive=true")).await;
        answer.problem(403, "permission_denied");
    }
    rest.delete("/folders?path=/&recursive=true").await.problem(403, "permission_denied");
    tree(&rest, "/inbound/kept", 1, 1).await;
    gateway.rest("dropper").delete("/folders?path=/kept&recursive=true").await.problem(403, "permission_denied");
    gateway.rest("mill").delete("/folders?path=/kept&recursive=true").await.ok();
    rest.delete("/folders?path=/inbound&recursive=perhaps").await.problem(400, "invalid_argument");
}

async fn quota_comes_back(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).edi_quota("1 MiB").uploads("blob_grace = \"0s\"").start().await;
    let edi = gateway.rest("edi");
    for n in 0..8 {
        assert_eq!(edi.upload("/inbound/full", &n.to_string(), &vec![1; 120_000], false).await.status, 201);
    }
    edi.put("/inbound/more", &[1; 200_000]).await.problem(507, "quota_exceeded");
    assert_eq!(gateway.blob_files().len(), 8);
    // Killed right behind the answer: the next process goes on with it.
    assert_eq!(edi.delete("/folders?path=/inbound/full&recursive=true").await.status, 204);
    gateway.kill().await;
    gateway.start().await;
    let edi = gateway.rest("edi");
    assert!(edi.tree("/inbound").await.is_empty(), "what was acknowledged stays done");
    eventually("the quota is given back", Duration::from_secs(30), || async {
        (edi.put("/inbound/more", &[1; 900_000]).await.status < 300).then_some(())
    })
    .await;
    eventually("the content is removed", Duration::from_mins(1), || async {
        (gateway.blob_files().len() == 1).then_some(())
    })
    .await;
    assert_valid(&gateway).await;
}

async fn assert_valid(gateway: &Gateway) {
    let verified = gateway.rest("orders").get("/audit/verify").await.ok();
    assert_eq!(verified["valid"], true, "{verified}");
}
