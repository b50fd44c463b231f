//! Signs of life: which processes there are, and how far back the reads of each reach.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::gateway::{Inner, held};
use crate::ports::{Durability, Reach};
use crate::records::{Incarnation, now};

/// How often a process gives a sign of life.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// After so long without one, in microseconds, another node takes it for dead.
pub(crate) const DEAD_AFTER: i64 = 60_000_000;

impl Inner {
    /// Writes this process's row.
    pub(crate) async fn put_alive(&self) -> Result<()> {
        let row = Incarnation {
            id: self.incarnation,
            node: self.settings.node.clone(),
            installation: self.settings.installation,
            heartbeat: now(),
            oldest_read: self.oldest_read(),
        };
        self.write(Reach::Gateway, Durability::Process, move |tx| {
            let row = row.clone();
            Box::pin(async move { tx.put_incarnation(&row).await })
        })
        .await
    }

    /// A sign of life; in a cluster also a look for those who give none any more.
    pub(crate) async fn give_sign_of_life(&self) {
        let before = *held(&self.last_sign);
        if let Err(error) = self.put_alive().await {
            tracing::warn!(%error, "no sign of life could be given");
            return;
        }
        *held(&self.last_sign) = Some(Instant::now());
        // After an outage of the database everybody's last sign is old: others get the time to give a new one.
        let steady = before.is_some_and(|before| before.elapsed() < 3 * INTERVAL);
        if !self.settings.sole_owner
            && steady
            && let Err(error) = self.recover().await
        {
            tracing::warn!(%error, "what a dead node left could not be recovered; trying again");
        }
    }

    /// Takes this process's row away.
    pub(crate) async fn leave(&self) {
        let id = self.incarnation;
        // What could not be put away is found by the next start, by this row.
        let left = match self.ledger.read(Reach::Gateway).await {
            Ok(mut query) => query.uploads_held_by(id, 1).await,
            Err(error) => Err(error),
        };
        if !matches!(&left, Ok(left) if left.is_empty()) {
            tracing::warn!("an upload could not be put away; the next start will see to it");
            return;
        }
        let gone = self
            .write(Reach::Gateway, Durability::Process, move |tx| {
                Box::pin(async move {
                    tx.clear_sessions(id).await?;
                    tx.delete_incarnation(id).await
                })
            })
            .await;
        if let Err(error) = gone {
            tracing::warn!(%error, "this process's row could not be removed");
        }
    }
}
