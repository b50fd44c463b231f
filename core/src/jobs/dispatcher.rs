//! The dispatcher of one webhook. Every webhook has its own, so that no endpoint waits for another; a lease in the ledger
//! sees to it that one node serves an endpoint at a time. All state is in the ledger: what a dead process had under way
//! is pending there and is sent again (at least once).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::answers::{judge, verdict};
use super::lease;
use crate::error::Result;
use crate::events::breaker::{self, Verdict};
use crate::events::schedule::{Item, Plan, plan};
use crate::events::{DeliveryRules, Facts, Operation, Webhook};
use crate::metrics::Metrics;
use crate::ports::{Answer, Durability, Ledger, Reach, Tx, WebhookSender, transact};
use crate::records::{Circuit, Delivery, DeliveryState, EventRecord, Micros, WebhookHealth, later, now};
use crate::trace::{Span, SpanKind, TraceContext, Tracer};

/// Attempts under way at one endpoint.
const IN_FLIGHT: usize = 8;
/// Attempts under way and answers that are not in the ledger yet, together: a process that dies leaves so many to be sent again.
const UNWRITTEN: usize = 128;
/// While others are under way answers are gathered for so long before they are written, or until there are so many: a transaction
/// for each would cost more than the request. The next event about the same file waits for it.
const GATHER: Duration = Duration::from_millis(2);
const GATHERED: usize = 32;
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
/// Loading the window again waits this long for each delivery in it, so that a backlog is not read on every event. (One is read in
/// some 4 µs.) All webhooks hear of every event: the more there are, the less often each looks whether it was meant.
const RELOAD_PAUSE: Duration = Duration::from_micros(100);
/// As many deliveries as each of the webhooks counts for in that.
const CROWD: usize = 2;
/// What became of deliveries that waited when their endpoint was disabled.
const BURIED: &str = "the webhook was disabled";

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
    /// How deliveries are tried again, and when the endpoint is left alone.
    pub rules: DeliveryRules,
    /// The node's name, for what is told of the endpoint.
    pub node: String,
    /// How often the ledger is looked at for what other nodes queued.
    pub poll: Duration,
    /// How many webhooks this process serves.
    pub crowd: Arc<AtomicUsize>,
    /// Changes when deliveries were queued again or the endpoint was enabled.
    pub requeued: watch::Receiver<u64>,
    /// Wakes the sequencer.
    pub wake: Arc<Notify>,
    /// What was counted.
    pub(crate) metrics: Arc<Metrics>,
    /// What is told of traces.
    pub tracer: Tracer,
}

