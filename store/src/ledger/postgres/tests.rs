use std::future::Future;

use causeway_core::ports::{Reach, transact};
use causeway_core::records::Node;
use sqlx::{AssertSqlSafe, PgConnection};

use super::*;
use crate::ledger::contract;

const VARIABLE: &str = "CAUSEWAY_TEST_POSTGRES";

/// A role that row-level security binds.
const ROLE: &str = "causeway_tests";
const MAKE_ROLE: &str = "DO $$ BEGIN CREATE ROLE causeway_tests LOGIN PASSWORD 'causeway_tests'; \
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// Runs a test on a database of its own, or tells that it is skipped where no server is given.
pub(super) async fn on_a_new_database<F: Future<Output = ()>>(test: impl FnOnce(SecretString) -> F) {
    let Ok(server) = std::env::var(VARIABLE) else {
        println!("skipped: {VARIABLE} is not set to the URL of a PostgreSQL server");
        return;
    };
    let name = format!("cw_{}", Uuid::new_v4().simple());
    let options = PgConnectOptions::from_str(&server).unwrap();
    let mut admin = PgConnection::connect_with(&options).await.unwrap();
    // In a locale whose order is not that of bytes: the tables must not care.
    let locale = "ENCODING 'UTF8' LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
    sqlx::raw_sql(MAKE_ROLE).execute(&mut admin).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name} OWNER {ROLE} TEMPLATE template0 {locale}")))
        .execute(&mut admin)
        .await
        .unwrap();
    let options = options.username(ROLE).password(ROLE).database(&name);
    test(SecretString::from(options.to_url_lossy().to_string())).await;
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut admin).await.unwrap();
}

macro_rules! run {
    (() $($case:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                on_a_new_database(|url| async move {
                    let ledger: contract::Subject = Arc::new(PostgresLedger::connect(&url).await.unwrap());
                    contract::$case(ledger.clone()).await;
                    ledger.close().await;
                })
                .await;
            }
        )*
    };
}

crate::ledger_cases!(run,);

async fn use_some(ledger: &PostgresLedger, durability: Durability) -> Result<()> {
    transact(ledger, Reach::Gateway, durability, |tx| Box::pin(async move { tx.add_usage("acme", "i", 1).await })).await
}

async fn used(ledger: &PostgresLedger) -> u64 {
    ledger.read(Reach::Gateway).await.unwrap().usage("acme", None).await.unwrap()
}

