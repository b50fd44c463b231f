//! The events of a tenant for whoever follows them as they come. They are read page by page, as their reader takes them: nothing is kept
//! for one that is slow. Who waits is woken by the sequencer of this process; where several share a ledger, one look serves all
//! that wait here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::inner::Inner;
use super::trail::{position_after, shown};
use crate::error::{Error, ErrorKind, Result};
use crate::events::EventFilter;
use crate::identity::{Following, Scope, Session};
use crate::ports::Reach;
use crate::records::StoredEvent;

/// Events that are looked through at a time.
const PAGE: u32 = 100;
/// How many times as many are looked through, from the newest backwards, for one that the caller may know of.
const LOOKS_BACK: u32 = 10;
/// How many look at a time: an event wakes all that follow, and the ledger has other readers.
pub(super) const LOOKS: usize = 3;
/// How long one that has found nothing waits, once it is woken, before it looks again: many events in a row are one look.
const PAUSE: Duration = Duration::from_millis(50);

/// The events of a tenant that lie in a session's view, from a position on.
pub struct EventFeed {
    inner: Arc<Inner>,
    session: Arc<Session>,
    filter: EventFilter,
    /// Everything up to here was looked at.
    position: i64,
    mark: Option<Uuid>,
    news: watch::Receiver<i64>,
    /// Its place among those of its identity.
    _place: Following,
}

impl Inner {
    /// See [`super::Gateway::follow_events`].
    pub(crate) async fn follow_events(
        self: &Arc<Self>,
        session: &Arc<Session>,
        after: Option<Uuid>,
        filter: EventFilter,
        most: u32,
    ) -> Result<EventFeed> {
        self.require_reading(session, Scope::EventsRead).await?;
        self.require_open()?;
        let place = self.places.follow(&session.tenant.id, &session.identity.id, most)?;
        let news = self.positions.subscribe();
        let (position, mark) = match after {
            Some(id) => {
                let mut query = self.ledger.read(session.reach()).await?;
                (position_after(&mut *query, id).await?, None)
            }
            None => self.newest(session).await?,
        };
        Ok(EventFeed { inner: self.clone(), session: session.clone(), filter, position, mark, news, _place: place })
    }

    /// The position of the tenant's newest event, and the id of the newest one that the caller may know of (see [`EventFeed::mark`]).
    /// An id tells when its event was, so that another's will not do.
    async fn newest(&self, session: &Session) -> Result<(i64, Option<Uuid>)> {
        let mut query = self.ledger.read(session.reach()).await?;
        let (mut before, mut first) = (i64::MAX, None);
        for _ in 0..LOOKS_BACK {
            let page = query.latest_events(&session.tenant.id, before, PAGE).await?;
            let more = page.len() >= PAGE as usize;
            for stored in page {
                let (position, id) = (stored.position, stored.event.id);
                let newest = *first.get_or_insert(position);
                before = position;
                if shown(session, stored)?.is_some() {
                    return Ok((newest, Some(id)));
                }
            }
            if !more {
                return Ok((first.unwrap_or(0), Some(Uuid::nil())));
            }
        }
        Ok((first.unwrap_or(0), None))
    }

    /// Where anybody follows events: hears of those that other nodes have put in their row.
    pub(crate) async fn hear_of_positions(&self) {
        if !self.places.are_followed() {
            return;
        }
        match self.last_position().await {
            Ok(last) => {
                self.positions.send_if_modified(|known| {
                    let new = last > *known;
                    *known = last.max(*known);
                    new
                });
            }
            Err(error) => {
                tracing::warn!(%error, "events of other nodes come late to those who follow them; trying again");
            }
        }
    }

    async fn last_position(&self) -> Result<i64> {
        self.ledger.read(Reach::Gateway).await?.last_position().await
    }
}

impl EventFeed {
    /// Where it begins, for one that begins now: an id behind which all that it will bring comes. It may be nil, for the place before the
    /// first event. None: it began behind an id; or none was found, as nothing of what happened lately is the caller's.
    pub const fn mark(&self) -> Option<Uuid> {
        self.mark
    }

    /// The next events, oldest first, as soon as there are any; empty where none came by this moment. Whoever gives up waiting for
    /// it has missed nothing: it brings the same ones again. `Unavailable` where the ledger is; it may be asked again then.
    pub async fn next(&mut self, by: Instant) -> Result<Vec<StoredEvent>> {
        loop {
            let inner = self.inner.clone();
            let Ok(turn) = timeout_at(by, inner.looks.acquire()).await else { return Ok(Vec::new()) };
            // Before the look: what gets its position behind it wakes.
            let known = *self.news.borrow_and_update();
            let (found, more) = self.look(known).await?;
            drop(turn);
            let looked = Instant::now();
            if !found.is_empty() || (more && looked >= by) {
                return Ok(found);
            }
            if more {
                // On one's own ledger nothing else waits: whoever is to end this has to come in between.
                yield_now().await;
                continue;
            }
            match timeout_at(by, self.news.changed()).await {
                Err(_) => return Ok(found),
                Ok(Err(_)) => return Err(Error::new(ErrorKind::Unavailable, "the gateway is shutting down")),
                Ok(Ok(())) => sleep_until(looked + PAUSE).await,
            }
        }
    }

    /// Looks through the next page; what of it is the caller's, and whether there may be more behind it. `known`: a position that was
    /// given before. The ledger had all up to it, so that it need not search there again for kinds that did not come.
    async fn look(&mut self, known: i64) -> Result<(Vec<StoredEvent>, bool)> {
        let mut query = self.inner.ledger.read(self.session.reach()).await?;
        let page = query.events(&self.session.tenant.id, self.position, &self.filter.kinds, PAGE).await?;
        drop(query);
        let more = page.len() >= PAGE as usize;
        let seen = page.last().map_or(self.position, |last| last.position);
        let position = if more { seen } else { seen.max(known) };
        let mut found = Vec::new();
        for stored in page.into_iter().filter(|stored| self.filter.reaches(&stored.event)) {
            found.extend(shown(&self.session, stored)?);
        }
        self.position = position;
        Ok((found, more))
    }
}
