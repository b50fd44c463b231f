//! Statements on `uploads` and `usage`.

/// The columns that make an `UploadLine`.
macro_rules! upload_columns {
    () => {
        "id, tenant, identity, login, protocol, session, parent, name, state, generation, incarnation, exclusive, \
         base_version, compare_base, size, prefix, reserved, segments, hash_state, hashed, attributes, storage, \
         prefix_path, created_at, updated_at, expires_at"
    };
}

/// Uploads that still can become a version: word for word the condition of the partial indexes, or they are not used.
macro_rules! live {
    () => {
        "state IN ('open', 'detached', 'sealed')"
    };
}

macro_rules! upload_statements {
    (connection: $connection:ty, texts: [$texts_open:literal, $texts_close:literal], shard: $shard:expr) => {
        use causeway_core::records::{Micros, UploadRow, UploadState};
        use uuid::Uuid;

        use crate::ledger::rows::{Outcome, UploadLine, json};
        use crate::ledger::statements::{live, upload_columns};

        type Connection = $connection;

        fn uploads(rows: Vec<UploadLine>) -> Outcome<Vec<UploadRow>> {
            rows.into_iter().map(UploadLine::upload).collect()
        }

        pub(super) async fn upload(connection: &mut Connection, id: Uuid) -> Outcome<Option<UploadRow>> {
            let row: Option<UploadLine> =
                sqlx::query_as(concat!("SELECT ", upload_columns!(), " FROM uploads WHERE id = $1"))
                    .bind(id)
                    .fetch_optional(connection)
                    .await?;
            row.map(UploadLine::upload).transpose()
        }

        pub(super) async fn uploads_named(connection: &mut Connection, parent: Uuid, name: &str) -> Outcome<Vec<UploadRow>> {
            let rows = sqlx::query_as(concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE parent = $1 AND name = $2 AND ", live!(),
                " ORDER BY updated_at DESC, id DESC"
            ));
            uploads(rows.bind(parent).bind(name).fetch_all(connection).await?)
        }

        pub(super) async fn uploads_within(
            connection: &mut Connection,
            parent: Uuid,
            tenant: &str,
            identity: &str,
        ) -> Outcome<Vec<UploadRow>> {
            let rows = sqlx::query_as(concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE parent = $1 AND tenant = $2 AND identity = $3 AND ", live!(),
                " ORDER BY name, updated_at DESC, id DESC"
            ));
            uploads(rows.bind(parent).bind(tenant).bind(identity).fetch_all(connection).await?)
        }

        pub(super) async fn uploads_of(connection: &mut Connection, tenant: &str, identity: &str) -> Outcome<Vec<UploadRow>> {
            let rows = sqlx::query_as(concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE tenant = $1 AND identity = $2 AND ", live!(),
                " ORDER BY updated_at DESC, id DESC"
            ));
            uploads(rows.bind(tenant).bind(identity).fetch_all(connection).await?)
        }

        pub(super) async fn expired_uploads(connection: &mut Connection, before: Micros, limit: u32) -> Outcome<Vec<UploadRow>> {
            let rows = sqlx::query_as(concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE state = 'detached' AND expires_at < $1 ORDER BY expires_at LIMIT $2"
            ));
            uploads(rows.bind(before).bind(i64::from(limit)).fetch_all(connection).await?)
        }

        pub(super) async fn uploads_held_by(connection: &mut Connection, incarnation: Uuid, limit: u32) -> Outcome<Vec<UploadRow>> {
            let rows = sqlx::query_as(concat!(
                "SELECT ", upload_columns!(), " FROM uploads WHERE incarnation = $1 AND ", live!(), " ORDER BY id LIMIT $2"
            ));
            uploads(rows.bind(incarnation).bind(i64::from(limit)).fetch_all(connection).await?)
        }

        /// What is used, and what live uploads have reserved of it.
        pub(super) async fn usage(connection: &mut Connection, tenant: &str, identity: Option<&str>) -> Outcome<u64> {
            let sum: i64 = match identity {
                Some(identity) => {
                    sqlx::query_scalar(concat!(
                        "SELECT CAST(COALESCE((SELECT SUM(bytes) FROM usage WHERE tenant = $1 AND identity = $2), 0) + \
                         COALESCE((SELECT SUM(reserved) FROM uploads WHERE tenant = $1 AND identity = $2 AND ",
                        live!(), "), 0) AS BIGINT)"
                    ))
                    .bind(tenant)
                    .bind(identity)
                    .fetch_one(connection)
                    .await?
                }
                None => {
                    sqlx::query_scalar(concat!(
                        "SELECT CAST(COALESCE((SELECT SUM(bytes) FROM usage WHERE tenant = $1), 0) + \
                         COALESCE((SELECT SUM(reserved) FROM uploads WHERE tenant = $1 AND ",
                        live!(), "), 0) AS BIGINT)"
                    ))
                    .bind(tenant)
                    .fetch_one(connection)
                    .await?
                }
            };
            Ok(u64::try_from(sum).unwrap_or(0))
        }

        pub(super) async fn add_usage(connection: &mut Connection, tenant: &str, identity: &str, delta: i64) -> Outcome<()> {
            // Any part will do: only their sum counts, and one part alone may well be negative.
            let shard: i64 = $shard;
            sqlx::query(
                "INSERT INTO usage (tenant, identity, shard, bytes) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (tenant, identity, shard) DO UPDATE SET bytes = usage.bytes + excluded.bytes",
            )
            .bind(tenant)
            .bind(identity)
            .bind(shard)
            .bind(delta)
            .execute(connection)
            .await
            .map(drop)
        }

        type Statement = sqlx::query::Query<
            'static,
            <Connection as sqlx::Connection>::Database,
            <<Connection as sqlx::Connection>::Database as sqlx::Database>::Arguments,
        >;

        fn bind(statement: Statement, row: UploadLine) -> Statement {
            statement
                .bind(row.id)
                .bind(row.tenant)
                .bind(row.identity)
                .bind(row.login)
                .bind(row.protocol)
                .bind(row.session)
                .bind(row.parent)
                .bind(row.name)
                .bind(row.state)
                .bind(row.generation)
                .bind(row.incarnation)
                .bind(row.exclusive)
                .bind(row.base_version)
                .bind(row.compare_base)
                .bind(row.size)
                .bind(row.prefix)
                .bind(row.reserved)
                .bind(row.segments)
                .bind(row.hash_state)
                .bind(row.hashed)
                .bind(row.attributes)
                .bind(row.storage)
                .bind(row.prefix_path)
                .bind(row.created_at)
                .bind(row.updated_at)
                .bind(row.expires_at)
        }

        pub(super) async fn insert_upload(connection: &mut Connection, row: &UploadRow) -> Outcome<()> {
            let insert = sqlx::query(concat!(
                "INSERT INTO uploads (", upload_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
                 $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)"
            ));
            bind(insert, UploadLine::of(row)?).execute(connection).await.map(drop)
        }

        pub(super) async fn update_upload(
            connection: &mut Connection,
            row: &UploadRow,
            states: &[UploadState],
            generation: i64,
        ) -> Outcome<bool> {
            let update = sqlx::query(concat!(
                "UPDATE uploads SET tenant = $2, identity = $3, login = $4, protocol = $5, session = $6, parent = $7, name = $8, \
                 state = $9, generation = $10, incarnation = $11, exclusive = $12, base_version = $13, compare_base = $14, \
                 size = $15, prefix = $16, reserved = $17, segments = $18, hash_state = $19, hashed = $20, attributes = $21, \
                 storage = $22, prefix_path = $23, created_at = $24, updated_at = $25, expires_at = $26 \
                 WHERE id = $1 AND generation = $27 AND state IN ",
                $texts_open, "$28", $texts_close
            ));
            let states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
            let done = bind(update, UploadLine::of(row)?).bind(generation).bind(json(&states)?).execute(connection).await?;
            Ok(done.rows_affected() > 0)
        }

        pub(super) async fn purge_uploads(connection: &mut Connection, before: Micros) -> Outcome<u64> {
            let delete = sqlx::query("DELETE FROM uploads WHERE state IN ('committed', 'discarded') AND updated_at < $1");
            Ok(delete.bind(before).execute(connection).await?.rows_affected())
        }
    };
}

pub(crate) use {live, upload_columns, upload_statements};