#[tokio::test]
async fn survives_close_and_reopen() {
    on_a_new_database(|url| async move {
        for round in 0..3 {
            let ledger = PostgresLedger::connect(&url).await.unwrap();
            assert_eq!(used(&ledger).await, round * 2);
            use_some(&ledger, Durability::Disk).await.unwrap();
            use_some(&ledger, Durability::Process).await.unwrap();
            ledger.has_room().unwrap();
            ledger.close().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_at_once() {
    on_a_new_database(|url| async move {
        let (one, two, three) =
            tokio::join!(PostgresLedger::connect(&url), PostgresLedger::connect(&url), PostgresLedger::connect(&url));
        for ledger in [one.unwrap(), two.unwrap(), three.unwrap()] {
            use_some(&ledger, Durability::Disk).await.unwrap();
            ledger.close().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_trail_refuses_change() {
    on_a_new_database(|url| async move {
        PostgresLedger::connect(&url).await.unwrap().close().await;
        let mut raw = PgConnection::connect(url.expose_secret()).await.unwrap();
        sqlx::raw_sql(
            "SET causeway.tenant = '*'; INSERT INTO audit_entries (id, chain, at, operation, outcome, protocol, body) \
             VALUES (gen_random_uuid(), 'c', 1, 'o', 'ok', 'p', '\\x02'); \
             INSERT INTO audit_seals (chain, seq, entry, hash) SELECT 'c', 1, id, sha256('') FROM audit_entries;",
        )
        .execute(&mut raw)
        .await
        .unwrap();
        for sql in [
            "UPDATE audit_entries SET body = '\\x03'",
            "DELETE FROM audit_entries",
            "TRUNCATE audit_entries",
            "UPDATE audit_seals SET seq = 2",
            "DELETE FROM audit_seals",
            "TRUNCATE audit_seals",
        ] {
            let error = sqlx::raw_sql(sql).execute(&mut raw).await.unwrap_err();
            assert!(error.to_string().contains("append-only"), "{sql}: {error}");
        }
    })
    .await;
}

/// Two transactions that lock each other out: the server ends one, which is run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlocks_are_tried_again() {
    on_a_new_database(|url| async move {
        let ledger = PostgresLedger::connect(&url).await.unwrap();
        use_some(&ledger, Durability::Disk).await.unwrap();
        let root = transact(&ledger, Reach::Gateway, Durability::Disk, |tx| {
            Box::pin(async move { tx.ensure_root("a", 1).await })
        });
        let other = transact(&ledger, Reach::Gateway, Durability::Disk, |tx| {
            Box::pin(async move { tx.ensure_root("b", 1).await })
        });
        let (a, b) = (root.await.unwrap().id, other.await.unwrap().id);
        let both = async |first: Uuid, second: Uuid| {
            transact(&ledger, Reach::Gateway, Durability::Disk, move |tx| {
                Box::pin(async move {
                    tx.hold_node(first).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    tx.hold_node(second).await?;
                    tx.add_usage("acme", "i", 1).await
                })
            })
            .await
        };
        let (one, two) = tokio::join!(both(a, b), both(b, a));
        one.unwrap();
        two.unwrap();
        assert_eq!(used(&ledger).await, 3);
        ledger.close().await;
    })
    .await;
}

/// Two uploads may hold one folder at a time; changing its attributes waits for neither, removing it for both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_are_held_together() {
    on_a_new_database(|url| async move {
        let ledger = Arc::new(PostgresLedger::connect(&url).await.unwrap());
        let root = transact(&*ledger, Reach::Gateway, Durability::Disk, |tx| {
            Box::pin(async move { tx.ensure_root("a", 1).await })
        });
        let root = root.await.unwrap();
        let meet = Arc::new(tokio::sync::Barrier::new(2));
        let hold = || {
            let (ledger, meet, root) = (ledger.clone(), meet.clone(), root.clone());
            tokio::spawn(async move {
                transact(&*ledger, Reach::Gateway, Durability::Disk, move |tx| {
                    let meet = meet.clone();
                    let changed = Node { modified_at: root.modified_at + 1, ..root.clone() };
                    Box::pin(async move {
                        tx.hold_folder(changed.id).await?;
                        meet.wait().await;
                        tx.update_node(&changed).await
                    })
                })
                .await
            })
        };
        let (one, two) = (hold(), hold());
        let both = tokio::time::timeout(Duration::from_secs(20), async { (one.await, two.await) }).await.unwrap();
        both.0.unwrap().unwrap();
        both.1.unwrap().unwrap();
        ledger.close().await;
    })
    .await;
}

/// The server closes every connection (a restart, say): nobody has to notice who has not begun.
// Of clients: what the server does for itself there, a vacuum say, is none of theirs, and only a superuser may end it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_after_the_server_closed_its_connections() {
    on_a_new_database(|url| async move {
        let ledger = PostgresLedger::connect(&url).await.unwrap();
        for _ in 0..3 {
            use_some(&ledger, Durability::Disk).await.unwrap();
            let mut raw = PgConnection::connect(url.expose_secret()).await.unwrap();
            let ended = sqlx::raw_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
            )
            .execute(&mut raw)
            .await
            .unwrap();
            assert!(ended.rows_affected() > 0);
        }
        use_some(&ledger, Durability::Disk).await.unwrap();
        assert_eq!(used(&ledger).await, 4);
        ledger.close().await;
    })
    .await;
}

#[tokio::test]
async fn tells_what_is_wrong_with_the_address() {
    let error = PostgresLedger::connect(&SecretString::from("nonsense:secret")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(!error.message().contains("secret"), "{error}");
    let refused = SecretString::from("postgres://me:secret@127.0.0.1:1/x");
    let error = PostgresLedger::connect(&refused).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!error.message().contains("secret"), "{error}");
}
