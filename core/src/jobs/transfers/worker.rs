//! The workers: they claim jobs whose turn it is, do their steps, and let go of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Errand;
use super::ending::Ending;
use super::errand::{Run, overtaken};
use super::session::{on, same_places};
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::identity::Session;
use crate::ports::{Durability, Reach};
use crate::records::{ItemKind, ItemState, Job, TransferState, later, micros, now};
use crate::trace::SpanKind;

/// How often a worker looks whether its job is still its own.
const LOOK: Duration = Duration::from_millis(300);
/// How often it tells how far the file under way has come.
const TELL: Duration = Duration::from_millis(500);
/// Steps that are read at a time.
const BATCH: u32 = 100;
/// Steps that are stored at a time.
const STORED: usize = 500;
/// Files that meet an error that may pass, one after another, after which the job waits.
const IN_A_ROW: u32 = 3;
/// Failed steps after which a job goes no further: whatever it is, it does not get better, and each is put on record.
const MAX_FAILED: u64 = 100;

/// Whether the same step may succeed a moment later.
const fn passes(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Unavailable
        | ErrorKind::Internal
        | ErrorKind::Conflict
        | ErrorKind::NoSpace
        | ErrorKind::Throttled
        | ErrorKind::TimedOut => true,
        ErrorKind::InvalidName
        | ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::NoSuchFolder
        | ErrorKind::AlreadyExists
        | ErrorKind::IsFolder
        | ErrorKind::NotFolder
        | ErrorKind::NotEmpty
        | ErrorKind::PermissionDenied
        | ErrorKind::Unauthenticated
        | ErrorKind::QuotaExceeded
        | ErrorKind::FileTooLarge
        | ErrorKind::PreconditionFailed
        | ErrorKind::DigestMismatch
        | ErrorKind::TypeMismatch
        | ErrorKind::Incomplete
        | ErrorKind::Expired
        | ErrorKind::Unsupported => false,
    }
}

/// Why a worker goes no further.
enum Stop {
    /// The job is not its own any more.
    Lost,
    /// It lets go of it.
    Ending(Ending),
}

impl From<Error> for Stop {
    /// Of an error that a worker met on its own account, at the ledger.
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Conflict => Self::Lost,
            _ => Self::Ending(Ending::Later(error)),
        }
    }
}

