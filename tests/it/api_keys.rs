//! API keys of the configuration: when they end and who is told, when they were used, and that none is ever shown.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Duration as Span, OffsetDateTime};

use crate::harness::plan::api_key;
use crate::harness::rest::encode;
use crate::harness::{Gateway, Ledger, Plan, Sftp, eventually, on_both_ledgers, sha256};

on_both_ledgers!(
    a_key_that_is_over_says_so_to_its_holder_alone,
    a_key_ages_from_when_it_was_first_seen,
    an_end_is_told_once_over_restarts,
    a_use_is_noted_behind_the_request,
    a_key_in_a_url_is_refused_and_shown_nowhere,
);

fn key(id: &str, identity: &str, lines: &str) -> String {
    let hash = sha256(api_key(id).as_bytes());
    format!("[[tenant.api_key]]\nid = \"{id}\"\nidentity = \"{identity}\"\nkey_hash = \"{hash}\"\n{lines}")
}

fn in_days(days: i64) -> String {
    (OffsetDateTime::now_utc() + Span::days(days)).format(&Rfc3339).unwrap()
}

fn days_until(moment: &Value) -> i64 {
    let moment = OffsetDateTime::parse(moment.as_str().expect("a moment"), &Rfc3339).unwrap();
    (moment - OffsetDateTime::now_utc()).whole_hours().div_euclid(24)
}

fn micros(days: i64) -> i64 {
    (OffsetDateTime::now_utc() + Span::days(days)).unix_timestamp() * 1_000_000
}

async fn entries(gateway: &Gateway, query: &str) -> Vec<Value> {
    gateway.rest("orders").pages(&format!("/audit?limit=200{query}"), "entries").await
}

/// The events of this kind that the tenant's administrator sees.
async fn events(gateway: &Gateway, kind: &str) -> Vec<Value> {
    let only = if kind.is_empty() { String::new() } else { format!("&type={kind}") };
    let answer = gateway.rest("ops").get(&format!("/events?limit=1000{only}")).await.ok();
    answer["events"].as_array().unwrap().clone()
}

