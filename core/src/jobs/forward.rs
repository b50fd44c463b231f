//! Sends sealed audit entries to what collects them elsewhere, chain by chain, in the order of each. How far it came is in the ledger, so
//! that another process goes on from there. At least once: what was sent and not noted is sent again.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::Result;
use crate::ports::{AuditSink, Durability, Ledger, Reach, transact};
use crate::records::{AuditRecord, Seal, later, now};

/// Entries that are sent at a time.
const BATCH: u32 = 200;
/// How often it is looked for new ones.
const POLL: Duration = Duration::from_secs(1);
/// How long a process that gives no sign is the one that sends. A batch takes less.
const LEASE: Duration = Duration::from_mins(1);
/// The longest pause after failures.
const MOST: Duration = Duration::from_mins(1);
/// How long the gateway's end waits for a collector.
const LAST: Duration = Duration::from_secs(5);

/// What one pass over the chains did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pass {
    /// Entries that were sent.
    sent: usize,
    /// Whether there is more to send.
    more: bool,
}

/// Sends to one sink.
pub(crate) struct Forwarder {
    ledger: Arc<dyn Ledger>,
    sink: Arc<dyn AuditSink>,
    /// Who takes the lease; none: this process has the ledger alone.
    holder: Option<Uuid>,
}

impl Forwarder {
    pub(crate) const fn new(ledger: Arc<dyn Ledger>, sink: Arc<dyn AuditSink>, holder: Option<Uuid>) -> Self {
        Self { ledger, sink, holder }
    }

