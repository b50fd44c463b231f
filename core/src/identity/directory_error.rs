//! Why a directory cannot be made of what the configuration declares.

use std::fmt;

/// Why tenants cannot stand beside each other. Each names what the operator has to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryError {
    /// Two tenants have this id.
    DuplicateTenant {
        /// The tenant's id.
        tenant: String,
    },
    /// There is no such tenant.
    NoTenant {
        /// The id.
        tenant: String,
    },
    /// Two identities of one tenant have this id.
    DuplicateIdentity {
        /// The tenant's id.
        tenant: String,
        /// The identity's id.
        identity: String,
    },
    /// Two logins of one tenant have this username.
    DuplicateLogin {
        /// The tenant's id.
        tenant: String,
        /// The username.
        username: String,
    },
    /// Two API keys have this id; key ids are unique over the gateway.
    DuplicateApiKey {
        /// The key's id.
        key: String,
    },
    /// Two API keys have one hash, so that nobody could say which of them was used.
    SharedKeyHash {
        /// The id of the one.
        key: String,
        /// The id of the other.
        other: String,
    },
    /// A login stands for an identity that its tenant does not have.
    LoginWithoutIdentity {
        /// The tenant's id.
        tenant: String,
        /// The username.
        username: String,
        /// The identity that is missing.
        identity: String,
    },
    /// Two webhooks of one tenant have this id.
    DuplicateWebhook {
        /// The tenant's id.
        tenant: String,
        /// The webhook's id.
        webhook: String,
    },
    /// Two mapping rules of one tenant have this id.
    DuplicateMapping {
        /// The tenant's id.
        tenant: String,
        /// The rule's id.
        mapping: String,
    },
    /// A mapping rule stands for an identity that its tenant does not have.
    MappingWithoutIdentity {
        /// The tenant's id.
        tenant: String,
        /// The rule's id.
        mapping: String,
        /// The identity that is missing.
        identity: String,
    },
    /// A login must show a code, and has no secret that codes are made of.
    CodeWithoutSecret {
        /// The tenant's id.
        tenant: String,
        /// The username, or the id of the rule.
        login: String,
    },
    /// An API key stands for an identity that its tenant does not have.
    ApiKeyWithoutIdentity {
        /// The tenant's id.
        tenant: String,
        /// The key's id.
        key: String,
        /// The identity that is missing.
        identity: String,
    },
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateTenant { tenant } => write!(f, "two tenants have the id `{tenant}`; rename one of them"),
            Self::NoTenant { tenant } => write!(f, "there is no tenant `{tenant}`; add it"),
            Self::DuplicateIdentity { tenant, identity } => {
                write!(f, "tenant `{tenant}` has two identities `{identity}`; rename one of them")
            }
            Self::DuplicateLogin { tenant, username } => {
                write!(f, "tenant `{tenant}` has two logins `{username}`; rename one of them")
            }
            Self::DuplicateApiKey { key } => {
                write!(f, "two API keys have the id `{key}`, which must be unique over the gateway; rename one of them")
            }
            Self::SharedKeyHash { key, other } => {
                write!(f, "the API keys `{other}` and `{key}` are the same key; make another key for one of them")
            }
            Self::LoginWithoutIdentity { tenant, username, identity } => write!(
                f,
                "login `{username}` of tenant `{tenant}` names the identity `{identity}`, which is not there; add it or correct the name"
            ),
            Self::DuplicateWebhook { tenant, webhook } => {
                write!(f, "tenant `{tenant}` has two webhooks `{webhook}`; rename one of them")
            }
            Self::DuplicateMapping { tenant, mapping } => {
                write!(f, "tenant `{tenant}` has two mappings `{mapping}`; rename one of them")
            }
            Self::MappingWithoutIdentity { tenant, mapping, identity } => write!(
                f,
                "mapping `{mapping}` of tenant `{tenant}` names the identity `{identity}`, which is not there; add it or correct the name"
            ),
            Self::CodeWithoutSecret { tenant, login } => write!(
                f,
                "`{login}` of tenant `{tenant}` requires a code (totp) but has no `totp_secret`; add it or take totp out of `require`"
            ),
            Self::ApiKeyWithoutIdentity { tenant, key, identity } => write!(
                f,
                "API key `{key}` of tenant `{tenant}` names the identity `{identity}`, which is not there; add it or correct the name"
            ),
        }
    }
}

impl std::error::Error for DirectoryError {}
