//! Letting callers in: one place for every protocol and credential. What a credential proves is in [`super::proof`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::claim::Claim;
use super::client_certificates::Standings;
use super::inner::{Inner, held};
use super::proof::{Proof, Shown};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Status};
use crate::identity::{
    AuthMethod, Credential, Directory, Factor, FactorSet, Grounds, Life, Peer, Place, Progress, Protocol, PublicKey,
    Session, hash_key, source_of,
};
use crate::namespace::ensure_folder;
use crate::path::VirtualPath;
use crate::ports::Durability;
use crate::records::now;
use crate::trace::{Span, SpanKind, carried, current};

/// The one answer to every credential that does not let in, whatever the reason.
pub(super) fn refused() -> Error {
    Error::new(ErrorKind::Unauthenticated, "the login or its credential is not valid here")
}

/// A login that is turned away again and again is put on record at most this often.
const REFUSALS_PAUSE: Duration = Duration::from_mins(1);
/// How many of them are remembered: about a megabyte.
const MAX_REFUSALS: usize = 10_000;
/// What part of them is forgotten at once when there are more, so that making room costs next to nothing for each.
const MAKE_ROOM: usize = 8;

/// What a step of a login came to.
#[derive(Debug)]
pub enum Admission {
    /// The caller is in.
    In(Arc<Session>),
    /// The credential is right, and the login must prove more: what would bring it on.
    More(FactorSet),
}

/// When a login that is turned away again and again was last put on record.
#[derive(Debug, Default)]
pub(crate) struct Refusals(HashMap<RefusalKey, Instant>);

/// The login, as a digest, so that it costs the same memory whatever its length, and the source. What is no login has
/// the source alone: whoever invents names must be able neither to fill the table nor to write a record for each.
type RefusalKey = (Option<[u8; 32]>, IpAddr);

impl Refusals {
    /// Whether this one is to be put on record: it is the first one in `pause`. `login` is none where there is no such
    /// login.
    fn is_first(&mut self, login: Option<&str>, ip: IpAddr, pause: Duration, now: Instant) -> bool {
        let key = (login.map(|login| Sha256::digest(login.as_bytes()).into()), source_of(ip));
        if let Some(last) = self.0.get_mut(&key) {
            let due = now.duration_since(*last) >= pause;
            if due {
                *last = now;
            }
            return due;
        }
        if self.0.len() >= MAX_REFUSALS {
            self.make_room(pause, now);
        }
        self.0.insert(key, now);
        true
    }

    /// Forgets those that count no more, and if that is not enough the oldest: a record too many is better than none.
    fn make_room(&mut self, pause: Duration, now: Instant) {
        self.0.retain(|_, last| now.duration_since(*last) < pause);
        let excess = (self.0.len() + MAX_REFUSALS / MAKE_ROOM).saturating_sub(MAX_REFUSALS);
        if excess == 0 {
            return;
        }
        let mut by_age: Vec<(Instant, RefusalKey)> = self.0.iter().map(|(key, last)| (*last, *key)).collect();
        if excess < by_age.len() {
            by_age.select_nth_unstable(excess);
            by_age.truncate(excess);
        }
        for (_, key) in by_age {
            self.0.remove(&key);
        }
    }
}

impl Inner {
    /// See [`super::Gateway::login`].
    pub(crate) async fn login(self: &Arc<Self>, credential: Credential, peer: &Peer) -> Result<Arc<Session>> {
        let session = self.login_alone(credential, peer).await?;
        self.require_no_signature(&session).await?;
        Ok(session)
    }

    /// Lets in by the credential alone, whatever else the caller has to show.
    pub(super) async fn login_alone(self: &Arc<Self>, credential: Credential, peer: &Peer) -> Result<Arc<Session>> {
        let claim = self.claim(&credential, peer);
        match self.step(&claim, &mut Progress::new(), &credential, peer, None).await? {
            Admission::In(session) => Ok(session),
            Admission::More(_) => {
                let error = refused();
                self.metrics.login(peer.protocol, Err(&error));
                self.put_refused_login(&claim, peer, &error).await;
                Err(error)
            }
        }
    }

    /// The next credential of a login.
    pub(super) async fn log_in_by(
        self: &Arc<Self>,
        progress: &mut Progress,
        credential: Credential,
        peer: &Peer,
    ) -> Result<Admission> {
        let admission = self.step(&self.claim(&credential, peer), progress, &credential, peer, None).await?;
        if let Admission::In(session) = &admission {
            self.require_no_signature(session).await?;
        }
        Ok(admission)
    }

