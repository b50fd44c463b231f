//! Settings that are changed while the gateway runs, what is shown of the configuration, and what is used of the quotas.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::admin::{delete, made, plan, put, tag};
use crate::harness::{Ledger, Sftp, eventually, on_both_ledgers};

async fn limits_count_at_once_and_are_taken_back(ledger: Ledger) {
    let mut gateway = plan(ledger).limits("max_file_size = \"1 MiB\"\nfailed_logins = 50").start().await;
    let (root, files) = (gateway.rest("root"), gateway.rest("orders"));
    let before = root.get("/config/limits").await;
    assert_eq!(before.header("etag"), "\"c0\"");
    let before = before.ok();
    assert_eq!((&before["max_file_size"], &before["overridden"]), (&json!(1 << 20), &json!([])));
    assert_eq!(files.put("/inbound/a", &[7; 5000]).await.status, 201);

    gateway.rest("ops").get("/config/limits").await.problem(403, "permission_denied");
    put(&gateway.rest("ops"), "/config/limits", None, &json!({})).await.problem(403, "permission_denied");
    let answer =
        put(&root, "/config/limits", None, &json!({ "max_file_size": 0, "ban": "soon", "failed_logins": 0, "x": 1 }))
            .await;
    assert_eq!(answer.json()["errors"][0]["field"], "x", "{answer:?}");
    let answer =
        put(&root, "/config/limits", None, &json!({ "max_file_size": 0, "ban": "soon", "failed_logins": 0 })).await;
    let fields: Vec<Value> = answer.json()["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
    assert_eq!(fields, ["max_file_size", "failed_logins", "ban"]);
    put(&root, "/config/limits", Some("\"v1\""), &json!({})).await.problem(412, "precondition_failed");

    let set =
        put(&root, "/config/limits", Some("\"c0\""), &json!({ "max_file_size": 4096, "requests_per_minute": 5000 }))
            .await
            .ok();
    assert_eq!(set["max_file_size"], 4096);
    assert_eq!(set["overridden"], json!(["max_file_size", "requests_per_minute"]));
    files.put("/inbound/b", &[7; 5000]).await.problem(413, "file_too_large");
    let answer = files.get("/files").await;
    assert!(answer.header("ratelimit-policy").contains("\"identity\";q=5000"), "{answer:?}");
    let mut sftp = gateway.sftp("app01").await;
    assert!(sftp.put("/inbound/b", &[7; 5000]).await.is_err());
    // It is there after a restart, and the trail has it.
    gateway.kill().await;
    gateway.start().await;
    let (root, files) = (gateway.rest("root"), gateway.rest("orders"));
    files.put("/inbound/b", &[7; 5000]).await.problem(413, "file_too_large");
    put(&root, "/config/limits", None, &json!({})).await.problem(428, "precondition_required");
    let mine = root.get("/audit?operation=admin&outcome=ok").await.ok();
    assert_eq!(mine["entries"][0]["object_kind"], "setting");
    assert_eq!(mine["entries"][0]["after"], json!({ "max_file_size": 4096, "requests_per_minute": 5000 }));
    assert_eq!(delete(&root, "/config/limits", Some(&tag(&root, "/config/limits").await)).await.status, 204);
    assert_eq!(files.put("/inbound/b", &[7; 5000]).await.status, 201);
    delete(&root, "/config/limits", Some("*")).await.problem(404, "not_found");

    // Failed logins: one is too many now.
    let strict = json!({ "failed_logins": 1, "ban": "15m" });
    put(&root, "/config/limits", None, &strict).await.ok();
    assert!(Sftp::by_password(gateway.sftp, "edi02", Some("wrong")).await.is_err());
    assert!(Sftp::by_password(gateway.sftp, "edi02", None).await.is_err(), "it has to wait");
}

async fn uploads_expire_as_is_set(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let root = gateway.rest("root");
    assert_eq!(root.get("/config/uploads").await.ok()["incomplete_expiry"], "7d");
    put(&root, "/config/uploads", None, &json!({ "incomplete_expiry": "1h" })).await.ok();
    let files = gateway.rest("orders");
    let begun = files.post_json("/uploads", &json!({ "path": "/inbound/x", "size": 10 })).await.ok();
    let moment = |text: &Value| {
        time::OffsetDateTime::parse(text.as_str().unwrap(), &time::format_description::well_known::Rfc3339).unwrap()
    };
    let left = moment(&begun["expires_at"]) - time::OffsetDateTime::now_utc();
    assert!(left <= time::Duration::hours(1) && left > time::Duration::minutes(50), "{begun}");
}

async fn the_configuration_is_shown_without_secrets(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let root = gateway.rest("root");
    gateway.rest("ops").get("/config").await.problem(403, "permission_denied");
    let shown = root.get("/config").await.ok();
    assert_eq!(shown["limits"]["failed_logins"], 10, "what is not said, too");
    assert_eq!(shown["file"]["node"]["name"], "gw-test");
    let login = &shown["file"]["tenant"][0]["login"][0];
    assert_eq!((&login["username"], &login["password_hash"]), (&json!("edi01"), &json!("(set)")));
    let whole = shown.to_string();
    assert!(!whole.contains("argon2"), "{whole}");
    if ledger == Ledger::Postgres {
        assert_eq!(shown["file"]["database"]["url"], "env:CAUSEWAY_DATABASE_URL");
    }
}

async fn usage_is_told_against_the_quotas(ledger: Ledger) {
    let gateway = plan(ledger).edi_quota("1 GiB").start().await;
    let (ops, root) = (gateway.rest("ops"), gateway.rest("root"));
    gateway.rest("edi").put("/inbound/a", &[7; 1234]).await.ok();
    gateway.rest("mill").put("/b", &[7; 100]).await.ok();
    gateway.rest("mill").put("/c", &[7; 11]).await.ok();
    let used = ops.get("/usage").await.ok();
    let of =
        |id: &str| used["identities"].as_array().unwrap().iter().find(|one| one["identity"] == id).unwrap().clone();
    assert_eq!(of("edi-partner"), json!({ "identity": "edi-partner", "quota": 1 << 30, "bytes": 1234, "files": 1 }));
    assert_eq!(of("mill"), json!({ "identity": "mill", "quota": null, "bytes": 111, "files": 2 }));
    assert_eq!((&used["bytes"], &used["files"], &used["quota"]), (&json!(1345), &json!(3), &json!(1_u64 << 40)));
    gateway.rest("orders").get("/usage").await.problem(403, "permission_denied");
    ops.get("/usage?tenant=other").await.problem(404, "not_found");
    assert_eq!(root.get("/usage?tenant=other").await.ok()["bytes"], 0);
}

on_both_ledgers!(
    limits_count_at_once_and_are_taken_back,
    uploads_expire_as_is_set,
    the_configuration_is_shown_without_secrets,
    usage_is_told_against_the_quotas,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_reach_other_nodes() {
    if crate::harness::plan::postgres_url().is_none() {
        return;
    }
    let one = plan(Ledger::Postgres).start().await;
    let other = one.beside(|plan| plan).await;
    put(&one.rest("root"), "/config/limits", None, &json!({ "max_file_size": 4096 })).await.ok();
    let files = other.rest("orders");
    eventually("the limit counts there", Duration::from_secs(20), async || {
        (files.put("/inbound/b", &[7; 5000]).await.status == 413).then_some(())
    })
    .await;
    let made_there = made(&other.rest("ops"), "/identities", json!({ "id": "late" })).await;
    assert_eq!(made_there["id"], "late");
    let gone = other.rest("root").request(Method::DELETE, "/config/limits").header("if-match", "*");
    assert_eq!(other.rest("root").send(gone).await.status, 204);
    eventually("and is taken back here", Duration::from_secs(20), async || {
        (one.rest("orders").put("/inbound/b", &[7; 5000]).await.status < 300).then_some(())
    })
    .await;
}
