//! API keys: when each was first seen and last used goes to the ledger, and their ends are told before they come
//! (`key.expiring`), once for each by all nodes together.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;

use crate::error::Result;
use crate::events::{Facts, Operation};
use crate::gateway::Inner;
use crate::identity::{EndOfKey, KeyEnd, KeyMatch};
use crate::ports::{Durability, Reach};
use crate::records::{Micros, now, since_epoch};

/// How long before its end a key is told of: the contract's fourteen days.
const AHEAD: time::Duration = time::Duration::days(14);
/// How often uses that are due are written.
const WRITE: Duration = Duration::from_secs(5);
/// How often the ends are looked at: every so many rounds of [`WRITE`], which is a minute.
const LOOK: u32 = 12;

/// A key that the ledger does not know yet: its id and its digest.
type Unknown = (Arc<str>, [u8; 32]);

impl Inner {
    /// When a key ends, and why; none: it does not.
    pub(crate) fn end_of_key(&self, found: &KeyMatch) -> Option<KeyEnd> {
        found.end(self.key_book.first_seen(&found.digest), self.rules().api_key_max_age)
    }

    /// Notes the keys that are new here, and takes over what the ledger knows of all of them.
    pub(crate) async fn meet_keys(&self) -> Result<()> {
        let directory = self.directory();
        let mut unknown: BTreeMap<Arc<str>, Vec<Unknown>> = BTreeMap::new();
        for found in directory.api_keys().filter(|found| self.key_book.first_seen(&found.digest).is_none()) {
            unknown.entry(found.tenant.id.clone()).or_default().push((found.key.id.clone(), found.digest));
        }
        for (tenant, mut new) in unknown {
            // Two nodes that note the same ones do it in the same order.
            new.sort_unstable();
            let id = tenant.clone();
            let known = self.write(Reach::of(&tenant), Durability::Process, move |tx| {
                let (id, new) = (id.clone(), new.clone());
                Box::pin(async move {
                    let now = now();
                    for (key, digest) in &new {
                        tx.meet_key(&id, key, digest, now).await?;
                    }
                    tx.key_uses(&id).await
                })
            });
            for one in known.await? {
                self.key_book.add(&tenant, one);
            }
        }
        Ok(())
    }

    /// Writes the uses of keys that are due. `all`: those whose minute is not over, too.
    pub(crate) async fn note_key_uses(&self, all: bool) {
        let noted = self.key_book.due(now(), all);
        for some in noted.chunk_by(|one, other| one.tenant == other.tenant) {
            let rows = some.to_vec();
            let reach = Reach::of(some.first().map_or("", |one| &one.tenant));
            let written = self.write(reach, Durability::Process, move |tx| {
                let rows = rows.clone();
                Box::pin(async move {
                    for row in &rows {
                        tx.note_key_use(&row.tenant, &row.key, &row.digest, row.at).await?;
                    }
                    Ok(())
                })
            });
            match written.await {
                Ok(()) => self.key_book.written(some),
                Err(error) => tracing::warn!(%error, "the use of API keys could not be noted; trying again"),
            }
        }
    }

    /// Tells `key.expiring` of the keys that end soon and of which it was not told yet. `told`: the ends of which this process
    /// knows that.
    async fn warn_of_keys(&self, told: &mut HashSet<([u8; 32], Micros)>) {
        let directory = self.directory();
        let today = OffsetDateTime::now_utc();
        let soon = directory.api_keys().filter_map(|found| {
            let end = self.end_of_key(found)?;
            // The old key of a rotation has been replaced already: nobody has to do anything about it.
            let matters = end.why != EndOfKey::Replaced && found.previous.is_none();
            let news = matters
                && end.at > today
                && end.at - today <= AHEAD
                && !told.contains(&(found.digest, since_epoch(end.at)));
            news.then_some((found, end))
        });
        let soon: Vec<(&KeyMatch, KeyEnd)> = soon.collect();
        for (found, end) in soon {
            match self.warn_of_key(found, end).await {
                Ok(()) => drop(told.insert((found.digest, since_epoch(end.at)))),
                Err(error) => {
                    tracing::warn!(%error, key = &*found.key.id, "the end of an API key could not be told; trying again");
                }
            }
        }
    }

    async fn warn_of_key(&self, found: &KeyMatch, end: KeyEnd) -> Result<()> {
        let mut facts = Facts::of_gateway_in(&found.tenant.id, &self.settings.node, Operation::Admin);
        facts.identity = Some(found.identity.id.to_string());
        facts.login = Some(found.key.id.to_string());
        facts.expires_at = Some(since_epoch(end.at));
        let event = facts.event("key.expiring");
        let (tenant, key, digest) = (found.tenant.id.clone(), found.key.id.clone(), found.digest);
        let told = self.write(Reach::of(&found.tenant.id), Durability::Disk, move |tx| {
            let (tenant, key, event) = (tenant.clone(), key.clone(), event.clone());
            Box::pin(async move {
                let first = tx.warn_of_key(&tenant, &key, &digest, since_epoch(end.at), now()).await?;
                if first {
                    tx.append_events(&[event]).await?;
                }
                Ok(first)
            })
        });
        if told.await? {
            tracing::warn!(tenant = &*found.tenant.id, key = &*found.key.id, ends = %end.at, "an API key ends soon");
        }
        Ok(())
    }

    /// Does all of it until the jobs end: new keys at once when others are known, uses and ends from time to time.
    pub(crate) async fn keep_keys(&self) {
        let mut known = self.known.subscribe();
        let mut ticks = tokio::time::interval(WRITE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut round, mut told) = (0_u32, HashSet::new());
        loop {
            let look = tokio::select! {
                () = self.jobs_end.cancelled() => return,
                changed = known.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    true
                }
                _ = ticks.tick() => {
                    round = round.wrapping_add(1);
                    self.note_key_uses(false).await;
                    round % LOOK == 1
                }
            };
            if !look {
                continue;
            }
            if let Err(error) = self.meet_keys().await {
                tracing::warn!(%error, "new API keys could not be noted; trying again");
            }
            self.warn_of_keys(&mut told).await;
        }
    }
}
