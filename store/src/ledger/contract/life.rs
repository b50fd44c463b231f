//! Transactions, leases, processes: what holds the ledger together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use causeway_core::ports::{Durability, Reach, Tx, TxOp};
use causeway_core::records::Incarnation;
use causeway_core::{Error, ErrorKind, Result};
use futures::future::BoxFuture;
use uuid::Uuid;

use super::{Subject, T0, folder, insert, root, write};

pub async fn leases_have_one_holder(ledger: Subject) {
    let (mine, theirs) = (Uuid::now_v7(), Uuid::now_v7());
    let take = async |name: &'static str, holder, until, now| {
        write!(ledger, [], |tx| tx.take_lease(name, holder, until, now).await).unwrap()
    };
    assert!(take("a", mine, T0 + 10, T0).await);
    assert!(!take("a", theirs, T0 + 20, T0 + 5).await, "still held");
    assert!(!take("a", theirs, T0 + 20, T0 + 10).await, "until means until");
    assert!(take("a", mine, T0 + 15, T0 + 5).await, "renewed");
    assert!(take("b", theirs, T0 + 10, T0).await, "another name");
    assert!(take("a", theirs, T0 + 30, T0 + 16).await, "run out");
    assert!(!take("a", mine, T0 + 40, T0 + 16).await);
}

pub async fn incarnations_come_and_go(ledger: Subject) {
    let one = Incarnation {
        id: Uuid::now_v7(),
        node: "gw-1".into(),
        installation: Uuid::new_v4(),
        heartbeat: T0,
        oldest_read: T0 - 1,
    };
    let two = Incarnation { id: Uuid::now_v7(), node: "gw-2".into(), ..one.clone() };
    for incarnation in [&one, &two] {
        write!(ledger, [incarnation], |tx| tx.put_incarnation(&incarnation).await).unwrap();
    }
    let later = Incarnation { heartbeat: T0 + 9, oldest_read: T0 + 8, ..one.clone() };
    write!(ledger, [later], |tx| tx.put_incarnation(&later).await).unwrap();
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.incarnations().await.unwrap(), [later, two.clone()]);
    write!(ledger, [one], |tx| tx.delete_incarnation(one.id).await).unwrap();
    assert_eq!(query.incarnations().await.unwrap(), [two]);
}

pub async fn failing_work_leaves_nothing(ledger: Subject) {
    let root = root(&ledger).await;
    // Side by side, so that on SQLite they meet in one batch.
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (ledger, node) = (ledger.clone(), folder(root.id, &format!("n{number:03}")));
        tasks.spawn(async move {
            let outcome = write!(ledger, [node], |tx| {
                tx.insert_node(&node).await?;
                tx.add_usage("acme", "i", 1).await?;
                match number % 4 {
                    0 => Ok(()),
                    1 => Err(Error::new(ErrorKind::QuotaExceeded, "no")),
                    2 => tx.insert_node(&node).await,
                    _ => tx.delete_node(Uuid::now_v7()).await,
                }
            });
            (number, outcome)
        });
    }
    for (number, outcome) in tasks.join_all().await {
        let kind = outcome.err().map(|error| error.kind());
        let expected =
            [None, Some(ErrorKind::QuotaExceeded), Some(ErrorKind::AlreadyExists), Some(ErrorKind::NotFound)]
                [number % 4];
        assert_eq!(kind, expected, "{number}");
    }
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let names: Vec<_> = query.children(root.id, None, 200).await.unwrap().into_iter().map(|node| node.name).collect();
    assert_eq!(names, (0..25).map(|n| format!("n{:03}", n * 4)).collect::<Vec<_>>());
    assert_eq!(query.usage("acme", None).await.unwrap(), 25);
}

pub async fn swallowed_errors_do_not_commit(ledger: Subject) {
    let root = root(&ledger).await;
    let (taken, other) = (folder(root.id, "a"), folder(root.id, "b"));
    insert(&ledger, &taken).await;
    let error = write!(ledger, [taken, other], |tx| {
        tx.insert_node(&other).await?;
        let _ = tx.insert_node(&taken).await;
        Ok(())
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    // What core itself says no to ends nothing.
    write!(ledger, [other], |tx| {
        let _ = tx.reference_blob(Uuid::new_v4(), other.id).await;
        let _ = tx.delete_node(Uuid::now_v7()).await;
        tx.insert_node(&other).await
    })
    .unwrap();
}

struct Panics;

impl TxOp for Panics {
    fn run<'t>(&'t self, tx: &'t mut dyn Tx) -> BoxFuture<'t, Result<()>> {
        Box::pin(async move {
            tx.add_usage("acme", "i", 1).await?;
            panic!("as it should");
        })
    }
}

pub async fn a_panic_ends_nothing_else(ledger: Subject) {
    let error = ledger.write(Reach::Gateway, Durability::Disk, Arc::new(Panics)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    write!(ledger, [], |tx| tx.add_usage("acme", "i", 10).await).unwrap();
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().usage("acme", None).await.unwrap(), 10);
}

/// Counts, slowly.
struct Slow(AtomicU32);

impl TxOp for Slow {
    fn run<'t>(&'t self, tx: &'t mut dyn Tx) -> BoxFuture<'t, Result<()>> {
        Box::pin(async move {
            self.0.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            tx.add_usage("acme", "i", 1).await
        })
    }
}

pub async fn work_goes_on_without_its_caller(ledger: Subject) {
    let slow = Arc::new(Slow(AtomicU32::new(0)));
    let caller = tokio::spawn({
        let (ledger, slow) = (ledger.clone(), slow.clone());
        async move { ledger.write(Reach::Gateway, Durability::Disk, slow).await }
    });
    while slow.0.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    caller.abort();
    for _ in 0..200 {
        if ledger.read(Reach::Gateway).await.unwrap().usage("acme", None).await.unwrap() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the work was given up with its caller");
}

pub async fn closes_after_what_is_under_way(ledger: Subject) {
    let slow = Arc::new(Slow(AtomicU32::new(0)));
    let caller = tokio::spawn({
        let (ledger, slow) = (ledger.clone(), slow.clone());
        async move { ledger.write(Reach::Gateway, Durability::Process, slow).await }
    });
    while slow.0.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    ledger.close().await;
    caller.await.unwrap().unwrap();
    let error = write!(ledger, [], |tx| tx.add_usage("acme", "i", 1).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(ledger.read(Reach::Gateway).await.err().unwrap().kind(), ErrorKind::Unavailable);
    ledger.close().await;
}
