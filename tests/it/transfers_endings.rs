//! Transfers in the background that do not simply come to their end: cancelled, killed, stopped, overtaken, and what may pass.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Gateway, Ledger, Plan, Random, Rest, eventually, on_both_ledgers, sftp, sha256};
use crate::transfers::{LONG, ask, end_of, events_come_with, events_with, fill, status, wish};

on_both_ledgers!(
    a_running_one_is_cancelled_at_once,
    a_killed_process_loses_and_doubles_nothing,
    a_stopped_process_hands_its_work_back,
    what_may_pass_is_tried_again,
    a_key_that_is_gone_ends_it,
    no_body_is_as_good_as_an_empty_object,
);

const LARGE: u64 = 1536 << 20;

async fn with_large_file(plan: Plan) -> (Gateway, Rest, String) {
    let gateway = plan.far().start().await;
    let rest = gateway.rest("orders");
    rest.post_json("/folders", &json!({"path": "/far"})).await.ok();
    // Zeros that nobody has to send; copied to another storage they are written.
    let mut app = gateway.sftp("app01").await;
    let handle = app.open("/inbound/large", sftp::W | sftp::CREATE).await.unwrap();
    app.write(&handle, LARGE - 1, b"x").await.unwrap();
    app.close(&handle).await.unwrap();
    let hash = rest.entry("/inbound", "large").await.unwrap()["hash"].as_str().unwrap().to_owned();
    (gateway, rest, hash)
}

/// Waits until some of the large file is copied; what is told of it then.
async fn under_way(rest: &Rest, id: &str) -> Value {
    eventually("some of the file", LONG, || async {
        let seen = status(rest, id).await;
        assert_ne!(seen["state"], "completed", "the file is too small for this: {seen}");
        (seen["bytes"].as_u64().unwrap() > 0).then_some(seen)
    })
    .await
}

async fn a_running_one_is_cancelled_at_once(ledger: Ledger) {
    let (gateway, rest, hash) = with_large_file(Plan::new(ledger)).await;
    let before = gateway.blob_files().len();
    let id = ask(&rest, &json!({"source": "/inbound/large", "destination": "/far/large"})).await;
    let seen = under_way(&rest, &id).await;
    assert_eq!((&seen["state"], &seen["size"]), (&json!("running"), &json!(LARGE)), "{seen}");
    assert!(seen["percent"].as_f64().unwrap() > 0.0 && seen["percent"].as_f64().unwrap() < 100.0, "{seen}");
    wish(&rest, &id, "retry").await.problem(409, "wrong_transfer_state");
    let answer = wish(&rest, &id, "cancel").await;
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("cancelled")));
    assert_eq!(status(&rest, &id).await["state"], "cancelled");
    // Whoever worked on it lets go of it soon, and leaves nothing behind.
    eventually("the worker's end", Duration::from_secs(5), || async {
        gateway.log().contains("was cancelled").then_some(())
    })
    .await;
    assert!(rest.entry("/far", "large").await.is_none());
    assert_eq!(gateway.blob_files().len(), before);
    assert_eq!(events_come_with(&rest, &id, "transfer.cancelled", 1).await.len(), 1);
    assert!(events_with(&rest, &id, "upload.incomplete").await.is_empty(), "nobody sent anything");
    assert_eq!(wish(&rest, &id, "cancel").await.status, 202, "it is so already");
    let empty = rest.post_json(&format!("/transfers/{id}/cancel"), &json!({})).await;
    assert_eq!((empty.status, &empty.json()["state"]), (202, &json!("cancelled")), "{empty:?}");
    assert_eq!(wish(&rest, &id, "retry").await.status, 202);
    assert_eq!(end_of(&rest, &id).await["state"], "completed");
    assert_eq!(rest.entry("/far", "large").await.unwrap()["hash"], hash);
    assert_eq!(events_with(&rest, &id, "transfer.cancelled").await.len(), 1);
    assert_eq!(events_come_with(&rest, &id, "transfer.completed", 1).await.len(), 1);
}

async fn no_body_is_as_good_as_an_empty_object(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    fill(&rest, &["/s/1", "/d/1"]).await;
    let id = ask(&rest, &json!({"source": "/s/1", "destination": "/d/"})).await;
    assert_eq!(end_of(&rest, &id).await["state"], "failed");
    let empty = async |what: &str| rest.post_json(&format!("/transfers/{id}/{what}"), &json!({})).await;
    wish(&rest, &id, "cancel").await.problem(409, "wrong_transfer_state");
    empty("cancel").await.problem(409, "wrong_transfer_state");
    for attempt in [2, 3] {
        let answer = if attempt == 2 { wish(&rest, &id, "retry").await } else { empty("retry").await };
        assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("queued")), "{answer:?}");
        assert_eq!(end_of(&rest, &id).await["state"], "failed", "the name is still taken");
        assert_eq!(events_come_with(&rest, &id, "transfer.failed", attempt).await.len(), attempt);
    }
}

