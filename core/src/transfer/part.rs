//! One part of an upload that comes in several: appended to a lane, synced, and then named by the upload's row, in whatever
//! order parts come and several at a time. Until its row names it, a part is nothing.
//!
//! Between its parts nobody holds the upload: its row stays `detached`, and any protocol may take it over, which bumps the
//! generation. A part that began before then is refused when it ends. Parts of one generation are put into the row one
//! after the other, under the lock of the upload's name.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::digest::Hasher;
use super::incomplete::{Incomplete, Own};
use super::landing::Landing;
use super::lanes::{Lane, Turn};
use super::pace::Pacer;
use super::taking::{Reserving, Taking, is_endless, range_of};
use super::work::MAX_PIECES;
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::{Inner, enduring};
use crate::identity::{Scope, Session};
use crate::jobs::Reap;
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::{BlobStore, Durability};
use crate::records::{BlobId, UploadRow};

/// Bytes that are gathered before they are written: with what is on its way, about what a part takes of memory.
const PIECE: usize = 512 * 1024;

/// Which part of an upload comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartAt {
    /// A chunk by its number: it counts when it is whole.
    Chunk(u64),
    /// What follows what is there without a gap. What comes of it counts, even if it breaks off.
    Following {
        /// Where it begins; at most [`Incomplete::offset`]. What is there already is not written again.
        start: u64,
        /// Where it ends, where that is known; otherwise, and of an exact one, at most where the upload ends.
        end: Option<u64>,
        /// Whether it must begin at [`Incomplete::offset`], neither before nor behind it: `Conflict` otherwise.
        exact: bool,
        /// The size of the whole, where it is announced with this part. It binds whoever goes on, unless another one was announced
        /// before: `InvalidArgument` then.
        total: Option<u64>,
    },
}

/// What of a part stands fast when it begins.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) id: Uuid,
    pub(super) parent: Uuid,
    pub(super) name: String,
    pub(super) generation: i64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) whole: bool,
    /// Whether nothing of it may be there already when it ends: its bytes are the ones that count, or none of them.
    pub(super) strict: bool,
    /// Whether the size of the whole was not announced when it began, so that not all of it is reserved.
    pub(super) unsized_yet: bool,
    /// The state of the hash over all that comes before it, as the row had it.
    pub(super) hash_before: Option<Vec<u8>>,
}

/// A lane that is appended to, in a task of its own: a caller that goes away must not leave it half appended.
struct Flight {
    lane: Lane,
    hasher: Option<Hasher>,
    result: Result<()>,
}

/// Appends to a lane, which is made where nothing was written to it, and hashes beside it.
async fn append(store: Arc<dyn BlobStore>, mut lane: Lane, hasher: Option<Hasher>, pieces: Vec<Bytes>) -> Flight {
    let len: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
    let hashing = hasher.map(|mut hasher| {
        let pieces = pieces.clone();
        tokio::task::spawn_blocking(move || {
            hasher.update(&pieces);
            hasher
        })
    });
    if lane.writer.is_none() {
        match store.create(&lane.blob).await {
            Ok(writer) => lane.writer = Some(writer),
            Err(error) => return Flight { lane, hasher: None, result: Err(error) },
        }
    }
    let mut result = match &mut lane.writer {
        Some(writer) => writer.append(pieces).await,
        None => Err(Error::internal("a lane has no writer")),
    };
    if result.is_ok() {
        lane.len += len;
    }
    let mut hasher = None;
    if let Some(hashing) = hashing {
        match hashing.await {
            Ok(done) => hasher = Some(done),
            Err(error) => result = result.and(Err(Error::internal(format_args!("hashing: {error}")))),
        }
    }
    Flight { lane, hasher, result }
}

/// A part that is being received.
pub(crate) struct PartCore {
    inner: Arc<Inner>,
    plan: Plan,
    path: VirtualPath,
    /// Whether what came of it counts, even if it breaks off.
    keep: bool,
    /// With its lane, unless something is on its way there.
    turn: Turn,
    flight: Option<JoinHandle<Flight>>,
    /// Where the part begins in its lane; behind what a checkpoint has put into the row, as `plan.start` is.
    lane_start: u64,
    /// Bytes taken over since then.
    taken: u64,
    pending: Vec<Bytes>,
    pending_len: usize,
    /// The hash of all that comes before it, and of what came of it; none where that is not known.
    hasher: Option<Hasher>,
    /// Where the room in the quota ends that is reserved for it.
    reserved: u64,
    session: Arc<Session>,
    /// Whether a write has failed, so that nobody knows where the lane ends; or a checkpoint.
    broken: bool,
    pacer: Arc<Pacer>,
}

