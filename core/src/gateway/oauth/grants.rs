//! What people have granted: whether it still holds, and its end.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Status};
use crate::gateway::inner::Inner;
use crate::identity::{AuthMethod, Directory, FactorSet, LoginMatch, Protocol, Require};
use crate::ports::{Durability, Reach, Tx};
use crate::records::{Grant, Micros, later, now};
use crate::tokens::REVOCATION_LIFE;

/// Grants that are looked through at a time.
const PAGE: u32 = 500;

/// A digest of what a login is proven by: a grant or a sign-in from before it changed counts no more. It tells nothing of what goes
/// into it: a password's hash has a random salt, and the secret of codes is random.
pub(super) fn mark_of(found: &LoginMatch) -> [u8; 32] {
    let login = &found.login;
    let secret = |secret: &Option<SecretString>| {
        secret.as_ref().map(|secret| secret.expose_secret().to_owned()).unwrap_or_default()
    };
    let require = match login.require {
        Require::Any => "any",
        Require::All(wanted) => wanted.as_str(),
    };
    let mut hasher = Sha256::new_with_prefix(b"causeway login\0");
    for part in [&*found.identity.id, &secret(&login.password_hash), &secret(&login.totp_secret), require] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

/// The login, where it is still what it was when it was proven, and may still come over the API.
pub(super) fn standing(
    directory: &Directory,
    (tenant, login, identity): (&str, &str, &str),
    mark: &[u8; 32],
) -> Option<LoginMatch> {
    let found = directory.login_of(tenant, login)?;
    let same = *found.identity.id == *identity
        && found.login.protocols.contains(&Protocol::Api)
        && bool::from(mark_of(&found).ct_eq(mark));
    same.then_some(found)
}

/// The same of a grant, whose application must be there too.
pub(super) fn standing_of(directory: &Directory, grant: &Grant) -> Option<LoginMatch> {
    let application = directory.find_oauth_client(&grant.client);
    application.filter(|found| *found.tenant.id == *grant.tenant)?;
    standing(directory, (&grant.tenant, &grant.login, &grant.identity), &grant.mark)
}

/// Ends a grant in a transaction, with its trail: its refresh tokens and its access tokens count no more. False: it was over.
async fn end_in(tx: &mut dyn Tx, grant: &Grant, facts: &Facts, at: Micros) -> Result<bool> {
    if !tx.end_grant(&grant.tenant, grant.id, at).await? {
        return Ok(false);
    }
    tx.revoke_grant(grant.id, later(at, REVOCATION_LIFE), at).await?;
    tx.append_audit(&facts.audit()).await?;
    tx.append_events(&[facts.event("auth.failed")]).await?;
    Ok(true)
}

impl Inner {
    /// Who a grant is about, in facts that say where it is talked about.
    pub(super) fn of_grant(facts: Facts, grant: &Grant) -> Facts {
        Facts {
            tenant: Some(grant.tenant.as_str().into()),
            identity: Some(grant.identity.clone()),
            login: Some(grant.login.clone()),
            client: Some(grant.client.clone()),
            auth_method: Some(AuthMethod::Login(FactorSet::from_bits(grant.factors))),
            ..facts
        }
    }

    /// Ends a grant. `why` stands in the trail; the facts say who asked. False: it was over already.
    pub(super) async fn end_grant(
        &self,
        grant: &Grant,
        facts: Facts,
        status: Status,
        why: &'static str,
    ) -> Result<bool> {
        let error = Error::new(ErrorKind::Unauthenticated, why);
        let mut facts = Self::of_grant(facts, grant).failed(&error);
        facts.status = status;
        let (ended, at) = (grant.clone(), now());
        let done = self
            .write(Reach::Gateway, Durability::Disk, move |tx| {
                let (grant, facts) = (ended.clone(), facts.clone());
                Box::pin(async move { end_in(tx, &grant, &facts, at).await })
            })
            .await?;
        if done {
            self.grant_is_revoked(grant.id, later(at, REVOCATION_LIFE));
            tracing::info!(grant = %grant.id, client = grant.client, login = grant.login, why, "a grant is over");
        }
        Ok(done)
    }

    /// Ends what people have granted whose logins are gone or changed, whenever somebody else is known. Until the gateway stops.
    pub(crate) async fn end_stale_grants_always(&self) {
        let mut known = self.known.subscribe();
        loop {
            if let Err(error) = self.end_stale_grants().await {
                tracing::warn!(%error, "grants could not be looked through; they are at the next change and at their next use");
            }
            tokio::select! {
                () = self.jobs_end.cancelled() => return,
                changed = known.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn end_stale_grants(&self) -> Result<()> {
        let mut after = Uuid::nil();
        loop {
            let page = self.ledger.read(Reach::Gateway).await?.live_grants(after, now(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            let directory = self.directory();
            for grant in page.iter().filter(|grant| standing_of(&directory, grant).is_none()) {
                let facts = Facts::of_node(&self.settings.node, Operation::Login);
                self.end_grant(grant, facts, Status::Cancelled, "the login or the application is gone or has changed")
                    .await?;
            }
        }
    }
}
