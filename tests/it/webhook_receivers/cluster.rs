//! Two nodes on one PostgreSQL: they serve a webhook one at a time, know one circuit, and take over from each other.

use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Told, tireless};
use crate::harness::plan::postgres_url;
use crate::harness::{Ledger, Receiver, Reply, eventually};
use crate::webhooks_rest::{shown, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_is_one_for_all_nodes() {
    if postgres_url().is_none() {
        return;
    }
    let receiver = Receiver::start().await;
    receiver.usually(Reply::Status(500));
    let plan = tireless(Ledger::Postgres, 2, "8s").webhook("hook", &receiver, &["file.uploaded"]);
    let mut first = plan.start().await;
    let mut second = first.beside(|plan| plan).await;
    let mut told = Told::default();
    told.upload(&first.rest("orders"), &["a"], 2).await;
    let admin = second.rest("orders");
    let seen = eventually("the circuit to open", Duration::from_secs(30), || async {
        let seen = shown(&admin, "hook").await;
        (seen["circuit"]["state"] == "open").then_some(seen)
    })
    .await;
    assert_eq!(seen["circuit"]["failures"], 2, "{seen}");
    let probe_at = OffsetDateTime::parse(seen["circuit"]["probe_at"].as_str().unwrap(), &Rfc3339).unwrap();
    // The node that opened it goes; the other one waits for what that one had decided, although the endpoint is well again.
    receiver.usually(Reply::Status(200));
    told.upload(&admin, &["b", "c"], 1).await;
    first.stop().await;
    receiver.until_accepted(told.count()).await;
    let posts = receiver.posts();
    told.assert_told(&posts);
    assert!(posts[2].timestamp >= probe_at.unix_timestamp(), "{probe_at}: {posts:?}");
    until(&admin, "hook", "delivered", told.count()).await;
    let closed = shown(&admin, "hook").await;
    assert_eq!((&closed["circuit"]["state"], &closed["circuit"]["failures"]), (&json!("closed"), &json!(0)));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_owes_another_one_sends() {
    if postgres_url().is_none() {
        return;
    }
    let receiver = Receiver::start().await;
    let plan = tireless(Ledger::Postgres, 1000, "30s").webhook_timeout("50s");
    let mut first = plan.webhook("hook", &receiver, &["file.uploaded"]).start().await;
    let mut second = first.beside(|plan| plan).await;
    let admin = second.rest("orders");
    let mut told = Told::default();
    told.upload(&first.rest("orders"), &["a", "b"], 2).await;
    told.upload(&admin, &["a", "b"], 2).await;
    receiver.until_accepted(told.count()).await;
    until(&admin, "hook", "delivered", told.count()).await;
    let before = receiver.posts().len();
    assert_eq!(before, told.count(), "two nodes do not send it twice");

    receiver.reply([Reply::Silence, Reply::Silence]);
    told.upload(&admin, &["a", "b"], 2).await;
    receiver.until("two without an answer", |posts| posts.len() == before + 2).await;
    first.kill().await;
    // Half a minute passes.
    second.statement("UPDATE leases SET expires_at = 1 WHERE name = 'webhook/acme/hook'").await;
    receiver.until_accepted(told.count()).await;
    let posts = receiver.posts();
    told.assert_told(&posts);
    assert_eq!(posts.len(), told.count() + 2);
    for hung in &posts[before..before + 2] {
        assert_eq!(posts.iter().filter(|post| post.id == hung.id).count(), 2, "{hung:?}");
    }
    second.stop().await;
}
