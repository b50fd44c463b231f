//! The dispatcher of one webhook. Every webhook has its own, so that no endpoint waits for another; a lease in the ledger
//! sees to it that one node serves an endpoint at a time. All state is in the ledger: what a dead process had under way
//! is pending there and is sent again (at least once).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use secrecy::SecretString;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::Result;
use crate::events::schedule::{Item, Plan, backoff, plan};
use crate::events::{Webhook, sign};
use crate::ports::{Answer, Durability, Ledger, Reach, WebhookSender, transact};
use crate::records::{Delivery, DeliveryState, EventRecord, Micros, later, now};

/// Attempts under way at one endpoint.
const IN_FLIGHT: usize = 8;
/// Pending deliveries that are looked at.
const WINDOW: u32 = 500;
/// The same, where all of those are held back and there are more behind them.
const WIDEST_WINDOW: u32 = 4000;
/// How long a lease lasts. The clocks of nodes that share a ledger must agree to within a part of it.
const LEASE: Duration = Duration::from_secs(30);
/// When it is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(10);
/// With less than this left of the lease, no attempt is begun.
const LEASE_MARGIN: Duration = Duration::from_secs(12);
/// How soon another node's lease is asked for again.
const LEASE_RETRY: Duration = Duration::from_secs(5);
/// The pause after a failure of the ledger.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the shutdown waits for attempts under way. What is not answered by then is sent again by the next process.
const DRAIN: Duration = Duration::from_secs(5);
/// Loading the window again waits this long for each delivery in it, so that a backlog is not read on every event.
const RELOAD_PAUSE: Duration = Duration::from_micros(500);
/// The longest result that is kept, in characters.
const MAX_RESULT: usize = 255;

/// What a dispatcher works with.
#[derive(Clone)]
pub struct Dispatcher {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// How requests go out.
    pub sender: Arc<dyn WebhookSender>,
    /// The webhook.
    pub webhook: Webhook,
    /// Who holds the lease. An installation's id, which outlives the process, takes up its own lease after a crash.
    pub holder: Uuid,
    /// After that many attempts a delivery is given up.
    pub max_attempts: u32,
    /// How often the ledger is looked at for what other nodes queued.
    pub poll: Duration,
}

/// Serves the webhook until shutdown. `positions` wakes it (see [`super::sequencer::run`]).
pub async fn run(dispatcher: Dispatcher, mut positions: watch::Receiver<i64>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let wait = match dispatcher.lease(LEASE).await {
            Ok(true) => match Service::new(&dispatcher).run(&mut positions, &shutdown).await {
                Ok(()) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!(webhook = dispatcher.webhook.key(), %error, "deliveries pause; they go on by themselves");
                    PAUSE
                }
            },
            Ok(false) => LEASE_RETRY,
            Err(error) => {
                tracing::warn!(webhook = dispatcher.webhook.key(), %error, "no lease for deliveries; trying again");
                PAUSE
            }
        };
        tokio::select! { () = sleep(wait) => {}, () = shutdown.cancelled() => {} }
    }
}

impl Dispatcher {
    fn lease_name(&self) -> String {
        format!("webhook/{}", self.webhook.key())
    }

    /// Takes or renews the lease; zero gives it back.
    async fn lease(&self, length: Duration) -> Result<bool> {
        let (name, holder) = (self.lease_name(), self.holder);
        transact(self.ledger.as_ref(), Reach::Gateway, Durability::Process, move |tx| {
            let name = name.clone();
            async move {
                let now = now();
                tx.take_lease(&name, holder, later(now, length), now).await
            }
            .boxed()
        })
        .await
    }

    /// Writes what attempts came to, if the lease still is ours: if it is not, another node has sent them again or will,
    /// and its word counts. Renews the lease on the way. Losing this in a power cut only means to send once more.
    async fn record(&self, deliveries: Vec<Delivery>) -> Result<bool> {
        let (name, holder, deliveries) = (self.lease_name(), self.holder, Arc::new(deliveries));
        transact(self.ledger.as_ref(), Reach::Gateway, Durability::Process, move |tx| {
            let (name, deliveries) = (name.clone(), deliveries.clone());
            async move {
                let now = now();
                if !tx.take_lease(&name, holder, later(now, LEASE), now).await? {
                    return Ok(false);
                }
                for delivery in deliveries.iter() {
                    tx.update_delivery(delivery).await?;
                }
                Ok(true)
            }
            .boxed()
        })
        .await
    }

