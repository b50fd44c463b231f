//! How much waits, and since when.

use causeway_core::ports::Reach;
use causeway_core::records::{Backlog, Delivery, DeliveryState, EventRecord, Job, TransferState};
use uuid::Uuid;

use super::{Subject, T0, delivery, entry, event, job, write};

pub async fn what_waits_is_counted(ledger: Subject) {
    let ask = async |most| ledger.read(Reach::Gateway).await.unwrap().backlog(most).await.unwrap();
    assert_eq!(ask(9).await, Backlog::default());

    for record in [entry("acme", 5), entry("", 3)] {
        write!(ledger, [record], |tx| tx.append_audit(&record).await).unwrap();
    }
    let events: Vec<EventRecord> = (0..3).map(|n| EventRecord { at: T0 + n, ..event("acme", "a") }).collect();
    write!(ledger, [events], |tx| tx.append_events(&events).await).unwrap();
    let unpositioned = ask(9).await;
    assert_eq!((unpositioned.unpositioned, unpositioned.oldest_unpositioned), (3, Some(T0)));

    // The oldest one waits for the webhook that comes last.
    let (first, second) = ((events[0].id, 1), (events[1].id, 2));
    let positions: Vec<(Uuid, i64)> = vec![first, second];
    let deliveries = vec![delivery("acme/v", second), delivery("acme/w", first), delivery("acme/w", second)];
    write!(ledger, [positions, deliveries], |tx| tx.position_events(&positions, &deliveries).await).unwrap();
    let jobs = [
        job("acme", "i", 0),
        standing(TransferState::Running, Some(T0)),
        standing(TransferState::Retrying, Some(T0)),
        standing(TransferState::Completed, None),
    ];
    for job in &jobs {
        write!(ledger, [job], |tx| tx.insert_job(&job).await).unwrap();
    }
    let all = Backlog {
        deliveries: 3,
        oldest_delivery: Some(T0),
        dead: 0,
        unsealed: 2,
        oldest_unsealed: Some(T0 + 5),
        unpositioned: 1,
        oldest_unpositioned: Some(T0 + 2),
        queued: 1,
        running: 1,
        retrying: 1,
    };
    assert_eq!(ask(9).await, all);
    let few = ask(1).await;
    assert_eq!((few.deliveries, few.unsealed, few.oldest_delivery), (1, 1, Some(T0)), "counting ends");
    assert_eq!(few.queued + few.running + few.retrying, 1);

    // What is done waits no more.
    let done = Delivery { state: DeliveryState::Delivered, attempts: 1, ..deliveries[1].clone() };
    let dead = Delivery { state: DeliveryState::Dead, attempts: 1, ..deliveries[0].clone() };
    for one in [&done, &dead] {
        write!(ledger, [one], |tx| tx.update_deliveries(std::slice::from_ref(&one)).await).unwrap();
    }
    assert_eq!(ask(9).await, Backlog { deliveries: 1, oldest_delivery: Some(T0 + 1), dead: 1, ..all });
}

fn standing(state: TransferState, due_at: Option<i64>) -> Job {
    Job { state, due_at, ..job("acme", "i", 0) }
}
