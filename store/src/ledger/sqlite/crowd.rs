//! Whether several hand operations in at about the same time. Then it is worth letting them gather for the writer's thread: the
//! operations of one transaction share its sync, and most of the pages that it writes to the WAL.
//!
//! Operations that are served on the spot meet nobody, however many come: each is done before its thread of the runtime takes
//! up the next one. So one in [`PROBE`] is left to the thread, and what has gathered by the time it looks tells.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// One operation in so many is left to the thread.
const PROBE: u32 = 16;

/// An operation, in the unit of the mean.
const ONE: u32 = 1 << 16;
/// From this many operations in a batch, in the mean, they are left to gather; below the other one no more.
const FROM: u32 = ONE * 3 / 2;
const BELOW: u32 = ONE * 5 / 4;
/// One batch moves the mean by this part of its distance from it, and counts as so many operations at the most.
const WEIGHT: u32 = 8;
const MOST: u32 = 8;

/// A running mean of how many operations gather while the thread is called.
#[derive(Debug)]
pub(super) struct Crowd {
    mean: AtomicU32,
    handed_in: AtomicU32,
    gathers: AtomicBool,
}

impl Crowd {
    pub(super) const fn new() -> Self {
        Self { mean: AtomicU32::new(ONE), handed_in: AtomicU32::new(0), gathers: AtomicBool::new(false) }
    }

    /// Takes in how many operations had gathered. Two at once may lose one: it is a mean of many.
    pub(super) fn note(&self, batch: usize) {
        let batch = u32::try_from(batch).unwrap_or(MOST).min(MOST) * ONE;
        let mean = (self.mean.load(Ordering::Relaxed) * (WEIGHT - 1) + batch) / WEIGHT;
        self.mean.store(mean, Ordering::Relaxed);
        if mean >= FROM {
            self.gathers.store(true, Ordering::Relaxed);
        } else if mean < BELOW {
            self.gathers.store(false, Ordering::Relaxed);
        }
    }

    /// Whether to leave the next operation to the thread.
    pub(super) fn leaves(&self) -> bool {
        let number = self.handed_in.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.gathers.load(Ordering::Relaxed) || number.is_multiple_of(PROBE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of 160 are left to the thread.
    fn left(crowd: &Crowd) -> usize {
        (0..160).filter(|_| crowd.leaves()).count()
    }

    #[test]
    fn who_comes_alone_is_served_on_the_spot_but_for_a_probe() {
        let crowd = Crowd::new();
        assert_eq!(left(&crowd), 10);
        for _ in 0..100 {
            crowd.note(1);
        }
        crowd.note(2);
        assert_eq!(left(&crowd), 10, "two that met once are no crowd");
    }

    #[test]
    fn a_crowd_gathers_until_it_is_none_any_more() {
        let crowd = Crowd::new();
        for _ in 0..10 {
            crowd.note(3);
        }
        assert_eq!(left(&crowd), 160);
        for _ in 0..50 {
            crowd.note(1000);
        }
        for _ in 0..10 {
            crowd.note(1);
        }
        assert_eq!(left(&crowd), 160);
        for _ in 0..30 {
            crowd.note(1);
        }
        assert_eq!(left(&crowd), 10);
    }
}
