//! How a worker lets go of a job: ended, to be tried again, or handed back. One transaction, under the worker's generation.

use std::time::Duration;

use uuid::Uuid;

use super::errand::overtaken;
use super::telling::{event_of, facts_of};
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::ports::{Durability, Reach, Tx};
use crate::records::{ItemState, Job, TransferState, later, now};

/// Why a worker lets go of a job.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// All steps were tried.
    Done,
    /// Nothing of it can be done, or nothing more.
    Failed(Error),
    /// It may go better later.
    Later(Error),
    /// This process stops.
    HandedBack,
}

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// How long a worker waits before it tries again to put an end on record.
const PAUSE: Duration = Duration::from_millis(500);

/// The wait before the next attempt: it doubles, and some of it is chance, so that jobs which failed together do not come
/// back together. `random` is between 0 and 1.
pub(super) fn backoff(delay: Duration, attempts: i64, random: f64) -> Duration {
    let doubled = delay.saturating_mul(1 << attempts.clamp(1, 20).saturating_sub(1)).min(LONGEST_WAIT);
    doubled.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

fn chance() -> f64 {
    f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

/// Takes the error of a job's failed steps for its own.
async fn judge(tx: &mut dyn Tx, job: &mut Job) -> Result<()> {
    let failed = tx.job_items(job.id, -1, Some(ItemState::Failed), 1).await?;
    let Some(first) = failed.into_iter().next() else { return Ok(()) };
    let sentence = first.error_message.unwrap_or_default();
    job.error_code = first.error_code;
    job.error_message = Some(if job.files <= 1 && job.failed == 1 {
        sentence
    } else {
        format!(
            "{} of {} files were not transferred; why the first was not: {sentence}",
            job.files - job.done,
            job.files
        )
    });
    Ok(())
}

impl Inner {
    /// Lets go of a job. It is tried again until the lease is over: then somebody else claims the job and sees to it.
    pub(super) async fn let_go(&self, job: &Job, ending: Ending) {
        let until = later(now(), self.settings.transfers.lease);
        loop {
            match self.put_ending(job, ending.clone()).await {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    tracing::info!(transfer = %job.id, "a transfer was cancelled, or is done by somebody else by now");
                    break;
                }
                Err(error) if now() >= until || self.jobs_end.is_cancelled() => {
                    tracing::warn!(transfer = %job.id, %error, "the end of a transfer could not be put on record; it is claimed again");
                    break;
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        self.jobs_wake.notify_one();
    }

    async fn put_ending(&self, job: &Job, ending: Ending) -> Result<()> {
        let (id, generation, node) = (job.id, job.generation, self.settings.node.clone());
        let wait = backoff(self.settings.transfers.retry_delay, job.attempts, chance());
        let durability = if matches!(ending, Ending::HandedBack) { Durability::Process } else { Durability::Disk };
        let state = self.write(Reach::of(&job.tenant), durability, move |tx| {
            let (ending, node) = (ending.clone(), node.clone());
            Box::pin(async move {
                let held = |job: &Job| job.state == TransferState::Running && job.generation == generation;
                let mut job = tx.hold_job(id).await?.filter(held).ok_or_else(overtaken)?;
                job.generation += 1;
                job.holder = Uuid::nil();
                job.partial = 0;
                // Completed is said only of what is done, step by step.
                let ending = match ending {
                    Ending::Done if job.failed == 0 && !is_whole(&mut *tx, &job).await? => Ending::Later(not_whole()),
                    other => other,
                };
                match ending {
                    Ending::Done if job.failed == 0 => end(tx, job, TransferState::Completed, None, &node).await,
                    Ending::Done => end(tx, job, TransferState::Failed, None, &node).await,
                    Ending::Failed(error) => end(tx, job, TransferState::Failed, Some(&error), &node).await,
                    Ending::Later(error) => {
                        job.state = TransferState::Retrying;
                        job.due_at = Some(later(now(), wait));
                        note(&mut job, &error);
                        put(tx, &job).await.map(|()| job.state)
                    }
                    Ending::HandedBack => {
                        // It was not the job's fault.
                        job.attempts -= 1;
                        job.state = if job.attempts == 0 { TransferState::Queued } else { TransferState::Retrying };
                        job.due_at = Some(now());
                        put(tx, &job).await.map(|()| job.state)
                    }
                }
            })
        });
        self.metrics.job(state.await?);
        Ok(())
    }
}

/// Whether no step is left and each file was counted as done.
async fn is_whole(tx: &mut dyn Tx, job: &Job) -> Result<bool> {
    Ok(job.done >= job.files && tx.job_items(job.id, -1, Some(ItemState::Pending), 1).await?.is_empty())
}

fn not_whole() -> Error {
    Error::new(ErrorKind::Unavailable, "not all steps of the transfer are done")
}

fn note(job: &mut Job, error: &Error) {
    job.error_code = Some(error.kind().code().to_owned());
    job.error_message = Some(error.message().to_owned());
}

async fn put(tx: &mut dyn Tx, job: &Job) -> Result<()> {
    if tx.update_job(job, job.generation - 1).await? { Ok(()) } else { Err(overtaken()) }
}

/// The last state of a job whose generation was bumped, and its one event.
pub(super) async fn end(
    tx: &mut dyn Tx,
    mut job: Job,
    state: TransferState,
    error: Option<&Error>,
    node: &str,
) -> Result<TransferState> {
    job.state = state;
    job.due_at = None;
    job.finished_at = Some(now());
    (job.error_code, job.error_message) = (None, None);
    let kind = match state {
        TransferState::Cancelled => "transfer.cancelled",
        TransferState::Failed => {
            match error {
                Some(error) => note(&mut job, error),
                None => judge(&mut *tx, &mut job).await?,
            }
            "transfer.failed"
        }
        TransferState::Queued | TransferState::Running | TransferState::Retrying | TransferState::Completed => {
            "transfer.completed"
        }
    };
    put(&mut *tx, &job).await?;
    let mut events = vec![event_of(&job, node, kind)];
    if let Some(error) = error.filter(|error| error.kind().is_refusal()) {
        // Nothing of it was begun, so no step tells of the refusal.
        let refused = facts_of(&job, node).failed(error);
        tx.append_audit(&refused.audit()).await?;
        events.push(refused.event("policy.violated"));
    }
    tx.append_events(&events).await.map(|()| state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_differ() {
        let delay = Duration::from_secs(2);
        let whole: Vec<u64> = (1..=5).map(|attempt| backoff(delay, attempt, 1.0).as_secs()).collect();
        assert_eq!(whole, [2, 4, 8, 16, 32]);
        assert_eq!(backoff(delay, 1, 0.0), Duration::from_secs(1));
        assert_eq!(backoff(delay, 400, 1.0), LONGEST_WAIT);
        assert_eq!(backoff(delay, i64::MAX, 0.0), LONGEST_WAIT / 2);
        assert_eq!(backoff(Duration::ZERO, 3, 0.7), Duration::ZERO);
    }
}
