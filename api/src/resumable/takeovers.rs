//! Who sends to which upload ("Concurrency"): a new request to an upload resource ends the one before it, whose client has given it
//! up, or lost its line without the gateway knowing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The requests of this process that send to an upload resource.
#[derive(Debug, Default)]
pub struct Takeovers(Mutex<Requests>);

#[derive(Debug, Default)]
struct Requests {
    /// How many there have been. No number is used again: the end of an old request must not be taken for that of a new one.
    count: u64,
    sending: HashMap<Uuid, (u64, CancellationToken)>,
}

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
    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request that sends to an upload, and ends the one that does.
    pub fn begin(&self, upload: Uuid) -> Sending<'_> {
        let taken = CancellationToken::new();
        let mut all = self.lock();
        all.count += 1;
        let number = all.count;
        if let Some((_, before)) = all.sending.insert(upload, (number, taken.clone())) {
            before.cancel();
        }
        drop(all);
        Sending { all: self, upload, number, taken }
    }

    /// Ends the request that sends to an upload, where one does.
    pub fn interrupt(&self, upload: Uuid) {
        if let Some((_, sending)) = self.lock().sending.get(&upload) {
            sending.cancel();
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if all.sending.get(&self.upload).is_some_and(|(number, _)| *number == self.number) {
            all.sending.remove(&self.upload);
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
        assert!(all.lock().sending.is_empty());
    }

    #[test]
    fn the_end_of_an_old_request_is_not_that_of_a_new_one() {
        let (all, upload) = (Takeovers::default(), Uuid::now_v7());
        let first = all.begin(upload);
        drop(all.begin(upload));
        let third = all.begin(upload);
        drop(first);
        all.interrupt(upload);
        assert!(third.taken.is_cancelled(), "it is still on the list");
    }
}
