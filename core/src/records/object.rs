//! What administrators declare through the API, as the ledger keeps it.

use std::fmt;

use super::Micros;

/// What an object is. The ledger keeps the word, so that one that is not known here (a newer version's) is met with
/// [`ObjectKind::parse`] and never keeps the others from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A tenant.
    Tenant,
    /// An identity of a tenant.
    Identity,
    /// A login of a tenant.
    Login,
    /// A mapping rule of a tenant.
    Mapping,
    /// An API key of a tenant.
    ApiKey,
    /// Where a tenant's events are posted to.
    Webhook,
    /// Settings of the gateway.
    Setting,
}

impl ObjectKind {
    /// Every kind, each after those that it may name.
    pub const ALL: [Self; 7] =
        [Self::Tenant, Self::Identity, Self::Login, Self::Mapping, Self::ApiKey, Self::Webhook, Self::Setting];

    /// The word in the ledger, in audit entries and in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Identity => "identity",
            Self::Login => "login",
            Self::Mapping => "mapping",
            Self::ApiKey => "api_key",
            Self::Webhook => "webhook",
            Self::Setting => "setting",
        }
    }

    /// The kind with this word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The tenant's id; of a tenant its own; empty for what is the gateway's.
    pub tenant: String,
    /// The word of its kind; see [`ObjectKind`].
    pub kind: String,
    /// Its id: of a login the username.
    pub id: String,
}

impl ObjectKey {
    /// Of a known kind.
    pub fn new(tenant: &str, kind: ObjectKind, id: &str) -> Self {
        Self { tenant: tenant.to_owned(), kind: kind.as_str().to_owned(), id: id.to_owned() }
    }
}

/// An object of the ledger.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Which one.
    pub key: ObjectKey,
    /// The generation of the objects that its last change made: never that of another state of it, not even after it was
    /// removed and made again.
    pub version: i64,
    /// JSON: one type for each kind. It may hold hashes and secrets.
    pub body: String,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed last.
    pub changed_at: Micros,
}

/// Without the body, which may hold secrets.
impl fmt::Debug for StoredObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredObject").field("key", &self.key).field("version", &self.version).finish_non_exhaustive()
    }
}
