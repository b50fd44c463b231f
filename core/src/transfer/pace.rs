//! Bandwidth: how fast one session may move bytes. And how much may be read ahead for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::ahead;
use crate::gateway::held;

/// Spreads bytes over time, in each direction: at most a rate, with a second's worth as a burst.
pub(crate) struct Pacer {
    up: Option<Lane>,
    down: Option<Lane>,
    ahead: Arc<Semaphore>,
}

struct Lane {
    rate: u64,
    /// When everything that was let through so far would have been sent at the rate.
    clear: Mutex<Instant>,
}

impl Lane {
    fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), clear: Mutex::new(Instant::now()) }
    }

    /// Books the bytes and tells how long to wait before they may go.
    fn book(&self, bytes: u64, now: Instant) -> Duration {
        let mut clear = held(&self.clear);
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        let from = (*clear).max(now.checked_sub(Duration::from_secs(1)).unwrap_or(now));
        *clear = from + cost;
        clear.saturating_duration_since(now)
    }
}

impl Pacer {
    pub(crate) fn new(up: Option<u64>, down: Option<u64>) -> Self {
        Self { up: up.map(Lane::new), down: down.map(Lane::new), ahead: Arc::new(Semaphore::new(ahead::DOWNLOADS)) }
    }

    /// One permit for each download of the session that may read ahead.
    pub(crate) const fn ahead(&self) -> &Arc<Semaphore> {
        &self.ahead
    }

    /// Waits until so many more bytes may come in.
    pub(crate) async fn up(&self, bytes: usize) {
        wait(self.up.as_ref(), bytes).await;
    }

    /// Waits until so many more bytes may go out.
    pub(crate) async fn down(&self, bytes: usize) {
        wait(self.down.as_ref(), bytes).await;
    }
}

async fn wait(lane: Option<&Lane>, bytes: usize) {
    if let Some(lane) = lane {
        let pause = lane.book(bytes as u64, Instant::now());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_of_bytes_takes_a_minute() {
        let pacer = Pacer::new(Some(1000), None);
        tokio::time::advance(Duration::from_secs(5)).await;
        let began = Instant::now();
        for _ in 0..60 {
            pacer.up(1000).await;
        }
        let took = began.elapsed();
        assert!((Duration::from_secs(58)..=Duration::from_mins(1)).contains(&took), "{took:?}");
        pacer.down(1_000_000).await;
        assert_eq!(began.elapsed(), took, "the other direction has no limit");
    }
}
