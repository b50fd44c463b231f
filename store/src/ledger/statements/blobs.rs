//! Statements on `blobs` and `blob_refs` (SEMANTICS, "Blobs").

macro_rules! blob_statements {
    (connection: $connection:ty, ids: [$ids_open:literal, $ids_close:literal], update: $update:literal) => {
        use causeway_core::records::{BlobId, BlobRow, Micros};
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, values};
        use crate::ledger::rows::json;

        type Connection = $connection;

        pub(super) async fn blob(connection: &mut Connection, key: Uuid) -> Outcome<Option<BlobRow>> {
            let sql = "SELECT key, storage, prefix, state, doomed_at FROM blobs WHERE key = $1";
            connection.first(sql, &values![key]).await
        }

        pub(super) async fn doomed_blobs(connection: &mut Connection, before: Micros, limit: u32) -> Outcome<Vec<BlobRow>> {
            let sql = "SELECT key, storage, prefix, state, doomed_at FROM blobs \
                       WHERE state <> 'live' AND (state = 'deleting' OR doomed_at < $1) ORDER BY doomed_at, key LIMIT $2";
            connection.all(sql, &values![before, limit]).await
        }

        pub(super) async fn insert_blob(connection: &mut Connection, id: &BlobId, holder: Uuid) -> Outcome<()> {
            let sql = "INSERT INTO blobs (key, storage, prefix, state, doomed_at) VALUES ($1, $2, $3, 'live', NULL)";
            connection.execute(sql, &values![id.key, &id.storage, &id.prefix]).await?;
            let sql = "INSERT INTO blob_refs (blob, holder) VALUES ($1, $2)";
            connection.execute(sql, &values![id.key, holder]).await.map(drop)
        }

        /// False: the blob is not live. Whoever comes second to the blob's row sees what the first one made of it. A
        /// reference that is there already is written over, so that it counts as a row.
        pub(super) async fn reference_blob(connection: &mut Connection, key: Uuid, holder: Uuid) -> Outcome<bool> {
            let sql = concat!(
                "INSERT INTO blob_refs (blob, holder) SELECT key, $2 FROM blobs WHERE key = $1 AND state = 'live'", $update,
                " ON CONFLICT (blob, holder) DO UPDATE SET holder = excluded.holder"
            );
            Ok(connection.execute(sql, &values![key, holder]).await? > 0)
        }

        pub(super) async fn release_blobs(connection: &mut Connection, holder: Uuid, keep: &[Uuid], now: Micros) -> Outcome<()> {
            let mut dropped: Vec<Uuid> = if keep.is_empty() {
                let sql = "DELETE FROM blob_refs WHERE holder = $1 RETURNING blob";
                connection.all(sql, &values![holder]).await?
            } else {
                let sql = concat!(
                    "DELETE FROM blob_refs WHERE holder = $1 AND blob NOT IN ", $ids_open, "$2", $ids_close, " RETURNING blob"
                );
                connection.all(sql, &values![holder, &json(keep)?]).await?
            };
            if dropped.is_empty() {
                return Ok(());
            }
            dropped.sort_unstable();
            let dropped = json(&dropped)?;
            // The rows are locked first and counted by a later statement: two transactions that drop the last two
            // references go one after the other, and the second sees that none is left.
            if !$update.is_empty() {
                let sql = concat!(
                    "SELECT key FROM blobs WHERE key IN ", $ids_open, "$1", $ids_close, " ORDER BY key", $update
                );
                connection.all::<Uuid>(sql, &values![&dropped]).await?;
            }
            let sql = concat!(
                "UPDATE blobs SET state = 'doomed', doomed_at = $2 WHERE key IN ", $ids_open, "$1", $ids_close,
                " AND state = 'live' AND NOT EXISTS (SELECT 1 FROM blob_refs r WHERE r.blob = blobs.key)"
            );
            connection.execute(sql, &values![&dropped, now]).await.map(drop)
        }

        pub(super) async fn mark_deleting(connection: &mut Connection, key: Uuid) -> Outcome<bool> {
            let sql = "UPDATE blobs SET state = 'deleting' WHERE key = $1 AND state IN ('doomed', 'deleting')";
            Ok(connection.execute(sql, &values![key]).await? > 0)
        }

        pub(super) async fn delete_blob(connection: &mut Connection, key: Uuid) -> Outcome<()> {
            connection.execute("DELETE FROM blobs WHERE key = $1", &values![key]).await.map(drop)
        }
    };
}

pub(crate) use blob_statements;
