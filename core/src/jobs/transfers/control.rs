//! Ending a job before its time, and asking for it again: one transaction under a new generation, so that whoever works on it,
//! here or on another node, changes nothing any more.

use uuid::Uuid;

use super::ending::end;
use super::errand::overtaken;
use super::telling::event_of;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation};
use crate::gateway::Inner;
use crate::identity::{Scope, Session};
use crate::policy;
use crate::ports::{Durability, Tx};
use crate::records::{Job, TransferState, now};

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It is so now: the transfer's state.
    Is(TransferState),
    /// It makes no sense in this state; nothing has changed.
    Wrong(TransferState),
}

/// The scopes that a transfer makes use of.
const USED: [Scope; 3] = [Scope::FilesRead, Scope::FilesWrite, Scope::TransfersWrite];

const OTHER_KEY: &str = "permission denied: another key or login asked for this transfer, and it would run by that one's rights; \
                         retry it with that one, or ask for a new transfer";

#[derive(Clone, Copy)]
enum Wish {
    Cancel,
    Retry,
}

impl Inner {
    /// See [`crate::Gateway::cancel_transfer`].
    pub(crate) async fn cancel_transfer(&self, session: &Session, id: Uuid) -> Result<Control> {
        self.control(session, id, Wish::Cancel).await
    }

    /// See [`crate::Gateway::retry_transfer`].
    pub(crate) async fn retry_transfer(&self, session: &Session, id: Uuid) -> Result<Control> {
        self.control(session, id, Wish::Retry).await
    }

    async fn control(&self, session: &Session, id: Uuid, wish: Wish) -> Result<Control> {
        self.require_open()?;
        let mut facts = self.facts(session, Operation::Transfer);
        facts.transfer_id = Some(id);
        let allowed = self.may_control(session, id, wish).await;
        let own = match allowed {
            Ok(own) => own,
            Err(error) => {
                if error.kind().is_refusal() {
                    self.put_failure(facts, &error).await;
                }
                return Err(error);
            }
        };
        // What somebody does with another's transfer is on record.
        let facts = Some(facts).filter(|_| !own);
        let node = self.settings.node.clone();
        let (done, ended) = self
            .write(session.reach(), Durability::Disk, move |tx| {
                let (facts, node) = (facts.clone(), node.clone());
                Box::pin(async move {
                    let job = tx.hold_job(id).await?.ok_or_else(no_such_transfer)?;
                    let ends = matches!(wish, Wish::Cancel) && !job.state.is_ended();
                    let done = match wish {
                        Wish::Cancel => cancel(tx, job, facts, &node).await?,
                        Wish::Retry => retry(tx, job, facts, &node).await?,
                    };
                    Ok((done, ends))
                })
            })
            .await?;
        if ended {
            self.metrics.job(TransferState::Cancelled);
        }
        self.jobs_wake.notify_one();
        Ok(done)
    }

    /// Whether the job is the session's own; fails where it may do nothing with it.
    async fn may_control(&self, session: &Session, id: Uuid, wish: Wish) -> Result<bool> {
        let admin = session.scopes.allows(Scope::Admin);
        if !admin {
            policy::require_scope(session, Scope::TransfersWrite)?;
        }
        let job =
            self.ledger.read(session.reach()).await?.job(id).await?.filter(|job| *job.tenant == *session.tenant.id);
        match job {
            // It runs by the rights of the key or login that asked for it, which the caller's may not have.
            Some(job) if *job.identity == *session.identity.id && matches!(wish, Wish::Retry) && !admin => {
                let same = *job.login == *session.login
                    && job.order.api_key == session.auth_method.is_key()
                    && job.order.issuer.as_deref() == session.issuer.as_deref();
                // A token may be worth less than what it was given by.
                let as_much = match self.session_of(&job).await {
                    Ok(run_by) => USED.iter().all(|scope| session.scopes.has(*scope) || !run_by.scopes.has(*scope)),
                    Err(_) => false,
                };
                if same && as_much { Ok(true) } else { Err(Error::new(ErrorKind::PermissionDenied, OTHER_KEY)) }
            }
            Some(job) if *job.identity == *session.identity.id => Ok(true),
            Some(_) if admin => Ok(false),
            // Who may see it is told that it is not his; for everybody else it is not there.
            _ => {
                self.look_transfer_up(session, id).await?;
                Err(Error::new(
                    ErrorKind::PermissionDenied,
                    "permission denied: this transfer is another identity's, or was not begun with POST /transfers",
                ))
            }
        }
    }
}

/// No transfer of this id, or none that the caller may know of.
pub(super) fn no_such_transfer() -> Error {
    Error::new(ErrorKind::NotFound, "no such transfer")
}

async fn cancel(tx: &mut dyn Tx, mut job: Job, facts: Option<Facts>, node: &str) -> Result<Control> {
    match job.state {
        TransferState::Queued | TransferState::Running | TransferState::Retrying => {
            job.generation += 1;
            job.holder = Uuid::nil();
            job.partial = 0;
            put_facts(&mut *tx, facts).await?;
            end(tx, job, TransferState::Cancelled, None, node).await?;
            Ok(Control::Is(TransferState::Cancelled))
        }
        TransferState::Cancelled => Ok(Control::Is(TransferState::Cancelled)),
        ended @ (TransferState::Completed | TransferState::Failed) => Ok(Control::Wrong(ended)),
    }
}

/// Only what is not done yet is done then.
async fn retry(tx: &mut dyn Tx, job: Job, facts: Option<Facts>, node: &str) -> Result<Control> {
    if !matches!(job.state, TransferState::Failed | TransferState::Cancelled) {
        return Ok(Control::Wrong(job.state));
    }
    let generation = job.generation;
    let again = Job {
        state: TransferState::Queued,
        generation: generation + 1,
        holder: Uuid::nil(),
        due_at: Some(now()),
        attempts: 0,
        partial: 0,
        failed: 0,
        error_code: None,
        error_message: None,
        started_at: None,
        finished_at: None,
        ..job
    };
    if !tx.update_job(&again, generation).await? {
        return Err(overtaken());
    }
    tx.reset_job_items(again.id).await?;
    put_facts(&mut *tx, facts).await?;
    tx.append_events(&[event_of(&again, node, "transfer.queued")]).await?;
    Ok(Control::Is(TransferState::Queued))
}

async fn put_facts(tx: &mut dyn Tx, facts: Option<Facts>) -> Result<()> {
    match facts {
        Some(facts) => tx.append_audit(&facts.audit()).await,
        None => Ok(()),
    }
}
