//! Recovery: what a dead process left open becomes a detached upload, cut to its last checkpoint. It touches only
//! processes that are certainly dead: this data folder's earlier ones (which the lock proves), and those of other nodes
//! that have given no sign of life for a minute.

use std::collections::HashSet;

use uuid::Uuid;

use super::liveness::DEAD_AFTER;
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::ports::{Durability, Reach, Tx};
use crate::records::{Incarnation, Micros, UploadRow, UploadState, now};
use crate::transfer::{discard_row, replace_other_detached, tell_incomplete};

/// Uploads that are recovered in one look.
const BATCH: u32 = 200;

impl Inner {
    fn is_dead(&self, other: &Incarnation) -> bool {
        other.id != self.incarnation
            && (self.settings.sole_owner
                || other.installation == self.settings.installation
                || now() - other.heartbeat > DEAD_AFTER)
    }

    /// Recovers what dead processes left. An upload that cannot be recovered is left as it is, and keeps neither the others nor
    /// this process waiting: its holder's row stays, so that it is tried again. Fails where the ledger does not answer.
    pub(crate) async fn recover(&self) -> Result<()> {
        let all = self.ledger.read(Reach::Gateway).await?.incarnations().await?;
        for dead in all.into_iter().filter(|other| self.is_dead(other)) {
            let (mut count, mut failed) = (0, HashSet::new());
            loop {
                let limit = BATCH.saturating_add(u32::try_from(failed.len()).unwrap_or(u32::MAX));
                let mut left = self.ledger.read(Reach::Gateway).await?.uploads_held_by(dead.id, limit).await?;
                left.retain(|row| !failed.contains(&row.id));
                if left.is_empty() {
                    break;
                }
                for row in left {
                    let (id, node, expires_at) = (row.id, self.settings.node.clone(), self.expiry());
                    let done = self.write(Reach::Gateway, Durability::Disk, move |tx| {
                        let (row, node) = (row.clone(), node.clone());
                        Box::pin(async move { detach_left(tx, row, expires_at, &node).await })
                    });
                    match done.await {
                        Ok(()) => count += 1,
                        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                        Err(error) => {
                            tracing::error!(%error, upload = %id, "an upload of an ended process could not be recovered");
                            failed.insert(id);
                        }
                    }
                }
            }
            let (id, all) = (dead.id, failed.is_empty());
            self.write(Reach::Gateway, Durability::Process, move |tx| {
                Box::pin(async move {
                    // Its transfers need not wait for the end of their leases.
                    tx.release_jobs(id, now()).await?;
                    tx.clear_sessions(id).await?;
                    if all { tx.delete_incarnation(id).await } else { Ok(()) }
                })
            })
            .await?;
            self.jobs_wake.notify_one();
            tracing::info!(node = dead.node, uploads = count, "recovered what an ended process left");
        }
        Ok(())
    }
}

/// Detaches one upload of a dead process. The row is then held by nobody, so that it is not found again.
async fn detach_left(tx: &mut dyn Tx, mut row: UploadRow, expires_at: Micros, node: &str) -> Result<()> {
    // The copy of a move between storages: nobody's upload, and the file is still where it was.
    if row.session.is_nil() {
        return discard_row(tx, row).await.map(drop);
    }
    let (state, generation) = (row.state, row.generation);
    row.state = UploadState::Detached;
    row.generation += 1;
    row.incarnation = Uuid::nil();
    row.updated_at = now();
    row.expires_at = expires_at;
    if !tx.update_upload(&row, &[state], generation).await? {
        return Ok(());
    }
    replace_other_detached(&mut *tx, &row, node).await?;
    let error = Error::new(ErrorKind::Incomplete, "the gateway was stopped before the upload was complete");
    tell_incomplete(&mut *tx, &row, node, &error).await
}
