//! Events: what happened, told once it is true.

pub(crate) mod breaker;
mod facts;
mod hidden;
pub(crate) mod schedule;
mod signature;
pub mod target;

use std::sync::Arc;

use globset::GlobSet;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

pub use facts::{Facts, MAX_MESSAGE, MAX_TEXT, ObjectChange, Status, timestamp};
pub(crate) use hidden::escape;
pub use hidden::{is_hidden, with_hidden_escaped, without_hidden};
pub use schedule::DeliveryRules;
pub use signature::sign;

use crate::error::Result;
use crate::records::{EventRecord, Micros};

/// The operations, by the words of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Content comes in.
    Upload,
    /// Content goes out.
    Download,
    /// A file is removed.
    Delete,
    /// A name changes.
    Rename,
    /// Content is copied.
    Copy,
    /// Attributes change.
    Attributes,
    /// A folder is made.
    Mkdir,
    /// A folder is removed.
    Rmdir,
    /// A folder is listed.
    List,
    /// A session begins.
    Login,
    /// A session ends.
    Logout,
    /// Administration.
    Admin,
    /// A background transfer.
    Transfer,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Upload,
        Self::Download,
        Self::Delete,
        Self::Rename,
        Self::Copy,
        Self::Attributes,
        Self::Mkdir,
        Self::Rmdir,
        Self::List,
        Self::Login,
        Self::Logout,
        Self::Admin,
        Self::Transfer,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Delete => "delete",
            Self::Rename => "rename",
            Self::Copy => "copy",
            Self::Attributes => "attributes",
            Self::Mkdir => "mkdir",
            Self::Rmdir => "rmdir",
            Self::List => "list",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Admin => "admin",
            Self::Transfer => "transfer",
        }
    }
}

/// The kinds of events of the contract (`events.md`, "Names").
pub const EVENT_KINDS: &[&str] = &[
    "file.uploaded",
    "file.downloaded",
    "file.deleted",
    "file.renamed",
    "file.copied",
    "file.attributes_changed",
    "folder.created",
    "folder.deleted",
    "folder.renamed",
    "upload.incomplete",
    "transfer.queued",
    "transfer.completed",
    "transfer.failed",
    "transfer.cancelled",
    "auth.succeeded",
    "auth.failed",
    "session.opened",
    "session.closed",
    "policy.violated",
    "key.expiring",
    "webhook.disabled",
    "admin.changed",
];

/// What the deliveries of a webhook are filed under.
pub(crate) fn key_of(tenant: &str, id: &str) -> String {
    format!("{tenant}/{id}")
}

/// A webhook of a tenant.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The tenant's id.
    pub tenant: Arc<str>,
    /// Slug, unique in the tenant.
    pub id: Arc<str>,
    /// Where to.
    pub url: String,
    /// Which kinds of events: matched as globs (`transfer.*`).
    pub events: GlobSet,
    /// Those globs as they are written.
    pub event_texts: Vec<String>,
    /// Only events about files under this glob; events about no file always pass. None: all.
    pub path: Option<GlobSet>,
    /// That glob as it is written.
    pub path_text: Option<String>,
    /// `whsec_` and base64, or any string.
    pub secret: SecretString,
    /// The secret before a rotation, while that is not over: receivers may still know that one alone.
    pub previous: Option<PreviousSecret>,
    /// How TLS is spoken to it.
    pub tls: EndpointTls,
}

/// How TLS is spoken to the endpoint of a webhook, beside what is usual. It is verified in any case.
#[derive(Clone, Debug, Default)]
pub struct EndpointTls {
    /// Authorities that are believed beside the usual ones: certificates in PEM.
    pub authorities: Option<String>,
    /// The client's certificate, those above it, and its private key: PEM.
    pub identity: Option<SecretString>,
}

impl EndpointTls {
    /// Whether it is the same in every respect.
    pub fn is(&self, other: &Self) -> bool {
        fn identity(one: &EndpointTls) -> Option<&str> {
            one.identity.as_ref().map(ExposeSecret::expose_secret)
        }
        self.authorities == other.authorities && identity(self) == identity(other)
    }
}

/// The secret that a rotation has replaced.
#[derive(Clone, Debug)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: SecretString,
    /// From then on it does not sign any more.
    pub ends_at: Micros,
}

impl PreviousSecret {
    /// Whether it is the same in every respect.
    pub fn is(&self, other: &Self) -> bool {
        self.ends_at == other.ends_at && self.secret.expose_secret() == other.secret.expose_secret()
    }
}

impl Webhook {
    /// What its deliveries are filed under: `tenant/webhook`.
    pub fn key(&self) -> String {
        key_of(&self.tenant, &self.id)
    }

    /// The headers of an attempt at this moment: signed by its secret, and by the one before it while that counts.
    pub fn headers(&self, event: Uuid, body: &[u8], now: Micros) -> Result<Vec<(&'static str, String)>> {
        let previous = self.previous.as_ref().filter(|previous| previous.ends_at > now);
        let secrets: Vec<SecretString> =
            std::iter::once(&self.secret).chain(previous.map(|previous| &previous.secret)).cloned().collect();
        let mut headers = sign(&secrets, &event.to_string(), now.div_euclid(1_000_000), body)?;
        headers.push(("content-type", "application/json".to_owned()));
        headers.push(("user-agent", concat!("causeway/", env!("CARGO_PKG_VERSION")).to_owned()));
        Ok(headers)
    }

    /// Whether an event goes to it: its own tenant's, of a kind that it asked for, about a file under its glob or about none, and
    /// none that webhooks are not to be told of.
    pub fn wants(&self, event: &EventRecord) -> bool {
        *self.tenant == *event.tenant
            && !event.quiet
            && self.events.is_match(&event.kind)
            && match (&self.path, &event.path) {
                (Some(glob), Some(path)) => glob.is_match(path),
                _ => true,
            }
    }
}

/// Which events are looked for, among those that the caller may see.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of these kinds; empty: of any.
    pub kinds: Vec<String>,
    /// About a file or folder whose path in the tenant's tree is under this glob, so that events about none are left out. None: all.
    pub path: Option<GlobSet>,
}

impl EventFilter {
    /// Whether an event lies where it is looked for. Its kind is asked of the ledger.
    pub(crate) fn reaches(&self, event: &EventRecord) -> bool {
        self.path.as_ref().is_none_or(|glob| event.path.as_ref().is_some_and(|path| glob.is_match(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_secrets_sign_until_the_old_one_is_over() {
        let mut webhook = Webhook {
            tenant: "acme".into(),
            id: "hook".into(),
            url: "https://hooks.example/".into(),
            events: GlobSet::empty(),
            event_texts: Vec::new(),
            path: None,
            path_text: None,
            secret: "new".into(),
            previous: Some(PreviousSecret { secret: "old".into(), ends_at: 2_000_000 }),
            tls: EndpointTls::default(),
        };
        let signatures = |webhook: &Webhook, now: Micros| {
            let headers = webhook.headers(Uuid::nil(), b"{}", now).unwrap();
            let text = headers.into_iter().find(|(name, _)| *name == "webhook-signature").unwrap().1;
            text.split(' ').map(str::to_owned).collect::<Vec<_>>()
        };
        let both = signatures(&webhook, 1_999_999);
        let after = signatures(&webhook, 2_000_000);
        assert_eq!((both.len(), after.len()), (2, 1));
        webhook.previous = None;
        assert_eq!(signatures(&webhook, 1_000_000), both[..1], "the new one comes first");
        assert_eq!(webhook.key(), "acme/hook");
    }
}
