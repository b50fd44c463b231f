//! Which application is asking (RFC 6749 section 2.3): an API key, whose id and key are its client id and secret, or one that
//! is registered, with a secret or (a public client) without.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::refusal::{OAuthFault, OAuthRefusal};
use crate::error::{Error, ErrorKind};
use crate::events::{Facts, Operation, Status};
use crate::gateway::inner::Inner;
use crate::identity::{Credential, OAuthClientMatch, Peer, Session, hash_key};
use crate::ports::Durability;

/// Which application somebody says that it is.
#[derive(Debug)]
pub struct ClientClaim {
    /// `client_id`.
    pub id: String,
    /// `client_secret`, where one was sent.
    pub secret: Option<SecretString>,
}

/// An application that is who it says.
pub(super) enum Caller {
    /// An API key.
    Key(Arc<Session>),
    /// A registered one.
    Application {
        /// Which.
        found: OAuthClientMatch,
        /// Whether it has proven it by a secret.
        proven: bool,
    },
}

impl Caller {
    /// Its client id.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Key(session) => &session.login,
            Self::Application { found, .. } => &found.client.id,
        }
    }

    /// Its tenant.
    pub(super) fn tenant(&self) -> &Arc<str> {
        match self {
            Self::Key(session) => &session.tenant.id,
            Self::Application { found, .. } => &found.tenant.id,
        }
    }
}

/// The one answer to every client that is not who it says.
fn stranger() -> OAuthRefusal {
    OAuthRefusal::new(OAuthFault::InvalidClient, "the client id or its secret is not valid here")
}

/// The name that failures of a registered application are counted under.
pub(super) fn counted(id: &str) -> String {
    format!("(oauth client) {id}")
}

impl Inner {
    /// Which application asks. Wrong secrets count as failed logins of that application from that address.
    pub(super) async fn caller(self: &Arc<Self>, claim: &ClientClaim, peer: &Peer) -> Result<Caller, OAuthRefusal> {
        self.require_open()?;
        if let Some(found) = self.directory().find_oauth_client(&claim.id) {
            return self.application(found, claim, peer).await;
        }
        let Some(secret) = &claim.secret else { return Err(stranger()) };
        // Expiry, networks, throttle and trail are those of the key.
        let session = match self.login(Credential::ApiKey(secret.clone()), peer).await {
            Ok(session) => session,
            Err(error) if error.kind() == ErrorKind::Unauthenticated => return Err(stranger()),
            Err(error) => return Err(error.into()),
        };
        if *session.login != *claim.id {
            let error = Error::new(ErrorKind::Unauthenticated, "the key is another one than the client id says");
            self.put_refusal(Facts::of_session(&session, &self.settings.node, Operation::Login), &error).await;
            return Err(stranger());
        }
        Ok(Caller::Key(session))
    }

    async fn application(
        self: &Arc<Self>,
        found: OAuthClientMatch,
        claim: &ClientClaim,
        peer: &Peer,
    ) -> Result<Caller, OAuthRefusal> {
        if let Some(certificate) = &peer.required_certificate {
            let said = self.standings(certificate, None).await;
            if !self.knows_required(&found.tenant, &said) {
                return Err(stranger());
            }
        }
        let proven = match (&found.client.secret_hash, &claim.secret) {
            (None, None) => false,
            (Some(hash), Some(secret)) => {
                let (counted, ip) = (counted(&claim.id), peer.ip.to_canonical());
                // One that is right is no guess, whoever else has guessed from its address.
                let right = bool::from(hash_key(secret.expose_secret()).ct_eq(hash));
                if let Some(throttled) = self.throttle.check(&counted, ip).err().filter(|_| !right) {
                    if self.is_first_refusal_of(Some(&counted), ip) {
                        self.put_refusal(self.application_facts(&found, peer), &throttled).await;
                    }
                    return Err(throttled.into());
                }
                if !right {
                    self.throttle.failed(&counted, ip);
                    let error = Error::new(ErrorKind::Unauthenticated, "the secret of the application is wrong");
                    self.put_refusal(self.application_facts(&found, peer), &error).await;
                    return Err(stranger());
                }
                self.throttle.succeeded(&counted, ip);
                true
            }
            // One that has no secret shows one, or one that has shows none: no guess, and no way to fill the trail.
            (None, Some(_)) | (Some(_), None) => {
                let error = Error::new(ErrorKind::Unauthenticated, "the application has not proven who it is");
                self.put_refusal_once(&found, peer, &error).await;
                return Err(stranger());
            }
        };
        Ok(Caller::Application { found, proven })
    }

    /// The facts of a registered application's request.
    pub(super) fn application_facts(&self, found: &OAuthClientMatch, peer: &Peer) -> Facts {
        let mut facts = Facts::of_peer(peer, &self.settings.node, Operation::Login);
        facts.tenant = Some(found.tenant.id.clone());
        facts.client = Some(found.client.id.to_string());
        facts
    }

    /// Puts a refusal on record, durably.
    pub(super) async fn put_refusal(&self, facts: Facts, error: &Error) {
        let mut facts = facts.failed(error);
        facts.status = Status::Denied;
        let (audit, events) = (facts.audit(), vec![facts.event("auth.failed")]);
        let durability = if error.kind() == ErrorKind::Throttled { Durability::Process } else { Durability::Disk };
        if let Err(failure) = self.put(durability, audit, events).await {
            tracing::error!(error = %failure, "the refusal of an application could not be put on record");
        }
    }

    /// The same once in a while: of what anybody can send as often as he likes.
    pub(super) async fn put_refusal_once(&self, found: &OAuthClientMatch, peer: &Peer, error: &Error) {
        if self.is_first_refusal_of(Some(&counted(&found.client.id)), peer.ip.to_canonical()) {
            self.put_refusal(self.application_facts(found, peer), error).await;
        }
    }
}
