//! Signs of life: which processes there are, and how far back the reads of each reach.

use std::time::Duration;

use crate::error::Result;
use crate::gateway::Inner;
use crate::ports::Durability;
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
        self.write(Durability::Process, move |tx| {
            let row = row.clone();
            Box::pin(async move { tx.put_incarnation(&row).await })
        })
        .await
    }

    /// A sign of life; in a cluster also a look for those who give none any more.
    pub(crate) async fn give_sign_of_life(&self) {
        if let Err(error) = self.put_alive().await {
            tracing::warn!(%error, "no sign of life could be given");
        }
        if !self.settings.sole_owner
            && let Err(error) = self.recover().await
        {
            tracing::warn!(%error, "what a dead node left could not be recovered; trying again");
        }
    }

    /// Takes this process's row away.
    pub(crate) async fn leave(&self) {
        let id = self.incarnation;
        let gone =
            self.write(Durability::Process, move |tx| Box::pin(async move { tx.delete_incarnation(id).await })).await;
        if let Err(error) = gone {
            tracing::warn!(%error, "this process's row could not be removed");
        }
    }
}
