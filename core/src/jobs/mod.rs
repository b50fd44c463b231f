//! The work in the background: the sequencer, the webhook dispatchers, signs of life, recovery, the sweeper, the purge of
//! removed folders, transfers, and the reaper of what was dropped without being finished.

mod answers;
pub mod dispatcher;
mod endpoints;
mod forward;
mod heads;
mod keys;
mod lease;
mod liveness;
mod purge;
mod recovery;
pub mod sequencer;
mod sessions;
mod sweeper;
pub mod transfers;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod fake_ledger;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::gateway::{Inner, held};
use crate::records::micros;
use crate::transfer::{DownloadCore, PartCore, UploadCore, broken, detach};

use forward::{Feed, Forwarder};
pub(crate) use heads::Heads;
pub(crate) use transfers::{Errand, settle};

/// How often a node looks whether others have changed who is known: they all follow within a second.
const OBJECTS_POLL: Duration = Duration::from_millis(500);

/// How often a node that is followed looks for events that others have put in their row.
const EVENTS_POLL: Duration = Duration::from_millis(500);

/// What was dropped without being finished.
pub(crate) enum Reap {
    /// An upload: to be detached.
    Upload(Arc<UploadCore>),
    /// A download: to be told as incomplete.
    Download(Arc<DownloadCore>),
    /// A part of an upload: to be kept as far as it came, or given up.
    Part(Box<PartCore>),
}

async fn reap(inner: Arc<Inner>, mut dropped: mpsc::UnboundedReceiver<Reap>) {
    loop {
        let next = tokio::select! {
            biased;
            next = dropped.recv() => next,
            () = inner.shutdown.cancelled() => dropped.try_recv().ok(),
        };
        match next {
            Some(Reap::Upload(core)) => detach(&core, &broken()).await,
            Some(Reap::Download(core)) => {
                if let Err(error) = core.end(Some(&broken())).await {
                    tracing::warn!(%error, "the end of a download could not be put on record");
                }
            }
            Some(Reap::Part(core)) => core.end().await,
            None => return,
        }
    }
}

/// Runs a step again and again, with a pause between, until the token is cancelled.
async fn every<F>(pause: Duration, end: CancellationToken, step: impl Fn() -> F)
where
    F: Future<Output = ()>,
{
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = ticks.tick() => step().await,
        }
    }
}

impl Inner {
    /// See [`crate::Gateway::spawn_jobs`].
    pub(crate) fn spawn_jobs(self: &Arc<Self>) {
        let Some(dropped) = held(&self.reaped).take() else { return };
        self.tasks.spawn(reap(self.clone(), dropped));
        let sole = self.settings.sole_owner;
        let seen = self.positions.subscribe();
        self.forward_to_sinks();
        // What other nodes left is found by looking; what this process leaves wakes the sequencer.
        let sequence_poll = if sole { Duration::from_secs(5) } else { Duration::from_millis(200) };
        let deliver_poll = if sole { Duration::from_secs(15) } else { Duration::from_secs(1) };
        self.jobs.spawn(sequencer::run(
            self.ledger.clone(),
            self.hooks.subscribe(),
            self.wake.clone(),
            self.positions.clone(),
            sequence_poll,
            self.jobs_end.clone(),
        ));
        let inner = self.clone();
        self.jobs.spawn(async move { inner.dispatch_always(seen, deliver_poll).await });
        if !sole {
            let inner = self.clone();
            self.jobs.spawn(async move {
                every(EVENTS_POLL, inner.jobs_end.clone(), || inner.hear_of_positions()).await;
            });
        }
        let inner = self.clone();
        self.jobs.spawn(async move {
            every(liveness::INTERVAL, inner.jobs_end.clone(), || inner.give_sign_of_life()).await;
        });
        let inner = self.clone();
        self.jobs.spawn(async move {
            every(Duration::from_secs(2), inner.jobs_end.clone(), || inner.put_away_again()).await;
        });
        let (inner, rotation) = (self.clone(), self.settings.tokens.key_rotation);
        self.jobs.spawn(async move {
            let pause = (rotation / 20).clamp(Duration::from_millis(100), Duration::from_mins(1));
            every(pause, inner.jobs_end.clone(), || inner.rotate_keys()).await;
        });
        let inner = self.clone();
        self.jobs.spawn(async move { inner.keep_keys().await });
        let (inner, pause) = (self.clone(), self.settings.audit.head_interval);
        self.jobs.spawn(async move { every(pause, inner.jobs_end.clone(), || inner.sign_heads()).await });
        let inner = self.clone();
        self.jobs.spawn(async move {
            every(heads::REMOVAL, inner.jobs_end.clone(), || inner.remove_old_entries()).await;
        });
        let inner = self.clone();
        self.jobs.spawn(async move {
            every(OBJECTS_POLL, inner.jobs_end.clone(), || inner.follow_objects_again()).await;
        });
        let inner = self.clone();
        self.jobs.spawn(async move { inner.purge_always().await });
        let inner = self.clone();
        self.jobs.spawn(async move { inner.work_always().await });
        let inner = self.clone();
        self.jobs.spawn(async move { inner.tell_of_sessions().await });
        let inner = self.clone();
        self.jobs.spawn(async move { inner.end_what_does_not_hold().await });
        let inner = self.clone();
        self.jobs.spawn(async move { inner.end_stale_grants_always().await });
        let (inner, idle) = (self.clone(), self.settings.idle_detach);
        self.jobs.spawn(async move {
            let pause = (idle / 4).clamp(Duration::from_millis(100), Duration::from_secs(5));
            let idle = micros(idle);
            every(pause, inner.jobs_end.clone(), || inner.detach_idle(idle)).await;
        });
        let inner = self.clone();
        self.jobs.spawn(async move {
            let pause = (inner.settings.blob_grace / 4).clamp(Duration::from_secs(1), Duration::from_mins(1));
            every(pause, inner.jobs_end.clone(), || async {
                inner.sweep().await;
                inner.close_lanes().await;
            })
            .await;
        });
        let inner = self.clone();
        self.jobs.spawn(async move {
            every(Duration::from_hours(24), inner.jobs_end.clone(), || inner.sweep_orphans()).await;
        });
    }