/// Serves the webhook until shutdown, unless it is disabled. `positions` wakes it (see [`super::sequencer::run`]).
pub async fn run(dispatcher: Dispatcher, mut positions: watch::Receiver<i64>, shutdown: CancellationToken) {
    let mut requeued = dispatcher.requeued.clone();
    while !shutdown.is_cancelled() {
        let wait = match dispatcher.take_up().await {
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
        tokio::select! {
            () = sleep(wait) => {}
            () = shutdown.cancelled() => {}
            Ok(()) = requeued.changed() => {}
        }
    }
}

impl Dispatcher {
    /// Takes the lease; false where another node has it, or where nothing is to be sent.
    async fn take_up(&self) -> Result<bool> {
        let key = self.webhook.key();
        let health = self.ledger.read(Reach::Gateway).await?.webhook_health(&key).await?;
        if health.is_some_and(|health| health.disabled_at.is_some()) {
            return Ok(false);
        }
        self.lease(LEASE).await
    }

    fn lease_name(&self) -> String {
        format!("webhook/{}", self.webhook.key())
    }

    /// Takes or renews the lease; zero gives it back.
    async fn lease(&self, length: Duration) -> Result<bool> {
        lease::take(self.ledger.as_ref(), self.lease_name(), self.holder, length).await
    }

    /// Writes what attempts came to, if the lease still is ours: if it is not, another node has sent them again or will,
    /// and its word counts. Renews the lease on the way. Losing this in a power cut only means to send once more.
    async fn record(&self, deliveries: Vec<Delivery>, health: Option<WebhookHealth>) -> Result<bool> {
        let (name, holder, deliveries) = (self.lease_name(), self.holder, Arc::new(deliveries));
        let ends = health.as_ref().is_some_and(|health| health.disabled_at.is_some());
        // That an endpoint is disabled is told to others; that it has failed once more is not.
        let durability = if ends { Durability::Disk } else { Durability::Process };
        let facts = health.as_ref().filter(|_| ends).map(|health| self.facts_of_end(health));
        let done = transact(self.ledger.as_ref(), Reach::Gateway, durability, move |tx| {
            let (name, deliveries, health, facts) = (name.clone(), deliveries.clone(), health.clone(), facts.clone());
            async move {
                let now = now();
                if !tx.take_lease(&name, holder, later(now, LEASE), now).await? {
                    return Ok(false);
                }
                tx.update_deliveries(&deliveries).await?;
                if let Some(health) = &health {
                    tx.put_webhook_health(health).await?;
                }
                if let (Some(health), Some(facts)) = (&health, &facts) {
                    tell_of_end(tx, health, facts).await?;
                }
                Ok(true)
            }
            .boxed()
        })
        .await?;
        if ends {
            self.wake.notify_one();
        }
        Ok(done)
    }

    /// What is on record when the endpoint is disabled.
    fn facts_of_end(&self, health: &WebhookHealth) -> Facts {
        let mut facts = Facts::of_gateway_in(&self.webhook.tenant, &self.node, Operation::Admin);
        facts.details = vec![
            ("webhook", (&*self.webhook.id).into()),
            ("reason", health.disabled_why.as_deref().into()),
            ("failures", health.failures.unsigned_abs().into()),
        ];
        facts
    }

    /// One attempt, as a part of the trace that the event belongs to.
    fn attempt(&self, delivery: Delivery, event: &EventRecord) -> BoxFuture<'static, (Delivery, Answer)> {
        let body = Bytes::from(event.body.clone());
        let signed = self.webhook.headers(event.id, &body, now());
        let (sender, webhook, metrics) = (self.sender.clone(), self.webhook.clone(), self.metrics.clone());
        let span = self.span_of_attempt(&delivery, event);
        async move {
            let mut headers = match signed {
                Ok(headers) => headers,
                Err(error) => return (delivery, Answer::Failed(error.message().to_owned())),
            };
            headers.extend(span.context().into_iter().flat_map(TraceContext::headers));
            let began = Instant::now();
            let answer = span.within(sender.post(&webhook, &headers, body)).await;
            metrics.attempt(&answer, began.elapsed());
            match &answer {
                Answer::Status(status, _) => {
                    span.note("http.response.status_code", i64::from(*status));
                    if *status >= 300 {
                        span.fail(status.to_string(), true);
                    }
                }
                Answer::Failed(_) => span.fail("no_answer", true),
            }
            (delivery, answer)
        }
        .boxed()
    }

    fn span_of_attempt(&self, delivery: &Delivery, event: &EventRecord) -> Span {
        let span = self.tracer.begin(SpanKind::Client, "POST webhook", event.trace.clone());
        if span.is_recording() {
            span.note("http.request.method", "POST");
            span.note("causeway.webhook", delivery.webhook.clone());
            span.note("causeway.event.type", event.kind.clone());
            span.note("causeway.event.id", event.id.to_string());
            if delivery.attempts > 0 {
                span.note("http.request.resend_count", delivery.attempts);
            }
        }
        span
    }
}

/// In the transaction that disables an endpoint: nothing waits for it any more, and the others hear of it.
async fn tell_of_end(tx: &mut dyn Tx, health: &WebhookHealth, facts: &Facts) -> Result<()> {
    tx.bury_deliveries(&health.webhook, BURIED).await?;
    tx.append_audit(&facts.audit()).await?;
    tx.append_events(&[facts.event("webhook.disabled")]).await
}

/// Results, when they were begun to be written, and whether they are.
type Written = (Vec<Delivery>, Instant, Result<bool>);

