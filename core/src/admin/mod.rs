//! Administration: who is known, changed through the API while the gateway runs. An object that was declared there lives in the
//! ledger; what the configuration declares is shown beside it and cannot be changed. A change is one transaction with its
//! audit entry and its event, and in force on this node when it is answered; every other node follows within a second.
//!
//! What may be changed by whom is decided here alone:
//! - `admin` manages its own tenant, `admin:gateway` every tenant and the gateway itself. Of other tenants an administrator
//!   learns nothing: what is theirs is not there.
//! - Nobody gives a scope that only `admin:gateway` has, nor touches an identity that has it or a way to become that
//!   identity, without having it himself. The other scopes are those of the own tenant, whose files its administrator manages.
//! - What others still name is not removed, and nobody takes the last way in from his own tenant's administrators.

mod api_keys;
mod change;
mod declared;
mod guard;
mod totp;
mod usage;
mod webhook_deliveries;
mod webhooks;

use std::fmt;

use sha2::{Digest as _, Sha256};

pub use api_keys::{Amendment, ApiKeyChange, KeyRotation, KeyState, NewApiKey, ShownApiKey};
pub(crate) use change::Wish;
pub use declared::Spec;
pub use usage::{IdentityUsage, Usage};
pub use webhook_deliveries::{DeliveryFilter, Replayed, ShownDelivery, Tested};
pub use webhooks::{NewWebhook, SecretRotation, ShownWebhook, WebhookChange};

pub use crate::gateway::{LIMITS, UPLOADS};

use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::identity::spec::Fault;
use crate::identity::{Directory, Scope, Session};
use crate::policy;
use crate::records::{Micros, ObjectKey, ObjectKind, StoredObject};

/// Where an object was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManagedBy {
    /// In the configuration: it cannot be changed through the API.
    Config,
    /// Through the API.
    Api,
}

impl ManagedBy {
    /// The word of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Api => "api",
        }
    }
}

/// An object, as administrators see it.
#[derive(Clone, Debug)]
pub struct Administered<S> {
    /// Which one.
    pub key: ObjectKey,
    /// Where it was declared.
    pub managed_by: ManagedBy,
    /// What a change of it must name; none where the configuration declares it.
    pub version: Option<i64>,
    /// Differs from that of every other state of it: text without quotes, for an entity tag.
    pub tag: String,
    /// When it was made; none where the configuration declares it.
    pub created_at: Option<Micros>,
    /// When it was changed last; the same.
    pub changed_at: Option<Micros>,
    /// Why it does not count; none: it does.
    pub left_out: Option<String>,
    /// How it is declared; none where that cannot be read (see `left_out`).
    pub spec: Option<S>,
}

