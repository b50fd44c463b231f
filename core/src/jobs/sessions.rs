//! Sessions that last are told of in the ledger, so that every node knows of them and can ask for their end: in groups,
//! about once a second. Of those that are over within that time nothing is written, and nothing at all where one process owns
//! the ledger alone.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use crate::error::Result;
use crate::gateway::Inner;
use crate::identity::EndReason;
use crate::ports::{Durability, Reach};
use crate::records::{SessionRow, now};

/// How often is told of sessions, and looked for those whose end was asked for.
const ROUND: Duration = Duration::from_secs(1);
/// Sessions younger than this, in microseconds, are not told of yet.
const YOUNG: i64 = 1_000_000;
/// After so many rounds the ledger is asked whether it still has all of it: another node may have taken this one for dead.
const CERTAIN: u32 = 10;
/// Sessions that one transaction tells of.
const BATCH: usize = 500;

/// What was told of so far.
#[derive(Default)]
struct Told {
    ids: HashSet<Uuid>,
    rounds: u32,
}

impl Inner {
    /// Tells of this process's sessions until the gateway stops.
    pub(crate) async fn tell_of_sessions(&self) {
        if self.settings.sole_owner {
            return;
        }
        let mut told = Told::default();
        let mut ticks = tokio::time::interval(ROUND);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.jobs_end.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.tell_round(&mut told).await {
                tracing::warn!(%error, "other nodes are not told of sessions; trying again");
            }
        }
    }

    async fn tell_round(&self, told: &mut Told) -> Result<()> {
        told.rounds = told.rounds.wrapping_add(1);
        if told.rounds.is_multiple_of(CERTAIN) {
            let there = self.ledger.read(Reach::Gateway).await?.session_count(self.incarnation).await?;
            if there != told.ids.len() as u64 {
                let own = self.incarnation;
                self.write(Reach::Gateway, Durability::Process, move |tx| {
                    Box::pin(async move { tx.clear_sessions(own).await })
                })
                .await?;
                told.ids.clear();
            }
        }
        let here = self.live.all();
        let last = now() - YOUNG;
        let new: Vec<SessionRow> = here
            .iter()
            .filter(|session| session.life.started_at <= last && !told.ids.contains(&session.id))
            .map(|session| self.session_row(session))
            .collect();
        let ids: HashSet<Uuid> = here.iter().map(|session| session.id).collect();
        drop(here);
        let gone: Vec<Uuid> = told.ids.difference(&ids).copied().collect();
        let rounds = new.len().max(gone.len()).div_ceil(BATCH);
        let (mut new, mut gone) = (new.chunks(BATCH), gone.chunks(BATCH));
        for _ in 0..rounds {
            let come = new.next().map(<[_]>::to_vec).unwrap_or_default();
            let left = gone.next().map(<[_]>::to_vec).unwrap_or_default();
            let (rows, ended) = (come.clone(), left.clone());
            self.write(Reach::Gateway, Durability::Process, move |tx| {
                let (rows, ended) = (rows.clone(), ended.clone());
                Box::pin(async move {
                    if !ended.is_empty() {
                        tx.delete_sessions(&ended).await?;
                    }
                    if rows.is_empty() { Ok(()) } else { tx.insert_sessions(&rows).await }
                })
            })
            .await?;
            told.ids.extend(come.iter().map(|row| row.id));
            for id in &left {
                told.ids.remove(id);
            }
        }
        if told.ids.is_empty() {
            return Ok(());
        }
        for id in self.ledger.read(Reach::Gateway).await?.sessions_to_end(self.incarnation).await? {
            if let Some(session) = self.live.get(id)
                && session.life.end(EndReason::Admin)
            {
                tracing::info!(session = %id, login = &*session.login, "a session is ended: an administrator asked for it");
            }
        }
        Ok(())
    }
}
