//! Whether a disk is so swift that waiting for it on the spot costs less than handing the work to another thread and
//! waking up again, which takes some ten to fifty microseconds and two switches of threads.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Below this mean a disk is swift.
const BOUND: Duration = Duration::from_micros(200);
/// What one measurement counts for at the most: a single one that the scheduler has stretched decides nothing, two slow ones
/// in a row do.
const MOST: Duration = Duration::from_millis(1);
/// One measurement moves the mean by this part of its distance from it.
const WEIGHT: u64 = 8;

/// `f_type` of tmpfs and ramfs (statfs(2)).
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A running mean of how long a disk takes to make a small change durable.
#[derive(Debug)]
pub(crate) struct Swiftness {
    /// In nanoseconds.
    mean: AtomicU64,
    /// Below it the disk is swift; in nanoseconds.
    bound: u64,
}

const fn nanoseconds(time: Duration) -> u64 {
    time.as_micros() as u64 * 1000
}

impl Swiftness {
    /// Of a folder's file system: one in memory is taken for swift, any other one has to show it.
    pub(crate) fn of(folder: &Path) -> Self {
        let mean = if is_in_memory(folder) { Duration::ZERO } else { MOST };
        Self { mean: AtomicU64::new(nanoseconds(mean)), bound: nanoseconds(BOUND) }
    }

    /// Swift whatever it measures.
    #[cfg(test)]
    pub(crate) const fn always() -> Self {
        Self { mean: AtomicU64::new(0), bound: u64::MAX }
    }

    /// Not swift whatever it measures.
    #[cfg(test)]
    pub(crate) const fn never() -> Self {
        Self { mean: AtomicU64::new(0), bound: 0 }
    }

    /// Takes a measurement in.
    pub(crate) fn note(&self, took: Duration) {
        let (mean, took) = (self.mean.load(Ordering::Relaxed), nanoseconds(took.min(MOST)));
        // Two at once may lose one: it is a mean of many.
        self.mean.store((mean * (WEIGHT - 1) + took) / WEIGHT, Ordering::Relaxed);
    }

    /// Whether to wait for it on the spot.
    pub(crate) fn is_swift(&self) -> bool {
        self.mean.load(Ordering::Relaxed) < self.bound
    }
}

/// Whether a folder's file system keeps its files in memory alone.
pub(crate) fn is_in_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|system| IN_MEMORY.contains(&(system.f_type as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown() -> Swiftness {
        Swiftness { mean: AtomicU64::new(nanoseconds(MOST)), bound: nanoseconds(BOUND) }
    }

    #[test]
    fn a_disk_has_to_show_that_it_is_swift() {
        let disk = unknown();
        assert!(!disk.is_swift());
        disk.note(Duration::from_micros(20));
        assert!(!disk.is_swift(), "one measurement is not enough");
        for _ in 0..32 {
            disk.note(Duration::from_micros(20));
        }
        assert!(disk.is_swift());
    }

    #[test]
    fn one_slow_answer_decides_nothing_two_do() {
        let disk = unknown();
        for _ in 0..64 {
            disk.note(Duration::from_micros(20));
        }
        disk.note(Duration::from_secs(5));
        assert!(disk.is_swift());
        disk.note(Duration::from_secs(5));
        assert!(!disk.is_swift());
    }

    #[test]
    fn what_takes_a_millisecond_is_never_swift() {
        let disk = unknown();
        for _ in 0..1000 {
            disk.note(Duration::from_millis(1));
            assert!(!disk.is_swift());
        }
    }

    #[test]
    fn tells_memory_from_a_disk() {
        let shared = Path::new("/dev/shm");
        if shared.is_dir() {
            assert!(is_in_memory(shared) && Swiftness::of(shared).is_swift());
        }
        assert!(!is_in_memory(Path::new("/proc")));
    }
}
