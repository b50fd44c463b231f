//! Tokens for applications (RFC 6749 sections 4.1.3, 4.4.2 and 6).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::client::{Caller, ClientClaim};
use super::grants::standing_of;
use super::refusal::{OAuthFault, OAuthRefusal};
use super::{REFRESH_PREFIX, bounded, digest, new_secret, parse_scopes};
use crate::error::{Error, ErrorKind};
use crate::events::{Facts, Operation, Status};
use crate::gateway::inner::Inner;
use crate::identity::{KeyMatch, OAuthClientMatch, Peer, ScopeSet};
use crate::ports::{Durability, Reach};
use crate::records::{Grant, Micros, RefreshToken, later, now};
use crate::tokens::{AccessClaims, Via};

/// What an application shows for tokens.
#[derive(Debug)]
pub enum TokenRequest {
    /// Itself.
    ClientCredentials {
        /// `scope`.
        scope: Option<String>,
    },
    /// The code that it was answered.
    AuthorizationCode {
        /// `code`.
        code: SecretString,
        /// `redirect_uri`.
        redirect_uri: Option<String>,
        /// `code_verifier`.
        verifier: SecretString,
    },
    /// The refresh token of the time before.
    RefreshToken {
        /// `refresh_token`.
        token: SecretString,
        /// `scope`.
        scope: Option<String>,
    },
}

/// What it gets.
#[derive(Debug)]
pub struct Issued {
    /// The access token.
    pub access_token: SecretString,
    /// When that ends.
    pub expires_at: OffsetDateTime,
    /// What it may be used for.
    pub scopes: ScopeSet,
    /// What gets the next one; none where the application can ask again by itself.
    pub refresh_token: Option<SecretString>,
}

fn invalid_grant() -> OAuthRefusal {
    OAuthRefusal::new(OAuthFault::InvalidGrant, "the code or refresh token does not count, or not here")
}

fn too_much() -> OAuthRefusal {
    OAuthRefusal::new(OAuthFault::InvalidScope, "the scopes are more than may be had here")
}

/// Whether this is the verifier of the challenge (RFC 7636 section 4.6). What is no verifier (section 4.1) is none.
fn verifies(verifier: &SecretString, challenge: &str) -> bool {
    let verifier = verifier.expose_secret();
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return false;
    }
    let made = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    made.as_bytes().ct_eq(challenge.as_bytes()).into()
}

/// What was shown for tokens, by its SHA-256: it counts once.
#[derive(Clone, Copy)]
enum Shown {
    Code([u8; 32]),
    Refresh([u8; 32]),
}

impl Inner {
    /// See [`crate::Gateway::issue`].
    pub(crate) async fn issue(
        self: &Arc<Self>,
        claim: &ClientClaim,
        request: &TokenRequest,
        peer: &Peer,
    ) -> Result<Issued, OAuthRefusal> {
        let caller = self.caller(claim, peer).await?;
        match (caller, request) {
            (Caller::Key(session), TokenRequest::ClientCredentials { scope }) => {
                let asked = parse_scopes(scope.as_deref())?;
                let scopes = match asked {
                    Some(asked) if asked.words().all(|word| session.scopes.allows(word)) => asked,
                    Some(_) => {
                        let error =
                            Error::new(ErrorKind::PermissionDenied, "more scopes were asked for than the key has");
                        self.put_refusal(self.facts(&session, Operation::Login), &error).await;
                        return Err(too_much());
                    }
                    None => session.scopes,
                };
                let mut facts = self.facts(&session, Operation::Login);
                facts.client = Some(session.login.to_string());
                let (access_token, expires_at) = self
                    .mint(&AccessClaims {
                        tenant: session.tenant.id.clone(),
                        identity: session.identity.id.clone(),
                        login: session.login.clone(),
                        by: Via::ApiKey,
                        client: session.login.clone(),
                        scopes,
                        grant: Uuid::now_v7(),
                        key: session.grounds.by.key().map(KeyMatch::mark),
                    })
                    .await?;
                self.put(Durability::Disk, facts.audit(), vec![facts.event("auth.succeeded")]).await?;
                Ok(Issued { access_token, expires_at, scopes, refresh_token: None })
            }
            (Caller::Application { found, .. }, TokenRequest::AuthorizationCode { code, redirect_uri, verifier }) => {
                self.exchange(&found, code, redirect_uri.as_deref(), verifier, peer).await
            }
            (Caller::Application { found, .. }, TokenRequest::RefreshToken { token, scope }) => {
                self.refresh(&found, token, scope.as_deref(), peer).await
            }
            (Caller::Application { .. }, TokenRequest::ClientCredentials { .. })
            | (Caller::Key(_), TokenRequest::AuthorizationCode { .. } | TokenRequest::RefreshToken { .. }) => {
                let sentence = "this client may not ask in this way: API keys use client_credentials, others codes";
                Err(OAuthRefusal::new(OAuthFault::UnauthorizedClient, sentence))
            }
        }
    }

