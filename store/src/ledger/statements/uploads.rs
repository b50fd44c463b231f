//! Statements on `uploads` and `usage`.

/// The columns that make an upload.
macro_rules! upload_columns {
    () => {
        "id, tenant, identity, login, protocol, session, parent, name, state, generation, incarnation, exclusive, \
         base_version, compare_base, size, prefix, reserved, segments, hash_state, hashed, attributes, storage, \
         prefix_path, created_at, updated_at, expires_at, plan"
    };
}

/// Uploads that still can become a version: word for word the condition of the partial indexes, or they are not used. No
/// longer list than this: SQLite makes a table of one with more than two words.
macro_rules! live {
    () => {
        "state NOT IN ('committed', 'discarded')"
    };
}

macro_rules! upload_statements {
    (connection: $connection:ty, shard: $shard:expr) => {
        use causeway_core::records::{Micros, UploadRow, UploadState};
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, Value, values};
        use crate::ledger::rows::UploadTexts;
        use crate::ledger::statements::{live, upload_columns, within};

        type Connection = $connection;

        pub(super) async fn upload(
            connection: &mut Connection,
            reach: Option<&str>,
            id: Uuid,
        ) -> Outcome<Option<UploadRow>> {
            let sql = concat!("SELECT ", upload_columns!(), " FROM uploads WHERE id = $1", within!("", "$2"));
            connection.first(sql, &values![id, reach]).await
        }

        pub(super) async fn uploads_named(
            connection: &mut Connection,
            reach: Option<&str>,
            parent: Uuid,
            name: &str,
        ) -> Outcome<Vec<UploadRow>> {
            let sql = concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE parent = $1 AND name = $2 AND ", live!(), within!("", "$3"),
                " ORDER BY updated_at DESC, id DESC"
            );
            connection.all(sql, &values![parent, name, reach]).await
        }

        pub(super) async fn uploads_within(
            connection: &mut Connection,
            parent: Uuid,
            tenant: &str,
            identity: &str,
        ) -> Outcome<Vec<UploadRow>> {
            let sql = concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE parent = $1 AND tenant = $2 AND identity = $3 AND ", live!(),
                " ORDER BY name, updated_at DESC, id DESC"
            );
            connection.all(sql, &values![parent, tenant, identity]).await
        }

        pub(super) async fn uploads_of(connection: &mut Connection, tenant: &str, identity: &str) -> Outcome<Vec<UploadRow>> {
            let sql = concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE tenant = $1 AND identity = $2 AND ", live!(),
                " ORDER BY updated_at DESC, id DESC"
            );
            connection.all(sql, &values![tenant, identity]).await
        }

        /// The nil ids are those of uploads that are held by nobody, and of copies that are no session's.
        pub(super) async fn uploads_under_way(
            connection: &mut Connection,
            tenant: &str,
            before: Uuid,
            limit: u32,
        ) -> Outcome<Vec<UploadRow>> {
            let sql = concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE tenant = $1 AND id < $2 AND incarnation <> $3 AND session <> $3 AND ",
                live!(), " ORDER BY id DESC LIMIT $4"
            );
            connection.all(sql, &values![tenant, before, Uuid::nil(), limit]).await
        }

        pub(super) async fn expired_uploads(connection: &mut Connection, before: Micros, limit: u32) -> Outcome<Vec<UploadRow>> {
            let sql = concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE state = 'detached' AND expires_at < $1 ORDER BY expires_at LIMIT $2"
            );
            connection.all(sql, &values![before, limit]).await
        }

        pub(super) async fn uploads_held_by(connection: &mut Connection, incarnation: Uuid, limit: u32) -> Outcome<Vec<UploadRow>> {
            let sql = concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE incarnation = $1 AND ", live!(), " ORDER BY id LIMIT $2"
            );
            connection.all(sql, &values![incarnation, limit]).await
        }

        /// What is used, and what live uploads have reserved of it.
        pub(super) async fn usage(connection: &mut Connection, tenant: &str, identity: Option<&str>) -> Outcome<u64> {
            let sum: Option<i64> = match identity {
                Some(identity) => {
                    let sql = concat!(
                        "SELECT CAST(COALESCE((SELECT SUM(bytes) FROM usage WHERE tenant = $1 AND identity = $2), 0) + \
                         COALESCE((SELECT SUM(reserved) FROM uploads WHERE tenant = $1 AND identity = $2 AND ",
                        live!(), "), 0) AS BIGINT)"
                    );
                    connection.first(sql, &values![tenant, identity]).await?
                }
                None => {
                    let sql = concat!(
                        "SELECT CAST(COALESCE((SELECT SUM(bytes) FROM usage WHERE tenant = $1), 0) + \
                         COALESCE((SELECT SUM(reserved) FROM uploads WHERE tenant = $1 AND ",
                        live!(), "), 0) AS BIGINT)"
                    );
                    connection.first(sql, &values![tenant]).await?
                }
            };
            Ok(u64::try_from(sum.unwrap_or(0)).unwrap_or(0))
        }

        pub(super) async fn add_usage(connection: &mut Connection, tenant: &str, identity: &str, delta: i64) -> Outcome<()> {
            // Any part will do: only their sum counts, and one part alone may well be negative.
            let shard: i64 = $shard;
            let sql = "INSERT INTO usage (tenant, identity, shard, bytes) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (tenant, identity, shard) DO UPDATE SET bytes = usage.bytes + excluded.bytes";
            connection.execute(sql, &values![tenant, identity, shard, delta]).await.map(drop)
        }

        pub(super) async fn insert_upload(connection: &mut Connection, row: &UploadRow) -> Outcome<()> {
            let sql = concat!(
                "INSERT INTO uploads (", upload_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
                 $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)"
            );
            connection.execute(sql, &UploadTexts::of(row)?.values(row)).await.map(drop)
        }

        pub(super) async fn update_upload(
            connection: &mut Connection,
            row: &UploadRow,
            states: &[UploadState],
            generation: i64,
        ) -> Outcome<bool> {
            let sql = "UPDATE uploads SET identity = $3, login = $4, protocol = $5, session = $6, parent = $7, name = $8, \
                 state = $9, generation = $10, incarnation = $11, exclusive = $12, base_version = $13, compare_base = $14, \
                 size = $15, prefix = $16, reserved = $17, segments = $18, hash_state = $19, hashed = $20, attributes = $21, \
                 storage = $22, prefix_path = $23, created_at = $24, updated_at = $25, expires_at = $26, plan = $27 \
                 WHERE id = $1 AND tenant = $2 AND generation = $28 \
                 AND (state = $29 OR state = $30 OR state = $31 OR state = $32 OR state = $33)";
            let texts = UploadTexts::of(row)?;
            let mut all = [Value::Text(None); 33];
            // The places of states that are not asked for stay NULL, which equals none.
            let states = states.iter().map(|state| Value::from(state.as_str()));
            let given = texts.values(row).into_iter().chain(values![generation]).chain(states);
            for (place, value) in all.iter_mut().zip(given) {
                *place = value;
            }
            Ok(connection.execute(sql, &all).await? > 0)
        }

        pub(super) async fn purge_uploads(connection: &mut Connection, before: Micros) -> Outcome<u64> {
            let sql = "DELETE FROM uploads WHERE state IN ('committed', 'discarded') AND updated_at < $1";
            connection.execute(sql, &values![before]).await
        }
    };
}

pub(crate) use {live, upload_columns, upload_statements};