    /// Sends until the token is cancelled, and then what is left, as far as that is taken within [`LAST`]. A collector that
    /// hangs must not keep the gateway from its end: what was not noted is sent by whoever comes next.
    pub(crate) async fn run(&self, end: CancellationToken) {
        let mut failures: u32 = 0;
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
            let more = pass.as_ref().is_ok_and(|pass| pass.more);
            match pass {
                Ok(_) if failures > 0 => {
                    tracing::info!(sink = self.sink.name(), "audit entries are sent again");
                    failures = 0;
                }
                Ok(_) => {}
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(sink = self.sink.name(), %error, "audit entries cannot be sent; trying again");
                    }
                    failures = failures.saturating_add(1);
                }
            }
            if more {
                continue;
            }
            if last {
                tokio::select! { () = ending.as_mut() => {}, () = self.sink.finish() => {} }
                return;
            }
            let pause = POLL.saturating_mul(1 << failures.min(6)).min(MOST);
            tokio::select! { () = sleep(pause) => {}, () = end.cancelled() => {} }
        }
    }

    /// Sends of each chain the next entries that were sealed and not sent yet: one batch, so that a chain that grows as fast as
    /// it is sent keeps no other one waiting.
    pub(crate) async fn forward(&self) -> Result<Pass> {
        let mut pass = Pass::default();
        if !self.lease().await? {
            return Ok(pass);
        }
        let mut query = self.ledger.read(Reach::Gateway).await?;
        let places: HashMap<String, i64> = query.sink_places(self.sink.name()).await?.into_iter().collect();
        let chains = query.chains().await?;
        drop(query);
        for chain in chains {
            let place = places.get(&chain).copied().unwrap_or(0);
            let page = self.ledger.read(Reach::Gateway).await?.seals(&chain, place, BATCH).await?;
            let Some(place) = page.last().map(|(seal, _)| seal.seq) else { continue };
            let is_full = page.len() == BATCH as usize;
            let mut entries: Vec<(Seal, AuditRecord)> = Vec::with_capacity(page.len());
            for (seal, record) in page {
                match record {
                    Some(record) => entries.push((seal, record)),
                    None => tracing::error!(
                        %chain,
                        seq = seal.seq,
                        "an audit entry was removed before it could be sent (causeway audit verify)"
                    ),
                }
            }
            self.sink.send(&entries).await?;
            if !self.note(&chain, place).await? {
                // Another process sends by now, from where this one was.
                return Ok(Pass::default());
            }
            pass.sent += entries.len();
            pass.more |= is_full;
        }
        if pass.sent == 0 {
            self.sink.settle().await?;
        }
        Ok(pass)
    }

    async fn lease(&self) -> Result<bool> {
        let Some(holder) = self.holder else { return Ok(true) };
        let name = format!("audit sink {}", self.sink.name());
        transact(&*self.ledger, Reach::Gateway, Durability::Process, move |tx| {
            let name = name.clone();
            async move {
                let now = now();
                tx.take_lease(&name, holder, later(now, LEASE), now).await
            }
            .boxed()
        })
        .await
    }

    /// Notes how far it came; false where another process sends by now.
    async fn note(&self, chain: &str, place: i64) -> Result<bool> {
        let (name, chain, holder) = (self.sink.name().to_owned(), chain.to_owned(), self.holder);
        transact(&*self.ledger, Reach::Gateway, Durability::Process, move |tx| {
            let (name, chain) = (name.clone(), chain.clone());
            async move {
                let now = now();
                if let Some(holder) = holder
                    && !tx.take_lease(&format!("audit sink {name}"), holder, later(now, LEASE), now).await?
                {
                    return Ok(false);
                }
                tx.put_sink_place(&name, &chain, place).await?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::events::{Facts, Operation};
    use crate::jobs::fake_ledger::FakeLedger;
    use crate::jobs::sequencer;

    #[derive(Debug, Default)]
    struct Collector {
        got: Mutex<Vec<(String, i64)>>,
        refusals: Mutex<u32>,
        hangs: AtomicBool,
    }

    #[async_trait]
    impl AuditSink for Collector {
        fn name(&self) -> &'static str {
            "collector"
        }

        async fn send(&self, entries: &[(Seal, AuditRecord)]) -> Result<()> {
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err(Error::new(ErrorKind::Unavailable, "away"));
            }
            let places = entries.iter().map(|(seal, record)| {
                assert_eq!(seal.entry, record.id);
                (seal.chain.clone(), seal.seq)
            });
            self.got.lock().unwrap().extend(places);
            Ok(())
        }
    }

    impl Collector {
        fn seqs(&self) -> Vec<i64> {
            self.got.lock().unwrap().iter().map(|(_, seq)| *seq).collect()
        }
    }

    async fn append(ledger: &FakeLedger, chain: &'static str, count: usize) {
        transact(ledger, Reach::Gateway, Durability::Disk, move |tx| {
            async move {
                for _ in 0..count {
                    let facts = Facts::of_gateway_in(&chain.into(), "gw-1", Operation::Upload);
                    tx.append_audit(&facts.audit()).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
        .unwrap();
        while sequencer::run_once(ledger, &Arc::from([])).await.unwrap().sealed > 0 {}
    }

    /// Passes until nothing is left. How many entries.
    async fn all(forwarder: &Forwarder) -> usize {
        let mut sent = 0;
        loop {
            let pass = forwarder.forward().await.unwrap();
            sent += pass.sent;
            if !pass.more {
                return sent;
            }
        }
    }

    #[tokio::test]
    async fn everything_is_sent_once_and_in_order() {
        let (ledger, sink) = (Arc::new(FakeLedger::default()), Arc::new(Collector::default()));
        let forwarder = |holder| Forwarder::new(ledger.clone(), sink.clone(), holder);
        let one = forwarder(Some(Uuid::now_v7()));
        append(&ledger, "acme", 450).await;
        assert_eq!(all(&one).await, 450);
        assert_eq!(all(&one).await, 0);
        append(&ledger, "acme", 3).await;
        assert_eq!(all(&forwarder(Some(Uuid::now_v7()))).await, 0, "another one has the lease");
        assert_eq!(all(&one).await, 3);
        assert_eq!(sink.seqs(), (1..=453).collect::<Vec<_>>());
        append(&ledger, "acme", 1).await;
        assert_eq!(all(&forwarder(None)).await, 1, "goes on where the other one was");
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_sent_later_and_at_the_end() {
        let (ledger, sink) = (Arc::new(FakeLedger::default()), Arc::new(Collector::default()));
        append(&ledger, "acme", 3).await;
        *sink.refusals.lock().unwrap() = 3;
        let end = CancellationToken::new();
        let job = Forwarder::new(ledger.clone(), sink.clone(), None);
        let running = tokio::spawn({
            let end = end.clone();
            async move { job.run(end).await }
        });
        sleep(Duration::from_mins(1)).await;
        assert_eq!(sink.seqs(), [1, 2, 3]);
        append(&ledger, "acme", 2).await;
        end.cancel();
        running.await.unwrap();
        assert_eq!(sink.seqs(), [1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn a_busy_chain_keeps_no_other_one_waiting() {
        let (ledger, sink) = (Arc::new(FakeLedger::default()), Arc::new(Collector::default()));
        append(&ledger, "acme", 450).await;
        append(&ledger, "globex", 1).await;
        let forwarder = Forwarder::new(ledger.clone(), sink.clone(), None);
        let pass = forwarder.forward().await.unwrap();
        assert_eq!(pass, Pass { sent: 201, more: true });
        assert!(sink.got.lock().unwrap().contains(&("globex".to_owned(), 1)));
        assert_eq!(all(&forwarder).await, 250);
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_hangs_does_not_hold_up_the_end() {
        let (ledger, sink) = (Arc::new(FakeLedger::default()), Arc::new(Collector::default()));
        append(&ledger, "acme", 3).await;
        sink.hangs.store(true, Ordering::SeqCst);
        let end = CancellationToken::new();
        let job = Forwarder::new(ledger.clone(), sink.clone(), None);
        let running = tokio::spawn({
            let end = end.clone();
            async move { job.run(end).await }
        });
        sleep(Duration::from_secs(30)).await;
        end.cancel();
        tokio::time::timeout(LAST + Duration::from_secs(1), running).await.unwrap().unwrap();
        sink.hangs.store(false, Ordering::SeqCst);
        assert_eq!(all(&Forwarder::new(ledger.clone(), sink.clone(), None)).await, 3, "nothing was noted as sent");
    }
}