async fn a_key_that_is_over_says_so_to_its_holder_alone(ledger: Ledger) {
    let expired = format!("expires = \"{}\"", in_days(-1));
    let plan = Plan::new(ledger)
        .acme(&key("expired", "reader", &expired))
        .acme(&key("aged", "reader", &format!("created = \"{}\"", in_days(-91))))
        .acme(&key("elsewhere", "reader", &format!("{expired}\nallow_from = [\"192.0.2.0/24\"]")))
        .acme(&key("fine", "reader", &format!("created = \"{}\"\nexpires = \"{}\"", in_days(-80), in_days(365))));
    let gateway = plan.start().await;
    let detail = async |id: &str| -> String {
        let answer = gateway.rest(id).get("/auth/validate").await;
        answer.problem(401, "unauthenticated");
        assert!(answer.header("www-authenticate").contains("invalid_token"), "{answer:?}");
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    let unknown = detail("nobody").await;
    assert!(detail("expired").await.contains("has expired"));
    assert!(detail("aged").await.contains("too old"));
    assert_eq!(detail("elsewhere").await, unknown, "who is elsewhere hears nothing of it");
    let who = gateway.rest("fine").get("/auth/validate").await.ok();
    assert_eq!(days_until(&who["expires_at"]), 9, "the earlier end counts: {who}");

    // The trail says to its reader what was wrong, and whose key it was.
    let denied = entries(&gateway, "&operation=login&outcome=denied").await;
    for (id, why) in [("expired", "has expired"), ("aged", "api_key_max_age"), ("elsewhere", "address")] {
        let entry = denied.iter().find(|entry| entry["login"] == id).unwrap_or_else(|| panic!("no {id}: {denied:?}"));
        assert!(entry["error_message"].as_str().unwrap().contains(why), "{entry}");
        assert_eq!((&entry["identity"], &entry["auth_method"]), (&"reader".into(), &"api_key".into()), "{entry}");
    }
    let failed = eventually("events of all three", Duration::from_secs(20), async || {
        Some(events(&gateway, "auth.failed").await).filter(|failed| failed.len() >= 3)
    });
    assert!(failed.await.iter().all(|event| event["data"]["identity"] == "reader"));
}

async fn a_key_ages_from_when_it_was_first_seen(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    assert_eq!(gateway.rest("reader").get("/auth/validate").await.status, 200);
    gateway.stop().await;
    gateway.statement(&format!("update key_uses set first_seen = {} where key = 'reader'", micros(-91))).await;
    gateway.statement(&format!("update key_uses set first_seen = {} where key = 'edi'", micros(-80))).await;
    gateway.start().await;
    let refused = gateway.rest("reader").get("/auth/validate").await;
    refused.problem(401, "unauthenticated");
    assert!(refused.json()["detail"].as_str().unwrap().contains("too old"), "{refused:?}");
    let who = gateway.rest("edi").get("/auth/validate").await.ok();
    assert_eq!(days_until(&who["expires_at"]), 9, "{who}");
    // The age is the operator's to choose.
    gateway.stop().await;
    gateway.change(|plan| plan.api("api_key_max_age = \"\""));
    gateway.start().await;
    let who = gateway.rest("reader").get("/auth/validate").await.ok();
    assert!(who["expires_at"].is_null(), "{who}");
}

/// The keys whose ends were told.
async fn told(gateway: &Gateway) -> Vec<String> {
    let events = events(gateway, "key.expiring").await;
    events.iter().map(|event| event["data"]["login"].as_str().unwrap().to_owned()).collect()
}

async fn an_end_is_told_once_over_restarts(ledger: Ledger) {
    let soon = |id: &str, days: i64| key(id, "reader", &format!("expires = \"{}\"", in_days(days)));
    let mut gateway = Plan::new(ledger).acme(&soon("soon", 10)).acme(&soon("later", 30)).start().await;
    eventually("`soon` is told", Duration::from_secs(20), async || (!told(&gateway).await.is_empty()).then_some(()))
        .await;
    let event = events(&gateway, "key.expiring").await.remove(0);
    assert_eq!((&event["data"]["identity"], &event["tenant_id"]), (&"reader".into(), &"acme".into()), "{event}");
    assert_eq!(days_until(&event["data"]["expires_at"]), 9, "{event}");
    // A restart, and another node where there may be one, tell what is new and not the same again.
    gateway.stop().await;
    gateway.change(|plan| plan.acme(&soon("soon-too", 12)));
    gateway.start().await;
    let beside = if ledger == Ledger::Postgres { Some(gateway.beside(|plan| plan).await) } else { None };
    eventually("`soon-too` is told", Duration::from_secs(20), async || {
        told(&gateway).await.contains(&"soon-too".to_owned()).then_some(())
    })
    .await;
    if let Some(mut beside) = beside {
        beside.stop().await;
    }
    gateway.stop().await;
    gateway.start().await;
    assert_eq!(told(&gateway).await, ["soon", "soon-too"]);
}

async fn a_use_is_noted_behind_the_request(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    let before = micros(0) - 1_000_000;
    let used = "select last_used from key_uses where key = 'reader'";
    assert_eq!(gateway.number(used).await, None);
    assert_eq!(gateway.rest("reader").get("/auth/validate").await.status, 200);
    let at = eventually("the use is noted", Duration::from_secs(20), async || gateway.number(used).await).await;
    assert!(at >= before, "{at}");
    assert_eq!(gateway.number("select last_used from key_uses where key = 'mill'").await, None, "nobody used that");
    // What was not due yet is written at the end.
    assert_eq!(gateway.rest("reader").get("/auth/validate").await.status, 200);
    gateway.stop().await;
    assert!(gateway.number(used).await.unwrap() > at);
}

/// Every text that the gateway keeps or says: its log, its trail, its events, and the files of its ledger where it has them.
async fn all_that_is_kept(gateway: &Gateway) -> Vec<(&'static str, String)> {
    let ledger: String = ["causeway.db", "causeway.db-wal"]
        .iter()
        .map(|name| std::fs::read(gateway.data().join(name)).unwrap_or_default())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    let (trail, told) = (entries(gateway, "").await, events(gateway, "").await);
    vec![("log", gateway.log()), ("ledger", ledger), ("trail", format!("{trail:?}")), ("events", format!("{told:?}"))]
}

async fn a_key_in_a_url_is_refused_and_shown_nowhere(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let (rest, key) = (gateway.rest("reader"), api_key("reader"));
    let written = [key.clone(), key.replace('_', "%5F"), encode(&key.replace('_', "%5f")), format!("x{key}")];
    for written in &written {
        for target in [
            format!("/files?path=/&api_key={written}"),
            format!("/auth/validate?access_token={written}"),
            format!("/files/{written}"),
            format!("/{written}/files?path=/"),
        ] {
            for client in [&rest, &rest.with_key("")] {
                let answer = client.get(&target).await;
                answer.problem(400, "key_in_url");
                let said = answer.json().to_string();
                assert!(said.contains("leaked") && said.contains("Authorization: Bearer"), "{said}");
                assert!(!said.contains(&key[8..]), "{said}");
            }
        }
    }
    // Where else clients put what they should not: the name of their software, a login's name, a path that is not there.
    let agent = rest.request(Method::GET, "/files?path=/nothing").header("user-agent", format!("app {key}"));
    rest.send(agent).await.problem(404, "not_found");
    rest.post_json("/folders", &serde_json::json!({ "path": format!("/{key}") }))
        .await
        .problem(403, "permission_denied");
    assert!(Sftp::by_password(gateway.sftp, &key, None).await.is_err());
    // It is on record that it has to be replaced.
    let leaks = entries(&gateway, "&operation=login&outcome=denied&login=reader").await;
    let leak = leaks.iter().find(|entry| entry["error_message"].as_str().unwrap_or_default().contains("URL"));
    assert_eq!(leak.expect("an entry")["identity"], "reader");
    let kept = all_that_is_kept(&gateway).await;
    for (what, text) in kept {
        assert!(what == "ledger" || !text.is_empty(), "{what} is read");
        assert!(!text.contains(&key[8..]), "the {what} has the key");
    }
    assert!(gateway.log().contains("cwk_***"), "the log has the requests");
    // The key itself is not changed by that: who has sent it decides when it is replaced.
    assert_eq!(rest.get("/auth/validate").await.status, 200);
}
