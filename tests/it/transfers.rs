//! Transfers in the background: what is copied and moved, what is told of it, who may do it, and how it is asked for.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::rest::Answer;
use crate::harness::{Ftps, Ledger, Plan, Random, Receiver, Rest, eventually, on_both_ledgers, sftp, sha256};
use crate::spine::{audit_of, events_come, events_of};

on_both_ledgers!(
    files_are_copied_and_moved,
    folders_are_copied_and_moved,
    patterns_choose_files,
    a_request_counts_once,
    priorities_and_turns,
    what_failed_is_retried,
    permissions_hold_for_every_file,
    the_quota_holds,
    webhooks_can_be_left_out,
    all_protocols_are_listed,
    others_know_nothing,
);

pub const LONG: Duration = Duration::from_mins(1);

/// Asks for a transfer; its id.
pub async fn ask(rest: &Rest, body: &Value) -> String {
    let answer = rest.post_json("/transfers", body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let asked = answer.json();
    let id = asked["transfer_id"].as_str().unwrap().to_owned();
    assert_eq!(asked["state"], "queued", "{asked}");
    assert!(answer.header("location").ends_with(&format!("/api/v1/transfers/{id}")), "{answer:?}");
    assert!(asked["status_url"].as_str().unwrap().ends_with(&format!("/api/v1/transfers/{id}/status")), "{asked}");
    id
}

pub async fn status(rest: &Rest, id: &str) -> Value {
    rest.get(&format!("/transfers/{id}/status")).await.ok()
}

/// Waits for the end of a transfer.
pub async fn end_of(rest: &Rest, id: &str) -> Value {
    eventually("the end of the transfer", LONG, || async {
        let seen = status(rest, id).await;
        ["completed", "failed", "cancelled"].contains(&seen["state"].as_str().unwrap()).then_some(seen)
    })
    .await
}

/// Asks, and waits for the end.
async fn transfer(rest: &Rest, body: Value) -> Value {
    let id = ask(rest, &body).await;
    end_of(rest, &id).await
}

pub async fn wish(rest: &Rest, id: &str, what: &str) -> Answer {
    rest.send(rest.request(Method::POST, &format!("/transfers/{id}/{what}"))).await
}

/// The events of a transfer, by kind.
pub async fn events_with(rest: &Rest, id: &str, kind: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let page = rest.get(&format!("/events?type={kind}&limit=1000{after}")).await.ok();
        all.extend(page["events"].as_array().unwrap().iter().filter(|e| e["transfer_id"] == id).cloned());
        match page["next_cursor"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

/// Waits until there are so many, and says which.
pub async fn events_come_with(rest: &Rest, id: &str, kind: &str, count: usize) -> Vec<Value> {
    eventually(kind, LONG, || async {
        let events = events_with(rest, id, kind).await;
        (events.len() >= count).then_some(events)
    })
    .await
}

fn state_and_code(seen: &Value) -> (&str, &str) {
    (seen["state"].as_str().unwrap_or_default(), seen["error_code"].as_str().unwrap_or_default())
}

async fn files_are_copied_and_moved(ledger: Ledger) {
    let gateway = Plan::new(ledger).far().start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("transfers").bytes(3_000_000);
    let file = rest.put("/inbound/a.bin", &content).await.ok();
    let id = ask(&rest, &json!({"source": "/inbound/a.bin", "destination": "/new/deep/b.bin"})).await;
    let seen = end_of(&rest, &id).await;
    assert_eq!(
        (&seen["state"], &seen["percent"], &seen["attempts"]),
        (&json!("completed"), &json!(100.0), &json!(1)),
        "{seen}"
    );
    assert_eq!((&seen["source"], &seen["destination"]), (&json!("/inbound/a.bin"), &json!("/new/deep/b.bin")));
    assert_eq!((&seen["bytes"], &seen["size"]), (&json!(content.len()), &json!(content.len())), "{seen}");
    assert_eq!((&seen["protocol"], &seen["operation"]), (&json!("transfer"), &json!("copy")));
    for field in ["created_at", "started_at", "finished_at"] {
        assert!(seen[field].as_str().unwrap().ends_with('Z'), "{field}: {seen}");
    }
    assert_eq!((&seen["error_code"], &seen["error_message"]), (&Value::Null, &Value::Null));
    assert_eq!(
        seen["files"],
        json!([{"source": "/inbound/a.bin", "destination": "/new/deep/b.bin", "size": content.len(),
        "state": "done", "error_code": null, "error_message": null}])
    );
    assert_eq!(rest.get(&format!("/transfers/{id}")).await.ok(), seen);
    assert_eq!(rest.read("/new/deep/b.bin").await.body, content);
    let copy = rest.entry("/new/deep", "b.bin").await.unwrap();
    assert_eq!(copy["hash"], file["hash"]);
    assert_eq!(copy["created_by"], json!({"identity": "orders-app", "login": "orders", "protocol": "transfer"}));
    // Its trail: one event for each thing that was done, all under its id, and one end.
    let copied = events_come_with(&rest, &id, "file.copied", 1).await;
    assert_eq!((copied.len(), &copied[0]["data"]["protocol"]), (1, &json!("transfer")), "{copied:?}");
    assert_eq!(copied[0]["data"]["previous_path"], "/inbound/a.bin");
    assert_eq!(events_with(&rest, &id, "folder.created").await.len(), 2);
    let ends = events_come_with(&rest, &id, "transfer.completed", 1).await;
    assert_eq!((ends.len(), &ends[0]["data"]["operation"]), (1, &json!("transfer")), "{ends:?}");
    assert_eq!(events_with(&rest, &id, "transfer.queued").await.len(), 1);
    let entries = audit_of(&rest, "copy", "/new/deep/b.bin").await;
    assert_eq!((entries.len(), &entries[0]["transfer_id"]), (1, &json!(id)), "{entries:?}");
    assert!(audit_of(&rest, "transfer", "/").await.is_empty(), "transfer.* leave no entry of their own");

    // Into a folder, by a slash or because it is one; a file that is there is not replaced unless that was asked for.
    for (destination, state) in [("/inbound/made/", "completed"), ("/inbound/made", "failed")] {
        let seen = transfer(&rest, json!({"source": "/new/deep/b.bin", "destination": destination})).await;
        assert_eq!(seen["state"], state, "{seen}");
        assert_eq!(seen["files"][0]["destination"], "/inbound/made/b.bin");
    }
    let replace = json!({"source": "/new/deep/b.bin", "destination": "/inbound/made", "overwrite": true});
    assert_eq!(transfer(&rest, replace).await["state"], "completed");

    // A move keeps the id; into another storage, too.
    let moved = json!({"source": "/inbound/a.bin", "destination": "/inbound/c.bin", "operation": "move"});
    let id = ask(&rest, &moved).await;
    assert_eq!(end_of(&rest, &id).await["bytes"], content.len());
    assert_eq!(rest.entry("/inbound", "c.bin").await.unwrap()["file_id"], file["file_id"]);
    rest.read("/inbound/a.bin").await.problem(404, "not_found");
    assert_eq!(events_come_with(&rest, &id, "file.renamed", 1).await[0]["data"]["previous_path"], "/inbound/a.bin");
    rest.post_json("/folders", &json!({"path": "/far"})).await.ok();
    for (operation, from, to) in [("copy", "/inbound/c.bin", "/far/d.bin"), ("move", "/inbound/c.bin", "/far/c.bin")] {
        let seen = transfer(&rest, json!({"source": from, "destination": to, "operation": operation})).await;
        assert_eq!((seen["state"].as_str().unwrap(), &seen["bytes"]), ("completed", &json!(content.len())), "{seen}");
        assert_eq!(rest.read(to).await.body, content);
    }
    rest.read("/inbound/c.bin").await.problem(404, "not_found");
    assert_eq!(rest.entry("/far", "c.bin").await.unwrap()["file_id"], file["file_id"]);
}

/// Makes files whose content is their own path.
pub async fn fill(rest: &Rest, paths: &[&str]) {
    for path in paths {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let answer = rest.upload(if folder.is_empty() { "/" } else { folder }, name, path.as_bytes(), false).await;
        assert_eq!(answer.status, 201, "{path}: {answer:?}");
    }
}

async fn files_below(rest: &Rest, folder: &str) -> Vec<(String, String)> {
    let tree = rest.tree(folder).await;
    tree.into_iter().map(|(path, hash)| (path[folder.len()..].to_owned(), hash)).collect()
}

async fn folders_are_copied_and_moved(ledger: Ledger) {
    let gateway = Plan::new(ledger).far().start().await;
    let rest = gateway.rest("orders");
    rest.post_json("/folders", &json!({"path": "/far"})).await.ok();
    fill(&rest, &["/t/a", "/t/x/b", "/t/x/y/c"]).await;
    rest.post_json("/folders", &json!({"path": "/t/empty"})).await.ok();
    let tree = files_below(&rest, "/t").await;
    assert_eq!(tree.len(), 6);
    // To a name that is free it becomes that; into a folder it keeps its name.
    for (destination, lies) in
        [("/copy", "/copy"), ("/copies/", "/copies/t"), ("/inbound", "/inbound/t"), ("/far", "/far/t")]
    {
        let seen = transfer(&rest, json!({"source": "/t", "destination": destination})).await;
        assert_eq!(
            (&seen["state"], &seen["files_total"], &seen["files_done"]),
            (&json!("completed"), &json!(3), &json!(3)),
            "{seen}"
        );
        assert_eq!(files_below(&rest, lies).await, tree, "{destination}");
    }
    assert_eq!(files_below(&rest, "/t").await, tree);
    // By one switch of names, whatever is in it.
    let id = ask(&rest, &json!({"source": "/copy", "destination": "/moved/as/this", "operation": "move"})).await;
    assert_eq!(end_of(&rest, &id).await["state"], "completed");
    assert_eq!(files_below(&rest, "/moved/as/this").await, tree);
    assert_eq!(events_come_with(&rest, &id, "folder.renamed", 1).await.len(), 1);
    assert!(events_with(&rest, &id, "file.renamed").await.is_empty());
    rest.get("/files?path=/copy").await.problem(404, "not_found");
    // Across storages file by file, and onto what is there; the folders that are empty then go.
    for (from, to, lies) in [("/moved/as/this", "/far/moved", "/far/moved"), ("/copies/t", "/inbound", "/inbound/t")] {
        let body = json!({"source": from, "destination": to, "operation": "move", "overwrite": true});
        let seen = transfer(&rest, body).await;
        assert_eq!((&seen["state"], &seen["files_done"]), (&json!("completed"), &json!(3)), "{seen}");
        assert_eq!(files_below(&rest, lies).await, tree, "{from}");
        rest.get(&format!("/files?path={from}")).await.problem(404, "not_found");
    }
    for (source, destination) in [("/t", "/t/x/in"), ("/t", "/t"), ("/t/a", "/t/a")] {
        let answer = rest.post_json("/transfers", &json!({"source": source, "destination": destination})).await;
        answer.problem(400, "invalid_argument");
        assert_eq!(answer.json()["errors"][0]["field"], "destination");
    }
}

async fn patterns_choose_files(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    fill(&rest, &["/g/1.csv", "/g/2.csv", "/g/é.csv", "/g/3.txt", "/g/x/4.csv", "/g/x/y/5.csv", "/g/[a].csv"]).await;
    for (pattern, expected) in [
        ("/g/*.csv", vec!["/1.csv", "/2.csv", "/[a].csv", "/é.csv"]),
        ("/g/?.csv", vec!["/1.csv", "/2.csv", "/é.csv"]),
        ("/g/[12].*", vec!["/1.csv", "/2.csv"]),
        ("/g/[[]a].csv", vec!["/[a].csv"]),
        ("/g/*/*.csv", vec!["/x/4.csv"]),
        ("/g/**/*.csv", vec!["/1.csv", "/2.csv", "/[a].csv", "/x/4.csv", "/x/y/5.csv", "/é.csv"]),
        ("/g/x/**", vec!["/4.csv", "/y/5.csv"]),
        ("/*/3.txt", vec!["/g/3.txt"]),
    ] {
        let to = format!("/out-{}", sha256(pattern.as_bytes()));
        let seen = transfer(&rest, json!({"source": pattern, "destination": to})).await;
        assert_eq!(seen["state"], "completed", "{pattern}: {seen}");
        let found = files_below(&rest, &to).await;
        let files: Vec<&str> =
            found.iter().filter(|(_, hash)| hash != "folder").map(|(path, _)| path.as_str()).collect();
        assert_eq!(files, expected, "{pattern}");
        assert_eq!(seen["files"].as_array().unwrap().len(), expected.len(), "{seen}");
    }
    // What lies in the destination already is not put into it once more.
    let seen = transfer(&rest, json!({"source": "/g/**", "destination": "/g/x"})).await;
    assert_eq!((&seen["state"], &seen["files_total"]), (&json!("completed"), &json!(5)), "{seen}");
    let seen = transfer(&rest, json!({"source": "/g/*.none", "destination": "/out"})).await;
    assert_eq!(state_and_code(&seen), ("failed", "not_found"), "{seen}");
    assert_eq!(seen["attempts"], 1, "a lasting error is not tried again");
    let moved = transfer(&rest, json!({"source": "/g/*.csv", "destination": "/gone/", "operation": "move"})).await;
    assert_eq!((&moved["state"], &moved["files_done"]), (&json!("completed"), &json!(4)));
    let left: Vec<Value> = rest.list("/g").await;
    assert!(left.iter().all(|entry| entry["type"] == "folder" || entry["name"] == "3.txt"), "{left:?}");
}

async fn a_request_counts_once(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    fill(&rest, &["/inbound/a"]).await;
    let send = |rest: &Rest, key: &str, body: Value| {
        let request = rest.request(Method::POST, "/transfers").header("content-type", "application/json");
        let (rest, request) = (rest.clone(), request.header("idempotency-key", key.to_owned()).body(body.to_string()));
        async move { rest.send(request).await }
    };
    let body = json!({"source": "/inbound/a", "destination": "/inbound/b"});
    let answers = futures::future::join_all((0..8).map(|_| send(&rest, "0b7e-1", body.clone()))).await;
    for answer in &answers {
        assert_eq!((answer.status, answer.json()), (202, answers[0].json()));
        assert_eq!(answer.header("location"), answers[0].header("location"));
    }
    let id = answers[0].json()["transfer_id"].as_str().unwrap().to_owned();
    assert_eq!(end_of(&rest, &id).await["state"], "completed");
    // The same answer after its end, too.
    assert_eq!(send(&rest, "0b7e-1", body.clone()).await.json(), answers[0].json());
    assert_eq!(rest.get("/transfers?protocol=transfer").await.ok()["transfers"].as_array().unwrap().len(), 1);
    let other = json!({"source": "/inbound/a", "destination": "/inbound/c"});
    send(&rest, "0b7e-1", other.clone()).await.problem(422, "idempotency_key_reused");
    // A move takes its source away: the same request is not a new one that finds nothing.
    let moving = json!({"source": "/inbound/b", "destination": "/inbound/moved", "operation": "move"});
    let moved = send(&rest, "m1", moving.clone()).await;
    assert_eq!(end_of(&rest, moved.json()["transfer_id"].as_str().unwrap()).await["state"], "completed");
    let again = send(&rest, "m1", moving).await;
    assert_eq!((again.status, again.json()), (202, moved.json()));
    // Another identity's key is another key, and what was refused was not remembered.
    let mill = gateway.rest("mill");
    assert_eq!(send(&mill, "0b7e-1", json!({"source": "/a", "destination": "/d"})).await.status, 202);
    send(&rest, "k2", json!({"source": "/none", "destination": "/d"})).await.problem(404, "not_found");
    assert_eq!(send(&rest, "k2", other).await.status, 202);
    for bad in ["", "a b", &"x".repeat(256)] {
        let answer = send(&rest, bad, body.clone()).await;
        answer.problem(400, "invalid_argument");
        assert_eq!(answer.json()["errors"][0]["field"], "Idempotency-Key");
    }
}

async fn priorities_and_turns(ledger: Ledger) {
    // Asked for while nobody works; then one worker takes them one after the other.
    let mut gateway = Plan::new(ledger).transfers("workers = 0").start().await;
    let rest = gateway.rest("orders");
    let mill = gateway.rest("mill");
    fill(&rest, &["/inbound/a"]).await;
    let mut asked = Vec::new();
    for (n, priority) in [5, 1, 9, 5].into_iter().enumerate() {
        let body = json!({"source": "/inbound/a", "destination": format!("/inbound/p{n}"), "priority": priority});
        asked.push(ask(&rest, &body).await);
    }
    let late = ask(&mill, &json!({"source": "/a", "destination": "/m"})).await;
    assert_eq!(status(&rest, &asked[0]).await["state"], "queued");
    // Before it began it is cancelled at once.
    let given_up = ask(&rest, &json!({"source": "/inbound/a", "destination": "/inbound/never"})).await;
    let answer = wish(&rest, &given_up, "cancel").await;
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("cancelled")));
    gateway.stop().await;
    gateway.change(|plan| Plan::transfers(plan.without_transfers(), "workers = 1"));
    gateway.start().await;
    let rest = gateway.rest("orders");
    let mut began = Vec::new();
    for id in asked.iter().chain([&late]) {
        let seen = end_of(&rest, id).await;
        assert_eq!(seen["state"], "completed", "{seen}");
        began.push((seen["started_at"].as_str().unwrap().to_owned(), id.clone()));
    }
    began.sort();
    let order: Vec<&String> = began.iter().map(|(_, id)| id).collect();
    // The other identity's one does not wait for all of the first one's.
    assert_eq!(order, [&asked[2], &late, &asked[0], &asked[3], &asked[1]]);
    assert_eq!(status(&rest, &given_up).await["state"], "cancelled");
    assert!(rest.entry("/inbound", "never").await.is_none());
    assert_eq!(events_come_with(&rest, &given_up, "transfer.cancelled", 1).await.len(), 1);
}

async fn what_failed_is_retried(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    fill(&rest, &["/s/1", "/s/2", "/s/3", "/d/2"]).await;
    let id = ask(&rest, &json!({"source": "/s/*", "destination": "/d"})).await;
    let seen = end_of(&rest, &id).await;
    assert_eq!(state_and_code(&seen), ("failed", "already_exists"), "{seen}");
    assert!(seen["error_message"].as_str().unwrap().starts_with("1 of 3 files were not transferred; why"), "{seen}");
    assert_eq!((&seen["files_done"], &seen["files_failed"], &seen["attempts"]), (&json!(2), &json!(1), &json!(1)));
    let failed = &seen["files"][0];
    assert_eq!(
        (&failed["source"], &failed["state"], &failed["error_code"]),
        (&json!("/s/2"), &json!("failed"), &json!("already_exists"))
    );
    assert_eq!(events_come_with(&rest, &id, "transfer.failed", 1).await.len(), 1);
    wish(&rest, &id, "cancel").await.problem(409, "wrong_transfer_state");

    rest.delete(&format!("/files/{}", rest.entry("/d", "2").await.unwrap()["file_id"].as_str().unwrap())).await.ok();
    let answer = wish(&rest, &id, "retry").await;
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("queued")), "{answer:?}");
    let seen = end_of(&rest, &id).await;
    assert_eq!(
        (&seen["state"], &seen["files_done"], &seen["files_failed"]),
        (&json!("completed"), &json!(3), &json!(0)),
        "{seen}"
    );
    // What was done before was not done again.
    assert_eq!(events_come_with(&rest, &id, "file.copied", 3).await.len(), 3);
    assert_eq!(events_with(&rest, &id, "transfer.queued").await.len(), 2);
    assert_eq!(events_come_with(&rest, &id, "transfer.completed", 1).await.len(), 1);
    wish(&rest, &id, "retry").await.problem(409, "wrong_transfer_state");
    for what in ["cancel", "retry"] {
        wish(&rest, "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000", what).await.problem(404, "not_found");
    }
}

