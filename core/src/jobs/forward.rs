//! Sends to sinks what the ledger has for them: sealed audit entries, chain by chain, and events, tenant by tenant, in the order of each.
//! How far that came is in the ledger, so that another process goes on from there. At least once: what was sent and not noted is sent again.
//!
//! Nothing waits in memory for a sink that is away: the ledger keeps it. Nothing there removes an event; audit entries are removed after
//! their retention, sent or not.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lease;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::{AuditSink, Durability, EventSink, Ledger, Reach, transact};
use crate::records::{AuditRecord, Seal, later, now};

/// Entries or events that are sent at a time.
const BATCH: u32 = 200;
/// How often it is looked for new ones that this process has not heard of.
const POLL: Duration = Duration::from_secs(1);
/// How long is waited for more of what it has heard of.
const GATHER: Duration = Duration::from_millis(200);
/// How long a node that gives no sign is the one that sends. A batch takes less.
const LEASE: Duration = Duration::from_secs(30);
/// The longest pause after failures.
const MOST: Duration = Duration::from_mins(1);
/// How long the gateway's end waits for a sink.
const LAST: Duration = Duration::from_secs(5);

/// What one pass over the lines did.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// How many were sent.
    sent: usize,
    /// Whether there is more to send.
    more: bool,
    /// The first reason why what is next in one line could not be sent.
    refused: Option<Error>,
}

/// What is sent, and to where: lines, each in its order.
#[async_trait]
pub(crate) trait Feed: Send + Sync {
    /// What it is, for the log.
    fn what(&self) -> &'static str;

    /// The sink's name.
    fn sink(&self) -> &str;

    /// The lines that there are, each with its last place, where that is known.
    async fn lines(&self, ledger: &dyn Ledger) -> Result<Vec<(String, Option<i64>)>>;

    /// Sends what is next in a line behind a place.
    async fn send_next(&self, ledger: &dyn Ledger, line: &str, after: i64) -> Result<Step>;

    /// There was nothing to send.
    async fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Nothing more will be sent.
    async fn finish(&self) {}
}

/// How far it came in a line.
pub(crate) struct Step {
    /// Everything up to this place is sent.
    place: i64,
    /// How many were sent.
    sent: usize,
    /// Whether there may be more; or why what is next could not be sent.
    more: Result<bool>,
}

/// Audit entries: a line is a chain, a place a `seq`.
pub(crate) struct Entries(pub(crate) Arc<dyn AuditSink>);

#[async_trait]
impl Feed for Entries {
    fn what(&self) -> &'static str {
        "audit entries"
    }

    fn sink(&self) -> &str {
        self.0.name()
    }

    async fn lines(&self, ledger: &dyn Ledger) -> Result<Vec<(String, Option<i64>)>> {
        let chains = ledger.read(Reach::Gateway).await?.chains().await?;
        Ok(chains.into_iter().map(|chain| (chain, None)).collect())
    }

    async fn send_next(&self, ledger: &dyn Ledger, line: &str, after: i64) -> Result<Step> {
        let page = ledger.read(Reach::Gateway).await?.seals(line, after, BATCH).await?;
        let Some((last, _)) = page.last() else { return Ok(Step { place: after, sent: 0, more: Ok(false) }) };
        let (place, is_full) = (last.seq, page.len() == BATCH as usize);
        let mut entries: Vec<(Seal, AuditRecord)> = Vec::with_capacity(page.len());
        for (seal, record) in page {
            if let Some(record) = record {
                entries.push((seal, record));
            } else {
                let seq = seal.seq;
                tracing::error!(chain = line, seq, "an audit entry is gone before it was sent (causeway audit verify)");
            }
        }
        Ok(match self.0.send(&entries).await {
            Ok(()) => Step { place, sent: entries.len(), more: Ok(is_full) },
            Err(error) => Step { place: after, sent: 0, more: Err(error) },
        })
    }

    async fn settle(&self) -> Result<()> {
        self.0.settle().await
    }

    async fn finish(&self) {
        self.0.finish().await;
    }
}

/// Events: a line is a tenant, or what belongs to none; a place is a position.
pub(crate) struct Events(pub(crate) Arc<dyn EventSink>);

#[async_trait]
impl Feed for Events {
    fn what(&self) -> &'static str {
        "events"
    }

    fn sink(&self) -> &str {
        self.0.name()
    }

    async fn lines(&self, ledger: &dyn Ledger) -> Result<Vec<(String, Option<i64>)>> {
        let tenants = ledger.read(Reach::Gateway).await?.event_tenants().await?;
        Ok(tenants.into_iter().map(|(tenant, last)| (tenant, Some(last))).collect())
    }

    async fn send_next(&self, ledger: &dyn Ledger, line: &str, after: i64) -> Result<Step> {
        let page = ledger.read(Reach::Gateway).await?.events(line, after, &[], BATCH).await?;
        if page.is_empty() {
            return Ok(Step { place: after, sent: 0, more: Ok(false) });
        }
        let (kept, ended) = self.0.send(&page).await;
        let sent = kept.min(page.len());
        let place = page.iter().take(sent).next_back().map_or(after, |last| last.position);
        let more = sent < page.len() || page.len() == BATCH as usize;
        Ok(Step { place, sent, more: ended.map(|()| more) })
    }
}

