//! Statements on `oauth_sign_ins`, `oauth_grants` and `oauth_refresh_tokens`. What counts once is taken by one conditional
//! statement: of several at once, on whatever nodes, one changes the row.

/// The columns that make a grant.
macro_rules! grant_columns {
    () => {
        "id, tenant, client, identity, login, factors, mark, scopes, redirect_uri, redirect_named, challenge, code_hash, \
         code_expires_at, code_spent_at, created_at, ends_at, revoked_at"
    };
}

macro_rules! oauth_statements {
    (connection: $connection:ty) => {
        use causeway_core::records::{Grant, Micros, RefreshToken, SignIn};
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, values};
        use crate::ledger::rows::json;
        use crate::ledger::statements::grant_columns;

        type Connection = $connection;

        pub(super) async fn sign_in(connection: &mut Connection, hash: &[u8; 32]) -> Outcome<Option<SignIn>> {
            let sql = "SELECT hash, tenant, identity, login, factors, complete, mark, request, created_at, expires_at \
                       FROM oauth_sign_ins WHERE hash = $1";
            connection.first(sql, &values![hash]).await
        }

        pub(super) async fn grant_of_code(
            connection: &mut Connection,
            tenant: &str,
            hash: &[u8; 32],
        ) -> Outcome<Option<Grant>> {
            let sql =
                concat!("SELECT ", grant_columns!(), " FROM oauth_grants WHERE tenant = $1 AND code_hash = $2");
            connection.first(sql, &values![tenant, hash]).await
        }

        pub(super) async fn grant(connection: &mut Connection, tenant: &str, id: Uuid) -> Outcome<Option<Grant>> {
            let sql = concat!("SELECT ", grant_columns!(), " FROM oauth_grants WHERE tenant = $1 AND id = $2");
            connection.first(sql, &values![tenant, id]).await
        }

        pub(super) async fn refresh_token(
            connection: &mut Connection,
            tenant: &str,
            hash: &[u8; 32],
        ) -> Outcome<Option<RefreshToken>> {
            let sql = "SELECT hash, tenant, grant_id, created_at, expires_at, spent_at FROM oauth_refresh_tokens \
                       WHERE tenant = $1 AND hash = $2";
            connection.first(sql, &values![tenant, hash]).await
        }

        pub(super) async fn live_grants(
            connection: &mut Connection,
            after: Uuid,
            now: Micros,
            limit: u32,
        ) -> Outcome<Vec<Grant>> {
            let sql = concat!(
                "SELECT ", grant_columns!(), " FROM oauth_grants WHERE id > $1 AND revoked_at IS NULL \
                 AND code_spent_at IS NOT NULL AND ends_at > $2 ORDER BY id LIMIT $3"
            );
            connection.all(sql, &values![after, now, limit]).await
        }

        pub(super) async fn insert_sign_in(connection: &mut Connection, row: &SignIn) -> Outcome<()> {
            let sql = "INSERT INTO oauth_sign_ins (hash, tenant, identity, login, factors, complete, mark, request, \
                       created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
            let request = json(&row.request)?;
            let values = values![
                &row.hash, &row.tenant, &row.identity, &row.login, row.factors, row.complete, &row.mark, &request,
                row.created_at, row.expires_at
            ];
            connection.execute(sql, &values).await.map(drop)
        }

        pub(super) async fn take_sign_in(connection: &mut Connection, hash: &[u8; 32], now: Micros) -> Outcome<bool> {
            let sql = "DELETE FROM oauth_sign_ins WHERE hash = $1 AND expires_at > $2";
            Ok(connection.execute(sql, &values![hash, now]).await? > 0)
        }

        pub(super) async fn insert_grant(connection: &mut Connection, grant: &Grant) -> Outcome<()> {
            let sql = concat!(
                "INSERT INTO oauth_grants (", grant_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
                 $12, $13, $14, $15, $16, $17)"
            );
            let values = values![
                grant.id, &grant.tenant, &grant.client, &grant.identity, &grant.login, grant.factors, &grant.mark,
                &grant.scopes, &grant.redirect_uri, grant.redirect_named, &grant.challenge, &grant.code_hash,
                grant.code_expires_at, grant.code_spent_at, grant.created_at, grant.ends_at, grant.revoked_at
            ];
            connection.execute(sql, &values).await.map(drop)
        }

        pub(super) async fn spend_authorization_code(
            connection: &mut Connection,
            tenant: &str,
            hash: &[u8; 32],
            now: Micros,
        ) -> Outcome<bool> {
            let sql = "UPDATE oauth_grants SET code_spent_at = $3 WHERE tenant = $1 AND code_hash = $2 \
                       AND code_spent_at IS NULL AND code_expires_at > $3 AND revoked_at IS NULL AND ends_at > $3";
            Ok(connection.execute(sql, &values![tenant, hash, now]).await? > 0)
        }

        pub(super) async fn end_grant(connection: &mut Connection, tenant: &str, id: Uuid, now: Micros) -> Outcome<bool> {
            let sql = "UPDATE oauth_grants SET revoked_at = $3 WHERE tenant = $1 AND id = $2 AND revoked_at IS NULL";
            Ok(connection.execute(sql, &values![tenant, id, now]).await? > 0)
        }

        pub(super) async fn insert_refresh_token(connection: &mut Connection, row: &RefreshToken) -> Outcome<()> {
            let sql = "INSERT INTO oauth_refresh_tokens (hash, tenant, grant_id, created_at, expires_at, spent_at) \
                       VALUES ($1, $2, $3, $4, $5, $6)";
            let values = values![&row.hash, &row.tenant, row.grant, row.created_at, row.expires_at, row.spent_at];
            connection.execute(sql, &values).await.map(drop)
        }

        pub(super) async fn spend_refresh_token(
            connection: &mut Connection,
            tenant: &str,
            hash: &[u8; 32],
            now: Micros,
        ) -> Outcome<bool> {
            let sql = "UPDATE oauth_refresh_tokens SET spent_at = $3 WHERE tenant = $1 AND hash = $2 AND spent_at IS NULL \
                       AND expires_at > $3 AND EXISTS (SELECT 1 FROM oauth_grants g \
                       WHERE g.id = oauth_refresh_tokens.grant_id AND g.tenant = $1 AND g.revoked_at IS NULL AND g.ends_at > $3)";
            Ok(connection.execute(sql, &values![tenant, hash, now]).await? > 0)
        }

        pub(super) async fn purge_grants(connection: &mut Connection, before: Micros) -> Outcome<u64> {
            let sign_ins = "DELETE FROM oauth_sign_ins WHERE expires_at < $1";
            let grants = "DELETE FROM oauth_grants WHERE ends_at < $1 OR revoked_at < $1 \
                          OR (code_spent_at IS NULL AND code_expires_at < $1)";
            let tokens = "DELETE FROM oauth_refresh_tokens WHERE NOT EXISTS \
                          (SELECT 1 FROM oauth_grants g WHERE g.id = oauth_refresh_tokens.grant_id)";
            let mut gone = 0;
            for sql in [sign_ins, grants] {
                gone += connection.execute(sql, &values![before]).await?;
            }
            Ok(gone + connection.execute(tokens, &[]).await?)
        }
    };
}

pub(crate) use {grant_columns, oauth_statements};
