//! Events to NATS JetStream, on a real server: its stream has what the ledger has, in the ledger's order, whoever dies in between.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::harness::nats::{Kept, Nats};
use crate::harness::{Gateway, Ledger, Plan, Rest, Sftp, eventually, on_both_ledgers};
use crate::spine::events_come;

on_both_ledgers!(
    every_event_arrives_in_order_under_its_id,
    nothing_is_missing_after_the_server_was_away,
    nothing_is_missing_after_the_gateway_was_killed,
    what_nobody_acknowledges_is_not_passed_over,
);

const STREAM: &str = "CAUSEWAY";
const ALL: &str = "causeway.events.>";
/// Counts those of no tenant.
const OF_NO_TENANT: &str = "SELECT COUNT(*) FROM events WHERE position IS NOT NULL AND tenant = ''";
/// Counts all.
const POSITIONED: &str = "SELECT count(*) FROM events WHERE position IS NOT NULL";
const PATIENCE: Duration = Duration::from_mins(1);

/// The events of a caller's tenant, in their order.
async fn told(rest: &Rest) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = rest.get(&format!("/events?limit=200{after}")).await.ok();
        let page = page["events"].as_array().expect("events").clone();
        let Some(last) = page.last() else { return all };
        after = format!("&after={}", last["id"].as_str().unwrap());
        all.extend(page);
    }
}

/// Uploads so many files, and waits until the last one is told of.
async fn uploads(rest: &Rest, name: &str, count: usize) {
    for n in 1..=count {
        rest.put(&format!("/inbound/{name}-{n}"), b"x").await.ok();
    }
    events_come(rest, "file.uploaded", &format!("/inbound/{name}-{count}"), 1).await;
}

/// Waits until the stream has as many messages as the ledger has events now.
async fn kept(gateway: &Gateway, nats: &Nats) -> Vec<Kept> {
    let wanted = gateway.number(POSITIONED).await.unwrap() as u64;
    eventually("the stream has every event", PATIENCE, || async { (nats.count(STREAM).await >= wanted).then_some(()) })
        .await;
    nats.messages(STREAM).await
}

fn below<'k>(kept: &'k [Kept], prefix: &str) -> Vec<&'k Kept> {
    kept.iter().filter(|one| one.subject.starts_with(prefix)).collect()
}

/// The stream has every event that the ledger has by now, once, and those of a tenant in its order, as they are.
async fn agree(gateway: &Gateway, nats: &Nats) -> Vec<Kept> {
    let acme = told(&gateway.rest("ops")).await;
    let all = kept(gateway, nats).await;
    let ids: HashSet<&str> = all.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), all.len(), "none is there twice");
    let of_acme = below(&all, "causeway.events.acme.");
    assert!(of_acme.len() >= acme.len(), "{} of {}", of_acme.len(), acme.len());
    for (kept, told) in of_acme.iter().zip(&acme) {
        assert_eq!(kept.event, *told);
        assert_eq!(kept.id, told["id"].as_str().unwrap());
        assert_eq!(kept.subject, format!("causeway.events.acme.{}", told["type"].as_str().unwrap()));
    }
    all
}

async fn every_event_arrives_in_order_under_its_id(ledger: Ledger) {
    let Some(nats) = Nats::guarded().await else { return };
    nats.make(STREAM, ALL).await;
    let mut gateway = Plan::new(ledger).start().await;
    // More than a batch, from before there was a sink.
    uploads(&gateway.rest("orders"), "before", 110).await;
    gateway.stop().await;
    gateway.change(|plan| nats.plan(plan));
    gateway.start().await;
    gateway.rest("other").put("/theirs", b"x").await.ok();
    assert!(Sftp::by_password(gateway.sftp, "nobody", Some("wrong")).await.is_err());
    uploads(&gateway.rest("orders"), "after", 5).await;
    events_come(&gateway.rest("other"), "file.uploaded", "/theirs", 1).await;
    eventually("the failed login is told", PATIENCE, || async {
        (gateway.number(OF_NO_TENANT).await.unwrap() > 0).then_some(())
    })
    .await;
    let all = agree(&gateway, &nats).await;
    assert!(below(&all, "causeway.events.acme.").len() > 220);
    assert!(
        below(&all, "causeway.events.other.file.uploaded").iter().any(|one| one.event["data"]["path"] == "/theirs")
    );
    assert!(!below(&all, "causeway.events._.auth.failed").is_empty(), "what belongs to no tenant");
    gateway.stop().await;
}

