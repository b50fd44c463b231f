//! Where the trail goes besides the ledger.

use async_trait::async_trait;

use crate::error::Result;
use crate::records::AuditHead;

/// Keeps signed heads where the database is not.
#[async_trait]
pub trait HeadShelf: std::fmt::Debug + Send + Sync {
    /// Puts heads and cuts there, durably.
    async fn put(&self, heads: &[AuditHead]) -> Result<()>;
}
