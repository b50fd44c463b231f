//! Failed logins: who has guessed too often is not let in for a while (SEMANTICS, "Throttle").

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::source::source_of;
use crate::error::{Error, ErrorKind, Result};

/// How many pairs, and how many addresses, are remembered at most: about ten megabytes each.
const CAPACITY: usize = 100_000;
/// What part of a full table is dropped at once, so that making room costs next to nothing for each failure.
const MAKE_ROOM: usize = 8;
/// How many times the limit an address alone may fail: behind one address there may be many partners.
const ADDRESS_FACTOR: u32 = 10;

/// How many failed logins are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleLimits {
    /// Failures of one (login, address) in the window; ten times that for the address alone. 0: nothing is throttled.
    pub failures: u32,
    /// The window. It begins with the first failure.
    pub window: Duration,
    /// How long logins are then refused, from the last failure on.
    pub ban: Duration,
}

/// Counts failed logins (SEMANTICS, "Throttle"): per login and address, and at ten times the limit per address, never
/// per login alone, so that nobody can lock a partner out by guessing from elsewhere. An IPv6 address counts as its
/// /64, which is what one host has; an IPv4-mapped one as its IPv4 address.
#[derive(Debug)]
pub struct Throttle {
    limits: RwLock<ThrottleLimits>,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    pairs: Table<(LoginDigest, IpAddr)>,
    addresses: Table<IpAddr>,
}

/// A login as it was sent, as a digest: a name of any length costs the same memory, and no table holds what somebody
/// may have typed into the wrong field.
type LoginDigest = [u8; 16];

impl Throttle {
    /// With nothing counted yet.
    pub fn new(limits: ThrottleLimits) -> Self {
        Self::with_capacity(limits, CAPACITY)
    }

    fn with_capacity(limits: ThrottleLimits, capacity: usize) -> Self {
        let counts = Counts { pairs: Table::new(capacity), addresses: Table::new(capacity) };
        Self { limits: RwLock::new(limits), counts: Mutex::new(counts) }
    }