async fn many_files(rest: &Rest, count: usize) {
    let paths: Vec<String> = (0..count).map(|n| format!("/many/{}/{n}", n % 7)).collect();
    fill(rest, &paths.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// Waits until so many files are done.
async fn done(rest: &Rest, id: &str, count: u64) -> u64 {
    eventually("some files", LONG, || async {
        let done = status(rest, id).await["files_done"].as_u64().unwrap();
        (done >= count).then_some(done)
    })
    .await
}

/// Every file is in the new place, was told of once, and the transfer ended once.
async fn is_whole(rest: &Rest, id: &str, operation: &str, count: usize) {
    let seen = end_of(rest, id).await;
    assert_eq!((&seen["state"], &seen["files_done"]), (&json!("completed"), &json!(count)), "{seen}");
    let files: BTreeMap<String, String> =
        rest.tree("/to").await.into_iter().filter(|(_, hash)| hash != "folder").collect();
    assert_eq!(files.len(), count);
    for (path, hash) in &files {
        let source = path.replacen("/to", "/many", 1);
        assert_eq!(*hash, sha256(source.as_bytes()), "{path}");
    }
    events_come_with(rest, id, "transfer.completed", 1).await;
    let kind = if operation == "copy" { "file.copied" } else { "file.renamed" };
    let mut told: Vec<String> = events_with(rest, id, kind)
        .await
        .iter()
        .map(|event| event["data"]["path"].as_str().unwrap().to_owned())
        .collect();
    told.sort();
    assert!(told.iter().eq(files.keys()), "each file was told of once: {} of {count}", told.len());
    for (kind, times) in [("transfer.completed", 1), ("transfer.failed", 0), ("transfer.queued", 1)] {
        assert_eq!(events_with(rest, id, kind).await.len(), times, "{kind}");
    }
}

async fn a_killed_process_loses_and_doubles_nothing(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    let count = 200;
    many_files(&gateway.rest("orders"), count).await;
    for operation in ["copy", "move"] {
        let rest = gateway.rest("orders");
        let body = json!({"source": "/many/**", "destination": "/to", "operation": operation});
        let id = ask(&rest, &body).await;
        for at in [20, 70, 120] {
            done(&gateway.rest("orders"), &id, at).await;
            gateway.kill().await;
            gateway.start().await;
        }
        let rest = gateway.rest("orders");
        is_whole(&rest, &id, operation, count).await;
        let seen = status(&rest, &id).await;
        assert!(seen["attempts"].as_u64().unwrap() >= 2, "{seen}");
        let left = rest.tree("/many").await.values().filter(|hash| *hash != "folder").count();
        assert_eq!(left, if operation == "copy" { count } else { 0 });
        rest.delete("/folders?path=/to&recursive=true").await.ok();
    }
    let report = gateway.run(&["audit", "verify"]);
    assert!(report.status.success(), "{report:?}");
}

async fn a_stopped_process_hands_its_work_back(ledger: Ledger) {
    let (mut gateway, _, hash) = with_large_file(Plan::new(ledger)).await;
    let (mut here, mut there) = ("/inbound", "/far");
    for turn in 0.. {
        let rest = gateway.rest("orders");
        let names =
            json!({"source": format!("{here}/large"), "destination": format!("{there}/large"), "operation": "move"});
        let id = ask(&rest, &names).await;
        under_way(&rest, &id).await;
        let began = Instant::now();
        gateway.stop().await;
        assert!(began.elapsed() < Duration::from_secs(20), "it waited for the file");
        gateway.change(|plan| plan.transfers("workers = 0"));
        gateway.start().await;
        let seen = status(&gateway.rest("orders"), &id).await;
        // On a fast disk it may be over before the process hears of its end: then the other way.
        let early = seen["state"] == "completed" && turn < 5;
        if !early {
            assert_eq!((&seen["state"], &seen["attempts"]), (&json!("queued"), &json!(0)), "{seen}");
        }
        gateway.stop().await;
        gateway.change(Plan::without_transfers);
        gateway.start().await;
        let rest = gateway.rest("orders");
        let seen = end_of(&rest, &id).await;
        assert_eq!((&seen["state"], &seen["attempts"]), (&json!("completed"), &json!(1)), "{seen}");
        assert_eq!(rest.entry(there, "large").await.unwrap()["hash"], hash);
        assert_eq!(events_come_with(&rest, &id, "transfer.completed", 1).await.len(), 1);
        if !early {
            break;
        }
        (here, there) = (there, here);
    }
}

async fn what_may_pass_is_tried_again(ledger: Ledger) {
    let plan = Plan::new(ledger).transfers("retry_delay = \"200ms\"\nmax_attempts = 3");
    let gateway = plan.far().start().await;
    let rest = gateway.rest("orders");
    rest.post_json("/folders", &json!({"path": "/far"})).await.ok();
    rest.put("/inbound/a", &Random::seeded("again").bytes(300_000)).await.ok();
    // The storage cannot be written to: a file is where its folder should be.
    let folder = gateway.data().join("far/acme");
    let _ = fs::remove_dir_all(&folder);
    fs::write(&folder, b"in the way").unwrap();
    let id = ask(&rest, &json!({"source": "/inbound/a", "destination": "/far/a"})).await;
    let seen = eventually("another attempt", LONG, || async {
        let seen = status(&rest, &id).await;
        (seen["state"] == "retrying").then_some(seen)
    })
    .await;
    assert!(seen["error_code"].is_string() && seen["finished_at"].is_null(), "{seen}");
    let seen = end_of(&rest, &id).await;
    assert_eq!((&seen["state"], &seen["attempts"]), (&json!("failed"), &json!(3)), "{seen}");
    assert_eq!(
        events_come_with(&rest, &id, "transfer.failed", 1).await.len(),
        1,
        "one end, however often it was tried"
    );
    fs::remove_file(&folder).unwrap();
    assert_eq!(wish(&rest, &id, "retry").await.status, 202);
    let seen = end_of(&rest, &id).await;
    assert_eq!((&seen["state"], &seen["attempts"]), (&json!("completed"), &json!(1)), "{seen}");
}

async fn a_key_that_is_gone_ends_it(ledger: Ledger) {
    let scopes = ["files:read", "files:write", "transfers:read", "transfers:write"];
    let view = r#"[{ at = "/", path = "/inbound", permissions = ["*"] }]"#;
    let bare = Plan::new(ledger).transfers("workers = 0");
    let mut gateway = bare.clone().keyed("passing", &scopes, view).start().await;
    gateway.rest("orders").put("/inbound/a", b"x").await.ok();
    let id = ask(&gateway.rest("passing"), &json!({"source": "/a", "destination": "/b"})).await;
    gateway.stop().await;
    gateway.change(|_| bare.without_transfers());
    gateway.start().await;
    let ops = gateway.rest("ops");
    let seen = end_of(&ops, &id).await;
    assert_eq!((&seen["state"], &seen["error_code"]), (&json!("failed"), &json!("unauthenticated")), "{seen}");
    assert!(gateway.rest("orders").entry("/inbound", "b").await.is_none());
    assert_eq!(events_come_with(&ops, &id, "policy.violated", 1).await.len(), 1);
}

/// A process that was stopped past its lease, and knows nothing of it, changes nothing when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_overtaken_writes_no_more() {
    if crate::harness::plan::postgres_url().is_none() {
        return;
    }
    let count = 300;
    let first = Plan::new(Ledger::Postgres).transfers("lease = \"2s\"").start().await;
    many_files(&first.rest("orders"), count).await;
    let id = ask(&first.rest("orders"), &json!({"source": "/many/**", "destination": "/to"})).await;
    done(&first.rest("orders"), &id, 30).await;
    first.pause();
    let mut second = first.beside(|plan| plan).await;
    let rest = second.rest("orders");
    let seen = eventually("the second node's work", Duration::from_mins(2), || async {
        let seen = status(&rest, &id).await;
        (seen["attempts"] == 2 || seen["state"] == "completed").then_some(seen)
    })
    .await;
    assert!(seen["files_done"].as_u64().unwrap() >= 30, "{seen}");
    // It goes on while the other one works.
    first.go_on();
    eventually("the first node finds out", LONG, || async {
        first.log().contains("by somebody else by now").then_some(())
    })
    .await;
    is_whole(&rest, &id, "copy", count).await;
    assert_eq!(status(&rest, &id).await["attempts"], 2);
    second.stop().await;
}

/// A job is cancelled on a node that does not work on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_cancels() {
    if crate::harness::plan::postgres_url().is_none() {
        return;
    }
    let (first, rest, _) = with_large_file(Plan::new(Ledger::Postgres)).await;
    let second = first.beside(|plan| plan.without_transfers().transfers("workers = 0")).await;
    let id = ask(&second.rest("orders"), &json!({"source": "/inbound/large", "destination": "/far/large"})).await;
    under_way(&rest, &id).await;
    let answer = wish(&second.rest("orders"), &id, "cancel").await;
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("cancelled")), "{answer:?}");
    eventually("the first node's worker lets go", Duration::from_secs(5), || async {
        first.log().contains("was cancelled").then_some(())
    })
    .await;
    assert_eq!(status(&rest, &id).await["state"], "cancelled");
    assert!(rest.entry("/far", "large").await.is_none());
}
