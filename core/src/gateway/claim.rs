//! Whom a caller says that he is. Every step of every login begins here: the name is looked up once, and what follows from it is
//! decided in one place for all credentials.

use std::net::IpAddr;

use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

use super::inner::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{
    AuthMethod, Credential, Factor, FactorSet, KeyMatch, KeyRefusal, LoginMatch, Offence, Peer, Protocol, TokenOrigin,
    hash_key, lies_in,
};

/// The name under which failed API keys of an address are counted: what was sent is no login, and may be a secret.
const API_KEYS: &str = "(api key)";
/// The same of tokens.
const TOKENS: &str = "(token)";

/// Whom a caller says that he is.
#[derive(Clone)]
pub(super) struct Claim {
    /// As it was sent; of an API key or token none of it.
    pub(super) name: String,
    pub(super) method: AuthMethod,
    /// The name that failures are counted under: one, however it is written.
    pub(super) counted: String,
    /// Whether there is such a login; it may not be one that may come this way.
    pub(super) found: Option<LoginMatch>,
    /// Whether there is such an API key; it may be over, or not come this way.
    pub(super) key: Option<KeyMatch>,
    pub(super) ip: IpAddr,
}

impl Claim {
    fn of_bearer(what: &str, secret: &SecretString, method: AuthMethod, ip: IpAddr) -> Self {
        let digest = hash_key(secret.expose_secret());
        let name = format!("{what} {}", hex::encode(digest.get(..8).unwrap_or_default()));
        Self { counted: name.clone(), name, method, found: None, key: None, ip }
    }

    /// Only what can be guessed counts as a failed login: nobody guesses a key, and clients show all that they have.
    pub(super) const fn is_guess(&self) -> bool {
        match self.method {
            AuthMethod::Login(proven) => !proven.has(Factor::PublicKey) && !proven.has(Factor::Certificate),
            AuthMethod::ApiKey | AuthMethod::Token(_) => true,
            AuthMethod::Operator => false,
        }
    }

    /// Whether it names a login, rather than being a key or a token.
    pub(super) const fn names_login(&self) -> bool {
        matches!(self.method, AuthMethod::Login(_))
    }

    /// The login, where a proof of this would bring it on: it may come by this protocol and from this address, and this is
    /// what it has to prove next, having proven that much.
    pub(super) fn wanted(&self, factor: Factor, proven: FactorSet, peer: &Peer) -> Option<&LoginMatch> {
        self.found
            .as_ref()
            .filter(|found| may_come(found, peer.protocol, peer.ip) && is_in_turn(found, factor, proven, peer))
    }
}

/// Whether a login may come by this protocol and from this address.
pub(super) fn may_come(found: &LoginMatch, protocol: Protocol, ip: IpAddr) -> bool {
    let by = match protocol {
        Protocol::Scp => Protocol::Sftp,
        other => other,
    };
    found.login.protocols.contains(&by) && allowed_from(&found.login.allow_from, ip)
}

/// Whether this would bring the login on now. Over FTPS a client certificate is shown before all else: nothing else counts
/// without one that is required, so that nobody finds out a password who does not hold the certificate.
fn is_in_turn(found: &LoginMatch, factor: Factor, proven: FactorSet, peer: &Peer) -> bool {
    let require = found.login.require;
    let lacks = require.names(Factor::Certificate) && !proven.with(factor).has(Factor::Certificate);
    if lacks && peer.protocol == Protocol::Ftps {
        tracing::info!(login = &*found.login.username, ip = %peer.ip, "the client certificate that the login requires is missing");
        return false;
    }
    require.next(proven).has(factor)
}

/// No network at all: from everywhere.
pub(crate) fn allowed_from(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.is_empty() || networks.iter().any(|network| lies_in(*network, ip))
}

