//! Letting callers in: one place for every protocol and credential.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipnet::IpNet;
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::inner::{Inner, held};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Status};
use crate::identity::{
    AuthMethod, Credential, Identity, LoginMatch, Offence, Peer, Place, Protocol, PublicKey, ScopeSet, Session, Tenant,
    hash_key,
};
use crate::namespace::ensure_folder;
use crate::path::VirtualPath;
use crate::ports::Durability;
use crate::records::now;

/// The one answer to every credential that does not let in, whatever the reason.
fn refused() -> Error {
    Error::new(ErrorKind::Unauthenticated, "the login or its credential is not valid here")
}

/// The name under which failed API keys of an address are counted: what was sent is no login, and may be a secret.
const API_KEYS: &str = "(api key)";

/// A login that is turned away again and again is put on record at most this often.
const REFUSALS_PAUSE: Duration = Duration::from_mins(1);
/// How many of them are remembered.
const MAX_REFUSALS: usize = 10_000;

/// `::ffff:192.0.2.7` is 192.0.2.7.
fn allowed_from(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.is_empty() || networks.iter().any(|network| network.contains(&ip.to_canonical()))
}

/// What a credential proved.
struct Proof {
    tenant: Arc<Tenant>,
    identity: Arc<Identity>,
    login: Arc<str>,
    scopes: ScopeSet,
    home: VirtualPath,
    method: AuthMethod,
    expires: Option<OffsetDateTime>,
}

impl Proof {
    fn of_login(found: LoginMatch, method: AuthMethod) -> Self {
        let LoginMatch { tenant, identity, login } = found;
        Self {
            scopes: identity.scopes,
            home: login.home.clone(),
            login: login.username.clone(),
            tenant,
            identity,
            method,
            expires: None,
        }
    }
}

impl Inner {
    /// See [`super::Gateway::login`].
    pub(crate) async fn login(&self, credential: Credential, peer: &Peer) -> Result<Arc<Session>> {
        self.require_open()?;
        let (name, method) = match &credential {
            Credential::Password { login, .. } => (login.clone(), AuthMethod::Password),
            Credential::PublicKey { login, .. } => (login.clone(), AuthMethod::PublicKey),
            Credential::ApiKey(key) => {
                // Counted per key that was sent, by a piece of its digest: one application with a wrong key must not
                // lock out its neighbours behind the same address.
                let digest = hash_key(key.expose_secret());
                (format!("{API_KEYS} {}", hex::encode(digest.get(..8).unwrap_or_default())), AuthMethod::ApiKey)
            }
        };
        let ip = peer.ip.to_canonical();
        let counted = self.counted(&name);
        let proof = if let Err(throttled) = self.throttle.check(&counted, ip) {
            Err(throttled)
        } else {
            let proof = self.prove(credential, &counted, peer).await;
            // Guesses that were all let in before the first one failed: the limit holds for them too.
            match (self.throttle.check(&counted, ip), proof) {
                (Err(throttled), _) => Err(throttled),
                (Ok(()), Some(proof)) => {
                    self.throttle.succeeded(&counted, ip);
                    Ok(proof)
                }
                (Ok(()), None) => {
                    self.throttle.failed(&counted, ip);
                    Err(refused())
                }
            }
        };
        let placed = proof.and_then(|proof| self.place(&proof, peer).map(|place| (proof, place)));
        match placed {
            Ok((proof, place)) => {
                let session = Arc::new(Session {
                    id: Uuid::now_v7(),
                    tenant: proof.tenant,
                    identity: proof.identity,
                    login: proof.login,
                    protocol: peer.protocol,
                    client_ip: ip,
                    scopes: proof.scopes,
                    home: proof.home,
                    auth_method: proof.method,
                    cipher: peer.cipher.clone(),
                    client_version: peer.client_version.clone(),
                    expires: proof.expires,
                    opened: AtomicBool::new(false),
                    place: Mutex::new(place),
                });
                self.ensure_view(&session).await?;
                if peer.protocol != Protocol::Api {
                    self.put_opened(&session).await?;
                }
                Ok(session)
            }
            Err(error) => {
                if error.kind() != ErrorKind::Throttled || self.is_first_refusal(&counted, ip) {
                    self.put_refused_login(&name, method, peer, &error).await;
                }
                Err(error)
            }
        }
    }

