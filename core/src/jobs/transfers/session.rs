//! As whom a job acts: as the identity that asked for it, by the credential that it asked with, as both are configured now.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::pattern::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::{Inner, Located, allowed_from, locate, locate_place, scopes_of_key};
use crate::identity::{AuthMethod, Factor, Grounds, Life, Protocol, Scope, Session, TokenOrigin};
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::Reach;
use crate::records::{Job, JobOrder, now};
use crate::tokens::cut;

fn gone() -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "the login or key that asked for this transfer is not valid any more; ask for it again with another one",
    )
}

impl Inner {
    /// Whether what was granted to whoever asked for a job holds no more.
    pub(super) async fn is_over(&self, job: &Job) -> Result<bool> {
        let Some(grant) = job.order.grant else { return Ok(false) };
        if self.is_revoked(grant).await {
            return Ok(true);
        }
        // What an API key gives itself has no row.
        if job.order.api_key {
            return Ok(false);
        }
        let row = self.ledger.read(Reach::of(&job.tenant)).await?.grant(&job.tenant, grant).await?;
        Ok(row.is_none_or(|row| !row.is_live(now())))
    }

    /// The session of a job. `Unauthenticated` where its login or key is gone, has expired, or is another identity's by now.
    pub(super) async fn session_of(&self, job: &Job) -> Result<Session> {
        let directory = self.directory();
        let (tenant, identity, login, scopes, home, expires, auth_method) = if let Some(url) = &job.order.issuer {
            // The token has ended long ago, as tokens do. What it stood for has to be there still.
            let tenant =
                directory.tenant(&job.tenant).filter(|_| self.takes_issuer(&job.tenant, url)).ok_or_else(gone)?;
            let identity = directory.identity(&job.tenant, &job.identity).ok_or_else(gone)?;
            let (login, method) = (job.login.as_str().into(), AuthMethod::Token(TokenOrigin::Issuer));
            (tenant.clone(), identity.clone(), login, identity.scopes, VirtualPath::root(), None, method)
        } else if job.order.api_key {
            let found = directory.api_key(&job.tenant, &job.login).ok_or_else(gone)?;
            let scopes = scopes_of_key(&found);
            if !job.order.client_ip.is_none_or(|ip| allowed_from(&found.key.allow_from, ip)) {
                return Err(gone());
            }
            let (id, expires) = (found.key.id.clone(), self.end_of_key(&found).map(|end| end.at));
            (found.tenant, found.identity, id, scopes, VirtualPath::root(), expires, AuthMethod::ApiKey)
        } else {
            let found = directory.login_of(&job.tenant, &job.login).ok_or_else(gone)?;
            let from_there = job.order.client_ip.is_none_or(|ip| allowed_from(&found.login.allow_from, ip));
            if !found.login.protocols.contains(&Protocol::Api) || !from_there {
                return Err(gone());
            }
            let (username, home, scopes) =
                (found.login.username.clone(), found.login.home.clone(), found.identity.scopes);
            let method = AuthMethod::one(Factor::Certificate);
            (found.tenant, found.identity, username, scopes, home, None, method)
        };
        if *identity.id != job.identity || expires.is_some_and(|end| end <= time::OffsetDateTime::now_utc()) {
            return Err(gone());
        }
        if self.is_over(job).await? {
            return Err(gone());
        }
        // What a token was not allowed, its job is not either.
        let scopes = match &job.order.scopes {
            Some(words) => cut(words.iter().filter_map(|word| Scope::parse(word)).collect(), scopes),
            None => scopes,
        };
        let life = Life::new((tenant.quota, identity.quota));
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
            issuer: job.order.issuer.as_deref().map(Into::into),
            opened: AtomicBool::new(false),
            place: Mutex::new(None),
            errand: None,
            life,
            grounds: Arc::new(Grounds::job()),
            span: Arc::default(),
        };
        policy::require_scope(&session, Scope::TransfersWrite)?;
        self.ensure_view(&session).await?;
        Ok(session)
    }
}

/// Fails where the names that were asked for are others' by now, as the identity's view or the login's home has changed.
pub(super) fn same_places(session: &Session, order: &JobOrder) -> Result<()> {
    let from = place_of_source(session, &Source::parse(&order.source)?)?;
    let to = locate_place(session, &VirtualPath::parse(&order.destination)?)?;
    if from == order.source_path && order.destination_path.as_deref() == Some(to.path.as_str()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        "the names of this transfer stand for other places since the configuration was changed; ask for it again",
    ))
}

/// The place of the tenant's tree that a source names, its pattern with it; none where it is a folder of the view alone.
pub(super) fn place_of_source(session: &Session, source: &Source) -> Result<Option<String>> {
    let Located::Place(place) = locate(session, source.base())? else { return Ok(None) };
    let whole = match source.path().below(source.base()) {
        Some(below) => place.path.append(&below)?,
        None => place.path,
    };
    Ok(Some(whole.as_str().to_owned()))
}

/// A session with a step to do, or with steps to look for.
pub(super) fn on(session: &Session, errand: super::Errand) -> Arc<Session> {
    Arc::new(session.on_errand(Arc::new(errand)))
}
