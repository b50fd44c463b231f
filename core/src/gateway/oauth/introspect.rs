//! What a token is (RFC 7662), and its end at its application's wish (RFC 7009).

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use uuid::Uuid;

use super::client::{Caller, ClientClaim};
use super::grants::standing_of;
use super::refusal::{OAuthFault, OAuthRefusal};
use super::{REFRESH_PREFIX, bounded, digest, parse_scopes};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Status};
use crate::gateway::inner::Inner;
use crate::gateway::tokens::Owner;
use crate::identity::{Peer, Scope, ScopeSet};
use crate::ports::{Durability, Reach};
use crate::records::{Grant, Micros, RefreshToken, instant, later, now};
use crate::tokens::{Held, Judged, REVOCATION_LIFE};

/// Which kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
}

/// What a token is that counts.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// Which kind it is of.
    pub kind: TokenKind,
    /// The id of an access token.
    pub id: Option<Uuid>,
    /// The tenant.
    pub tenant: Arc<str>,
    /// The identity that it acts as.
    pub identity: Arc<str>,
    /// The login or the API key that it came from.
    pub login: Arc<str>,
    /// The application that it was given to.
    pub client: Arc<str>,
    /// What it may be used for now.
    pub scopes: ScopeSet,
    /// When it was made.
    pub issued_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

fn dated(at: Micros) -> Result<OffsetDateTime> {
    instant(at).ok_or_else(|| Error::internal("a moment of the ledger is in no year"))
}

/// Whether a caller may know of this token.
fn may_know(caller: &Caller, token: &Introspection) -> bool {
    if *caller.tenant() != token.tenant {
        return false;
    }
    let own = *caller.id() == *token.client;
    match caller {
        Caller::Key(session) => own || session.identity.id == token.identity || session.scopes.allows(Scope::AuditRead),
        Caller::Application { .. } => own,
    }
}

impl Inner {
    /// See [`crate::Gateway::introspect`].
    pub(crate) async fn introspect(
        self: &Arc<Self>,
        claim: &ClientClaim,
        token: &SecretString,
        peer: &Peer,
    ) -> Result<Option<Introspection>, OAuthRefusal> {
        let caller = self.caller(claim, peer).await?;
        if matches!(caller, Caller::Application { proven: false, .. }) {
            // Whoever has found a token must not learn here whether it is worth anything (RFC 7662 section 2.1).
            let sentence = "a public client cannot ask what a token is";
            return Err(OAuthRefusal::new(OAuthFault::InvalidClient, sentence));
        }
        let found = if token.expose_secret().starts_with(REFRESH_PREFIX) {
            self.refresh_token_of(caller.tenant(), token).await?.map(|(_, _, found)| found)
        } else {
            match self.examine_own(token.expose_secret()).await? {
                Judged::Holds(held) => self.access_token_of(held),
                Judged::Wrong | Judged::Lapsed(_) => None,
            }
        };
        Ok(found.filter(|found| may_know(&caller, found)))
    }

    /// A refresh token of a tenant that counts, with its row and its grant.
    async fn refresh_token_of(
        &self,
        tenant: &str,
        token: &SecretString,
    ) -> Result<Option<(RefreshToken, Grant, Introspection)>> {
        let mut query = self.ledger.read(Reach::of(tenant)).await?;
        let Some(row) = query.refresh_token(tenant, &digest(token)).await? else { return Ok(None) };
        let Some(grant) = query.grant(tenant, row.grant).await? else { return Ok(None) };
        drop(query);
        let counts = row.spent_at.is_none() && row.expires_at > now() && grant.is_live(now());
        let Some(person) = standing_of(&self.directory(), &grant).filter(|_| counts) else { return Ok(None) };
        let granted = parse_scopes(Some(&grant.scopes)).ok().flatten();
        let found = Introspection {
            kind: TokenKind::Refresh,
            id: None,
            tenant: person.tenant.id.clone(),
            identity: person.identity.id.clone(),
            login: person.login.username.clone(),
            client: grant.client.as_str().into(),
            scopes: bounded(granted, person.identity.scopes, ScopeSet::NONE),
            issued_at: dated(row.created_at)?,
            expires_at: dated(row.expires_at)?,
        };
        Ok(Some((row, grant, found)))
    }

