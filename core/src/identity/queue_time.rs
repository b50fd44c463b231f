//! How long a login has waited for the gateway's own queue. Checks of passwords take turns (see [`super::PasswordVerifier`]):
//! when many come at once, a client waits for the others' checks, and that is not its own delay.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often it is looked whether a wait is over, where nothing of the client's own time is left.
const LOOK: Duration = Duration::from_millis(20);

/// Adds up the waits of one connection's logins. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct QueueTime(Arc<Mutex<Waits>>);

#[derive(Debug, Default)]
struct Waits {
    /// Those that are over.
    over: Duration,
    /// When the one that goes on began.
    since: Option<Instant>,
}

/// A wait that goes on; dropping it ends it.
#[derive(Debug)]
pub(super) struct Waiting<'q>(&'q QueueTime);

impl QueueTime {
    /// Begins a wait.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waits().since = Some(Instant::now());
        Waiting(self)
    }

    /// All waits together, with the one that goes on.
    pub fn so_far(&self) -> Duration {
        let waits = self.waits();
        waits.over + waits.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Waits until this moment has come, put off by as much as was spent in the queue.
    pub async fn outlast(&self, deadline: Instant) {
        loop {
            let until = deadline + self.so_far();
            if Instant::now() >= until {
                return;
            }
            sleep_until(until.max(Instant::now() + LOOK)).await;
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waits = self.0.waits();
        if let Some(since) = waits.since.take() {
            waits.over += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_put_off_by_the_waits() {
        let (queue, start) = (QueueTime::default(), Instant::now());
        queue.outlast(start + SECOND).await;
        let early = start.elapsed();
        assert!((SECOND..SECOND + 2 * LOOK).contains(&early), "without a wait it is the deadline itself: {early:?}");

        let (queue, start) = (QueueTime::default(), Instant::now());
        let held = queue.clone();
        let waits = async {
            tokio::time::sleep(SECOND / 2).await;
            for _ in 0..2 {
                let waiting = held.wait();
                tokio::time::sleep(60 * SECOND).await;
                drop(waiting);
            }
        };
        let outlasted = async {
            queue.outlast(start + SECOND).await;
            start.elapsed()
        };
        let (outlasted, ()) = tokio::join!(outlasted, waits);
        let expected = 121 * SECOND;
        assert!((expected..expected + 2 * LOOK).contains(&outlasted), "{outlasted:?}");
        assert_eq!(queue.so_far(), 120 * SECOND);
    }
}
