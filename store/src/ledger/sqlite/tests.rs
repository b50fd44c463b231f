use std::time::Instant;

use causeway_core::ports::{Reach, transact};
use causeway_core::records::UploadRow;
use uuid::Uuid;

use super::*;
use crate::ledger::contract;

macro_rules! run {
    (() $($case:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                // By the writer's thread, then on the spot.
                for (name, swiftness) in [("thread.db", Swiftness::never()), ("spot.db", Swiftness::always())] {
                    let ledger: contract::Subject = Arc::new(opened(&folder.path().join(name), swiftness).await);
                    contract::$case(ledger.clone()).await;
                    ledger.close().await;
                }
            }
        )*
    };
}

crate::ledger_cases!(run,);

/// A ledger that takes its disk for this swift.
async fn opened(path: &Path, swiftness: Swiftness) -> SqliteLedger {
    let ledger = SqliteLedger::open(path, 0).await.unwrap();
    let connection = open(path, Purpose::Writing).unwrap();
    let writer = Writer::new(path, connection, Arc::clone(&ledger.room), Arc::new(swiftness));
    SqliteLedger { desk: Desk::open(writer).unwrap(), ..ledger }
}

fn raw(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

async fn use_some(ledger: &SqliteLedger, durability: Durability) -> Result<()> {
    transact(ledger, Reach::Gateway, durability, |tx| Box::pin(async move { tx.add_usage("acme", "i", 1).await })).await
}

async fn used(ledger: &SqliteLedger) -> u64 {
    ledger.read(Reach::Gateway).await.unwrap().usage("acme", None).await.unwrap()
}

#[tokio::test]
async fn survives_close_and_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("causeway.db");
    for round in 0..3 {
        let ledger = SqliteLedger::open(&path, 0).await.unwrap();
        assert_eq!(used(&ledger).await, round * 2);
        use_some(&ledger, Durability::Disk).await.unwrap();
        use_some(&ledger, Durability::Process).await.unwrap();
        ledger.close().await;
        assert!(!folder.path().join("causeway.db-wal").exists(), "the WAL was not written back");
    }
}

#[tokio::test]
async fn nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("causeway.db");
    let ledger = SqliteLedger::open(&path, 0).await.unwrap();
    for name in ["causeway.db", "causeway.db-wal"] {
        assert_eq!(std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o077, 0, "{name}");
    }
    ledger.close().await;
}

#[tokio::test]
async fn the_trail_refuses_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("causeway.db");
    SqliteLedger::open(&path, 0).await.unwrap().close().await;
    let raw = raw(&path);
    raw.execute_batch(
        "INSERT INTO audit_entries (id, chain, at, operation, outcome, protocol, body) VALUES (x'01', 'c', 1, 'o', 'ok', 'p', x'02'); \
         INSERT INTO audit_seals (chain, seq, entry, hash) VALUES ('c', 1, x'01', zeroblob(32));",
    )
    .unwrap();
    for sql in [
        "UPDATE audit_entries SET body = x'03'",
        "DELETE FROM audit_entries",
        "UPDATE audit_seals SET seq = 2",
        "DELETE FROM audit_seals",
    ] {
        let error = raw.execute_batch(sql).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn refuses_what_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("causeway.db");
    std::fs::write(&path, vec![b'x'; 4096]).unwrap();
    let error = SqliteLedger::open(&path, 0).await.err().unwrap();
    assert!(error.message().contains("causeway.db"), "{error}");
    let error = SqliteLedger::open(&folder.path().join("no/such/folder.db"), 0).await.err().unwrap();
    assert!(error.message().contains("folder.db"), "{error}");
}

#[tokio::test]
async fn tells_when_room_is_short() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(&folder.path().join("a.db"), u64::MAX).await.unwrap();
    assert_eq!(ledger.has_room().unwrap_err().kind(), ErrorKind::NoSpace);
    let ledger = SqliteLedger::open(&folder.path().join("b.db"), 1).await.unwrap();
    ledger.has_room().unwrap();
}

