//! What a credential proves.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

use super::inner::{Inner, held};
use crate::error::Result;
use crate::identity::{
    AuthMethod, Credential, Factor, FactorSet, Identity, LoginMatch, Peer, Protocol, PublicKey, Revocations, ScopeSet,
    Tenant, UserCertificate, hash_key, parse_key_file,
};
use crate::path::VirtualPath;

/// Key files whose wrong lines were complained of are remembered up to here: one complaint each will do.
const MAX_COMPLAINTS: usize = 1000;

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
    },
}

impl Proof {
    /// A login that has proven all that it must.
    pub(crate) fn whole(found: LoginMatch, proven: FactorSet) -> Self {
        let LoginMatch { tenant, identity, login } = found;
        Self::Whole {
            scopes: identity.scopes,
            home: login.home.clone(),
            login: login.username.clone(),
            tenant,
            identity,
            method: AuthMethod::Login(proven),
            expires: None,
        }
    }
}

/// `::ffff:192.0.2.7` is 192.0.2.7.
pub(super) fn allowed_from(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.is_empty() || networks.iter().any(|network| network.contains(&ip.to_canonical()))
}

/// Whether a login may come by this protocol and from this address.
pub(super) fn may_come(found: &LoginMatch, peer: &Peer) -> bool {
    let by = match peer.protocol {
        Protocol::Scp => Protocol::Sftp,
        other => other,
    };
    found.login.protocols.contains(&by) && allowed_from(&found.login.allow_from, peer.ip)
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

/// Whether the certificate stands for the login.
async fn believes(found: &LoginMatch, certificate: &UserCertificate, peer: &Peer) -> bool {
    let Some(revoked) = revocations(&found.tenant).await else { return false };
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0);
    let checked = found.tenant.certificates.check(&revoked, certificate, &found.login.username, peer.ip, now);
    if let Err(why) = checked {
        tracing::info!(login = &*found.login.username, ip = %peer.ip, %why, "a certificate is refused");
    }
    checked.is_ok()
}

impl Inner {
    /// What the credential proves; none: nothing. `found` is the login that it names, `proven` what that has proven before.
    /// Every way to nothing takes the same time, as far as it can be measured from outside.
    pub(crate) async fn prove(
        &self,
        credential: &Credential,
        counted: &str,
        found: Option<&LoginMatch>,
        proven: FactorSet,
        peer: &Peer,
    ) -> Result<Option<Proof>> {
        let required = match &peer.required_certificate {
            Some(certificate) => Some((certificate, self.standings(certificate).await)),
            None => None,
        };
        let known = |tenant: &Arc<Tenant>| {
            required.as_ref().is_none_or(|(certificate, said)| self.knows_required(tenant, certificate, said))
        };
        let Some(factor) = credential.factor() else {
            let proof = self.prove_api_key(credential, peer);
            return Ok(proof.filter(|proof| matches!(proof, Proof::Whole { tenant, .. } if known(tenant))));
        };
        let wanted = found
            .filter(|found| may_come(found, peer) && is_in_turn(found, factor, proven, peer) && known(&found.tenant));
        let right = match credential {
            Credential::Password { password, .. } => {
                // An unknown login, or one that may not come this way, costs as much time as a wrong password.
                let hash = wanted.and_then(|found| found.login.password_hash.as_ref());
                let unthrottled = || self.throttle.check(counted, peer.ip.to_canonical()).is_ok();
                self.verifier.verify_while(hash, password, unthrottled).await
            }
            Credential::PublicKey { key, .. } => self.holds_key(found, key, proven, peer).await,
            Credential::Certificate { certificate, .. } => match wanted {
                Some(found) => believes(found, certificate, peer).await,
                None => false,
            },
            Credential::ClientCertificate { certificate, .. } => self.knows_client(wanted, certificate, peer).await,
            Credential::Code { code, .. } => match wanted.and_then(|f| f.login.totp_secret.as_ref()) {
                Some(secret) => self.takes_code(counted, secret, code)?,
                None => false,
            },
            Credential::ApiKey(_) => false,
        };
        Ok(wanted.filter(|_| right).map(|found| Proof::Factor { found: found.clone(), factor }))
    }

    fn takes_code(&self, counted: &str, secret: &SecretString, code: &SecretString) -> Result<bool> {
        let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0);
        self.codes.take(counted, secret, code, now)
    }

    /// Whether this key would bring the login on.
    pub(crate) async fn holds_key(
        &self,
        found: Option<&LoginMatch>,
        key: &PublicKey,
        proven: FactorSet,
        peer: &Peer,
    ) -> bool {
        let wanted =
            |found: &&LoginMatch| may_come(found, peer) && found.login.require.next(proven).has(Factor::PublicKey);
        let Some(found) = found.filter(wanted) else { return false };
        match revocations(&found.tenant).await {
            Some(revoked) if !revoked.revokes_key(key) => {}
            _ => return false,
        }
        let now = OffsetDateTime::now_utc().unix_timestamp();
        if found.login.authorized_keys.iter().any(|known| known.admits(key, peer.ip, now)) {
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
                keys.iter().any(|known| known.admits(key, peer.ip, now))
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
        let mut complaints = held(&self.complaints);
        complaints.len() < MAX_COMPLAINTS && complaints.insert(path.to_owned())
    }

    fn prove_api_key(&self, credential: &Credential, peer: &Peer) -> Option<Proof> {
        let Credential::ApiKey(key) = credential else { return None };
        let found = self.directory.find_api_key(&hash_key(key.expose_secret()))?;
        let live = found.key.expires.is_none_or(|end| end > OffsetDateTime::now_utc());
        if !live || peer.protocol != Protocol::Api || !allowed_from(&found.key.allow_from, peer.ip) {
            return None;
        }
        let narrowed = found.key.scopes;
        let all = found.identity.scopes;
        Some(Proof::Whole {
            scopes: if narrowed.is_empty() { all } else { all.and(narrowed) },
            home: VirtualPath::root(),
            login: found.key.id.clone(),
            method: AuthMethod::ApiKey,
            expires: found.key.expires,
            tenant: found.tenant,
            identity: found.identity,
        })
    }
}
