//! How many connections may be on their way to a login at the same time, as OpenSSH's `MaxStartups` has it
//! (`sshd_config(5)`): from the first bound on some are dropped at random, more and more of them, and at the second one
//! all. So a flood cannot keep out everybody else, as a plain limit would let it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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
}

/// One of them; dropping it says that somebody has logged in, or that it is over.
pub struct Startup(Arc<AtomicU32>);

impl Startups {
    /// None yet.
    pub fn new(limits: StartupLimits) -> Self {
        Self { limits, there: Arc::default() }
    }

    /// Takes one more, or drops it.
    pub fn enter(&self) -> Option<Startup> {
        self.enter_if(|percent| {
            let mut byte = [0; 4];
            // Without random numbers there is no SSH either; the flood is then what is more likely.
            getrandom::fill(&mut byte).is_ok() && u32::from_ne_bytes(byte) % 100 >= percent
        })
    }

    fn enter_if(&self, lucky: impl FnOnce(u32) -> bool) -> Option<Startup> {
        // Counted first, so that two at once do not both get the last place.
        let there = self.there.fetch_add(1, Ordering::AcqRel);
        let startup = Startup(self.there.clone());
        let in_any_case = self.limits.dropped(there);
        let stays = in_any_case == 0 || (in_any_case < 100 && lucky(in_any_case));
        stays.then_some(startup)
    }
}

impl Drop for Startup {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
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

    #[test]
    fn places_are_given_back() {
        let startups = Startups::new(StartupLimits { begin: 1, percent: 50, full: 3 });
        let first = startups.enter().unwrap();
        assert!(startups.enter_if(|_| false).is_none(), "the second one may be dropped");
        let second = startups.enter_if(|_| true).unwrap();
        let third = startups.enter_if(|_| true).unwrap();
        assert!(startups.enter_if(|_| true).is_none(), "no luck helps when it is full");
        drop((first, second, third));
        assert_eq!(startups.there.load(Ordering::Acquire), 0);
        assert!(startups.enter().is_some());
    }
}
