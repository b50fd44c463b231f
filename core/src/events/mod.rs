//! Events: what happened, told once it is true.

pub(crate) mod breaker;
mod facts;
pub(crate) mod schedule;
mod signature;
pub mod target;

use std::sync::Arc;

use globset::GlobSet;
use secrecy::SecretString;

pub use facts::{Facts, MAX_MESSAGE, MAX_TEXT, ObjectChange, Status, timestamp};
pub use schedule::DeliveryRules;
pub use signature::sign;

use crate::records::EventRecord;

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

/// A webhook of a tenant.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The tenant's id.
    pub tenant: Arc<str>,
    /// Slug from the configuration.
    pub id: Arc<str>,
    /// Where to.
    pub url: String,
    /// Which kinds of events: matched as globs (`transfer.*`).
    pub events: GlobSet,
    /// Only events about files under this glob; events about no file always pass. None: all.
    pub path: Option<GlobSet>,
    /// `whsec_` and base64, or any string.
    pub secret: SecretString,
}

impl Webhook {
    /// What its deliveries are filed under: `tenant/webhook`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.tenant, self.id)
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
