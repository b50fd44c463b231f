//! The audit trail, events, deliveries.

use causeway_core::ports::Reach;
use causeway_core::records::{AuditFilter, AuditRecord, Delivery, DeliveryState, EventRecord, Seal};
use causeway_core::trace::TraceContext;
use uuid::Uuid;

use super::{Subject, T0, write};

pub(in crate::ledger) fn entry(chain: &str, number: i64) -> AuditRecord {
    AuditRecord {
        id: Uuid::now_v7(),
        chain: chain.into(),
        at: T0 + number,
        identity: Some("i".into()),
        login: None,
        operation: "upload".into(),
        outcome: "ok".into(),
        path: Some(format!("/in/{number}")),
        protocol: "sftp".into(),
        body: vec![b'{', 0, number as u8],
    }
}

async fn append(ledger: &Subject, record: &AuditRecord) {
    write!(ledger, [record], |tx| tx.append_audit(&record).await).unwrap();
}

pub async fn audit_entries_are_sealed_in_order(ledger: Subject) {
    let (first, second) = (entry("acme", 1), entry("acme", 2));
    let own = entry("", 3);
    // In the order of appending, whatever their ids.
    for record in [&second, &own, &first] {
        append(&ledger, record).await;
    }
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().unsealed_counts("acme").await.unwrap(), (2, 0));
    let waiting = write!(ledger, [], |tx| tx.unsealed(10).await).unwrap();
    let expected: Vec<_> = [&second, &own, &first].iter().map(|r| (r.id, r.chain.clone(), r.body.clone())).collect();
    assert_eq!(waiting, expected);
    assert_eq!(write!(ledger, [], |tx| tx.unsealed(1).await).unwrap(), expected[..1]);
    assert_eq!(write!(ledger, [], |tx| tx.last_seal("acme").await).unwrap(), None);
    let seals = vec![
        Seal { chain: "acme".into(), seq: 1, entry: second.id, hash: [1; 32] },
        Seal { chain: String::new(), seq: 1, entry: own.id, hash: [2; 32] },
        Seal { chain: "acme".into(), seq: 2, entry: first.id, hash: [3; 32] },
    ];
    write!(ledger, [seals], |tx| tx.insert_seals(&seals).await).unwrap();
    assert!(write!(ledger, [], |tx| tx.unsealed(10).await).unwrap().is_empty());
    assert_eq!(write!(ledger, [], |tx| tx.last_seal("acme").await).unwrap(), Some(seals[2].clone()));
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.unsealed_counts("acme").await.unwrap(), (0, 0));
    assert_eq!(query.chains().await.unwrap(), ["", "acme"]);
    let sealed = query.seals("acme", 0, 10).await.unwrap();
    assert_eq!(sealed, [(seals[0].clone(), Some(second.clone())), (seals[2].clone(), Some(first.clone()))]);
    assert_eq!(query.seals("acme", 1, 10).await.unwrap(), sealed[1..]);
    assert_eq!(query.seals("acme", 0, 1).await.unwrap(), sealed[..1]);
    let rows = query.audit("acme", &AuditFilter::default(), 10).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| row.record.clone()).collect::<Vec<_>>(),
        [second, first],
        "in the order of the chain"
    );
    assert_eq!(rows[0].seal, Some(seals[0].clone()));
    // A place in a chain is given once, and so is a place to an entry.
    let twice = vec![Seal { entry: Uuid::now_v7(), ..seals[2].clone() }];
    assert!(write!(ledger, [twice], |tx| tx.insert_seals(&twice).await).is_err());
    let twice = vec![Seal { seq: 3, ..seals[2].clone() }];
    assert!(write!(ledger, [twice], |tx| tx.insert_seals(&twice).await).is_err());
}

