//! The facade of webhooks: as of the other objects ([`super::administration`]), where `tenant` is the caller's own if it is none. Needs
//! `webhooks:write`.

use secrecy::SecretString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Gateway;
use crate::admin::{
    DeliveryFilter, NewWebhook, Refusal, Replayed, SecretRotation, ShownDelivery, ShownWebhook, Tested, WebhookChange,
};
use crate::error::Result;
use crate::identity::Session;

impl Gateway {
    /// Whether the caller may manage its tenant's webhooks. A refusal is on record.
    pub async fn may_manage_webhooks(&self, session: &Session) -> Result<()> {
        self.inner.may_manage_webhooks(session).await
    }

    /// The webhooks of a tenant, by id, and how their endpoints fare.
    pub async fn webhooks(&self, session: &Session, tenant: Option<&str>) -> Result<Vec<ShownWebhook>> {
        self.inner.webhooks(session, tenant).await
    }

    /// One of them. `NotFound`.
    pub async fn webhook(&self, session: &Session, tenant: Option<&str>, id: &str) -> Result<ShownWebhook> {
        self.inner.webhook(session, tenant, id).await
    }

    /// Makes a webhook: what is known of it, and its secret, which is not shown again.
    pub async fn make_webhook(
        &self,
        session: &Session,
        tenant: Option<&str>,
        new: NewWebhook,
    ) -> Result<(ShownWebhook, SecretString), Refusal> {
        self.inner.make_webhook(session, tenant, new).await
    }

    /// Changes a webhook; its secret stays. `expected`: its version; none: any.
    pub async fn change_webhook(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        change: WebhookChange,
        expected: Option<i64>,
    ) -> Result<ShownWebhook, Refusal> {
        self.inner.change_webhook(session, (tenant, id), change, expected).await
    }

    /// Puts another secret in the place of a webhook's, which signs, too, for a while; the one before that is over at once.
    pub async fn rotate_webhook_secret(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        rotation: SecretRotation,
        expected: Option<i64>,
    ) -> Result<(ShownWebhook, SecretString), Refusal> {
        self.inner.rotate_webhook_secret(session, (tenant, id), rotation, expected).await
    }

    /// Removes a webhook, and what waits for it.
    pub async fn remove_webhook(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), Refusal> {
        self.inner.remove_webhook(session, (tenant, id), expected).await
    }

    /// Sends to a disabled webhook again, and closes the circuit of its endpoint. What became a dead letter stays one.
    pub async fn enable_webhook(&self, session: &Session, tenant: Option<&str>, id: &str) -> Result<ShownWebhook> {
        self.inner.enable_webhook(session, tenant, id).await
    }

    /// The deliveries of a webhook, the newest event first.
    pub async fn webhook_deliveries(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        filter: DeliveryFilter,
    ) -> Result<Vec<ShownDelivery>> {
        self.inner.webhook_deliveries(session, (tenant, id), filter).await
    }

    /// Sends an event to a webhook once more, whatever has become of it: `NotFound` where it was never meant for it.
    pub async fn redeliver(&self, session: &Session, tenant: Option<&str>, id: &str, event: Uuid) -> Result<()> {
        self.inner.redeliver(session, (tenant, id), event).await
    }

    /// Sends everything that a webhook wants once more that happened at this moment or later.
    pub async fn replay(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
        since: OffsetDateTime,
    ) -> Result<Replayed> {
        self.inner.replay(session, (tenant, id), since).await
    }

    /// Posts an event to a webhook that nobody else gets, once, and tells what came of it.
    pub async fn test_webhook(&self, session: &Session, tenant: Option<&str>, id: &str) -> Result<Tested> {
        self.inner.test_webhook(session, tenant, id).await
    }
}
