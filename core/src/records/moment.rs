//! Moments and lengths of time, as the ledger stores them.

use std::time::Duration;

use time::OffsetDateTime;

/// A moment, in microseconds since 1970-01-01 UTC, as the ledger stores it.
pub type Micros = i64;

/// Now.
pub fn now() -> Micros {
    since_epoch(OffsetDateTime::now_utc())
}

/// A moment as the ledger has it.
pub fn since_epoch(at: OffsetDateTime) -> Micros {
    (at.unix_timestamp_nanos() / 1000) as Micros
}

/// A moment of the ledger's as a date and time; none: of a year that has none here.
pub fn instant(at: Micros) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1000).ok()
}

/// A length of time in microseconds. What is longer than can be said is as long as can be.
pub fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// A moment so much later.
pub fn later(from: Micros, by: Duration) -> Micros {
    from.saturating_add(micros(by))
}