/// A dispatcher that holds its lease. Attempts wait for the endpoint alone: answers are written while others are under way, all
/// that have come by then in one transaction, one such transaction at a time.
struct Service<'d> {
    dispatcher: &'d Dispatcher,
    /// How the endpoint fares, as far as it is known here; nobody else writes it while the lease holds, but who enables it.
    health: WebhookHealth,
    window: BTreeMap<i64, Item>,
    flights: FuturesUnordered<BoxFuture<'static, (Delivery, Answer)>>,
    /// What attempts came to that nobody writes yet. These stay in the window and hold their files, as those under way do.
    answered: Vec<Delivery>,
    /// Since when there are any.
    answered_since: Instant,
    /// Whether `health` has changed since it was last handed to the ledger.
    health_changed: bool,
    /// What is being written: one at the most.
    writing: FuturesUnordered<BoxFuture<'d, Written>>,
    /// Whether `health` is part of that.
    health_writing: bool,
    /// Answers that are not in the ledger yet.
    unwritten: usize,
    /// Whether this is the end: the webhook may be another one already, or be none any more.
    leaving: bool,
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
            health: WebhookHealth::new(&dispatcher.webhook.key()),
            window: BTreeMap::new(),
            flights: FuturesUnordered::new(),
            answered: Vec::new(),
            answered_since: now,
            health_changed: false,
            writing: FuturesUnordered::new(),
            health_writing: false,
            unwritten: 0,
            leaving: false,
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
        let (mut requeued, mut heard) = (self.dispatcher.requeued.clone(), true);
        while !shutdown.is_cancelled() {
            self.write(false);
            if (!self.loaded || self.loaded_at.elapsed() >= self.reload_after())
                && let Err(error) = self.load().await
            {
                // What is answered by now is not sent again for that.
                self.leave().await?;
                return Err(error);
            }
            if self.health.disabled_at.is_some() {
                break;
            }
            let (planned, room) = self.send();
            if planned.send.is_empty() && self.cut && room > 0 && self.limit < WIDEST_WINDOW {
                // All that is in the window is held back: look further.
                self.limit = (self.limit * 2).min(WIDEST_WINDOW);
                self.loaded = false;
                continue;
            }
            let wait = self.wait(planned.next);
            tokio::select! {
                Some(first) = self.flights.next(), if !self.flights.is_empty() => self.settle(first),
                Some(written) = self.writing.next(), if !self.writing.is_empty() => {
                    if !self.note(written)? {
                        return Ok(());
                    }
                }
                changed = positions.changed(), if watched => {
                    watched = changed.is_ok();
                    self.stale = true;
                }
                changed = requeued.changed(), if heard => {
                    heard = changed.is_ok();
                    self.loaded = false;
                }
                () = sleep(wait) => {}
                () = shutdown.cancelled() => {}
            }
        }
        self.leaving = shutdown.is_cancelled();
        self.leave().await
    }

    /// Whether something new is known to be behind what is in the window. What is new is always last, so that it does not
    /// matter while a window that was cut is not half done, unless the rest of it only waits.
    fn wants_reload(&self) -> bool {
        if !self.cut {
            return self.stale;
        }
        let idle = self.flights.is_empty() && self.unwritten == 0;
        let room = if idle { self.limit } else { self.limit / 2 + 1 };
        self.window.len() < room as usize
    }

    /// How long after the last reading the pending deliveries are read again.
    fn reload_after(&self) -> Duration {
        let share = self.window.len() + CROWD * self.dispatcher.crowd.load(Ordering::Relaxed);
        let pause = RELOAD_PAUSE * u32::try_from(share).unwrap_or(u32::MAX);
        if self.wants_reload() { pause } else { pause.max(self.dispatcher.poll) }
    }

    async fn load(&mut self) -> Result<()> {
        let key = self.dispatcher.webhook.key();
        // Cleared first: what is positioned while this reads will be read again.
        self.stale = false;
        let mut query = self.dispatcher.ledger.read(Reach::Gateway).await?;
        let pending = query.pending_deliveries(&key, self.limit).await?;
        let health = query.webhook_health(&key).await?;
        drop(query);
        // What is newer here is on its way there.
        if !self.health_changed && !self.health_writing {
            self.health = health.unwrap_or_else(|| WebhookHealth::new(&key));
        }
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

    /// Begins every attempt that may begin now; and for how many there was room.
    fn send(&mut self) -> (Plan, usize) {
        let (leased, now) = (self.leased_at.elapsed() + LEASE_MARGIN < LEASE, now());
        let most = if leased { breaker::room(&self.health, now, IN_FLIGHT) } else { 0 };
        let room = most.min(UNWRITTEN.saturating_sub(self.unwritten)).saturating_sub(self.flights.len());
        let planned = plan(self.window.values(), now, room);
        for position in &planned.send {
            if let Some(item) = self.window.get_mut(position) {
                item.in_flight = true;
                self.flights.push(self.dispatcher.attempt(item.delivery.clone(), &item.event));
            }
        }
        (planned, room)
    }

    /// How long nothing is to be done but waiting for answers and news.
    fn wait(&self, next: Option<Micros>) -> Duration {
        let free = self.writing.is_empty();
        let mut wait = if free { RENEW_AFTER.saturating_sub(self.leased_at.elapsed()) } else { RENEW_AFTER };
        if free && !self.answered.is_empty() {
            wait = wait.min(GATHER.saturating_sub(self.answered_since.elapsed()));
        }
        wait = wait.min(self.reload_after().saturating_sub(self.loaded_at.elapsed()));
        if let Some(next) = next {
            wait = wait.min(Duration::from_micros(u64::try_from(next.saturating_sub(now())).unwrap_or(0)));
        }
        if let Circuit::Open { until } = self.health.circuit(now()) {
            wait = wait.min(Duration::from_micros(u64::try_from(until.saturating_sub(now())).unwrap_or(0)));
        }
        // Never a busy loop, whatever the clocks say.
        wait.max(Duration::from_millis(1))
    }

    /// Takes in an answer and all the others that are there by now.
    fn settle(&mut self, first: (Delivery, Answer)) {
        let mut answers = vec![first];
        while let Some(Some(next)) = self.flights.next().now_or_never() {
            answers.push(next);
        }
        self.unwritten += answers.len();
        if self.answered.is_empty() {
            self.answered_since = Instant::now();
        }
        for (delivery, answer) in answers {
            let said = verdict(&answer);
            if !self.leaving {
                self.weigh(said);
            } else if said == Verdict::Gone {
                // Of the next endpoint that says nothing: the event is sent there.
                continue;
            }
            let mut judged = self.judge(delivery, answer);
            // Of what was under way nothing waits beyond the end.
            if self.health.disabled_at.is_some() && judged.state == DeliveryState::Pending {
                judged.state = DeliveryState::Dead;
            }
            self.answered.push(judged);
        }
    }

    /// What an answer changes of how the endpoint fares.
    fn weigh(&mut self, said: Verdict) {
        let health = breaker::after(&self.health, said, &self.dispatcher.rules, now(), random());
        if health != self.health {
            self.tell(&health);
            self.health = health;
            self.health_changed = true;
        }
    }

    /// Whether what was answered has gathered long enough.
    fn gathered(&self) -> bool {
        let waits = !self.answered.is_empty();
        waits && (self.flights.is_empty() || self.answered.len() >= GATHERED || self.answered_since.elapsed() >= GATHER)
    }

    /// Begins to write what has gathered (`all`: what there is), if nothing is being written; renews the lease on the way, or when it
    /// is time for that.
    fn write(&mut self, all: bool) {
        let due = self.gathered()
            || (all && !self.answered.is_empty())
            || self.health_changed
            || self.leased_at.elapsed() >= RENEW_AFTER;
        if !due || !self.writing.is_empty() {
            return;
        }
        let (dispatcher, asked) = (self.dispatcher, Instant::now());
        let results = std::mem::take(&mut self.answered);
        self.health_writing = std::mem::take(&mut self.health_changed);
        let health = self.health_writing.then(|| self.health.clone());
        let writing = async move {
            let done = dispatcher.record(results.clone(), health).await;
            (results, asked, done)
        };
        self.writing.push(writing.boxed());
    }

    /// What was written is out of the window, if it is done. False: the lease is lost.
    fn note(&mut self, (results, asked, done): Written) -> Result<bool> {
        if !done? {
            tracing::info!(webhook = self.dispatcher.webhook.key(), "another node delivers from now on");
            return Ok(false);
        }
        self.leased_at = asked;
        self.health_writing = false;
        self.unwritten = self.unwritten.saturating_sub(results.len());
        for delivery in results {
            if let Some(item) = self.window.get(&delivery.position) {
                self.dispatcher.metrics.delivery(delivery.state, item.event.at);
            }
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

    /// Says what has become of the endpoint.
    fn tell(&self, next: &WebhookHealth) {
        let (webhook, failures) = (&next.webhook, next.failures);
        match (self.health.probe_at, next.probe_at, &next.disabled_why) {
            (_, _, Some(why)) => tracing::error!(
                webhook,
                failures,
                why,
                "the webhook is disabled; enable it when its endpoint is there again"
            ),
            (before, Some(at), None) if before != Some(at) => {
                let pause = Duration::from_micros(u64::try_from(at.saturating_sub(now())).unwrap_or(0));
                tracing::warn!(webhook, failures, ?pause, "the circuit of the webhook's endpoint is open");
            }
            (Some(_), None, None) => tracing::info!(webhook, "the circuit of the webhook's endpoint is closed again"),
            _ => {}
        }
    }

    fn judge(&self, delivery: Delivery, answer: Answer) -> Delivery {
        let judged = judge(delivery, answer, &self.dispatcher.rules, now(), random());
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

    /// Waits a little for what is under way, writes what has come, and gives the lease back.
    async fn leave(mut self) -> Result<()> {
        let end = Instant::now() + DRAIN;
        let mut over = false;
        loop {
            self.write(over);
            over |= self.flights.is_empty();
            if over && self.writing.is_empty() {
                break;
            }
            tokio::select! {
                Some(first) = self.flights.next(), if !over => self.settle(first),
                Some(written) = self.writing.next(), if !self.writing.is_empty() => {
                    if !self.note(written)? {
                        return Ok(());
                    }
                }
                () = sleep_until(end), if !over => over = true,
            }
        }
        self.dispatcher.lease(Duration::ZERO).await?;
        Ok(())
    }
}

fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
#[path = "dispatcher_test.rs"]
mod tests;
