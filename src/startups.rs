//! How many connections may be on their way to a login at the same time, as OpenSSH's `MaxStartups` has it
//! (`sshd_config(5)`): from the first bound on some are dropped at random, more and more of them, and at the second one
//! all. So a flood cannot keep out everybody else, as a plain limit would let it. Beyond OpenSSH, no source may hold more
//! than a part of them: where the flood comes from one place, nobody else notices it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use causeway_core::identity::lies_in;
use ipnet::IpNet;

use crate::sources::{Place, Sources};

/// So many connections on their way to a login each source may have in any case: those of one partner, who begins several
/// transfers at once, or of a few behind one address.
const SOURCE_LEAST: u32 = 10;
/// What part of [`StartupLimits::begin`] one source may have, where that is more.
const SOURCE_PART: u32 = 4;

/// The bounds, `begin:percent:full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartupLimits {
    /// So many are all taken.
    pub begin: u32,
    /// What part of those beyond it is dropped at first.
    pub percent: u32,
    /// So many there are at most.
    pub full: u32,
}

impl fmt::Display for StartupLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.begin, self.percent, self.full)
    }
}

impl StartupLimits {
    /// How many one source may have at the same time.
    fn of_source(self) -> u32 {
        SOURCE_LEAST.max(self.begin / SOURCE_PART)
    }

    /// What part of the connections is dropped, in percent, when so many are there.
    fn dropped(self, there: u32) -> u32 {
        if there < self.begin {
            return 0;
        }
        if there >= self.full || self.percent >= 100 {
            return 100;
        }
        let (span, beyond) = (u64::from(self.full - self.begin), u64::from(there - self.begin));
        self.percent + (u64::from(100 - self.percent) * beyond / span.max(1)) as u32
    }
}

/// The connections on which nobody has logged in yet.
#[derive(Clone)]
pub struct Startups {
    limits: StartupLimits,
    there: Arc<AtomicU32>,
    sources: Sources,
    /// Networks whose sources may have as many as they like.
    exempt: Arc<[IpNet]>,
}

/// One of them; dropping it says that somebody has logged in, or that it is over.
pub struct Startup {
    there: Arc<AtomicU32>,
    /// Its place among those of its source; none where that is exempt.
    _place: Option<Place>,
}

impl Startups {
    /// None yet. Sources in `exempt` may take all that there is: one address that many come through, or one's own probes.
    pub fn new(limits: StartupLimits, exempt: &[IpNet]) -> Self {
        let sources = Sources::new(limits.of_source() as usize);
        Self { limits, there: Arc::default(), sources, exempt: exempt.into() }
    }

    /// Takes one more from this address, or drops it.
    pub fn enter(&self, ip: IpAddr) -> Option<Startup> {
        self.enter_if(ip, |percent| {
            let mut byte = [0; 4];
            // Without random numbers there is no SSH either; the flood is then what is more likely.
            getrandom::fill(&mut byte).is_ok() && u32::from_ne_bytes(byte) % 100 >= percent
        })
    }

    fn enter_if(&self, ip: IpAddr, lucky: impl FnOnce(u32) -> bool) -> Option<Startup> {
        let exempt = self.exempt.iter().any(|network| lies_in(*network, ip));
        let place = if exempt { None } else { Some(self.sources.enter(ip)?) };
        // Counted first, so that two at once do not both get the last place.
        let there = self.there.fetch_add(1, Ordering::AcqRel);
        let startup = Startup { there: self.there.clone(), _place: place };
        let in_any_case = self.limits.dropped(there);
        let stays = in_any_case == 0 || (in_any_case < 100 && lucky(in_any_case));
        stays.then_some(startup)
    }
}

impl Drop for Startup {
    fn drop(&mut self) {
        self.there.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_and_more_are_dropped() {
        let limits = StartupLimits { begin: 10, percent: 30, full: 110 };
        let dropped = |there| limits.dropped(there);
        assert_eq!([dropped(0), dropped(9), dropped(10), dropped(60), dropped(109)], [0, 0, 30, 65, 99]);
        assert_eq!([dropped(110), dropped(u32::MAX)], [100, 100]);
        let flat = StartupLimits { begin: 5, percent: 30, full: 5 };
        assert_eq!([flat.dropped(4), flat.dropped(5)], [0, 100]);
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_given_back() {
        let startups = Startups::new(StartupLimits { begin: 1, percent: 50, full: 3 }, &[]);
        let here = ip("192.0.2.1");
        let first = startups.enter(here).unwrap();
        assert!(startups.enter_if(here, |_| false).is_none(), "the second one may be dropped");
        let second = startups.enter_if(here, |_| true).unwrap();
        let third = startups.enter_if(here, |_| true).unwrap();
        assert!(startups.enter_if(here, |_| true).is_none(), "no luck helps when it is full");
        drop((first, second, third));
        assert_eq!(startups.there.load(Ordering::Acquire), 0);
        assert!(startups.enter(here).is_some());
    }

    #[test]
    fn no_source_takes_all_places() {
        let limits = |begin| StartupLimits { begin, percent: 30, full: 1_000 };
        assert_eq!([1, 40, 43, 200].map(|begin| limits(begin).of_source()), [10, 10, 10, 50]);
        let startups = Startups::new(limits(200), &["198.51.100.0/24".parse().unwrap(), ip("2001:db8:9::1").into()]);
        for (source, beside) in [("192.0.2.1", "::ffff:192.0.2.1"), ("2001:db8::1", "2001:db8::2")] {
            let mut held: Vec<_> = (0..50).map(|_| startups.enter(ip(source)).unwrap()).collect();
            let there = startups.there.load(Ordering::Acquire);
            assert!(startups.enter(ip(source)).is_none() && startups.enter(ip(beside)).is_none(), "{source}");
            assert_eq!(startups.there.load(Ordering::Acquire), there, "who is refused takes no place");
            assert!(startups.enter(ip("203.0.113.1")).is_some(), "everybody else has room");
            held.pop();
            assert!(startups.enter(ip(beside)).is_some(), "a place was given back");
        }
        for probe in ["198.51.100.7", "2001:db8:9::1"] {
            let held: Vec<_> = (0..100).map(|_| startups.enter(ip(probe)).unwrap()).collect();
            assert_eq!(startups.there.load(Ordering::Acquire), 100, "it is counted all the same");
            drop(held);
        }
    }
}
