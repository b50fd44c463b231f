//! Looking transfers up, whatever carried them: jobs by their rows, uploads under way by theirs, downloads under way of this
//! process, and what has ended by the event that ended it. A caller sees its own and what lies in its view, as with events;
//! who manages the tenant sees all.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::control::no_such_transfer;
use crate::error::{Error, Result};
use crate::gateway::{Inner, held, place_of};
use crate::identity::{Protocol, Scope, Session};
use crate::namespace::path_within;
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::Query;
use crate::records::{EventRecord, ItemState, Job, JobItem, Micros, TransferState, UploadRow};

/// Rows of each kind that are looked through at a time.
const PAGE: u32 = 500;
/// Pages that one request looks through at most, for what its filter wants.
const ROUNDS: u32 = 20;
/// Files of a job that are told at most: those that failed first.
const MAX_FILES_TOLD: u32 = 1000;

/// A transfer as a caller may see it.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Its id.
    pub id: Uuid,
    /// Where it stands.
    pub state: TransferState,
    /// What carries it.
    pub protocol: String,
    /// `upload`, `download`, `copy` or `move`.
    pub operation: String,
    /// Whose it is.
    pub identity: String,
    /// The login or key.
    pub login: String,
    /// Where it takes from, in the caller's view; none where that is outside, or none of the gateway's.
    pub source: Option<String>,
    /// Where it goes to, the same.
    pub destination: Option<String>,
    /// Bytes of all of it, where they are known.
    pub size: Option<u64>,
    /// Bytes that were moved.
    pub bytes: u64,
    /// How often it was begun.
    pub attempts: i64,
    /// The code and the sentence of what went wrong.
    pub error: Option<(String, String)>,
    /// When it was asked for.
    pub created_at: Micros,
    /// When it began.
    pub started_at: Option<Micros>,
    /// When it ended.
    pub finished_at: Option<Micros>,
    /// What only a job has.
    pub job: Option<JobDetails>,
}

/// What only a job has.
#[derive(Clone, Debug)]
pub struct JobDetails {
    /// From 0 to 9.
    pub priority: i64,
    /// How many files it has, once they are known.
    pub files: u64,
    /// How many are done.
    pub done: u64,
    /// How many steps failed.
    pub failed: u64,
    /// Its files, as many as are told: those that failed, then the others. Only where one transfer is looked up.
    pub items: Vec<JobItem>,
}

/// Which transfers are asked for.
#[derive(Clone, Debug, Default)]
pub struct TransferFilter {
    /// In one of these states; none: in any.
    pub states: Vec<TransferState>,
    /// Carried by one of these; none: by any.
    pub protocols: Vec<Protocol>,
    /// Asked for no earlier than this.
    pub since: Option<Micros>,
    /// Behind this one, in a list of the newest first.
    pub before: Option<Uuid>,
}

impl TransferFilter {
    fn takes(&self, transfer: &Transfer) -> bool {
        (self.states.is_empty() || self.states.contains(&transfer.state))
            && self.takes_protocol(&transfer.protocol)
            && self.since.is_none_or(|since| transfer.created_at >= since)
    }

    fn takes_protocol(&self, protocol: &str) -> bool {
        self.protocols.is_empty() || self.protocols.iter().any(|one| one.as_str() == protocol)
    }

    /// The lowest id that a transfer of that time can have.
    fn floor(&self) -> Uuid {
        let millis = u128::try_from(self.since.unwrap_or(0).max(0) / 1000).unwrap_or(0);
        Uuid::from_u128(millis << 80)
    }
}

/// Some transfers, the newest first.
#[derive(Clone, Debug)]
pub struct TransferPage {
    /// The transfers.
    pub transfers: Vec<Transfer>,
    /// What the next page is behind, where there may be more.
    pub next: Option<Uuid>,
}

/// When an id was made (RFC 9562 section 5.7).
fn made_at(id: Uuid) -> Micros {
    i64::try_from(id.as_u128() >> 80).unwrap_or(0).saturating_mul(1000)
}