/// A ledger whose writer cannot grow its file by much, and reconnects without that limit.
async fn cramped(path: &Path, swiftness: Swiftness) -> SqliteLedger {
    let ledger = SqliteLedger::open(path, 0).await.unwrap();
    let connection = open(path, Purpose::Writing).unwrap();
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    connection.query_row(&format!("PRAGMA max_page_count = {}", pages + 4), (), |_| Ok(())).unwrap();
    let writer = Writer::new(path, connection, Arc::clone(&ledger.room), Arc::new(swiftness));
    SqliteLedger { desk: Desk::open(writer).unwrap(), ..ledger }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_no_space_and_leaves_nothing() {
    for swiftness in [Swiftness::never(), Swiftness::always()] {
        let folder = tempfile::tempdir().unwrap();
        fill_the_disk(cramped(&folder.path().join("causeway.db"), swiftness).await).await;
    }
}

async fn fill_the_disk(ledger: SqliteLedger) {
    let ledger = Arc::new(ledger);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..64_u32 {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            transact(&*ledger, Reach::Gateway, Durability::Disk, move |tx| {
                Box::pin(async move {
                    tx.add_usage("acme", "i", 1).await?;
                    let segments = vec![contract_segment(); if number % 2 == 0 { 0 } else { 2000 }];
                    let name = format!("{number}");
                    tx.insert_upload(&UploadRow { segments, ..contract::upload(Uuid::now_v7(), &name) }).await
                })
            })
            .await
        });
    }
    let outcomes = tasks.join_all().await;
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(|e| e.kind() == ErrorKind::NoSpace));
    assert!(done < 64, "the disk was not full");
    assert_eq!(used(&ledger).await, done as u64);
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().uploads_of("acme", "i").await.unwrap().len(), done);
    // What needs no room goes on.
    use_some(&ledger, Durability::Disk).await.unwrap();
}

fn contract_segment() -> causeway_core::records::Segment {
    causeway_core::records::Segment { start: 0, len: 1, blob: Some(contract::blob()), offset: 0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_on_a_new_connection_after_a_failed_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("causeway.db");
    let ledger = SqliteLedger::open(&path, 0).await.unwrap();
    use_some(&ledger, Durability::Process).await.unwrap();
    let mut writer = Writer::new(&path, raw(&path), Arc::clone(&ledger.room), Arc::new(Swiftness::of(folder.path())));
    writer.drop_line();
    let ledger = SqliteLedger { desk: Desk::open(writer).unwrap(), ..ledger };
    use_some(&ledger, Durability::Disk).await.unwrap();
    assert_eq!(used(&ledger).await, 2);
    assert_eq!(std::fs::metadata(folder.path().join("causeway.db-wal")).map_or(0, |file| file.len() / 100_000), 0);
}

/// Who runs an operation: the thread's name.
async fn server(ledger: &SqliteLedger, durability: Durability) -> String {
    transact(ledger, Reach::Gateway, durability, |tx| {
        Box::pin(async move {
            tx.add_usage("acme", "i", 1).await?;
            Ok(std::thread::current().name().unwrap_or_default().to_owned())
        })
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_swift_disk_is_waited_for_on_the_spot_a_slow_one_by_the_thread() {
    let folder = tempfile::tempdir().unwrap();
    let own = std::thread::current().name().unwrap_or_default().to_owned();
    for (name, swiftness, by) in
        [("thread.db", Swiftness::never(), "ledger-writer"), ("spot.db", Swiftness::always(), own.as_str())]
    {
        let ledger = opened(&folder.path().join(name), swiftness).await;
        for durability in [Durability::Disk, Durability::Process, Durability::Disk] {
            assert_eq!(server(&ledger, durability).await, by, "{name}, {durability:?}");
        }
        ledger.close().await;
    }
}

/// Another process that keeps the file locked makes the disk no longer swift: no thread of the runtime waits for it twice.
#[tokio::test]
async fn a_locked_file_is_waited_for_by_the_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("causeway.db");
    let swiftness = Swiftness::of(folder.path());
    for _ in 0..64 {
        swiftness.note(std::time::Duration::from_micros(1));
    }
    let ledger = opened(&path, swiftness).await;
    let own = std::thread::current().name().unwrap_or_default().to_owned();
    for lock in 0..8 {
        let other = raw(&path);
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let free = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            other.execute_batch("ROLLBACK").unwrap();
        });
        let by = server(&ledger, Durability::Process).await;
        free.join().unwrap();
        if by != own {
            assert!(lock > 0, "nobody has waited yet");
            return;
        }
    }
    panic!("the runtime's own thread waits for it again and again");
}

/// Nothing handed in is left lying, whoever finds the writer taken, and whoever goes away meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_handed_in_is_served() {
    for swiftness in [Swiftness::never(), Swiftness::always()] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(opened(&folder.path().join("causeway.db"), swiftness).await);
        let mut tasks = tokio::task::JoinSet::new();
        for client in 0..16 {
            let ledger = ledger.clone();
            tasks.spawn(async move {
                for number in 0..40 {
                    let written = use_some(&ledger, Durability::Process);
                    if (client + number) % 5 == 0 {
                        let mut written = Box::pin(written);
                        // Handed in, and given up.
                        let _ = futures::poll!(written.as_mut());
                    } else {
                        written.await.unwrap();
                    }
                }
            });
        }
        tasks.join_all().await;
        // What was given up comes before what is handed in now.
        use_some(&ledger, Durability::Disk).await.unwrap();
        assert_eq!(used(&ledger).await, 16 * 40 + 1);
    }
}

