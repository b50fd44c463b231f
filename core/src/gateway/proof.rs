//! What a credential proves.

use std::sync::Arc;

use secrecy::SecretString;
use time::OffsetDateTime;

use super::claim::Claim;
use super::client_certificates::Standings;
use super::inner::{Inner, held};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{
    AuthMethod, AuthorizedKey, By, Credential, Evidence, Factor, FactorSet, Identity, KeyMatch, LoginMatch, Peer,
    Presence, Progress, Protocol, PublicKey, Revocations, ScopeSet, Tenant, UserCertificate, parse_key_file,
};
use crate::path::VirtualPath;
use crate::ports::{Durability, Reach};
use crate::records::now;

/// How far a client has come with a key.
#[derive(Clone, Copy)]
pub(crate) enum Shown {
    /// It asks whether the key would do.
    Offered,
    /// It has signed, and the signature says this of the key's holder.
    Signed(Option<Presence>),
}

/// What a credential proved.
pub(crate) enum Proof {
    /// One thing of a login; whether that is enough is another question.
    Factor { found: LoginMatch, factor: Factor },
    /// All that there is to prove.
    Whole {
        tenant: Arc<Tenant>,
        identity: Arc<Identity>,
        login: Arc<str>,
        scopes: ScopeSet,
        home: VirtualPath,
        method: AuthMethod,
        expires: Option<OffsetDateTime>,
        /// Whose token it is, where it is an issuer's.
        issuer: Option<Arc<str>>,
        by: By,
        evidence: Box<Evidence>,
    },
}

impl Proof {
    /// Whom it proves, in a line.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> String {
        let Self::Whole { tenant, identity, login, scopes, home, .. } = self else { return String::new() };
        let scopes: Vec<&str> = scopes.words().map(crate::identity::Scope::as_str).collect();
        format!("{} {} {login} {} {}", tenant.id, identity.id, scopes.join(" "), home.as_str())
    }

    /// A login that has proven all that it must, by showing this.
    pub(crate) fn whole(found: LoginMatch, proven: FactorSet, evidence: Evidence) -> Self {
        let LoginMatch { tenant, identity, login } = found;
        Self::Whole {
            scopes: identity.scopes,
            home: login.home.clone(),
            login: login.username.clone(),
            tenant,
            identity,
            method: AuthMethod::Login(proven),
            expires: None,
            issuer: None,
            by: By::Login(login),
            evidence: Box::new(evidence),
        }
    }
}

/// What who comes by an API key may do.
pub(crate) fn scopes_of_key(found: &KeyMatch) -> ScopeSet {
    found.identity.scopes.narrowed(found.key.scopes)
}

/// What the tenant has revoked; none where that cannot be said.
async fn revocations(tenant: &Tenant) -> Option<Arc<Revocations>> {
    match tenant.certificates.revocations.current().await {
        Ok(revoked) => Some(revoked),
        Err(error) => {
            tracing::error!(
                tenant = &*tenant.id,
                %error,
                "what is revoked cannot be read; until it can, no key and no certificate of this tenant lets in"
            );
            None
        }
    }
}

/// Whether what its holder has shown of a known key is enough.
fn suffices(known: &AuthorizedKey, shown: Shown, found: &LoginMatch, peer: &Peer) -> bool {
    match shown {
        Shown::Offered => true,
        Shown::Signed(presence) if known.is_content_with(presence) => true,
        Shown::Signed(_) => {
            tracing::info!(
                login = &*found.login.username,
                ip = %peer.ip,
                "a hardware key is refused: it was not touched, or has not verified its holder as `verify-required` \
                 demands; keys that sign without a touch need `no-touch-required` in front of them"
            );
            false
        }
    }
}

/// Whether the certificate stands for the login.
async fn believes(found: &LoginMatch, certificate: &UserCertificate, presence: Option<Presence>, peer: &Peer) -> bool {
    let Some(revoked) = revocations(&found.tenant).await else { return false };
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0);
    let rules = &found.tenant.certificates;
    let checked = rules.check(&revoked, certificate, presence, &found.login.username, peer.ip, now);
    if let Err(why) = checked {
        tracing::info!(login = &*found.login.username, ip = %peer.ip, %why, "a certificate is refused");
    }
    checked.is_ok()
}

