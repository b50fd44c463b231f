//! Statements on `signing_keys`, `revoked_grants` and `issuer_keys`.

macro_rules! token_statements {
    (connection: $connection:ty) => {
        use causeway_core::records::{IssuerKeys, Micros, RevokedGrant, SigningKeyRow};
        use secrecy::ExposeSecret as _;
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, values};

        type Connection = $connection;

        pub(super) async fn signing_keys(connection: &mut Connection) -> Outcome<Vec<SigningKeyRow>> {
            let sql = "SELECT kid, algorithm, public_part, private_part, sealed, created_at, signs_from, retired_at \
                       FROM signing_keys ORDER BY created_at, kid";
            connection.all(sql, &[]).await
        }

        pub(super) async fn insert_signing_key(connection: &mut Connection, row: &SigningKeyRow) -> Outcome<()> {
            let sql = "INSERT INTO signing_keys (kid, algorithm, public_part, private_part, sealed, created_at, signs_from, \
                       retired_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
            let SigningKeyRow { kid, algorithm, public, private, sealed, created_at, signs_from, retired_at } = row;
            let private = private.expose_secret();
            let values = values![kid, algorithm, public, private, *sealed, *created_at, *signs_from, *retired_at];
            connection.execute(sql, &values).await.map(drop)
        }

        pub(super) async fn retire_signing_keys(
            connection: &mut Connection,
            signs_from: Micros,
            at: Micros,
        ) -> Outcome<u64> {
            let sql = "UPDATE signing_keys SET retired_at = $2 WHERE retired_at IS NULL AND signs_from <= $1";
            connection.execute(sql, &values![signs_from, at]).await
        }

        pub(super) async fn revoked_grants(
            connection: &mut Connection,
            since: Micros,
            now: Micros,
        ) -> Outcome<Vec<RevokedGrant>> {
            let sql = "SELECT id, ends_at, revoked_at FROM revoked_grants WHERE revoked_at >= $1 AND ends_at > $2";
            connection.all(sql, &values![since, now]).await
        }

        pub(super) async fn revoke_grant(
            connection: &mut Connection,
            grant: Uuid,
            until: Micros,
            now: Micros,
        ) -> Outcome<()> {
            let sql = "INSERT INTO revoked_grants (id, ends_at, revoked_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE \
                       SET ends_at = excluded.ends_at, revoked_at = excluded.revoked_at \
                       WHERE revoked_grants.ends_at < excluded.ends_at";
            connection.execute(sql, &values![grant, until, now]).await.map(drop)
        }

        pub(super) async fn issuer_keys(connection: &mut Connection, issuer: &str) -> Outcome<Option<IssuerKeys>> {
            let sql = "SELECT issuer, key_set, fetched_at FROM issuer_keys WHERE issuer = $1";
            connection.first(sql, &values![issuer]).await
        }

        pub(super) async fn put_issuer_keys(connection: &mut Connection, keys: &IssuerKeys) -> Outcome<()> {
            let sql = "INSERT INTO issuer_keys (issuer, key_set, fetched_at) VALUES ($1, $2, $3) ON CONFLICT (issuer) DO UPDATE \
                       SET key_set = excluded.key_set, fetched_at = excluded.fetched_at \
                       WHERE issuer_keys.fetched_at < excluded.fetched_at";
            let IssuerKeys { issuer, keys, fetched_at } = keys;
            connection.execute(sql, &values![issuer, keys, *fetched_at]).await.map(drop)
        }

        pub(super) async fn purge_tokens(connection: &mut Connection, now: Micros) -> Outcome<u64> {
            let grants = connection.execute("DELETE FROM revoked_grants WHERE ends_at <= $1", &values![now]).await?;
            let sql = "DELETE FROM signing_keys WHERE retired_at IS NOT NULL AND retired_at <= $1";
            Ok(grants + connection.execute(sql, &values![now]).await?)
        }
    };
}

pub(crate) use token_statements;
