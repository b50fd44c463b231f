//! The trail in the hands of somebody who can write the database file.

use std::path::Path;
use std::sync::Arc;

use causeway_core::audit::{Breach, Trust, verify_chain};
use causeway_core::ports::Reach;
use causeway_core::records::AuditFilter;
use rusqlite::Connection;

use super::SqliteLedger;
use crate::ledger::contract::{Dialect, Subject, before_resealing, resealed_is_found, resealing, tamperings, whole};

const DIALECT: Dialect = Dialect {
    new: "randomblob(16)",
    renamed: "CAST(replace(CAST(body AS TEXT), 'upload', 'delete') AS BLOB)",
    bytes: ["x'", "'"],
};

/// A ledger with a chain that holds, what that is verified by, and a connection to the file; without the triggers of the trail.
async fn disarmed(folder: &Path) -> (Subject, Trust, Connection) {
    let path = folder.join("causeway.db");
    let ledger: Subject = Arc::new(SqliteLedger::open(&path, 0).await.unwrap());
    let trust = whole(&ledger).await;
    let connection = Connection::open(&path).unwrap();
    disarm(&connection);
    (ledger, trust, connection)
}

/// Takes the triggers of the trail away.
fn disarm(connection: &Connection) {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit%'";
    let mut statement = connection.prepare(sql).unwrap();
    let names: Vec<String> = statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tampering_is_found_where_it_is() {
    for tampering in tamperings() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, trust, connection) = disarmed(folder.path()).await;
        for statement in tampering.statements(&DIALECT) {
            let changed = connection.execute(&statement, ()).unwrap();
            assert!(changed > 0, "{}: {statement}", tampering.name);
        }
        drop(connection);
        tampering.is_found(&ledger, &trust).await;
        ledger.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_was_sealed_anew_is_found_by_a_head_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, trust, connection) = disarmed(folder.path()).await;
    let lost = ledger.read(Reach::Gateway).await.unwrap().lost_guards().await.unwrap();
    assert_eq!(lost.len(), 12, "{lost:?}");
    for statement in before_resealing(&DIALECT) {
        assert_eq!(connection.execute(&statement, ()).unwrap(), 1);
    }
    for statement in resealing(&ledger, &DIALECT).await {
        assert_eq!(connection.execute(&statement, ()).unwrap(), 1);
    }
    drop(connection);
    resealed_is_found(&ledger, &trust).await;
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_found_where_it_is() {
    for (statement, broken_at, breach) in [
        (
            "UPDATE audit_entries SET path = CAST(x'ff' AS TEXT) WHERE id = (SELECT entry FROM audit_seals WHERE seq = 4)",
            4,
            Breach::Changed,
        ),
        ("UPDATE audit_seals SET entry = x'00' WHERE seq = 5", 5, Breach::Missing),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, trust, connection) = disarmed(folder.path()).await;
        assert_eq!(connection.execute(statement, ()).unwrap(), 1);
        drop(connection);
        let found = verify_chain(&*ledger, "acme", &trust).await.unwrap();
        assert_eq!((found.broken_at, found.breach), (Some(broken_at), Some(breach)), "{statement}");
        // Nor does it keep anybody from reading the rest.
        let rows = ledger.read(Reach::Gateway).await.unwrap().audit("acme", &AuditFilter::default(), 10).await.unwrap();
        let seqs: Vec<_> = rows.iter().filter_map(|row| row.seal.as_ref()).map(|seal| seal.seq).collect();
        assert!(seqs.contains(&6) && seqs.contains(&8), "{seqs:?}");
        ledger.close().await;
    }
}

#[tokio::test]
async fn the_triggers_let_nothing_go_that_no_cut_covers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("causeway.db");
    let ledger: Subject = Arc::new(SqliteLedger::open(&path, 0).await.unwrap());
    whole(&ledger).await;
    ledger.close().await;
    let connection = Connection::open(&path).unwrap();
    let cut = "INSERT INTO audit_cuts (chain, seq, hash, at, public_key, signature) \
               SELECT chain, 3, hash, at, public_key, signature FROM audit_heads";
    connection.execute_batch(cut).unwrap();
    for sql in [
        "DELETE FROM audit_entries",
        "DELETE FROM audit_entries WHERE id = (SELECT entry FROM audit_seals WHERE seq = 4)",
        "DELETE FROM audit_seals WHERE seq >= 3",
        "DELETE FROM audit_heads",
        "DELETE FROM audit_cuts",
        "UPDATE audit_heads SET seq = 1",
        "UPDATE audit_cuts SET seq = 8",
        "UPDATE audit_entries SET outcome = 'denied' WHERE id = (SELECT entry FROM audit_seals WHERE seq = 1)",
        "INSERT OR REPLACE INTO audit_entries (ord, id, chain, at, operation, outcome, protocol, body) \
         VALUES (5, randomblob(16), 'acme', 1, 'o', 'ok', 'p', x'02')",
        "INSERT OR REPLACE INTO audit_entries (id, chain, at, operation, outcome, protocol, body) \
         SELECT entry, 'acme', 1, 'o', 'ok', 'p', x'02' FROM audit_seals WHERE seq = 5",
        "INSERT OR REPLACE INTO audit_seals (chain, seq, entry, hash) VALUES ('acme', 5, randomblob(16), zeroblob(32))",
        "INSERT OR REPLACE INTO audit_seals (chain, seq, entry, hash) SELECT chain, 99, entry, hash FROM audit_seals WHERE seq = 5",
        "INSERT OR REPLACE INTO audit_heads SELECT chain, seq, zeroblob(32), at, public_key, signature FROM audit_heads",
        "INSERT OR REPLACE INTO audit_cuts SELECT chain, seq, zeroblob(32), at, public_key, signature FROM audit_cuts",
    ] {
        let error = connection.execute_batch(sql).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
    let gone = "DELETE FROM audit_entries WHERE id IN (SELECT entry FROM audit_seals WHERE seq <= 3); \
                DELETE FROM audit_seals WHERE seq <= 3";
    connection.execute_batch(gone).unwrap();
}
