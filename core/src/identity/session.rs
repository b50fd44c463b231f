//! A session: an identity that is here, and how it came.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, Either};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::jobs::{Errand, settle};
use crate::ports::{Reach, Tx};

use super::{EndReason, Factor, FactorSet, Grounds, Identity, Life, Place, Protocol, ScopeSet, Tenant};
use crate::path::VirtualPath;
use crate::tokens::Via;
use crate::trace::Span;

/// How a session was authenticated, by the names that audit entries carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// What a login has proven, one thing or several.
    Login(FactorSet),
    /// An API key.
    ApiKey,
    /// Nothing: somebody at the machine, with the configuration and the ledger in hands (`causeway key`, `causeway user`).
    Operator,
    /// A JSON Web Token.
    Token(TokenOrigin),
}

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOrigin {
    /// That is not known, as it was refused.
    Unread,
    /// The gateway itself, which gave it for this.
    Own(Via),
    /// An OpenID provider that the tenant names.
    Issuer,
}

impl AuthMethod {
    /// One thing that a login proves.
    pub const fn one(factor: Factor) -> Self {
        Self::Login(FactorSet::NONE.with(factor))
    }

    /// Whether it stands on an API key: shown, or one that a token was given by.
    pub(crate) const fn is_key(self) -> bool {
        matches!(self, Self::ApiKey | Self::Token(TokenOrigin::Own(Via::ApiKey)))
    }

    /// The name in audit entries and in `GET /auth/validate`: `password`, `publickey+totp`, `api_key`, `jwt`, `oidc` …
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login(proven) => proven.as_str(),
            Self::ApiKey => "api_key",
            Self::Operator => "operator",
            Self::Token(TokenOrigin::Unread | TokenOrigin::Own(_)) => "jwt",
            Self::Token(TokenOrigin::Issuer) => "oidc",
        }
    }
}

/// An authenticated caller. Over SFTP and FTPS it lives as long as the connection; over REST one request is one
/// session. Paths that protocols hand to core are paths below [`Session::home`].
#[derive(Debug)]
pub struct Session {
    /// UUIDv7; stands in every event of the session.
    pub id: Uuid,
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The identity that it acts as.
    pub identity: Arc<Identity>,
    /// The login or API key id, as configured; of a token the one that it was given by; of an issuer's token its subject.
    pub login: Arc<str>,
    /// The protocol that it came by.
    pub protocol: Protocol,
    /// The client's address.
    pub client_ip: IpAddr,
    /// The identity's scopes, narrowed by the credential.
    pub scopes: ScopeSet,
    /// The session's root, in the identity's view.
    pub home: VirtualPath,
    /// How it was authenticated.
    pub auth_method: AuthMethod,
    /// The connection's cipher.
    pub cipher: Option<String>,
    /// The client's software.
    pub client_version: Option<String>,
    /// When the credential ends, where it does (API keys, tokens).
    pub expires: Option<time::OffsetDateTime>,
    /// The issuer of the token that it came by, where that is not the gateway itself.
    pub(crate) issuer: Option<Arc<str>>,
    /// Whether `session.opened` was told, so that `session.closed` follows once.
    pub(crate) opened: AtomicBool,
    /// Its place among the sessions of its login and of its address, until it is closed.
    pub(crate) place: Mutex<Option<Place>>,
    /// The job that it works on; none: a caller's.
    pub(crate) errand: Option<Arc<Errand>>,
    /// What becomes of it.
    pub(crate) life: Arc<Life>,
    /// What it stands on.
    pub(crate) grounds: Arc<Grounds>,
    /// What is told of it in a trace; of a request of the API, its place in the request's.
    pub(crate) span: Arc<Span>,
}