/// A part of an upload that is being received. Dropped, it leaves nothing of itself, unless it is one whose beginning counts
/// too ([`PartAt::Following`]).
pub struct Part {
    core: Option<Box<PartCore>>,
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            if core.flight.is_some() || core.is_worth_keeping() {
                // Nothing can be awaited here.
                let reaper = core.inner.reaper.clone();
                drop(reaper.send(Reap::Part(core)));
            } else {
                core.give_up();
            }
        }
    }
}

impl Part {
    fn core(&mut self) -> Result<&mut PartCore> {
        self.core.as_deref_mut().ok_or_else(|| Error::internal("a part was used after its end"))
    }

    /// Where it begins and ends.
    pub fn range(&self) -> (u64, u64) {
        self.core.as_ref().map_or((0, 0), |core| (core.plan.start, core.plan.end))
    }

    /// Keeps nothing of it unless it comes whole to [`Part::finish`]: its digest was announced. Its bytes are the ones that
    /// count then: `Conflict` at its end, where others came to their place meanwhile.
    pub fn all_or_nothing(&mut self) {
        if let Some(core) = &mut self.core {
            core.keep = false;
            core.plan.strict = true;
        }
    }

    /// Takes bytes over. Where the beginning of the part counts too, what came is put into the upload's row every so often:
    /// neither the end of the process nor a fault takes more than that.
    pub async fn write(&mut self, data: Bytes) -> Result<()> {
        let core = self.core()?;
        let (inner, session, id) = (core.inner.clone(), core.session.clone(), core.plan.id);
        let written = self.take(data).await;
        inner.upload_recorded(&session, Some(id), written).await
    }

    async fn take(&mut self, data: Bytes) -> Result<()> {
        let core = self.core()?;
        core.pacer.up(data.len()).await;
        core.take(data).await?;
        if core.keep && core.taken >= core.inner.settings.checkpoint_bytes { self.checkpoint().await } else { Ok(()) }
    }

    /// It comes to its end even if the caller goes away, and the part is dropped then.
    async fn checkpoint(&mut self) -> Result<()> {
        let mut part = Self { core: self.core.take() };
        let tasks = part.core()?.inner.tasks.clone();
        let work = async move {
            let done = match part.core() {
                Ok(core) => core.checkpoint().await,
                Err(error) => Err(error),
            };
            (part, done)
        };
        let (mut part, done) = enduring(&tasks, "a checkpoint of a part", work).await?;
        self.core = part.core.take();
        done
    }

    /// Ends it: when this returns `Ok` its bytes are on stable storage, and the upload's row names them. It comes to its end even
    /// if the caller goes away. `Incomplete` where it is not whole.
    pub async fn finish(mut self) -> Result<Incomplete> {
        let core = self.core.take().ok_or_else(|| Error::internal("a part was used after its end"))?;
        let (length, whole) = (core.plan.end - core.plan.start, core.plan.whole);
        if whole && core.taken != length {
            self.core = Some(core);
            return Err(Error::new(ErrorKind::Incomplete, "the part ended before it was whole; send it again"));
        }
        let (inner, session, id) = (core.inner.clone(), core.session.clone(), core.plan.id);
        let tasks = inner.tasks.clone();
        let ending = async move {
            let landed = core.land().await;
            inner.upload_recorded(&session, Some(id), landed).await
        };
        enduring(&tasks, "the end of a part", ending).await?
    }

    /// Ends it as it is: what came stays where its beginning counts too; otherwise nothing does.
    pub async fn end(mut self) {
        if let Some(core) = self.core.take() {
            let tasks = core.inner.tasks.clone();
            // Its failure is in the log.
            let _ = enduring(&tasks, "the end of a part", core.end()).await;
        }
    }
}

impl PartCore {
    const fn is_worth_keeping(&self) -> bool {
        self.keep && self.taken > 0 && !self.broken
    }

    async fn take(&mut self, data: Bytes) -> Result<()> {
        self.require_sound()?;
        self.session.life.came(data.len() as u64);
        self.inner.metrics.came(self.session.protocol, data.len());
        let end = self.plan.start.saturating_add(self.taken).saturating_add(data.len() as u64);
        if end > self.plan.end {
            return Err(Error::new(ErrorKind::InvalidArgument, "more bytes were sent than belong here"));
        }
        if end > self.reserved {
            self.reserve(end).await?;
        }
        self.taken += data.len() as u64;
        self.pending_len += data.len();
        self.pending.push(data);
        // Little ones take more memory than their bytes.
        if self.pending_len >= PIECE || self.pending.len() >= MAX_PIECES { self.flush().await } else { Ok(()) }
    }

