//! Who comes by a token: what it says, and what of that whom it came from may still do.

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::claim::allowed_from;
use super::inner::Inner;
use super::proof::{Proof, scopes_of_key};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AuthMethod, By, Evidence, Identity, Peer, Protocol, ScopeSet, Tenant, TokenOrigin};
use crate::path::VirtualPath;
use crate::tokens::{AccessClaims, Held, Judged, Subject, Token, Via, cut};

/// Whom a token of the gateway's own came from, as he is known now, and what of the token he still may.
pub(crate) struct Owner {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) login: Arc<str>,
    pub(crate) scopes: ScopeSet,
    pub(crate) home: VirtualPath,
    /// The key or login itself.
    pub(crate) by: By,
}

/// The answer to a token that held once, or that nobody guesses.
fn lapsed(why: &'static str) -> Error {
    Error::new(ErrorKind::Unauthenticated, why)
}

impl Inner {
    /// Whom these claims came from: the API key or login that the token was given by, which has to be there still, to be that
    /// identity's, to come over the API, and to hold from this address (none: wherever). None where it does not.
    pub(crate) fn owner(&self, claims: &AccessClaims, ip: Option<IpAddr>) -> Option<Owner> {
        let directory = self.directory();
        let owner = match claims.by {
            Via::ApiKey => {
                let newest = directory.api_key(&claims.tenant, &claims.login)?;
                let old = newest.key.previous.as_ref().and_then(|old| directory.find_api_key(&old.key_hash));
                let mark = claims.key.as_deref()?;
                let found = [Some(newest), old].into_iter().flatten().find(|found| found.mark() == mark)?;
                if !self.key_holds(&found, ip) {
                    return None;
                }
                let scopes = scopes_of_key(&found);
                let (login, home) = (found.key.id.clone(), VirtualPath::root());
                let (tenant, identity) = (found.tenant.clone(), found.identity.clone());
                Owner { tenant, identity, login, scopes, home, by: By::ApiKey(Box::new(found)) }
            }
            Via::Login => {
                let found = directory.login_of(&claims.tenant, &claims.login)?;
                let from_here = ip.is_none_or(|ip| allowed_from(&found.login.allow_from, ip));
                if !from_here || !found.login.protocols.contains(&Protocol::Api) {
                    return None;
                }
                let (login, home) = (found.login.username.clone(), found.login.home.clone());
                let scopes = found.identity.scopes;
                Owner {
                    tenant: found.tenant,
                    identity: found.identity,
                    login,
                    scopes,
                    home,
                    by: By::Login(found.login),
                }
            }
        };
        let same = *owner.identity.id == *claims.identity;
        same.then(|| Owner { scopes: cut(claims.scopes, owner.scopes), ..owner })
    }

    /// What a token proves. None: somebody has tried. `Unauthenticated` with a sentence of its own where it is no forgery, and holds no
    /// more; `Unavailable` where that cannot be said.
    pub(crate) async fn prove_token(self: &Arc<Self>, token: &SecretString, peer: &Peer) -> Result<Option<Proof>> {
        match self.examine_token(token.expose_secret()).await? {
            Judged::Holds(Token::Own(held)) => self.prove_own(&held, peer).map(Some),
            Judged::Holds(Token::Foreign(_)) if peer.protocol != Protocol::Api => Ok(None),
            Judged::Holds(Token::Foreign(subject)) => Ok(Some(prove_foreign(subject))),
            Judged::Wrong => Ok(None),
            Judged::Lapsed(why) => Err(lapsed(why)),
        }
    }

    fn prove_own(&self, held: &Held, peer: &Peer) -> Result<Proof> {
        let owner = self.owner(&held.claims, Some(peer.ip)).filter(|_| peer.protocol == Protocol::Api);
        let owner = owner.ok_or_else(|| lapsed("what the token was given by is not valid here any more"))?;
        let Owner { tenant, identity, login, scopes, home, by } = owner;
        let evidence = Box::new(Evidence { grant: Some(held.claims.grant), ..Evidence::default() });
        let (method, expires) = (AuthMethod::Token(TokenOrigin::Own(held.claims.by)), Some(held.ends));
        Ok(Proof::Whole { tenant, identity, login, scopes, home, method, expires, issuer: None, by, evidence })
    }
}

/// Who comes by an issuer's token is the identity that it stands for, in all of its view.
fn prove_foreign(subject: Subject) -> Proof {
    let Subject { tenant, identity, name, scopes, issuer, ends } = subject;
    Proof::Whole {
        tenant,
        identity,
        login: name,
        scopes,
        home: VirtualPath::root(),
        method: AuthMethod::Token(TokenOrigin::Issuer),
        expires: Some(ends),
        issuer: Some(issuer.url.clone()),
        by: By::Issuer(issuer),
        evidence: Box::default(),
    }
}
