use super::*;
use crate::audit::{Trust, verify_chain};
use crate::events::{Facts, Operation};
use crate::identity::{Peer, Protocol};
use crate::jobs::fake_ledger::FakeLedger;
use crate::records::WebhookHealth;
use globset::{Glob, GlobSet, GlobSetBuilder};

fn globs(patterns: &[&str]) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(Glob::new(pattern).unwrap());
    }
    builder.build().unwrap()
}

fn webhook(tenant: &str, id: &str, events: &[&str], path: Option<&str>) -> Webhook {
    Webhook {
        tenant: tenant.into(),
        id: id.into(),
        url: "https://hooks.example/".into(),
        events: globs(events),
        event_texts: events.iter().map(|&text| text.to_owned()).collect(),
        path: path.map(|path| globs(&[path])),
        path_text: path.map(str::to_owned),
        secret: "secret".into(),
        previous: None,
        tls: crate::events::EndpointTls::default(),
    }
}

fn facts(tenant: Option<&str>, path: Option<&str>) -> Facts {
    let peer = Peer {
        ip: [192, 0, 2, 7].into(),
        protocol: Protocol::Sftp,
        client_version: None,
        cipher: None,
        required_certificate: None,
    };
    let mut facts = Facts::of_peer(&peer, "gw-1", Operation::Upload);
    facts.tenant = tenant.map(Into::into);
    facts.path = path.map(Into::into);
    facts
}

async fn append(ledger: &FakeLedger, facts: Vec<(Facts, &'static str)>) {
    transact(ledger, Reach::Gateway, Durability::Disk, move |tx| {
        let facts = facts.clone();
        async move {
            for (facts, kind) in &facts {
                tx.append_audit(&facts.audit()).await?;
                tx.append_events(&[facts.event(kind)]).await?;
            }
            Ok(())
        }
        .boxed()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn entries_are_sealed_into_their_own_chains() {
    let ledger = FakeLedger::default();
    let none: Arc<[Webhook]> = Arc::new([]);
    append(&ledger, vec![(facts(Some("acme"), None), "auth.failed"), (facts(None, None), "auth.failed")]).await;
    append(&ledger, vec![(facts(Some("acme"), None), "auth.failed")]).await;
    let round = run_once(&ledger, &none).await.unwrap();
    assert_eq!(round, Round { sealed: 3, positioned: 3, last: 3 });
    append(&ledger, vec![(facts(Some("acme"), None), "auth.failed")]).await;
    assert_eq!(verify_chain(&ledger, "acme", &Trust::default()).await.unwrap().entries, 3);
    assert_eq!(run_once(&ledger, &none).await.unwrap(), Round { sealed: 1, positioned: 1, last: 4 });
    assert_eq!(run_once(&ledger, &none).await.unwrap(), Round { last: 4, ..Round::default() });
    let acme = verify_chain(&ledger, "acme", &Trust::default()).await.unwrap();
    assert_eq!((acme.valid, acme.sealed, acme.first, acme.last), (true, 3, 1, 3));
    let own = verify_chain(&ledger, "", &Trust::default()).await.unwrap();
    assert_eq!((own.valid, own.sealed), (true, 1));

    ledger.look(|state| state.entries[0].body.push(b' '));
    assert_eq!(verify_chain(&ledger, "acme", &Trust::default()).await.unwrap().broken_at, Some(1));
}

#[tokio::test]
async fn nothing_is_queued_for_a_webhook_that_is_disabled() {
    let ledger = FakeLedger::default();
    let webhooks: Arc<[Webhook]> =
        Arc::new([webhook("acme", "on", &["file.*"], None), webhook("acme", "off", &["file.*"], None)]);
    let off = WebhookHealth { disabled_at: Some(1), ..WebhookHealth::new("acme/off") };
    ledger.look(|state| {
        state.health.insert(off.webhook.clone(), off);
        state.events.push(facts(Some("acme"), Some("/a")).event("file.uploaded"));
    });
    run_once(&ledger, &webhooks).await.unwrap();
    let queued: Vec<String> = ledger.look(|state| state.deliveries.iter().map(|d| d.webhook.clone()).collect());
    assert_eq!(queued, ["acme/on"]);
}

#[test]
fn deliveries_go_to_the_webhooks_that_want_them() {
    let webhooks = [
        webhook("acme", "all", &["*"], None),
        webhook("acme", "in", &["file.*", "auth.failed"], Some("/inbound/**")),
        webhook("other", "all", &["*"], None),
    ];
    let events = [
        facts(Some("acme"), Some("/inbound/a/b.csv")).event("file.uploaded"),
        facts(Some("acme"), Some("/outbound/b.csv")).event("file.uploaded"),
        facts(Some("acme"), None).event("auth.failed"),
        facts(Some("acme"), None).event("session.opened"),
        facts(None, None).event("auth.failed"),
    ];
    let queued = deliveries(&events, 7, &webhooks, 5);
    let found: Vec<(&str, i64)> = queued.iter().map(|d| (d.webhook.as_str(), d.position)).collect();
    let expected =
        [("acme/all", 7), ("acme/in", 7), ("acme/all", 8), ("acme/all", 9), ("acme/in", 9), ("acme/all", 10)];
    assert_eq!(found, expected);
    assert!(queued.iter().all(|d| d.next_at == 5 && d.attempts == 0 && d.state == DeliveryState::Pending));
    assert_eq!(queued[2].event, events[1].id);
}

#[tokio::test]
async fn more_than_a_batch_is_drained_after_a_failure_and_at_shutdown() {
    let ledger = Arc::new(FakeLedger::default());
    append(&ledger, (0..BATCH + 5).map(|_| (facts(Some("acme"), None), "auth.failed")).collect()).await;
    *ledger.failures.lock().unwrap() = 1;
    let (positions, mut seen) = watch::channel(0);
    let (wake, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
    let job = tokio::spawn(run(
        ledger.clone(),
        watch::channel(Arc::from([])).1,
        wake.clone(),
        positions,
        Duration::from_mins(1),
        shutdown.clone(),
    ));
    let all = i64::from(BATCH) + 5;
    tokio::time::timeout(Duration::from_secs(10), seen.wait_for(|last| *last == all)).await.unwrap().unwrap();

    append(&ledger, vec![(facts(Some("acme"), None), "auth.failed")]).await;
    wake.notify_one();
    tokio::time::timeout(Duration::from_secs(1), seen.wait_for(|last| *last == all + 1)).await.unwrap().unwrap();

    // Another node was faster: nothing is left to do here, but whoever delivers here hears of it.
    append(&ledger, vec![(facts(Some("acme"), None), "auth.failed")]).await;
    run_once(ledger.as_ref(), &Arc::from([])).await.unwrap();
    wake.notify_one();
    tokio::time::timeout(Duration::from_secs(1), seen.wait_for(|last| *last == all + 2)).await.unwrap().unwrap();

    append(&ledger, vec![(facts(Some("acme"), None), "auth.failed")]).await;
    shutdown.cancel();
    job.await.unwrap();
    assert_eq!(ledger.look(|state| state.seals.len()) as i64, all + 3);
    assert!(verify_chain(ledger.as_ref(), "acme", &Trust::default()).await.unwrap().valid);
}
