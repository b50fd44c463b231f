//! How far away a client is, and the window its channels get for that (RFC 4254 section 5.2).
//!
//! A window bounds what may be on its way to us: over a long line it has to hold a whole round trip's worth, or the client
//! waits. To a client nearby a large one does harm: every session may then have that much in the gateway's queues and the
//! kernel's buffers at once, and with many sessions their data falls out of the processor's caches before it is used.
//!
//! The distance is the shortest time between something sent and the next thing that came, while the client logs in: until
//! then SSH is question and answer. What a client says unasked makes it look nearer than it is, what it thinks about makes
//! it look farther; the shortest of several is near enough to the truth to choose one of two sizes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The window of a client nearby, in bytes: 64 requests of OpenSSH's `sftp`, of 32 KiB each.
pub(crate) const NEAR: u32 = 2 * 1024 * 1024;
/// The window of a client far away, in bytes: 400 MB/s at 20 ms, 80 MB/s at 100 ms.
pub(crate) const FAR: u32 = 8 * 1024 * 1024;
/// A client is far away from this round trip on.
const FAR_FROM: Duration = Duration::from_millis(20);

/// The round trip to a client, as far as it is known.
#[derive(Debug)]
pub(crate) struct Distance {
    began: Instant,
    /// When something was sent last that nothing has come after yet, in microseconds since the beginning, and one more.
    sent: AtomicU64,
    /// The shortest round trip in microseconds.
    shortest: AtomicU64,
    settled: AtomicBool,
}

impl Distance {
    /// Nothing known yet.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            sent: AtomicU64::new(0),
            shortest: AtomicU64::new(u64::MAX),
            settled: AtomicBool::new(false),
        }
    }

    /// Something was sent.
    pub(crate) fn sent(&self) {
        if !self.settled.load(Ordering::Relaxed) {
            self.sent.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    /// Something came.
    pub(crate) fn came(&self) {
        if self.settled.load(Ordering::Relaxed) {
            return;
        }
        if let Some(sent) = self.sent.swap(0, Ordering::Relaxed).checked_sub(1) {
            self.shortest.fetch_min(self.now().saturating_sub(sent), Ordering::Relaxed);
        }
    }

    /// From now on the client may send without being asked.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// The window that a channel is to have, in bytes.
    pub(crate) fn window(&self) -> u32 {
        let shortest = self.shortest.load(Ordering::Relaxed);
        let is_far = shortest != u64::MAX && Duration::from_micros(shortest) >= FAR_FROM;
        if is_far { FAR } else { NEAR }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(milliseconds: u64) {
        tokio::time::advance(Duration::from_millis(milliseconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_shortest_answer_decides() {
        let distance = Distance::new();
        assert_eq!(distance.window(), NEAR);
        distance.sent();
        pass(900).await;
        distance.came();
        assert_eq!(distance.window(), FAR);
        distance.sent();
        pass(19).await;
        distance.came();
        assert_eq!(distance.window(), NEAR);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_unasked_or_later_says_nothing() {
        let distance = Distance::new();
        distance.sent();
        pass(100).await;
        distance.came();
        pass(1).await;
        // The rest of the same answer.
        distance.came();
        assert_eq!(distance.window(), FAR);
        distance.settle();
        distance.sent();
        distance.came();
        assert_eq!(distance.window(), FAR);
    }
}
