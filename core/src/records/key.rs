//! What the ledger keeps of an API key beside its record.

use super::Micros;

/// When a key was first seen and last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The key's id.
    pub key: String,
    /// SHA-256 of the key: a rotation makes another one under the same id.
    pub digest: [u8; 32],
    /// When a node of this gateway first had it among its keys.
    pub first_seen: Micros,
    /// When it last let somebody in, to the minute; none: never so far.
    pub last_used: Option<Micros>,
}
