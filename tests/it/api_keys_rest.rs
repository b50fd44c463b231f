//! API keys over REST: made, shown once, rotated, ended, and what nobody may do with them.

use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration as Span, OffsetDateTime};

use crate::clients::run;
use crate::harness::plan::api_key;
use crate::harness::{Gateway, Ledger, Plan, Rest, eventually, on_both_ledgers, skip};

on_both_ledgers!(
    a_key_is_made_and_shown_once,
    a_rotation_has_its_grace,
    a_key_that_was_made_here_ends,
    nobody_gives_more_than_there_is,
    keys_of_others_and_of_the_configuration_stay,
    a_change_needs_the_version_that_it_was_made_of,
    python_administers_keys,
);

fn in_seconds(seconds: i64) -> String {
    (OffsetDateTime::now_utc() + Span::seconds(seconds)).format(&Rfc3339).unwrap()
}

/// Makes a key; its id, and a client that has it.
async fn made(admin: &Rest, body: &Value) -> (String, Rest) {
    let answer = admin.post_json("/api-keys", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let made = answer.json();
    (made["id"].as_str().unwrap().to_owned(), admin.with_key(made["key"].as_str().unwrap()))
}

async fn rotated(admin: &Rest, id: &str, body: &Value) -> Rest {
    let answer = admin.post_json(&format!("/api-keys/{id}/rotate"), body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    admin.with_key(answer.json()["key"].as_str().unwrap())
}

async fn status(client: &Rest) -> u16 {
    client.get("/auth/validate").await.status
}

fn patching(admin: &Rest, path: &str, body: &Value) -> reqwest::RequestBuilder {
    admin.request(Method::PATCH, path).header("content-type", "application/json").body(body.to_string())
}

/// What a refused key is told.
async fn refusal(client: &Rest) -> String {
    let answer = client.get("/auth/validate").await;
    answer.problem(401, "unauthenticated");
    answer.json()["detail"].as_str().unwrap().to_owned()
}

async fn listed(admin: &Rest, id: &str) -> Option<Value> {
    let keys = admin.pages("/api-keys?limit=3", "api_keys").await;
    keys.into_iter().find(|key| key["id"] == id)
}

async fn a_key_is_made_and_shown_once(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    let admin = gateway.rest("ops");
    let body = json!({ "identity": "orders-app", "id": "shop", "name": "The shop", "scopes": ["files:read"] });
    let answer = admin.post_json("/api-keys", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.header("location").ends_with("/api/v1/api-keys/shop"), "{answer:?}");
    let made = answer.json();
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("cwk_") && key.len() == 53, "{made}");
    let shop = admin.with_key(key);
    assert_eq!(shop.get("/files?path=/").await.status, 200);
    shop.put("/inbound/x", b"x").await.problem(403, "permission_denied");
    shop.get("/audit").await.problem(403, "permission_denied");

    // All pages of the list, the configuration's keys among them, and no key in it.
    let seen = listed(&admin, "shop").await.expect("it is listed");
    let expected = [("identity", "orders-app"), ("name", "The shop"), ("prefix", &key[..8]), ("state", "active")];
    for (member, value) in expected {
        assert_eq!(seen[member], value, "{seen}");
    }
    assert_eq!((&seen["managed_by"], &seen["scopes"]), (&json!("api"), &json!(["files:read"])), "{seen}");
    assert!(
        seen["last_used_at"].is_string() && seen["created_at"].is_string() && seen["expires_at"].is_null(),
        "{seen}"
    );
    let ends = OffsetDateTime::parse(seen["ends_at"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!((ends - OffsetDateTime::now_utc()).whole_hours() / 24 == 89, "{seen}");
    let orders = listed(&admin, "orders").await.expect("the configuration's");
    assert_eq!((&orders["managed_by"], &orders["prefix"]), (&json!("config"), &Value::Null), "{orders}");
    assert!(listed(&admin, "other").await.is_none(), "another tenant's");
    let one = admin.get("/api-keys/shop").await;
    assert!(!one.header("etag").is_empty() && one.ok()["id"] == "shop");

    // It is kept, and the key is not: not in the trail, not in an event, not in the log.
    let changed = eventually("the event", Duration::from_secs(20), async || {
        let events = admin.get("/events?type=admin.changed&limit=1000").await.ok();
        events["events"].as_array().unwrap().iter().find(|event| event.to_string().contains("shop")).cloned()
    });
    let changed = changed.await;
    let trail = admin.pages("/audit?operation=admin&limit=200", "entries").await;
    let entry = trail.iter().find(|entry| entry.to_string().contains("The shop")).expect("an entry");
    assert_eq!((&entry["login"], &entry["outcome"]), (&json!("ops"), &json!("ok")), "{entry}");
    let hash = crate::harness::sha256(key.as_bytes());
    for text in [trail.iter().map(Value::to_string).collect::<String>(), changed.to_string(), gateway.log()] {
        assert!(!text.contains(&key[8..]) && !text.contains(&hash), "{text}");
    }
    gateway.stop().await;
    gateway.start().await;
    assert_eq!(status(&gateway.rest("ops").with_key(key)).await, 200, "after a restart");
}

async fn a_rotation_has_its_grace(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let admin = gateway.rest("ops");
    let (id, first) = made(&admin, &json!({ "identity": "orders-app" })).await;
    let second = rotated(&admin, &id, &json!({ "grace": "1h" })).await;
    assert_eq!((status(&first).await, status(&second).await), (200, 200));
    let seen = listed(&admin, &id).await.unwrap();
    assert_eq!(seen["state"], "rotating", "{seen}");
    let old = &seen["previous"];
    let until = OffsetDateTime::parse(old["ends_at"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!((55..=60).contains(&(until - OffsetDateTime::now_utc()).whole_minutes()), "{seen}");
    assert_ne!(old["prefix"], seen["prefix"]);
    // What the old one has asked for goes on.
    first.put("/inbound/a", b"a").await.ok();
    let asked =
        first.post_json("/transfers", &json!({ "source": "/inbound/a", "destination": "/archive/" })).await.ok();

    // A second rotation ends the oldest at once.
    let third = rotated(&admin, &id, &json!({})).await;
    assert!(refusal(&first).await.contains("not valid"), "it is nobody's any more");
    assert_eq!((status(&second).await, status(&third).await), (200, 200));
    let transfer = format!("/transfers/{}", asked["transfer_id"].as_str().unwrap());
    eventually("the transfer is done", Duration::from_secs(20), async || {
        let seen = third.get(&transfer).await.ok();
        assert_ne!(seen["state"], "failed", "{seen}");
        (seen["state"] == "completed").then_some(())
    })
    .await;
    // Without a grace only one is left, and so is it when the grace is over.
    let fourth = rotated(&admin, &id, &json!({ "grace": "0s" })).await;
    assert_eq!((status(&second).await, status(&third).await, status(&fourth).await), (401, 401, 200));
    let fifth = rotated(&admin, &id, &json!({ "grace": "1s" })).await;
    let said = eventually("the grace is over", Duration::from_secs(20), async || {
        let answer = fourth.get("/auth/validate").await;
        (answer.status == 401).then(|| answer.json()["detail"].as_str().unwrap().to_owned())
    });
    assert!(said.await.contains("replaced"), "its holder hears why");
    assert_eq!(status(&fifth).await, 200);
    assert_eq!(listed(&admin, &id).await.unwrap()["state"], "active");
    for grace in ["-1s", "31d", "1", "soon"] {
        let answer = admin.post_json(&format!("/api-keys/{id}/rotate"), &json!({ "grace": grace })).await;
        answer.problem(400, "invalid_argument");
        assert_eq!(answer.json()["errors"][0]["field"], "grace", "{answer:?}");
    }
}

async fn a_key_that_was_made_here_ends(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let beside = if ledger == Ledger::Postgres { Some(gateway.beside(|plan| plan).await) } else { None };
    let admin = gateway.rest("ops");
    let elsewhere = json!({ "identity": "reader", "allow_from": ["192.0.2.0/24"] });
    assert!(!refusal(&made(&admin, &elsewhere).await.1).await.contains("expired"));
    let (id, soon) = made(&admin, &json!({ "identity": "reader", "expires": in_seconds(2) })).await;
    let said = eventually("it expires", Duration::from_secs(20), async || {
        let answer = soon.get("/auth/validate").await;
        (answer.status == 401).then(|| answer.json()["detail"].as_str().unwrap().to_owned())
    });
    assert!(said.await.contains("expired"));
    assert_eq!(listed(&admin, &id).await.unwrap()["state"], "expired");
    admin
        .post_json("/api-keys", &json!({ "identity": "reader", "expires": in_seconds(-9) }))
        .await
        .problem(400, "invalid_argument");

    // Revoked: here at once, and on the other node within two seconds.
    let (id, here) = made(&admin, &json!({ "identity": "reader" })).await;
    let there = beside.as_ref().map(|beside| beside.rest("ops").with_key(here.key()));
    if let Some(there) = &there {
        eventually("the other node knows it", Duration::from_secs(20), async || {
            (status(there).await == 200).then_some(())
        })
        .await;
    }
    assert_eq!(status(&here).await, 200);
    assert_eq!(admin.delete(&format!("/api-keys/{id}")).await.status, 204);
    let began = std::time::Instant::now();
    assert_eq!(status(&here).await, 401);
    if let Some(there) = &there {
        eventually("the other node refuses it", Duration::from_secs(20), async || {
            (status(there).await == 401).then_some(())
        })
        .await;
        let took = began.elapsed();
        // Two seconds on a machine that has nothing else to do; a busy one gets more.
        crate::harness::say(&format!("a revoked key was refused by the other node after {took:?}"));
    }
    assert!(listed(&admin, &id).await.is_none());
    admin.get(&format!("/api-keys/{id}")).await.problem(404, "not_found");
}

async fn nobody_gives_more_than_there_is(ledger: Ledger) {
    let mighty = "[[tenant.identity]]\nid = \"mighty\"\nscopes = [\"admin:gateway\", \"admin\"]\nview = []";
    let gateway = Plan::new(ledger).acme(mighty).keyed("chief", &["admin", "admin:gateway"], "[]").start().await;
    let (admin, chief) = (gateway.rest("ops"), gateway.rest("chief"));
    let wrong = async |body: Value, field: &str| {
        let answer = admin.post_json("/api-keys", &body).await;
        answer.problem(400, "invalid_argument");
        let named: Vec<Value> =
            answer.json()["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
        assert!(named.iter().any(|name| name.as_str().unwrap().starts_with(field)), "{field}: {answer:?}");
    };
    wrong(json!({ "identity": "reader", "scopes": ["files:write"] }), "scopes").await;
    wrong(json!({ "identity": "reader", "scopes": ["root"] }), "scopes").await;
    wrong(json!({ "identity": "nobody" }), "identity").await;
    wrong(json!({ "identity": "other-app" }), "identity").await;
    wrong(json!({}), "identity").await;
    wrong(json!({ "identity": "reader", "id": "Not an id" }), "id").await;
    wrong(json!({ "identity": "reader", "allow_from": ["x"] }), "allow_from").await;
    wrong(json!({ "identity": "reader", "expires": "tomorrow" }), "expires").await;
    wrong(json!({ "identity": "reader", "colour": "red" }), "colour").await;

    // A key of an identity that operates the gateway is given, changed and ended by who operates it, too.
    admin.post_json("/api-keys", &json!({ "identity": "mighty" })).await.problem(403, "permission_denied");
    let (id, narrow) = made(&chief, &json!({ "identity": "mighty", "scopes": ["admin"] })).await;
    assert_eq!(narrow.get("/auth/validate").await.ok()["scopes"], json!(["admin"]));
    admin.post_json(&format!("/api-keys/{id}/rotate"), &json!({})).await.problem(403, "permission_denied");
    assert_eq!(admin.delete(&format!("/api-keys/{id}")).await.status, 403);
    assert_eq!(chief.delete(&format!("/api-keys/{id}")).await.status, 204);

    // Who does not administer hears nothing of keys.
    let orders = gateway.rest("orders");
    for answer in [
        orders.get("/api-keys").await,
        orders.get("/api-keys/ops").await,
        orders.post_json("/api-keys", &json!({ "identity": "reader" })).await,
        orders.post_json("/api-keys/orders/rotate", &json!({})).await,
        orders.delete("/api-keys/orders").await,
    ] {
        answer.problem(403, "permission_denied");
    }
}

async fn keys_of_others_and_of_the_configuration_stay(ledger: Ledger) {
    let boss = format!(
        "[[tenant.identity]]\nid = \"boss\"\nscopes = [\"admin\"]\nview = []\n\
         [[tenant.api_key]]\nid = \"boss\"\nidentity = \"boss\"\nkey_hash = \"{}\"",
        crate::harness::sha256(api_key("boss").as_bytes())
    );
    let gateway = Plan::new(ledger).other(&boss).start().await;
    let (admin, boss) = (gateway.rest("ops"), gateway.rest("boss"));
    let (id, key) = made(&admin, &json!({ "identity": "reader" })).await;
    for id in [id.as_str(), "orders", "nothing"] {
        boss.get(&format!("/api-keys/{id}")).await.problem(404, "not_found");
        boss.post_json(&format!("/api-keys/{id}/rotate"), &json!({})).await.problem(404, "not_found");
        boss.delete(&format!("/api-keys/{id}")).await.problem(404, "not_found");
    }
    assert_eq!(status(&key).await, 200);
    for answer in [
        admin.post_json("/api-keys/orders/rotate", &json!({})).await,
        admin.delete("/api-keys/orders").await,
        admin.send(patching(&admin, "/api-keys/orders", &json!({ "scopes": [] }))).await,
    ] {
        assert_eq!(answer.status, 409, "{answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("configuration"), "{answer:?}");
    }
    // An id is one key's over the whole gateway.
    for taken in [&id, "orders", "boss"] {
        let answer = admin.post_json("/api-keys", &json!({ "identity": "reader", "id": taken })).await;
        assert_eq!(answer.status, 409, "{answer:?}");
    }
}

async fn a_change_needs_the_version_that_it_was_made_of(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let admin = gateway.rest("ops");
    let (id, key) = made(&admin, &json!({ "identity": "orders-app" })).await;
    let path = format!("/api-keys/{id}");
    let tag = admin.get(&path).await.header("etag").to_owned();
    let patch = async |tag: &str, body: Value| admin.send(patching(&admin, &path, &body).header("if-match", tag)).await;
    let narrowed = patch(&tag, json!({ "scopes": ["files:read"], "name": "Narrow" })).await;
    assert_eq!(narrowed.status, 200, "{narrowed:?}");
    let newer = narrowed.header("etag").to_owned();
    assert_ne!(newer, tag);
    assert_eq!(narrowed.json()["scopes"], json!(["files:read"]));
    key.put("/inbound/x", b"x").await.problem(403, "permission_denied");
    patch(&tag, json!({ "scopes": [] })).await.problem(412, "precondition_failed");
    let old = admin.request(Method::DELETE, &path).header("if-match", &tag);
    admin.send(old).await.problem(412, "precondition_failed");
    patch(&newer, json!({ "scopes": ["files:fly"] })).await.problem(400, "invalid_argument");
    let over = patch(&newer, json!({ "expires": in_seconds(3600), "scopes": [] })).await.ok();
    assert!(over["expires_at"].is_string() && over["name"] == "Narrow", "what is not said stays: {over}");
    assert_eq!(key.put("/inbound/x", b"x").await.status, 201);
    let trail = admin.pages("/audit?operation=admin&limit=200", "entries").await;
    let change =
        trail.iter().find(|entry| entry["after"]["name"] == "Narrow" && entry["before"]["scopes"] == json!([]));
    assert!(change.is_some(), "before and after are on record: {trail:?}");
}

async fn python_administers_keys(ledger: Ledger) {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with requests; ./test makes one");
    };
    let gateway = Plan::new(ledger).start().await;
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/api_keys_session.py"));
    command
        .arg(base(&gateway))
        .arg(gateway.data().join("certs/ca.pem"))
        .arg(api_key("ops"))
        .env("NO_PROXY", "localhost");
    run(command).await;
    // And curl, which an administrator has at hand.
    let mut command = Command::new("curl");
    command.args(["-sS", "--fail-with-body", "--cacert"]).arg(gateway.data().join("certs/ca.pem"));
    command.args(["-H", &format!("Authorization: Bearer {}", api_key("ops")), "--json", r#"{"identity": "reader"}"#]);
    command.arg(format!("{}/api/v1/api-keys", base(&gateway))).env("NO_PROXY", "localhost");
    let answer: Value = serde_json::from_slice(&run(command).await.stdout).unwrap();
    assert_eq!(status(&gateway.rest("ops").with_key(answer["key"].as_str().unwrap())).await, 200);
}

fn base(gateway: &Gateway) -> String {
    format!("https://localhost:{}", gateway.api.port())
}