async fn permissions_hold_for_every_file(ledger: Ledger) {
    const SCOPES: &[&str] = &["files:read", "files:write", "transfers:read", "transfers:write"];
    let view = r#"[{ at = "/", path = "/data", permissions = ["*"] }, { at = "/kept", path = "/data/kept", permissions = ["list"] },
        { at = "/closed", path = "/data/closed", permissions = ["upload"] }]"#;
    let gateway = Plan::new(ledger)
        .keyed("narrow", SCOPES, &view.replace('\n', ""))
        .keyed(
            "onlooker",
            &["files:read", "files:write", "transfers:read"],
            r#"[{ at = "/", path = "/data", permissions = ["*"] }]"#,
        )
        .start()
        .await;
    let rest = gateway.rest("orders");
    fill(&rest, &["/data/free/1", "/data/kept/2", "/data/closed/3"]).await;
    let narrow = gateway.rest("narrow");
    // What is known when it is asked for is said at once.
    let answer = narrow.post_json("/transfers", &json!({"source": "/kept/2", "destination": "/x"})).await;
    answer.problem(403, "permission_denied");
    assert_eq!(answer.json()["errors"][0]["field"], "source");
    let answer = narrow.post_json("/transfers", &json!({"source": "/free/1", "destination": "/kept/"})).await;
    answer.problem(403, "permission_denied");
    assert_eq!(answer.json()["errors"][0]["field"], "destination");
    assert_eq!(events_come(&rest, "policy.violated", "/data/kept/2", 1).await.len(), 1);
    assert_eq!(audit_of(&rest, "transfer", "/data/kept/2").await[0]["outcome"], "denied");
    // The rest when it is done: some of it is.
    let id = ask(&narrow, &json!({"source": "/**", "destination": "/all"})).await;
    let seen = end_of(&narrow, &id).await;
    assert_eq!(state_and_code(&seen), ("failed", "permission_denied"), "{seen}");
    assert_eq!((&seen["files_done"], &seen["files_failed"]), (&json!(1), &json!(2)), "{seen}");
    assert_eq!(narrow.tree("/all").await.values().filter(|hash| *hash != "folder").count(), 1);
    let entries = audit_of(&rest, "copy", "/data/all/kept/2").await;
    assert_eq!(
        (entries.len(), &entries[0]["outcome"], &entries[0]["transfer_id"]),
        (1, &json!("denied"), &json!(id)),
        "{entries:?}"
    );
    assert_eq!((&entries[0]["identity"], &entries[0]["protocol"]), (&json!("narrow"), &json!("transfer")));
    assert_eq!(events_with(&rest, &id, "policy.violated").await.len(), 2);
    // Asked for again, it is no more whole than before: what could not be listed was never looked for.
    assert_eq!(wish(&narrow, &id, "retry").await.status, 202);
    let seen = end_of(&narrow, &id).await;
    assert_eq!((&seen["state"], &seen["files_done"]), (&json!("failed"), &json!(1)), "{seen}");
    // A scope that is missing.
    let onlooker = gateway.rest("onlooker");
    onlooker
        .post_json("/transfers", &json!({"source": "/free/1", "destination": "/x"}))
        .await
        .problem(403, "permission_denied");
    gateway.rest("reader").get("/transfers").await.problem(403, "permission_denied");
}

