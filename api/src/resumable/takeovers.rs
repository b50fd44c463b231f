//! Who sends to which upload ("Concurrency"): a new request to an upload resource ends the one before it, whose client has given it
//! up, or lost its line without the gateway knowing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The requests of this process that send to an upload resource.
#[derive(Debug, Default)]
pub struct Takeovers(Mutex<HashMap<Uuid, (u64, CancellationToken)>>);

/// A request that sends to an upload, until it is dropped.
#[derive(Debug)]
pub struct Sending<'t> {
    all: &'t Takeovers,
    upload: Uuid,
    number: u64,
    /// Cancelled when another request takes its place.
    pub taken: CancellationToken,
}

impl Takeovers {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, (u64, CancellationToken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request that sends to an upload, and ends the one that does.
    pub fn begin(&self, upload: Uuid) -> Sending<'_> {
        let taken = CancellationToken::new();
        let mut all = self.lock();
        let number = match all.get(&upload) {
            Some((number, before)) => {
                before.cancel();
                number + 1
            }
            None => 0,
        };
        all.insert(upload, (number, taken.clone()));
        drop(all);
        Sending { all: self, upload, number, taken }
    }

    /// Ends the request that sends to an upload, where one does.
    pub fn interrupt(&self, upload: Uuid) {
        if let Some((_, sending)) = self.lock().get(&upload) {
            sending.cancel();
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if all.get(&self.upload).is_some_and(|(number, _)| *number == self.number) {
            all.remove(&self.upload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_request_stays() {
        let (all, upload) = (Takeovers::default(), Uuid::now_v7());
        let first = all.begin(upload);
        let other = all.begin(Uuid::now_v7());
        let second = all.begin(upload);
        assert!(first.taken.is_cancelled() && !second.taken.is_cancelled() && !other.taken.is_cancelled());
        drop(first);
        all.interrupt(upload);
        assert!(second.taken.is_cancelled(), "the end of an older one leaves the newer one on the list");
        drop(second);
        all.interrupt(upload);
        drop(other);
        assert!(all.lock().is_empty());
    }
}
