//! Logins by client certificates of TLS: alone, as one thing of several, or as what a listener requires beside all else.
//!
//! Every tenant's CAs are asked of every certificate, whoever it is shown for: whether a login exists, and what it takes,
//! must not be told by the time that this takes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::claim::{Claim, may_come};
use super::inner::Inner;
use super::login::{Admission, refused};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{
    AuthMethod, ClientCertificate, Credential, EndReason, Factor, LoginMatch, Peer, Progress, Session, Standing,
    Tenant, stands_for,
};

/// How many certificates are examined at once: whoever makes himself a chain of them makes the gateway search for a path.
static EXAMINING: Semaphore = Semaphore::const_new(2);

/// What the tenants' CAs say of a certificate, or why they cannot say it.
pub(super) struct Standings {
    certificate: ClientCertificate,
    /// By the tenants' ids.
    said: HashMap<Arc<str>, Said>,
}

type Said = std::result::Result<Standing, Arc<Error>>;

impl Standings {
    /// What those of a tenant say; none where that is not known, which is told in the log.
    fn of(&self, tenant: &Tenant) -> Option<&Standing> {
        match self.said.get(&tenant.id)? {
            Ok(standing) => Some(standing),
            Err(error) => {
                tracing::error!(
                    tenant = &*tenant.id,
                    %error,
                    "client certificates cannot be checked; until they can, none of this tenant lets in"
                );
                None
            }
        }
    }
}

impl Inner {
    /// Asks the CAs of all tenants, where that was not done for this step of a login already: `known` is what they have said,
    /// of this certificate or of another one.
    pub(super) async fn standings(
        &self,
        certificate: &ClientCertificate,
        known: Option<&Arc<Standings>>,
    ) -> Arc<Standings> {
        if let Some(known) = known.filter(|known| known.certificate == *certificate) {
            return known.clone();
        }
        let _turn = EXAMINING.acquire().await;
        // Tenants without a CA share what reads their certificates; it is asked once.
        let mut asked: HashMap<usize, Said> = HashMap::new();
        let mut by_tenant = HashMap::new();
        let directory = self.directory();
        for tenant in directory.tenants() {
            let authority = &tenant.certificates.clients;
            let key = Arc::as_ptr(authority).cast::<()>() as usize;
            let said = match asked.get(&key) {
                Some(said) => said.clone(),
                None => authority.examine(certificate).await.map_err(Arc::new),
            };
            asked.insert(key, said.clone());
            by_tenant.insert(tenant.id.clone(), said);
        }
        Arc::new(Standings { certificate: certificate.clone(), said: by_tenant })
    }

    /// Whether the certificate that these are the standings of stands for this login; without one the answer is no.
    pub(super) fn knows_client(found: Option<&LoginMatch>, standings: &Standings, ip: IpAddr) -> bool {
        let certificate = &standings.certificate;
        let Some(found) = found else { return false };
        let Some(standing) = standings.of(&found.tenant) else { return false };
        let checked = stands_for(&found.login, certificate, standing);
        if let Err(why) = &checked
            && !found.login.client_certificates.is_empty()
        {
            tracing::info!(
                login = &*found.login.username,
                %ip,
                fingerprint = hex::encode(certificate.fingerprint()),
                %why,
                "a client certificate is refused"
            );
        }
        checked.is_ok()
    }

    /// Whether a tenant knows the certificate that these are the standings of at all: one of its CAs stands for it, or one of
    /// its logins takes it.
    pub(super) fn knows_required(&self, tenant: &Arc<Tenant>, standings: &Standings) -> bool {
        let certificate = &standings.certificate;
        match standings.of(tenant) {
            Some(Standing::Signed { .. }) => true,
            Some(Standing::Unsigned(_)) => {
                self.directory().clients.by_fingerprint(certificate).any(|found| found.tenant.id == tenant.id)
            }
            Some(Standing::Refused(_)) | None => false,
        }
    }

    /// See [`super::Gateway::still_knows`].
    pub(super) async fn still_knows(&self, session: &Session, certificate: &ClientCertificate, peer: &Peer) -> bool {
        let stands = self.still_stands(session, certificate, peer.required_certificate.is_some()).await;
        if !stands {
            session.life.end(EndReason::Revoked);
        }
        stands
    }

    /// The same; `required`: whether the listener demands a certificate of everybody.
    pub(super) async fn still_stands(
        &self,
        session: &Session,
        certificate: &ClientCertificate,
        required: bool,
    ) -> bool {
        let standings = self.standings(certificate, None).await;
        let tenant = &session.tenant;
        if matches!(standings.said.get(&tenant.id), Some(Err(_))) {
            return true;
        }
        if required && !self.knows_required(tenant, &standings) {
            return false;
        }
        if !matches!(session.auth_method, AuthMethod::Login(by) if by.has(Factor::Certificate)) {
            return true;
        }
        let found = self.directory().find_login(&format!("{}@{}", session.login, tenant.id));
        Self::knows_client(found.as_ref(), &standings, session.client_ip)
    }

