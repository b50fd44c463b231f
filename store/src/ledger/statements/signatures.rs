//! Statements on `used_signatures`.

macro_rules! signature_statements {
    (connection: $connection:ty) => {
        use causeway_core::records::Micros;

        use crate::ledger::driver::{Driver, Outcome, values};

        type Connection = $connection;

        /// False: it was used before. Two at once that bring the same one meet at the key: one inserts.
        pub(super) async fn use_signature(
            connection: &mut Connection,
            (tenant, api_key): (&str, &str),
            digest: &[u8; 32],
            lapses: Micros,
        ) -> Outcome<bool> {
            let sql = "INSERT INTO used_signatures (tenant, api_key, digest, lapses) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (tenant, api_key, digest) DO NOTHING";
            Ok(connection.execute(sql, &values![tenant, api_key, digest, lapses]).await? > 0)
        }

        pub(super) async fn purge_signatures(connection: &mut Connection, before: Micros) -> Outcome<u64> {
            connection.execute("DELETE FROM used_signatures WHERE lapses < $1", &values![before]).await
        }
    };
}

pub(crate) use signature_statements;
