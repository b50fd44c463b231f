//! Penalties of sources whose connections do not become logins, by the model of OpenSSH 9.8's `PerSourcePenalties`
//! (`sshd_config(5)`): each offence adds seconds, which run down by themselves; a source that has more than the minimum
//! is not admitted until they have run down. It stands beside the throttle, which counts guesses at passwords: this one
//! keeps away those who only make work.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::source::{block_of, lies_in};

/// What part of a full table is dropped at once, so that making room costs next to nothing for each offence.
const MAKE_ROOM: usize = 8;

/// What a connection did on which nobody logged in. The later ones in this list weigh more where a connection did several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// It ended without a try to log in.
    NoAuth,
    /// It ended after failed tries.
    AuthFail,
    /// It tried a login that there is not.
    InvalidUser,
    /// It tried a login that may not come from there.
    RefuseConnection,
    /// It did not log in in time.
    GraceExceeded,
}

/// What happens when there are more penalised sources than the table takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Those that would be free soonest are.
    Permissive,
    /// Nobody new is admitted until there is room.
    DenyAll,
}

/// What each offence costs, and who pays.
#[derive(Clone, Debug)]
pub struct PenaltyLimits {
    /// Whether there are penalties at all.
    pub enabled: bool,
    /// The price of [`Offence::NoAuth`].
    pub no_auth: Duration,
    /// The price of [`Offence::AuthFail`]; of this and the next two the highest counts for all of them.
    pub auth_fail: Duration,
    /// The price of [`Offence::InvalidUser`].
    pub invalid_user: Duration,
    /// The price of [`Offence::RefuseConnection`].
    pub refuse_connection: Duration,
    /// The price of [`Offence::GraceExceeded`].
    pub grace_exceeded: Duration,
    /// A source that has no more than this is admitted.
    pub min: Duration,
    /// No source has more than this.
    pub max: Duration,
    /// How many IPv4 sources are remembered.
    pub max_sources4: usize,
    /// How many IPv6 sources are remembered.
    pub max_sources6: usize,
    /// What happens beyond that.
    pub overflow: Overflow,
    /// Bits of an IPv4 address that are a source.
    pub netblock4: u8,
    /// Bits of an IPv6 address that are a source.
    pub netblock6: u8,
    /// Who never pays.
    pub exempt: Vec<IpNet>,
}

impl Default for PenaltyLimits {
    /// OpenSSH's, but that an IPv6 source is a /64, which is what one host has.
    fn default() -> Self {
        Self {
            enabled: true,
            no_auth: Duration::from_secs(1),
            auth_fail: Duration::from_secs(5),
            invalid_user: Duration::from_secs(5),
            refuse_connection: Duration::from_secs(5),
            grace_exceeded: Duration::from_secs(10),
            min: Duration::from_secs(15),
            max: Duration::from_mins(10),
            max_sources4: 65_536,
            max_sources6: 65_536,
            overflow: Overflow::Permissive,
            netblock4: 32,
            netblock6: 64,
            exempt: Vec::new(),
        }
    }
}

impl PenaltyLimits {
    /// What an offence costs. A failed login has one price, the highest of the three, whatever was wrong with it: sources
    /// could otherwise tell from how long they have to wait which logins there are, and which may come from elsewhere.
    fn price(&self, offence: Offence) -> Duration {
        match offence {
            Offence::NoAuth => self.no_auth,
            Offence::AuthFail | Offence::InvalidUser | Offence::RefuseConnection => {
                self.auth_fail.max(self.invalid_user).max(self.refuse_connection)
            }
            Offence::GraceExceeded => self.grace_exceeded,
        }
    }

    fn is_free(&self, ip: IpAddr) -> bool {
        !self.enabled || self.exempt.iter().any(|network| lies_in(*network, ip))
    }

    fn source(&self, ip: IpAddr) -> (IpAddr, usize) {
        let source = block_of(ip, self.netblock4, self.netblock6);
        (source, if source.is_ipv4() { self.max_sources4 } else { self.max_sources6 })
    }
}

/// Who has to wait, and for how long.
#[derive(Debug)]
pub struct Penalties {
    limits: RwLock<Arc<PenaltyLimits>>,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    v4: Table,
    v6: Table,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<IpAddr, Penalty>,
}

#[derive(Clone, Copy, Debug)]
struct Penalty {
    /// When it has run down.
    until: Instant,
    /// Whether it was ever above the minimum: then it lasts to its end.
    active: bool,
}

impl Penalties {
    /// Nobody has to wait yet.
    pub fn new(limits: PenaltyLimits) -> Self {
        Self { limits: RwLock::new(Arc::new(limits)), tables: Mutex::default() }
    }