    /// From now on with other limits. What was counted stays.
    pub fn set_limits(&self, limits: ThrottleLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    fn limits(&self) -> ThrottleLimits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this login may be tried from this address: `Throttled`, with the time to wait, where it may not. Ask
    /// before the password is looked at.
    pub fn check(&self, login: &str, ip: IpAddr) -> Result<()> {
        self.check_at(login, ip, Instant::now())
    }

    /// Counts a failure. (A public key that was only offered, and refused, is none.)
    pub fn failed(&self, login: &str, ip: IpAddr) {
        self.failed_at(login, ip, Instant::now());
    }

    /// Forgets the failures of this login from this address. Those of the address stay: a correct login of one's own
    /// must not buy guesses at those of others.
    pub fn succeeded(&self, login: &str, ip: IpAddr) {
        if self.limits().failures > 0 {
            self.counts().pairs.entries.remove(&(digest(login), source_of(ip)));
        }
    }

    fn check_at(&self, login: &str, ip: IpAddr, now: Instant) -> Result<()> {
        let limits = self.limits();
        if limits.failures == 0 {
            return Ok(());
        }
        let ip = source_of(ip);
        let counts = self.counts();
        // Until somebody fails, nothing need be hashed.
        if counts.addresses.entries.is_empty() {
            return Ok(());
        }
        let pair = counts.pairs.banned(&(digest(login), ip), limits, now);
        let address = counts.addresses.banned(&ip, limits, now);
        match pair.max(address) {
            None => Ok(()),
            Some(wait) => {
                Err(Error::new(ErrorKind::Throttled, "too many failed logins; wait, then try again")
                    .with_retry_after(wait))
            }
        }
    }

    fn failed_at(&self, login: &str, ip: IpAddr, now: Instant) {
        let limits = self.limits();
        let limit = limits.failures;
        if limit == 0 {
            return;
        }
        let ip = source_of(ip);
        let login = digest(login);
        let mut counts = self.counts();
        counts.pairs.count((login, ip), limit, limits, now);
        counts.addresses.count(ip, limit.saturating_mul(ADDRESS_FACTOR), limits, now);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A panic elsewhere cannot leave a count half made; going on is right.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has failed, by whom.
#[derive(Debug)]
struct Table<K> {
    entries: HashMap<K, Failures>,
    capacity: usize,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    /// The first one of the window.
    since: Instant,
    count: u32,
    /// The last one, once they are too many.
    banned: Option<Instant>,
}

impl Failures {
    /// How long this still means anything: the rest of the ban, else of the window. None: not any more.
    fn remaining(&self, limits: ThrottleLimits, now: Instant) -> Option<Duration> {
        let (from, lasts) = match self.banned {
            Some(last) => (last, limits.ban),
            None => (self.since, limits.window),
        };
        lasts.checked_sub(now.saturating_duration_since(from)).filter(|rest| !rest.is_zero())
    }
}

impl<K: Eq + Hash + Copy> Table<K> {
    fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity }
    }

    fn banned(&self, key: &K, limits: ThrottleLimits, now: Instant) -> Option<Duration> {
        self.entries.get(key).filter(|failures| failures.banned.is_some())?.remaining(limits, now)
    }

    fn count(&mut self, key: K, limit: u32, limits: ThrottleLimits, now: Instant) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.make_room(limits, now);
        }
        let fresh = Failures { since: now, count: 0, banned: None };
        let failures = self.entries.entry(key).or_insert(fresh);
        if failures.remaining(limits, now).is_none() {
            *failures = fresh;
        }
        failures.count = failures.count.saturating_add(1);
        if failures.count >= limit {
            failures.banned = Some(now);
        }
    }

    /// Drops what means nothing any more, and if that is not enough an eighth of the rest: what would lapse first.
    fn make_room(&mut self, limits: ThrottleLimits, now: Instant) {
        self.entries.retain(|_, failures| failures.remaining(limits, now).is_some());
        let excess = (self.entries.len() + self.capacity / MAKE_ROOM + 1).saturating_sub(self.capacity);
        if excess == 0 {
            return;
        }
        let mut by_rest: Vec<(Option<Duration>, K)> =
            self.entries.iter().map(|(key, failures)| (failures.remaining(limits, now), *key)).collect();
        if excess < by_rest.len() {
            by_rest.select_nth_unstable_by_key(excess, |(rest, _)| *rest);
            by_rest.truncate(excess);
        }
        for (_, key) in by_rest {
            self.entries.remove(&key);
        }
    }
}