    /// A place among the sessions that last; a request of the API takes none.
    fn place(&self, proof: &Proof, peer: &Peer) -> Result<Option<Place>> {
        match peer.protocol {
            Protocol::Sftp | Protocol::Scp | Protocol::Ftps => {
                self.places.enter(&proof.tenant.id, &proof.login, peer.ip).map(Some)
            }
            Protocol::Api | Protocol::Transfer => Ok(None),
        }
    }

    /// See [`super::Gateway::offence_of`].
    pub(crate) fn offence_of(&self, login: &str, peer: &Peer) -> Offence {
        match self.directory.find_login(login) {
            None => Offence::InvalidUser,
            Some(found) if !allowed_from(&found.login.allow_from, peer.ip) => Offence::RefuseConnection,
            Some(_) => Offence::AuthFail,
        }
    }

    /// The name that failures of a login are counted under: one, however it is written.
    fn counted(&self, name: &str) -> String {
        match self.directory.find_login(name) {
            Some(found) => format!("{}@{}", found.login.username, found.tenant.id),
            None => name.to_owned(),
        }
    }

    async fn prove(&self, credential: Credential, counted: &str, peer: &Peer) -> Option<Proof> {
        match credential {
            Credential::Password { login, password } => {
                let found = self.eligible(&login, peer);
                // An unknown login, or one that may not come this way, costs as much time as a wrong password.
                let hash = found.as_ref().and_then(|f| f.login.password_hash.as_ref());
                let wanted = || self.throttle.check(counted, peer.ip.to_canonical()).is_ok();
                let right = self.verifier.verify_while(hash, &password, wanted).await;
                found.filter(|_| right).map(|f| Proof::of_login(f, AuthMethod::Password))
            }
            Credential::PublicKey { login, key } => {
                let found = self.eligible(&login, peer)?;
                holds_key(&found, &key).then(|| Proof::of_login(found, AuthMethod::PublicKey))
            }
            Credential::ApiKey(key) => {
                let found = self.directory.find_api_key(&hash_key(key.expose_secret()))?;
                let live = found.key.expires.is_none_or(|end| end > OffsetDateTime::now_utc());
                if !live || peer.protocol != Protocol::Api || !allowed_from(&found.key.allow_from, peer.ip) {
                    return None;
                }
                let narrowed = found.key.scopes;
                Some(Proof {
                    scopes: if narrowed.is_empty() {
                        found.identity.scopes
                    } else {
                        found.identity.scopes.and(narrowed)
                    },
                    home: VirtualPath::root(),
                    login: found.key.id.clone(),
                    method: AuthMethod::ApiKey,
                    expires: found.key.expires,
                    tenant: found.tenant,
                    identity: found.identity,
                })
            }
        }
    }

    /// The login of this name, where it may come by this protocol and from this address.
    fn eligible(&self, name: &str, peer: &Peer) -> Option<LoginMatch> {
        let found = self.directory.find_login(name)?;
        let by = match peer.protocol {
            Protocol::Scp => Protocol::Sftp,
            other => other,
        };
        (found.login.protocols.contains(&by) && allowed_from(&found.login.allow_from, peer.ip)).then_some(found)
    }

    /// See [`super::Gateway::accepts_key`].
    pub(crate) fn accepts_key(&self, login: &str, key: &PublicKey, peer: &Peer) -> bool {
        self.throttle.check(&self.counted(login), peer.ip.to_canonical()).is_ok()
            && self.eligible(login, peer).is_some_and(|found| holds_key(&found, key))
    }

    async fn put_opened(&self, session: &Session) -> Result<()> {
        let facts = self.facts(session, Operation::Login);
        let audit = facts.audit();
        let events = vec![facts.event("auth.succeeded"), facts.event("session.opened")];
        self.put(Durability::Process, audit, events).await?;
        session.opened.store(true, std::sync::atomic::Ordering::Release);
        Ok(())
    }