/// A place of the tree as the session calls it, if it does.
fn called(session: &Session, path: Option<&str>) -> Option<String> {
    let path = VirtualPath::parse(path?).ok()?;
    let seen = place_of(session, &path).and_then(|place| place.view_path.below(&session.home));
    // Who manages the tenant may have no view of it.
    seen.or_else(|| session.scopes.allows(Scope::Admin).then_some(path)).map(|path| path.as_str().to_owned())
}

impl Transfer {
    fn of_job(session: &Session, job: Job) -> Option<Self> {
        let own = *job.identity == *session.identity.id;
        let order = job.order;
        let (source, destination) = if own {
            (Some(order.source), Some(order.destination))
        } else {
            let (source, destination) =
                (called(session, order.source_path.as_deref()), called(session, order.destination_path.as_deref()));
            // An event is seen where its path is; a job's is its destination.
            if destination.is_none() && !session.scopes.allows(Scope::Admin) {
                return None;
            }
            (source, destination)
        };
        Some(Self {
            id: job.id,
            state: job.state,
            protocol: Protocol::Transfer.as_str().to_owned(),
            operation: order.operation.as_str().to_owned(),
            identity: job.identity,
            login: job.login,
            source,
            destination,
            size: job.planned.then_some(job.size),
            bytes: job.bytes.saturating_add(job.partial),
            attempts: job.attempts,
            error: job.error_code.zip(job.error_message),
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            job: Some(JobDetails {
                priority: job.priority,
                files: job.files,
                done: job.done,
                failed: job.failed,
                items: Vec::new(),
            }),
        })
    }

    fn of_upload(session: &Session, row: &UploadRow, path: Option<&VirtualPath>) -> Option<Self> {
        let destination = called(session, path.map(VirtualPath::as_str));
        if destination.is_none() && *row.identity != *session.identity.id {
            return None;
        }
        Some(Self {
            id: row.id,
            state: TransferState::Running,
            protocol: row.protocol.clone(),
            operation: "upload".to_owned(),
            identity: row.identity.clone(),
            login: row.login.clone(),
            source: None,
            destination,
            size: row.plan.as_ref().and_then(|plan| plan.size),
            bytes: row.segments.iter().fold(0, |sum: u64, run| sum.saturating_add(run.len)).max(row.prefix),
            attempts: row.generation,
            error: None,
            created_at: row.created_at,
            started_at: Some(row.created_at),
            finished_at: None,
            job: None,
        })
    }

    fn of_event(session: &Session, event: &EventRecord) -> Result<Option<Self>> {
        let Some(id) = event.transfer else { return Ok(None) };
        let body: Value = serde_json::from_str(&event.body)
            .map_err(|error| Error::internal(format_args!("the body of event {}: {error}", event.id)))?;
        let data = body.get("data").unwrap_or(&Value::Null);
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let own = text("identity") == Some(&*session.identity.id);
        let (path, from) = (called(session, event.path.as_deref()), called(session, text("previous_path")));
        if !own && !session.scopes.allows(Scope::Admin) && path.is_none() {
            return Ok(None);
        }
        let operation = text("operation").unwrap_or_default();
        let (source, destination) = match operation {
            "download" => (path, None),
            "copy" => (from, path),
            _ => (None, path),
        };
        let state = match event.kind.as_str() {
            "transfer.completed" => TransferState::Completed,
            "transfer.cancelled" => TransferState::Cancelled,
            _ => TransferState::Failed,
        };
        let began = made_at(id);
        Ok(Some(Self {
            id,
            state,
            protocol: text("protocol").unwrap_or_default().to_owned(),
            operation: operation.to_owned(),
            identity: text("identity").unwrap_or_default().to_owned(),
            login: text("login").unwrap_or_default().to_owned(),
            source,
            destination,
            size: data.get("size").and_then(Value::as_u64),
            bytes: data.get("bytes").and_then(Value::as_u64).unwrap_or(0),
            attempts: 1,
            error: text("error_code").map(str::to_owned).zip(text("error_message").map(str::to_owned)),
            created_at: began,
            started_at: Some(began),
            finished_at: Some(event.at),
            job: None,
        }))
    }
}