    /// Takes room in the quota up to there, and some more: a step that its caller's end does not tear apart, as it is one
    /// transaction.
    async fn reserve(&mut self, end: u64) -> Result<()> {
        let reserving = Reserving {
            id: self.plan.id,
            parent: self.plan.parent,
            name: self.plan.name.clone(),
            generation: self.plan.generation,
            session: self.session.clone(),
            end,
        };
        let reserved = self.inner.write(self.session.reach(), Durability::Process, move |tx| {
            let reserving = reserving.clone();
            Box::pin(async move { reserving.run(tx).await })
        });
        self.reserved = reserved.await?;
        Ok(())
    }

    fn require_sound(&self) -> Result<()> {
        if self.broken {
            return Err(Error::new(ErrorKind::Incomplete, "an earlier write of this part failed; send it again"));
        }
        Ok(())
    }

    /// Sends the gathered bytes on their way.
    async fn flush(&mut self) -> Result<()> {
        if self.pending_len == 0 {
            return Ok(());
        }
        self.arrive().await?;
        let Some(lane) = self.turn.lane.take() else { return Err(Error::internal("a part has no lane")) };
        let store = match self.inner.storage(&lane.blob.storage) {
            Ok(store) => store.clone(),
            Err(error) => {
                self.turn.lane = Some(lane);
                return Err(error);
            }
        };
        self.pending_len = 0;
        let pieces = std::mem::take(&mut self.pending);
        self.flight = Some(tokio::spawn(append(store, lane, self.hasher.take(), pieces)));
        Ok(())
    }

    /// Waits for what is on its way.
    async fn arrive(&mut self) -> Result<()> {
        let Some(flight) = &mut self.flight else { return self.require_sound() };
        let arrived = flight.await;
        self.flight = None;
        let result = match arrived {
            Ok(Flight { lane, hasher, result }) => {
                self.turn.lane = Some(lane);
                self.hasher = hasher;
                result
            }
            Err(error) => Err(Error::internal(format_args!("writing: {error}"))),
        };
        self.broken |= result.is_err();
        result
    }

    /// Ends it as it is: what came stays where its beginning counts too; otherwise nothing does.
    pub(crate) async fn end(mut self: Box<Self>) {
        if self.is_worth_keeping() {
            if let Err(error) = self.land().await {
                tracing::debug!(%error, "what came of a part could not be kept");
            }
        } else {
            if let Err(error) = self.arrive().await {
                tracing::debug!(%error, "a part that is given up could not be written");
            }
            self.give_up();
        }
    }

    /// Leaves nothing of it but unused bytes in its lane.
    fn give_up(mut self: Box<Self>) {
        self.inner.lanes.waste(self.plan.id, self.taken);
        if let Some(lane) = self.turn.lane.take()
            && !self.broken
        {
            self.inner.lanes.give_back(self.plan.id, lane);
        }
    }

    /// Makes what came durable, and has the row name it.
    pub(crate) async fn land(mut self: Box<Self>) -> Result<Incomplete> {
        let landed = self.put(true).await;
        match &landed {
            Ok((_, over)) => self.inner.lanes.waste(self.plan.id, *over),
            Err(_) => self.inner.lanes.waste(self.plan.id, self.taken),
        }
        // A lane that could not be named is not used again: its row may be what a crash of the database took.
        if landed.is_ok()
            && let Some(lane) = self.turn.lane.take()
        {
            self.inner.lanes.give_back(self.plan.id, lane);
        }
        landed.map(|(row, _)| Incomplete::of(&row, Some(self.path.clone())))
    }

    /// Has the row name what came so far, and goes on behind it.
    async fn checkpoint(&mut self) -> Result<()> {
        let (row, over) = match self.put(false).await {
            Ok(landed) => landed,
            Err(error) => {
                self.broken = true;
                return Err(error);
            }
        };
        self.inner.lanes.waste(self.plan.id, over);
        self.plan.start += self.taken;
        self.lane_start += self.taken;
        self.taken = 0;
        // The hash goes on from what the row says, whoever's bytes those are.
        let hashed = row.hash_state.as_deref().filter(|_| row.hashed == self.plan.start);
        self.hasher = hashed.and_then(Hasher::resume);
        self.plan.hash_before = row.hash_state;
        Ok(())
    }

    /// In a task that no caller's end can cancel.
    async fn put(&mut self, last: bool) -> Result<(UploadRow, u64)> {
        self.flush().await?;
        self.arrive().await?;
        let Some(lane) = &mut self.turn.lane else { return Err(Error::internal("a part has no lane")) };
        if let Some(writer) = &mut lane.writer {
            self.broken = true;
            writer.sync().await?;
            self.broken = false;
        }
        let landing = Landing {
            plan: self.plan.clone(),
            blob: lane.blob.clone(),
            lane_start: self.lane_start,
            len: self.taken,
            hash_state: self.hasher.as_ref().map(Hasher::state),
            last,
            expires_at: self.inner.expiry(),
            session: self.session.clone(),
        };
        self.inner
            .write(self.session.reach(), Durability::Process, move |tx| {
                let landing = landing.clone();
                Box::pin(async move { landing.run(tx).await })
            })
            .await
    }
}

