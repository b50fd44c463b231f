//! The ledger on PostgreSQL: one transaction per operation, at READ COMMITTED; the server groups their WAL by itself.

mod connection;
mod locks;

use std::panic::AssertUnwindSafe;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use causeway_core::ports::{Durability, Ledger, Query, Reach, TxOp};
use causeway_core::{Error, ErrorKind, Result};
use futures::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};
use uuid::Uuid;

use self::session::Session;
use super::fault::{self, Cause, judge, settle};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How often an operation is run before the database's wish for another try is passed on.
const TRIES: u32 = 10;

mod nodes {
    crate::ledger::statements::node_statements! {
        connection: sqlx::PgConnection,
        nil: "UUID '00000000-0000-0000-0000-000000000000'",
        json: "CAST($2 AS jsonb)",
        update: " FOR UPDATE",
        key_share: " FOR KEY SHARE"
    }
}

mod uploads {
    crate::ledger::statements::upload_statements! {
        connection: sqlx::PgConnection,
        shard: i64::from(Uuid::new_v4().as_fields().0 % 16)
    }
}

mod blobs {
    crate::ledger::statements::blob_statements! {
        connection: sqlx::PgConnection,
        ids: ["(SELECT CAST(one AS uuid) FROM jsonb_array_elements_text(CAST(", " AS jsonb)) AS one)"],
        update: " FOR UPDATE"
    }
}

mod backlog {
    crate::ledger::statements::backlog_statements! { connection: sqlx::PgConnection }
}

mod audit {
    crate::ledger::statements::audit_statements! {
        connection: sqlx::PgConnection,
        ids: ["(SELECT CAST(one AS uuid) FROM jsonb_array_elements_text(CAST(", " AS jsonb)) AS one)"],
        guards: [
            "audit_entries_no_change", "audit_entries_no_delete", "audit_entries_no_truncate",
            "audit_seals_no_change", "audit_seals_no_delete", "audit_seals_no_truncate",
            "audit_heads_no_change", "audit_heads_no_delete", "audit_heads_no_truncate",
            "audit_cuts_no_change", "audit_cuts_no_delete", "audit_cuts_no_truncate"
        ],
        there: "SELECT CAST(t.tgname AS TEXT) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
                JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND t.tgenabled IN ('O', 'A')"
    }
}

mod events {
    crate::ledger::statements::event_statements! {
        connection: sqlx::PgConnection,
        texts: ["(SELECT jsonb_array_elements_text(CAST(", " AS jsonb)))"]
    }
}

mod signatures {
    crate::ledger::statements::signature_statements! { connection: sqlx::PgConnection }
}

mod codes {
    crate::ledger::statements::code_statements! { connection: sqlx::PgConnection }
}

mod objects {
    crate::ledger::statements::object_statements! {
        connection: sqlx::PgConnection,
        member: ["CAST(", " AS jsonb) ->> 'identity'"]
    }
}
mod tokens {
    crate::ledger::statements::token_statements! { connection: sqlx::PgConnection }
}

mod jobs {
    crate::ledger::statements::job_statements! {
        connection: sqlx::PgConnection,
        update: " FOR UPDATE",
        skip: " FOR UPDATE OF j SKIP LOCKED"
    }
}

mod webhooks {
    crate::ledger::statements::webhook_statements! { connection: sqlx::PgConnection }
}

mod keys {
    crate::ledger::statements::key_statements! { connection: sqlx::PgConnection }
}
mod sessions {
    crate::ledger::statements::session_statements! {
        connection: sqlx::PgConnection,
        ids: ["(SELECT CAST(one AS uuid) FROM jsonb_array_elements_text(CAST(", " AS jsonb)) AS one)"]
    }
}
mod oauth {
    crate::ledger::statements::oauth_statements! { connection: sqlx::PgConnection }
}

mod leases {
    crate::ledger::statements::lease_statements! { connection: sqlx::PgConnection }
}

mod session {
    crate::ledger::statements::ports! { connection: sqlx::PgConnection }
}