    /// Counts a certificate that does not let in, and puts that on record once in a while.
    fn refuse_certificate(self: &Arc<Self>, claim: &Claim, peer: &Peer) {
        self.metrics.login(peer.protocol, Err(&refused()));
        self.put_refused_later(claim, peer);
    }

    /// See [`super::Gateway::show_certificate`].
    pub(super) async fn show_certificate(
        self: &Arc<Self>,
        progress: &mut Progress,
        login: &str,
        certificate: &ClientCertificate,
        peer: &Peer,
    ) -> Result<Admission> {
        let credential = Credential::ClientCertificate { login: login.to_owned(), certificate: certificate.clone() };
        let claim = self.claim(&credential, peer);
        let admission = self.log_in(progress, credential, peer).await;
        // Clients show the one certificate that they have wherever they go: to a login that takes none it says nothing.
        let taken = claim.found.as_ref().is_some_and(|found| !found.login.client_certificates.is_empty());
        if matches!(&admission, Err(error) if error.kind() == ErrorKind::Unauthenticated) && taken {
            self.refuse_certificate(&claim, peer);
        }
        admission
    }

    /// See [`super::Gateway::login_by_certificate`].
    pub(super) async fn login_by_certificate(
        self: &Arc<Self>,
        certificate: &ClientCertificate,
        peer: &Peer,
    ) -> Result<Arc<Session>> {
        let shown = |login| Credential::ClientCertificate { login, certificate: certificate.clone() };
        // No login's name; on record it says which certificate it was. Counted, as examining one is work that anybody can ask
        // for who makes himself a certificate.
        let unknown =
            self.claim(&shown(format!("(client certificate) {}", hex::encode(certificate.fingerprint()))), peer);
        self.throttle
            .check(&unknown.counted, unknown.ip)
            .inspect_err(|error| self.metrics.login(peer.protocol, Err(error)))?;
        let standings = self.standings(certificate, None).await;
        let Some(found) = self.login_of(&standings, peer) else {
            self.throttle.failed(&unknown.counted, unknown.ip);
            self.refuse_certificate(&unknown, peer);
            return Err(refused());
        };
        let credential = shown(self.name_of(&found));
        let claim = self.claim(&credential, peer);
        let error = match self.step(&claim, &mut Progress::new(), &credential, peer, Some(&standings)).await {
            Ok(Admission::In(session)) => return Ok(session),
            Ok(Admission::More(next)) => {
                tracing::info!(
                    login = &*crate::identity::without_keys(&claim.name),
                    missing = next.as_str(),
                    "a client certificate alone is not enough"
                );
                refused()
            }
            Err(error) => error,
        };
        if error.kind() == ErrorKind::Unauthenticated {
            self.refuse_certificate(&claim, peer);
        }
        Err(error)
    }

    /// The one login that takes the certificate of these standings and may come this way. Where several do nobody can say who
    /// it is.
    fn login_of(&self, standings: &Standings, peer: &Peer) -> Option<LoginMatch> {
        let directory = self.directory();
        let (certificate, clients) = (&standings.certificate, &directory.clients);
        let mut logins: Vec<&LoginMatch> = clients.meant_by(certificate).collect();
        for tenant in directory.tenants() {
            if let Some(Standing::Signed { names }) = standings.of(tenant) {
                logins.extend(names.iter().flat_map(|name| clients.by_name(&tenant.id, name)));
            }
        }
        let stands = |found: &&LoginMatch| {
            let standing = standings.of(&found.tenant);
            may_come(found, peer.protocol, peer.ip)
                && standing.is_some_and(|it| stands_for(&found.login, certificate, it).is_ok())
        };
        logins.retain(stands);
        let (first, others) = logins.split_first()?;
        if let Some(other) = others.iter().find(|other| !Arc::ptr_eq(&other.login, &first.login)) {
            let (one, two) = (&*first.login.username, &*other.login.username);
            tracing::warn!(one, two, "a client certificate stands for two logins, and so for none; tell them apart");
            return None;
        }
        Some((*first).clone())
    }

    /// The name that a login is found by: its own, as the configuration writes it, where that is enough.
    fn name_of(&self, found: &LoginMatch) -> String {
        let name = &found.login.username;
        match self.directory().find_login(name) {
            Some(same) if Arc::ptr_eq(&same.login, &found.login) => name.to_string(),
            _ => format!("{name}@{}", found.tenant.id),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "client_certificates_test.rs"]
mod tests;
