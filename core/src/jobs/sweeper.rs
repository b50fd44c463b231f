//! The sweeper: blobs without reference, uploads that nobody came back for, rows that have done their duty.

use std::time::Duration;

use crate::error::Result;
use crate::gateway::Inner;
use crate::ports::Durability;
use crate::records::{BlobRow, Micros, now};
use crate::transfer::discard_row;

const BATCH: u32 = 200;
/// How long rows of committed and discarded uploads stay.
const KEEP_ENDED: Duration = Duration::from_hours(24);

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Inner {
    /// One round.
    pub(crate) async fn sweep(&self) {
        if let Err(error) = self.sweep_round().await {
            tracing::warn!(%error, "sweeping pauses; it goes on by itself");
        }
    }

    async fn sweep_round(&self) -> Result<()> {
        let now = now();
        loop {
            let expired = self.ledger.read().await?.expired_uploads(now, BATCH).await?;
            let more = expired.len() == BATCH as usize;
            for row in expired {
                tracing::info!(upload = %row.id, identity = row.identity, "an incomplete upload has expired");
                self.write(Durability::Process, move |tx| {
                    let row = row.clone();
                    Box::pin(async move { discard_row(tx, row).await })
                })
                .await?;
            }
            if !more {
                break;
            }
        }
        let before = self.sweep_before(now).await?;
        loop {
            let doomed = self.ledger.read().await?.doomed_blobs(before, BATCH).await?;
            let more = doomed.len() == BATCH as usize;
            let mut swept = 0;
            for blob in doomed {
                match self.remove_blob(&blob).await {
                    Ok(()) => swept += 1,
                    Err(error) => {
                        tracing::warn!(%error, blob = %blob.id.key, "a blob could not be removed; trying again later");
                    }
                }
            }
            // Where nothing of a full batch could be removed, the next one would be the same.
            if !more || swept == 0 {
                break;
            }
        }
        let ended = now - micros(KEEP_ENDED);
        self.write(Durability::Process, move |tx| Box::pin(async move { tx.purge_uploads(ended).await })).await?;
        Ok(())
    }

    /// Blobs doomed before this moment are out of every reader's reach: it lies before the oldest read of any node, and
    /// the grace before that.
    async fn sweep_before(&self, now: Micros) -> Result<Micros> {
        let others = self.ledger.read().await?.incarnations().await?;
        let oldest = others.into_iter().filter(|other| other.id != self.incarnation).map(|other| other.oldest_read);
        let oldest = oldest.chain([self.oldest_read(), now]).min().unwrap_or(now);
        Ok(oldest - micros(self.settings.blob_grace))
    }

    async fn remove_blob(&self, blob: &BlobRow) -> Result<()> {
        let key = blob.id.key;
        let marked =
            self.write(Durability::Process, move |tx| Box::pin(async move { tx.mark_deleting(key).await })).await?;
        if marked {
            self.storage(&blob.id.storage)?.remove(&blob.id).await?;
            self.write(Durability::Process, move |tx| Box::pin(async move { tx.delete_blob(key).await })).await?;
        }
        Ok(())
    }

    /// Removes blobs that no row names. A row is always there before its blob, so that one without can only be left of
    /// a row that a power cut took.
    pub(crate) async fn sweep_orphans(&self) {
        for (name, store) in &self.storages {
            let mut after = None;
            loop {
                let keys = match store.keys(after, BATCH as usize).await {
                    Ok(keys) if keys.is_empty() => break,
                    Ok(keys) => keys,
                    Err(error) => {
                        tracing::warn!(%error, storage = name, "the search for orphaned blobs failed");
                        break;
                    }
                };
                after = keys.last().map(|id| id.key);
                for id in keys {
                    let row = match self.ledger.read().await {
                        Ok(mut query) => query.blob(id.key).await,
                        Err(error) => Err(error),
                    };
                    if matches!(row, Ok(None)) {
                        tracing::info!(storage = name, blob = %id.key, "an orphaned blob is removed");
                        if let Err(error) = store.remove(&id).await {
                            tracing::warn!(%error, blob = %id.key, "an orphaned blob could not be removed");
                        }
                    }
                }
            }
        }
    }
}
