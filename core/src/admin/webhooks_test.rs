//! Webhooks as administrators declare them, and what becomes of their deliveries.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::*;
use crate::admin::change::tests::{inner, session};
use crate::admin::{NewWebhook, Refusal, SecretRotation, WebhookChange};
use crate::error::ErrorKind;
use crate::identity::Scope;
use crate::jobs::fake_ledger::FakeLedger;

fn new(id: &str, url: &str) -> NewWebhook {
    NewWebhook { id: Some(id.into()), url: url.into(), events: Some(vec!["file.*".into()]), ..NewWebhook::default() }
}

const URL: &str = "https://hooks.example/x";

fn fields(refusal: Refusal) -> Vec<String> {
    match refusal {
        Refusal::Wrong(faults) => faults.into_iter().map(|fault| fault.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_declared_is_served_and_what_is_wrong_is_not() {
    let inner = inner(Arc::default());
    let (who, clerk) = (session(Scope::WebhooksWrite), session(Scope::FilesRead));
    for url in ["http://hooks.example/", "https://10.0.0.1/", "https://localhost/", "https://hooks.example:22/"] {
        assert_eq!(fields(inner.make_webhook(&who, None, new("w", url)).await.unwrap_err()), ["url"], "{url}");
    }
    let wrong = NewWebhook { events: Some(Vec::new()), secret: Some("short".into()), ..new("w", "hooks") };
    let wrong = fields(inner.make_webhook(&who, None, wrong).await.unwrap_err());
    assert_eq!(wrong, ["url", "events", "secret"]);
    let refused = inner.make_webhook(&clerk, None, new("w", URL)).await.unwrap_err();
    assert_eq!(refused.error().kind(), ErrorKind::PermissionDenied);
    assert!(inner.known_webhook("acme", "w").is_none());

    let (made, secret) = inner.make_webhook(&who, None, new("w", URL)).await.unwrap();
    assert_eq!((&*made.id, made.circuit.as_str()), ("w", "closed"));
    let served = inner.known_webhook("acme", "w").unwrap();
    assert_eq!(served.secret.expose_secret(), secret.expose_secret());
    assert_eq!(inner.make_webhook(&who, None, new("w", URL)).await.unwrap_err(), Refusal::Taken);

    let change = WebhookChange { url: Some("https://127.0.0.1/".into()), ..WebhookChange::default() };
    assert_eq!(fields(inner.change_webhook(&who, (None, "w"), change, None).await.unwrap_err()), ["url"]);
    let change = WebhookChange { events: Some(vec!["auth.*".into()]), ..WebhookChange::default() };
    let changed = inner.change_webhook(&who, (None, "w"), change, made.version).await.unwrap();
    assert_eq!((&*changed.url, &*changed.events), (URL, &["auth.*".to_owned()][..]));
    let late = inner.change_webhook(&who, (None, "w"), WebhookChange::default(), made.version).await.unwrap_err();
    assert_eq!(late.error().kind(), ErrorKind::PreconditionFailed);

    inner.remove_webhook(&who, (None, "w"), None).await.unwrap();
    assert!(inner.known_webhook("acme", "w").is_none());
    let gone = inner.remove_webhook(&who, (None, "w"), None).await.unwrap_err();
    assert_eq!((gone.error().kind(), gone.error().message()), (ErrorKind::NotFound, "there is no such webhook"));
}

#[tokio::test]
async fn a_new_one_has_nothing_of_another_that_had_its_name() {
    let ledger = Arc::<FakeLedger>::default();
    let inner = inner(ledger.clone());
    let who = session(Scope::WebhooksWrite);
    // What a node that did not know yet that it was removed has written.
    let off = WebhookHealth { disabled_at: Some(1), ..WebhookHealth::new("acme/w") };
    let waiting = Delivery {
        webhook: "acme/w".into(),
        event: Uuid::now_v7(),
        position: 1,
        state: DeliveryState::Pending,
        attempts: 3,
        next_at: 0,
        last_result: None,
    };
    ledger.look(|state| {
        state.health.insert("acme/w".into(), off);
        state.deliveries.push(waiting);
    });
    let (made, _) = inner.make_webhook(&who, None, new("w", URL)).await.unwrap();
    assert_eq!(made.health, WebhookHealth::new("acme/w"));
    assert!(ledger.look(|state| state.deliveries.is_empty()));
    // A change of it forgets nothing.
    let failing = WebhookHealth { failures: 2, failing_since: Some(1), ..WebhookHealth::new("acme/w") };
    ledger.look(|state| state.health.insert("acme/w".into(), failing.clone()));
    let change = WebhookChange { events: Some(vec!["auth.*".into()]), ..WebhookChange::default() };
    assert_eq!(inner.change_webhook(&who, (None, "w"), change, None).await.unwrap().health, failing);
}

#[tokio::test]
async fn a_rotated_secret_leaves_the_old_one_for_a_while() {
    let inner = inner(Arc::default());
    let who = session(Scope::WebhooksWrite);
    let (_, old) = inner.make_webhook(&who, None, new("w", URL)).await.unwrap();
    let rotation = SecretRotation { grace: Some(Duration::from_hours(1)), secret: None };
    let (shown, fresh) = inner.rotate_webhook_secret(&who, (None, "w"), rotation, None).await.unwrap();
    assert!(shown.previous_ends_at.is_some());
    let served = inner.known_webhook("acme", "w").unwrap();
    assert_eq!(served.secret.expose_secret(), fresh.expose_secret());
    let previous = served.previous.unwrap();
    assert_eq!(previous.secret.expose_secret(), old.expose_secret());
    assert!(previous.ends_at > now());
    let at_once = SecretRotation { grace: Some(Duration::ZERO), secret: Some("another secret of mine".into()) };
    let (shown, given) = inner.rotate_webhook_secret(&who, (None, "w"), at_once, None).await.unwrap();
    assert_eq!((shown.previous_ends_at, given.expose_secret()), (None, "another secret of mine"));
    let long = SecretRotation { grace: Some(Duration::from_hours(31 * 24)), secret: None };
    assert_eq!(fields(inner.rotate_webhook_secret(&who, (None, "w"), long, None).await.unwrap_err()), ["grace"]);
}

#[tokio::test]
async fn deliveries_are_sent_again_and_replayed() {
    let ledger = Arc::<FakeLedger>::default();
    let inner = inner(ledger.clone());
    let who = session(Scope::WebhooksWrite);
    inner.make_webhook(&who, None, new("w", URL)).await.unwrap();
    // An event that it had, one that it never heard of, and one that it does not want.
    let event = |kind: &'static str| {
        let mut facts = inner.facts(&who, Operation::Upload);
        facts.path = Some(format!("/{kind}"));
        facts.event(kind)
    };
    let (had, missed, other) = (event("file.uploaded"), event("file.deleted"), event("auth.failed"));
    let dead = Delivery {
        webhook: "acme/w".into(),
        event: had.id,
        position: 1,
        state: DeliveryState::Dead,
        attempts: 12,
        next_at: 0,
        last_result: Some("500".into()),
    };
    ledger.look(|state| {
        state.positions = vec![(had.id, 1), (missed.id, 2), (other.id, 3)];
        state.events.extend([had.clone(), missed.clone(), other]);
        state.deliveries.push(dead);
    });
    let filter = DeliveryFilter { state: Some(DeliveryState::Dead), before: None, limit: 9 };
    let listed = inner.webhook_deliveries(&who, (None, "w"), filter).await.unwrap();
    assert_eq!((listed.len(), &*listed[0].kind, listed[0].delivery.attempts), (1, "file.uploaded", 12));

    let mut woken = inner.requeued.subscribe();
    inner.redeliver(&who, (None, "w"), had.id).await.unwrap();
    assert!(woken.has_changed().unwrap());
    woken.mark_unchanged();
    let row = ledger.look(|state| state.deliveries[0].clone());
    assert_eq!((row.state, row.attempts), (DeliveryState::Pending, 0));
    let never = inner.redeliver(&who, (None, "w"), missed.id).await.unwrap_err();
    assert_eq!(never.kind(), ErrorKind::NotFound);

    let replayed = inner.replay(&who, (None, "w"), OffsetDateTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(replayed, Replayed { queued: 2, rest_since: None });
    assert_eq!(ledger.look(|state| state.deliveries.len()), 2);
    assert!(woken.has_changed().unwrap());

    // Nothing is queued for one that is disabled, until it is enabled.
    let off = WebhookHealth { disabled_at: Some(1), disabled_why: Some("gone".into()), ..WebhookHealth::new("acme/w") };
    ledger.look(|state| state.health.insert("acme/w".into(), off));
    let refused = inner.redeliver(&who, (None, "w"), had.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let refused = inner.replay(&who, (None, "w"), OffsetDateTime::UNIX_EPOCH).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let shown = inner.enable_webhook(&who, None, "w").await.unwrap();
    assert_eq!(shown.health.disabled_at, None);

    let tested = inner.test_webhook(&who, None, "w").await.unwrap();
    assert!(tested.is_accepted());
    let unknown = inner.test_webhook(&who, None, "v").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    inner.remove_webhook(&who, (None, "w"), None).await.unwrap();
    assert!(ledger.look(|state| state.deliveries.is_empty() && state.health.is_empty()));
}
