//! Webhooks over REST, at receivers that refuse, ask to wait, send elsewhere, are gone, and come back.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::webhooks::Post;
use crate::harness::{Ledger, Plan, Receiver, Rest, eventually, on_both_ledgers};

on_both_ledgers!(
    a_webhook_is_made_tested_and_removed,
    where_a_webhook_may_go,
    what_an_endpoint_answers_is_heeded,
    a_dead_letter_is_sent_again,
    a_gone_endpoint_is_disabled_enabled_and_replayed,
    both_secrets_sign_for_a_while,
    the_circuit_opens_and_closes,
    webhooks_of_others_and_of_the_configuration,
);

/// Waits that a test can wait for.
pub fn plan(ledger: Ledger) -> Plan {
    Plan::new(ledger).events("webhook_first_wait = \"200ms\"\nwebhook_longest_wait = \"400ms\"")
}

/// Makes a webhook that hears of uploads below /inbound.
pub async fn hooked(admin: &Rest, id: &str, receiver: &Receiver) -> Value {
    let body = json!({
        "id": id, "url": receiver.url(), "secret": receiver.secret(), "events": ["file.uploaded", "webhook.disabled"],
        "path": "/inbound/**",
    });
    let answer = admin.post_json("/webhooks", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

async fn upload(admin: &Rest, name: &str) {
    let answer = admin.upload("/inbound", name, b"content", true).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

pub async fn shown(admin: &Rest, id: &str) -> Value {
    admin.get(&format!("/webhooks/{id}")).await.ok()
}

pub async fn deliveries(admin: &Rest, id: &str, state: &str) -> Vec<Value> {
    admin.pages(&format!("/webhooks/{id}/deliveries?limit=2&state={state}"), "deliveries").await
}

/// Waits until a webhook has so many deliveries in a state.
pub async fn until(admin: &Rest, id: &str, state: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} {state}"), Duration::from_secs(30), || async {
        let found = deliveries(admin, id, state).await;
        (found.len() == count).then_some(found)
    })
    .await
}

async fn a_webhook_is_made_tested_and_removed(ledger: Ledger) {
    let receiver = Receiver::start().await;
    let mut gateway = plan(ledger).start().await;
    let admin = gateway.rest("orders");
    let made = hooked(&admin, "mine", &receiver).await;
    assert_eq!((&made["secret"], &made["managed_by"]), (&json!(receiver.secret()), &json!("api")), "{made}");
    let seen = shown(&admin, "mine").await;
    assert!(seen.get("secret").is_none() && seen["disabled"].is_null(), "{seen}");
    assert_eq!((&seen["circuit"]["state"], &seen["path"]), (&json!("closed"), &json!("/inbound/**")), "{seen}");
    let listed = admin.pages("/webhooks?limit=1", "webhooks").await;
    assert!(listed.iter().any(|one| one["id"] == "mine"), "{listed:?}");

    let tested = admin.post_json("/webhooks/mine/test", &json!({})).await.ok();
    assert_eq!((&tested["accepted"], &tested["status"]), (&json!(true), &json!(200)), "{tested}");
    let posts = receiver.posts();
    assert_eq!((posts.len(), posts[0].kind()), (1, "webhook.test"));
    assert_eq!(posts[0].id, tested["event_id"].as_str().unwrap());

    upload(&admin, "a").await;
    let posts = receiver.until("the upload", |posts| posts.len() == 2).await;
    assert_eq!((posts[1].kind(), posts[1].path()), ("file.uploaded", "/inbound/a"));
    let done = until(&admin, "mine", "delivered", 1).await;
    assert_eq!((&done[0]["attempts"], &done[0]["last_result"]), (&json!(1), &json!("200")), "{done:?}");

    // A change is of the version that it was made of, and in force when it is answered.
    let tag = admin.get("/webhooks/mine").await.header("etag").to_owned();
    let patch = async |tag: &str, path: &str| {
        let request = admin.request(Method::PATCH, "/webhooks/mine").header("content-type", "application/json");
        admin.send(request.header("if-match", tag).body(json!({ "path": path }).to_string())).await
    };
    patch("\"v0\"", "/nowhere/**").await.problem(412, "precondition_failed");
    let changed = patch(&tag, "/elsewhere/**").await;
    assert_eq!((changed.status, &changed.json()["path"]), (200, &json!("/elsewhere/**")), "{changed:?}");
    assert_ne!(changed.header("etag"), tag);
    patch(&tag, "/nowhere/**").await.problem(412, "precondition_failed");
    assert_eq!(shown(&admin, "mine").await["path"], "/elsewhere/**");
    upload(&admin, "b").await;
    crate::spine::events_come(&admin, "file.uploaded", "/inbound/b", 1).await;
    assert_eq!(deliveries(&admin, "mine", "delivered").await.len(), 1);
    assert_eq!(admin.delete("/webhooks/mine").await.status, 204);
    assert_eq!(admin.get("/webhooks/mine").await.status, 404);
    assert_eq!(receiver.posts().len(), 2);

    // What was done is on the trail, without the secret.
    let entries = admin.pages("/audit?operation=admin&limit=200", "entries").await;
    let changes: Vec<&str> = entries
        .iter()
        .filter(|entry| entry["object_kind"] == "webhook" && entry["outcome"] == "ok")
        .map(|entry| entry["change"].as_str().unwrap())
        .collect();
    assert_eq!(changes, ["created", "tested", "changed", "removed"]);
    assert!(!json!(entries).to_string().contains(receiver.secret()));
    gateway.stop().await;
}

