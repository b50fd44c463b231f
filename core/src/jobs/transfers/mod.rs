//! Transfers between places of this gateway that run in the background. A job is a row of the ledger with its steps; the step's
//! own transaction (the copy's, the rename's) records it as done, under the generation with which the worker claimed the job.
//! So a worker that was overtaken changes nothing any more, and no step is lost or done twice.

mod control;
mod ending;
mod enqueue;
mod errand;
mod pattern;
mod plan;
mod seen;
mod session;
mod steps;
mod telling;
mod worker;

use std::time::Duration;

pub use control::Control;
pub use enqueue::{Enqueued, TransferRequest, WrongTransfer};
pub use pattern::Source;
pub use seen::{JobDetails, Transfer, TransferFilter, TransferPage};

pub(crate) use enqueue::REMEMBERED;
pub(crate) use errand::{Errand, settle};

/// How transfers in the background are done.
#[derive(Clone, Debug)]
pub struct TransferSettings {
    /// How many this process does at a time; 0: it leaves them to others.
    pub workers: usize,
    /// How long a worker that gives no sign keeps its job.
    pub lease: Duration,
    /// How often a job is begun before it is given up.
    pub max_attempts: u32,
    /// The wait before the second attempt; it doubles with each one.
    pub retry_delay: Duration,
    /// Files of one job at most.
    pub max_files: usize,
    /// How long a job can be looked up after its end.
    pub retention: Duration,
}

impl Default for TransferSettings {
    fn default() -> Self {
        Self {
            workers: 4,
            lease: Duration::from_secs(30),
            max_attempts: 8,
            retry_delay: Duration::from_secs(2),
            max_files: 100_000,
            retention: Duration::from_hours(30 * 24),
        }
    }
}
