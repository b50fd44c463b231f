//! As whom a job acts: as the identity that asked for it, by the credential that it asked with, as both are configured now.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::identity::{AuthMethod, Factor, Protocol, Scope, Session};
use crate::path::VirtualPath;
use crate::policy;
use crate::records::Job;

fn gone() -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "the login or key that asked for this transfer is not valid any more; ask for it again with another one",
    )
}

impl Inner {
    /// The session of a job. `Unauthenticated` where its login or key is gone, has expired, or is another identity's by now.
    pub(super) async fn session_of(&self, job: &Job) -> Result<Session> {
        let (tenant, identity, login, scopes, home, expires, auth_method) = if job.order.api_key {
            let found = self.directory.api_key(&job.tenant, &job.login).ok_or_else(gone)?;
            let (narrowed, all) = (found.key.scopes, found.identity.scopes);
            let scopes = if narrowed.is_empty() { all } else { all.and(narrowed) };
            let (id, expires) = (found.key.id.clone(), found.key.expires);
            (found.tenant, found.identity, id, scopes, VirtualPath::root(), expires, AuthMethod::ApiKey)
        } else {
            let found = self.directory.login_of(&job.tenant, &job.login).ok_or_else(gone)?;
            let (username, home, scopes) =
                (found.login.username.clone(), found.login.home.clone(), found.identity.scopes);
            let method = AuthMethod::one(Factor::Certificate);
            (found.tenant, found.identity, username, scopes, home, None, method)
        };
        if *identity.id != job.identity || expires.is_some_and(|end| end <= time::OffsetDateTime::now_utc()) {
            return Err(gone());
        }
        let session = Session {
            id: Uuid::now_v7(),
            tenant,
            identity,
            login,
            protocol: Protocol::Transfer,
            client_ip: job.order.client_ip.unwrap_or(std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)),
            scopes,
            home,
            auth_method,
            cipher: None,
            client_version: None,
            expires,
            opened: AtomicBool::new(false),
            place: Mutex::new(None),
            errand: None,
        };
        policy::require_scope(&session, Scope::TransfersWrite)?;
        self.ensure_view(&session).await?;
        Ok(session)
    }
}

/// A session with a step to do, or with steps to look for.
pub(super) fn on(session: &Session, errand: super::Errand) -> Arc<Session> {
    Arc::new(session.on_errand(Arc::new(errand)))
}
