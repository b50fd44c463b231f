//! Incomplete uploads as their owner sees them, whatever protocol began them (SEMANTICS, "Uploads").

use std::sync::Arc;

use uuid::Uuid;

use super::detach::{discard_row, is_untold};
use super::segments::Segments;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Operation, Status};
use crate::gateway::{Inner, Place, place_of};
use crate::identity::{Permission, Scope, Session};
use crate::namespace::path_within;
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::{Durability, Lock, Query, Reach};
use crate::records::{Micros, UploadPlan, UploadRow, UploadState, now};

/// How long the lanes of an upload stay open after its last part, in microseconds.
const LANES_IDLE: i64 = 5 * 60 * 1_000_000;

/// An upload, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// Its id, which is its transfer's id too.
    pub id: Uuid,
    /// The path that it is bound to, below the session's root; none where its folder is gone, or too deep.
    pub path: Option<VirtualPath>,
    /// Where it stands: `Detached` can be continued, `Open` and `Sealed` are with a session, `Committed` is done.
    pub state: UploadState,
    /// The protocol that began it.
    pub protocol: String,
    /// The login that began it.
    pub login: String,
    /// What was announced of it, where it comes in chunks.
    pub plan: Option<UploadPlan>,
    /// What was received: where each run without gap begins and ends.
    pub ranges: Vec<(u64, u64)>,
    /// The length of the part from 0 that has no gap: where to go on.
    pub offset: u64,
    /// When it was begun.
    pub created_at: Micros,
    /// When it last received something.
    pub updated_at: Micros,
    /// When it is given up unless something comes.
    pub expires_at: Micros,
}

impl Incomplete {
    pub(super) fn of(row: &UploadRow, path: Option<VirtualPath>) -> Self {
        let offset = offset_of(row);
        let ranges = match row.state {
            // What a session holds goes on from the prefix, and the map of what was published is the version's.
            UploadState::Open | UploadState::Sealed => vec![(0, offset)],
            UploadState::Committed => vec![(0, row.size)],
            UploadState::Detached | UploadState::Discarded => Segments::new(row.segments.clone()).ranges(),
        };
        Self {
            id: row.id,
            path,
            state: row.state,
            protocol: row.protocol.clone(),
            login: row.login.clone(),
            plan: row.plan.clone(),
            ranges: ranges.into_iter().filter(|(start, end)| start < end).collect(),
            offset: if row.state == UploadState::Committed { row.size } else { offset },
            created_at: row.created_at,
            updated_at: row.updated_at,
            expires_at: row.expires_at,
        }
    }

    /// The size of the whole, where it was announced.
    pub fn size(&self) -> Option<u64> {
        self.plan.as_ref().and_then(|plan| plan.size)
    }

    /// How many bytes were received.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }

    /// The chunks that were received whole: the first and the last of each run.
    pub fn received(&self) -> Vec<(u64, u64)> {
        let Some((plan, size, chunks)) = self.plan.as_ref().and_then(|plan| Some((plan, plan.size?, plan.chunks()?)))
        else {
            return Vec::new();
        };
        let whole = |&(start, end): &(u64, u64)| {
            let first = start.div_ceil(plan.chunk_size);
            let behind = if end >= size { chunks } else { end / plan.chunk_size };
            (first < behind).then(|| (first, behind - 1))
        };
        self.ranges.iter().filter_map(whole).collect()
    }

    /// The chunks that are missing: the first and the last of each run.
    pub fn missing(&self) -> Vec<(u64, u64)> {
        let (mut missing, mut at) = (Vec::new(), 0);
        for (first, last) in self.received() {
            if at < first {
                missing.push((at, first - 1));
            }
            at = last + 1;
        }
        match self.plan.as_ref().and_then(UploadPlan::chunks) {
            Some(chunks) if at < chunks => missing.push((at, chunks - 1)),
            _ => {}
        }
        missing
    }
}

/// Where an upload goes on: a change in place behind its end, anything else behind its prefix.
pub(super) const fn offset_of(row: &UploadRow) -> u64 {
    if row.compare_base { row.size } else { row.prefix }
}

/// An upload of a session's own, with the place that it is bound to, as far as that still exists.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub row: UploadRow,
    pub at: Option<(Place, VirtualPath)>,
}

impl Own {
    /// `NotFound` for what is not there, not this identity's, or not in the session's view.
    pub(super) async fn find(query: &mut dyn Query, session: &Session, id: Uuid) -> Result<Self> {
        let row = query.upload(id).await?.filter(|row| is_own(row, session)).ok_or_else(no_such_upload)?;
        let at = match path_within(&mut *query, session, row.parent, &row.name).await? {
            Some(path) => {
                let place = place_of(session, &path).ok_or_else(no_such_upload)?;
                let path = place.view_path.below(&session.home).ok_or_else(no_such_upload)?;
                Some((place, path))
            }
            None => None,
        };
        Ok(Self { row, at })
    }