async fn the_quota_holds(ledger: Ledger) {
    let gateway = Plan::new(ledger).edi_quota("5 MiB").start().await;
    let rest = gateway.rest("edi");
    rest.put("/inbound/big", &vec![7; 3 << 20]).await.ok();
    let seen = transfer(&rest, json!({"source": "/inbound/big", "destination": "/inbound/again"})).await;
    assert_eq!(state_and_code(&seen), ("failed", "quota_exceeded"), "{seen}");
    assert_eq!(seen["attempts"], 1);
    assert!(rest.entry("/inbound", "again").await.is_none());
    let moved = json!({"source": "/inbound/big", "destination": "/inbound/again", "operation": "move"});
    assert_eq!(transfer(&rest, moved).await["state"], "completed", "a move takes no room");
}

async fn webhooks_can_be_left_out(ledger: Ledger) {
    let receiver = Receiver::start().await;
    let gateway = Plan::new(ledger).webhook("hook", &receiver, &["file.copied", "transfer.*"]).start().await;
    let rest = gateway.rest("orders");
    rest.put("/inbound/a", b"x").await.ok();
    let body =
        |to: &str, notify: bool| json!({"source": "/inbound/a", "destination": to, "notify_on_completion": notify});
    let quiet = ask(&rest, &body("/inbound/q", false)).await;
    end_of(&rest, &quiet).await;
    let loud = ask(&rest, &body("/inbound/l", true)).await;
    end_of(&rest, &loud).await;
    let of = |posts: &[crate::harness::webhooks::Post], id: &str| -> Vec<String> {
        posts.iter().filter(|post| post.event["transfer_id"] == id).map(|post| post.kind().to_owned()).collect()
    };
    let posts = receiver
        .until("the end of the second", |posts| of(posts, &loud).contains(&"transfer.completed".to_owned()))
        .await;
    assert_eq!(of(&posts, &loud), ["transfer.queued", "file.copied", "transfer.completed"]);
    assert_eq!(of(&posts, &quiet), ["file.copied"]);
    for kind in ["transfer.queued", "transfer.completed"] {
        assert_eq!(events_with(&rest, &quiet, kind).await.len(), 1, "{kind}");
    }
}

