//! How endpoints fare, and deliveries as administrators see them and queue them again.

use causeway_core::ports::Reach;
use causeway_core::records::{Circuit, Delivery, DeliveryState, EventRecord, WebhookHealth};
use uuid::Uuid;

use super::{Subject, T0, delivery, event, write};

fn health(webhook: &str) -> WebhookHealth {
    WebhookHealth {
        webhook: webhook.into(),
        failures: 12,
        failing_since: Some(T0),
        probe_at: Some(T0 + 9),
        trips: 2,
        disabled_at: Some(T0 + 7),
        disabled_why: Some("\"é".into()),
        changed_at: T0 + 8,
    }
}

pub async fn the_health_of_endpoints_is_kept(ledger: Subject) {
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.webhook_health("acme/w").await.unwrap(), None);
    let (w, v) = (health("acme/w"), WebhookHealth::new("acme/v"));
    let (other, near) = (WebhookHealth::new("other/w"), WebhookHealth::new("acme-2/w"));
    for one in [&w, &v, &other, &near] {
        write!(ledger, [one], |tx| tx.put_webhook_health(&one).await).unwrap();
    }
    assert_eq!(query.webhook_health("acme/w").await.unwrap(), Some(w.clone()));
    assert_eq!(query.webhook_healths(Some("acme")).await.unwrap(), [v.clone(), w.clone()]);
    assert_eq!(query.webhook_healths(None).await.unwrap().len(), 4);
    // Written anew: what is none now was something before.
    let well = WebhookHealth { changed_at: T0 + 20, ..WebhookHealth::new("acme/w") };
    assert_eq!((w.circuit(T0), well.circuit(T0)), (Circuit::Open { until: T0 + 9 }, Circuit::Closed));
    write!(ledger, [well], |tx| tx.put_webhook_health(&well).await).unwrap();
    assert_eq!(query.webhook_health("acme/w").await.unwrap(), Some(well));
    // Of another tenant's nothing is known.
    let mut query = ledger.read(Reach::Tenant("acme".into())).await.unwrap();
    assert_eq!(query.webhook_health("other/w").await.unwrap(), None);
    assert!(query.webhook_health("acme/v").await.unwrap().is_some());
}

/// Three events, and their deliveries at positions 1 to 3.
async fn queued(ledger: &Subject) -> (Vec<EventRecord>, Vec<Delivery>) {
    let events = vec![event("acme", "a"), event("acme", "b"), event("acme", "c")];
    write!(ledger, [events], |tx| tx.append_events(&events).await).unwrap();
    let positions: Vec<(Uuid, i64)> = events.iter().map(|event| event.id).zip(1..).collect();
    let deliveries: Vec<Delivery> = positions.iter().map(|one| delivery("acme/w", *one)).collect();
    write!(ledger, [positions, deliveries], |tx| tx.position_events(&positions, &deliveries).await).unwrap();
    (events, deliveries)
}

async fn listed(ledger: &Subject, state: Option<DeliveryState>, before: i64) -> Vec<(i64, DeliveryState, i64)> {
    let mut query = ledger.read(Reach::Tenant("acme".into())).await.unwrap();
    let found = query.deliveries("acme/w", state, before, 10).await.unwrap();
    assert!(found.iter().all(|(delivery, event)| delivery.event == event.id));
    found.into_iter().map(|(delivery, _)| (delivery.position, delivery.state, delivery.attempts)).collect()
}

