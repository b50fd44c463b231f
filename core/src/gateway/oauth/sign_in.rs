//! Signing in on the gateway's own pages: password, the code where the login needs one, and what the person decides. Between two
//! pages a row of the ledger says where it stands, so that any node may answer the next one; each step takes the row and makes a
//! new one under another secret, so that whoever knew the one before knows nothing.

use std::sync::Arc;

use secrecy::SecretString;
use uuid::Uuid;

use super::authorize::{Authorization, OAuthAnswer};
use super::grants::{mark_of, standing};
use super::refusal::OAuthFault;
use super::{CODE_PREFIX, bounded, digest, new_secret, parse_scopes, scope_text};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Status};
use crate::gateway::claim::{Claim, may_come};
use crate::gateway::inner::Inner;
use crate::gateway::login::{Admission, refused};
use crate::identity::{
    AuthMethod, Credential, Factor, FactorSet, LoginMatch, OAuthClientMatch, Peer, Progress, ScopeSet, Session,
};
use crate::ports::{Durability, Reach};
use crate::records::{AuthorizationRequest, Grant, SignIn, later, now};

/// What comes next in a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInNext {
    /// The time-based code of the login.
    Code,
    /// What the person decides.
    Consent,
}

/// A step of a sign-in that went well.
#[derive(Debug)]
pub struct SignInStep {
    /// What the next step is shown with. The one before counts no more.
    pub ticket: SecretString,
    /// What comes next.
    pub next: SignInNext,
}

/// Where a sign-in stands.
#[derive(Debug)]
pub enum SignInStage {
    /// It waits for the login's code.
    Code {
        /// Who asks.
        application: OAuthClientMatch,
        /// Where the answer goes.
        redirect_uri: String,
    },
    /// It waits for what the person decides.
    Consent(Box<Consent>),
}

/// What a person decides about.
#[derive(Debug)]
pub struct Consent {
    /// Who asks.
    pub application: OAuthClientMatch,
    /// The login that was proven.
    pub login: String,
    /// The identity that the application is to act as.
    pub identity: String,
    /// What it may do then; empty: nothing of what it asks for.
    pub scopes: ScopeSet,
    /// Where the answer goes.
    pub redirect_uri: String,
}

fn lapsed() -> Error {
    Error::new(ErrorKind::Expired, "the sign-in has lapsed or was ended; begin it anew at the application")
}

/// A row that counts, with whom it is about.
struct Standing {
    row: SignIn,
    application: OAuthClientMatch,
    person: LoginMatch,
}

impl Standing {
    /// What the application would be granted.
    fn scopes(&self) -> ScopeSet {
        let asked = parse_scopes(self.row.request.scope.as_deref()).ok().flatten();
        bounded(asked, self.person.identity.scopes, self.application.client.scopes)
    }
}

impl Inner {
    /// See [`crate::Gateway::sign_in`].
    pub(crate) async fn sign_in(
        self: &Arc<Self>,
        authorization: &Authorization,
        login: &str,
        password: SecretString,
        peer: &Peer,
    ) -> Result<SignInStep> {
        let tenant = &authorization.found.tenant.id;
        let directory = self.directory();
        let theirs = |found: &LoginMatch| found.tenant.id == *tenant;
        let found = directory.find_login(login).filter(theirs).or_else(|| directory.login_of(tenant, login));
        let claim = claim_of(found, login, Factor::Password, peer);
        let mut progress = Progress::new();
        let credential = Credential::Password { login: login.to_owned(), password };
        let admission = self.step(&claim, &mut progress, &credential, peer, None).await?;
        let Some(person) = &claim.found else { return Err(refused()) };
        let request = authorization.request.clone();
        match admission {
            Admission::In(session) => self.signed_in(&session, person, request, None).await,
            Admission::More(next) if next.has(Factor::Totp) => {
                let (ticket, row) = self.row_of(person, progress.proven(), false, request)?;
                self.write(Reach::of(&row.tenant), Durability::Process, move |tx| {
                    let row = row.clone();
                    Box::pin(async move { tx.insert_sign_in(&row).await })
                })
                .await?;
                Ok(SignInStep { ticket, next: SignInNext::Code })
            }
            Admission::More(missing) => {
                tracing::info!(login, ?missing, "a sign-in is refused: the login needs what cannot be shown on a page");
                let error = refused();
                self.metrics.login(peer.protocol, Err(&error));
                self.put_refused_login(&claim, peer, &error).await;
                Err(error)
            }
        }
    }

