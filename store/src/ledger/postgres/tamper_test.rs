//! The trail in the hands of somebody who owns its tables.

use super::tests::on_a_new_database;
use super::*;
use crate::ledger::contract::{Dialect, Subject, before_resealing, resealed_is_found, resealing, tamperings, whole};

const DIALECT: Dialect = Dialect {
    new: "gen_random_uuid()",
    renamed: "convert_to(replace(convert_from(body, 'UTF8'), 'upload', 'delete'), 'UTF8')",
    bytes: ["decode('", "', 'hex')"],
};

const TABLES: [&str; 4] = ["audit_entries", "audit_seals", "audit_heads", "audit_cuts"];

async fn raw(url: &SecretString) -> PgConnection {
    let mut connection = PgConnection::connect(url.expose_secret()).await.unwrap();
    sqlx::raw_sql("SET causeway.tenant = '*'").execute(&mut connection).await.unwrap();
    connection
}

/// The same, with the triggers of the trail out of the way.
async fn disarmed(url: &SecretString) -> PgConnection {
    let mut connection = raw(url).await;
    for table in TABLES {
        let sql = format!("ALTER TABLE {table} DISABLE TRIGGER USER");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_was_sealed_anew_is_found_by_a_head_that_was_kept() {
    on_a_new_database(|url| async move {
        let ledger: Subject = Arc::new(PostgresLedger::connect(&url).await.unwrap());
        let trust = whole(&ledger).await;
        let mut connection = disarmed(&url).await;
        let lost = ledger.read(Reach::Gateway).await.unwrap().lost_guards().await.unwrap();
        assert_eq!(lost.len(), 12, "{lost:?}");
        for statement in before_resealing(&DIALECT) {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        for statement in resealing(&ledger, &DIALECT).await {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        resealed_is_found(&ledger, &trust).await;
        ledger.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tampering_is_found_where_it_is() {
    for tampering in tamperings() {
        on_a_new_database(|url| async move {
            let ledger: Subject = Arc::new(PostgresLedger::connect(&url).await.unwrap());
            let trust = whole(&ledger).await;
            let mut connection = disarmed(&url).await;
            for statement in tampering.statements(&DIALECT) {
                let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut connection).await.unwrap();
                assert!(done.rows_affected() > 0, "{}: {statement}", tampering.name);
            }
            tampering.is_found(&ledger, &trust).await;
            ledger.close().await;
        })
        .await;
    }
}

#[tokio::test]
async fn the_triggers_let_nothing_go_that_no_cut_covers() {
    on_a_new_database(|url| async move {
        let ledger: Subject = Arc::new(PostgresLedger::connect(&url).await.unwrap());
        whole(&ledger).await;
        ledger.close().await;
        let mut connection = raw(&url).await;
        let cut = "INSERT INTO audit_cuts (chain, seq, hash, at, public_key, signature) \
                   SELECT chain, 3, hash, at, public_key, signature FROM audit_heads";
        sqlx::raw_sql(cut).execute(&mut connection).await.unwrap();
        for sql in [
            "DELETE FROM audit_entries",
            "DELETE FROM audit_entries WHERE id = (SELECT entry FROM audit_seals WHERE seq = 4)",
            "DELETE FROM audit_seals WHERE seq >= 3",
            "DELETE FROM audit_heads",
            "DELETE FROM audit_cuts",
            "UPDATE audit_heads SET seq = 1",
            "UPDATE audit_cuts SET seq = 8",
            "UPDATE audit_entries SET outcome = 'denied' WHERE id = (SELECT entry FROM audit_seals WHERE seq = 1)",
            "TRUNCATE audit_entries",
            "TRUNCATE audit_seals",
            "TRUNCATE audit_heads",
            "TRUNCATE audit_cuts",
        ] {
            let error = sqlx::raw_sql(sql).execute(&mut connection).await.unwrap_err();
            assert!(error.to_string().contains("append-only"), "{sql}: {error}");
        }
        for gone in [
            "DELETE FROM audit_entries WHERE id IN (SELECT entry FROM audit_seals WHERE seq <= 3)",
            "DELETE FROM audit_seals WHERE seq <= 3",
        ] {
            assert_eq!(sqlx::raw_sql(gone).execute(&mut connection).await.unwrap().rows_affected(), 3);
        }
    })
    .await;
}
