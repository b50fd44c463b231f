//! What a session stands on: the login or key that let it in, as it was then, and what was shown. Where that does not hold
//! any more, the session ends (`crate::gateway`, "holding").

use std::sync::Arc;

use uuid::Uuid;

use crate::tokens::Issuer;

use super::{ClientCertificate, Credential, KeyMatch, Login, PublicKey, UserCertificate};

/// The login or key that let a session in, as it was then.
#[derive(Clone, Debug)]
pub(crate) enum By {
    /// A login, or what a rule made of a name.
    Login(Arc<Login>),
    /// An API key.
    ApiKey(Box<KeyMatch>),
    /// A token of this provider of the tenant.
    Issuer(Arc<Issuer>),
    /// No caller's: a job asks for its rights itself, step by step.
    Job,
}

impl By {
    /// The API key, where it is one.
    pub(crate) fn key(&self) -> Option<&KeyMatch> {
        match self {
            Self::ApiKey(key) => Some(key),
            Self::Login(_) | Self::Issuer(_) | Self::Job => None,
        }
    }
}

/// What a login has shown that can be revoked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The key that it signed with.
    pub(crate) key: Option<PublicKey>,
    /// Its OpenSSH certificate.
    pub(crate) certificate: Option<UserCertificate>,
    /// Its TLS client certificate.
    pub(crate) client: Option<ClientCertificate>,
    /// The grant of its token, one of the gateway's own.
    pub(crate) grant: Option<Uuid>,
}

impl Evidence {
    /// Keeps what a credential that was right has shown.
    pub(crate) fn keep(&mut self, credential: &Credential) {
        match credential {
            Credential::PublicKey { key, .. } => self.key = Some(key.clone()),
            Credential::Certificate { certificate, .. } => self.certificate.clone_from(certificate),
            Credential::ClientCertificate { certificate, .. } => self.client = Some(certificate.clone()),
            Credential::Password { .. } | Credential::Code { .. } | Credential::ApiKey(_) | Credential::Token(_) => {}
        }
    }
}

/// All that a session stands on.
#[derive(Clone, Debug)]
pub(crate) struct Grounds {
    /// What let it in.
    pub(crate) by: By,
    /// What was shown.
    pub(crate) evidence: Evidence,
    /// The client certificate that its listener required, whatever else was shown.
    pub(crate) required: Option<ClientCertificate>,
}

impl Grounds {
    /// A job's.
    pub(crate) fn job() -> Self {
        Self { by: By::Job, evidence: Evidence::default(), required: None }
    }
}
