//! How many connections each source has. A source is what one client is sure to have of its own: an IPv4 address, or an
//! IPv6 /64, in which it may take any address it likes (RFC 4291 section 2.5.4, RFC 8981).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use causeway_core::identity::source_of;

/// The sources that have connections, and how many each may have.
#[derive(Clone)]
pub struct Sources {
    limit: Arc<AtomicUsize>,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection of a source; dropping it gives its place back.
pub struct Place {
    source: IpAddr,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Sources {
    /// Without connections; each source may have `limit`.
    pub fn new(limit: usize) -> Self {
        Self { limit: Arc::new(AtomicUsize::new(limit)), counts: Arc::default() }
    }

    /// From now on each source may have so many; those that are there stay.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// How many each source may have.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// A place for a connection from an address; none where its source has all that it may have.
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        let source = source_of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(source).or_default();
        if *count >= self.limit() {
            return None;
        }
        *count += 1;
        Some(Place { source, counts: Arc::clone(&self.counts) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.source) {
            match count.get() {
                0 | 1 => drop(count.remove()),
                more => *count.get_mut() = more - 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_places_and_gets_them_back() {
        let sources = Sources::new(2);
        let enter = |address: &str| sources.enter(address.parse().unwrap());
        for (mine, same, other) in
            [("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::ffff:0:0:2", "2001:db8:0:1::1")]
        {
            let (first, second) = (enter(mine), enter(same));
            assert!(first.is_some() && second.is_some() && enter(mine).is_none() && enter(same).is_none(), "{mine}");
            let third = enter(other);
            assert!(third.is_some(), "{other}");
            drop(first);
            assert!(enter(mine).is_some());
            drop((second, third));
        }
        assert!(sources.counts.lock().unwrap().is_empty(), "nothing is kept of sources without connections");
    }
}
