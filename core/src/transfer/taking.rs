//! What has to hold before a part of an upload may come: its range, a lane, room in the quota, and the upload out of the
//! hands of a session that is idle.

use std::sync::Arc;

use uuid::Uuid;

use super::begin::credit;
use super::detach::BETWEEN_REQUESTS;
use super::incomplete::{no_such_upload, offset_of, require_free};
use super::part::PartAt;
use super::segments::Segments;
use super::work::{MAX_SLAB, MIN_SLAB, quota_exceeded, quota_room, taken_over};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Session;
use crate::ports::{Lock, Tx};
use crate::records::{BlobId, Micros, UploadRow, UploadState, now};

pub(super) fn gap(offset: u64) -> Error {
    Error::new(ErrorKind::Conflict, format!("this would leave a gap; go on at byte {offset}"))
}

/// Where a part begins and ends, if it may come.
pub(super) fn range_of(row: &UploadRow, at: PartAt, max_file_size: u64) -> Result<(u64, u64)> {
    let wrong = |message: String| Error::new(ErrorKind::InvalidArgument, message);
    match (at, &row.plan) {
        (PartAt::Chunk(_), None) => {
            Err(wrong("this upload was begun without chunks; go on with its content instead".to_owned()))
        }
        (PartAt::Chunk(number), Some(plan)) => plan.chunk(number).ok_or_else(|| match plan.chunks() {
            Some(chunks) => wrong(format!("this upload has {chunks} chunks, counted from 0")),
            None => wrong("this upload was begun without its size; go on with its content instead".to_owned()),
        }),
        (PartAt::Following { start, end, exact, total }, _) => {
            let offset = offset_of(row);
            if start > offset || (exact && start != offset) {
                return Err(gap(offset));
            }
            let announced = row.announced_size();
            if total.is_some_and(|total| total < offset || announced.is_some_and(|size| size != total)) {
                return Err(wrong("the size that is announced is another one than that of this upload".to_owned()));
            }
            let announced = announced.or(total);
            let last = announced.unwrap_or(max_file_size);
            let end = end.unwrap_or(last);
            if last > max_file_size || (end > last && announced.is_none()) {
                return Err(Error::too_large(max_file_size));
            }
            let end = if exact { end.min(last) } else { end };
            if end > last || end < start {
                return Err(wrong(format!("the upload has {last} bytes; the range lies beyond them")));
            }
            Ok((start, end))
        }
    }
}

/// Takes what a part needs: a lane, room in the quota, and the upload out of the hands of a session that is idle.
#[derive(Clone)]
pub(super) struct Taking {
    pub id: Uuid,
    pub parent: Uuid,
    pub name: String,
    pub session: Arc<Session>,
    pub at: PartAt,
    pub max_file_size: u64,
    /// When the upload is given up, unless something comes after this part has begun.
    pub expires_at: Micros,
    pub lane: Option<BlobId>,
}

impl Taking {
    fn quotas(&self) -> (Option<u64>, Option<u64>) {
        self.session.quotas()
    }

    /// Bytes that have to be reserved for this part, beyond what is. Where nobody knows how much will come, it is reserved as it
    /// comes ([`Reserving`]).
    fn short(&self, row: &UploadRow, end: u64, credit: u64) -> u64 {
        if self.quotas() == (None, None) {
            return 0;
        }
        let needed = match row.announced_size() {
            Some(size) => size,
            None if is_endless(row, self.at) => 0,
            None => end,
        };
        needed.max(row.size).saturating_sub(credit).saturating_sub(row.reserved)
    }

    /// Whether the row has to change before the part comes.
    pub(super) fn is_needed(&self, row: &UploadRow, end: u64) -> bool {
        self.lane.is_some()
            || is_held(row)
            || has_tail(row)
            || self.new_size(row).is_some()
            || self.short(row, end, 0) > 0
            || self.ends_soon(row)
    }

    /// The size of the whole, where this part is the first to announce it, of an upload that keeps what is announced.
    fn new_size(&self, row: &UploadRow) -> Option<u64> {
        match self.at {
            PartAt::Following { total, .. } => {
                total.filter(|_| row.plan.as_ref().is_some_and(|plan| plan.size.is_none()))
            }
            PartAt::Chunk(_) => None,
        }
    }

    /// Whether more than half of the time is over until the upload is given up: its end is put off then, as the part may take
    /// long, and nothing is told of it until it ends.
    fn ends_soon(&self, row: &UploadRow) -> bool {
        let now = now();
        row.expires_at.saturating_sub(now) < self.expires_at.saturating_sub(now) / 2
    }