    /// The place, where what is received may still become a file there.
    pub(super) fn writable(&self) -> Result<(Place, VirtualPath)> {
        let (place, path) = self.at.clone().ok_or_else(Error::no_such_folder)?;
        policy::require_either(place.permissions, Permission::Upload, Permission::Overwrite)?;
        Ok((place, path))
    }

    /// Fails unless it is there to be continued: `Expired`, `NotFound`, `Conflict`.
    pub(super) fn require_free(&self) -> Result<()> {
        require_free(&self.row)
    }
}

pub(super) fn require_free(row: &UploadRow) -> Result<()> {
    let at = match row.state {
        // The row of an expired one says when it should have ended, and changed last when it did.
        UploadState::Discarded => row.updated_at,
        UploadState::Detached => now(),
        UploadState::Open | UploadState::Sealed => {
            return Err(Error::new(
                ErrorKind::Conflict,
                "a session holds this upload at the moment; wait until it lets go of it, and try again",
            ));
        }
        UploadState::Committed => {
            return Err(Error::new(ErrorKind::Conflict, "this upload is complete; begin another one"));
        }
    };
    if at >= row.expires_at {
        return Err(Error::new(ErrorKind::Expired, "this upload has expired; begin it anew"));
    }
    if row.state == UploadState::Discarded { Err(no_such_upload()) } else { Ok(()) }
}

fn is_own(row: &UploadRow, session: &Session) -> bool {
    // The copy of a move between storages has no session, and is nobody's.
    row.tenant == *session.tenant.id && row.identity == *session.identity.id && !row.session.is_nil()
}

pub(super) fn no_such_upload() -> Error {
    Error::new(ErrorKind::NotFound, "no such upload; it was completed or given up, or never begun")
}

