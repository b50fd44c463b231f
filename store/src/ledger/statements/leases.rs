//! Statements on `leases` and `incarnations`.

macro_rules! lease_statements {
    (connection: $connection:ty) => {
        use causeway_core::records::{Incarnation, Micros};
        use uuid::Uuid;

        use crate::ledger::rows::{IncarnationLine, Outcome};

        type Connection = $connection;

        /// False: another holds it.
        pub(super) async fn take_lease(
            connection: &mut Connection,
            name: &str,
            holder: Uuid,
            until: Micros,
            now: Micros,
        ) -> Outcome<bool> {
            let upsert = sqlx::query(
                "INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
                 SET holder = excluded.holder, expires_at = excluded.expires_at \
                 WHERE leases.holder = excluded.holder OR leases.expires_at < $4",
            );
            let done = upsert.bind(name).bind(holder).bind(until).bind(now).execute(connection).await?;
            Ok(done.rows_affected() > 0)
        }

        pub(super) async fn put_incarnation(connection: &mut Connection, incarnation: &Incarnation) -> Outcome<()> {
            sqlx::query(
                "INSERT INTO incarnations (id, node, installation, heartbeat, oldest_read) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (id) DO UPDATE SET node = excluded.node, installation = excluded.installation, \
                 heartbeat = excluded.heartbeat, oldest_read = excluded.oldest_read",
            )
            .bind(incarnation.id)
            .bind(&incarnation.node)
            .bind(incarnation.installation)
            .bind(incarnation.heartbeat)
            .bind(incarnation.oldest_read)
            .execute(connection)
            .await
            .map(drop)
        }

        pub(super) async fn delete_incarnation(connection: &mut Connection, id: Uuid) -> Outcome<()> {
            sqlx::query("DELETE FROM incarnations WHERE id = $1").bind(id).execute(connection).await.map(drop)
        }

        pub(super) async fn incarnations(connection: &mut Connection) -> Outcome<Vec<Incarnation>> {
            let rows: Vec<IncarnationLine> =
                sqlx::query_as("SELECT id, node, installation, heartbeat, oldest_read FROM incarnations ORDER BY id")
                    .fetch_all(connection)
                    .await?;
            Ok(rows.into_iter().map(IncarnationLine::incarnation).collect())
        }
    };
}

pub(crate) use lease_statements;