    async fn exchange(
        self: &Arc<Self>,
        found: &OAuthClientMatch,
        code: &SecretString,
        redirect_uri: Option<&str>,
        verifier: &SecretString,
        peer: &Peer,
    ) -> Result<Issued, OAuthRefusal> {
        let hash = digest(code);
        let grant = self.ledger.read(Reach::of(&found.tenant.id)).await?.grant_of_code(&found.tenant.id, &hash).await?;
        let Some(grant) = grant else { return Err(self.unknown(found, peer, "there is no such code").await) };
        let redirect_is_right = match redirect_uri {
            Some(uri) => uri == grant.redirect_uri,
            None => !grant.redirect_named,
        };
        let compromised = if grant.code_spent_at.is_some() {
            Some("a code was shown again; what came of it is revoked")
        } else if *grant.client != *found.client.id {
            Some("a code was shown by another application; it is spent")
        } else if !redirect_is_right || !verifies(verifier, &grant.challenge) {
            Some("a code was shown without what belongs to it; it is spent")
        } else {
            None
        };
        if let Some(why) = compromised {
            return Err(self.compromised(&grant, found, peer, why).await?);
        }
        if grant.code_expires_at <= now() || !grant.is_live(now()) {
            return Err(self.unknown(found, peer, "the code has lapsed").await);
        }
        let issued = self.prepare(&grant, None).await?;
        let raced = "a code was shown twice at the same time; what came of it is revoked";
        self.spend(&grant, Shown::Code(hash), issued, found, peer, raced).await
    }

    async fn refresh(
        self: &Arc<Self>,
        found: &OAuthClientMatch,
        token: &SecretString,
        scope: Option<&str>,
        peer: &Peer,
    ) -> Result<Issued, OAuthRefusal> {
        let asked = parse_scopes(scope)?;
        let (tenant, hash) = (found.tenant.id.clone(), digest(token));
        let mut query = self.ledger.read(Reach::of(&tenant)).await?;
        let known = query.refresh_token(&tenant, &hash).await?;
        let grant = match &known {
            Some(known) => query.grant(&tenant, known.grant).await?,
            None => None,
        };
        drop(query);
        let Some((known, grant)) = known.zip(grant) else {
            return Err(self.unknown(found, peer, "there is no such refresh token").await);
        };
        let compromised = if known.spent_at.is_some() {
            Some("a refresh token was shown again; all that came of its grant is revoked")
        } else if *grant.client != *found.client.id {
            Some("a refresh token was shown by another application; its grant is revoked")
        } else {
            None
        };
        if let Some(why) = compromised {
            return Err(self.compromised(&grant, found, peer, why).await?);
        }
        if known.expires_at <= now() || !grant.is_live(now()) {
            return Err(self.unknown(found, peer, "the refresh token has lapsed, or was revoked").await);
        }
        let issued = self.prepare(&grant, asked).await?;
        let raced = "a refresh token was shown twice at the same time; all that came of its grant is revoked";
        self.spend(&grant, Shown::Refresh(hash), issued, found, peer, raced).await
    }

    /// Spends what was shown and keeps what is given for it, in one transaction; `raced` says what it is where somebody else was
    /// faster.
    async fn spend(
        &self,
        grant: &Grant,
        shown: Shown,
        issued: Prepared,
        found: &OAuthClientMatch,
        peer: &Peer,
        raced: &'static str,
    ) -> Result<Issued, OAuthRefusal> {
        let (tenant, row) = (grant.tenant.clone(), self.next_token(grant, &issued.refresh));
        let facts = Self::of_grant(self.application_facts(found, peer), grant);
        let spent = self
            .write(Reach::of(&grant.tenant), Durability::Disk, move |tx| {
                let (tenant, row, facts) = (tenant.clone(), row.clone(), facts.clone());
                Box::pin(async move {
                    let spent = match &shown {
                        Shown::Code(hash) => tx.spend_authorization_code(&tenant, hash, row.created_at).await?,
                        Shown::Refresh(hash) => tx.spend_refresh_token(&tenant, hash, row.created_at).await?,
                    };
                    if !spent {
                        return Ok(false);
                    }
                    tx.insert_refresh_token(&row).await?;
                    tx.append_audit(&facts.audit()).await?;
                    tx.append_events(&[facts.event("auth.succeeded")]).await?;
                    Ok(true)
                })
            })
            .await?;
        if spent { Ok(issued.into()) } else { Err(self.compromised(grant, found, peer, raced).await?) }
    }

