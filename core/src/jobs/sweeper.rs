//! The sweeper: blobs without reference, uploads that nobody came back for, rows that have done their duty.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::jobs::transfers::REMEMBERED;
use crate::ports::{Durability, Lock, Reach};
use crate::records::{BlobRow, Micros, UploadRow, UploadState, micros, now};
use crate::transfer::give_up_row;

const BATCH: u32 = 200;
/// How long rows of committed and discarded uploads stay.
const KEEP_ENDED: Duration = Duration::from_hours(24);
/// How long it is known that a code was used. It lapses in a minute and a half; the rest is for clocks that differ. So long, too,
/// stays what was granted and is over.
const KEEP_CODES: Duration = Duration::from_hours(1);

fn expired() -> Error {
    Error::new(ErrorKind::Incomplete, "nobody came back for the incomplete upload; it has expired")
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
        // Those that could not be given up keep no other one waiting.
        let mut failed = HashSet::new();
        loop {
            let limit = BATCH.saturating_add(u32::try_from(failed.len()).unwrap_or(u32::MAX));
            let mut overdue = self.ledger.read(Reach::Gateway).await?.expired_uploads(now, limit).await?;
            let more = overdue.len() == limit as usize;
            overdue.retain(|row| !failed.contains(&row.id));
            for row in overdue {
                let id = row.id;
                tracing::info!(upload = %row.id, identity = row.identity, "an incomplete upload has expired");
                let node = self.settings.node.clone();
                let done = self.write(Reach::Gateway, Durability::Disk, move |tx| {
                    let (row, node) = (row.clone(), node.clone());
                    Box::pin(async move {
                        // A request may have put its end off since, or is about to: parts come under this lock.
                        tx.lock(&[Lock::Name(row.parent, row.name.clone())]).await?;
                        let same = |found: &UploadRow| {
                            found.state == UploadState::Detached
                                && found.expires_at < now
                                && (found.parent, &found.name) == (row.parent, &row.name)
                        };
                        match tx.upload(row.id).await?.filter(same) {
                            Some(row) => give_up_row(tx, row, &node, &expired()).await,
                            None => Ok(false),
                        }
                    })
                });
                match done.await {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                    Err(error) => {
                        tracing::error!(%error, upload = %id, "an expired upload could not be given up; it is tried again");
                        failed.insert(id);
                    }
                }
            }
            if !more {
                break;
            }
        }
        let before = self.sweep_before(now).await?;
        loop {
            let doomed = self.ledger.read(Reach::Gateway).await?.doomed_blobs(before, BATCH).await?;
            let more = doomed.len() == BATCH as usize;
            // Where nothing of a full batch could be removed, the next one would be the same.
            if self.remove_blobs(doomed).await? == 0 || !more {
                break;
            }
        }
        let (ended, lapsed) = (now - micros(KEEP_ENDED), now - micros(KEEP_CODES));
        let (jobs, keyed) = (now - micros(self.settings.transfers.retention), now - micros(REMEMBERED));
        self.write(Reach::Gateway, Durability::Process, move |tx| {
            Box::pin(async move {
                tx.purge_uploads(ended).await?;
                tx.purge_jobs(jobs).await?;
                tx.purge_requests(keyed).await?;
                tx.purge_grants(lapsed).await?;
                tx.purge_tokens(now).await?;
                tx.purge_signatures(now).await?;
                tx.purge_codes(lapsed).await
            })
        })
        .await?;
        Ok(())
    }

    /// Blobs doomed before this moment are out of every reader's reach: it lies before the oldest read of any node, and
    /// the grace before that.
    async fn sweep_before(&self, now: Micros) -> Result<Micros> {
        let others = self.ledger.read(Reach::Gateway).await?.incarnations().await?;
        let oldest = others.into_iter().filter(|other| other.id != self.incarnation).map(|other| other.oldest_read);
        let oldest = oldest.chain([self.oldest_read(), now]).min().unwrap_or(now);
        Ok(oldest - micros(self.settings.blob_grace))
    }

    /// Removes doomed blobs: marked durably first, so that no power cut can bring back a row whose bytes are gone; then
    /// the bytes; then the rows. Returns how many are gone.
    async fn remove_blobs(&self, doomed: Vec<BlobRow>) -> Result<usize> {
        let keys: Vec<Uuid> = doomed.iter().map(|blob| blob.id.key).collect();
        let marked = self
            .write(Reach::Gateway, Durability::Disk, move |tx| {
                let keys = keys.clone();
                Box::pin(async move {
                    let mut marked = Vec::new();
                    for key in keys {
                        if tx.mark_deleting(key).await? {
                            marked.push(key);
                        }
                    }
                    Ok(marked)
                })
            })
            .await?;
        let mut gone = Vec::new();
        for blob in doomed.into_iter().filter(|blob| marked.contains(&blob.id.key)) {
            let removed = match self.storage(&blob.id.storage) {
                Ok(store) => store.remove(&blob.id).await,
                Err(error) => Err(error),
            };
            match removed {
                Ok(()) => gone.push(blob.id.key),
                Err(error) => {
                    tracing::warn!(%error, blob = %blob.id.key, "a blob could not be removed; trying again later");
                }
            }
        }
        let count = gone.len();
        self.write(Reach::Gateway, Durability::Process, move |tx| {
            let gone = gone.clone();
            Box::pin(async move {
                for key in gone {
                    tx.delete_blob(key).await?;
                }
                Ok(())
            })
        })
        .await?;
        Ok(count)
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
                    let row = match self.ledger.read(Reach::Gateway).await {
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