impl Session {
    /// The same session as another protocol of its connection acts in it: scp over SSH beside SFTP. Only the protocol's
    /// name in events and audit entries differs; who ends the session ends the first one.
    pub fn over(&self, protocol: Protocol) -> Self {
        Self {
            id: self.id,
            tenant: self.tenant.clone(),
            identity: self.identity.clone(),
            login: self.login.clone(),
            protocol,
            client_ip: self.client_ip,
            scopes: self.scopes,
            home: self.home.clone(),
            auth_method: self.auth_method,
            cipher: self.cipher.clone(),
            client_version: self.client_version.clone(),
            expires: self.expires,
            issuer: self.issuer.clone(),
            opened: AtomicBool::new(false),
            place: Mutex::new(None),
            errand: self.errand.clone(),
            life: self.life.clone(),
            grounds: self.grounds.clone(),
            span: self.span.clone(),
        }
    }

    /// Does an operation of the session, and tells of it where its trace is recorded; where not, this costs nothing.
    pub(crate) fn traced<'f, T, F>(&self, name: &'static str, work: F) -> Either<F, BoxFuture<'f, Result<T>>>
    where
        T: Send + 'f,
        F: Future<Output = Result<T>> + Send + 'f,
    {
        if !self.span.has_children() {
            return Either::Left(work);
        }
        let span = self.span.child(name);
        Either::Right(Box::pin(async move {
            let result = span.within(work).await;
            if let Err(error) = &result {
                span.fail_by(error);
            }
            result
        }))
    }

    /// Tells of an operation that did not even begin, and hands its result on.
    pub(crate) fn begun<T>(&self, name: &'static str, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && self.span.has_children()
        {
            self.span.child(name).fail_by(error);
        }
        result
    }

    /// Cancelled when the session is to end before its client ends it. Whoever serves it waits for this beside its own work:
    /// it begins nothing more, lets what is being committed come to its end, leaves the rest incomplete, and tells the client
    /// [`EndReason::sentence`].
    pub fn ended(&self) -> &CancellationToken {
        self.life.ended()
    }

    /// The quotas of its tenant and of its identity, as they are now: they may change while it is here.
    pub(crate) fn quotas(&self) -> (Option<u64>, Option<u64>) {
        self.life.quotas()
    }

    /// Why the session was ended, once it was.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.life.reason()
    }

    /// Waits until the session is ended; why what it has under way breaks off.
    pub async fn until_ended(&self) -> Error {
        self.life.ended().cancelled().await;
        self.end_reason().unwrap_or(EndReason::Changed).error()
    }

    /// The error of what the session begins after it was ended.
    pub(crate) fn require_live(&self) -> Result<()> {
        self.end_reason().map_or(Ok(()), |reason| Err(reason.error()))
    }

    /// Why something of the session broke off: that it was ended, where that is what made the front end give up.
    pub(crate) fn cause(&self, reason: &Error) -> Error {
        match self.end_reason() {
            Some(ended) if reason.kind() == ErrorKind::Incomplete => ended.error(),
            _ => reason.clone(),
        }
    }

    /// Whose rows of the ledger it reaches: its tenant's.
    pub(crate) fn reach(&self) -> Reach {
        Reach::Tenant(self.tenant.id.clone())
    }

    /// The same session with a job to work on.
    pub(crate) fn on_errand(&self, errand: Arc<Errand>) -> Self {
        Self { errand: Some(errand), ..self.over(self.protocol) }
    }

    /// Puts the step of the job that this session works on, if any, on record as done, in the transaction that does it. Fails
    /// where the job has changed hands: then nothing of the transaction may happen.
    pub(crate) async fn settle(&self, tx: &mut dyn Tx, bytes: u64) -> Result<()> {
        settle(tx, self.errand.as_deref(), bytes).await
    }

    /// Notes bytes that were copied, and fails where the job that this session works on is to go no further.
    pub(crate) fn moved(&self, bytes: u64) -> Result<()> {
        self.errand.as_ref().map_or(Ok(()), |errand| errand.moved(bytes))
    }

    /// Whether what goes wrong is put on record by the job that this session works on.
    pub(crate) const fn answers_to_a_job(&self) -> bool {
        self.errand.is_some()
    }

    /// Gives its place to the next session.
    pub(crate) fn leave(&self) {
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Takes the mark that the session was opened; true for the first caller.
    pub(crate) fn take_opened(&self) -> bool {
        self.opened.swap(false, Ordering::AcqRel)
    }
}