    pub(super) async fn run(self, tx: &mut dyn Tx) -> Result<UploadRow> {
        let mut locks = vec![Lock::Name(self.parent, self.name.clone())];
        if self.quotas() != (None, None) {
            locks.push(Lock::Quota(self.session.tenant.id.to_string()));
        }
        tx.lock(&locks).await?;
        let mut row = tx.upload(self.id).await?.ok_or_else(no_such_upload)?;
        require_free(&row)?;
        if row.parent != self.parent || row.name != self.name {
            return Err(taken_over());
        }
        let generation = row.generation;
        if is_held(&row) {
            row.generation += 1;
            row.incarnation = BETWEEN_REQUESTS;
        }
        if has_tail(&row) {
            let mut segments = Segments::new(row.segments);
            segments.cut(row.prefix);
            row.segments = segments.runs().to_vec();
            row.size = row.prefix;
        }
        let (_, end) = range_of(&row, self.at, self.max_file_size)?;
        if let (Some(size), Some(plan)) = (self.new_size(&row), &mut row.plan) {
            plan.size = Some(size);
        }
        let visible = if row.compare_base { tx.child(row.parent, &row.name).await? } else { None };
        let short = self.short(&row, end, credit(&row, visible.as_ref()));
        if short > 0 {
            let (tenant, identity) = self.quotas();
            let room = quota_room(&mut *tx, (&row.tenant, tenant), (&row.identity, identity)).await?;
            if short > room {
                return Err(quota_exceeded());
            }
            row.reserved = row.reserved.saturating_add(short);
        }
        row.session = self.session.id;
        row.updated_at = now();
        row.expires_at = self.expires_at;
        if let Some(lane) = &self.lane {
            tx.insert_blob(lane, row.id).await?;
        }
        if !tx.update_upload(&row, &[UploadState::Detached], generation).await? {
            return Err(taken_over());
        }
        Ok(row)
    }
}

/// Whether a session still believes that it holds the upload, which was detached as nothing came.
fn is_held(row: &UploadRow) -> bool {
    !row.incarnation.is_nil() && row.incarnation != BETWEEN_REQUESTS
}

/// Whether an upload that does not come in chunks has something behind a gap. Size is the contiguous prefix (SEMANTICS,
/// "Uploads"): whoever goes on sends it again.
fn has_tail(row: &UploadRow) -> bool {
    row.announced_size().is_none() && !row.compare_base && row.size > row.prefix
}

/// Whether nobody knows how much a part will bring.
pub(super) fn is_endless(row: &UploadRow, at: PartAt) -> bool {
    row.announced_size().is_none() && matches!(at, PartAt::Following { end: None, total: None, .. })
}

/// Takes room in the quota for what an upload has received, where more of it is there than was reserved. The tenant's quota is
/// locked. `QuotaExceeded`.
pub(super) async fn reserve_received(
    tx: &mut dyn Tx,
    row: &mut UploadRow,
    (tenant, identity): (Option<u64>, Option<u64>),
) -> Result<()> {
    let visible = if row.compare_base { tx.child(row.parent, &row.name).await? } else { None };
    let short = row.size.saturating_sub(credit(row, visible.as_ref())).saturating_sub(row.reserved);
    if short == 0 {
        return Ok(());
    }
    if short > quota_room(&mut *tx, (&row.tenant, tenant), (&row.identity, identity)).await? {
        return Err(quota_exceeded());
    }
    row.reserved = row.reserved.saturating_add(short);
    Ok(())
}

/// Takes room in the quota for what comes of a part of which nobody knew how much it would be.
#[derive(Clone)]
pub(super) struct Reserving {
    pub id: Uuid,
    pub parent: Uuid,
    pub name: String,
    pub generation: i64,
    pub session: Arc<Session>,
    /// What has come ends there.
    pub end: u64,
}

impl Reserving {
    /// How far the upload may go now: at least to `end`. `QuotaExceeded`.
    pub(super) async fn run(self, tx: &mut dyn Tx) -> Result<u64> {
        let (tenant, identity) = self.session.quotas();
        tx.lock(&[Lock::Name(self.parent, self.name.clone()), Lock::Quota(self.session.tenant.id.to_string())]).await?;
        let mut row = tx.upload(self.id).await?.ok_or_else(no_such_upload)?;
        if row.state != UploadState::Detached || row.generation != self.generation {
            require_free(&row)?;
            return Err(taken_over());
        }
        let visible = if row.compare_base { tx.child(row.parent, &row.name).await? } else { None };
        let credit = credit(&row, visible.as_ref());
        let short = self.end.saturating_sub(credit).saturating_sub(row.reserved);
        if short > 0 {
            let room = quota_room(&mut *tx, (&row.tenant, tenant), (&row.identity, identity)).await?;
            if short > room {
                return Err(quota_exceeded());
            }
            let slab = short.saturating_add(row.reserved.clamp(MIN_SLAB, MAX_SLAB));
            row.reserved = row.reserved.saturating_add(slab.min(room));
            row.updated_at = now();
            if !tx.update_upload(&row, &[UploadState::Detached], self.generation).await? {
                return Err(taken_over());
            }
        }
        Ok(row.reserved.saturating_add(credit))
    }
}
