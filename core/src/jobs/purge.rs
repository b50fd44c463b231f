//! The purge: what is left of folders that were removed with everything in them. Each step is one transaction over some
//! entries of one folder, so that it never keeps other writers for long, and a crash between two steps loses nothing: the
//! folders wait below [`DETACHED`] until the next process goes on with them.

use std::time::Duration;

use uuid::Uuid;

use crate::error::Result;
use crate::gateway::Inner;
use crate::namespace::release_version;
use crate::ports::{Durability, Lock, Reach, Tx};
use crate::records::DETACHED;

/// Entries of one step.
const BATCH: u32 = 200;
/// How often it looks by itself for what another process left.
const PAUSE: Duration = Duration::from_mins(1);

impl Inner {
    /// Purges whenever there is something, until the jobs end.
    pub(crate) async fn purge_always(&self) {
        loop {
            if let Err(error) = self.purge().await {
                tracing::warn!(%error, "the purge of removed folders pauses; it goes on by itself");
            }
            tokio::select! {
                () = self.jobs_end.cancelled() => return,
                () = self.purge_wake.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Purges all that is there. A folder that cannot be purged keeps no other one waiting.
    async fn purge(&self) -> Result<()> {
        loop {
            let removed = self.ledger.read(Reach::Gateway).await?.children(DETACHED, None, BATCH).await?;
            if removed.is_empty() {
                return Ok(());
            }
            let mut failure = None;
            for node in removed {
                loop {
                    if self.jobs_end.is_cancelled() {
                        return Ok(());
                    }
                    match self.purge_some(node.id).await {
                        Ok(true) => break,
                        Ok(false) => {}
                        Err(error) => {
                            failure = Some(error);
                            break;
                        }
                    }
                }
            }
            if let Some(error) = failure {
                return Err(error);
            }
        }
    }

    /// One step; true where nothing is left of this node.
    async fn purge_some(&self, id: Uuid) -> Result<bool> {
        self.write(Reach::Gateway, Durability::Process, move |tx| Box::pin(async move { step(tx, id).await })).await
    }
}

async fn step(tx: &mut dyn Tx, id: Uuid) -> Result<bool> {
    // One node of a cluster after the other: two that purge the same folder would only stand in each other's way.
    tx.lock(&[Lock::Other("purge".to_owned())]).await?;
    // Held, so that an upload whose commit has found the folder before it was removed is in it by now, or fails.
    let Some(node) = tx.hold_node(id).await?.filter(|node| node.parent == DETACHED) else { return Ok(true) };
    for entry in tx.children(id, None, BATCH).await? {
        let Some(mut entry) = tx.hold_node(entry.id).await?.filter(|entry| entry.parent == id) else { continue };
        if entry.is_folder() {
            // Its own turn comes: however deep the tree is, no step is larger than another.
            entry.parent = DETACHED;
            entry.name = entry.id.to_string();
            tx.update_node(&entry).await?;
        } else {
            release_version(&mut *tx, &entry).await?;
            tx.delete_node(entry.id).await?;
        }
    }
    if tx.has_children(id).await? {
        return Ok(false);
    }
    release_version(&mut *tx, &node).await?;
    tx.delete_node(id).await?;
    Ok(true)
}
