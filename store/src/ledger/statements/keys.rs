//! Statements on `key_uses` and `key_warnings`.

macro_rules! key_statements {
    (connection: $connection:ty) => {
        use causeway_core::records::{KeyUse, Micros};

        use crate::ledger::driver::{Driver, Outcome, values};

        type Connection = $connection;

        pub(super) async fn key_uses(connection: &mut Connection, tenant: &str) -> Outcome<Vec<KeyUse>> {
            let sql = "SELECT key, digest, first_seen, last_used FROM key_uses WHERE tenant = $1 ORDER BY key, digest";
            connection.all(sql, &values![tenant]).await
        }

        /// What is there already stays as it is: the first one to see a key is right.
        pub(super) async fn meet_key(
            connection: &mut Connection,
            tenant: &str,
            key: &str,
            digest: &[u8; 32],
            now: Micros,
        ) -> Outcome<()> {
            let sql = "INSERT INTO key_uses (tenant, key, digest, first_seen) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (tenant, key, digest) DO NOTHING";
            connection.execute(sql, &values![tenant, key, digest, now]).await.map(drop)
        }

        /// Never back in time: several nodes write it.
        pub(super) async fn note_key_use(
            connection: &mut Connection,
            tenant: &str,
            key: &str,
            digest: &[u8; 32],
            at: Micros,
        ) -> Outcome<()> {
            let sql = "UPDATE key_uses SET last_used = $4 WHERE tenant = $1 AND key = $2 AND digest = $3 \
                       AND (last_used IS NULL OR last_used < $4)";
            connection.execute(sql, &values![tenant, key, digest, at]).await.map(drop)
        }

        /// False: it was told before. Two at once meet at the key: one inserts.
        pub(super) async fn warn_of_key(
            connection: &mut Connection,
            tenant: &str,
            key: &str,
            digest: &[u8; 32],
            ends_at: Micros,
            now: Micros,
        ) -> Outcome<bool> {
            let sql = "INSERT INTO key_warnings (tenant, key, digest, ends_at, told_at) VALUES ($1, $2, $3, $4, $5) \
                       ON CONFLICT (tenant, key, digest, ends_at) DO NOTHING";
            Ok(connection.execute(sql, &values![tenant, key, digest, ends_at, now]).await? > 0)
        }
    };
}

pub(crate) use key_statements;