async fn nothing_is_missing_after_the_server_was_away(ledger: Ledger) {
    let Some(mut nats) = Nats::start().await else { return };
    nats.make(STREAM, ALL).await;
    let gateway = nats.plan(Plan::new(ledger)).start().await;
    let rest = gateway.rest("orders");
    uploads(&rest, "first", 10).await;
    agree(&gateway, &nats).await;
    nats.kill();
    uploads(&rest, "away", 20).await;
    eventually("it is told that nothing can be sent", PATIENCE, || async {
        gateway.log().contains("events cannot be sent").then_some(())
    })
    .await;
    nats.up().await;
    agree(&gateway, &nats).await;
    // Killed while it is sent to.
    let burst = tokio::spawn(async move { uploads(&rest, "burst", 150).await });
    for _ in 0..2 {
        let before = nats.count(STREAM).await;
        eventually("events are coming in", PATIENCE, || async {
            (burst.is_finished() || nats.count(STREAM).await > before).then_some(())
        })
        .await;
        nats.kill();
        nats.up().await;
    }
    burst.await.unwrap();
    agree(&gateway, &nats).await;
}

async fn nothing_is_missing_after_the_gateway_was_killed(ledger: Ledger) {
    let Some(nats) = Nats::start().await else { return };
    nats.make(STREAM, ALL).await;
    let mut gateway = nats.plan(Plan::new(ledger)).start().await;
    for round in 0..3 {
        let (rest, before) = (gateway.rest("orders"), nats.count(STREAM).await);
        let burst = tokio::spawn(async move {
            for n in 0.. {
                let request = rest.put_request(&format!("/inbound/round-{round}-{n}"), Bytes::from_static(b"x"));
                if rest.try_send(request).await.is_err() {
                    return n;
                }
            }
            0
        });
        eventually("events are coming in", PATIENCE, || async {
            (nats.count(STREAM).await > before + 20).then_some(())
        })
        .await;
        gateway.kill().await;
        assert!(burst.await.unwrap() > 0);
        gateway.start().await;
    }
    uploads(&gateway.rest("orders"), "last", 1).await;
    agree(&gateway, &nats).await;
    // As if nothing that was acknowledged had been noted: all is sent again, and nothing is kept twice.
    gateway.stop().await;
    gateway.statement("UPDATE audit_sinks SET seq = 0").await;
    gateway.start().await;
    uploads(&gateway.rest("orders"), "again", 1).await;
    agree(&gateway, &nats).await;
    gateway.stop().await;
}

async fn what_nobody_acknowledges_is_not_passed_over(ledger: Ledger) {
    let Some(nats) = Nats::start().await else { return };
    let gateway = nats.plan(Plan::new(ledger)).start().await;
    uploads(&gateway.rest("orders"), "first", 3).await;
    let says = async |words: &str| {
        eventually(words, PATIENCE, || async { gateway.log().contains(words).then_some(()) }).await;
        assert_eq!(gateway.number("SELECT count(*) FROM audit_sinks").await, Some(0), "its place has not moved");
    };
    says("no stream takes `causeway.events.").await;
    nats.make("ELSEWHERE", ALL).await;
    says("is not taken by `CAUSEWAY`").await;
    assert_eq!(nats.count("ELSEWHERE").await, 0);
    nats.remove("ELSEWHERE").await;
    // One tenant's events have a stream, and do not wait for the others'.
    nats.make(STREAM, "causeway.events.other.>").await;
    gateway.rest("other").put("/theirs", b"x").await.ok();
    eventually("the other tenant's events are there", PATIENCE, || async {
        (nats.count(STREAM).await > 0).then_some(())
    })
    .await;
    assert_eq!(gateway.number("SELECT count(*) FROM audit_sinks WHERE chain <> 'other'").await, Some(0));
    nats.change(STREAM, ALL).await;
    let all = agree(&gateway, &nats).await;
    assert!(!below(&all, "causeway.events.acme.file.uploaded").is_empty());
}
