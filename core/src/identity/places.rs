//! How many sessions there are of each login and from each source, over all protocols whose sessions last; and how many streams of
//! events each identity follows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::source::source_of;
use crate::error::{Error, ErrorKind, Result};

/// How many sessions there may be at the same time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionLimits {
    /// Of one login; none: as many as it likes.
    pub per_login: Option<u32>,
    /// From one IPv4 address or IPv6 /64; none: as many as it likes.
    pub per_address: Option<u32>,
}

/// Tenant and login, or tenant and identity.
type Who = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Counts {
    logins: HashMap<Who, u32>,
    sources: HashMap<IpAddr, u32>,
    /// Streams of events, by tenant and identity.
    followed: HashMap<Who, u32>,
}

/// The sessions that are here.
#[derive(Debug)]
pub(crate) struct Places {
    limits: RwLock<SessionLimits>,
    counts: Mutex<Counts>,
}

/// One session's place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    who: Who,
    source: IpAddr,
    places: Arc<Places>,
}

impl Places {
    /// Nobody here yet.
    pub(crate) fn new(limits: SessionLimits) -> Arc<Self> {
        Arc::new(Self { limits: RwLock::new(limits), counts: Mutex::default() })
    }

    /// From now on with other limits. Who is here stays.
    pub(crate) fn set_limits(&self, limits: SessionLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// A place for one more session; `Throttled`, and what to do about it, where there is none.
    pub(crate) fn enter(self: &Arc<Self>, tenant: &Arc<str>, login: &Arc<str>, ip: IpAddr) -> Result<Place> {
        let (who, source) = ((tenant.clone(), login.clone()), source_of(ip));
        let limits = *self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |has: Option<&u32>, limit: Option<u32>| limit.filter(|limit| has.is_some_and(|has| has >= limit));
        if let Some(limit) = full(counts.logins.get(&who), limits.per_login) {
            return Err(refused("login", "session", limit));
        }
        if let Some(limit) = full(counts.sources.get(&source), limits.per_address) {
            return Err(refused("address", "session", limit));
        }
        *counts.logins.entry(who.clone()).or_default() += 1;
        *counts.sources.entry(source).or_default() += 1;
        Ok(Place { who, source, places: self.clone() })
    }

    /// A place for one more stream of events of an identity that may have so many; `Throttled` where there is none.
    pub(crate) fn follow(self: &Arc<Self>, tenant: &Arc<str>, identity: &Arc<str>, most: u32) -> Result<Following> {
        let who = (tenant.clone(), identity.clone());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.followed.get(&who).copied().unwrap_or(0) >= most {
            return Err(refused("identity", "stream", most));
        }
        *counts.followed.entry(who.clone()).or_default() += 1;
        Ok(Following { who, places: self.clone() })
    }

    /// Whether anybody follows events.
    pub(crate) fn are_followed(&self) -> bool {
        !self.counts.lock().unwrap_or_else(PoisonError::into_inner).followed.is_empty()
    }
}

fn refused(whose: &str, what: &str, limit: u32) -> Error {
    let plural = if limit == 1 { "" } else { "s" };
    let text = format!("this {whose} has {limit} {what}{plural} open, and may have no more; close one, then try again");
    Error::new(ErrorKind::Throttled, text)
}

/// The place of one stream of events; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Following {
    who: Who,
    places: Arc<Places>,
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut counts = self.places.counts.lock().unwrap_or_else(PoisonError::into_inner);
        give_back(&mut counts.followed, self.who.clone());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.counts.lock().unwrap_or_else(PoisonError::into_inner);
        give_back(&mut counts.logins, self.who.clone());
        give_back(&mut counts.sources, self.source);
    }
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        match count.get() {
            0 | 1 => drop(count.remove()),
            more => *count.get_mut() = more - 1,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_login_and_an_address_have_their_places_and_get_them_back() {
        let places = Places::new(SessionLimits { per_login: Some(2), per_address: Some(3) });
        let enter = |login: &str, ip: &str| places.enter(&"acme".into(), &login.into(), ip.parse().unwrap());
        let first = enter("a", "192.0.2.1").unwrap();
        let _second = enter("a", "192.0.2.2").unwrap();
        let error = enter("a", "192.0.2.3").unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Throttled, None));
        assert!(error.message().contains("this login has 2 sessions open"), "{error}");
        let _third = enter("b", "192.0.2.1").unwrap();
        let _fourth = enter("c", "::ffff:192.0.2.1").unwrap();
        let error = enter("d", "192.0.2.1").unwrap_err();
        assert!(error.message().contains("this address has 3 sessions open"), "{error}");
        drop(first);
        let again = enter("a", "192.0.2.1").unwrap();
        let other = places.enter(&"other".into(), &"a".into(), "192.0.2.9".parse().unwrap()).unwrap();
        drop((again, other));
    }

    #[test]
    fn an_identity_follows_so_many_streams_and_another_has_its_own() {
        let places = Places::new(SessionLimits::default());
        let follow = |identity: &str| places.follow(&"acme".into(), &identity.into(), 2);
        assert!(!places.are_followed());
        let (first, second) = (follow("a").unwrap(), follow("a").unwrap());
        let error = follow("a").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Throttled);
        assert!(error.message().contains("this identity has 2 streams open"), "{error}");
        let other = follow("b").unwrap();
        drop(first);
        let again = follow("a").unwrap();
        assert!(places.are_followed());
        drop((second, other, again));
        assert!(!places.are_followed(), "nothing is kept of them");
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let places = Places::new(SessionLimits::default());
        let all: Vec<_> =
            (0..100).map(|_| places.enter(&"t".into(), &"l".into(), "2001:db8::1".parse().unwrap()).unwrap()).collect();
        drop(all);
        let counts = places.counts.lock().unwrap();
        assert!(counts.logins.is_empty() && counts.sources.is_empty());
    }
}
