//! Statements on `blobs` and `blob_refs` (SEMANTICS, "Blobs").

macro_rules! blob_statements {
    (connection: $connection:ty, ids: [$ids_open:literal, $ids_close:literal], update: $update:literal) => {
        use causeway_core::records::{BlobId, BlobRow, Micros};
        use uuid::Uuid;

        use crate::ledger::rows::{BlobLine, Outcome, json};

        type Connection = $connection;

        pub(super) async fn blob(connection: &mut Connection, key: Uuid) -> Outcome<Option<BlobRow>> {
            let row: Option<BlobLine> =
                sqlx::query_as("SELECT key, storage, prefix, state, doomed_at FROM blobs WHERE key = $1")
                    .bind(key)
                    .fetch_optional(connection)
                    .await?;
            row.map(BlobLine::blob).transpose()
        }

        pub(super) async fn doomed_blobs(connection: &mut Connection, before: Micros, limit: u32) -> Outcome<Vec<BlobRow>> {
            let rows: Vec<BlobLine> = sqlx::query_as(
                "SELECT key, storage, prefix, state, doomed_at FROM blobs \
                 WHERE state <> 'live' AND (state = 'deleting' OR doomed_at < $1) ORDER BY doomed_at, key LIMIT $2",
            )
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(connection)
            .await?;
            rows.into_iter().map(BlobLine::blob).collect()
        }

        pub(super) async fn insert_blob(connection: &mut Connection, id: &BlobId, holder: Uuid) -> Outcome<()> {
            sqlx::query("INSERT INTO blobs (key, storage, prefix, state, doomed_at) VALUES ($1, $2, $3, 'live', NULL)")
                .bind(id.key)
                .bind(&*id.storage)
                .bind(&*id.prefix)
                .execute(&mut *connection)
                .await?;
            sqlx::query("INSERT INTO blob_refs (blob, holder) VALUES ($1, $2)")
                .bind(id.key)
                .bind(holder)
                .execute(connection)
                .await
                .map(drop)
        }

        /// False: the blob is not live. Whoever comes second to the blob's row sees what the first one made of it. A
        /// reference that is there already is written over, so that it counts as a row.
        pub(super) async fn reference_blob(connection: &mut Connection, key: Uuid, holder: Uuid) -> Outcome<bool> {
            let insert = sqlx::query(concat!(
                "INSERT INTO blob_refs (blob, holder) SELECT key, $2 FROM blobs WHERE key = $1 AND state = 'live'", $update,
                " ON CONFLICT (blob, holder) DO UPDATE SET holder = excluded.holder"
            ));
            Ok(insert.bind(key).bind(holder).execute(connection).await?.rows_affected() > 0)
        }

        pub(super) async fn release_blobs(connection: &mut Connection, holder: Uuid, keep: &[Uuid], now: Micros) -> Outcome<()> {
            let mut dropped: Vec<Uuid> = if keep.is_empty() {
                sqlx::query_scalar("DELETE FROM blob_refs WHERE holder = $1 RETURNING blob")
                    .bind(holder)
                    .fetch_all(&mut *connection)
                    .await?
            } else {
                sqlx::query_scalar(concat!(
                    "DELETE FROM blob_refs WHERE holder = $1 AND blob NOT IN ", $ids_open, "$2", $ids_close, " RETURNING blob"
                ))
                .bind(holder)
                .bind(json(keep)?)
                .fetch_all(&mut *connection)
                .await?
            };
            if dropped.is_empty() {
                return Ok(());
            }
            dropped.sort_unstable();
            let dropped = json(&dropped)?;
            // The rows are locked first and counted by a later statement: two transactions that drop the last two
            // references go one after the other, and the second sees that none is left.
            if !$update.is_empty() {
                sqlx::query(concat!(
                    "SELECT key FROM blobs WHERE key IN ", $ids_open, "$1", $ids_close, " ORDER BY key", $update
                ))
                .bind(&dropped)
                .fetch_all(&mut *connection)
                .await?;
            }
            sqlx::query(concat!(
                "UPDATE blobs SET state = 'doomed', doomed_at = $2 WHERE key IN ", $ids_open, "$1", $ids_close,
                " AND state = 'live' AND NOT EXISTS (SELECT 1 FROM blob_refs r WHERE r.blob = blobs.key)"
            ))
            .bind(&dropped)
            .bind(now)
            .execute(connection)
            .await
            .map(drop)
        }

        pub(super) async fn mark_deleting(connection: &mut Connection, key: Uuid) -> Outcome<bool> {
            let update = sqlx::query("UPDATE blobs SET state = 'deleting' WHERE key = $1 AND state IN ('doomed', 'deleting')");
            Ok(update.bind(key).execute(connection).await?.rows_affected() > 0)
        }

        pub(super) async fn delete_blob(connection: &mut Connection, key: Uuid) -> Outcome<()> {
            sqlx::query("DELETE FROM blobs WHERE key = $1").bind(key).execute(connection).await.map(drop)
        }
    };
}

pub(crate) use blob_statements;