impl Inner {
    /// What the credential proves; none: nothing. `progress` says what the login has proven before, and takes what is waited. Every way to nothing takes the
    /// same time, as far as it can be measured from outside. `known` is what was said of the client's certificate just before.
    pub(super) async fn prove(
        self: &Arc<Self>,
        credential: &Credential,
        claim: &Claim,
        progress: &Progress,
        peer: &Peer,
        known: Option<&Arc<Standings>>,
    ) -> Result<Option<Proof>> {
        // Before the certificate that is required is looked at: that is more work, and anybody can make himself one.
        let by_token = match credential {
            Credential::Token(token) => match self.prove_token(token, peer).await? {
                None => return Ok(None),
                proof => proof,
            },
            _ => None,
        };
        let required = match &peer.required_certificate {
            Some(certificate) => Some(self.standings(certificate, known).await),
            None => None,
        };
        let knows = |tenant: &Arc<Tenant>| required.as_ref().is_none_or(|said| self.knows_required(tenant, said));
        let Some(factor) = credential.factor() else {
            if by_token.is_some() {
                return Ok(by_token.filter(|proof| matches!(proof, Proof::Whole { tenant, .. } if knows(tenant))));
            }
            // A tenant that does not know the certificate that was required says nothing of its keys.
            let known = claim.key.as_ref().is_some_and(|found| knows(&found.tenant));
            return if known { self.prove_api_key(claim, peer) } else { Ok(None) };
        };
        let proven = progress.proven();
        let wanted = claim.wanted(factor, proven, peer).filter(|found| knows(&found.tenant));
        let right = match credential {
            Credential::Password { password, .. } => {
                // An unknown login, or one that may not come this way, costs as much time as a wrong password.
                let hash = wanted.and_then(|found| found.login.password_hash.as_ref());
                let unthrottled = || self.throttle.check(&claim.counted, claim.ip).is_ok();
                self.verifier.verify_while(hash, password, unthrottled, progress.queue()).await
            }
            Credential::PublicKey { key, presence, .. } => {
                self.holds_key(claim, key, Shown::Signed(*presence), proven, peer).await
            }
            Credential::Certificate { certificate, presence, .. } => match (wanted, certificate) {
                (Some(found), Some(certificate)) => believes(found, certificate, *presence, peer).await,
                _ => false,
            },
            Credential::ClientCertificate { certificate, .. } => {
                // Whoever is named, and whether or not there is such a login: see there.
                let said = self.standings(certificate, required.as_ref().or(known)).await;
                Self::knows_client(wanted, &said, peer.ip)
            }
            Credential::Code { code, .. } => match wanted {
                Some(found) => self.takes_code(found, &claim.counted, code).await?,
                None => false,
            },
            Credential::ApiKey(_) | Credential::Token(_) => false,
        };
        Ok(wanted.filter(|_| right).map(|found| Proof::Factor { found: found.clone(), factor }))
    }

    /// Whether this is a code of the login's that was not used before. Using it is a transaction of its own, and durable
    /// before anybody is let in by it: neither another node nor a restart takes it again.
    async fn takes_code(&self, found: &LoginMatch, counted: &str, code: &SecretString) -> Result<bool> {
        let Some(secret) = &found.login.totp_secret else { return Ok(false) };
        let at = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0);
        let Some(step) = self.codes.step(counted, secret, code, at)? else { return Ok(false) };
        let step = i64::try_from(step).map_err(Error::internal)?;
        let (tenant, login) = (found.tenant.id.clone(), found.login.username.clone());
        let reach = Reach::Tenant(tenant.clone());
        let fresh = self
            .write(reach, Durability::Disk, move |tx| {
                let (tenant, login) = (tenant.clone(), login.clone());
                Box::pin(async move { tx.use_code(&tenant, &login, step, now()).await })
            })
            .await?;
        if fresh {
            self.codes.taken(counted);
        } else {
            self.codes.replayed(counted);
        }
        Ok(fresh)
    }

    /// Whether this key would bring the login on.
    pub(super) async fn holds_key(
        &self,
        claim: &Claim,
        key: &PublicKey,
        shown: Shown,
        proven: FactorSet,
        peer: &Peer,
    ) -> bool {
        let Some(found) = claim.wanted(Factor::PublicKey, proven, peer) else { return false };
        match revocations(&found.tenant).await {
            Some(revoked) if revoked.revokes_key(key) => {
                tracing::info!(login = &*found.login.username, ip = %peer.ip, "a revoked key is refused");
                return false;
            }
            Some(_) => {}
            None => return false,
        }
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let lets_in = |known: &AuthorizedKey| known.admits(key, peer.ip, now) && suffices(known, shown, found, peer);
        if found.login.authorized_keys.iter().any(lets_in) {
            return true;
        }
        let Some(path) = &found.login.authorized_keys_file else { return false };
        match self.keys.read(path).await {
            Ok(text) => {
                let (keys, wrong) = parse_key_file(&text.unwrap_or_default());
                if let Some((line, error)) = wrong.first()
                    && self.may_complain(path)
                {
                    tracing::warn!(file = path, line, "a line of a key file is not used: it {error}");
                }
                keys.iter().any(lets_in)
            }
            Err(error) => {
                if self.may_complain(path) {
                    tracing::warn!(file = path, %error, "a key file cannot be used");
                }
                false
            }
        }
    }

    fn may_complain(&self, path: &str) -> bool {
        held(&self.complaints).add(path.to_owned())
    }

    /// What an API key proves. One that is known and lets in no more says why, where its holder may hear that.
    fn prove_api_key(&self, claim: &Claim, peer: &Peer) -> Result<Option<Proof>> {
        let Some(found) = claim.key.clone().filter(|_| peer.protocol == Protocol::Api) else { return Ok(None) };
        if let Some(refusal) = self.key_refusal(claim) {
            return refusal.told().map_or(Ok(None), |why| Err(Error::new(ErrorKind::Unauthenticated, why)));
        }
        self.key_book.used((&found.tenant.id, &found.key.id), &found.digest, now());
        Ok(Some(Proof::Whole {
            scopes: scopes_of_key(&found),
            home: VirtualPath::root(),
            login: found.key.id.clone(),
            method: AuthMethod::ApiKey,
            expires: self.end_of_key(&found).map(|end| end.at),
            issuer: None,
            tenant: found.tenant.clone(),
            identity: found.identity.clone(),
            by: By::ApiKey(Box::new(found)),
            evidence: Box::default(),
        }))
    }
}