fn digest(login: &str) -> LoginDigest {
    let whole: [u8; 32] = Sha256::digest(login.as_bytes()).into();
    let mut half = LoginDigest::default();
    for (to, from) in half.iter_mut().zip(whole) {
        *to = from;
    }
    half
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const LIMITS: ThrottleLimits =
        ThrottleLimits { failures: 3, window: Duration::from_mins(10), ban: Duration::from_mins(15) };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_pair_is_banned_and_nobody_else() {
        let (throttle, start) = (Throttle::new(LIMITS), Instant::now());
        let (here, there) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for second in 0..2 {
            throttle.failed_at("edi01", here, after(start, second));
            throttle.check_at("edi01", here, after(start, second)).unwrap();
        }
        throttle.failed_at("edi01", here, after(start, 2));
        let error = throttle.check_at("edi01", here, after(start, 10)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Throttled);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(892)));
        throttle.check_at("edi01", there, after(start, 10)).unwrap();
        throttle.check_at("edi02", here, after(start, 10)).unwrap();
        throttle.check_at("edi01", here, after(start, 902)).unwrap();
        throttle.failed_at("edi01", here, after(start, 903));
        throttle.check_at("edi01", here, after(start, 903)).unwrap();
    }

    #[test]
    fn old_failures_are_forgotten() {
        let (throttle, start, here) = (Throttle::new(LIMITS), Instant::now(), ip("192.0.2.1"));
        throttle.failed_at("a", here, start);
        throttle.failed_at("a", here, start);
        throttle.failed_at("a", here, after(start, 600));
        throttle.check_at("a", here, after(start, 600)).unwrap();
        throttle.failed_at("a", here, after(start, 601));
        throttle.failed_at("a", here, after(start, 602));
        assert!(throttle.check_at("a", here, after(start, 602)).is_err());
    }

    #[test]
    fn success_clears_the_pair_but_not_the_address() {
        let (throttle, start, here) = (Throttle::new(LIMITS), Instant::now(), ip("192.0.2.1"));
        for _ in 0..15 {
            throttle.failed_at("a", here, start);
            throttle.failed_at("a", here, start);
            throttle.succeeded("a", here);
        }
        let error = throttle.check_at("a", here, start).unwrap_err();
        assert_eq!(error.retry_after(), Some(LIMITS.ban), "thirty failures of the address");
        assert!(throttle.check_at("somebody", here, start).is_err());
        throttle.check_at("a", ip("192.0.2.2"), start).unwrap();
    }

    #[test]
    fn a_login_alone_is_never_banned() {
        let (throttle, start) = (Throttle::new(LIMITS), Instant::now());
        for n in 0..=255u8 {
            throttle.failed_at("edi01", ip(&format!("198.51.100.{n}")), start);
            throttle.failed_at("edi01", ip(&format!("198.51.100.{n}")), start);
        }
        throttle.check_at("edi01", ip("192.0.2.1"), start).unwrap();
    }

    #[test]
    fn ipv6_counts_by_network_and_mapped_ipv4_as_itself() {
        let (throttle, start) = (Throttle::new(LIMITS), Instant::now());
        for n in 1..=3 {
            throttle.failed_at("a", ip(&format!("2001:db8:0:1::{n}")), start);
            throttle.failed_at("b", ip("::ffff:192.0.2.7"), start);
        }
        assert!(throttle.check_at("a", ip("2001:db8:0:1:ffff::1"), start).is_err());
        throttle.check_at("a", ip("2001:db8:0:2::1"), start).unwrap();
        assert!(throttle.check_at("b", ip("192.0.2.7"), start).is_err());
        throttle.check_at("b", ip("192.0.2.8"), start).unwrap();
    }

    #[test]
    fn memory_is_bounded_and_what_lapses_first_goes_first() {
        let (throttle, start) = (Throttle::with_capacity(LIMITS, 64), Instant::now());
        let here = ip("192.0.2.1");
        for _ in 0..3 {
            throttle.failed_at("guessed", here, start);
        }
        for n in 0..10_000u64 {
            throttle.failed_at(
                &format!("name{n}"),
                ip(&format!("10.{}.{}.1", n / 250, n % 250)),
                after(start, 1 + n / 1000),
            );
        }
        let counts = throttle.counts();
        assert!(counts.pairs.entries.len() <= 64 && counts.addresses.entries.len() <= 64);
        drop(counts);
        assert!(throttle.check_at("guessed", here, after(start, 10)).is_err(), "the ban outlasts the flood");
    }

    #[test]
    fn limits_at_their_ends() {
        let start = Instant::now();
        let here = ip("192.0.2.1");
        let off = Throttle::new(ThrottleLimits { failures: 0, ..LIMITS });
        off.failed_at("a", here, start);
        off.check_at("a", here, start).unwrap();
        let first = Throttle::new(ThrottleLimits { failures: 1, ..LIMITS });
        first.failed_at("a", here, start);
        assert!(first.check_at("a", here, start).is_err());
        let endless = Throttle::new(ThrottleLimits { failures: u32::MAX, window: Duration::MAX, ban: Duration::MAX });
        endless.failed_at("a", here, start);
        endless.check_at("a", here, start).unwrap();
        let tiny = Throttle::with_capacity(LIMITS, 1);
        tiny.failed_at("a", here, start);
        tiny.failed_at("b", ip("192.0.2.2"), start);
        assert_eq!(tiny.counts().pairs.entries.len(), 1);
    }

    #[test]
    fn the_public_clock_works() {
        let throttle = Throttle::new(ThrottleLimits { failures: 1, ..LIMITS });
        let here = ip("192.0.2.1");
        throttle.check("a", here).unwrap();
        throttle.failed("a", here);
        let wait = throttle.check("a", here).unwrap_err().retry_after().unwrap();
        assert!(wait <= LIMITS.ban && wait > LIMITS.ban / 2);
        throttle.succeeded("a", here);
        throttle.check("a", here).unwrap();
    }
}
