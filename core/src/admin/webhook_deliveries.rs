//! Deliveries of a webhook: listed, sent again, replayed since a time; an endpoint tested, and enabled. For those of the
//! configuration, too. What is done here is on the trail like any other change.

use std::time::{Duration, Instant};

use bytes::Bytes;
use time::OffsetDateTime;
use uuid::Uuid;

use super::webhooks::{ShownWebhook, no_webhook};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Webhook};
use crate::gateway::Inner;
use crate::identity::Session;
use crate::ports::{Answer, Durability, Reach, Tx};
use crate::records::{Delivery, DeliveryState, Micros, ObjectKey, ObjectKind, WebhookHealth, now};
use crate::trace::TraceContext;

/// Events that one transaction of a replay looks at.
const BATCH: u32 = 500;
/// Deliveries that one replay queues at most.
const MAX_REPLAY: usize = 100_000;
/// How much later than others of its time an event may get its position: it is committed later, or the clock of its node is slow.
const LATE: Micros = 60_000_000;

/// Which deliveries are listed.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryFilter {
    /// Those in this state; none: all.
    pub state: Option<DeliveryState>,
    /// Those at positions below this one; none: from the newest on.
    pub before: Option<i64>,
    /// So many at most.
    pub limit: u32,
}

/// A delivery, as administrators see it.
#[derive(Clone, Debug)]
pub struct ShownDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// What kind of event it is.
    pub kind: String,
    /// When that happened.
    pub at: Micros,
    /// The path that it is about.
    pub path: Option<String>,
}

/// What a replay has queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many deliveries.
    pub queued: usize,
    /// Since when events happened that were not looked at any more; none: all were.
    pub rest_since: Option<Micros>,
}

/// What a test event came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// The event's id.
    pub event: Uuid,
    /// The status of the answer; none: there was none.
    pub status: Option<u16>,
    /// Why there was none.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Tested {
    /// Whether the endpoint has accepted it.
    pub fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

fn disabled() -> Error {
    Error::new(ErrorKind::Conflict, "the webhook is disabled; enable it first")
}

impl Inner {
    /// A webhook that counts.
    pub(super) fn known_webhook(&self, tenant: &str, id: &str) -> Option<Webhook> {
        self.hooks.borrow().iter().find(|webhook| *webhook.tenant == *tenant && *webhook.id == *id).cloned()
    }

    /// A webhook that the session manages, with the object that a trail names. What is refused is on it.
    async fn managed_webhook(
        &self,
        session: &Session,
        (tenant, id): (Option<&str>, &str),
        change: &'static str,
    ) -> Result<(Webhook, ObjectKey)> {
        self.require_open()?;
        let found = match self.administers(session, ObjectKind::Webhook, tenant) {
            Ok(owner) => self.known_webhook(&owner, id).ok_or_else(no_webhook),
            Err(error) => Err(error),
        };
        match found {
            Ok(webhook) => {
                let key = ObjectKey::new(&webhook.tenant, ObjectKind::Webhook, id);
                Ok((webhook, key))
            }
            Err(error) => {
                let key = ObjectKey::new(tenant.unwrap_or(&session.tenant.id), ObjectKind::Webhook, id);
                self.put_refused_change(session, &key, change, &error).await;
                Err(error)
            }
        }
    }

    /// Wakes the dispatchers.
    fn deliver_again(&self) {
        self.requeued.send_modify(|times| *times = times.wrapping_add(1));
    }

    /// See [`crate::Gateway::enable_webhook`].
    pub(crate) async fn enable_webhook(
        &self,
        session: &Session,
        tenant: Option<&str>,
        id: &str,
    ) -> Result<ShownWebhook> {
        let (webhook, key) = self.managed_webhook(session, (tenant, id), "enabled").await?;
        let facts = self.facts_of_change(session, &key, "enabled");
        let name = webhook.key();
        self.write(Reach::of(&webhook.tenant), Durability::Disk, move |tx| {
            let (facts, name) = (facts.clone(), name.clone());
            Box::pin(async move {
                // Its failures are forgotten with the pause: it is judged anew.
                let health = WebhookHealth { changed_at: now(), ..WebhookHealth::new(&name) };
                tx.put_webhook_health(&health).await?;
                put_change(tx, &facts).await
            })
        })
        .await?;
        self.deliver_again();
        self.webhook(session, tenant, id).await
    }

    /// See [`crate::Gateway::webhook_deliveries`].
    pub(crate) async fn webhook_deliveries(
        &self,
        session: &Session,
        (tenant, id): (Option<&str>, &str),
        filter: DeliveryFilter,
    ) -> Result<Vec<ShownDelivery>> {
        let (webhook, _) = self.managed_webhook(session, (tenant, id), "read").await?;
        let mut query = self.ledger.read(Reach::of(&webhook.tenant)).await?;
        let before = filter.before.unwrap_or(i64::MAX);
        let found = query.deliveries(&webhook.key(), filter.state, before, filter.limit).await?;
        let shown = found.into_iter().map(|(delivery, event)| ShownDelivery {
            delivery,
            kind: event.kind,
            at: event.at,
            path: event.path,
        });
        Ok(shown.collect())
    }