/// Why an object was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its fields are wrong: all of them.
    Wrong(Vec<Fault>),
    /// The configuration declares it.
    Declared,
    /// There is one of this name.
    Taken,
    /// These still name it, or would not count any more.
    InUse(Vec<ObjectKey>),
    /// It is a tenant that has files.
    HasFiles,
    /// It is the last way in for the administrators of the caller's own tenant.
    LastAdmin,
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Refusal {
    /// As an error: the kind, and a sentence that says what to do.
    pub fn error(&self) -> Error {
        let conflict = |sentence: &'static str| Error::new(ErrorKind::Conflict, sentence);
        match self {
            Self::Wrong(_) => {
                Error::new(ErrorKind::InvalidArgument, "the body's members are wrong; `errors` names them")
            }
            Self::Declared => conflict("this is declared in the configuration file; change it there"),
            Self::Taken => {
                Error::new(ErrorKind::AlreadyExists, "there is one of this name; take another, or change that one")
            }
            Self::InUse(users) => {
                let named: Vec<String> =
                    users.iter().take(20).map(|key| format!("{} `{}`", key.kind, key.id)).collect();
                let more = if users.len() > named.len() { " and others" } else { "" };
                let sentence =
                    format!("this is still used by {}{more}; change or remove those first", named.join(", "));
                Error::new(ErrorKind::Conflict, sentence)
            }
            Self::HasFiles => conflict("the tenant still has files; remove them first"),
            Self::LastAdmin => conflict(
                "this is the last way in for an administrator of this tenant; make another one first, so that nobody is locked out",
            ),
            Self::Failed(error) => error.clone(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error().message())
    }
}

impl std::error::Error for Refusal {}

impl Inner {
    /// The tenant whose objects of this kind a session may manage: its own, where it names none. `NotFound` for another one's,
    /// unless it operates the gateway.
    pub(crate) fn administers(&self, session: &Session, kind: ObjectKind, tenant: Option<&str>) -> Result<String> {
        let operates = session.scopes.allows(Scope::AdminGateway);
        match kind {
            ObjectKind::Tenant | ObjectKind::Setting => policy::require_scope(session, Scope::AdminGateway)?,
            ObjectKind::Identity | ObjectKind::Login | ObjectKind::Mapping | ObjectKind::ApiKey => {
                policy::require_scope(session, Scope::Admin)?;
            }
            ObjectKind::Webhook => policy::require_scope(session, Scope::WebhooksWrite)?,
        }
        match tenant {
            None if kind == ObjectKind::Setting => Ok(String::new()),
            None => Ok(session.tenant.id.to_string()),
            Some(named) if *named == *session.tenant.id => Ok(named.to_owned()),
            Some(named) if operates && self.directory().tenant(named).is_some() => Ok(named.to_owned()),
            Some(_) => Err(Error::not_found()),
        }
    }

    /// Fails, and says so on the trail, unless the session may operate the gateway.
    pub(crate) async fn may_operate(&self, session: &Session) -> Result<()> {
        let result = self.administers(session, ObjectKind::Setting, None).map(drop);
        if let Err(error) = &result {
            self.put_refused_change(session, &ObjectKey::new("", ObjectKind::Setting, ""), "read", error).await;
        }
        result
    }

    /// See [`crate::Gateway::administered`].
    pub(crate) async fn administered<S: Spec>(
        &self,
        session: &Session,
        tenant: Option<&str>,
    ) -> Result<Vec<Administered<S>>> {
        let result = self.administers(session, S::KIND, tenant).map(|tenant| shown(&self.directory(), &tenant));
        if let Err(error) = &result {
            self.put_refused_change(session, &ObjectKey::new(tenant.unwrap_or_default(), S::KIND, ""), "read", error)
                .await;
        }
        result
    }

    /// See [`crate::Gateway::administered_one`].
    pub(crate) async fn administered_one<S: Spec>(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
    ) -> Result<Administered<S>> {
        let all = self.administered::<S>(session, tenant).await?;
        all.into_iter().find(|one| one.key.id == id).ok_or_else(Error::not_found)
    }

    /// The same of what is called so: "no such file or folder" would be a strange thing to say of a key.
    pub(crate) async fn administered_called<S: Spec>(
        &self,
        session: &Session,
        (tenant, id): (Option<&str>, &str),
        what: &str,
    ) -> Result<Administered<S>> {
        self.administered_one(session, tenant, id).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::NotFound, format!("there is no such {what}")),
            _ => error,
        })
    }
}

/// The objects of a kind and tenant, by id; where two have one, the configuration's, which counts, comes first. Tenants are those
/// of the whole gateway.
fn shown<S: Spec>(directory: &Directory, tenant: &str) -> Vec<Administered<S>> {
    let all = matches!(S::KIND, ObjectKind::Tenant);
    let mut out: Vec<Administered<S>> = Vec::new();
    for record in directory.declared().iter().filter(|record| all || *record.tenant.id == *tenant) {
        out.extend(S::declared(record).into_iter().map(|(id, spec)| by_config(&record.tenant.id, &id, spec)));
    }
    let stored = directory.objects().iter().filter(|object| object.key.kind == S::KIND.as_str());
    out.extend(stored.filter(|object| all || object.key.tenant == tenant).map(|object| by_api(directory, object)));
    out.sort_by(|a, b| (&a.key.id, a.managed_by).cmp(&(&b.key.id, b.managed_by)));
    out
}

fn by_config<S: Spec>(tenant: &str, id: &str, spec: S) -> Administered<S> {
    // Text, numbers, lists and maps with text keys always serialise.
    let digest = Sha256::digest(serde_json::to_vec(&spec).unwrap_or_default());
    Administered {
        key: ObjectKey::new(tenant, S::KIND, id),
        managed_by: ManagedBy::Config,
        version: None,
        tag: format!("c{}", hex::encode(digest.get(..16).unwrap_or_default())),
        created_at: None,
        changed_at: None,
        left_out: None,
        spec: Some(spec),
    }
}

fn by_api<S: Spec>(directory: &Directory, object: &StoredObject) -> Administered<S> {
    let left_out = directory.why_left_out(&object.key).map(str::to_owned);
    Administered { left_out, ..of_object(object, serde_json::from_str(&object.body).ok()) }
}

fn of_object<S>(object: &StoredObject, spec: Option<S>) -> Administered<S> {
    Administered {
        key: object.key.clone(),
        managed_by: ManagedBy::Api,
        version: Some(object.version),
        tag: format!("v{}", object.version),
        created_at: Some(object.created_at),
        changed_at: Some(object.changed_at),
        left_out: None,
        spec,
    }
}