    /// One attempt.
    fn attempt(&self, delivery: Delivery, event: &EventRecord) -> BoxFuture<'static, (Delivery, Answer)> {
        let body = Bytes::from(event.body.clone());
        let secrets: [SecretString; 1] = [self.webhook.secret.clone()];
        let signed = sign(&secrets, &event.id.to_string(), now() / 1_000_000, &body);
        let (sender, url) = (self.sender.clone(), self.webhook.url.clone());
        async move {
            let mut headers = match signed {
                Ok(headers) => headers,
                Err(error) => return (delivery, Answer::Failed(error.message().to_owned())),
            };
            headers.push(("content-type", "application/json".to_owned()));
            headers.push(("user-agent", concat!("causeway/", env!("CARGO_PKG_VERSION")).to_owned()));
            let answer = sender.post(&url, &headers, body).await;
            (delivery, answer)
        }
        .boxed()
    }
}

/// A dispatcher that holds its lease.
struct Service<'d> {
    dispatcher: &'d Dispatcher,
    window: BTreeMap<i64, Item>,
    flights: FuturesUnordered<BoxFuture<'static, (Delivery, Answer)>>,
    limit: u32,
    /// Whether there are more pending ones behind the window.
    cut: bool,
    /// Whether events got positions since the window was read.
    stale: bool,
    loaded: bool,
    loaded_at: Instant,
    leased_at: Instant,
}

impl<'d> Service<'d> {
    fn new(dispatcher: &'d Dispatcher) -> Self {
        let now = Instant::now();
        Self {
            dispatcher,
            window: BTreeMap::new(),
            flights: FuturesUnordered::new(),
            limit: WINDOW,
            cut: false,
            stale: false,
            loaded: false,
            loaded_at: now,
            leased_at: now,
        }
    }

    /// Delivers until shutdown or until the lease is another's.
    async fn run(mut self, positions: &mut watch::Receiver<i64>, shutdown: &CancellationToken) -> Result<()> {
        let mut watched = true;
        while !shutdown.is_cancelled() {
            if self.leased_at.elapsed() >= RENEW_AFTER && !self.keep(Vec::new()).await? {
                return Ok(());
            }
            if !self.loaded || self.loaded_at.elapsed() >= self.reload_after() {
                self.load().await?;
            }
            let planned = self.send();
            if planned.send.is_empty() && self.cut && self.flights.len() < IN_FLIGHT && self.limit < WIDEST_WINDOW {
                // All that is in the window is held back: look further.
                self.limit = (self.limit * 2).min(WIDEST_WINDOW);
                self.load().await?;
                continue;
            }
            let wait = self.wait(planned.next);
            tokio::select! {
                Some(first) = self.flights.next(), if !self.flights.is_empty() => {
                    if !self.settle(first).await? {
                        return Ok(());
                    }
                }
                changed = positions.changed(), if watched => {
                    watched = changed.is_ok();
                    self.stale = true;
                }
                () = sleep(wait) => {}
                () = shutdown.cancelled() => {}
            }
        }
        self.leave().await
    }

    /// Whether something new is known to be behind what is in the window. What is new is always last, so that it does not
    /// matter while a window that was cut is not half done, unless the rest of it only waits.
    fn wants_reload(&self) -> bool {
        if !self.cut {
            return self.stale;
        }
        let room = if self.flights.is_empty() { self.limit } else { self.limit / 2 + 1 };
        self.window.len() < room as usize
    }

    /// How long after the last reading the pending deliveries are read again.
    fn reload_after(&self) -> Duration {
        let pause = RELOAD_PAUSE * u32::try_from(self.window.len()).unwrap_or(u32::MAX);
        if self.wants_reload() { pause } else { pause.max(self.dispatcher.poll) }
    }

    async fn load(&mut self) -> Result<()> {
        let key = self.dispatcher.webhook.key();
        // Cleared first: what is positioned while this reads will be read again.
        self.stale = false;
        let pending = self.dispatcher.ledger.read(Reach::Gateway).await?.pending_deliveries(&key, self.limit).await?;
        self.cut = pending.len() >= self.limit as usize;
        if pending.len() < WINDOW as usize {
            self.limit = WINDOW;
        }
        let mut window: BTreeMap<i64, Item> = pending
            .into_iter()
            .map(|(delivery, event)| (delivery.position, Item { delivery, event, in_flight: false }))
            .collect();
        for (position, item) in std::mem::take(&mut self.window) {
            if item.in_flight {
                window.insert(position, item);
            }
        }
        self.window = window;
        self.loaded = true;
        self.loaded_at = Instant::now();
        Ok(())
    }