    /// To each sink that there is, woken by the positions that the sequencer gives.
    fn forward_to_sinks(&self) {
        let mut feeds: Vec<Box<dyn Feed>> = Vec::new();
        if let Some(sink) = self.settings.audit.sink.clone() {
            feeds.push(Box::new(forward::Entries(sink)));
        }
        if let Some(sink) = self.settings.event_sink.clone() {
            feeds.push(Box::new(forward::Events(sink)));
        }
        for feed in feeds {
            let holder = (!self.settings.sole_owner).then_some(self.settings.installation);
            let forwarder = Forwarder::new(self.ledger.clone(), feed, holder);
            let (news, end) = (self.positions.subscribe(), self.jobs_end.clone());
            self.jobs.spawn(async move { forwarder.run(news, end).await });
        }
    }

    async fn sign_heads(&self) {
        if let Err(error) = self.heads.look_at_guards(&*self.ledger).await {
            tracing::warn!(%error, "the triggers of the audit trail could not be looked at");
        }
        match self.heads.sign(&*self.ledger).await {
            Ok(_) if self.settings.audit.key.is_none() => {}
            Ok(_) => self.metrics.heads_are_signed(),
            Err(error) => {
                tracing::warn!(%error, "the heads of the audit trail could not be signed and filed; trying again");
            }
        }
    }

    async fn remove_old_entries(&self) {
        // Years of entries may have come to their end at once. Each batch is a transaction with its cut, so that it can end in between.
        let removed = tokio::select! {
            removed = self.heads.remove_old(&*self.ledger) => removed,
            () = self.jobs_end.cancelled() => return,
        };
        match removed {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "audit entries whose time was over were removed"),
            Err(error) => tracing::warn!(%error, "old audit entries could not be removed; trying again"),
        }
    }

    /// See [`crate::Gateway::stop`].
    pub(crate) async fn stop(&self) {
        self.shutdown.cancel();
        let left: Vec<_> = held(&self.uploads).values().filter_map(std::sync::Weak::upgrade).collect();
        for core in left {
            detach(&core, &broken()).await;
        }
        self.tasks.close();
        self.tasks.wait().await;
        self.jobs_end.cancel();
        self.jobs.close();
        self.jobs.wait().await;
        self.note_key_uses(true).await;
        // Over the last entries, too.
        self.sign_heads().await;
        self.leave().await;
        self.ledger.close().await;
    }
}