impl Inner {
    /// Claims jobs and has them done, some at a time, until the gateway stops.
    pub(crate) async fn work_always(self: &Arc<Self>) {
        let workers = self.settings.transfers.workers;
        if workers == 0 {
            return;
        }
        let free = Arc::new(Semaphore::new(workers));
        // What other nodes are asked for is found by looking.
        let poll = if self.settings.sole_owner { Duration::from_secs(15) } else { Duration::from_secs(1) };
        loop {
            let place = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                place = free.clone().acquire_owned() => place,
            };
            let Ok(place) = place else { return };
            let wait = match self.claim_next(poll).await {
                Ok(Ok(job)) => {
                    let inner = self.clone();
                    self.jobs.spawn(async move {
                        inner.work_on(job).await;
                        drop(place);
                    });
                    continue;
                }
                Ok(Err(wait)) => wait,
                Err(error) => {
                    tracing::warn!(%error, "transfers pause; they go on by themselves");
                    Duration::from_secs(1)
                }
            };
            drop(place);
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = self.jobs_wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The job whose turn it is; else how long to wait for one.
    async fn claim_next(&self, poll: Duration) -> Result<Result<Job, Duration>> {
        // Looking costs nothing; a transaction that claims nothing would.
        let due = self.ledger.read(Reach::Gateway).await?.next_job_due().await?;
        let wait = due.map_or(poll, |due| Duration::from_micros(u64::try_from(due - now()).unwrap_or(0)).min(poll));
        if due.is_none() || !wait.is_zero() {
            return Ok(Err(wait));
        }
        let (holder, lease) = (self.incarnation, micros(self.settings.transfers.lease));
        let claimed = self
            .write(Reach::Gateway, Durability::Process, move |tx| {
                Box::pin(async move {
                    let now = now();
                    tx.claim_job(holder, now.saturating_add(lease), now).await
                })
            })
            .await?;
        // None: others were quicker.
        Ok(claimed.ok_or(Duration::from_millis(20)))
    }

    async fn work_on(self: &Arc<Self>, mut job: Job) {
        let run = Run::new(self.shutdown.child_token());
        let ended = CancellationToken::new();
        // Whatever happens to the worker, nobody keeps a lease for it then.
        let _end = ended.clone().drop_guard();
        let watch = {
            let (inner, run, ended, id, generation) =
                (self.clone(), run.clone(), ended.clone(), job.id, job.generation);
            tokio::spawn(async move { inner.watch(id, generation, &run, ended).await })
        };
        let stop = match Box::pin(self.carry_out(&mut job, &run)).await {
            Ok(()) => Stop::Ending(Ending::Done),
            Err(stop) => stop,
        };
        match stop {
            Stop::Ending(_) if run.is_lost() => lost(&job),
            Stop::Lost => lost(&job),
            Stop::Ending(Ending::Later(error)) if !run.is_stopped() => {
                let last = job.attempts >= i64::from(self.settings.transfers.max_attempts);
                tracing::info!(transfer = %job.id, attempts = job.attempts, %error, "a transfer met an error that may pass");
                self.let_go(&job, if last { Ending::Failed(error) } else { Ending::Later(error) }).await;
            }
            Stop::Ending(Ending::Later(_)) => self.let_go(&job, Ending::HandedBack).await,
            Stop::Ending(ending) => self.let_go(&job, ending).await,
        }
        ended.cancel();
        if let Err(error) = watch.await {
            tracing::error!(%error, "the watch over a transfer ended");
        }
    }

    /// Keeps the lease, tells how far the file under way has come, and stops the worker where the job is not its own any more.
    async fn watch(&self, id: uuid::Uuid, generation: i64, run: &Run, ended: CancellationToken) {
        let lease = self.settings.transfers.lease;
        let (mut renewed, mut told) = (Instant::now(), 0);
        loop {
            tokio::select! {
                () = ended.cancelled() => return,
                () = tokio::time::sleep(LOOK.min(lease / 4)) => {}
            }
            let partial = run.partial();
            let held = if renewed.elapsed() >= lease / 3 || (partial != told && renewed.elapsed() >= TELL) {
                let began = Instant::now();
                let renewal = self
                    .write(Reach::Gateway, Durability::Process, move |tx| {
                        let until = later(now(), lease);
                        Box::pin(async move { tx.renew_job(id, generation, until, partial).await })
                    })
                    .await;
                if renewal.is_ok() {
                    (renewed, told) = (began, partial);
                }
                renewal
            } else {
                self.is_held(id, generation).await
            };
            match held {
                Ok(true) => {}
                Err(_) if renewed.elapsed() < lease => {}
                // Lost, or nobody can say for so long that it must be taken for lost.
                Ok(false) | Err(_) => {
                    run.lose();
                    return;
                }
            }
        }
    }

    async fn is_held(&self, id: uuid::Uuid, generation: i64) -> Result<bool> {
        let job = self.ledger.read(Reach::Gateway).await?.job(id).await?;
        Ok(job.is_some_and(|job| job.state == TransferState::Running && job.generation == generation))
    }

    async fn carry_out(self: &Arc<Self>, job: &mut Job, run: &Arc<Run>) -> Result<(), Stop> {
        let last = job.attempts >= i64::from(self.settings.transfers.max_attempts);
        if job.attempts > i64::from(self.settings.transfers.max_attempts) {
            // It was begun so often and never came to an end: whoever had it died.
            let sentence = "the transfer was begun too often without coming to an end; ask for it again";
            return Err(Stop::Ending(Ending::Failed(Error::new(ErrorKind::Unavailable, sentence))));
        }
        let mut known = self.directory();
        let mut session = self.session_of(job).await.map_err(of_whole)?;
        session.span = Arc::new(self.settings.tracer.begin(SpanKind::Internal, "transfer", None));
        same_places(&session, &job.order).map_err(of_whole)?;
        let (id, generation) = (job.id, job.generation);
        let errand = |item| Errand { job: id, generation, item, run: run.clone() };
        if !job.planned {
            let planner = on(&session, errand(None));
            let plan = Box::pin(self.plan(&planner, &job.order)).await.map_err(of_whole)?;
            self.store_plan(job, &plan).await?;
        }
        let (mut after, mut failed) = (-1, job.failed);
        // What met an error that may pass, and how many did so one after another.
        let (mut later, mut in_a_row) = (None, 0);
        loop {
            let items = self
                .ledger
                .read(Reach::of(&job.tenant))
                .await?
                .job_items(job.id, after, Some(ItemState::Pending), BATCH)
                .await?;
            let Some(end) = items.last() else {
                return later.map_or(Ok(()), |error| Err(Stop::Ending(Ending::Later(error))));
            };
            after = end.number;
            for item in items {
                if failed >= MAX_FAILED {
                    return Ok(());
                }
                self.require_going(run)?;
                if later.is_some() && item.kind == ItemKind::Prune {
                    // A folder is not empty before all is out of it.
                    continue;
                }
                // Whoever asked may be gone by now, or may do something else.
                let ended = session.expires.is_some_and(|end| end <= time::OffsetDateTime::now_utc());
                let revoked = match job.order.grant {
                    Some(grant) => self.is_revoked(grant).await,
                    None => false,
                };
                if ended || revoked || !Arc::ptr_eq(&known, &self.directory()) {
                    known = self.directory();
                    let span = session.span.clone();
                    session = Session { span, ..self.session_of(job).await.map_err(of_whole)? };
                    same_places(&session, &job.order).map_err(of_whole)?;
                }
                run.next_file();
                let session = on(&session, errand(Some(item.clone())));
                let Err(error) = self.do_step(&session, job, &item).await else {
                    in_a_row = 0;
                    continue;
                };
                self.require_going(run)?;
                if passes(error.kind()) && !self.is_held(job.id, job.generation).await? {
                    return Err(Stop::Lost);
                }
                if passes(error.kind()) && !last {
                    in_a_row += 1;
                    // The others need not wait for one file's trouble, but where a folder was not made its files have none.
                    if item.kind != ItemKind::File || in_a_row >= IN_A_ROW {
                        return Err(Stop::Ending(Ending::Later(error)));
                    }
                    later = Some(error);
                    continue;
                }
                // Where it is done, whatever the error said, or the job is not ours: the next look at the job tells.
                if self.put_step_failed(&session, job, &item, &error).await? {
                    failed += 1;
                }
            }
        }
    }

    fn require_going(&self, run: &Run) -> Result<(), Stop> {
        if run.is_lost() {
            return Err(Stop::Lost);
        }
        if run.is_stopped() || self.require_open().is_err() {
            return Err(Stop::Ending(Ending::HandedBack));
        }
        Ok(())
    }

    /// Stores the steps, in several transactions: what an earlier attempt left of them goes first, and only the last one says
    /// that they are all there.
    async fn store_plan(&self, job: &mut Job, plan: &super::plan::Plan) -> Result<()> {
        let (id, generation) = (job.id, job.generation);
        let held = move |found: &Job| found.state == TransferState::Running && found.generation == generation;
        self.write(Reach::Gateway, Durability::Process, move |tx| {
            Box::pin(async move {
                tx.hold_job(id).await?.filter(held).ok_or_else(overtaken)?;
                tx.delete_job_items(id).await
            })
        })
        .await?;
        for some in plan.items.chunks(STORED) {
            let some: Arc<[_]> = some.into();
            self.write(Reach::Gateway, Durability::Process, move |tx| {
                let some = some.clone();
                Box::pin(async move {
                    tx.hold_job(id).await?.filter(held).ok_or_else(overtaken)?;
                    tx.insert_job_items(id, &some).await
                })
            })
            .await?;
        }
        let failed = plan.items.iter().filter(|item| item.state == ItemState::Failed).count() as u64;
        let (size, files) = (plan.size(), plan.files());
        *job = self
            .write(Reach::Gateway, Durability::Disk, move |tx| {
                Box::pin(async move {
                    let mut job = tx.hold_job(id).await?.filter(held).ok_or_else(overtaken)?;
                    (job.planned, job.size, job.files, job.failed) = (true, size, files, failed);
                    if tx.update_job(&job, generation).await? { Ok(job) } else { Err(overtaken()) }
                })
            })
            .await?;
        Ok(())
    }
}

fn lost(job: &Job) {
    tracing::info!(transfer = %job.id, "a transfer was cancelled, or is done by somebody else by now");
}

/// An error of the whole job.
fn of_whole(error: Error) -> Stop {
    Stop::Ending(if passes(error.kind()) { Ending::Later(error) } else { Ending::Failed(error) })
}