/// A part that may come.
struct Prepared {
    plan: Plan,
    path: VirtualPath,
    hasher: Option<Hasher>,
    /// The blob of a new lane.
    lane: Option<BlobId>,
    reserved: u64,
}

impl Inner {
    /// See [`crate::Gateway::begin_part`].
    pub(crate) async fn begin_part(self: &Arc<Self>, session: &Arc<Session>, id: Uuid, at: PartAt) -> Result<Part> {
        let result = self.take_part(session, id, at).await;
        self.upload_recorded(session, Some(id), result).await
    }

    async fn take_part(self: &Arc<Self>, session: &Arc<Session>, id: Uuid, at: PartAt) -> Result<Part> {
        self.require_open()?;
        policy::require_scope(session, Scope::FilesWrite)?;
        self.ledger.has_room()?;
        // Before anything is kept for it here, it must be there.
        Own::find(&mut *self.ledger.read(session.reach()).await?, session, id).await?.require_free()?;
        let turn = self.lanes.turn(id).await?;
        self.take_with(session, id, at, turn).await
    }

    async fn take_with(self: &Arc<Self>, session: &Arc<Session>, id: Uuid, at: PartAt, mut turn: Turn) -> Result<Part> {
        match self.prepare_part(session, id, at, turn.lane.is_none()).await {
            Ok(prepared) => Ok(self.part(session, prepared, turn)),
            Err(error) => {
                if let Some(lane) = turn.lane.take() {
                    self.lanes.give_back(id, lane);
                }
                Err(error)
            }
        }
    }

    /// Finds out where a part goes, and makes the row ready for it; with a new lane, where that is wanted.
    async fn prepare_part(&self, session: &Arc<Session>, id: Uuid, at: PartAt, new_lane: bool) -> Result<Prepared> {
        let own = Own::find(&mut *self.ledger.read(session.reach()).await?, session, id).await?;
        own.require_free()?;
        let (_, path) = own.writable()?;
        let max_file_size = self.limits().max_file_size;
        let mut row = own.row;
        let (_, end) = range_of(&row, at, max_file_size)?;
        let lane = new_lane.then(|| BlobId {
            key: Uuid::new_v4(),
            storage: row.storage.as_str().into(),
            prefix: row.prefix_path.as_str().into(),
        });
        let taking = Taking {
            id,
            parent: row.parent,
            name: row.name.clone(),
            session: session.clone(),
            at,
            max_file_size,
            expires_at: self.expiry(),
            lane: lane.clone(),
        };
        if taking.is_needed(&row, end) {
            row = self
                .write(session.reach(), Durability::Process, move |tx| {
                    let taking = taking.clone();
                    Box::pin(async move { taking.run(tx).await })
                })
                .await?;
        }
        let (start, end) = range_of(&row, at, max_file_size)?;
        let hasher = match &row.hash_state {
            _ if row.hashed != start => None,
            Some(state) => Hasher::resume(state),
            None => (start == 0).then(Hasher::default),
        };
        let (endless, unsized_yet) = (is_endless(&row, at), row.announced_size().is_none());
        let whole = matches!(at, PartAt::Chunk(_));
        let strict = matches!(at, PartAt::Following { exact: true, .. });
        let plan = Plan {
            id,
            parent: row.parent,
            name: row.name.clone(),
            generation: row.generation,
            start,
            end,
            whole,
            strict,
            unsized_yet,
            hash_before: row.hash_state,
        };
        // Elsewhere the whole was reserved before.
        let counts = session.quotas() != (None, None);
        let reserved = if counts && endless { row.reserved } else { u64::MAX };
        Ok(Prepared { plan, path, hasher, lane, reserved })
    }

    fn part(self: &Arc<Self>, session: &Arc<Session>, prepared: Prepared, mut turn: Turn) -> Part {
        let Prepared { plan, path, hasher, lane, reserved } = prepared;
        if let Some(blob) = lane {
            turn.lane = Some(Lane { blob, writer: None, len: 0 });
        }
        let (keep, lane_start) = (!plan.whole, turn.lane.as_ref().map_or(0, |lane| lane.len));
        let core = PartCore {
            inner: self.clone(),
            plan,
            path,
            keep,
            turn,
            flight: None,
            lane_start,
            taken: 0,
            pending: Vec::new(),
            pending_len: 0,
            hasher,
            reserved,
            session: session.clone(),
            broken: false,
            pacer: self.pacer(session),
        };
        Part { core: Some(Box::new(core)) }
    }
}