pub async fn audit_filters(ledger: Subject) {
    let a = AuditRecord { path: Some("/in".into()), ..entry("acme", 1) };
    let b = AuditRecord {
        path: Some("/in/é".into()),
        operation: "delete".into(),
        outcome: "denied".into(),
        ..entry("acme", 2)
    };
    let c = AuditRecord {
        path: Some("/inner".into()),
        identity: Some("j".into()),
        protocol: "api".into(),
        ..entry("acme", 3)
    };
    let d = AuditRecord { path: None, identity: None, login: Some("x' OR 1".into()), ..entry("acme", 4) };
    for record in [&a, &b, &c, &d, &entry("other", 5)] {
        append(&ledger, record).await;
    }
    let found = async |filter: AuditFilter| -> String {
        let rows = ledger.read(Reach::Gateway).await.unwrap().audit("acme", &filter, 10).await.unwrap();
        let letter = |id| [(a.id, 'a'), (b.id, 'b'), (c.id, 'c'), (d.id, 'd')].iter().find(|x| x.0 == id).unwrap().1;
        rows.iter().map(|row| letter(row.record.id)).collect()
    };
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(found(AuditFilter::default()).await, "abcd");
    assert_eq!(found(AuditFilter { since: Some(T0 + 2), until: Some(T0 + 4), ..AuditFilter::default() }).await, "bc");
    assert_eq!(found(AuditFilter { identity: text("j"), ..AuditFilter::default() }).await, "c");
    assert_eq!(found(AuditFilter { login: text("x' OR 1"), ..AuditFilter::default() }).await, "d");
    assert_eq!(found(AuditFilter { operation: text("delete"), ..AuditFilter::default() }).await, "b");
    assert_eq!(found(AuditFilter { outcome: text("ok"), ..AuditFilter::default() }).await, "acd");
    assert_eq!(found(AuditFilter { protocol: text("api"), ..AuditFilter::default() }).await, "c");
    assert_eq!(found(AuditFilter { path: text("/in"), ..AuditFilter::default() }).await, "ab");
    assert_eq!(found(AuditFilter { path: text("/in/é"), ..AuditFilter::default() }).await, "b");
    assert_eq!(found(AuditFilter { path: text("/%"), ..AuditFilter::default() }).await, "");
    assert_eq!(found(AuditFilter { path: text("/"), ..AuditFilter::default() }).await, "abc");
    assert_eq!(found(AuditFilter { path: text("/in"), outcome: text("ok"), ..AuditFilter::default() }).await, "a");
    assert_eq!(
        ledger.read(Reach::Gateway).await.unwrap().audit("acme", &AuditFilter::default(), 2).await.unwrap().len(),
        2
    );
    // By place, whatever the ids; what has none comes last, in the order of appending.
    let place = |seq, entry: &AuditRecord| Seal { chain: "acme".into(), seq, entry: entry.id, hash: [1; 32] };
    let seals = vec![place(1, &c), place(2, &b)];
    write!(ledger, [seals], |tx| tx.insert_seals(&seals).await).unwrap();
    assert_eq!(found(AuditFilter::default()).await, "cbad");
    assert_eq!(found(AuditFilter { after: Some(1), ..AuditFilter::default() }).await, "bad");
    assert_eq!(found(AuditFilter { after: Some(2), ..AuditFilter::default() }).await, "ad");
    assert_eq!(found(AuditFilter { outcome: text("denied"), after: Some(1), ..AuditFilter::default() }).await, "b");
    let rows = ledger.read(Reach::Gateway).await.unwrap().audit("acme", &AuditFilter::default(), 3).await.unwrap();
    let seqs: Vec<_> = rows.iter().map(|row| row.seal.as_ref().map(|seal| seal.seq)).collect();
    assert_eq!(seqs, [Some(1), Some(2), None]);
}

pub async fn foreign_entries_are_counted(ledger: Subject) {
    let (record, seal) = (entry("acme", 1), Uuid::now_v7());
    append(&ledger, &record).await;
    // A seal whose entry is gone: it is told, without an entry.
    let seals = vec![
        Seal { chain: "acme".into(), seq: 1, entry: record.id, hash: [1; 32] },
        Seal { chain: "gone".into(), seq: 1, entry: seal, hash: [2; 32] },
    ];
    write!(ledger, [seals], |tx| tx.insert_seals(&seals).await).unwrap();
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.seals("gone", 0, 10).await.unwrap(), [(seals[1].clone(), None)]);
    assert_eq!(query.chains().await.unwrap(), ["acme", "gone"]);
    assert_eq!(query.unsealed_counts("gone").await.unwrap(), (0, 0));
}

pub(in crate::ledger) fn event(tenant: &str, kind: &str) -> EventRecord {
    EventRecord {
        id: Uuid::now_v7(),
        tenant: tenant.into(),
        kind: kind.into(),
        at: T0,
        path: Some("/é".into()),
        order_keys: vec!["file".into(), "/\"é".into()],
        body: r#"{"a":"é"}"#.into(),
        transfer: None,
        quiet: false,
        trace: None,
    }
}

/// A delivery of an event at its position, not tried yet.
pub(in crate::ledger) fn delivery(webhook: &str, (event, position): (Uuid, i64)) -> Delivery {
    Delivery {
        webhook: webhook.into(),
        event,
        position,
        state: DeliveryState::Pending,
        attempts: 0,
        next_at: T0,
        last_result: None,
    }
}