pub async fn dead_letters_are_listed_and_queued_again(ledger: Subject) {
    use DeliveryState::{Dead, Delivered, Pending};
    let (events, deliveries) = queued(&ledger).await;
    let dead = Delivery { state: Dead, attempts: 1, last_result: Some("500".into()), ..deliveries[0].clone() };
    let done = Delivery { state: Delivered, attempts: 1, ..deliveries[1].clone() };
    // One that is not there, of a webhook that was forgotten, stays away.
    let all = vec![dead, done, delivery("acme/forgotten", (events[0].id, 1))];
    write!(ledger, [all], |tx| tx.update_deliveries(&all).await).unwrap();
    assert!(
        ledger.read(Reach::Gateway).await.unwrap().pending_deliveries("acme/forgotten", 9).await.unwrap().is_empty()
    );
    assert_eq!(listed(&ledger, None, i64::MAX).await, [(3, Pending, 0), (2, Delivered, 1), (1, Dead, 1)]);
    assert_eq!(listed(&ledger, None, 3).await, [(2, Delivered, 1), (1, Dead, 1)]);
    assert_eq!(listed(&ledger, Some(Dead), i64::MAX).await, [(1, Dead, 1)]);
    assert_eq!(listed(&ledger, Some(Delivered), i64::MAX).await, [(2, Delivered, 1)]);
    assert_eq!(listed(&ledger, Some(Pending), i64::MAX).await, [(3, Pending, 0)]);

    let one = events[0].id;
    assert!(write!(ledger, [], |tx| tx.requeue_delivery("acme/w", one, T0 + 5).await).unwrap());
    assert!(!write!(ledger, [], |tx| tx.requeue_delivery("acme/v", one, T0).await).unwrap());
    assert!(!write!(ledger, [], |tx| tx.requeue_delivery("acme/w", Uuid::nil(), T0).await).unwrap());
    assert_eq!(listed(&ledger, Some(Pending), i64::MAX).await, [(3, Pending, 0), (1, Pending, 0)]);

    // Several at once: one that is done and one that was never queued.
    let anew = vec![delivery("acme/w", (events[1].id, 2)), delivery("acme/v", (events[1].id, 2))];
    write!(ledger, [anew], |tx| tx.queue_deliveries(&anew).await).unwrap();
    write!(ledger, [anew], |tx| tx.queue_deliveries(&anew).await).unwrap();
    assert_eq!(listed(&ledger, None, i64::MAX).await, [(3, Pending, 0), (2, Pending, 0), (1, Pending, 0)]);
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.pending_deliveries("acme/v", 9).await.unwrap().len(), 1);

    // Another tenant's reach ends before them.
    let mut query = ledger.read(Reach::Tenant("other".into())).await.unwrap();
    assert!(query.deliveries("acme/w", None, i64::MAX, 10).await.unwrap().is_empty());

    let since = async |at: i64, after: i64| {
        let mut query = ledger.read(Reach::Tenant("acme".into())).await.unwrap();
        let found = query.events_since("acme", at, after, 10).await.unwrap();
        found.into_iter().map(|stored| stored.position).collect::<Vec<_>>()
    };
    let at = events[0].at;
    assert_eq!(since(at, 0).await, [1, 2, 3]);
    assert_eq!(since(at, 2).await, [3]);
    assert!(since(at + 1, 0).await.is_empty());
}

pub async fn what_waits_is_buried_and_forgotten(ledger: Subject) {
    use DeliveryState::{Dead, Delivered};
    let (events, deliveries) = queued(&ledger).await;
    let done = Delivery { state: Delivered, attempts: 1, ..deliveries[1].clone() };
    write!(ledger, [done], |tx| tx.update_deliveries(std::slice::from_ref(&done)).await).unwrap();
    let beside = vec![delivery("acme/v", (events[0].id, 1))];
    write!(ledger, [beside], |tx| tx.queue_deliveries(&beside).await).unwrap();
    assert_eq!(write!(ledger, [], |tx| tx.bury_deliveries("acme/w", "gone").await).unwrap(), 2);
    assert_eq!(write!(ledger, [], |tx| tx.bury_deliveries("acme/w", "gone").await).unwrap(), 0);
    assert_eq!(listed(&ledger, None, i64::MAX).await, [(3, Dead, 0), (2, Delivered, 1), (1, Dead, 0)]);
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let dead = query.deliveries("acme/w", Some(Dead), i64::MAX, 1).await.unwrap();
    assert_eq!(dead[0].0.last_result.as_deref(), Some("gone"));
    assert_eq!(query.pending_deliveries("acme/v", 9).await.unwrap().len(), 1, "another webhook's wait on");

    let known = health("acme/w");
    write!(ledger, [known], |tx| tx.put_webhook_health(&known).await).unwrap();
    assert_eq!(write!(ledger, [], |tx| tx.forget_webhook("acme/w").await).unwrap(), 3);
    assert!(listed(&ledger, None, i64::MAX).await.is_empty());
    assert_eq!(query.webhook_health("acme/w").await.unwrap(), None);
    assert_eq!(query.pending_deliveries("acme/v", 9).await.unwrap().len(), 1);
}