    /// See [`super::Gateway::close_session`].
    pub(crate) async fn close_session(&self, session: &Session) {
        session.leave();
        if !session.take_opened() {
            return;
        }
        let facts = self.facts(session, Operation::Logout);
        let audit = facts.audit();
        let events = vec![facts.event("session.closed")];
        let done = self.put(Durability::Process, audit, events).await;
        if let Err(error) = done {
            tracing::warn!(%error, session = %session.id, "the end of a session could not be put on record");
        }
    }

    /// Whether a login that the throttle turns away is the first one in a while: that one is on record, the flood behind
    /// it is not, as it must not be able to fill the ledger.
    fn is_first_refusal(&self, counted: &str, ip: IpAddr) -> bool {
        let now = tokio::time::Instant::now();
        let pause = self.settings.throttle.ban.max(REFUSALS_PAUSE);
        let mut refusals = held(&self.refusals);
        if refusals.len() >= MAX_REFUSALS {
            refusals.retain(|_, at| now.duration_since(*at) < pause);
        }
        // Where too many are remembered, none is on record; the failures before the ban are.
        if refusals.len() >= MAX_REFUSALS {
            return false;
        }
        match refusals.entry((counted.to_owned(), ip)) {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                let due = now.duration_since(*known.get()) >= pause;
                if due {
                    known.insert(now);
                }
                due
            }
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(now);
                true
            }
        }
    }

    async fn put_refused_login(&self, name: &str, method: AuthMethod, peer: &Peer, error: &Error) {
        let mut facts = Facts::of_peer(peer, &self.settings.node, Operation::Login).failed(error);
        facts.status = Status::Denied;
        facts.login = (method != AuthMethod::ApiKey).then(|| name.to_owned());
        facts.auth_method = Some(method);
        if let Some(found) = self.directory.find_login(name) {
            facts.tenant = Some(found.tenant.id.clone());
            facts.identity = Some(found.identity.id.to_string());
        }
        let audit = facts.audit();
        let events = vec![facts.event("auth.failed")];
        let durability = if error.kind() == ErrorKind::Throttled { Durability::Process } else { Durability::Disk };
        let done = self.put(durability, audit, events).await;
        if let Err(failure) = done {
            tracing::error!(error = %failure, "a refused login could not be put on record");
        }
    }

    /// Makes the folders that a session's view and home stand on, where they are missing (SEMANTICS, "Names and views").
    async fn ensure_view(&self, session: &Session) -> Result<()> {
        let key = (session.tenant.id.clone(), session.identity.id.clone(), session.home.as_str().to_owned());
        if held(&self.ensured).contains(&key) {
            return Ok(());
        }
        let mut folders: Vec<VirtualPath> = session.identity.view.entries().iter().map(|e| e.path.clone()).collect();
        if let crate::identity::Resolved::Place { path, .. } = session.identity.view.resolve(&session.home) {
            folders.push(path);
        }
        let (tenant, actor) = (session.tenant.id.clone(), Self::actor(session));
        self.write(Durability::Process, move |tx| {
            let (tenant, folders, actor) = (tenant.clone(), folders.clone(), actor.clone());
            Box::pin(async move {
                tx.ensure_root(&tenant, now()).await?;
                for folder in folders {
                    let names: Vec<&str> = folder.parts().collect();
                    let found = tx.walk(&tenant, &names).await?;
                    // Where a file stands in the way, the view simply has nothing there.
                    let Some(mut parent) = found.last().filter(|n| n.is_folder()).map(|n| n.id) else { continue };
                    for name in names.iter().skip(found.len().saturating_sub(1)) {
                        (parent, _) = ensure_folder(&mut *tx, &tenant, parent, name, &actor).await?;
                    }
                }
                Ok(())
            })
        })
        .await?;
        held(&self.ensured).insert(key);
        Ok(())
    }

    /// Forgets which views are known to stand: a folder was moved or removed.
    pub(crate) fn forget_ensured(&self) {
        held(&self.ensured).clear();
    }
}

fn holds_key(found: &LoginMatch, key: &PublicKey) -> bool {
    found.login.authorized_keys.iter().any(|known| bool::from(known.blob.ct_eq(&key.blob)))
}