/// Pages of several kinds, put together: what lies below the last row of a full page is left for the next round, so that nothing
/// of one kind is passed over by another.
struct Merged {
    found: BTreeMap<Uuid, Option<Transfer>>,
    frontier: Uuid,
}

impl Merged {
    /// Adds a page. Of a transfer that several pages have, the first one tells.
    fn add(&mut self, page: Vec<(Uuid, Option<Transfer>)>) {
        if page.len() >= PAGE as usize
            && let Some((last, _)) = page.last()
        {
            self.frontier = self.frontier.max(*last);
        }
        for (id, transfer) in page {
            self.found.entry(id).or_insert(transfer);
        }
    }
}

impl Inner {
    /// See [`crate::Gateway::transfers`].
    pub(crate) async fn transfers(
        &self,
        session: &Session,
        filter: &TransferFilter,
        limit: u32,
    ) -> Result<TransferPage> {
        require_reader(session)?;
        let limit = limit.max(1) as usize;
        let (mut before, floor) = (filter.before.unwrap_or(Uuid::max()), filter.floor());
        let mut transfers = Vec::new();
        for _ in 0..ROUNDS {
            let round = self.round(session, filter, before).await?;
            for (id, transfer) in round.found.into_iter().rev() {
                if id < round.frontier || id < floor {
                    break;
                }
                if let Some(transfer) = transfer.filter(|transfer| filter.takes(transfer)) {
                    if transfers.len() == limit {
                        let next = transfers.last().map(|last: &Transfer| last.id);
                        return Ok(TransferPage { transfers, next });
                    }
                    transfers.push(transfer);
                }
            }
            if round.frontier.is_nil() || round.frontier <= floor {
                return Ok(TransferPage { transfers, next: None });
            }
            before = round.frontier;
        }
        Ok(TransferPage { transfers, next: Some(before) })
    }

    async fn round(&self, session: &Session, filter: &TransferFilter, before: Uuid) -> Result<Merged> {
        let tenant = &session.tenant.id;
        let mut merged = Merged { found: BTreeMap::new(), frontier: Uuid::nil() };
        let mut query = self.ledger.read(session.reach()).await?;
        if filter.takes_protocol(Protocol::Transfer.as_str()) {
            let jobs = query.jobs(tenant, before, PAGE).await?;
            merged.add(jobs.into_iter().map(|job| (job.id, Transfer::of_job(session, job))).collect());
        }
        if filter.protocols == [Protocol::Transfer] {
            return Ok(merged);
        }
        let rows = query.uploads_under_way(tenant, before, PAGE).await?;
        let mut uploads = Vec::new();
        for row in rows {
            let path = path_within(&mut *query, session, row.parent, &row.name).await?;
            uploads.push((row.id, Transfer::of_upload(session, &row, path.as_ref())));
        }
        merged.add(uploads);
        let downloads = self.downloads_under_way(session);
        for (id, transfer) in downloads.into_iter().filter(|(id, _)| *id < before) {
            merged.found.entry(id).or_insert(transfer);
        }
        let ends = query.transfer_ends(tenant, before, PAGE).await?;
        let mut ended = Vec::new();
        for event in ends {
            ended.extend(
                event.transfer.map(|id| Ok::<_, Error>((id, Transfer::of_event(session, &event)?))).transpose()?,
            );
        }
        merged.add(ended);
        Ok(merged)
    }