    /// See [`crate::Gateway::sign_in_by_code`].
    pub(crate) async fn sign_in_by_code(
        self: &Arc<Self>,
        ticket: &SecretString,
        code: SecretString,
        peer: &Peer,
    ) -> Result<SignInStep> {
        let standing = self.standing_of_ticket(ticket).await?.filter(|standing| !standing.row.complete);
        let Some(Standing { row, person, .. }) = standing else { return Err(lapsed()) };
        let name = format!("{}@{}", row.login, row.tenant);
        let claim = claim_of(Some(person.clone()), &name, Factor::Totp, peer);
        let mut progress = Progress::resumed(&name, FactorSet::from_bits(row.factors), person.login.require);
        let credential = Credential::Code { login: name, code };
        match self.step(&claim, &mut progress, &credential, peer, None).await? {
            Admission::In(session) => self.signed_in(&session, &person, row.request.clone(), Some(row.hash)).await,
            Admission::More(_) => Err(lapsed()),
        }
    }

    /// Puts a sign-in that is whole on record, in the place of its step before.
    async fn signed_in(
        &self,
        session: &Session,
        person: &LoginMatch,
        request: AuthorizationRequest,
        before: Option<[u8; 32]>,
    ) -> Result<SignInStep> {
        let AuthMethod::Login(proven) = session.auth_method else { return Err(refused()) };
        let mut facts = self.facts(session, Operation::Login);
        facts.client = Some(request.client.clone());
        let (ticket, row) = self.row_of(person, proven, true, request)?;
        let (audit, events, at) = (facts.audit(), vec![facts.event("auth.succeeded")], now());
        self.write(Reach::of(&row.tenant), Durability::Disk, move |tx| {
            let (row, audit, events) = (row.clone(), audit.clone(), events.clone());
            Box::pin(async move {
                if let Some(before) = before
                    && !tx.take_sign_in(&before, at).await?
                {
                    return Err(lapsed());
                }
                tx.insert_sign_in(&row).await?;
                tx.append_audit(&audit).await?;
                tx.append_events(&events).await
            })
        })
        .await?;
        Ok(SignInStep { ticket, next: SignInNext::Consent })
    }

    /// A new step of a sign-in, and what it is shown with.
    fn row_of(
        &self,
        person: &LoginMatch,
        proven: FactorSet,
        complete: bool,
        request: AuthorizationRequest,
    ) -> Result<(SecretString, SignIn)> {
        let (ticket, now) = (new_secret("")?, now());
        let row = SignIn {
            hash: digest(&ticket),
            tenant: person.tenant.id.to_string(),
            identity: person.identity.id.to_string(),
            login: person.login.username.to_string(),
            factors: proven.bits(),
            complete,
            mark: mark_of(person),
            request,
            created_at: now,
            expires_at: later(now, self.settings.oauth.sign_in),
        };
        Ok((ticket, row))
    }

    /// The row of a ticket, where it counts: its time is not up, and login and application are what they were.
    async fn standing_of_ticket(&self, ticket: &SecretString) -> Result<Option<Standing>> {
        let row = self.ledger.read(Reach::Gateway).await?.sign_in(&digest(ticket)).await?;
        let Some(row) = row.filter(|row| row.expires_at > now()) else { return Ok(None) };
        let directory = self.directory();
        let application = directory
            .find_oauth_client(&row.request.client)
            .filter(|found| *found.tenant.id == *row.tenant && found.client.redirects_to(&row.request.redirect_uri));
        let person = standing(&directory, (&row.tenant, &row.login, &row.identity), &row.mark);
        Ok(application.zip(person).map(|(application, person)| Standing { row, application, person }))
    }

    /// See [`crate::Gateway::sign_in_stage`].
    pub(crate) async fn sign_in_stage(&self, ticket: &SecretString) -> Result<Option<SignInStage>> {
        let Some(standing) = self.standing_of_ticket(ticket).await? else { return Ok(None) };
        let scopes = standing.scopes();
        let Standing { row, application, .. } = standing;
        Ok(Some(if row.complete {
            SignInStage::Consent(Box::new(Consent {
                application,
                login: row.login,
                identity: row.identity,
                scopes,
                redirect_uri: row.request.redirect_uri,
            }))
        } else {
            SignInStage::Code { application, redirect_uri: row.request.redirect_uri }
        }))
    }