    /// See [`crate::Gateway::redeliver`].
    pub(crate) async fn redeliver(
        &self,
        session: &Session,
        (tenant, id): (Option<&str>, &str),
        event: Uuid,
    ) -> Result<()> {
        let (webhook, key) = self.managed_webhook(session, (tenant, id), "redelivered").await?;
        let mut facts = self.facts_of_change(session, &key, "redelivered");
        facts.details.push(("event", event.to_string().into()));
        let name = webhook.key();
        let done = self.write(Reach::of(&webhook.tenant), Durability::Disk, move |tx| {
            let (facts, name) = (facts.clone(), name.clone());
            Box::pin(async move {
                require_enabled(tx, &name).await?;
                if !tx.requeue_delivery(&name, event, now()).await? {
                    return Err(Error::new(ErrorKind::NotFound, "this event was never meant for this webhook"));
                }
                put_change(tx, &facts).await
            })
        });
        if let Err(error) = done.await {
            self.put_refused_change(session, &key, "redelivered", &error).await;
            return Err(error);
        }
        self.deliver_again();
        Ok(())
    }

    /// See [`crate::Gateway::replay`].
    pub(crate) async fn replay(
        &self,
        session: &Session,
        (tenant, id): (Option<&str>, &str),
        since: OffsetDateTime,
    ) -> Result<Replayed> {
        let (webhook, key) = self.managed_webhook(session, (tenant, id), "replayed").await?;
        let since = (since.unix_timestamp_nanos() / 1000) as Micros;
        let mut facts = self.facts_of_change(session, &key, "replayed");
        facts.details.push(("since", crate::events::timestamp(since).into()));
        let name = webhook.key();
        let begun = self.write(Reach::of(&webhook.tenant), Durability::Disk, move |tx| {
            let (facts, name) = (facts.clone(), name.clone());
            Box::pin(async move {
                require_enabled(tx, &name).await?;
                put_change(tx, &facts).await
            })
        });
        if let Err(error) = begun.await {
            self.put_refused_change(session, &key, "replayed", &error).await;
            return Err(error);
        }
        let done = self.queue_since(&webhook, since).await;
        self.deliver_again();
        done
    }

    /// Queues what the webhook wants of what happened since then, some at a time. It is sent in the order in which it happened, and
    /// before what comes later about the same file.
    async fn queue_since(&self, webhook: &Webhook, since: Micros) -> Result<Replayed> {
        let (mut after, mut queued) = (0, 0);
        loop {
            let mut query = self.ledger.read(Reach::of(&webhook.tenant)).await?;
            let events = query.events_since(&webhook.tenant, since, after, BATCH).await?;
            drop(query);
            let Some(last) = events.last().map(|stored| stored.position) else {
                return Ok(Replayed { queued, rest_since: None });
            };
            if queued >= MAX_REPLAY {
                // Positions follow the commits, not the clock: the earliest of those that come next, and a little before it. What is sent
                // twice for that does less harm than what is left out.
                let next = events.iter().map(|stored| stored.event.at).min().unwrap_or(since);
                let early = next.saturating_sub(LATE);
                return Ok(Replayed { queued, rest_since: Some(if early > since { early } else { next }) });
            }
            after = last;
            let now = now();
            let wanted = events.iter().filter(|stored| webhook.wants(&stored.event)).map(|stored| Delivery {
                webhook: webhook.key(),
                event: stored.event.id,
                position: stored.position,
                state: DeliveryState::Pending,
                attempts: 0,
                next_at: now,
                last_result: None,
            });
            let wanted: Vec<Delivery> = wanted.collect();
            queued += wanted.len();
            if !wanted.is_empty() {
                self.write(Reach::of(&webhook.tenant), Durability::Disk, move |tx| {
                    let wanted = wanted.clone();
                    Box::pin(async move { tx.queue_deliveries(&wanted).await })
                })
                .await?;
            }
        }
    }

    /// See [`crate::Gateway::test_webhook`].
    pub(crate) async fn test_webhook(&self, session: &Session, tenant: Option<&str>, id: &str) -> Result<Tested> {
        let (webhook, key) = self.managed_webhook(session, (tenant, id), "tested").await?;
        let event = self.facts(session, Operation::Admin).event("webhook.test");
        let body = Bytes::from(event.body);
        let mut headers = webhook.headers(event.id, &body, now())?;
        headers.extend(event.trace.iter().flat_map(TraceContext::headers));
        let begun = Instant::now();
        let answer = self.sender.post(&webhook, &headers, body).await;
        let (status, failure) = match answer {
            Answer::Status(status, _) => (Some(status), None),
            Answer::Failed(why) => (None, Some(why)),
        };
        let tested = Tested { event: event.id, status, failure, took: begun.elapsed() };
        let mut facts = self.facts_of_change(session, &key, "tested");
        let result = tested.status.map_or_else(|| tested.failure.clone().unwrap_or_default(), |one| one.to_string());
        facts.details.extend([("event", event.id.to_string().into()), ("result", result.into())]);
        self.put(Durability::Process, facts.audit(), Vec::new()).await?;
        Ok(tested)
    }
}

async fn require_enabled(tx: &mut dyn Tx, webhook: &str) -> Result<()> {
    let health = tx.webhook_health(webhook).await?;
    if health.is_some_and(|health| health.disabled_at.is_some()) { Err(disabled()) } else { Ok(()) }
}

/// An audit entry and its event.
async fn put_change(tx: &mut dyn Tx, facts: &Facts) -> Result<()> {
    tx.append_audit(&facts.audit()).await?;
    tx.append_events(&[facts.event("admin.changed")]).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "webhooks_test.rs"]
mod tests;
