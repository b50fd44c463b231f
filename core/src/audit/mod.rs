//! The audit trail: one entry for every operation, sealed into a hash chain per tenant, and signed heads of the chains.

pub mod canonical;
mod chain;
mod export;
mod head;
mod settings;
mod shown;
mod strict;
mod walker;

pub use chain::verify_chain;
pub use export::{ExportReader, export_line};
pub use head::{HeadKey, Trust};
pub use settings::AuditSettings;
pub use shown::{OUTCOMES, csv_header, csv_row, shown};
pub use walker::{GENESIS, link};

pub(crate) use head::Worth;
pub(crate) use walker::Walker;

/// Whether audit entries are written and events queued. They are, but in a build for the one measurement of what that costs
/// (`bench/run --events`): the feature `bench-without-trail`, which is on nowhere by default. `causeway serve` says so loudly then, and
/// serves nobody unless it is told to by name.
pub const TRAIL: bool = !cfg!(feature = "bench-without-trail");

/// What is wrong with a chain, at the first place that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// The seal or the entry is not there.
    Missing,
    /// The entry, or its seal, is not what was sealed.
    Changed,
    /// Behind the last seal there are entries that the gateway did not make.
    Inserted,
    /// A signed head names a place behind the last seal: the end was cut off.
    Truncated,
    /// A signed head names another hash: the chain was made anew up to here, from behind the head before it.
    Rewritten,
    /// The ledger holds a head or a cut with a signature that its key has not made.
    Forged,
}

impl Breach {
    /// The word in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Inserted => "inserted",
            Self::Truncated => "truncated",
            Self::Rewritten => "rewritten",
            Self::Forged => "forged",
        }
    }
}

/// What a walk along a chain found (contract, `GET /audit/verify`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// What is wrong there.
    pub breach: Option<Breach>,
    /// The last `seq` up to which a head that is believed vouches for the chain, 0 if none.
    pub signed: i64,
    /// Heads that are signed by keys nobody knows here: they prove nothing.
    pub unknown_heads: u64,
}
