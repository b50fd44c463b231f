//! OAuth 2.0 (RFC 6749, with the advice of RFC 9700): access tokens for applications, on their own behalf (client credentials,
//! where the client is an API key), or on that of a person who signs in on the gateway's own pages (authorization code, always
//! with PKCE's S256, RFC 7636). Nothing here knows of HTTP: front ends translate.
//!
//! - A code counts once and for a minute, whatever comes with it: shown with another client, redirect URI or verifier it is spent
//!   too, and shown again it ends its grant. Refresh tokens rotate at each use (RFC 9700 section 4.14.2). There is no grace for one
//!   that is shown twice: a client whose answer got lost asks its person again, and whoever stole a token has it no longer than
//!   until either of the two uses it.
//! - A sign-in lasts ten minutes after its last step and is for one application alone: there is no single sign-on.
//! - A grant is over when it was revoked, when its time is up, and when its login is gone, may not come over the API any more,
//!   or has another identity, password, secret of codes or `require` than when the person agreed.

mod authorize;
mod client;
mod grants;
mod introspect;
mod refusal;
mod sign_in;
mod token;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

pub use authorize::{Asked, Authorization, AuthorizationRefusal, OAuthAnswer};
pub use client::ClientClaim;
pub use introspect::{Introspection, TokenKind};
pub use refusal::{OAuthFault, OAuthRefusal};
pub use sign_in::{Consent, SignInNext, SignInStage, SignInStep};
pub use token::{Issued, TokenRequest};

use super::Gateway;
use crate::error::{Error, Result};
use crate::identity::{Peer, Scope, ScopeSet};

/// What a refresh token begins with, so that scanners for leaked secrets can know one.
pub const REFRESH_PREFIX: &str = "cwr_";
/// What an authorization code begins with.
const CODE_PREFIX: &str = "cwc_";

/// How long what OAuth 2.0 gives out counts. An access token has 15 minutes, whatever this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OAuthSettings {
    /// An authorization code.
    pub code: Duration,
    /// A sign-in, after each of its steps.
    pub sign_in: Duration,
    /// A refresh token that is not used.
    pub refresh_idle: Duration,
    /// What a person has granted, from then on.
    pub refresh_lifetime: Duration,
}

impl Default for OAuthSettings {
    fn default() -> Self {
        Self {
            code: Duration::from_mins(1),
            sign_in: Duration::from_mins(10),
            refresh_idle: Duration::from_hours(30 * 24),
            refresh_lifetime: Duration::from_hours(90 * 24),
        }
    }
}

/// 256 random bits in base64url behind a prefix: nobody guesses them, so that SHA-256 is enough to keep of them.
fn new_secret(prefix: &str) -> Result<SecretString> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    // Room for all of it at once: growing would leave a part of it behind in freed memory.
    let mut text = String::with_capacity(prefix.len() + 43);
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(random, &mut text);
    random.zeroize();
    Ok(SecretString::from(text))
}

fn digest(secret: &SecretString) -> [u8; 32] {
    Sha256::digest(secret.expose_secret().as_bytes()).into()
}

/// The scopes of a request (RFC 6749 section 3.3); none where none were sent. A word that is no scope: `invalid_scope`.
fn parse_scopes(text: Option<&str>) -> Result<Option<ScopeSet>, OAuthRefusal> {
    let Some(text) = text else { return Ok(None) };
    let unknown = || OAuthRefusal::new(OAuthFault::InvalidScope, "one of the scopes is not known here");
    let words: Option<ScopeSet> = text.split(' ').filter(|word| !word.is_empty()).map(Scope::parse).collect();
    words.filter(|words| !words.is_empty()).ok_or_else(unknown).map(Some)
}

/// As tokens and answers write them.
fn scope_text(scopes: ScopeSet) -> String {
    scopes.words().map(Scope::as_str).collect::<Vec<_>>().join(" ")
}

/// What of the asked scopes both the person and the application may have. Where none are asked for it is all of that, but for
/// the administrator's: those have to be asked for by name.
fn bounded(asked: Option<ScopeSet>, own: ScopeSet, most: ScopeSet) -> ScopeSet {
    let usual = || ScopeSet::all().words().filter(|word| !matches!(word, Scope::Admin | Scope::AdminGateway)).collect();
    let may = |word: &Scope| own.allows(*word) && (most.is_empty() || most.allows(*word));
    asked.unwrap_or_else(usual).words().filter(may).collect()
}

