//! The sessions that are here, and what becomes of each: what it has moved, and who ends it before its time, and why.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Session;
use crate::error::{Error, ErrorKind};
use crate::records::{Micros, now};

/// Why a session is ended by the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// An administrator has ended it.
    Admin,
    /// Its login, rule, key or tenant is not there any more.
    Gone,
    /// Its login or key, or what its identity may do, is another one by now.
    Changed,
    /// The key or certificate that it came by is revoked.
    Revoked,
    /// The credential that it came by has expired.
    Expired,
}

impl EndReason {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Admin, Self::Gone, Self::Changed, Self::Revoked, Self::Expired];

    /// The `error_code` of `session.closed`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Admin => "ended_by_admin",
            Self::Gone => "login_gone",
            Self::Changed => "login_changed",
            Self::Revoked => "credential_revoked",
            Self::Expired => "credential_expired",
        }
    }

    /// What the client is told, and the trail.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Admin => "an administrator has ended this session",
            Self::Gone => "this session was ended: its login is not there any more",
            Self::Changed => "this session was ended: its login was changed; log in again",
            Self::Revoked => "this session was ended: the key or certificate that it came by is revoked",
            Self::Expired => "this session was ended: the credential that it came by has expired",
        }
    }

    /// Why what the session had open is not complete.
    pub(crate) fn error(self) -> Error {
        Error::new(ErrorKind::Incomplete, self.sentence())
    }
}

/// The quotas of the tenant and of the identity, in bytes; none: unlimited.
pub(crate) type Quotas = (Option<u64>, Option<u64>);

/// What becomes of one session, whatever protocols of its connection act in it.
#[derive(Debug)]
pub(crate) struct Life {
    /// When it began.
    pub(crate) started_at: Micros,
    reason: OnceLock<EndReason>,
    ended: CancellationToken,
    up: AtomicU64,
    down: AtomicU64,
    quotas: Mutex<Quotas>,
    /// The list that it stands on, and by which id.
    listed: OnceLock<(Uuid, Arc<Live>)>,
}

impl Life {
    /// One that begins now, with these quotas.
    pub(crate) fn new(quotas: Quotas) -> Arc<Self> {
        Arc::new(Self {
            started_at: now(),
            reason: OnceLock::new(),
            ended: CancellationToken::new(),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            quotas: Mutex::new(quotas),
            listed: OnceLock::new(),
        })
    }

    /// Cancelled when it is ended before its time.
    pub(crate) const fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Why it was ended, if it was.
    pub(crate) fn reason(&self) -> Option<EndReason> {
        self.reason.get().copied()
    }

    /// Ends it; false where it was ended before. The first reason stands.
    pub(crate) fn end(&self, reason: EndReason) -> bool {
        let first = self.reason.set(reason).is_ok();
        self.ended.cancel();
        first
    }

    /// Notes bytes that came.
    pub(crate) fn came(&self, bytes: u64) {
        self.up.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes bytes that went.
    pub(crate) fn went(&self, bytes: u64) {
        self.down.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The quotas of now.
    pub(crate) fn quotas(&self) -> Quotas {
        *self.quotas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with other quotas.
    pub(crate) fn set_quotas(&self, quotas: Quotas) {
        *self.quotas.lock().unwrap_or_else(PoisonError::into_inner) = quotas;
    }

    /// Bytes of content that came and went.
    pub(crate) fn moved(&self) -> (u64, u64) {
        (self.up.load(Ordering::Relaxed), self.down.load(Ordering::Relaxed))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Some((id, live)) = self.listed.get() {
            live.forget(*id);
        }
    }
}

/// The sessions of this process: those that last, and the requests that are under way. A session is on the list from its
/// login until it is closed or dropped.
#[derive(Debug, Default)]
pub(crate) struct Live {
    sessions: Mutex<HashMap<Uuid, Weak<Session>>>,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Weak<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a session on the list.
    pub(crate) fn enter(self: &Arc<Self>, session: &Arc<Session>) {
        self.lock().insert(session.id, Arc::downgrade(session));
        let _ = session.life.listed.set((session.id, self.clone()));
    }

    /// Takes one off.
    pub(crate) fn forget(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    /// The one with this id.
    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<Session>> {
        self.lock().get(&id)?.upgrade()
    }

    /// All that are here.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        // Not dropped under the lock: the last one to hold a session takes it off the list.
        self.lock().values().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stands() {
        let life = Life::new((None, Some(5)));
        assert!(!life.ended().is_cancelled());
        assert!(life.end(EndReason::Revoked));
        assert!(!life.end(EndReason::Admin));
        assert_eq!(life.reason(), Some(EndReason::Revoked));
        assert!(life.ended().is_cancelled());
        life.came(3);
        life.went(4);
        assert_eq!(life.moved(), (3, 4));
        life.set_quotas((Some(1), None));
        assert_eq!(life.quotas(), (Some(1), None));
    }

    #[test]
    fn every_reason_has_its_words() {
        let codes: std::collections::BTreeSet<&str> = EndReason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), EndReason::ALL.len());
        assert!(EndReason::ALL.iter().all(|reason| reason.error().message() == reason.sentence()));
    }
}
