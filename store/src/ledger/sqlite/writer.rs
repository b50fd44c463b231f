//! The one writer. It takes whatever operations wait and runs them as one SQLite transaction, each in a savepoint of its
//! own, so that many share one sync of the WAL. Nobody is answered before COMMIT has returned.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_core::Error;
use causeway_core::ports::{Durability, Reach, TxOp};
use futures::FutureExt;
use rusqlite::Connection;

use super::connection::{Purpose, open, say};
use super::desk::Request;
use super::room::Room;
use super::session::Session;
use crate::ledger::driver::{Failed, Outcome};
use crate::ledger::fault::{self, Cause, Failure, judge, settle};
use crate::swift::Swiftness;

/// How many operations share one transaction at the most.
pub(super) const BATCH: usize = 64;

/// After so many operations, the thread of a swift ledger copies the WAL into the database, before SQLite does so in the
/// middle of a COMMIT: some 15 pages each, and SQLite waits for 4,000 (`wal_autocheckpoint`).
const CHECKPOINT_AFTER: usize = 200;

/// What takes longer to begin has waited for another process.
const LOCKED: Duration = Duration::from_millis(1);

/// The writer's connection.
struct Line {
    connection: Connection,
    /// What `synchronous` is set to; none: not set yet.
    level: Option<Durability>,
}

/// The writer.
pub(super) struct Writer {
    path: PathBuf,
    /// None after the disk has failed a COMMIT: what the WAL's pages in memory promise may not be on the disk then.
    line: Option<Line>,
    room: Arc<Room>,
    swiftness: Arc<Swiftness>,
    /// Operations since the WAL was last copied.
    since_checkpoint: usize,
}

async fn work(connection: &mut Connection, reach: &Reach, op: &dyn TxOp) -> Result<(), Failure> {
    let mut session = Session::new(connection, reach.clone());
    let ended = AssertUnwindSafe(op.run(&mut session)).catch_unwind().await;
    settle(ended, session.failure)
}

impl Writer {
    pub(super) fn new(path: &Path, connection: Connection, room: Arc<Room>, swiftness: Arc<Swiftness>) -> Self {
        let line = Some(Line { connection, level: None });
        Self { path: path.to_owned(), line, room, swiftness, since_checkpoint: 0 }
    }

    /// How long the ledger's disk takes.
    pub(super) const fn swiftness(&self) -> &Arc<Swiftness> {
        &self.swiftness
    }

    /// Closes the connection; nothing is served after it.
    pub(super) fn end(&mut self) {
        if let Some(line) = self.line.take()
            && let Err((_, error)) = line.connection.close()
        {
            tracing::warn!(%error, "the ledger was not closed cleanly");
        }
    }

    /// Whether the writer's thread should copy the WAL, so that nobody who serves on the spot has to.
    pub(super) fn checkpoint_is_due(&self) -> bool {
        self.since_checkpoint >= CHECKPOINT_AFTER && self.swiftness.is_swift()
    }