/// What every connection begins with. A server that is set to `synchronous_commit = off` would acknowledge what is not
/// on its disk; stronger settings than `on` are left as they are. Nobody waits for a lock for ever, and a transaction
/// whose gateway has vanished does not keep its locks.
const GREETING: &str = "SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') = 'off'; \
    SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'";

/// The setting that the policies of row-level security ask for whose rows may be seen. A connection begins without one, and so sees
/// no row.
const SETTING: &str = "causeway.tenant";
/// What it says for all tenants: no tenant is called that.
const ALL: &str = "*";

fn setting(reach: &Reach) -> &str {
    reach.tenant().unwrap_or(ALL)
}

/// Says whose rows the statements on this connection may see from here on.
async fn enter(connection: &mut PgConnection, reach: &Reach) -> std::result::Result<(), sqlx::Error> {
    sqlx::query("SELECT set_config($1, $2, false)")
        .bind(SETTING)
        .bind(setting(reach))
        .execute(connection)
        .await
        .map(drop)
}

/// Whether row-level security does not bind the role of a connection.
async fn bypasses_walls(connection: &mut PgConnection) -> std::result::Result<bool, sqlx::Error> {
    let sql = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user";
    sqlx::query_scalar(sql).fetch_one(connection).await
}

/// The ledger in a PostgreSQL database, for one node or a cluster of them.
pub struct PostgresLedger {
    // Two pools: whoever holds a reader can always write, however many readers are held.
    readers: PgPool,
    writers: PgPool,
}

impl PostgresLedger {
    /// Connects to the database (`postgres://user:password@host:port/database`) and brings its tables up to date; nodes
    /// that start at once do so one after the other.
    ///
    /// # Errors
    /// `InvalidArgument`: the URL is none. `Unavailable`, with a sentence for the operator: the server cannot be
    /// reached, refuses the role, has another encoding than UTF-8, or holds tables of a newer version.
    pub async fn connect(url: &SecretString) -> Result<Self> {
        let url = url.expose_secret();
        let options = Some(url)
            .filter(|url| url.starts_with("postgres://") || url.starts_with("postgresql://"))
            .and_then(|url| PgConnectOptions::from_str(url).ok())
            .ok_or_else(|| {
                let sentence =
                    "the database URL is not valid; it looks like postgres://user:password@host:5432/database";
                Error::new(ErrorKind::InvalidArgument, sentence)
            })?
            .application_name("causeway")
            .statement_cache_capacity(256)
            .disable_statement_logging();
        let mut connection = options.connect().await.map_err(|error| cannot_connect(&error))?;
        let (encoding, fsync): (String, String) =
            sqlx::query_as("SELECT current_setting('server_encoding'), current_setting('fsync')")
                .fetch_one(&mut connection)
                .await
                .map_err(|error| cannot_connect(&error))?;
        if !encoding.eq_ignore_ascii_case("utf8") {
            return Err(cannot_connect(&format_args!("its encoding is {encoding}; create it with ENCODING 'UTF8'")));
        }
        if fsync != "on" {
            tracing::warn!(
                "the database server runs with fsync = off: what is acknowledged does not survive a power cut"
            );
        }
        enter(&mut connection, &Reach::Gateway).await.map_err(|error| cannot_connect(&error))?;
        MIGRATIONS.run(&mut connection).await.map_err(|error| cannot_connect(&error))?;
        if bypasses_walls(&mut connection).await.map_err(|error| cannot_connect(&error))? {
            tracing::warn!(
                "the database role may see rows whatever row-level security says (SUPERUSER or BYPASSRLS), so tenants are kept \
                 apart by the gateway's own conditions alone; give the gateway a role of its own that owns its database and the \
                 tables in it (README, \"PostgreSQL\")"
            );
        }
        let _ = connection.close().await;
        Ok(Self { readers: pool(8).connect_lazy_with(options.clone()), writers: pool(16).connect_lazy_with(options) })
    }
}