/// All transfers, page by page.
async fn list(rest: &Rest, query: &str) -> Vec<Value> {
    rest.pages(&format!("/transfers?limit=2{query}"), "transfers").await
}

async fn all_protocols_are_listed(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let mut sftp_client = gateway.sftp("edi01").await;
    sftp_client.put("/inbound/s.bin", b"over sftp").await.unwrap();
    sftp_client.get("/inbound/s.bin").await.unwrap();
    let mut ftps = Ftps::login(&gateway, "edi01").await;
    assert!(ftps.put("STOR /inbound/f.bin", b"over ftps").await.starts_with("226"));
    ftps.get("RETR /inbound/f.bin").await;
    rest.put("/inbound/r.bin", b"over rest").await.ok();
    rest.read("/inbound/r.bin").await;
    let id = ask(&rest, &json!({"source": "/inbound/r.bin", "destination": "/inbound/t.bin"})).await;
    end_of(&rest, &id).await;
    // One that is under way, and one that broke off.
    let handle = sftp_client.open("/inbound/slow.bin", sftp::W | sftp::CREATE).await.unwrap();
    sftp_client.write(&handle, 0, b"some of it").await.unwrap();
    let broken = rest
        .put_request("/inbound/broken", bytes::Bytes::from_static(b"x"))
        .header("content-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:");
    assert_eq!(rest.send(broken).await.status, 422);

    let all = eventually("all of them", LONG, || async {
        let all = list(&rest, "").await;
        (all.len() >= 9).then_some(all)
    })
    .await;
    let told: Vec<(&str, &str, &str, &str)> = all
        .iter()
        .map(|one| {
            let place = one["destination"].as_str().or(one["source"].as_str()).unwrap_or_default();
            (
                one["protocol"].as_str().unwrap(),
                one["operation"].as_str().unwrap(),
                one["state"].as_str().unwrap(),
                place,
            )
        })
        .collect();
    for expected in [
        ("sftp", "upload", "completed", "/inbound/s.bin"),
        ("sftp", "download", "completed", "/inbound/s.bin"),
        ("ftps", "upload", "completed", "/inbound/f.bin"),
        ("ftps", "download", "completed", "/inbound/f.bin"),
        ("api", "upload", "completed", "/inbound/r.bin"),
        ("api", "download", "completed", "/inbound/r.bin"),
        ("transfer", "copy", "completed", "/inbound/t.bin"),
        ("sftp", "upload", "running", "/inbound/slow.bin"),
        ("api", "upload", "failed", "/inbound/broken"),
    ] {
        assert_eq!(told.iter().filter(|one| **one == expected).count(), 1, "{expected:?} in {told:?}");
    }
    assert_eq!(told.len(), 9, "{told:?}");
    let ids: Vec<&str> = all.iter().map(|one| one["transfer_id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first, each once: {ids:?}");
    for one in &all {
        let id = one["transfer_id"].as_str().unwrap();
        assert_eq!(&status(&rest, id).await["state"], &one["state"], "{one}");
    }
    let of = |all: Vec<Value>| {
        all.into_iter().map(|one| one["transfer_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of(list(&rest, "&protocol=sftp").await).len(), 3);
    assert_eq!(of(list(&rest, "&protocol=transfer").await), std::slice::from_ref(&id));
    assert_eq!(of(list(&rest, "&state=failed,running").await).len(), 2);
    assert!(list(&rest, "&since=2100-01-01T00:00:00Z").await.is_empty());
    assert_eq!(list(&rest, "&since=2020-01-01T00:00:00Z").await.len(), 9);
    // An upload is nobody's to cancel here.
    wish(&rest, ids[ids.len() - 1], "cancel").await.problem(403, "permission_denied");
    let uploaded = &events_of(&rest, "transfer.completed", "/inbound/f.bin").await[0]["transfer_id"];
    assert!(ids.contains(&uploaded.as_str().unwrap()), "the id of its events");
    // It goes on, and then it is one transfer still.
    sftp_client.close(&handle).await.unwrap();
    let ended = eventually("the end of the slow one", LONG, || async {
        let slow = list(&rest, "&protocol=sftp&state=completed").await;
        slow.into_iter().find(|one| one["destination"] == "/inbound/slow.bin")
    })
    .await;
    assert_eq!(ended["bytes"], 10);
    assert_eq!(list(&rest, "").await.len(), 9);
}

async fn others_know_nothing(ledger: Ledger) {
    let gateway = Plan::new(ledger)
        .other("[[tenant.identity]]\nid = \"foreign\"\nscopes = [\"admin\", \"transfers:read\", \"transfers:write\", \"files:read\", \"files:write\"]\nview = [{ at = \"/\", path = \"/\", permissions = [\"*\"] }]")
        .other(&format!("[[tenant.api_key]]\nid = \"foreign\"\nidentity = \"foreign\"\nkey_hash = \"{}\"", sha256(crate::harness::plan::api_key("foreign").as_bytes())))
        .start()
        .await;
    let rest = gateway.rest("orders");
    fill(&rest, &["/secret/a", "/inbound/a"]).await;
    let hidden = ask(&rest, &json!({"source": "/secret/a", "destination": "/secret/b"})).await;
    let shown = ask(&rest, &json!({"source": "/secret/a", "destination": "/inbound/b"})).await;
    end_of(&rest, &hidden).await;
    end_of(&rest, &shown).await;
    let upload =
        events_of(&rest, "transfer.completed", "/secret/a").await[0]["transfer_id"].as_str().unwrap().to_owned();
    // Another tenant's administrator.
    let foreign = gateway.rest("foreign");
    for id in [&hidden, &shown, &upload] {
        foreign.get(&format!("/transfers/{id}")).await.problem(404, "not_found");
        foreign.get(&format!("/transfers/{id}/status")).await.problem(404, "not_found");
        wish(&foreign, id, "cancel").await.problem(404, "not_found");
        wish(&foreign, id, "retry").await.problem(404, "not_found");
    }
    assert!(list(&foreign, "").await.is_empty());
    foreign.get("/transfers/nothing").await.problem(404, "not_found");
    // Somebody of the tenant sees what lies in its view, and not where that came from.
    let mill = gateway.rest("mill");
    mill.get(&format!("/transfers/{hidden}")).await.problem(404, "not_found");
    wish(&mill, &hidden, "cancel").await.problem(404, "not_found");
    let seen = status(&mill, &shown).await;
    assert_eq!(
        (&seen["source"], &seen["destination"], &seen["files"]),
        (&Value::Null, &json!("/b"), &json!([])),
        "{seen}"
    );
    wish(&mill, &shown, "retry").await.problem(403, "permission_denied");
    // Who manages the tenant sees all, and may end what is not his.
    let ops = gateway.rest("ops");
    assert_eq!(status(&ops, &hidden).await["destination"], "/secret/b");
    assert!(list(&ops, "").await.len() >= 4);
    wish(&ops, &hidden, "cancel").await.problem(409, "wrong_transfer_state");
    ops.post_json("/transfers", &json!({"source": "/secret/a", "destination": "/x"}))
        .await
        .problem(403, "permission_denied");
}
