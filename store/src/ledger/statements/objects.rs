//! Statements on `objects` and `object_generation`, and what administrators ask of files.

macro_rules! object_statements {
    (connection: $connection:ty, member: [$before:literal, $after:literal]) => {
        use causeway_core::records::{ObjectKey, StoredObject};

        use crate::ledger::driver::{Driver, Outcome, values};

        type Connection = $connection;

        pub(super) async fn objects(connection: &mut Connection) -> Outcome<Vec<StoredObject>> {
            let sql =
                "SELECT tenant, kind, id, version, body, created_at, changed_at FROM objects ORDER BY tenant, kind, id";
            connection.search(sql, &[]).await
        }

        pub(super) async fn file_counts(connection: &mut Connection, tenant: &str) -> Outcome<Vec<(String, u64)>> {
            let sql = concat!(
                "SELECT ",
                $before,
                "created_by",
                $after,
                " AS maker, COUNT(*) FROM nodes \
                 WHERE tenant = $1 AND version IS NOT NULL GROUP BY maker ORDER BY maker"
            );
            connection.search(sql, &values![tenant]).await
        }

        pub(super) async fn object_generation(connection: &mut Connection) -> Outcome<i64> {
            let found: Option<i64> = connection.first("SELECT generation FROM object_generation", &[]).await?;
            Ok(found.unwrap_or(0))
        }

        /// False: it was another one. Two at once meet at the row: the second one sees what the first has made of it.
        pub(super) async fn advance_objects(connection: &mut Connection, from: i64) -> Outcome<bool> {
            let sql = "UPDATE object_generation SET generation = generation + 1 WHERE generation = $1";
            Ok(connection.execute(sql, &values![from]).await? > 0)
        }

        pub(super) async fn insert_object(connection: &mut Connection, object: &StoredObject) -> Outcome<bool> {
            let sql = "INSERT INTO objects (tenant, kind, id, version, body, created_at, changed_at) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, kind, id) DO NOTHING";
            let StoredObject { key, version, body, created_at, changed_at } = object;
            let values = values![&key.tenant, &key.kind, &key.id, *version, body, *created_at, *changed_at];
            Ok(connection.execute(sql, &values).await? > 0)
        }

        pub(super) async fn update_object(
            connection: &mut Connection,
            object: &StoredObject,
            expected: i64,
        ) -> Outcome<bool> {
            let sql = "UPDATE objects SET version = $4, body = $5, changed_at = $6 \
                       WHERE tenant = $1 AND kind = $2 AND id = $3 AND version = $7";
            let StoredObject { key, version, body, changed_at, .. } = object;
            let values = values![&key.tenant, &key.kind, &key.id, *version, body, *changed_at, expected];
            Ok(connection.execute(sql, &values).await? > 0)
        }

        pub(super) async fn delete_object(
            connection: &mut Connection,
            key: &ObjectKey,
            expected: i64,
        ) -> Outcome<bool> {
            let sql = "DELETE FROM objects WHERE tenant = $1 AND kind = $2 AND id = $3 AND version = $4";
            Ok(connection.execute(sql, &values![&key.tenant, &key.kind, &key.id, expected]).await? > 0)
        }
    };
}

pub(crate) use object_statements;