    /// Copies of the WAL what no reader needs any more. Where that fails the WAL stays, and holds what it held.
    pub(super) fn checkpoint(&mut self) {
        self.since_checkpoint = 0;
        if let Some(line) = &self.line
            && let Err(error) = line.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))
        {
            tracing::warn!(%error, "the WAL of the ledger could not be written back");
        }
    }

    /// Runs these operations and answers each.
    pub(super) async fn serve(&mut self, batch: Vec<Request>) {
        self.since_checkpoint += batch.len();
        let durability = batch.iter().map(|request| request.durability).max().unwrap_or(Durability::Disk);
        if let Err(error) = self.prepare(durability) {
            let error = self.told(judge(&error));
            for request in batch {
                let _ = request.reply.send(Err(error.clone()));
            }
            return;
        }
        if batch.len() == 1 {
            for request in batch {
                self.alone(request).await;
            }
        } else {
            self.together(batch).await;
        }
    }

    /// Opens the connection where there is none, and sets how durable the next COMMIT is to be. In WAL mode FULL syncs
    /// the WAL at every COMMIT, and with it what was committed before under NORMAL.
    fn prepare(&mut self, durability: Durability) -> Outcome<()> {
        if self.line.is_none() {
            // After a failed sync the kernel may take pages for clean that never reached the disk. Copying the whole WAL
            // into the database and syncing that makes whole what was acknowledged so far; until it succeeds, nothing is.
            let connection = open(&self.path, Purpose::Writing)?;
            let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
            if busy != 0 {
                return Err(Failed::Kept("readers keep the WAL from being written back"));
            }
            tracing::warn!("the ledger's disk works again: the WAL was written back");
            self.line = Some(Line { connection, level: None });
        }
        // Whoever served last may have been cut off in the middle, at the end of a runtime.
        self.rollback();
        if let Some(line) = &mut self.line
            && line.level != Some(durability)
        {
            // SQLite carries this pragma out when it prepares it, so it must not be a cached statement.
            let pragma = match durability {
                Durability::Process => "PRAGMA synchronous = NORMAL",
                Durability::Disk => "PRAGMA synchronous = FULL",
            };
            line.level = None;
            line.connection.execute_batch(pragma)?;
            line.level = Some(durability);
        }
        Ok(())
    }

    async fn alone(&mut self, request: Request) {
        let _ = request.reply.send(match self.transact(&request.reach, &*request.op).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.told(failure)),
        });
    }

    async fn transact(&mut self, reach: &Reach, op: &dyn TxOp) -> Result<(), Failure> {
        let connection = self.begin()?;
        if let Err(failure) = work(connection, reach, op).await {
            self.rollback();
            return Err(failure);
        }
        self.commit()
    }

    async fn together(&mut self, batch: Vec<Request>) {
        let mut outcomes = Vec::with_capacity(batch.len());
        let whole = match self.savepoints(&batch, &mut outcomes).await {
            Ok(whole) => whole,
            Err(failure) => {
                let error = self.told(failure);
                for request in batch {
                    let _ = request.reply.send(Err(error.clone()));
                }
                return;
            }
        };
        if !whole {
            // Something (a full disk, say) took the transaction away under all of them. They can be run more than once:
            // each gets a transaction of its own, but for the ones that know their error already.
            self.rollback();
            let mut outcomes = outcomes.into_iter();
            for request in batch {
                match outcomes.next() {
                    Some(Err(failure)) => {
                        let _ = request.reply.send(Err(self.told(failure)));
                    }
                    _ => self.alone(request).await,
                }
            }
            return;
        }
        let committed = if outcomes.iter().any(Result::is_ok) {
            self.commit()
        } else {
            self.rollback();
            Ok(())
        };
        for (request, outcome) in batch.into_iter().zip(outcomes) {
            let outcome = outcome.and_then(|()| committed.clone());
            let _ = request.reply.send(outcome.map_err(|failure| self.told(failure)));
        }
    }

    /// Begins, and runs each operation in a savepoint. False: the transaction did not hold.
    async fn savepoints(
        &mut self,
        batch: &[Request],
        outcomes: &mut Vec<Result<(), Failure>>,
    ) -> Result<bool, Failure> {
        let connection = self.begin()?;
        for request in batch {
            if say(connection, "SAVEPOINT operation").is_err() {
                return Ok(false);
            }
            let outcome = work(connection, &request.reach, &*request.op).await;
            let undone = outcome.is_ok() || say(connection, "ROLLBACK TO operation").is_ok();
            let failed = outcome.is_err();
            if !undone {
                outcomes.push(outcome);
                return Ok(false);
            }
            if say(connection, "RELEASE operation").is_err() {
                if failed {
                    outcomes.push(outcome);
                }
                return Ok(false);
            }
            outcomes.push(outcome);
        }
        Ok(true)
    }

    /// Begins. Where another process keeps the file locked this waits, as for a disk.
    fn begin(&mut self) -> Result<&mut Connection, Failure> {
        let begun = Instant::now();
        let said = say(self.connection()?, "BEGIN IMMEDIATE");
        if begun.elapsed() > LOCKED {
            self.swiftness.note(begun.elapsed());
        }
        said.map_err(|error| judge(&error))?;
        self.connection()
    }

    /// Commits. Where that fails for want of room, nothing was written that counts (the frame that commits comes last);
    /// any other failure leaves open whether the transaction will be there after a crash.
    fn commit(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let said = say(self.connection()?, "COMMIT");
        if self.line.as_ref().is_some_and(|line| line.level == Some(Durability::Disk)) {
            self.swiftness.note(begun.elapsed());
        }
        let Err(error) = said else { return Ok(()) };
        let failure = judge(&error);
        if self.rollback() && failure.cause == Cause::Full {
            return Err(failure);
        }
        self.drop_line();
        Err(Failure { cause: Cause::Away, error: fault::unavailable() })
    }

    /// Rolls back what the database has not rolled back by itself. False: it would not.
    fn rollback(&mut self) -> bool {
        let Ok(connection) = self.connection() else { return false };
        if connection.is_autocommit() {
            return true;
        }
        match say(connection, "ROLLBACK") {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "the ledger cannot roll back; its connection is opened anew");
                self.drop_line();
                false
            }
        }
    }

    pub(super) fn drop_line(&mut self) {
        if let Some(line) = self.line.take() {
            let _ = line.connection.close();
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, Failure> {
        match &mut self.line {
            Some(line) => Ok(&mut line.connection),
            None => Err(Failure { cause: Cause::Away, error: fault::unavailable() }),
        }
    }

    /// What the caller is told: SQLite says "I/O error" of some things that only lack room.
    fn told(&self, failure: Failure) -> Error {
        match failure.cause {
            Cause::Disk if self.room.look().is_err() => fault::no_space(),
            _ => failure.error,
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_core::ports::Ledger as _;

    use super::*;
    use crate::ledger::sqlite::SqliteLedger;

    #[tokio::test]
    async fn syncs_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("causeway.db");
        SqliteLedger::open(&path, 0).await.unwrap().close().await;
        let room = Arc::new(Room::new(folder.path(), 0));
        let mut writer =
            Writer::new(&path, open(&path, Purpose::Writing).unwrap(), room, Arc::new(Swiftness::of(folder.path())));
        for _ in 0..2 {
            for (durability, level) in [(Durability::Disk, 2), (Durability::Process, 1), (Durability::Process, 1)] {
                writer.prepare(durability).unwrap();
                let connection = writer.connection().unwrap();
                let set: i64 = connection.query_row("PRAGMA synchronous", (), |row| row.get(0)).unwrap();
                assert_eq!(set, level, "{durability:?}");
            }
            writer.drop_line();
        }
    }
}