    /// See [`crate::Gateway::decide`].
    pub(crate) async fn decide(&self, ticket: &SecretString, agrees: bool, peer: &Peer) -> Result<OAuthAnswer> {
        self.require_open()?;
        let standing = self.standing_of_ticket(ticket).await?.filter(|standing| standing.row.complete);
        let Some(standing) = standing.filter(|standing| may_come(&standing.person, peer.protocol, peer.ip)) else {
            return Err(lapsed());
        };
        let scopes = standing.scopes();
        let Standing { row, application, person } = standing;
        let mut facts = self.application_facts(&application, peer);
        facts.identity = Some(row.identity.clone());
        facts.login = Some(row.login.clone());
        facts.auth_method = Some(AuthMethod::Login(FactorSet::from_bits(row.factors)));
        let refusal = match (agrees, scopes.is_empty()) {
            (_, true) => Some((OAuthFault::InvalidScope, "this login may do none of what was asked for")),
            (false, false) => Some((OAuthFault::AccessDenied, "the person said no")),
            (true, false) => None,
        };
        let at = now();
        let (grant, code) = if refusal.is_some() {
            (None, None)
        } else {
            let code = new_secret(CODE_PREFIX)?;
            let grant = Grant {
                id: Uuid::now_v7(),
                tenant: row.tenant.clone(),
                client: row.request.client.clone(),
                identity: row.identity.clone(),
                login: row.login.clone(),
                factors: row.factors,
                mark: mark_of(&person),
                scopes: scope_text(scopes),
                redirect_uri: row.request.redirect_uri.clone(),
                redirect_named: row.request.redirect_named,
                challenge: row.request.challenge.clone(),
                code_hash: digest(&code),
                code_expires_at: later(at, self.settings.oauth.code),
                code_spent_at: None,
                created_at: at,
                ends_at: later(at, self.settings.oauth.refresh_lifetime),
                revoked_at: None,
            };
            (Some(grant), Some(code))
        };
        let event = match refusal {
            Some((_, why)) => {
                facts = facts.failed(&Error::new(ErrorKind::PermissionDenied, why));
                facts.status = Status::Denied;
                "auth.failed"
            }
            None => "auth.succeeded",
        };
        self.put_decision(row.hash, grant, facts, event).await?;
        let outcome = match (refusal, code) {
            (None, Some(code)) => Ok(code),
            (refusal, _) => Err(refusal.unwrap_or((OAuthFault::AccessDenied, "the person said no"))),
        };
        Ok(OAuthAnswer { redirect_uri: row.request.redirect_uri, state: row.request.state, outcome })
    }

    /// Takes the step, so that it is decided once, and puts what was decided on record.
    async fn put_decision(
        &self,
        step: [u8; 32],
        grant: Option<Grant>,
        facts: Facts,
        event: &'static str,
    ) -> Result<()> {
        let (audit, events, at) = (facts.audit(), vec![facts.event(event)], now());
        let reach = Reach::of(&audit.chain);
        self.write(reach, Durability::Disk, move |tx| {
            let (grant, audit, events) = (grant.clone(), audit.clone(), events.clone());
            Box::pin(async move {
                if !tx.take_sign_in(&step, at).await? {
                    return Err(lapsed());
                }
                if let Some(grant) = &grant {
                    tx.insert_grant(grant).await?;
                }
                tx.append_audit(&audit).await?;
                tx.append_events(&events).await
            })
        })
        .await
    }
}

/// That he is this login, of the application's tenant, which he wants to prove by this.
fn claim_of(found: Option<LoginMatch>, name: &str, factor: Factor, peer: &Peer) -> Claim {
    let counted = match &found {
        Some(found) => format!("{}@{}", found.login.username, found.tenant.id),
        None => name.to_owned(),
    };
    let ip = peer.ip.to_canonical();
    Claim { name: name.to_owned(), method: AuthMethod::one(factor), counted, found, key: None, ip }
}