/// Work that waits for something else holds the writer, but not by its caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_waits_goes_on_without_its_caller() {
    for swiftness in [Swiftness::never(), Swiftness::always()] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(opened(&folder.path().join("causeway.db"), swiftness).await);
        let (go, begun) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let (wait, tell, held) = (go.clone(), begun.clone(), ledger.clone());
        let caller = tokio::spawn(async move {
            transact(&*held, Reach::Gateway, Durability::Process, move |tx| {
                let (wait, tell) = (wait.clone(), tell.clone());
                Box::pin(async move {
                    tell.notify_one();
                    wait.notified().await;
                    tx.add_usage("acme", "i", 1).await
                })
            })
            .await
        });
        begun.notified().await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        let held = ledger.clone();
        let other = tokio::spawn(async move { use_some(&held, Durability::Disk).await });
        go.notify_one();
        other.await.unwrap().unwrap();
        assert_eq!(used(&ledger).await, 2);
    }
}

/// The indexes that the hot statements stand on are used, partial ones too.
#[tokio::test]
async fn statements_use_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("causeway.db");
    SqliteLedger::open(&path, 0).await.unwrap().close().await;
    let raw = raw(&path);
    for (index, sql) in [
        (
            "uploads_name",
            "SELECT id FROM uploads WHERE parent = $1 AND name = $2 AND state NOT IN ('committed', 'discarded')",
        ),
        (
            "uploads_owner",
            "SELECT SUM(reserved) FROM uploads WHERE tenant = $1 AND state NOT IN ('committed', 'discarded')",
        ),
        ("uploads_holder", "SELECT id FROM uploads WHERE incarnation = $1 AND state NOT IN ('committed', 'discarded')"),
        ("uploads_expiry", "SELECT id FROM uploads WHERE state = 'detached' AND expires_at < $1 ORDER BY expires_at"),
        ("uploads_ended", "DELETE FROM uploads WHERE state IN ('committed', 'discarded') AND updated_at < $1"),
        (
            "blobs_doomed",
            "SELECT key FROM blobs WHERE state <> 'live' AND (state = 'deleting' OR doomed_at < $1) ORDER BY doomed_at",
        ),
        ("events_unpositioned", "SELECT id FROM events WHERE position IS NULL ORDER BY ord LIMIT 5"),
        ("events_position", "SELECT MAX(position) FROM events WHERE position IS NOT NULL"),
        (
            "events_of_tenant",
            "SELECT id FROM events WHERE tenant = $1 AND position IS NOT NULL AND position > $2 ORDER BY position",
        ),
        (
            "deliveries_pending",
            "SELECT event FROM deliveries WHERE webhook = $1 AND state = 'pending' ORDER BY position",
        ),
        (
            "deliveries_dead",
            "SELECT event FROM deliveries WHERE webhook = $1 AND position < $2 AND state = 'dead' ORDER BY position DESC",
        ),
    ] {
        let mut statement = raw.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let rows = statement.raw_query().mapped(|row| row.get(3));
        let plan: Vec<String> = rows.collect::<rusqlite::Result<_>>().unwrap();
        assert!(plan.iter().any(|line| line.contains(index)), "{sql}: {plan:?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{sql}: {plan:?}");
    }
}

/// Not a test of correctness: `cargo test -p causeway-store -- --ignored --nocapture pace`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn pace() {
    let folder = tempfile::tempdir_in(std::env::var("PACE_FOLDER").unwrap_or_else(|_| ".".to_owned())).unwrap();
    let ledger = Arc::new(SqliteLedger::open(&folder.path().join("causeway.db"), 0).await.unwrap());
    for (clients, durability) in [(1, Durability::Process), (1, Durability::Disk), (16, Durability::Disk)] {
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for client in 0..clients {
            let ledger = ledger.clone();
            tasks.spawn(async move {
                for number in 0..2000 / clients {
                    let row = contract::upload(Uuid::now_v7(), &format!("{client}-{number}"));
                    transact(&*ledger, Reach::Gateway, durability, move |tx| {
                        let row = row.clone();
                        Box::pin(async move {
                            tx.hold_folder(row.parent).await?;
                            tx.insert_upload(&row).await?;
                            tx.add_usage("acme", "i", 1).await
                        })
                    })
                    .await
                    .unwrap();
                }
            });
        }
        tasks.join_all().await;
        println!("{clients} clients, {durability:?}: {:.0} a second", 2000.0 / begun.elapsed().as_secs_f64());
    }
    let begun = Instant::now();
    for _ in 0..5000 {
        ledger.read(Reach::Gateway).await.unwrap().walk("acme", &["a", "b"]).await.unwrap();
    }
    println!("walk: {:.0} a second", 5000.0 / begun.elapsed().as_secs_f64());
}
