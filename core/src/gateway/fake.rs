//! The parts of a gateway in memory, for core's own tests: it keeps what it is given, and posts nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::{OAuthSettings, Parts, Settings};
use crate::identity::{Directory, PenaltyLimits, SessionLimits, TenantRecord, ThrottleLimits};
use crate::jobs::fake_ledger::FakeLedger;
use crate::ports::{Answer, NoDocuments, NoKeyFiles, WebhookSender};

/// More failures than a test brings that is about something else.
pub const THROTTLE: ThrottleLimits =
    ThrottleLimits { failures: 100, window: Duration::from_mins(1), ban: Duration::from_mins(1) };

struct NoWebhooks;

#[async_trait]
impl WebhookSender for NoWebhooks {
    async fn post(&self, _: &crate::events::Webhook, _: &[(&'static str, String)], _: Bytes) -> Answer {
        Answer::Status(200, None)
    }
}

/// Settings that let nothing wait.
pub fn settings() -> Settings {
    Settings {
        node: "test".into(),
        installation: Uuid::nil(),
        max_file_size: 1,
        incomplete_expiry: Duration::ZERO,
        temporary_names: globset::GlobSet::empty(),
        content_type_check: crate::transfer::TypeCheck::Off,
        bandwidth_up: None,
        bandwidth_down: None,
        throttle: THROTTLE,
        penalties: PenaltyLimits::default(),
        api_key_max_age: None,
        sessions: SessionLimits::default(),
        blob_grace: Duration::ZERO,
        idle_detach: Duration::ZERO,
        checkpoint_bytes: 1,
        private_webhooks: false,
        delivery: crate::events::DeliveryRules { max_attempts: 1, ..Default::default() },
        transfers: crate::jobs::transfers::TransferSettings::default(),
        oauth: OAuthSettings::default(),
        audit: crate::audit::AuditSettings::default(),
        tokens: crate::tokens::TokenSettings::default(),
        event_sink: None,
        tracer: crate::trace::Tracer::default(),
        sole_owner: true,
    }
}

/// A gateway of these tenants on this ledger.
pub fn parts(ledger: Arc<FakeLedger>, tenants: Vec<TenantRecord>) -> Parts {
    Parts {
        ledger,
        storages: HashMap::new(),
        directory: Directory::new(tenants).unwrap(),
        keys: Arc::new(NoKeyFiles),
        documents: Arc::new(NoDocuments),
        sender: Arc::new(NoWebhooks),
        settings: settings(),
    }
}
