//! Doing a step: by the one code that a client's copy, move or new folder goes through.

use std::sync::Arc;

use super::errand::{overtaken, settle};
use super::telling;
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::identity::Session;
use crate::namespace::Target;
use crate::path::VirtualPath;
use crate::ports::Durability;
use crate::records::{Attributes, ItemKind, Job, JobItem, JobOperation};

impl Inner {
    /// Does a step; its own transaction puts it on record as done.
    pub(super) async fn do_step(self: &Arc<Self>, session: &Arc<Session>, job: &Job, item: &JobItem) -> Result<()> {
        let path = |text: &str| VirtualPath::parse(text);
        match (item.kind, job.order.operation) {
            (ItemKind::Folder, _) if item.destination.is_empty() => {
                // What is in it was never planned: whether it can be listed by now or not, it is not transferred.
                self.list(session, &path(&item.source)?, None).await?;
                Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "this folder could not be listed when the transfer began; ask for a new transfer of it",
                ))
            }
            (ItemKind::Folder, _) => self.make_where_missing(session, &path(&item.destination)?).await,
            (ItemKind::File, JobOperation::Copy) => {
                let (from, to) = (Target::Path(path(&item.source)?), path(&item.destination)?);
                Box::pin(self.copy(session, &from, &to, job.order.overwrite)).await.map(drop)
            }
            (ItemKind::File | ItemKind::Tree, _) => {
                let (from, to) = (Target::Path(path(&item.source)?), path(&item.destination)?);
                self.rename(session, &from, &to, job.order.overwrite).await.map(drop)
            }
            (ItemKind::Prune, _) => match self.remove_folder(session, &path(&item.source)?).await {
                // Somebody else has put something there, or has removed it: either is well.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotEmpty | ErrorKind::NotFound | ErrorKind::NoSuchFolder) =>
                {
                    self.settle_alone(session).await
                }
                other => other,
            },
        }
    }

    async fn make_where_missing(&self, session: &Arc<Session>, path: &VirtualPath) -> Result<()> {
        if let Ok(entry) = self.stat(session, &Target::Path(path.clone())).await
            && entry.folder
        {
            return self.settle_alone(session).await;
        }
        match self.make_folder(session, path, Attributes::default()).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                match self.stat(session, &Target::Path(path.clone())).await {
                    Ok(entry) if entry.folder => self.settle_alone(session).await,
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a step on record as done that needed nothing.
    async fn settle_alone(&self, session: &Session) -> Result<()> {
        let errand = session.errand.clone();
        self.write(session.reach(), Durability::Process, move |tx| {
            let errand = errand.clone();
            Box::pin(async move { settle(tx, errand.as_deref(), 0).await })
        })
        .await
    }

    /// Puts a step on record as failed, with the entry and the event that the operation itself would have left. False where it
    /// is done or the job is not this worker's any more.
    pub(super) async fn put_step_failed(
        &self,
        session: &Session,
        job: &Job,
        item: &JobItem,
        error: &Error,
    ) -> Result<bool> {
        let facts = self.facts_of_step(session, job.order.operation, item).failed(error);
        let audit = facts.audit();
        let events = if error.kind().is_refusal() { vec![facts.event("policy.violated")] } else { Vec::new() };
        let (id, generation, item) = (job.id, job.generation, telling::failed(item, error));
        let put = self
            .write(session.reach(), Durability::Disk, move |tx| {
                let (audit, events, item) = (audit.clone(), events.clone(), item.clone());
                Box::pin(async move {
                    if !tx.settle_item(id, generation, &item).await? {
                        return Err(overtaken());
                    }
                    tx.append_audit(&audit).await?;
                    tx.append_events(&events).await
                })
            })
            .await;
        match put {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }
}
