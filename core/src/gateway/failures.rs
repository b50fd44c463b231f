//! How an operation that did not come about is put on record: with the same facts whether its file was named by a path or by
//! an id, and with both of its names where it was to get another one.

use uuid::Uuid;

use super::access::{Located, locate, view_path};
use super::inner::Inner;
use crate::error::{Error, Result};
use crate::events::{Facts, Operation, Status};
use crate::identity::Session;
use crate::namespace::{Target, find, session_path};
use crate::path::VirtualPath;
use crate::ports::Durability;

/// Whether an operation goes on behind its begin, and is counted at its end.
const fn moves_content(operation: Operation) -> bool {
    matches!(operation, Operation::Upload | Operation::Download | Operation::Copy | Operation::Transfer)
}

impl Inner {
    /// Hands a result on; a failure is put on record first. `target` is what the session named.
    pub(crate) async fn recorded<T>(
        &self,
        session: &Session,
        operation: Operation,
        target: &Target,
        result: Result<T>,
    ) -> Result<T> {
        self.recorded_to(session, operation, (target, None), result).await
    }

    /// The same of what was to go, or to be copied, to another place.
    pub(crate) async fn recorded_to<T>(
        &self,
        session: &Session,
        operation: Operation,
        (target, to): (&Target, Option<&VirtualPath>),
        result: Result<T>,
    ) -> Result<T> {
        match &result {
            // Of a transfer this was the begin.
            Ok(_) if moves_content(operation) => {}
            Ok(_) => self.metrics.operation(session.protocol, operation, Status::Completed, None),
            Err(error) => self.put_failed(session, operation, (target, to), error).await,
        }
        result
    }

    /// Puts the failure of a session's operation on record. What a job does, the job tells.
    pub(crate) async fn put_failed(
        &self,
        session: &Session,
        operation: Operation,
        (target, to): (&Target, Option<&VirtualPath>),
        error: &Error,
    ) {
        if session.answers_to_a_job() {
            self.metrics.operation(session.protocol, operation, Status::of_failure(error), Some(error));
            return;
        }
        let mut facts = self.facts(session, operation);
        let (path, id) = self.named(session, target).await;
        facts.file_id = id;
        if let Some(path) = &path {
            tell_place(session, path, &mut facts);
        }
        if let Some(to) = to {
            facts.previous_path = facts.path.take();
            facts.view_path = None;
            tell_place(session, to, &mut facts);
        }
        self.put_failure(facts, error).await;
    }

    /// The path and the id of what a session named, as far as both are known to it. Where the ledger does not answer, what was
    /// named is all: the failure counts without the rest.
    async fn named(&self, session: &Session, target: &Target) -> (Option<VirtualPath>, Option<Uuid>) {
        let Ok(mut query) = self.ledger.read(session.reach()).await else {
            return match target {
                Target::Path(path) => (Some(path.clone()), None),
                Target::Id(id) => (None, Some(*id)),
            };
        };
        match target {
            Target::Id(id) => (session_path(&mut *query, session, target).await.ok(), Some(*id)),
            Target::Path(path) => {
                let id = match locate(session, path) {
                    Ok(Located::Place(place)) => find(&mut *query, &session.tenant.id, &place).await.ok(),
                    Ok(Located::Above(_)) | Err(_) => None,
                };
                (Some(path.clone()), id.and_then(|found| found.node).map(|node| node.id))
            }
        }
    }

    /// Puts a failure on record: a refusal durably, and with `policy.violated`; what merely went wrong is an entry.
    pub(crate) async fn put_failure(&self, facts: Facts, error: &Error) {
        let refusal = error.kind().is_refusal();
        self.metrics.operation(facts.protocol, facts.operation, Status::of_failure(error), Some(error));
        let facts = facts.failed(error);
        let audit = facts.audit();
        let events = if refusal { vec![facts.event("policy.violated")] } else { Vec::new() };
        let durability = if refusal { Durability::Disk } else { Durability::Process };
        if let Err(failure) = self.put(durability, audit, events).await {
            tracing::error!(error = %failure, "a refused operation could not be put on record");
        }
    }
}

/// Where a session's path is, as far as that is anywhere for it.
fn tell_place(session: &Session, path: &VirtualPath, facts: &mut Facts) {
    let called = match locate(session, path) {
        Ok(Located::Place(place)) => {
            facts.path = Some(place.path.as_str().to_owned());
            place.view_path
        }
        Ok(Located::Above(called)) => called,
        Err(_) => view_path(session, path).unwrap_or_else(|_| path.clone()),
    };
    facts.view_path = Some(called.as_str().to_owned());
}