    fn downloads_under_way(&self, session: &Session) -> Vec<(Uuid, Option<Transfer>)> {
        let cores: Vec<_> = held(&self.downloads).values().filter_map(std::sync::Weak::upgrade).collect();
        let of_tenant = cores.iter().filter(|core| core.session().tenant.id == session.tenant.id);
        of_tenant
            .map(|core| {
                let (id, path, size, bytes) = core.under_way();
                let (source, began) = (called(session, Some(path)), made_at(id));
                let owner = core.session();
                let own = owner.identity.id == session.identity.id;
                let transfer = (own || source.is_some()).then(|| Transfer {
                    id,
                    state: TransferState::Running,
                    protocol: owner.protocol.as_str().to_owned(),
                    operation: "download".to_owned(),
                    identity: owner.identity.id.to_string(),
                    login: owner.login.to_string(),
                    source,
                    destination: None,
                    size: Some(size),
                    bytes,
                    attempts: 1,
                    error: None,
                    created_at: began,
                    started_at: Some(began),
                    finished_at: None,
                    job: None,
                });
                (id, transfer)
            })
            .collect()
    }

    /// See [`crate::Gateway::transfer`].
    pub(crate) async fn transfer(&self, session: &Session, id: Uuid) -> Result<Transfer> {
        require_reader(session)?;
        self.look_transfer_up(session, id).await
    }

    /// A transfer that the session may see.
    pub(super) async fn look_transfer_up(&self, session: &Session, id: Uuid) -> Result<Transfer> {
        let mut query = self.ledger.read(session.reach()).await?;
        if let Some(job) = query.job(id).await?.filter(|job| *job.tenant == *session.tenant.id) {
            let own = *job.identity == *session.identity.id;
            let mut seen = Transfer::of_job(session, job).ok_or_else(no_such_transfer)?;
            // The paths of the files are those of the identity whose job it is.
            if let Some(details) = seen.job.as_mut().filter(|_| own || session.scopes.allows(Scope::Admin)) {
                details.items = items_told(&mut *query, id).await?;
            }
            return Ok(seen);
        }
        let live = |row: &UploadRow| {
            row.state.is_live()
                && !row.incarnation.is_nil()
                && !row.session.is_nil()
                && *row.tenant == *session.tenant.id
        };
        if let Some(row) = query.upload(id).await?.filter(live) {
            let path = path_within(&mut *query, session, row.parent, &row.name).await?;
            return Transfer::of_upload(session, &row, path.as_ref()).ok_or_else(no_such_transfer);
        }
        if let Some((_, seen)) = self.downloads_under_way(session).into_iter().find(|(one, _)| *one == id) {
            return seen.ok_or_else(no_such_transfer);
        }
        // The newest event of the transfers up to this one.
        let next = Uuid::from_u128(id.as_u128().saturating_add(1));
        let last = query.transfer_ends(&session.tenant.id, next, 1).await?.pop();
        let last = last.filter(|event| event.transfer == Some(id)).ok_or_else(no_such_transfer)?;
        Transfer::of_event(session, &last)?.ok_or_else(no_such_transfer)
    }
}

fn require_reader(session: &Session) -> Result<()> {
    if session.scopes.allows(Scope::Admin) { Ok(()) } else { policy::require_scope(session, Scope::TransfersRead) }
}

/// The files of a job: those that failed, then the others, in their order.
async fn items_told(query: &mut dyn Query, id: Uuid) -> Result<Vec<JobItem>> {
    let mut items = query.job_items(id, -1, Some(ItemState::Failed), MAX_FILES_TOLD).await?;
    let room = MAX_FILES_TOLD as usize - items.len();
    let mut after = -1;
    let mut others = Vec::new();
    while others.len() < room {
        let page = query.job_items(id, after, None, MAX_FILES_TOLD).await?;
        let Some(last) = page.last() else { break };
        after = last.number;
        others.extend(page.into_iter().filter(|item| item.state != ItemState::Failed && item.kind.counts()));
    }
    others.truncate(room);
    items.extend(others);
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_when_they_were_made() {
        let before = crate::records::now() / 1000 * 1000;
        let id = Uuid::now_v7();
        let filter = TransferFilter { since: Some(before), ..TransferFilter::default() };
        assert!(made_at(id) >= before && made_at(id) <= crate::records::now());
        assert!(id >= filter.floor());
        let later = TransferFilter { since: Some(before + 3_600_000_000), ..TransferFilter::default() };
        assert!(id < later.floor());
    }
}