async fn where_a_webhook_may_go(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).public_webhooks().start().await;
    let admin = gateway.rest("orders");
    for url in [
        "http://hooks.example/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://localhost/",
        "https://hooks.example:25/",
        "https://me:secret@hooks.example/",
        "ftp://hooks.example/",
        "hooks.example",
        "",
    ] {
        let answer = admin.post_json("/webhooks", &json!({ "url": url })).await;
        answer.problem(400, "invalid_argument");
        let problem = answer.json();
        assert_eq!(problem["errors"][0]["field"], "url", "{url}: {problem}");
        assert!(!problem.to_string().contains("me:secret"), "{problem}");
    }
    // A name is looked at where it is connected to.
    let body = json!({ "id": "far", "url": "https://localtest.invalid/", "events": ["file.uploaded"] });
    assert_eq!(admin.post_json("/webhooks", &body).await.status, 201);
    let tested = admin.post_json("/webhooks/far/test", &json!({})).await.ok();
    assert_eq!((&tested["accepted"], &tested["status"]), (&json!(false), &Value::Null), "{tested}");
    gateway.stop().await;
}

async fn what_an_endpoint_answers_is_heeded(ledger: Ledger) {
    let receiver = Receiver::start().await;
    let mut gateway = plan(ledger).start().await;
    let admin = gateway.rest("orders");
    hooked(&admin, "mine", &receiver).await;
    receiver.answer(&[(500, None), (301, None), (429, Some(2))]);
    upload(&admin, "a").await;
    upload(&admin, "a").await;
    let posts = receiver.until("both", |posts| posts.iter().filter(|post| post.answered == 200).count() == 2).await;
    let answered: Vec<u16> = posts.iter().map(|post| post.answered).collect();
    assert_eq!(answered, [500, 301, 429, 200, 200], "the first of a file before the second");
    assert!(posts[..4].iter().all(|post| post.id == posts[0].id) && posts[4].id != posts[0].id, "{posts:?}");
    assert!(posts[3].at - posts[2].at >= Duration::from_millis(1900), "Retry-After is respected");
    gateway.stop().await;
}