/// Sends to one sink.
pub(crate) struct Forwarder {
    ledger: Arc<dyn Ledger>,
    feed: Box<dyn Feed>,
    /// Who takes the lease: the installation, so that it goes on at once after a restart; none: this process has the ledger alone.
    holder: Option<Uuid>,
}

impl Forwarder {
    pub(crate) const fn new(ledger: Arc<dyn Ledger>, feed: Box<dyn Feed>, holder: Option<Uuid>) -> Self {
        Self { ledger, feed, holder }
    }

    /// Sends until the token is cancelled, and then what is left, as far as that is taken within [`LAST`]: a sink that hangs must not
    /// keep the gateway from its end, and what was not noted is sent by whoever comes next. `news` changes when there is something new.
    pub(crate) async fn run(&self, mut news: watch::Receiver<i64>, end: CancellationToken) {
        let (sink, what) = (self.feed.sink(), self.feed.what());
        let (mut failures, mut heard) = (0_u32, true);
        let mut told: Option<Error> = None;
        let mut ending = pin!(async {
            end.cancelled().await;
            sleep(LAST).await;
        });
        loop {
            let last = end.is_cancelled();
            let pass = tokio::select! {
                biased;
                () = ending.as_mut() => return,
                pass = self.forward() => pass,
            };
            let (more, error) = match pass {
                Ok(pass) => (pass.more, pass.refused),
                Err(error) => (false, Some(error)),
            };
            if let Some(error) = error {
                // What is about one line is no reason to let the others wait.
                failures = if error.kind() == ErrorKind::Unavailable { failures.saturating_add(1) } else { 1 };
                if told.as_ref().is_none_or(|told| told.message() != error.message()) {
                    tracing::warn!(sink, %error, "{what} cannot be sent; trying again");
                    told = Some(error);
                }
            } else {
                failures = 0;
                if told.take().is_some() {
                    tracing::info!(sink, "{what} are sent again");
                }
            }
            if more {
                continue;
            }
            if last {
                tokio::select! { () = ending.as_mut() => return, () = self.feed.finish() => {} }
                // Another node need not wait for its end.
                if let Err(error) = self.lease(Duration::ZERO).await {
                    tracing::debug!(sink, %error, "the lease could not be given back");
                }
                return;
            }
            let pause = POLL.saturating_mul(1 << failures.min(6)).min(MOST);
            tokio::select! {
                () = sleep(pause) => {}
                changed = news.changed(), if heard && failures == 0 => {
                    heard = changed.is_ok();
                    tokio::select! { () = sleep(GATHER) => {}, () = end.cancelled() => {} }
                }
                () = end.cancelled() => {}
            }
        }
    }

    /// Sends of each line what is next: one batch, so that a line that grows as fast as it is sent keeps no other one waiting.
    ///
    /// # Errors
    /// `Unavailable`: nothing more could be sent. What is wrong with one line is in the pass.
    pub(crate) async fn forward(&self) -> Result<Pass> {
        let mut pass = Pass::default();
        if !self.lease(LEASE).await? {
            return Ok(pass);
        }
        let places = self.ledger.read(Reach::Gateway).await?.sink_places(self.feed.sink()).await?;
        let places: HashMap<String, i64> = places.into_iter().collect();
        for (line, last) in self.feed.lines(&*self.ledger).await? {
            let place = places.get(&line).copied().unwrap_or(0);
            if last.is_some_and(|last| last <= place) {
                continue;
            }
            let step = self.feed.send_next(&*self.ledger, &line, place).await?;
            pass.sent += step.sent;
            if step.place != place && !self.note(&line, step.place).await? {
                // Another process sends by now, from where this one was.
                return Ok(Pass::default());
            }
            match step.more {
                Ok(more) => pass.more |= more,
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(error) => {
                    pass.refused.get_or_insert(error);
                }
            }
        }
        if pass.sent == 0 {
            self.feed.settle().await?;
        }
        Ok(pass)
    }

    fn lease_name(&self) -> String {
        format!("sink {}", self.feed.sink())
    }

    /// Takes or keeps the lease for so long; false where another node has it.
    async fn lease(&self, length: Duration) -> Result<bool> {
        let Some(holder) = self.holder else { return Ok(true) };
        lease::take(&*self.ledger, self.lease_name(), holder, length).await
    }

    /// Notes how far it came; false where another process sends by now.
    async fn note(&self, line: &str, place: i64) -> Result<bool> {
        let (lease, holder) = (self.lease_name(), self.holder);
        let (sink, line) = (self.feed.sink().to_owned(), line.to_owned());
        transact(&*self.ledger, Reach::Gateway, Durability::Process, move |tx| {
            let (lease, sink, line) = (lease.clone(), sink.clone(), line.clone());
            async move {
                let now = now();
                if let Some(holder) = holder
                    && !tx.take_lease(&lease, holder, later(now, LEASE), now).await?
                {
                    return Ok(false);
                }
                tx.put_sink_place(&sink, &line, place).await?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }
}

#[cfg(test)]
#[path = "forward_test.rs"]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
