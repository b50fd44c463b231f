//! How much room the ledger's disk has.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use causeway_core::Result;

use crate::ledger::fault;

/// How long an answer of the file system is believed.
const FRESH: Duration = Duration::from_secs(1);

/// The free space of a folder's file system.
pub(super) struct Room {
    folder: PathBuf,
    min_free: u64,
    seen: Mutex<Option<(Instant, Result<()>)>>,
}

impl Room {
    pub(super) fn new(folder: &Path, min_free: u64) -> Self {
        Self { folder: folder.to_owned(), min_free, seen: Mutex::new(None) }
    }

    /// `NoSpace` where less than the minimum is free, as of a second ago at the most.
    pub(super) fn check(&self) -> Result<()> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, answer)) = &*seen
            && when.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = self.look();
        *seen = Some((Instant::now(), answer.clone()));
        answer
    }

    /// `NoSpace` where less than the minimum is free now.
    pub(super) fn look(&self) -> Result<()> {
        match rustix::fs::statvfs(&self.folder) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < self.min_free => Err(fault::no_space()),
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the free space of the ledger's disk cannot be told");
                Err(fault::unavailable())
            }
        }
    }
}
