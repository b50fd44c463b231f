//! What the trail is told of a job.

use crate::error::Error;
use crate::events::{Facts, Operation, Status};
use crate::gateway::{Inner, Place, locate_place};
use crate::identity::{Protocol, Session};
use crate::path::VirtualPath;
use crate::records::{EventRecord, ItemKind, Job, JobItem, JobOperation, TransferState, micros, now};

/// The facts of a job, now.
pub(super) fn facts_of(job: &Job, node: &str) -> Facts {
    let error = job.error_code.clone().zip(job.error_message.clone());
    Facts {
        change: None,
        tenant: Some(job.tenant.as_str().into()),
        identity: Some(job.identity.clone()),
        login: Some(job.login.clone()),
        client: None,
        protocol: Protocol::Transfer,
        session: None,
        client_ip: job.order.client_ip,
        node: node.to_owned(),
        auth_method: None,
        cipher: None,
        client_version: None,
        operation: Operation::Transfer,
        status: match job.state {
            TransferState::Failed => Status::Failed,
            TransferState::Cancelled => Status::Cancelled,
            TransferState::Queued | TransferState::Running | TransferState::Retrying | TransferState::Completed => {
                Status::Completed
            }
        },
        at: now(),
        transfer_id: Some(job.id),
        file_id: None,
        path: job.order.destination_path.clone(),
        view_path: Some(job.order.destination.clone()),
        previous_path: job.order.source_path.clone(),
        size: job.planned.then_some(job.size),
        bytes: Some(job.bytes),
        complete: job.state.is_ended().then_some(job.state == TransferState::Completed),
        hash: None,
        content_type: None,
        duration_ms: duration(job),
        expires_at: None,
        error,
        details: Vec::new(),
        trace: crate::trace::current(),
    }
}

fn duration(job: &Job) -> Option<u64> {
    let took = job.finished_at?.checked_sub(job.started_at?)?;
    u64::try_from(took / micros(std::time::Duration::from_millis(1))).ok()
}

/// An event of a job; webhooks hear of it where they are to.
pub(super) fn event_of(job: &Job, node: &str, kind: &'static str) -> EventRecord {
    EventRecord { quiet: !job.order.notify, ..facts_of(job, node).event(kind) }
}

impl Inner {
    /// The facts of a step that failed: those that the operation itself would have left.
    pub(super) fn facts_of_step(&self, session: &Session, operation: JobOperation, item: &JobItem) -> Facts {
        let place = |path: &str| -> Option<Place> {
            locate_place(session, &VirtualPath::parse(path).ok().filter(|_| !path.is_empty())?).ok()
        };
        let word = match (item.kind, operation) {
            (ItemKind::Folder, _) => Operation::Mkdir,
            (ItemKind::Prune, _) => Operation::Rmdir,
            (ItemKind::File | ItemKind::Tree, JobOperation::Copy) => Operation::Copy,
            (ItemKind::File | ItemKind::Tree, JobOperation::Move) => Operation::Rename,
        };
        let (source, target) = (place(&item.source), place(&item.destination));
        let mut facts = match target.as_ref().or(source.as_ref()) {
            Some(at) => self.facts_at(session, word, at),
            None => self.facts(session, word),
        };
        if target.is_some() {
            facts.previous_path = source.map(|place| place.path.as_str().to_owned());
        }
        facts
    }
}

/// A step that failed with this error.
pub(super) fn failed(item: &JobItem, error: &Error) -> JobItem {
    JobItem {
        state: crate::records::ItemState::Failed,
        error_code: Some(error.kind().code().to_owned()),
        error_message: Some(error.message().chars().take(crate::events::MAX_MESSAGE).collect()),
        ..item.clone()
    }
}
