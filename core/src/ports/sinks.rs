//! What collects elsewhere what the ledger has: audit entries, events. How far a sink got is noted in the ledger, under its name.

use async_trait::async_trait;

use crate::error::Result;
use crate::records::{AuditRecord, Seal, StoredEvent};

/// Collects audit entries elsewhere.
#[async_trait]
pub trait AuditSink: std::fmt::Debug + Send + Sync {
    /// Under which name it is noted how far it got.
    fn name(&self) -> &str;
    /// Sends entries, in this order. An error: some of them may have arrived.
    async fn send(&self, entries: &[(Seal, AuditRecord)]) -> Result<()>;
    /// Makes sure of what was sent, when there is nothing to send. An error: it may not have arrived, and is tried again.
    async fn settle(&self) -> Result<()> {
        Ok(())
    }
    /// Ends what was begun, before the process does.
    async fn finish(&self) {}
}

/// Collects events elsewhere, and says which it keeps.
#[async_trait]
pub trait EventSink: std::fmt::Debug + Send + Sync {
    /// Under which name it is noted how far it got.
    fn name(&self) -> &str;
    /// Sends events of one tenant, in this order. How many of the first ones are kept there by now, and, where that is not all, why not the
    /// next one: `Unavailable` where nothing can be sent for now, another kind where that event is refused, and others may not be. No error
    /// and not all: it took its time, and goes on with the next call. What was sent and is not known to be kept is sent again.
    async fn send(&self, events: &[StoredEvent]) -> (usize, Result<()>);
}
