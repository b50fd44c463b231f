//! JSON Web Tokens (RFC 7519) as credentials: the gateway's own access tokens (RFC 9068), signed by keys that the ledger keeps and that
//! change in time, and those of the OpenID Connect providers that tenants name.
//!
//! Nothing that a token says of itself is followed: which algorithms are taken follows from the key, keys come from the ledger or
//! from the issuer's own set, and a header that points elsewhere is refused ([`jws`]). Who is known decides what a token is
//! still worth: it holds only as long as what it came from.

mod algorithm;
mod claims;
mod examine;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod issuer;
mod json;
mod jws;
mod keys;
mod minting;
mod providers;
mod revoked;
mod vault;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod fake;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod forgery_test;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod issuer_test;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretBox;
use uuid::Uuid;

use crate::identity::ScopeSet;

pub(crate) use claims::{Claims, cut};
pub(crate) use examine::{Held, Judged, Token};
pub(crate) use issuer::Subject;
pub use issuer::{Issuer, IssuerMatch};
pub use jws::{MAX_TOKEN, looks_like_token};
pub(crate) use minting::Mint;
pub(crate) use providers::Providers;

/// How long an access token of the gateway's own holds.
pub const TOKEN_LIFE: Duration = Duration::from_mins(15);
/// How far clocks may differ, in seconds.
pub(crate) const LEEWAY: i64 = 30;
/// How long the revocation of a grant has to be remembered: as long as a token that was being made meanwhile may hold, and some.
pub const REVOCATION_LIFE: Duration = Duration::from_mins(30);

/// What the configuration says of tokens.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// Who issues the gateway's own tokens, and whom they are for: the API's public URL, the same on all nodes.
    pub issuer: String,
    /// How long a key signs before the next one does.
    pub key_rotation: Duration,
    /// What private keys are encrypted by in the ledger (AES-256-GCM); none: they stand there in clear, and who can read the ledger
    /// can sign.
    pub encryption_key: Option<Arc<SecretBox<[u8; 32]>>>,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            issuer: "https://localhost".to_owned(),
            key_rotation: Duration::from_hours(30 * 24),
            encryption_key: None,
        }
    }
}

/// What an access token was given by, and falls with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// An API key.
    ApiKey,
    /// A login.
    Login,
}

impl Via {
    /// The word in tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Login => "login",
        }
    }

    /// The one of this word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::ApiKey, Self::Login].into_iter().find(|via| via.as_str() == text)
    }
}

/// What an access token of the gateway's own says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The identity that it acts as.
    pub identity: Arc<str>,
    /// The username or the id of the API key that it was given by.
    pub login: Arc<str>,
    /// Which of the two that is.
    pub by: Via,
    /// The OAuth client that it was given to.
    pub client: Arc<str>,
    /// What it may do at most.
    pub scopes: ScopeSet,
    /// What was granted, once: all tokens of it fall together.
    pub grant: Uuid,
    /// Which text of the API key it was given by ([`KeyMatch::mark`]), so that it ends with that one; none: by a login.
    pub key: Option<String>,
}