    /// Begins every attempt that may begin now.
    fn send(&mut self) -> Plan {
        let leased = self.leased_at.elapsed() + LEASE_MARGIN < LEASE;
        let room = if leased { IN_FLIGHT.saturating_sub(self.flights.len()) } else { 0 };
        let planned = plan(self.window.values(), now(), room);
        for position in &planned.send {
            if let Some(item) = self.window.get_mut(position) {
                item.in_flight = true;
                self.flights.push(self.dispatcher.attempt(item.delivery.clone(), &item.event));
            }
        }
        planned
    }

    /// How long nothing is to be done but waiting for answers and news.
    fn wait(&self, next: Option<Micros>) -> Duration {
        let mut wait = RENEW_AFTER.saturating_sub(self.leased_at.elapsed());
        wait = wait.min(self.reload_after().saturating_sub(self.loaded_at.elapsed()));
        if let Some(next) = next {
            wait = wait.min(Duration::from_micros(u64::try_from(next.saturating_sub(now())).unwrap_or(0)));
        }
        // Never a busy loop, whatever the clocks say.
        wait.max(Duration::from_millis(1))
    }

    /// Records an answer and all the others that are there by now. False: the lease is lost.
    async fn settle(&mut self, first: (Delivery, Answer)) -> Result<bool> {
        let mut answers = vec![first];
        while let Some(Some(next)) = self.flights.next().now_or_never() {
            answers.push(next);
        }
        let settled = answers.into_iter().map(|(delivery, answer)| self.judge(delivery, answer)).collect();
        self.keep(settled).await
    }

    /// Renews the lease and writes results, which takes what is done out of the window.
    async fn keep(&mut self, results: Vec<Delivery>) -> Result<bool> {
        let asked = Instant::now();
        if !self.dispatcher.record(results.clone()).await? {
            tracing::info!(webhook = self.dispatcher.webhook.key(), "another node delivers from now on");
            return Ok(false);
        }
        self.leased_at = asked;
        for delivery in results {
            if delivery.state == DeliveryState::Pending {
                if let Some(item) = self.window.get_mut(&delivery.position) {
                    item.delivery = delivery;
                    item.in_flight = false;
                }
            } else {
                self.window.remove(&delivery.position);
            }
        }
        Ok(true)
    }

    fn judge(&self, delivery: Delivery, answer: Answer) -> Delivery {
        let random = getrandom::u64().unwrap_or(u64::MAX / 2);
        let judged = judge(delivery, answer, self.dispatcher.max_attempts, now(), random);
        let result = judged.last_result.as_deref().unwrap_or_default();
        let (webhook, event, attempts) = (&judged.webhook, judged.event, judged.attempts);
        match judged.state {
            DeliveryState::Delivered => tracing::debug!(webhook, %event, attempts, result, "webhook delivered"),
            DeliveryState::Pending => {
                tracing::info!(webhook, %event, attempts, result, "webhook failed; it is tried again");
            }
            DeliveryState::Dead => {
                tracing::warn!(webhook, %event, attempts, result, "webhook given up; see its endpoint");
            }
        }
        judged
    }

    /// Waits a little for what is under way, and gives the lease back.
    async fn leave(mut self) -> Result<()> {
        let end = Instant::now() + DRAIN;
        while !self.flights.is_empty() {
            match timeout(end.saturating_duration_since(Instant::now()), self.flights.next()).await {
                Ok(Some(first)) => {
                    if !self.settle(first).await? {
                        return Ok(());
                    }
                }
                Ok(None) | Err(_) => break,
            }
        }
        self.dispatcher.lease(Duration::ZERO).await?;
        Ok(())
    }
}

/// What a delivery is after an attempt: 2xx ends it; 410 says that the endpoint is gone for good; anything else is tried
/// again later until the attempts are used up.
fn judge(mut delivery: Delivery, answer: Answer, max_attempts: u32, now: Micros, random: u64) -> Delivery {
    delivery.attempts += 1;
    let (state, result, retry_after) = match answer {
        Answer::Status(status @ 200..=299, _) => (DeliveryState::Delivered, status.to_string(), None),
        Answer::Status(410, _) => (DeliveryState::Dead, "410".to_owned(), None),
        Answer::Status(status, retry_after) => (DeliveryState::Pending, status.to_string(), retry_after),
        Answer::Failed(why) => {
            (DeliveryState::Pending, why.chars().filter(|c| *c != '\0').take(MAX_RESULT).collect(), None)
        }
    };
    delivery.last_result = Some(result);
    delivery.state = state;
    if state == DeliveryState::Pending {
        if delivery.attempts >= i64::from(max_attempts) {
            delivery.state = DeliveryState::Dead;
        } else {
            delivery.next_at = later(now, backoff(delivery.attempts, random, retry_after));
        }
    }
    delivery
}

#[cfg(test)]
#[path = "dispatcher_test.rs"]
mod tests;
