//! What tokens are signed and verified by, and which are revoked.

use secrecy::SecretSlice;
use uuid::Uuid;

use super::Micros;

/// A key that the gateway signs tokens by.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    /// Its id in tokens: the thumbprint of its public part (RFC 7638).
    pub kid: String,
    /// As tokens name it (RFC 7518 section 3.1).
    pub algorithm: String,
    /// Ed25519: 32 bytes; ECDSA: a point, uncompressed.
    pub public: Vec<u8>,
    /// PKCS #8; encrypted where `sealed` says so: nonce, ciphertext and tag.
    pub private: SecretSlice<u8>,
    /// Whether the private part is encrypted.
    pub sealed: bool,
    /// When it was made, and first published.
    pub created_at: Micros,
    /// From when on it signs, until the next one does.
    pub signs_from: Micros,
    /// From when on nothing of its is believed; none: no other one takes its place yet.
    pub retired_at: Option<Micros>,
}

/// A grant whose tokens hold no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedGrant {
    /// The grant.
    pub grant: Uuid,
    /// When its last token has ended by itself.
    pub until: Micros,
    /// When it was revoked.
    pub revoked_at: Micros,
}

/// The keys that an issuer published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerKeys {
    /// The issuer's URL, as configured.
    pub issuer: String,
    /// The set (RFC 7517 section 5), as it came.
    pub keys: String,
    /// When it came.
    pub fetched_at: Micros,
}