pub async fn events_get_positions(ledger: Subject) {
    // More than one statement's worth, to see that their order survives.
    let mut events: Vec<_> = (0..120).map(|_| event("acme", "file.uploaded")).collect();
    events.reverse();
    events[7] = event("other", "file.uploaded");
    let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Some("a=1 2,b@c=\"x\""));
    assert!(trace.as_ref().is_some_and(|trace| trace.tracestate().is_some()));
    events[8] = EventRecord { path: None, order_keys: Vec::new(), trace, ..event("acme", "auth.failed") };
    write!(ledger, [events], |tx| tx.append_events(&events).await).unwrap();
    write!(ledger, [], |tx| tx.append_events(&[]).await).unwrap();
    assert_eq!(write!(ledger, [], |tx| tx.unpositioned(1000).await).unwrap(), events);
    assert_eq!(write!(ledger, [], |tx| tx.unpositioned(3).await).unwrap(), events[..3]);
    assert_eq!(write!(ledger, [], |tx| tx.last_position().await).unwrap(), 0);
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert!(query.events("acme", 0, &[], 1000).await.unwrap().is_empty());
    assert!(query.event_tenants().await.unwrap().is_empty());
    assert_eq!(query.event_position(events[0].id).await.unwrap(), None);
    let positions: Vec<_> = events[..100].iter().zip(1..).map(|(event, position)| (event.id, position)).collect();
    write!(ledger, [positions], |tx| tx.position_events(&positions, &[]).await).unwrap();
    assert_eq!(write!(ledger, [], |tx| tx.unpositioned(1000).await).unwrap(), events[100..]);
    assert_eq!(query.event_position(events[4].id).await.unwrap(), Some(5));
    assert_eq!(query.event_position(Uuid::now_v7()).await.unwrap(), None);
    let all = query.events("acme", 0, &[], 1000).await.unwrap();
    assert_eq!(all.len(), 99);
    assert!(all.windows(2).all(|two| two[0].position < two[1].position));
    assert_eq!((all[0].position, &all[0].event), (1, &events[0]));
    assert_eq!(query.events("acme", 98, &[], 1).await.unwrap()[0].position, 99);
    let kinds = ["auth.failed".to_owned(), "no\"such".to_owned()];
    let failed = query.events("acme", 0, &kinds, 1000).await.unwrap();
    assert_eq!(failed.iter().map(|stored| stored.event.clone()).collect::<Vec<_>>(), [events[8].clone()]);
    assert_eq!(query.events("other", 0, &[], 1000).await.unwrap()[0].position, 8);
    let latest = query.latest_events("acme", i64::MAX, 2).await.unwrap();
    assert_eq!(latest.iter().map(|stored| stored.position).collect::<Vec<_>>(), [100, 99]);
    assert_eq!(latest[0].event, events[99]);
    let earlier = query.latest_events("acme", 9, 2).await.unwrap();
    assert_eq!(earlier.iter().map(|stored| stored.position).collect::<Vec<_>>(), [7, 6], "8 is another tenant's");
    assert_eq!(query.last_position().await.unwrap(), 100);
    assert_eq!(query.event_tenants().await.unwrap(), [("acme".to_owned(), 100), ("other".to_owned(), 8)]);
    // No position twice.
    let twice = vec![(events[101].id, 100)];
    assert!(write!(ledger, [twice], |tx| tx.position_events(&twice, &[]).await).is_err());
}

pub async fn deliveries_wait_in_order(ledger: Subject) {
    let events = vec![event("acme", "a"), event("acme", "b"), event("acme", "c")];
    write!(ledger, [events], |tx| tx.append_events(&events).await).unwrap();
    // Positions may differ from the order of ids.
    let positions = vec![(events[0].id, 3), (events[1].id, 1), (events[2].id, 2)];
    let mut deliveries: Vec<_> = positions.iter().map(|one| delivery("acme/w", *one)).collect();
    deliveries.push(delivery("acme/v", positions[0]));
    write!(ledger, [positions, deliveries], |tx| tx.position_events(&positions, &deliveries).await).unwrap();
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let pending = query.pending_deliveries("acme/w", 10).await.unwrap();
    assert_eq!(pending.iter().map(|one| one.0.position).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(pending[0], (deliveries[1].clone(), events[1].clone()));
    let tried = Delivery { attempts: 1, next_at: T0 + 9, last_result: Some("503".into()), ..deliveries[2].clone() };
    let done = Delivery { state: DeliveryState::Delivered, attempts: 1, ..deliveries[1].clone() };
    let dead = Delivery { state: DeliveryState::Dead, attempts: 1, ..deliveries[0].clone() };
    let all = vec![tried.clone(), done, dead];
    write!(ledger, [all], |tx| tx.update_deliveries(&all).await).unwrap();
    write!(ledger, [], |tx| tx.update_deliveries(&[]).await).unwrap();
    assert_eq!(query.pending_deliveries("acme/w", 10).await.unwrap(), [(tried.clone(), events[2].clone())]);
    // A result that comes late: another attempt was written since, or it was queued again.
    for attempts in [1, 3] {
        let late = vec![Delivery { state: DeliveryState::Dead, attempts, ..tried.clone() }];
        write!(ledger, [late], |tx| tx.update_deliveries(&late).await).unwrap();
        assert_eq!(query.pending_deliveries("acme/w", 10).await.unwrap(), [(tried.clone(), events[2].clone())]);
    }
    assert_eq!(query.pending_deliveries("acme/v", 10).await.unwrap(), [(deliveries[3].clone(), events[0].clone())]);
    assert!(query.pending_deliveries("acme/u", 10).await.unwrap().is_empty());
    assert_eq!(query.pending_deliveries("acme/w", 0).await.unwrap(), []);
}
