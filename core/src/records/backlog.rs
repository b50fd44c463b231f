//! What waits in the ledger.

use super::Micros;

/// How much waits to be done, and since when. Counts stop at the bound that was asked for, so that they cost little however much
/// it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that are to be sent.
    pub deliveries: u64,
    /// When the event of the oldest of them happened.
    pub oldest_delivery: Option<Micros>,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Audit entries that wait for their seal.
    pub unsealed: u64,
    /// When the oldest of them was made.
    pub oldest_unsealed: Option<Micros>,
    /// Events that wait for their position.
    pub unpositioned: u64,
    /// When the oldest of them happened.
    pub oldest_unpositioned: Option<Micros>,
    /// Background transfers that wait for a worker.
    pub queued: u64,
    /// Background transfers that are under way.
    pub running: u64,
    /// Background transfers that wait for their next attempt.
    pub retrying: u64,
}