fn pool(size: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(Duration::from_secs(10))
        .idle_timeout(Duration::from_mins(5))
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                // A connection that was used a moment ago is worth no round trip.
                Ok(about.idle_for < Duration::from_secs(5) || connection.ping().await.is_ok())
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move { sqlx::raw_sql(GREETING).execute(&mut *connection).await.map(drop) })
        })
}

fn cannot_connect(why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot use the PostgreSQL database: {why}"))
}

/// How one try ended.
enum Try {
    Done(Result<()>),
    /// Nothing was committed, and another try may fare better than with this error.
    Again(Error),
}

async fn attempt(pool: &PgPool, reach: &Reach, durability: Durability, op: &dyn TxOp) -> Try {
    // One message, one round trip.
    let synchronous = match durability {
        Durability::Process => "; SET LOCAL synchronous_commit = off",
        Durability::Disk => "",
    };
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL {SETTING} = '{}'{synchronous}",
        setting(reach).replace('\'', "''")
    );
    // The one text in it that is not ours is a tenant's id, and its quotes are doubled.
    let mut transaction = match pool.begin_with(AssertSqlSafe(begin)).await {
        Ok(transaction) => transaction,
        // A connection that the server has closed meanwhile; the next one may be new.
        Err(error @ (sqlx::Error::Io(_) | sqlx::Error::Database(_) | sqlx::Error::Protocol(_))) => {
            return Try::Again(judge(&error.into()).error);
        }
        Err(error) => return Try::Done(Err(judge(&error.into()).error)),
    };
    let mut session = Session::new(&mut *transaction, reach.clone());
    let ended = AssertUnwindSafe(op.run(&mut session)).catch_unwind().await;
    let failure = session.failure.take();
    drop(session);
    if let Err(failure) = settle(ended, failure) {
        let _ = transaction.rollback().await;
        return match failure.cause {
            Cause::Again => Try::Again(failure.error),
            _ => Try::Done(Err(failure.error)),
        };
    }
    match transaction.commit().await {
        Ok(()) => Try::Done(Ok(())),
        Err(error) => {
            let failure = judge(&error.into());
            match failure.cause {
                // The server says that it did not.
                Cause::Again => Try::Again(failure.error),
                Cause::Full => Try::Done(Err(failure.error)),
                // Nobody knows.
                _ => Try::Done(Err(fault::unavailable())),
            }
        }
    }
}

async fn perform(pool: PgPool, reach: Reach, durability: Durability, op: Arc<dyn TxOp>) -> Result<()> {
    let mut wait = 1;
    for _ in 1..TRIES {
        match attempt(&pool, &reach, durability, &*op).await {
            Try::Done(outcome) => return outcome,
            Try::Again(_) => {
                // Somewhere between none and all of a growing wait, so that those who collided do not do so again.
                let share = u64::from(Uuid::new_v4().as_fields().0) % (wait + 1);
                tokio::time::sleep(Duration::from_millis(share)).await;
                wait = (wait * 2).min(200);
            }
        }
    }
    match attempt(&pool, &reach, durability, &*op).await {
        Try::Done(outcome) => outcome,
        Try::Again(error) => Err(error),
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn write(&self, reach: Reach, durability: Durability, op: Arc<dyn TxOp>) -> Result<()> {
        // In a task of its own: whoever goes away does not leave it half done.
        tokio::spawn(perform(self.writers.clone(), reach, durability, op))
            .await
            .unwrap_or_else(|_| Err(fault::closing()))
    }

    async fn read(&self, reach: Reach) -> Result<Box<dyn Query>> {
        let failed = |error: sqlx::Error| judge(&error.into()).error;
        let mut connection = self.readers.acquire().await.map_err(failed)?;
        enter(&mut connection, &reach).await.map_err(failed)?;
        Ok(Box::new(Session::new(connection, reach)))
    }

    /// The server looks after its own disk, and says so when it is full.
    fn has_room(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tamper_test;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "apart_test.rs"]
mod apart;