    /// An access token, where whom it came from is still known. From which network it may be used is not looked at: it is
    /// not used here.
    fn access_token_of(&self, held: Held) -> Option<Introspection> {
        let Owner { tenant, identity, login, scopes, .. } = self.owner(&held.claims, None)?;
        Some(Introspection {
            kind: TokenKind::Access,
            id: Some(held.id),
            tenant: tenant.id.clone(),
            identity: identity.id.clone(),
            login,
            client: held.claims.client,
            scopes,
            issued_at: held.made,
            expires_at: held.ends,
        })
    }

    /// See [`crate::Gateway::revoke_token`].
    pub(crate) async fn revoke_token(
        self: &Arc<Self>,
        claim: &ClientClaim,
        token: &SecretString,
        peer: &Peer,
    ) -> Result<(), OAuthRefusal> {
        const WHY: &str = "the application has revoked its token";
        let caller = self.caller(claim, peer).await?;
        if token.expose_secret().starts_with(REFRESH_PREFIX) {
            // A spent one stands for its grant, too: it is its family that is revoked.
            let mut query = self.ledger.read(Reach::of(caller.tenant())).await?;
            let Some(row) = query.refresh_token(caller.tenant(), &digest(token)).await? else { return Ok(()) };
            let grant = query.grant(caller.tenant(), row.grant).await?;
            drop(query);
            if let Some(grant) = grant.filter(|grant| *grant.client == *caller.id()) {
                self.end_grant(&grant, self.facts_of(&caller, peer), Status::Cancelled, WHY).await?;
            }
            return Ok(());
        }
        let Judged::Holds(held) = self.examine_own(token.expose_secret()).await? else { return Ok(()) };
        if held.claims.tenant != *caller.tenant() || *held.claims.client != *caller.id() {
            return Ok(());
        }
        let grant =
            self.ledger.read(Reach::of(caller.tenant())).await?.grant(caller.tenant(), held.claims.grant).await?;
        match grant {
            // All that was granted with it: an access token alone cannot be called back from whoever has the refresh token.
            Some(grant) => {
                self.end_grant(&grant, self.facts_of(&caller, peer), Status::Cancelled, WHY).await?;
            }
            // An API key's, which has no grant but itself.
            None => self.end_access(&held, &caller, peer, WHY).await?,
        }
        Ok(())
    }

    async fn end_access(&self, held: &Held, caller: &Caller, peer: &Peer, why: &'static str) -> Result<()> {
        let (grant, at) = (held.claims.grant, now());
        let until = later(at, REVOCATION_LIFE);
        let mut facts = self.facts_of(caller, peer).failed(&Error::new(ErrorKind::Unauthenticated, why));
        facts.status = Status::Cancelled;
        let (audit, events) = (facts.audit(), vec![facts.event("auth.failed")]);
        self.write(Reach::Gateway, Durability::Disk, move |tx| {
            let (audit, events) = (audit.clone(), events.clone());
            Box::pin(async move {
                tx.revoke_grant(grant, until, at).await?;
                tx.append_audit(&audit).await?;
                tx.append_events(&events).await
            })
        })
        .await?;
        self.grant_is_revoked(grant, until);
        Ok(())
    }

    fn facts_of(&self, caller: &Caller, peer: &Peer) -> Facts {
        match caller {
            Caller::Key(session) => {
                let mut facts = self.facts(session, Operation::Login);
                facts.client = Some(session.login.to_string());
                facts
            }
            Caller::Application { found, .. } => self.application_facts(found, peer),
        }
    }
}
