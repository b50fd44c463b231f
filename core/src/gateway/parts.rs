//! What a gateway is made of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;
use uuid::Uuid;

use crate::audit::AuditSettings;
use crate::events::DeliveryRules;
use crate::identity::{Directory, PenaltyLimits, SessionLimits, ThrottleLimits};
use crate::jobs::transfers::TransferSettings;
use crate::ports::{BlobStore, DocumentSource, EventSink, KeySource, Ledger, WebhookSender};
use crate::tokens::TokenSettings;
use crate::trace::Tracer;
use crate::transfer::TypeCheck;

use super::oauth::OAuthSettings;

/// The rules that the configuration sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name, in every event and audit entry.
    pub node: String,
    /// A random id that stays with the data folder, which only one process can lock.
    pub installation: Uuid,
    /// Largest file, in bytes.
    pub max_file_size: u64,
    /// How long a detached upload can be resumed.
    pub incomplete_expiry: Duration,
    /// Names that are announced only when they are renamed to one that does not match. Matched against the name alone.
    pub temporary_names: GlobSet,
    /// What becomes of content that is not of the type that it is declared to be.
    pub content_type_check: TypeCheck,
    /// Bytes per second that one session may send; none: unlimited.
    pub bandwidth_up: Option<u64>,
    /// Bytes per second that one session may receive; none: unlimited.
    pub bandwidth_down: Option<u64>,
    /// Failed logins.
    pub throttle: ThrottleLimits,
    /// What connections that do not become logins cost their source.
    pub penalties: PenaltyLimits,
    /// After so long an API key is refused, counted from when it was made; none: keys end by their own end alone.
    pub api_key_max_age: Option<Duration>,
    /// How many sessions there may be at the same time.
    pub sessions: SessionLimits,
    /// How long a blob without reference is kept, beyond the oldest download under way.
    pub blob_grace: Duration,
    /// An open upload that receives nothing for this long is detached, so that another session of its identity can resume it.
    pub idle_detach: Duration,
    /// Bytes between two checkpoints of an upload.
    pub checkpoint_bytes: u64,
    /// Whether webhooks that are declared through the API may have private addresses.
    pub private_webhooks: bool,
    /// How webhook deliveries are tried again, and when an endpoint is left alone.
    pub delivery: DeliveryRules,
    /// Transfers in the background.
    pub transfers: TransferSettings,
    /// How long what OAuth 2.0 gives out counts.
    pub oauth: OAuthSettings,
    /// Tokens: the gateway's own, and those of issuers.
    pub tokens: TokenSettings,
    /// The trail.
    pub audit: AuditSettings,
    /// Where events are sent to, beside the webhooks.
    pub event_sink: Option<Arc<dyn EventSink>>,
    /// What is told of traces.
    pub tracer: Tracer,
    /// Whether one process owns the ledger alone (SQLite): then every other process in it is dead.
    pub sole_owner: bool,
}

/// What a gateway is made of.
pub struct Parts {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The storages by name.
    pub storages: HashMap<String, Arc<dyn BlobStore>>,
    /// Who may come.
    pub directory: Directory,
    /// The files of keys that mapping rules name.
    pub keys: Arc<dyn KeySource>,
    /// How the keys of issuers are fetched.
    pub documents: Arc<dyn DocumentSource>,
    /// How webhooks go out.
    pub sender: Arc<dyn WebhookSender>,
    /// The rules.
    pub settings: Settings,
}
