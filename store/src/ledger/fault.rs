//! What a database's failure means to core. The client gets a sentence of ours; the database's own text goes to the log.

use causeway_core::{Error, ErrorKind};

use super::driver::Failed;

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

/// A unique index refused an upload: only that of reservations does.
pub(super) fn reserved(error: Error) -> Error {
    let sentence = "the name is reserved by another upload under way; wait for its end or take another name";
    if error.kind() == ErrorKind::AlreadyExists { Error::new(ErrorKind::AlreadyExists, sentence) } else { error }
}

/// A blob is not live any more.
pub(super) fn gone() -> Error {
    Error::new(ErrorKind::Conflict, "the content was removed meanwhile; look again and repeat the operation")
}

/// Judges a failed statement, and logs it unless it is the caller's business.
pub(super) fn judge(error: &Failed) -> Failure {
    let cause = match error {
        Failed::Postgres(error) => postgres(error),
        Failed::Sqlite(error) => sqlite(error),
        Failed::Kept(_) => Cause::Away,
        Failed::Unfit(_) => Cause::Fault,
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

fn postgres(error: &sqlx::Error) -> Cause {
    let error = match error {
        sqlx::Error::Database(error) => error,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => return Cause::Away,
        _ => return Cause::Fault,
    };
    if error.is_unique_violation() {
        return Cause::Caller;
    }
    // PostgreSQL, appendix A: class and code.
    match &*error.code().unwrap_or_default() {
        "40001" | "40P01" => Cause::Again,
        "53100" => Cause::Full,
        "58030" => Cause::Disk,
        "25006" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Cause::Away,
        other if other.starts_with("08") || other.starts_with("53") => Cause::Away,
        _ => Cause::Fault,
    }
}

fn sqlite(error: &rusqlite::Error) -> Cause {
    // SQLite, result codes: the low byte of an extended code is its primary one.
    match error.sqlite_error().map(|error| error.extended_code) {
        // CONSTRAINT_UNIQUE, CONSTRAINT_PRIMARYKEY
        Some(2067 | 1555) => Cause::Caller,
        Some(code) => match code & 0xff {
            13 => Cause::Full,
            10 => Cause::Disk,
            // BUSY, LOCKED, NOMEM, PROTOCOL, CANTOPEN
            5 | 6 | 7 | 15 | 14 => Cause::Away,
            _ => Cause::Fault,
        },
        None => Cause::Fault,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_what_sqlite_says() {
        for (code, cause) in [
            (13, Cause::Full),
            (10, Cause::Disk),
            (1034, Cause::Disk), // IOERR_FSYNC
            (5, Cause::Away),
            (517, Cause::Away), // BUSY_SNAPSHOT
            (6, Cause::Away),
            (7, Cause::Away),
            (14, Cause::Away),
            (15, Cause::Away),
            (2067, Cause::Caller),
            (1555, Cause::Caller),
            (787, Cause::Fault),  // CONSTRAINT_FOREIGNKEY
            (275, Cause::Fault),  // CONSTRAINT_CHECK
            (1811, Cause::Fault), // CONSTRAINT_TRIGGER
            (8, Cause::Fault),
            (11, Cause::Fault),
            (26, Cause::Fault),
        ] {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            assert_eq!(judge(&error.into()).cause, cause, "{code}");
        }
    }
}
