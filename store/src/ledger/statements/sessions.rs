//! Statements on `sessions`.

/// The columns that make a session.
macro_rules! session_columns {
    () => {
        "id, tenant, identity, login, protocol, client_ip, client_version, auth_method, node, incarnation, started_at, end_asked"
    };
}

macro_rules! session_statements {
    (connection: $connection:ty, ids: [$ids_open:literal, $ids_close:literal]) => {
        use causeway_core::records::{Micros, SessionRow, SessionSearch};
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, Value, values};
        use crate::ledger::rows::json;
        use crate::ledger::statements::session_columns;

        type Connection = $connection;

        pub(super) async fn sessions(
            connection: &mut Connection,
            search: &SessionSearch,
            limit: u32,
        ) -> Outcome<Vec<SessionRow>> {
            let sql = concat!(
                "SELECT ", session_columns!(), " FROM sessions WHERE tenant = $1 AND id < $2 AND incarnation <> $3 \
                 AND ($4 IS NULL OR protocol = $4) AND ($5 IS NULL OR identity = $5) AND ($6 IS NULL OR login = $6) \
                 ORDER BY id DESC LIMIT $7"
            );
            let SessionSearch { tenant, before, besides, protocol, identity, login } = search;
            let before = before.unwrap_or(Uuid::max());
            connection.all(sql, &values![tenant, before, *besides, protocol, identity, login, limit]).await
        }

        pub(super) async fn sessions_to_end(connection: &mut Connection, incarnation: Uuid) -> Outcome<Vec<Uuid>> {
            let sql = "SELECT id FROM sessions WHERE incarnation = $1 AND end_asked IS NOT NULL";
            connection.all(sql, &values![incarnation]).await
        }

        pub(super) async fn session_count(connection: &mut Connection, incarnation: Uuid) -> Outcome<i64> {
            let sql = "SELECT COUNT(*) FROM sessions WHERE incarnation = $1";
            Ok(connection.first(sql, &values![incarnation]).await?.unwrap_or(0))
        }

        /// Those that are there already stay as they are.
        pub(super) async fn insert_sessions(connection: &mut Connection, rows: &[SessionRow]) -> Outcome<()> {
            let rows: Vec<Value<'_>> = rows
                .iter()
                .flat_map(|row| {
                    values![
                        row.id,
                        &row.tenant,
                        &row.identity,
                        &row.login,
                        &row.protocol,
                        &row.client_ip,
                        &row.client_version,
                        &row.auth_method,
                        &row.node,
                        row.incarnation,
                        row.started_at,
                        row.end_asked,
                    ]
                })
                .collect();
            let head = concat!("INSERT INTO sessions (", session_columns!(), ") ");
            connection.rows((head, " ON CONFLICT (id) DO NOTHING"), 12, &rows).await
        }

        pub(super) async fn delete_sessions(connection: &mut Connection, ids: &[Uuid]) -> Outcome<()> {
            let sql = concat!("DELETE FROM sessions WHERE id IN ", $ids_open, "$1", $ids_close);
            connection.execute(sql, &values![&json(ids)?]).await.map(drop)
        }

        pub(super) async fn clear_sessions(connection: &mut Connection, incarnation: Uuid) -> Outcome<u64> {
            connection.execute("DELETE FROM sessions WHERE incarnation = $1", &values![incarnation]).await
        }

        pub(super) async fn ask_session_end(
            connection: &mut Connection,
            id: Uuid,
            tenant: Option<&str>,
            now: Micros,
        ) -> Outcome<Option<SessionRow>> {
            let sql = concat!(
                "UPDATE sessions SET end_asked = COALESCE(end_asked, $3) WHERE id = $1 AND ($2 IS NULL OR tenant = $2) RETURNING ",
                session_columns!()
            );
            connection.first(sql, &values![id, tenant, now]).await
        }
    };
}

pub(crate) use {session_columns, session_statements};
