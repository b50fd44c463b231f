//! The audit trail: one entry for every operation, sealed into a hash chain per tenant.

pub mod canonical;
mod chain;

pub use chain::{GENESIS, link, verify_chain};

/// What a walk along a chain found (contract, `GET /audit/verify`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Entries in the chain, sealed or not.
    pub entries: u64,
    /// Entries that are sealed.
    pub sealed: u64,
    /// The first `seq`, 0 if none.
    pub first: i64,
    /// The last `seq`, 0 if none.
    pub last: i64,
    /// Whether nothing was changed, removed or inserted.
    pub valid: bool,
    /// The first `seq` where the chain does not hold.
    pub broken_at: Option<i64>,
}
