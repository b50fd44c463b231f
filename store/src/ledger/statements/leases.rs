//! Statements on `leases` and `incarnations`.

macro_rules! lease_statements {
    (connection: $connection:ty) => {
        use causeway_core::records::{Incarnation, Micros};
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, values};

        type Connection = $connection;

        /// False: another holds it.
        pub(super) async fn take_lease(
            connection: &mut Connection,
            name: &str,
            holder: Uuid,
            until: Micros,
            now: Micros,
        ) -> Outcome<bool> {
            let sql = "INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
                       SET holder = excluded.holder, expires_at = excluded.expires_at \
                       WHERE leases.holder = excluded.holder OR leases.expires_at < $4";
            Ok(connection.execute(sql, &values![name, holder, until, now]).await? > 0)
        }

        pub(super) async fn put_incarnation(connection: &mut Connection, incarnation: &Incarnation) -> Outcome<()> {
            let sql = "INSERT INTO incarnations (id, node, installation, heartbeat, oldest_read) VALUES ($1, $2, $3, $4, $5) \
                       ON CONFLICT (id) DO UPDATE SET node = excluded.node, installation = excluded.installation, \
                       heartbeat = excluded.heartbeat, oldest_read = excluded.oldest_read";
            let Incarnation { id, node, installation, heartbeat, oldest_read } = incarnation;
            connection.execute(sql, &values![*id, node, *installation, *heartbeat, *oldest_read]).await.map(drop)
        }

        pub(super) async fn delete_incarnation(connection: &mut Connection, id: Uuid) -> Outcome<()> {
            connection.execute("DELETE FROM incarnations WHERE id = $1", &values![id]).await.map(drop)
        }

        pub(super) async fn incarnations(connection: &mut Connection) -> Outcome<Vec<Incarnation>> {
            let sql = "SELECT id, node, installation, heartbeat, oldest_read FROM incarnations ORDER BY id";
            connection.all(sql, &[]).await
        }
    };
}

pub(crate) use lease_statements;