impl Inner {
    /// See [`crate::Gateway::incomplete_uploads`].
    pub(crate) async fn incomplete_uploads(&self, session: &Session) -> Result<Vec<Incomplete>> {
        let result = policy::require_scope(session, Scope::FilesWrite);
        self.upload_recorded(session, None, result).await?;
        let mut query = self.ledger.read(session.reach()).await?;
        let rows = query.uploads_of(&session.tenant.id, &session.identity.id).await?;
        let mut all = Vec::new();
        for row in rows.into_iter().filter(|row| is_own(row, session)) {
            let overdue = row.state == UploadState::Detached && row.expires_at <= now();
            match Own::find(&mut *query, session, row.id).await {
                Ok(own) if !overdue && own.writable().is_ok() => all.push(own),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        // Holders may be waited for, and must not wait for this connection.
        drop(query);
        let mut out = Vec::new();
        for own in all {
            out.push(self.as_it_is_now(own).await);
        }
        Ok(out)
    }

    /// See [`crate::Gateway::incomplete_upload`].
    pub(crate) async fn incomplete_upload(&self, session: &Session, id: Uuid) -> Result<Incomplete> {
        let result = self.find_incomplete(session, id).await;
        let own = self.upload_recorded(session, Some(id), result).await?;
        Ok(self.as_it_is_now(own).await)
    }

    /// See [`crate::Gateway::settled_upload`].
    pub(crate) async fn settled_upload(&self, session: &Session, id: Uuid) -> Result<Incomplete> {
        let result = self.find_incomplete(session, id).await;
        self.upload_recorded(session, Some(id), result).await?;
        self.lanes.settle(id).await?;
        self.incomplete_upload(session, id).await
    }

    async fn find_incomplete(&self, session: &Session, id: Uuid) -> Result<Own> {
        policy::require_scope(session, Scope::FilesWrite)?;
        let mut query = self.ledger.read(session.reach()).await?;
        let own = Own::find(&mut *query, session, id).await?;
        match require_free(&own.row) {
            Err(error) if matches!(error.kind(), ErrorKind::Expired | ErrorKind::NotFound) => Err(error),
            _ => Ok(own),
        }
    }

    async fn as_it_is_now(&self, mut own: Own) -> Incomplete {
        self.bring_up_to_date(&mut own.row).await;
        Incomplete::of(&own.row, own.at.map(|(_, path)| path))
    }

    /// See [`crate::Gateway::abandon_upload`].
    pub(crate) async fn abandon_upload(self: &Arc<Self>, session: &Arc<Session>, id: Uuid) -> Result<()> {
        let result = self.abandon(session, id).await;
        self.upload_recorded(session, Some(id), result).await?;
        self.lanes.close(id);
        Ok(())
    }

    async fn abandon(&self, session: &Arc<Session>, id: Uuid) -> Result<()> {
        policy::require_scope(session, Scope::FilesWrite)?;
        let own = Own::find(&mut *self.ledger.read(session.reach()).await?, session, id).await?;
        own.require_free()?;
        let mut facts = self.facts(session, Operation::Upload);
        if let Some((place, _)) = &own.at {
            facts = self.facts_at(session, Operation::Upload, place);
        }
        facts.transfer_id = Some(id);
        facts.complete = Some(false);
        let reason = Error::new(ErrorKind::Incomplete, "the upload was given up");
        let mut facts = facts.failed(&reason);
        facts.status = Status::Cancelled;
        let lock = Lock::Name(own.row.parent, own.row.name.clone());
        self.write(session.reach(), Durability::Disk, move |tx| {
            let (lock, mut facts) = (lock.clone(), facts.clone());
            Box::pin(async move {
                tx.lock(&[lock]).await?;
                let row = tx.upload(id).await?.ok_or_else(no_such_upload)?;
                require_free(&row)?;
                facts.size = Some(row.size);
                facts.bytes = Some(Segments::new(row.segments.clone()).held());
                let untold = is_untold(&row);
                if !discard_row(&mut *tx, row).await? {
                    return Err(super::work::taken_over());
                }
                tx.append_audit(&facts.audit()).await?;
                // What was told to be incomplete when its connection broke is not told so again.
                let events = [facts.event("upload.incomplete"), facts.event("transfer.cancelled")];
                if untold { tx.append_events(&events).await } else { Ok(()) }
            })
        })
        .await
    }

    /// Hands a result on; a refusal is put on record first. What only came at the wrong time, or to the wrong place, is no
    /// refusal: a client that asks where to go on is told, and goes on.
    pub(super) async fn upload_recorded<T>(&self, session: &Session, id: Option<Uuid>, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.kind().is_refusal()
        {
            let mut facts = self.facts(session, Operation::Upload);
            if let Some(id) = id
                && let Ok(mut query) = self.ledger.read(session.reach()).await
                && let Ok(own) = Own::find(&mut *query, session, id).await
                && let Some((place, _)) = &own.at
            {
                facts = self.facts_at(session, Operation::Upload, place);
            }
            facts.transfer_id = id;
            self.put_failure(facts, error).await;
        }
        result
    }

    /// Closes the lanes of uploads that have ended, here or on another node, and those that nothing is sent to.
    pub(crate) async fn close_lanes(&self) {
        for id in self.lanes.uploads() {
            let found = match self.ledger.read(Reach::Gateway).await {
                Ok(mut query) => query.upload(id).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(Some(row)) if row.state == UploadState::Detached && now() - row.updated_at < LANES_IDLE => {}
                Ok(_) => self.lanes.close_idle(id),
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::UploadConditions;
    use proptest::prelude::*;

    fn upload(size: u64, chunk_size: u64, ranges: Vec<(u64, u64)>) -> Incomplete {
        let plan = UploadPlan {
            size: Some(size),
            chunk_size,
            sha256: None,
            overwrite: false,
            content_type: None,
            metadata: None,
            conditions: UploadConditions::default(),
        };
        Incomplete {
            id: Uuid::nil(),
            path: None,
            state: UploadState::Detached,
            protocol: "api".into(),
            login: "l".into(),
            plan: Some(plan),
            ranges,
            offset: 0,
            created_at: 0,
            updated_at: 0,
            expires_at: 0,
        }
    }

    #[test]
    fn a_chunk_counts_when_it_is_whole() {
        let seen = upload(25, 10, vec![(0, 9), (10, 24)]);
        assert_eq!((seen.received(), seen.missing()), (vec![(1, 1)], vec![(0, 0), (2, 2)]));
        let all = upload(25, 10, vec![(0, 25)]);
        assert_eq!((all.received(), all.missing(), all.bytes()), (vec![(0, 2)], vec![], 25));
        let nothing = upload(0, 10, vec![]);
        assert_eq!((nothing.received(), nothing.missing()), (vec![], vec![]));
    }

    proptest! {
        #[test]
        fn every_chunk_is_received_or_missing(
            chunk_size in 1u64..9,
            bytes in proptest::collection::vec(any::<bool>(), 0..40),
        ) {
            let mut map = Segments::default();
            for (at, there) in bytes.iter().enumerate() {
                if *there {
                    map.put(at as u64, 1, None, 0);
                }
            }
            let seen = upload(bytes.len() as u64, chunk_size, map.ranges());
            let chunks = bytes.chunks(chunk_size as usize).enumerate();
            let (mut received, mut missing): (Vec<u64>, Vec<u64>) = (vec![], vec![]);
            for (number, chunk) in chunks {
                let to = if chunk.iter().all(|there| *there) { &mut received } else { &mut missing };
                to.push(number as u64);
            }
            let spread = |runs: Vec<(u64, u64)>| runs.into_iter().flat_map(|(first, last)| first..=last).collect::<Vec<_>>();
            prop_assert_eq!(spread(seen.received()), received);
            prop_assert_eq!(spread(seen.missing()), missing);
        }
    }
}
