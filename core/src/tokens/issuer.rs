//! OpenID Connect providers whose tokens tenants take (RFC 9068 section 4, OpenID Connect Core 1.0 section 3.1.3.7).

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;

use super::algorithm::ForeignKey;
use super::claims::Claims;
use super::examine::{Judged, untimely};
use super::jws::Compact;
use super::providers::Found;
use crate::error::Result;
use crate::gateway::Inner;
use crate::identity::{Identity, ScopeSet, Tenant};

/// What a token may call itself (RFC 7519 section 5.1, RFC 9068 section 2.1); nothing at all is common, too. What is made for another
/// purpose says so (RFC 8725 section 3.11), and is not taken.
const KINDS: &[&str] = &["jwt", "at+jwt"];

/// A provider, as a tenant declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its URL, exactly as its tokens name it.
    pub url: Arc<str>,
    /// Whom its tokens have to be meant for.
    pub audience: String,
    /// The claim that says who it is.
    pub identity_claim: String,
    /// Which identity each value of that claim stands for; empty: the value is the identity's id.
    pub identities: BTreeMap<String, Arc<str>>,
    /// The claim that says what he may do; none: all that the identity may.
    pub scope_claim: Option<String>,
    /// The clients that its tokens may be given to (`azp`, or `client_id`); empty: any.
    pub authorized_parties: Vec<String>,
}

/// A provider of a tenant that is known.
#[derive(Clone, Debug)]
pub struct IssuerMatch {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The provider.
    pub issuer: Arc<Issuer>,
}

/// Whom an issuer's token stands for.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) identity: Arc<Identity>,
    /// Its subject, for the trail.
    pub(crate) name: Arc<str>,
    pub(crate) scopes: ScopeSet,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) ends: OffsetDateTime,
}

impl Inner {
    /// Looks at a token that says to be an issuer's. `Unavailable` where its keys cannot be had.
    pub(super) async fn examine_foreign(self: &Arc<Self>, compact: &Compact<'_>) -> Result<Judged<Subject>> {
        let (header, claims) = (&compact.header, Claims(&compact.claims));
        let directory = self.directory();
        let Some(url) = claims.text("iss") else { return Ok(Judged::Wrong) };
        // Which of those that share a provider it is meant for; nothing is asked of the provider for one that is meant for nobody.
        let mut meant = directory.issuers(url).iter().filter(|found| claims.is_for(&found.issuer.audience));
        let (Some(found), None) = (meant.next(), meant.next()) else { return Ok(Judged::Wrong) };
        if header.kind.as_deref().is_some_and(|kind| !KINDS.contains(&kind)) {
            return Ok(Judged::Wrong);
        }
        let signed_by = |keys: &[ForeignKey]| {
            let mut fit = keys.iter().filter(|key| key.is_for(header.algorithm));
            let key = match &header.kid {
                Some(kid) => fit.find(|key| key.kid.as_ref() == Some(kid)),
                // Without a name it has to be the only one.
                None => fit.next().filter(|_| fit.next().is_none()),
            };
            key.map(|key| key.verifies(header.algorithm, compact.signed, &compact.signature))
        };
        match self.issuer_key(&found.issuer.url, signed_by).await? {
            Found::Yes(true) => {}
            Found::Yes(false) => return Ok(Judged::Wrong),
            Found::No => {
                return Ok(Judged::Lapsed("the token's key is not one that its issuer publishes now; get a new token"));
            }
        }
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let ends = match claims.end(now) {
            Ok(ends) => ends,
            Err(why) => return Ok(Judged::Lapsed(untimely(why))),
        };
        let subject = subject(found, claims, ends, |id| directory.identity(&found.tenant.id, id).cloned());
        Ok(subject.map_or(
            Judged::Lapsed("the token is right, and stands for nobody here; ask who runs this gateway"),
            Judged::Holds,
        ))
    }

    /// Whether a tenant still takes this provider's tokens.
    pub(crate) fn takes_issuer(&self, tenant: &str, url: &str) -> bool {
        self.directory().issuers(url).iter().any(|found| *found.tenant.id == *tenant)
    }
}

/// Whom a token of this provider stands for, its signature and time being right.
fn subject(
    found: &IssuerMatch,
    claims: Claims<'_>,
    ends: i64,
    identity: impl Fn(&str) -> Option<Arc<Identity>>,
) -> Option<Subject> {
    let IssuerMatch { tenant, issuer } = found;
    // RFC 9068 section 2.2 has `client_id` where OpenID Connect has `azp`; one that is there is a text.
    let party = ["azp", "client_id"].into_iter().find(|name| claims.0.contains_key(*name));
    let party = match party {
        Some(name) => Some(claims.text(name)?),
        None => None,
    };
    let known = |party: &str| issuer.authorized_parties.iter().any(|one| one == party);
    if !issuer.authorized_parties.is_empty() && !party.is_some_and(known) {
        return None;
    }
    let value = claims.text(&issuer.identity_claim)?;
    let id = if issuer.identities.is_empty() { value } else { issuer.identities.get(value)? };
    let identity = identity(id)?;
    let scopes = match &issuer.scope_claim {
        Some(name) => super::cut(claims.scopes(name)?, identity.scopes),
        None => identity.scopes,
    };
    let name = if claims.0.contains_key("sub") { claims.text("sub")? } else { value };
    Some(Subject {
        tenant: tenant.clone(),
        identity,
        name: name.into(),
        scopes,
        issuer: issuer.clone(),
        ends: OffsetDateTime::from_unix_timestamp(ends).ok()?,
    })
}