async fn a_dead_letter_is_sent_again(ledger: Ledger) {
    let receiver = Receiver::start().await;
    let mut gateway = plan(ledger).max_attempts(2).start().await;
    let admin = gateway.rest("orders");
    hooked(&admin, "mine", &receiver).await;
    receiver.answer(&[(500, None), (503, None)]);
    upload(&admin, "a").await;
    let dead = until(&admin, "mine", "dead", 1).await;
    assert_eq!((&dead[0]["attempts"], &dead[0]["last_result"]), (&json!(2), &json!("503")), "{dead:?}");
    assert_eq!(dead[0]["path"], "/inbound/a");
    let event = dead[0]["event_id"].as_str().unwrap();
    let again = format!("/webhooks/mine/deliveries/{event}/redeliver");
    assert_eq!(admin.post_json(&again, &json!({})).await.status, 202);
    let done = until(&admin, "mine", "delivered", 1).await;
    assert_eq!((&done[0]["event_id"], &done[0]["attempts"]), (&json!(event), &json!(1)), "{done:?}");
    let ids: Vec<String> = receiver.posts().into_iter().map(|post| post.id).collect();
    assert_eq!(ids, [event, event, event]);
    // What was never meant for it is not there.
    let never = format!("/webhooks/mine/deliveries/{}/redeliver", uuid::Uuid::now_v7());
    admin.post_json(&never, &json!({})).await.problem(404, "not_found");
    gateway.stop().await;
}