impl Inner {
    /// What a credential claims.
    pub(super) fn claim(&self, credential: &Credential, peer: &Peer) -> Claim {
        let ip = peer.ip.to_canonical();
        match (credential, credential.factor(), credential.login()) {
            (_, Some(factor), Some(login)) => self.claim_login(login, factor, peer),
            // Counted per key that was sent, by a piece of its digest: one application with a wrong key must not
            // lock out its neighbours behind the same address.
            (Credential::ApiKey(key), ..) => {
                let key_match = self.directory().find_api_key(&hash_key(key.expose_secret()));
                Claim { key: key_match, ..Claim::of_bearer(API_KEYS, key, AuthMethod::ApiKey, ip) }
            }
            (Credential::Token(token), ..) => {
                Claim::of_bearer(TOKENS, token, AuthMethod::Token(TokenOrigin::Unread), ip)
            }
            _ => Claim {
                name: String::new(),
                method: AuthMethod::ApiKey,
                counted: String::new(),
                found: None,
                key: None,
                ip,
            },
        }
    }

    /// That he is this login, which he wants to prove by this.
    pub(super) fn claim_login(&self, login: &str, factor: Factor, peer: &Peer) -> Claim {
        let found = self.directory().find_login(login);
        let counted = match &found {
            Some(found) => format!("{}@{}", found.login.username, found.tenant.id),
            None => login.to_owned(),
        };
        let ip = peer.ip.to_canonical();
        Claim { name: login.to_owned(), method: AuthMethod::one(factor), counted, found, key: None, ip }
    }

    /// Whether an API key holds now, from this address (none: wherever).
    pub(super) fn key_holds(&self, found: &KeyMatch, ip: Option<IpAddr>) -> bool {
        let (end, now) = (self.end_of_key(found), OffsetDateTime::now_utc());
        match ip {
            Some(ip) => found.refusal(end, ip, now).is_none(),
            None => end.is_none_or(|end| end.at > now),
        }
    }

    /// Why the API key that a caller has lets him not in; none: it does, or there is none.
    pub(super) fn key_refusal(&self, claim: &Claim) -> Option<KeyRefusal> {
        let found = claim.key.as_ref()?;
        found.refusal(self.end_of_key(found), claim.ip, OffsetDateTime::now_utc())
    }

    /// Whether he may try: `Throttled` after too many failures. A key that counts is no guess, whatever was answered to it before:
    /// it may have been made a moment ago on another node.
    pub(super) fn may_try(&self, claim: &Claim) -> Result<()> {
        let counts = claim.key.is_some() && self.key_refusal(claim).is_none();
        if counts { Ok(()) } else { self.throttle.check(&claim.counted, claim.ip) }
    }

    /// See [`super::Gateway::offence_of`].
    pub(crate) fn offence_of(&self, login: &str, peer: &Peer) -> Offence {
        match self.directory().find_login(login) {
            None => Offence::InvalidUser,
            Some(found) if !allowed_from(&found.login.allow_from, peer.ip) => Offence::RefuseConnection,
            Some(_) => Offence::AuthFail,
        }
    }

    /// Why a login is refused, for the trail. The client hears the same for every reason; who reads the trail is to see that a
    /// name was not unknown but meant several.
    pub(super) fn reason(&self, claim: &Claim, error: &Error) -> Error {
        if let (Some(why), ErrorKind::Unauthenticated) = (self.key_refusal(claim), error.kind()) {
            return Error::new(ErrorKind::Unauthenticated, why.reason());
        }
        if claim.found.is_some() || !claim.names_login() || error.kind() != ErrorKind::Unauthenticated {
            return error.clone();
        }
        let directory = self.directory();
        let tenants = directory.claimants(&claim.name);
        if tenants.len() < 2 {
            return error.clone();
        }
        let tenants = tenants.iter().map(|tenant| &***tenant).collect::<Vec<_>>().join("`, `");
        Error::new(
            ErrorKind::Unauthenticated,
            format!("the name is one of several tenants (`{tenants}`); the client has to add `@` and its tenant to it"),
        )
    }
}
