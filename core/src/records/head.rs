//! What is signed of a chain of the trail.

use super::Micros;

/// What a signature says of a place in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeadKind {
    /// The chain reached this place with this hash.
    Head,
    /// Everything up to this place was removed when its time was over; the chain goes on from this hash.
    Cut,
}

impl HeadKind {
    /// The word in what is signed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Cut => "cut",
        }
    }
}

/// A signed statement of the gateway's about a chain. It is worth what its key is trusted: see
/// [`audit::Trust`](crate::audit::Trust).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// What it says.
    pub kind: HeadKind,
    /// The chain: the tenant's id, or empty for the gateway's own.
    pub chain: String,
    /// The place.
    pub seq: i64,
    /// The hash of the seal at that place.
    pub hash: [u8; 32],
    /// When it was signed.
    pub at: Micros,
    /// The Ed25519 public key.
    pub key: [u8; 32],
    /// The Ed25519 signature, 64 bytes, over [`AuditHead::message`].
    pub signature: Vec<u8>,
}
