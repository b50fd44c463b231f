//! Statements on `used_codes`.

macro_rules! code_statements {
    (connection: $connection:ty) => {
        use causeway_core::records::Micros;

        use crate::ledger::driver::{Driver, Outcome, values};

        type Connection = $connection;

        /// False: this code was used, or one after it. Two at once that bring the same code meet at the key: one inserts.
        pub(super) async fn use_code(
            connection: &mut Connection,
            tenant: &str,
            login: &str,
            step: i64,
            now: Micros,
        ) -> Outcome<bool> {
            let sql = "INSERT INTO used_codes (tenant, login, step, used_at) SELECT $1, $2, $3, $4 WHERE NOT EXISTS \
                       (SELECT 1 FROM used_codes WHERE tenant = $1 AND login = $2 AND step >= $3) \
                       ON CONFLICT (tenant, login, step) DO NOTHING";
            Ok(connection.execute(sql, &values![tenant, login, step, now]).await? > 0)
        }

        pub(super) async fn purge_codes(connection: &mut Connection, before: Micros) -> Outcome<u64> {
            connection.execute("DELETE FROM used_codes WHERE used_at < $1", &values![before]).await
        }
    };
}

pub(crate) use code_statements;
