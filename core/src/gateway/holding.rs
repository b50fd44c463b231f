//! Whether what let a session in still holds. A session goes on with nothing that its login would not be given now: where
//! the login, its credential, its identity's rights or its tenant's places are others than they were, it ends, and its client
//! logs in again. (Quotas are no rights: they are asked anew for each upload.)

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

use super::claim::{allowed_from, may_come};
use super::inner::Inner;
use crate::identity::{
    ApiKey, AuthMethod, By, ClientCertificate, Directory, EndReason, Factor, FactorSet, Identity, Login, LoginMatch,
    PublicKey, Revocations, Session, Tenant, parse_key_file,
};

/// How often is looked at what no change of those who are known tells of: files of keys, what is revoked, what expires.
const ROUND: Duration = Duration::from_secs(5);
/// How long after one look the next is not begun: many changes in a row are one.
const PAUSE: Duration = Duration::from_millis(100);

impl Inner {
    /// Ends sessions that do not hold any more, until the gateway stops: at once where those who are known have changed, and
    /// within [`ROUND`] whatever else did.
    pub(crate) async fn end_what_does_not_hold(&self) {
        let mut known = self.known.subscribe();
        loop {
            tokio::select! {
                () = self.jobs_end.cancelled() => return,
                changed = known.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let directory = self.directory();
                    self.verifier.take_sample(directory.sample_hash().map(SecretString::expose_secret));
                }
                () = tokio::time::sleep(ROUND) => {}
            }
            known.mark_unchanged();
            self.review_sessions().await;
            tokio::select! {
                () = self.jobs_end.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Looks at every session of this process once.
    pub(crate) async fn review_sessions(&self) {
        let directory = self.directory();
        let mut asked = Asked::default();
        for session in self.live.all() {
            if session.end_reason().is_some() {
                continue;
            }
            let lost = match self.why_lost(&session, &directory) {
                Some(reason) => Some(reason),
                None => self.why_refuted(&session, &directory, &mut asked).await,
            };
            if let Some(reason) = lost {
                tracing::info!(
                    session = %session.id,
                    tenant = &*session.tenant.id,
                    login = &*session.login,
                    ip = %session.client_ip,
                    why = reason.code(),
                    "a session is ended"
                );
                session.life.end(reason);
            }
        }
    }

    /// Why a session does not hold where these are known; none: as far as they say it does.
    pub(super) fn why_lost(&self, session: &Session, directory: &Directory) -> Option<EndReason> {
        let (identity, same) = match &session.grounds.by {
            By::Job => return None,
            By::Login(was) => {
                let Some(now) = directory.login_of(&session.tenant.id, &was.username) else {
                    return Some(EndReason::Gone);
                };
                let same = may_come_still(&now, session) && is_same_login(was, &now.login, session);
                (now.identity, same)
            }
            By::ApiKey(was) => {
                let now = directory.find_api_key(&was.digest).filter(|now| now.tenant.id == session.tenant.id);
                let Some(now) = now else { return Some(EndReason::Gone) };
                // A token that let in while it held does not cut what it let in: what it came from does.
                if !self.key_holds(&now, None) {
                    return Some(EndReason::Expired);
                }
                (now.identity.clone(), is_same_key(&was.key, &now.key, session))
            }
            By::Issuer(was) => {
                let mut known = directory.issuers(&was.url).iter();
                let Some(now) =
                    known.find(|now| now.tenant.id == session.tenant.id && now.issuer.audience == was.audience)
                else {
                    return Some(EndReason::Gone);
                };
                let Some(identity) = directory.identity(&session.tenant.id, &session.identity.id) else {
                    return Some(EndReason::Gone);
                };
                (identity.clone(), now.issuer == *was)
            }
        };
        let Some(tenant) = directory.tenant(&session.tenant.id) else { return Some(EndReason::Gone) };
        // No right, but what uploads are held to from now on.
        session.life.set_quotas((tenant.quota, identity.quota));
        let holds = same && is_same_identity(&session.identity, &identity) && session.tenant.mounts == tenant.mounts;
        (!holds).then_some(EndReason::Changed)
    }

    /// Why a session does not hold by what the outside says of its keys and certificates. Where that cannot be said it goes on;
    /// nobody else is let in then.
    async fn why_refuted(&self, session: &Session, directory: &Directory, asked: &mut Asked) -> Option<EndReason> {
        let grounds = &session.grounds;
        if let Some(grant) = grounds.evidence.grant
            && self.is_revoked(grant).await
        {
            return Some(EndReason::Revoked);
        }
        let tenant = directory.tenant(&session.tenant.id)?;
        let evidence = &grounds.evidence;
        if evidence.key.is_some() || evidence.certificate.is_some() {
            let revoked = asked.revocations(tenant).await;
            let by_key = evidence.key.as_ref().zip(revoked.as_ref()).is_some_and(|(key, list)| list.revokes_key(key));
            let by_certificate = evidence.certificate.as_ref().zip(revoked.as_ref());
            if by_key || by_certificate.is_some_and(|(certificate, list)| list.revokes(certificate)) {
                return Some(EndReason::Revoked);
            }
        }
        if let Some(certificate) = &evidence.certificate
            && !tenant.certificates.authorities.iter().any(|ca| bool::from(ca.blob.ct_eq(&certificate.ca.blob)))
        {
            return Some(EndReason::Revoked);
        }
        if let (By::Login(was), Some(key)) = (&grounds.by, &evidence.key) {
            let now = directory.login_of(&tenant.id, &was.username)?;
            if !self.lists_key(&now.login, key, session, asked).await {
                return Some(EndReason::Changed);
            }
        }
        for certificate in [&evidence.client, &grounds.required].into_iter().flatten() {
            if !self.knows_still(session, certificate, asked).await {
                return Some(EndReason::Revoked);
            }
        }
        None
    }

    /// Whether a login still lists this key, in itself or in its file.
    async fn lists_key(&self, login: &Login, key: &PublicKey, session: &Session, asked: &mut Asked) -> bool {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let lists = |keys: &[crate::identity::AuthorizedKey]| {
            keys.iter().any(|known| known.admits(key, session.client_ip, now))
        };
        if lists(&login.authorized_keys) {
            return true;
        }
        let Some(path) = &login.authorized_keys_file else { return false };
        if !asked.files.contains_key(path) {
            let read = self.keys.read(path).await;
            let keys = read.ok().map(|text| parse_key_file(&text.unwrap_or_default()).0);
            asked.files.insert(path.clone(), keys);
        }
        match asked.files.get(path) {
            Some(Some(keys)) => lists(keys),
            Some(None) | None => true,
        }
    }

    /// Whether the client certificate still stands, asked once for each login and certificate.
    async fn knows_still(&self, session: &Session, certificate: &ClientCertificate, asked: &mut Asked) -> bool {
        let required = session.grounds.required.is_some();
        let lets_in = session.grounds.evidence.client.is_some();
        let one = (session.tenant.id.clone(), session.login.clone(), *certificate.fingerprint(), lets_in, required);
        if let Some(known) = asked.certificates.get(&one) {
            return *known;
        }
        let known = self.still_stands(session, certificate, required).await;
        asked.certificates.insert(one, known);
        known
    }
}

/// Tenant, login and the fingerprint of a certificate; whether it is what let in, and whether one was required.
type Shown = (Arc<str>, Arc<str>, [u8; 32], bool, bool);

/// What one look has asked already.
#[derive(Default)]
struct Asked {
    /// By the tenants' ids; none: it cannot be said.
    revocations: HashMap<Arc<str>, Option<Arc<Revocations>>>,
    /// The keys of files; none: one cannot be read.
    files: HashMap<String, Option<Vec<crate::identity::AuthorizedKey>>>,
    certificates: HashMap<Shown, bool>,
}

impl Asked {
    async fn revocations(&mut self, tenant: &Tenant) -> Option<Arc<Revocations>> {
        if let Some(known) = self.revocations.get(&tenant.id) {
            return known.clone();
        }
        let current = tenant.certificates.revocations.current().await.ok();
        self.revocations.insert(tenant.id.clone(), current.clone());
        current
    }
}

/// Whether the login may still come by the session's protocol and from its address.
fn may_come_still(now: &LoginMatch, session: &Session) -> bool {
    may_come(now, session.protocol, session.client_ip)
}

/// Whether a login is, for this session, the one that it was: what it has to prove, what the session has proven, and where it
/// starts. Keys are looked at one by one, as others than the session's own may come and go.
fn is_same_login(was: &Login, now: &Login, session: &Session) -> bool {
    let proven = match session.auth_method {
        AuthMethod::Login(proven) => proven,
        AuthMethod::ApiKey | AuthMethod::Operator | AuthMethod::Token(_) => FactorSet::NONE,
    };
    was.require == now.require
        && was.home == now.home
        && (!proven.has(Factor::Password) || is_same_secret(was.password_hash.as_ref(), now.password_hash.as_ref()))
        && (!proven.has(Factor::Totp) || is_same_secret(was.totp_secret.as_ref(), now.totp_secret.as_ref()))
}

fn is_same_secret(was: Option<&SecretString>, now: Option<&SecretString>) -> bool {
    match (was, now) {
        (Some(was), Some(now)) => bool::from(was.expose_secret().as_bytes().ct_eq(now.expose_secret().as_bytes())),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn is_same_key(was: &ApiKey, now: &ApiKey, session: &Session) -> bool {
    was.scopes == now.scopes && allowed_from(&now.allow_from, session.client_ip)
}

/// Whether an identity may do what it might: no less, and no more, than what its session was told.
fn is_same_identity(was: &Identity, now: &Identity) -> bool {
    was.id == now.id && was.scopes == now.scopes && places(was) == places(now)
}

/// The entries of a view, in no order.
fn places(identity: &Identity) -> HashSet<(&str, &str, Vec<&'static str>)> {
    let permissions =
        |set: crate::identity::PermissionSet| set.words().map(crate::identity::Permission::as_str).collect();
    let entries = identity.view.entries().iter();
    entries.map(|entry| (entry.at.as_str(), entry.path.as_str(), permissions(entry.permissions))).collect()
}