/// OAuth 2.0.
impl Gateway {
    /// Looks at what an application asks a person for. Where it is not certain who asks, or where the answer may go, the person
    /// is told ([`AuthorizationRefusal::Untrusted`]); otherwise the application is.
    pub fn authorization(&self, asked: &Asked) -> Result<Authorization, AuthorizationRefusal> {
        self.inner.authorization(asked)
    }

    /// The first step of a sign-in: a login of the application's tenant and its password. `Unauthenticated` and `Throttled` as
    /// [`Gateway::log_in`] has them; a login of another tenant is answered like one that does not exist.
    pub async fn sign_in(
        &self,
        authorization: &Authorization,
        login: &str,
        password: SecretString,
        peer: &Peer,
    ) -> Result<SignInStep> {
        self.inner.sign_in(authorization, login, password, peer).await
    }

    /// The second step, where the login needs a time-based code. `Expired` where the ticket stands for no such step.
    pub async fn sign_in_by_code(&self, ticket: &SecretString, code: SecretString, peer: &Peer) -> Result<SignInStep> {
        self.inner.sign_in_by_code(ticket, code, peer).await
    }

    /// Where the sign-in of this ticket stands; none where it counts no more.
    pub async fn sign_in_stage(&self, ticket: &SecretString) -> Result<Option<SignInStage>> {
        self.inner.sign_in_stage(ticket).await
    }

    /// What the person decides, once: the answer for the application, with a code where he agrees. `Expired` where the ticket
    /// counts no more.
    pub async fn decide(&self, ticket: &SecretString, agrees: bool, peer: &Peer) -> Result<OAuthAnswer> {
        self.inner.decide(ticket, agrees, peer).await
    }

    /// Gives an application its tokens (RFC 6749 sections 4.1.3, 4.4.2 and 6).
    pub async fn issue(
        &self,
        claim: &ClientClaim,
        request: &TokenRequest,
        peer: &Peer,
    ) -> Result<Issued, OAuthRefusal> {
        self.inner.issue(claim, request, peer).await
    }

    /// Ends what a token stands for, where it is the application's own (RFC 7009). One that is not known, or another's, is no
    /// error, and nothing happens.
    pub async fn revoke_token(
        &self,
        claim: &ClientClaim,
        token: &SecretString,
        peer: &Peer,
    ) -> Result<(), OAuthRefusal> {
        self.inner.revoke_token(claim, token, peer).await
    }

    /// What a token is (RFC 7662); none where it counts no more, or where the caller may not know of it. The caller proves who
    /// it is by a secret. It may know of its own tokens; an API key also of its identity's, and of all in its tenant where
    /// it has `audit:read`.
    pub async fn introspect(
        &self,
        claim: &ClientClaim,
        token: &SecretString,
        peer: &Peer,
    ) -> Result<Option<Introspection>, OAuthRefusal> {
        self.inner.introspect(claim, token, peer).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn set(text: &str) -> ScopeSet {
        text.split_whitespace().map(|word| Scope::parse(word).unwrap()).collect()
    }

    #[test]
    fn scopes_are_read_whole_or_not_at_all() {
        assert_eq!(parse_scopes(None).unwrap(), None);
        assert_eq!(parse_scopes(Some("files:write files:read")).unwrap(), Some(set("files:read files:write")));
        for wrong in ["files:eat", "files:read files:eat", "files:read,files:write", "FILES:READ", " ", "openid"] {
            assert_eq!(parse_scopes(Some(wrong)).unwrap_err().fault(), Some(OAuthFault::InvalidScope), "{wrong}");
        }
    }

    #[test]
    fn nobody_gets_more_than_person_and_application_have() {
        let (own, none) = (set("files:read files:write admin"), ScopeSet::NONE);
        assert_eq!(bounded(Some(set("files:read transfers:read")), own, none), set("files:read"));
        assert_eq!(bounded(Some(set("files:read files:write")), own, set("files:read")), set("files:read"));
        assert_eq!(bounded(Some(set("audit:read")), own, none), set("audit:read"), "`admin` implies it");
        assert_eq!(bounded(Some(set("audit:read")), own, set("files:read")), none);
        let usual = bounded(None, own, none);
        assert_eq!(usual, set("files:read files:write events:read audit:read webhooks:write"), "no `admin` unasked");
        assert_eq!(bounded(Some(set("admin")), own, none), set("admin"));
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, other) = (new_secret("cwr_").unwrap(), new_secret("cwr_").unwrap());
        assert_eq!(one.expose_secret().len(), 47);
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_ne!(digest(&one), digest(&other));
    }
}