async fn a_gone_endpoint_is_disabled_enabled_and_replayed(ledger: Ledger) {
    let (receiver, witness) = (Receiver::start().await, Receiver::start().await);
    let mut gateway = plan(ledger).start().await;
    let admin = gateway.rest("orders");
    hooked(&admin, "mine", &receiver).await;
    hooked(&admin, "witness", &witness).await;
    receiver.answer(&[(410, None)]);
    upload(&admin, "a").await;
    let heard =
        witness.until("that it is disabled", |posts| posts.iter().any(|post| post.kind() == "webhook.disabled")).await;
    let told = heard.iter().find(|post| post.kind() == "webhook.disabled").unwrap();
    assert_eq!(told.event["data"]["webhook"], "mine", "{told:?}");
    let seen = shown(&admin, "mine").await;
    assert!(seen["disabled"]["reason"].as_str().unwrap().contains("410"), "{seen}");

    // Nothing goes there, and nothing is queued.
    upload(&admin, "b").await;
    witness.until("b", |posts| posts.iter().any(|post| post.path() == "/inbound/b")).await;
    let dead = until(&admin, "mine", "dead", 1).await;
    let again = format!("/webhooks/mine/deliveries/{}/redeliver", dead[0]["event_id"].as_str().unwrap());
    admin.post_json(&again, &json!({})).await.problem(409, "conflict");
    assert_eq!(receiver.posts().len(), 1);

    let enabled = admin.post_json("/webhooks/mine/enable", &json!({})).await.ok();
    assert!(enabled["disabled"].is_null(), "{enabled}");
    let replayed = admin.post_json("/webhooks/mine/replay", &json!({ "since": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(replayed.status, 202, "{replayed:?}");
    // The two uploads, and that it was disabled.
    assert_eq!(replayed.json(), json!({ "queued": 3, "rest_since": null }));
    let posts = receiver.until("all", |posts| posts.len() == 4).await;
    // Different files do not wait for each other.
    let mut paths: Vec<&str> = posts[1..].iter().map(Post::path).filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/inbound/a", "/inbound/b"]);
    assert_eq!(posts[0].id, posts.iter().skip(1).find(|post| post.path() == "/inbound/a").unwrap().id);
    admin.post_json("/webhooks/mine/replay", &json!({})).await.problem(400, "invalid_argument");
    gateway.stop().await;
}

async fn both_secrets_sign_for_a_while(ledger: Ledger) {
    let receiver = Receiver::start().await;
    let mut gateway = plan(ledger).start().await;
    let admin = gateway.rest("orders");
    hooked(&admin, "mine", &receiver).await;
    let answer = admin.post_json("/webhooks/mine/rotate-secret", &json!({ "grace": "1h" })).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{answer:?}");
    let new = answer.json();
    assert!(new["previous_secret_until"].is_string(), "{new}");
    assert_ne!(new["secret"], receiver.secret());
    receiver.know(new["secret"].as_str().unwrap());
    upload(&admin, "a").await;
    let posts = receiver.until("the upload", |posts| posts.len() == 1).await;
    assert_eq!(posts[0].signatures, 2);
    let body = json!({ "grace": "0s", "secret": "another secret of mine" });
    admin.post_json("/webhooks/mine/rotate-secret", &body).await.ok();
    receiver.know("another secret of mine");
    upload(&admin, "b").await;
    let posts = receiver.until("the next", |posts| posts.len() == 2).await;
    assert_eq!(posts[1].signatures, 1);
    for wrong in [json!({ "grace": "31d" }), json!({ "secret": "short" }), json!({ "secret": 1 })] {
        admin.post_json("/webhooks/mine/rotate-secret", &wrong).await.problem(400, "invalid_argument");
    }
    gateway.stop().await;
}

async fn the_circuit_opens_and_closes(ledger: Ledger) {
    let receiver = Receiver::start().await;
    let rules = "webhook_breaker_failures = 3\nwebhook_breaker_pause = \"4s\"";
    let mut gateway = plan(ledger).events(rules).start().await;
    let admin = gateway.rest("orders");
    hooked(&admin, "mine", &receiver).await;
    receiver.refuse(3);
    let begun = Instant::now();
    // One file, so that one is tried after the other.
    for _ in 0..3 {
        upload(&admin, "a").await;
    }
    let open = eventually("the circuit to open", Duration::from_secs(10), || async {
        let seen = shown(&admin, "mine").await;
        (seen["circuit"]["state"] == "open").then_some(seen)
    })
    .await;
    assert!(open["circuit"]["failures"].as_i64().unwrap() >= 3 && open["circuit"]["probe_at"].is_string(), "{open}");
    let before = receiver.posts().len();
    until(&admin, "mine", "delivered", 3).await;
    // Two seconds at the least: the pause less its random half.
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(receiver.posts().len(), before + 3);
    let closed = shown(&admin, "mine").await;
    assert_eq!(
        (&closed["circuit"]["state"], &closed["circuit"]["failures"]),
        (&json!("closed"), &json!(0)),
        "{closed}"
    );
    gateway.stop().await;
}

async fn webhooks_of_others_and_of_the_configuration(ledger: Ledger) {
    let receiver = Receiver::start().await;
    let mut gateway = plan(ledger).webhook("conf", &receiver, &["file.uploaded"]).start().await;
    let admin = gateway.rest("orders");
    let listed = admin.pages("/webhooks?limit=1", "webhooks").await;
    let ours = listed.iter().find(|one| one["managed_by"] == "config").expect("that of the configuration");
    assert!(ours.get("secret").is_none(), "{ours}");
    let id = ours["id"].as_str().unwrap();
    // It cannot be changed here, and is tested like any other.
    let patch = admin
        .request(Method::PATCH, &format!("/webhooks/{id}"))
        .header("content-type", "application/json")
        .body(json!({ "path": null }).to_string());
    assert_eq!(admin.send(patch).await.status, 409);
    assert_eq!(admin.delete(&format!("/webhooks/{id}")).await.status, 409);
    assert_eq!(admin.post_json(&format!("/webhooks/{id}/rotate-secret"), &json!({})).await.status, 409);
    assert_eq!(admin.post_json("/webhooks", &json!({ "id": id, "url": receiver.url() })).await.status, 409);
    assert_eq!(admin.post_json(&format!("/webhooks/{id}/test"), &json!({})).await.ok()["accepted"], true);
    // Who has not the scope is told so, and nothing else.
    for route in ["/webhooks", "/webhooks/none", &format!("/webhooks/{id}"), &format!("/webhooks/{id}/deliveries")] {
        gateway.rest("edi").get(route).await.problem(403, "permission_denied");
        gateway.rest("other").get(route).await.problem(403, "permission_denied");
    }
    gateway.stop().await;
}
