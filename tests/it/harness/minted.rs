//! Tokens as a gateway under test makes them: signed by its own key, which is read out of its ledger.

use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;

use super::gateway::reaching_all;
use super::plan::api_key;
use super::provider::{Signer, seconds};
use super::{Gateway, Rest, sha256};

/// A row of `signing_keys`.
#[derive(Clone, Debug)]
pub struct StoredKey {
    pub kid: String,
    pub private: Vec<u8>,
    pub sealed: bool,
    pub signs_from: i64,
}

const KEYS: &str = "SELECT kid, private_part, sealed, signs_from FROM signing_keys ORDER BY signs_from";

/// The keys in a gateway's ledger, in the order in which they sign.
pub async fn stored_keys(gateway: &Gateway) -> Vec<StoredKey> {
    if let Some(url) = gateway.database() {
        let mut connection = reaching_all(url).await;
        let rows = sqlx::query(KEYS).fetch_all(&mut connection).await.unwrap();
        let read = |row: &sqlx::postgres::PgRow| StoredKey {
            kid: row.get(0),
            private: row.get(1),
            sealed: row.get(2),
            signs_from: row.get(3),
        };
        return rows.iter().map(read).collect();
    }
    let connection = rusqlite::Connection::open(gateway.data().join("causeway.db")).unwrap();
    let mut query = connection.prepare(KEYS).unwrap();
    let read = |row: &rusqlite::Row<'_>| {
        Ok(StoredKey { kid: row.get(0)?, private: row.get(1)?, sealed: row.get(2)?, signs_from: row.get(3)? })
    };
    query.query_map((), read).unwrap().map(Result::unwrap).collect()
}

/// Runs a statement on a gateway's ledger, behind its back.
pub async fn execute(gateway: &Gateway, sql: &str) {
    if let Some(url) = gateway.database() {
        let mut connection = reaching_all(url).await;
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    } else {
        let connection = rusqlite::Connection::open(gateway.data().join("causeway.db")).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

/// Revokes a grant in a gateway's ledger, as another node would.
pub async fn revoke(gateway: &Gateway, grant: Uuid) {
    let now =
        i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()).unwrap();
    let until = now + 1_800_000_000;
    let id = if gateway.database().is_some() { format!("'{grant}'") } else { format!("x'{}'", grant.simple()) };
    execute(gateway, &format!("INSERT INTO revoked_grants (id, ends_at, revoked_at) VALUES ({id}, {until}, {now})"))
        .await;
}

/// The published keys.
pub async fn key_set(rest: &Rest) -> Vec<Value> {
    let answer = rest.with_key("").get("/../../.well-known/jwks.json").await.ok();
    answer["keys"].as_array().unwrap().clone()
}

/// What signs for a gateway now.
pub async fn signer(gateway: &Gateway) -> Signer {
    // The first key is made when somebody asks.
    key_set(&gateway.rest("orders")).await;
    let now = seconds() * 1_000_000;
    let keys = stored_keys(gateway).await;
    let key = keys.iter().rev().find(|key| key.signs_from <= now + 999_999).unwrap();
    Signer::of(&key.kid, &key.private)
}

/// What a token says that was given by an API key of `acme`.
pub fn claims(issuer: &str, key: &str, identity: &str, scope: &str) -> Value {
    let now = seconds();
    json!({
        "iss": issuer, "sub": identity, "aud": issuer, "exp": now + 900, "nbf": now, "iat": now, "jti": Uuid::now_v7(),
        "client_id": key, "scope": scope, "tenant": "acme", "login": key, "via": "api_key", "grant": Uuid::now_v7(),
        // Which text of the key it is.
        "key": &sha256(&hex::decode(sha256(api_key(key).as_bytes())).unwrap())[..16],
    })
}
