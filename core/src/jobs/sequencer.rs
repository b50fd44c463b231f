//! The sequencer gives audit entries their seal and events their position, after they were committed. Operations append
//! without a lock between them; this is the one place where they are put in a row.
//!
//! Durability: a seal or position that is lost in a power cut would be given again, and on PostgreSQL, where an event may
//! be committed before one that was queued earlier, maybe in another order than the one that a reader by cursor has seen.
//! So the transaction is durable before anybody can read a position, and with it everything that it puts in a row: an
//! event that went out is never forgotten. That costs one sync per round, not per operation: rounds gather what comes
//! within [`GATHER`], and a round that finds nothing writes nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::audit::{GENESIS, link};
use crate::error::Result;
use crate::events::Webhook;
use crate::ports::{Durability, Ledger, Lock, Reach, Tx, transact};
use crate::records::{Delivery, DeliveryState, EventRecord, Micros, Seal, now};

/// Entries and events that one transaction takes at most: on SQLite everybody else's writing waits for it, 7 ms for so many with two
/// webhooks, and a larger one is not cheaper for each.
const BATCH: u32 = 250;

/// How long a round waits after it was woken, for more to come.
const GATHER: Duration = Duration::from_millis(10);

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// Entries sealed.
    pub sealed: usize,
    /// Events that have their position now.
    pub positioned: usize,
    /// The highest position so far, whoever gave it.
    pub last: i64,
}

impl Round {
    /// Whether there may be more to do.
    const fn is_full(self) -> bool {
        self.sealed >= BATCH as usize || self.positioned >= BATCH as usize
    }
}

/// Runs until shutdown, and then once more. `wake` is notified by commits of this process; what other nodes commit is
/// found every `poll`, and so are the positions that they gave. `positions` changes with the highest position; `webhooks` may change.
pub async fn run(
    ledger: Arc<dyn Ledger>,
    webhooks: watch::Receiver<Arc<[Webhook]>>,
    wake: Arc<Notify>,
    positions: watch::Sender<i64>,
    poll: Duration,
    shutdown: CancellationToken,
) {
    loop {
        // Read before the round: whatever was committed before the shutdown is in the last round.
        let last = shutdown.is_cancelled();
        let now = webhooks.borrow().clone();
        let pause = match run_once(ledger.as_ref(), &now).await {
            Ok(round) => {
                positions.send_if_modified(|last| std::mem::replace(last, round.last) != round.last);
                if round.is_full() {
                    continue;
                }
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the sequencer could not seal; it tries again");
                Some(PAUSE)
            }
        };
        if last {
            return;
        }
        if let Some(pause) = pause {
            tokio::select! { () = sleep(pause) => {}, () = shutdown.cancelled() => {} }
            continue;
        }
        tokio::select! {
            () = wake.notified() => tokio::select! { () = sleep(GATHER) => {}, () = shutdown.cancelled() => {} },
            () = sleep(poll) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// One round, in one transaction: seals what waits to be sealed, gives positions, and queues the deliveries.
pub(crate) async fn run_once(ledger: &dyn Ledger, webhooks: &Arc<[Webhook]>) -> Result<Round> {
    let webhooks = webhooks.clone();
    transact(ledger, Reach::Gateway, Durability::Disk, move |tx| round(tx, webhooks.clone()).boxed()).await
}

async fn round(tx: &mut dyn Tx, webhooks: Arc<[Webhook]>) -> Result<Round> {
    tx.lock(&[Lock::Other("sequencer".to_owned())]).await?;

    let entries = tx.unsealed(BATCH).await?;
    let mut heads: HashMap<String, Head> = HashMap::new();
    for (_, chain, _) in &entries {
        if !heads.contains_key(chain) {
            let head = tx
                .last_seal(chain)
                .await?
                .map_or(Head { seq: 0, hash: GENESIS }, |s| Head { seq: s.seq, hash: s.hash });
            heads.insert(chain.clone(), head);
        }
    }
    let seals = seal(&entries, heads);
    if !seals.is_empty() {
        tx.insert_seals(&seals).await?;
    }

    let events = tx.unpositioned(BATCH).await?;
    let mut done = Round { sealed: seals.len(), positioned: events.len(), last: tx.last_position().await? };
    if !events.is_empty() {
        let first = done.last + 1;
        let positions: Vec<(Uuid, i64)> = events.iter().map(|event| event.id).zip(first..).collect();
        let mut deliveries = deliveries(&events, first, &webhooks, now());
        if !deliveries.is_empty() {
            let disabled = disabled(tx).await?;
            deliveries.retain(|delivery| !disabled.contains(&delivery.webhook));
        }
        tx.position_events(&positions, &deliveries).await?;
        done.last += positions.len() as i64;
    }
    Ok(done)
}

/// The webhooks, by their keys, that nothing is queued for.
async fn disabled(tx: &mut dyn Tx) -> Result<HashSet<String>> {
    let troubled = tx.webhook_healths(None).await?;
    Ok(troubled.into_iter().filter(|health| health.disabled_at.is_some()).map(|health| health.webhook).collect())
}

/// The end of a chain.
#[derive(Clone, Copy)]
struct Head {
    seq: i64,
    hash: [u8; 32],
}

/// Links entries, each to the head of its chain.
fn seal(entries: &[(Uuid, String, Vec<u8>)], mut heads: HashMap<String, Head>) -> Vec<Seal> {
    let mut seals = Vec::with_capacity(entries.len());
    for (entry, chain, body) in entries {
        let head = heads.entry(chain.clone()).or_insert(Head { seq: 0, hash: GENESIS });
        head.seq += 1;
        head.hash = link(&head.hash, body);
        seals.push(Seal { chain: chain.clone(), seq: head.seq, entry: *entry, hash: head.hash });
    }
    seals
}

/// The deliveries of events, the first of which has this position, to the webhooks that want them.
fn deliveries(events: &[EventRecord], first: i64, webhooks: &[Webhook], now: Micros) -> Vec<Delivery> {
    let mut queued = Vec::new();
    for (event, position) in events.iter().zip(first..) {
        for webhook in webhooks.iter().filter(|webhook| webhook.wants(event)) {
            queued.push(Delivery {
                webhook: webhook.key(),
                event: event.id,
                position,
                state: DeliveryState::Pending,
                attempts: 0,
                next_at: now,
                last_result: None,
            });
        }
    }
    queued
}

#[cfg(test)]
#[path = "sequencer_test.rs"]
mod tests;
