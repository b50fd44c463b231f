//! What the ledger keeps of OAuth 2.0: sign-ins under way, what people have granted, and the tokens that go on with it. Whatever
//! lets somebody in stands there as its SHA-256 alone.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Micros;

/// What an application has asked a person for (RFC 6749 section 4.1.1, RFC 7636 section 4.3), once all of it was found right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// The application's id.
    pub client: String,
    /// Where the answer goes, as the application wrote it.
    pub redirect_uri: String,
    /// Whether the application named it, so that it must name it again for the code.
    pub redirect_named: bool,
    /// The scopes, as they were sent; none: none were.
    pub scope: Option<String>,
    /// What the application wants to have back.
    pub state: Option<String>,
    /// The PKCE challenge: base64url of a SHA-256.
    pub challenge: String,
}

/// A person who is on the way to an answer. Each step makes a new one, and takes the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// SHA-256 of what the browser's cookie holds.
    pub hash: [u8; 32],
    /// The tenant of the application and of the login.
    pub tenant: String,
    /// The identity that the login becomes.
    pub identity: String,
    /// The login.
    pub login: String,
    /// What was proven so far, as a set of factors' bits.
    pub factors: i64,
    /// Whether that is all that the login must prove.
    pub complete: bool,
    /// What the login was proven by: see [`Grant::mark`].
    pub mark: [u8; 32],
    /// What the application asked for.
    pub request: AuthorizationRequest,
    /// When this step was made.
    pub created_at: Micros,
    /// From then on it counts no more.
    pub expires_at: Micros,
}

/// What a person has granted to an application, with the code that was answered for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// UUIDv7; access tokens carry it.
    pub id: Uuid,
    /// The tenant.
    pub tenant: String,
    /// The application's id.
    pub client: String,
    /// The identity that it acts as.
    pub identity: String,
    /// The login of the person.
    pub login: String,
    /// What the login had proven, as a set of factors' bits.
    pub factors: i64,
    /// A digest of the login's identity, password hash and secret of codes: with another one the grant is over.
    pub mark: [u8; 32],
    /// The scopes that were granted, with spaces between.
    pub scopes: String,
    /// Where the code was sent.
    pub redirect_uri: String,
    /// Whether the application had named it.
    pub redirect_named: bool,
    /// The PKCE challenge: base64url of a SHA-256.
    pub challenge: String,
    /// SHA-256 of the code.
    pub code_hash: [u8; 32],
    /// From then on the code counts no more.
    pub code_expires_at: Micros,
    /// When the code was shown.
    pub code_spent_at: Option<Micros>,
    /// When the person agreed.
    pub created_at: Micros,
    /// From then on nothing of it counts.
    pub ends_at: Micros,
    /// When it was ended before its time.
    pub revoked_at: Option<Micros>,
}

impl Grant {
    /// Whether what came of it may still count.
    pub fn is_live(&self, now: Micros) -> bool {
        self.revoked_at.is_none() && self.ends_at > now
    }
}

/// A token that gets further access tokens (RFC 6749 section 1.5). It counts once; the next one comes with the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// The tenant.
    pub tenant: String,
    /// The grant that it goes on with: its family.
    pub grant: Uuid,
    /// When it was made.
    pub created_at: Micros,
    /// From then on it counts no more.
    pub expires_at: Micros,
    /// When it was used.
    pub spent_at: Option<Micros>,
}