    /// From now on with other limits. What was counted stays.
    pub fn set_limits(&self, limits: PenaltyLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    fn limits(&self) -> Arc<PenaltyLimits> {
        self.limits.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a connection from this address is to be looked at.
    pub fn admits(&self, ip: IpAddr) -> bool {
        self.admits_at(ip, Instant::now())
    }

    /// Makes an address pay.
    pub fn add(&self, ip: IpAddr, offence: Offence) {
        self.add_at(ip, offence, Instant::now());
    }

    fn admits_at(&self, ip: IpAddr, now: Instant) -> bool {
        let limits = self.limits();
        if limits.is_free(ip) {
            return true;
        }
        let (source, capacity) = limits.source(ip);
        let mut tables = self.tables();
        let table = tables.of(source);
        if limits.overflow == Overflow::DenyAll && table.is_full(capacity, now) {
            return false;
        }
        table.entries.get(&source).is_none_or(|penalty| !penalty.active || penalty.until <= now)
    }

    fn add_at(&self, ip: IpAddr, offence: Offence, now: Instant) {
        let limits = self.limits();
        let price = limits.price(offence);
        if limits.is_free(ip) || price.is_zero() {
            return;
        }
        let (source, capacity) = limits.source(ip);
        let mut tables = self.tables();
        let table = tables.of(source);
        if !table.entries.contains_key(&source) && table.is_full(capacity, now) {
            match limits.overflow {
                Overflow::DenyAll => return,
                Overflow::Permissive => table.make_room(capacity),
            }
        }
        let fresh = Penalty { until: now, active: false };
        let penalty = table.entries.entry(source).or_insert(fresh);
        if penalty.until <= now {
            *penalty = fresh;
        }
        let rest = penalty.until.saturating_duration_since(now).saturating_add(price).min(limits.max);
        // No configuration has so long a penalty that this could fail.
        penalty.until = now.checked_add(rest).unwrap_or(penalty.until);
        if rest > limits.min && !penalty.active {
            penalty.active = true;
            tracing::info!(%source, ?offence, seconds = rest.as_secs(), "a source is refused for a while");
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // A panic elsewhere cannot leave a penalty half made; going on is right.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    const fn of(&mut self, source: IpAddr) -> &mut Table {
        match source {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }
}

impl Table {
    /// Whether no more sources can be remembered, having forgotten those that are free.
    fn is_full(&mut self, capacity: usize, now: Instant) -> bool {
        if self.entries.len() >= capacity {
            self.entries.retain(|_, penalty| penalty.until > now);
        }
        self.entries.len() >= capacity
    }

    /// Forgets those that would be free soonest.
    fn make_room(&mut self, capacity: usize) {
        let excess = (self.entries.len() + capacity / MAKE_ROOM + 1).saturating_sub(capacity);
        let mut by_end: Vec<(Instant, IpAddr)> = self.entries.iter().map(|(ip, p)| (p.until, *ip)).collect();
        if excess < by_end.len() {
            by_end.select_nth_unstable(excess);
            by_end.truncate(excess);
        }
        for (_, ip) in by_end {
            self.entries.remove(&ip);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_source_pays_when_it_has_more_than_the_minimum() {
        let (penalties, start, here) = (Penalties::new(PenaltyLimits::default()), Instant::now(), ip("192.0.2.1"));
        for offence in [Offence::AuthFail; 2].into_iter().chain([Offence::NoAuth; 5]) {
            penalties.add_at(here, offence, start);
            assert!(penalties.admits_at(here, start), "up to 15 s are for free");
        }
        penalties.add_at(here, Offence::NoAuth, start);
        assert!(!penalties.admits_at(here, start));
        assert!(penalties.admits_at(ip("192.0.2.2"), start), "and nobody else pays");
        assert!(!penalties.admits_at(here, after(start, 15)), "an active one lasts to its end");
        assert!(penalties.admits_at(here, after(start, 16)));
        penalties.add_at(here, Offence::AuthFail, after(start, 17));
        assert!(penalties.admits_at(here, after(start, 17)), "what has run down is forgotten");
    }

    #[test]
    fn why_a_login_failed_cannot_be_told_from_the_price() {
        let second = Duration::from_secs;
        let limits = |auth_fail, invalid_user, refuse_connection| PenaltyLimits {
            auth_fail: second(auth_fail),
            invalid_user: second(invalid_user),
            refuse_connection: second(refuse_connection),
            ..PenaltyLimits::default()
        };
        for limits in [PenaltyLimits::default(), limits(30, 0, 0), limits(0, 30, 1), limits(0, 1, 30), limits(0, 0, 0)]
        {
            let [fail, invalid, refuse] = [Offence::AuthFail, Offence::InvalidUser, Offence::RefuseConnection]
                .map(|offence| limits.price(offence));
            assert_eq!([fail, invalid], [refuse, refuse], "{limits:?}");
            assert_eq!(fail, limits.auth_fail.max(limits.invalid_user).max(limits.refuse_connection));
        }
    }

    #[test]
    fn penalties_run_down_by_themselves() {
        let (penalties, start, here) = (Penalties::new(PenaltyLimits::default()), Instant::now(), ip("192.0.2.1"));
        for second in 0..1000 {
            penalties.add_at(here, Offence::NoAuth, after(start, second));
            assert!(penalties.admits_at(here, after(start, second)), "a look each second, as balancers have it");
        }
    }

    #[test]
    fn no_penalty_is_longer_than_the_longest() {
        let (penalties, start, here) = (Penalties::new(PenaltyLimits::default()), Instant::now(), ip("192.0.2.1"));
        for _ in 0..1000 {
            penalties.add_at(here, Offence::GraceExceeded, start);
        }
        assert!(!penalties.admits_at(here, after(start, 599)));
        assert!(penalties.admits_at(here, after(start, 600)));
    }

    #[test]
    fn sources_are_blocks_of_addresses() {
        let (penalties, start) = (Penalties::new(PenaltyLimits::default()), Instant::now());
        for n in 1..=4 {
            penalties.add_at(ip(&format!("2001:db8:0:1::{n}")), Offence::InvalidUser, start);
            penalties.add_at(ip("::ffff:192.0.2.7"), Offence::RefuseConnection, start);
        }
        assert!(!penalties.admits_at(ip("2001:db8:0:1:ffff::1"), start));
        assert!(penalties.admits_at(ip("2001:db8:0:2::1"), start));
        assert!(!penalties.admits_at(ip("192.0.2.7"), start));
        let limits = PenaltyLimits { netblock4: 24, ..PenaltyLimits::default() };
        let wider = Penalties::new(limits);
        for n in 1..=2 {
            wider.add_at(ip(&format!("192.0.2.{n}")), Offence::GraceExceeded, start);
        }
        assert!(!wider.admits_at(ip("192.0.2.200"), start) && wider.admits_at(ip("192.0.3.1"), start));
    }

    #[test]
    fn some_never_pay() {
        let start = Instant::now();
        let exempt = vec!["192.0.2.0/24".parse().unwrap(), "::ffff:10.0.0.0/104".parse().unwrap()];
        let penalties = Penalties::new(PenaltyLimits { exempt, ..PenaltyLimits::default() });
        let off = Penalties::new(PenaltyLimits { enabled: false, ..PenaltyLimits::default() });
        for _ in 0..10 {
            penalties.add_at(ip("192.0.2.1"), Offence::GraceExceeded, start);
            penalties.add_at(ip("10.1.2.3"), Offence::GraceExceeded, start);
            penalties.add_at(ip("192.0.3.1"), Offence::GraceExceeded, start);
            off.add_at(ip("192.0.3.1"), Offence::GraceExceeded, start);
        }
        assert!(penalties.admits_at(ip("::ffff:192.0.2.1"), start) && !penalties.admits_at(ip("192.0.3.1"), start));
        assert!(penalties.admits_at(ip("10.1.2.3"), start), "a network that is written IPv4-mapped");
        assert!(off.admits_at(ip("192.0.3.1"), start));
    }

    #[test]
    fn memory_is_bounded_and_the_longest_penalties_stay() {
        let limits = PenaltyLimits { max_sources4: 64, ..PenaltyLimits::default() };
        let (penalties, start, worst) = (Penalties::new(limits.clone()), Instant::now(), ip("192.0.2.1"));
        for _ in 0..60 {
            penalties.add_at(worst, Offence::GraceExceeded, start);
        }
        for n in 0..10_000_u32 {
            penalties.add_at(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), Offence::NoAuth, start);
        }
        assert!(penalties.tables().v4.entries.len() <= 64);
        assert!(!penalties.admits_at(worst, start));
        assert!(penalties.admits_at(ip("198.51.100.1"), start));

        let strict = Penalties::new(PenaltyLimits { overflow: Overflow::DenyAll, ..limits });
        for n in 0..64_u32 {
            strict.add_at(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), Offence::NoAuth, start);
        }
        assert!(!strict.admits_at(ip("198.51.100.1"), start), "nobody new while the table is full");
        assert!(strict.admits_at(ip("2001:db8::1"), start), "each family has its own table");
        assert!(strict.admits_at(ip("198.51.100.1"), after(start, 2)));
    }

    #[test]
    fn a_price_of_nothing_is_no_penalty_and_a_table_of_none_holds_none() {
        let (start, here) = (Instant::now(), ip("192.0.2.1"));
        let free = Penalties::new(PenaltyLimits { no_auth: Duration::ZERO, ..PenaltyLimits::default() });
        free.add_at(here, Offence::NoAuth, start);
        assert!(free.tables().v4.entries.is_empty());
        let steep = PenaltyLimits { no_auth: Duration::MAX, max: Duration::MAX, ..PenaltyLimits::default() };
        let steep = Penalties::new(steep);
        steep.add_at(here, Offence::NoAuth, start);
        steep.add_at(here, Offence::NoAuth, start);
    }
}
