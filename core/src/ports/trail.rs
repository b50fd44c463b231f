//! Where the trail goes besides the ledger.

use async_trait::async_trait;

use crate::error::Result;
use crate::records::{AuditHead, AuditRecord, Seal};

/// Keeps signed heads where the database is not.
#[async_trait]
pub trait HeadShelf: std::fmt::Debug + Send + Sync {
    /// Puts heads and cuts there, durably.
    async fn put(&self, heads: &[AuditHead]) -> Result<()>;
}

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
