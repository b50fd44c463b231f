//! What a database's failure means to core. The client gets a sentence of ours; the database's own text goes to the log.

use causeway_core::{Error, ErrorKind};
use sqlx::error::DatabaseError;

/// What the keeper of a transaction has to know about a failure besides the error that the caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The caller's business: the work itself said no, or a unique index did.
    Caller,
    /// The database undid the transaction and asks for another try (serialisation failure, deadlock).
    Again,
    /// The disk is full. The database undid the statement or the transaction.
    Full,
    /// The disk does not do what it is told.
    Disk,
    /// The database cannot be reached, or is too busy.
    Away,
    /// All else: a fault of ours.
    Fault,
}

/// A failure of a statement.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    pub(super) error: Error,
}

/// The error of a ledger that cannot be reached.
pub(super) fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "the ledger cannot be reached at the moment; try again")
}

/// The error of a ledger that is being closed.
pub(super) fn closing() -> Error {
    Error::new(ErrorKind::Unavailable, "the gateway is closing; try again when it is back")
}

/// The error of a ledger whose disk is full.
pub(super) fn no_space() -> Error {
    Error::new(ErrorKind::NoSpace, "the disk of the gateway's database is full; its operator has to make room")
}

/// Judges a failed statement, and logs it unless it is the caller's business.
pub(super) fn judge(error: &sqlx::Error) -> Failure {
    let cause = match error {
        sqlx::Error::Database(database) => cause_of(database.as_ref()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Cause::Away,
        _ => Cause::Fault,
    };
    let answer = match cause {
        Cause::Caller => Error::already_exists(),
        Cause::Again => {
            tracing::debug!(%error, "the database asks for another try");
            Error::new(ErrorKind::Unavailable, "too many operations wanted the same thing at once; try again")
        }
        Cause::Full => {
            tracing::error!(%error, "the ledger's disk is full");
            no_space()
        }
        Cause::Disk | Cause::Away => {
            tracing::warn!(%error, "the ledger cannot be reached");
            unavailable()
        }
        Cause::Fault => Error::internal(format_args!("ledger: {error}")),
    };
    Failure { cause, error: answer }
}

fn cause_of(error: &dyn DatabaseError) -> Cause {
    if error.is_unique_violation() {
        return Cause::Caller;
    }
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        // PostgreSQL, appendix A: class and code.
        return match &*code {
            "40001" | "40P01" => Cause::Again,
            "53100" => Cause::Full,
            "58030" => Cause::Disk,
            "25006" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Cause::Away,
            other if other.starts_with("08") || other.starts_with("53") => Cause::Away,
            _ => Cause::Fault,
        };
    }
    // SQLite, result codes: the low byte of an extended code is its primary one.
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(13) => Cause::Full,
        Ok(10) => Cause::Disk,
        // BUSY, LOCKED, NOMEM, PROTOCOL, CANTOPEN
        Ok(5 | 6 | 7 | 15 | 14) => Cause::Away,
        _ => Cause::Fault,
    }
}

/// How the work of a transaction ended: with its own result, unless it panicked or went on over a failed statement.
pub(super) fn settle(ended: std::thread::Result<Result<(), Error>>, failure: Option<Failure>) -> Result<(), Failure> {
    match (ended, failure) {
        (Ok(Ok(())), None) => Ok(()),
        (Ok(Ok(())), Some(failure)) => Err(failure),
        (Ok(Err(error)), failure) => {
            Err(Failure { cause: failure.map_or(Cause::Caller, |failure| failure.cause), error })
        }
        (Err(_), _) => Err(Failure {
            cause: Cause::Fault,
            error: Error::internal("the work of a transaction of the ledger panicked"),
        }),
    }
}