    /// One credential of a login, counted. `known`: what was said of the client's certificate just before, where it was asked for.
    pub(super) async fn step(
        self: &Arc<Self>,
        claim: &Claim,
        progress: &mut Progress,
        credential: &Credential,
        peer: &Peer,
        known: Option<&Arc<Standings>>,
    ) -> Result<Admission> {
        let admission = self.take_step(claim, progress, credential, peer, known).await;
        match &admission {
            Ok(Admission::In(_)) => self.metrics.login(peer.protocol, Ok(())),
            Ok(Admission::More(_)) => {}
            // Who shows one counts its refusal.
            Err(error)
                if matches!(credential, Credential::ClientCertificate { .. })
                    && error.kind() == ErrorKind::Unauthenticated => {}
            Err(error) => self.metrics.login(peer.protocol, Err(error)),
        }
        admission
    }

    async fn take_step(
        self: &Arc<Self>,
        claim: &Claim,
        progress: &mut Progress,
        credential: &Credential,
        peer: &Peer,
        known: Option<&Arc<Standings>>,
    ) -> Result<Admission> {
        self.require_open()?;
        let asked = self.directory();
        progress.bind(&claim.name);
        // Who shows one puts its refusal on record (see `super::client_certificates`).
        let by_client_certificate = matches!(credential, Credential::ClientCertificate { .. });
        // A token that is right, or was, is no guess, whoever else has guessed from its address.
        let by_token = matches!(claim.method, AuthMethod::Token(_));
        let proof = match self.may_try(claim) {
            Err(throttled) if !by_token => Err(throttled),
            _ => self.prove(credential, claim, progress, peer, known).await,
        };
        let lapsed = by_token && proof.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unauthenticated);
        let signed = lapsed || by_token && matches!(proof, Ok(Some(_)));
        // Guesses that were all let in before the first one failed: the limit holds for them too.
        let proof = proof.and_then(|proof| if signed { Ok(proof) } else { self.may_try(claim).map(|()| proof) });
        let proof = match proof.and_then(|proof| proof.ok_or_else(refused)) {
            Ok(proof) => proof,
            // Whatever it says to the holder of a key that is over: it is a refusal like any other.
            Err(error) if error.kind() == ErrorKind::Unauthenticated && !lapsed => {
                if claim.is_guess() {
                    self.throttle.failed(&claim.counted, claim.ip);
                    self.put_refused_login(claim, peer, &error).await;
                } else if !by_client_certificate {
                    self.put_refused_later(claim, peer);
                }
                return Err(error);
            }
            Err(error) => {
                // Whoever has a token that has expired, or none can say what it is worth, may come again and again.
                let often = error.kind() == ErrorKind::Throttled || by_token;
                if !often || self.is_first_refusal(claim) {
                    self.put_refused_login(claim, peer, &error).await;
                }
                return Err(error);
            }
        };
        let proof = match proof {
            Proof::Factor { found, factor } => {
                progress.prove(factor, found.login.require);
                progress.keep(credential);
                if !progress.next().is_empty() {
                    return Ok(Admission::More(progress.next()));
                }
                let (proven, evidence) = (progress.proven(), progress.evidence());
                progress.clear();
                Proof::whole(found, proven, evidence)
            }
            whole @ Proof::Whole { .. } => whole,
        };
        // Only now: whoever knows one of two things must not be able to wipe out his guesses at the other.
        self.throttle.succeeded(&claim.counted, claim.ip);
        let place = match self.place(&proof, peer) {
            Ok(place) => place,
            Err(error) => {
                if self.is_first_refusal(claim) {
                    self.put_refused_login(claim, peer, &error).await;
                }
                return Err(error);
            }
        };
        self.enter(proof, place, peer, &asked).await.map(Admission::In)
    }

    /// A place among the sessions that last; a request of the API takes none.
    fn place(&self, proof: &Proof, peer: &Peer) -> Result<Option<Place>> {
        match (peer.protocol, proof) {
            (Protocol::Sftp | Protocol::Scp | Protocol::Ftps, Proof::Whole { tenant, login, .. }) => {
                self.places.enter(&tenant.id, login, peer.ip).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Lets in. `asked`: who was known when the credential was looked at.
    async fn enter(
        &self,
        proof: Proof,
        place: Option<Place>,
        peer: &Peer,
        asked: &Arc<Directory>,
    ) -> Result<Arc<Session>> {
        let Proof::Whole { tenant, identity, login, scopes, home, method, expires, issuer, by, evidence } = proof
        else {
            return Err(refused());
        };
        let life = Life::new((tenant.quota, identity.quota));
        let id = Uuid::now_v7();
        let span = self.span_of_session(peer.protocol, id, &tenant.id);
        let session = Arc::new(Session {
            errand: None,
            id,
            tenant,
            identity,
            login,
            protocol: peer.protocol,
            client_ip: peer.ip.to_canonical(),
            scopes,
            home,
            auth_method: method,
            cipher: peer.cipher.clone(),
            client_version: peer.client_version.clone(),
            expires,
            issuer,
            opened: AtomicBool::new(false),
            place: Mutex::new(place),
            life,
            grounds: Arc::new(Grounds { by, evidence: *evidence, required: peer.required_certificate.clone() }),
            span: Arc::new(span),
        });
        self.live.enter(&session);
        // Who looks through the sessions that are here when somebody is known no more has not seen this one before now.
        let known = self.directory();
        if !Arc::ptr_eq(asked, &known) && self.why_lost(&session, &known).is_some() {
            return Err(refused());
        }
        self.ensure_view(&session).await?;
        if peer.protocol != Protocol::Api {
            self.put_opened(&session).await?;
        }
        self.metrics.session(peer.protocol);
        Ok(session)
    }

    /// A session that lasts is told of itself, and begins a trace; a request of the API is a part of its own.
    fn span_of_session(&self, protocol: Protocol, id: Uuid, tenant: &str) -> Span {
        let name = match protocol {
            Protocol::Sftp => "SFTP session",
            Protocol::Scp => "SCP session",
            Protocol::Ftps => "FTPS session",
            Protocol::Api | Protocol::Transfer | Protocol::Gateway => return self.settings.tracer.under(current()),
        };
        let span = self.settings.tracer.begin(SpanKind::Server, name, None);
        if span.is_recording() {
            span.note("network.protocol.name", protocol.as_str());
            span.note("session.id", id.to_string());
            span.note("causeway.tenant", tenant.to_owned());
        }
        span
    }

    /// See [`super::Gateway::accepts_key`].
    pub(crate) async fn accepts_key(&self, progress: &mut Progress, login: &str, key: &PublicKey, peer: &Peer) -> bool {
        progress.bind(login);
        let claim = self.claim_login(login, Factor::PublicKey, peer);
        self.throttle.check(&claim.counted, claim.ip).is_ok()
            && self.holds_key(&claim, key, Shown::Offered, progress.proven(), peer).await
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
        self.live.forget(session.id);
        if let Some(reason) = session.end_reason() {
            session.span.fail(reason.code(), false);
        }
        session.span.end();
        if !session.take_opened() {
            return;
        }
        let mut facts = self.facts(session, Operation::Logout);
        if let Some(reason) = session.end_reason() {
            facts.status = Status::Cancelled;
            facts.error = Some((reason.code().to_owned(), reason.sentence().to_owned()));
        }
        let audit = facts.audit();
        let events = vec![facts.event("session.closed")];
        let done = self.put(Durability::Process, audit, events).await;
        if let Err(error) = done {
            tracing::warn!(%error, session = %session.id, "the end of a session could not be put on record");
        }
    }

    /// Whether a login that is turned away is the first one in a while: that one is on record, the flood behind it is
    /// not, as it must not be able to fill the ledger.
    pub(super) fn is_first_refusal(&self, claim: &Claim) -> bool {
        let known = claim.found.is_some() || claim.key.is_some();
        self.is_first_refusal_of(known.then_some(claim.counted.as_str()), claim.ip)
    }

    /// The same of whatever is counted under this name.
    pub(super) fn is_first_refusal_of(&self, counted: Option<&str>, ip: IpAddr) -> bool {
        let pause = self.limits().throttle.ban.max(REFUSALS_PAUSE);
        held(&self.refusals).is_first(counted, ip, pause, Instant::now())
    }

    /// Puts a refusal of what nobody guesses on record, once in a while, and behind the client's back: only what names a login
    /// is put there for each, so the time that it takes would tell which logins there are.
    pub(super) fn put_refused_later(self: &Arc<Self>, claim: &Claim, peer: &Peer) {
        if !self.is_first_refusal(claim) {
            return;
        }
        let (this, claim, peer) = (self.clone(), claim.clone(), peer.clone());
        self.tasks.spawn(carried(async move { this.put_refused_login(&claim, &peer, &refused()).await }));
    }

    pub(super) async fn put_refused_login(&self, claim: &Claim, peer: &Peer, error: &Error) {
        let mut facts = Facts::of_peer(peer, &self.settings.node, Operation::Login).failed(&self.reason(claim, error));
        facts.status = Status::Denied;
        facts.login = claim.names_login().then(|| claim.name.clone());
        facts.auth_method = Some(claim.method);
        if let Some(found) = &claim.found {
            facts.tenant = Some(found.tenant.id.clone());
            facts.identity = Some(found.identity.id.to_string());
        }
        if let Some(found) = &claim.key {
            facts.tenant = Some(found.tenant.id.clone());
            facts.identity = Some(found.identity.id.to_string());
            facts.login = Some(found.key.id.to_string());
        }
        let audit = facts.audit();
        let events = vec![facts.event("auth.failed")];
        let durability = if error.kind() == ErrorKind::Throttled { Durability::Process } else { Durability::Disk };
        let done = self.put(durability, audit, events).await;
        if let Err(failure) = done {
            tracing::error!(error = %failure, "a refused login could not be put on record");
        }
    }

    /// See [`super::Gateway::leaked_key`].
    pub(crate) async fn put_leaked_key(&self, key: &SecretString, peer: &Peer) {
        let Some(found) = self.directory().find_api_key(&hash_key(key.expose_secret())) else { return };
        let what = format!("a URL with {}", found.key.id);
        if !held(&self.refusals).is_first(Some(&what), peer.ip.to_canonical(), REFUSALS_PAUSE, Instant::now()) {
            return;
        }
        tracing::warn!(tenant = &*found.tenant.id, key = &*found.key.id, ip = %peer.ip, "an API key was sent in a URL; replace it");
        let mut facts = Facts::of_peer(peer, &self.settings.node, Operation::Login);
        facts.tenant = Some(found.tenant.id.clone());
        facts.identity = Some(found.identity.id.to_string());
        facts.login = Some(found.key.id.to_string());
        facts.auth_method = Some(AuthMethod::ApiKey);
        let sentence = "the API key was sent in a URL, where logs and histories keep it; it has to be replaced";
        self.put_failure(facts, &Error::new(ErrorKind::PermissionDenied, sentence)).await;
    }

    /// Makes the folders that a session's view and home stand on, where they are missing (SEMANTICS, "Names and views").
    pub(crate) async fn ensure_view(&self, session: &Session) -> Result<()> {
        let key = (session.tenant.id.clone(), session.identity.id.clone(), session.home.as_str().to_owned());
        if held(&self.ensured).has(&key) {
            return Ok(());
        }
        let mut folders: Vec<VirtualPath> = session.identity.view.entries().iter().map(|e| e.path.clone()).collect();
        if let crate::identity::Resolved::Place { path, .. } = session.identity.view.resolve(&session.home) {
            folders.push(path);
        }
        let (tenant, actor) = (session.tenant.id.clone(), Self::actor(session));
        self.write(session.reach(), Durability::Process, move |tx| {
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
        // Where another view of this identity has taken its place meanwhile, nothing is known of that one.
        let directory = self.directory();
        let now = directory.identity(&session.tenant.id, &session.identity.id);
        if now.is_some_and(|now| Arc::ptr_eq(now, &session.identity)) {
            held(&self.ensured).add_anyway(key);
        }
        Ok(())
    }

    /// Forgets which views are known to stand: a folder was moved or removed.
    pub(crate) fn forget_ensured(&self) {
        held(&self.ensured).clear();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_mins(1);

    #[test]
    fn a_login_that_is_turned_away_is_on_record_once_in_a_while() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let [here, mapped, there]: [IpAddr; 3] =
            ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        assert!(refusals.is_first(Some("bank@acme"), here, PAUSE, start));
        assert!(!refusals.is_first(Some("bank@acme"), mapped, PAUSE, start + PAUSE / 2));
        assert!(refusals.is_first(Some("bank@acme"), there, PAUSE, start));
        assert!(refusals.is_first(Some("shop@acme"), here, PAUSE, start));
        assert!(refusals.is_first(None, here, PAUSE, start), "names without a login are one");
        assert!(!refusals.is_first(None, here, PAUSE, start));
        assert!(refusals.is_first(Some("bank@acme"), here, PAUSE, start + PAUSE));
        assert!(!refusals.is_first(Some("bank@acme"), here, PAUSE, start + PAUSE));
    }

    #[test]
    fn many_sources_do_not_keep_others_off_the_record() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let count = u32::try_from(MAX_REFUSALS).unwrap() * 2;
        for n in 0..count {
            let at = start + Duration::from_micros(n.into());
            assert!(refusals.is_first(None, IpAddr::from((0x0a00_0000 + n).to_be_bytes()), PAUSE, at), "{n}");
            assert!(refusals.0.len() <= MAX_REFUSALS);
        }
        let last = IpAddr::from((0x0a00_0000 + count - 1).to_be_bytes());
        let now = start + Duration::from_secs(1);
        assert!(!refusals.is_first(None, last, PAUSE, now), "the youngest are remembered");
        assert!(refusals.is_first(None, IpAddr::from([10, 0, 0, 0]), PAUSE, now), "the oldest are not");
    }
}