    /// An access token of a grant and the refresh token that comes with it, before anything is spent for them.
    async fn prepare(&self, grant: &Grant, asked: Option<ScopeSet>) -> Result<Prepared, OAuthRefusal> {
        let directory = self.directory();
        let Some(person) = standing_of(&directory, grant) else {
            let facts = Facts::of_node(&self.settings.node, Operation::Login);
            let why = "the login or the application is gone or has changed";
            self.end_grant(grant, facts, Status::Cancelled, why).await?;
            return Err(invalid_grant());
        };
        let granted = parse_scopes(Some(&grant.scopes))?.unwrap_or_default();
        if asked.is_some_and(|asked| asked.words().any(|word| !granted.has(word))) {
            let error = Error::new(ErrorKind::PermissionDenied, "more scopes were asked for than were granted");
            self.put_refusal(Self::of_grant(Facts::of_node(&self.settings.node, Operation::Login), grant), &error)
                .await;
            return Err(too_much());
        }
        // What the person may do now, not what it was when he agreed.
        let most = directory.find_oauth_client(&grant.client).map(|found| found.client.scopes).unwrap_or_default();
        let scopes = bounded(Some(asked.unwrap_or(granted)), person.identity.scopes, most);
        if scopes.is_empty() {
            return Err(too_much());
        }
        let (access, expires_at) = self
            .mint(&AccessClaims {
                tenant: person.tenant.id.clone(),
                identity: person.identity.id.clone(),
                login: person.login.username.clone(),
                by: Via::Login,
                client: grant.client.as_str().into(),
                scopes,
                grant: grant.id,
                key: None,
            })
            .await
            .map_err(|error| match error.kind() {
                // Revoked meanwhile.
                ErrorKind::Unauthenticated => invalid_grant(),
                _ => error.into(),
            })?;
        Ok(Prepared { access, expires_at, scopes, refresh: new_secret(REFRESH_PREFIX)? })
    }

    /// The row of a grant's next refresh token.
    fn next_token(&self, grant: &Grant, token: &SecretString) -> RefreshToken {
        let at: Micros = now();
        RefreshToken {
            hash: digest(token),
            tenant: grant.tenant.clone(),
            grant: grant.id,
            created_at: at,
            expires_at: later(at, self.settings.oauth.refresh_idle).min(grant.ends_at),
            spent_at: None,
        }
    }

    /// Ends the grant of a code or token that is in wrong hands, or was in them.
    async fn compromised(
        &self,
        grant: &Grant,
        found: &OAuthClientMatch,
        peer: &Peer,
        why: &'static str,
    ) -> Result<OAuthRefusal, Error> {
        self.end_grant(grant, self.application_facts(found, peer), Status::Denied, why).await?;
        Ok(invalid_grant())
    }

    /// What does not count, and harms nobody by being shown.
    async fn unknown(&self, found: &OAuthClientMatch, peer: &Peer, why: &'static str) -> OAuthRefusal {
        self.put_refusal_once(found, peer, &Error::new(ErrorKind::Unauthenticated, why)).await;
        invalid_grant()
    }
}

/// Tokens that nobody has yet.
struct Prepared {
    access: SecretString,
    expires_at: OffsetDateTime,
    scopes: ScopeSet,
    refresh: SecretString,
}

impl From<Prepared> for Issued {
    fn from(prepared: Prepared) -> Self {
        let Prepared { access, expires_at, scopes, refresh } = prepared;
        Self { access_token: access, expires_at, scopes, refresh_token: Some(refresh) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_the_challenges_own() {
        // RFC 7636 appendix B.
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let verifies = |verifier: &str, challenge| verifies(&SecretString::from(verifier), challenge);
        assert!(verifies(verifier, challenge));
        assert!(!verifies(challenge, challenge), "`plain`");
        assert!(!verifies(&verifier.to_uppercase(), challenge));
        assert!(!verifies("", challenge) && !verifies(&verifier[..42], challenge));
        let short = URL_SAFE_NO_PAD.encode(Sha256::digest(b"short"));
        assert!(!verifies("short", &short), "too short to be one");
        let odd = "a b".repeat(20);
        assert!(!verifies(&odd, &URL_SAFE_NO_PAD.encode(Sha256::digest(odd.as_bytes()))));
    }
}
