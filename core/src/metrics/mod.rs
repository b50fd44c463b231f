//! What the gateway counts of itself, for an operator to watch. Counting is core's, so that every protocol is counted by the same
//! code, where each operation ends; how it is written for a scraper is the operator's listener's.
//!
//! Everything here belongs to one gateway: nothing is global to the process. Labels have few values, which do not grow with tenants,
//! users or paths (a webhook's circuit alone names its webhook). What moves with every piece of content is an atomic number; what
//! ends with an operation is looked up under a lock that is held to read.

mod blobs;
mod family;
mod instrument;
mod ledger;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub(crate) use blobs::TimedBlobs;
pub use family::{Buckets, Family, Kind, Sample, Source, Unit, Value};
pub use instrument::{Counter, Histogram, Series, Timer};
pub(crate) use ledger::TimedLedger;

use crate::error::{Error, ErrorKind};
use crate::events::{Operation, Status};
use crate::identity::Protocol;
use crate::ports::{Answer, Durability};
use crate::records::{DeliveryState, Micros, TransferState, now};

/// Of statements and of content on disk, in seconds: from what memory answers to what nobody should wait for.
const FAST: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Of requests and of attempts at an endpoint, in seconds: a request that uploads takes as long as its content.
pub const REQUESTS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];
/// Of transfers, in seconds.
const TRANSFERS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0];
/// From an event to its delivery, in seconds: an endpoint may be away for a day.
const DELIVERY: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0, 86400.0];

/// The protocols that somebody comes by.
const CALLERS: [Protocol; 4] = [Protocol::Sftp, Protocol::Scp, Protocol::Ftps, Protocol::Api];

/// Which way content goes, as seen from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// In.
    Upload,
    /// Out.
    Download,
    /// Neither: copied on this side.
    Copy,
}

impl Direction {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Copy => "copy",
        }
    }

    const fn operation(self) -> Operation {
        match self {
            Self::Upload => Operation::Upload,
            Self::Download => Operation::Download,
            Self::Copy => Operation::Copy,
        }
    }
}

/// Bytes of content that clients of one protocol sent and received.
#[derive(Debug)]
struct Moved {
    protocol: Protocol,
    up: Counter,
    down: Counter,
}

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    logins: Series<2, Counter>,
    sessions: Series<1, Counter>,
    transfers: Series<3, Counter>,
    transfer_times: Series<2, Histogram>,
    moved: [Moved; 4],
    operations: Series<3, Counter>,
    errors: Series<2, Counter>,
    attempts: Series<1, Counter>,
    deliveries: Series<1, Counter>,
    attempt_times: Histogram,
    delivery_times: Histogram,
    jobs: Series<1, Counter>,
    verifications: Series<1, Counter>,
    heads_signed: AtomicI64,
    ledger: Series<1, Histogram>,
    ledger_failures: Series<1, Counter>,
    blobs: Series<2, Histogram>,
    blob_failures: Series<1, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            logins: Series::new(["protocol", "outcome"], Counter::default),
            sessions: Series::new(["protocol"], Counter::default),
            transfers: Series::new(["protocol", "direction", "outcome"], Counter::default),
            transfer_times: Series::new(["protocol", "direction"], || Histogram::new(TRANSFERS)),
            moved: CALLERS.map(|protocol| Moved { protocol, up: Counter::default(), down: Counter::default() }),
            operations: Series::new(["protocol", "operation", "outcome"], Counter::default),
            errors: Series::new(["protocol", "code"], Counter::default),
            attempts: Series::new(["outcome"], Counter::default),
            deliveries: Series::new(["outcome"], Counter::default),
            attempt_times: Histogram::new(REQUESTS),
            delivery_times: Histogram::new(DELIVERY),
            jobs: Series::new(["state"], Counter::default),
            verifications: Series::new(["outcome"], Counter::default),
            heads_signed: AtomicI64::new(0),
            ledger: Series::new(["kind"], || Histogram::new(FAST)),
            ledger_failures: Series::new(["code"], Counter::default),
            blobs: Series::new(["storage", "operation"], || Histogram::new(FAST)),
            blob_failures: Series::new(["storage"], Counter::default),
        };
        metrics.begin_at_zero();
        metrics
    }
}

impl Metrics {
    /// What an alert looks at is there from the start: a rate sees no step from nothing to one.
    fn begin_at_zero(&self) {
        for protocol in CALLERS.map(Protocol::as_str) {
            if protocol != Protocol::Scp.as_str() {
                // Who comes by scp has logged in by SSH.
                self.sessions.at_words([protocol]);
                for outcome in ["accepted", "refused", "throttled", "failed"] {
                    self.logins.at_words([protocol, outcome]);
                }
            }
            for direction in [Direction::Upload, Direction::Download].map(Direction::as_str) {
                self.transfer_times.at_words([protocol, direction]);
                for status in [Status::Completed, Status::Failed, Status::Denied, Status::Cancelled] {
                    self.transfers.at_words([protocol, direction, status.as_str()]);
                }
            }
            self.errors.at_words([protocol, ErrorKind::Internal.code()]);
        }
        for outcome in ["accepted", "refused", "unreachable"] {
            self.attempts.at_words([outcome]);
        }
        for outcome in ["delivered", "dead"] {
            self.deliveries.at_words([outcome]);
        }
        for outcome in ["valid", "broken", "failed"] {
            self.verifications.at_words([outcome]);
        }
        for state in [TransferState::Completed, TransferState::Failed, TransferState::Cancelled] {
            self.jobs.at_words([state.as_str()]);
        }
        for kind in ["read", "write", "commit"] {
            self.ledger.at_words([kind]);
        }
        for kind in [ErrorKind::Unavailable, ErrorKind::NoSpace, ErrorKind::Internal] {
            self.ledger_failures.at_words([kind.code()]);
        }
    }

    // ---- callers

    /// A step of a login let somebody in, or nobody.
    pub(crate) fn login(&self, protocol: Protocol, outcome: Result<(), &Error>) {
        let word = match outcome.map_err(Error::kind) {
            Ok(()) => "accepted",
            Err(ErrorKind::Throttled) => "throttled",
            Err(ErrorKind::Unauthenticated | ErrorKind::PermissionDenied) => "refused",
            Err(_) => "failed",
        };
        self.logins.at_words([protocol.as_str(), word]).one();
        if let Err(error) = outcome {
            self.error(protocol, error);
        }
    }

    /// A session began.
    pub(crate) fn session(&self, protocol: Protocol) {
        self.sessions.at_words([protocol.as_str()]).one();
    }

    // ---- operations

    /// An operation ended; with this error, if it did not end well.
    pub(crate) fn operation(&self, protocol: Protocol, operation: Operation, status: Status, error: Option<&Error>) {
        self.operations.at_words([protocol.as_str(), operation.as_str(), status.as_str()]).one();
        if let Some(error) = error {
            self.error(protocol, error);
        }
    }

    fn error(&self, protocol: Protocol, error: &Error) {
        self.errors.at_words([protocol.as_str(), error.kind().code()]).one();
    }

    /// A transfer that was begun ended.
    pub(crate) fn transfer(
        &self,
        protocol: Protocol,
        direction: Direction,
        took: Duration,
        status: Status,
        error: Option<&Error>,
    ) {
        self.transfers.at_words([protocol.as_str(), direction.as_str(), status.as_str()]).one();
        self.transfer_times.at_words([protocol.as_str(), direction.as_str()]).observe(took);
        self.operation(protocol, direction.operation(), status, error);
    }

    fn moved(&self, protocol: Protocol) -> Option<&Moved> {
        self.moved.iter().find(|moved| moved.protocol == protocol)
    }

    /// Bytes of content came from a client.
    pub(crate) fn came(&self, protocol: Protocol, bytes: usize) {
        if let Some(moved) = self.moved(protocol) {
            moved.up.add(bytes as u64);
        }
    }

    /// Bytes of content went to a client.
    pub(crate) fn went(&self, protocol: Protocol, bytes: usize) {
        if let Some(moved) = self.moved(protocol) {
            moved.down.add(bytes as u64);
        }
    }

    // ---- what the gateway does by itself

    /// An attempt at a webhook's endpoint was answered so, after this time.
    pub(crate) fn attempt(&self, answer: &Answer, took: Duration) {
        let word = match answer {
            Answer::Status(200..=299, _) => "accepted",
            Answer::Status(..) => "refused",
            Answer::Failed(_) => "unreachable",
        };
        self.attempts.at_words([word]).one();
        self.attempt_times.observe(took);
    }

    /// A delivery of an event of this moment is as it is now, on record.
    pub(crate) fn delivery(&self, state: DeliveryState, of: Micros) {
        match state {
            DeliveryState::Pending => {}
            DeliveryState::Dead => self.deliveries.at_words(["dead"]).one(),
            DeliveryState::Delivered => {
                self.deliveries.at_words(["delivered"]).one();
                let waited = u64::try_from(now().saturating_sub(of)).unwrap_or(0);
                self.delivery_times.observe(Duration::from_micros(waited));
            }
        }
    }

    /// A transfer in the background ended on this node.
    pub(crate) fn job(&self, state: TransferState) {
        if state.is_ended() {
            self.jobs.at_words([state.as_str()]).one();
        }
    }

    /// A chain was looked through: it holds, or it does not, or that could not be found out (none).
    pub(crate) fn verification(&self, valid: Option<bool>) {
        let word = match valid {
            Some(true) => "valid",
            Some(false) => "broken",
            None => "failed",
        };
        self.verifications.at_words([word]).one();
    }

    /// The heads of the chains are signed, and filed, up to now.
    pub(crate) fn heads_are_signed(&self) {
        self.heads_signed.store(now(), Ordering::Relaxed);
    }

    // ---- what it stands on

    /// Times a transaction that changes the ledger.
    fn writes(&self, durability: Durability) -> Arc<Histogram> {
        self.ledger.at_words([match durability {
            Durability::Process => "write",
            Durability::Disk => "commit",
        }])
    }

    /// Times a look at the ledger.
    fn reads(&self) -> Arc<Histogram> {
        self.ledger.at_words(["read"])
    }

    /// A transaction failed. What its work refused is no failure of the ledger.
    fn ledger_failed(&self, error: &Error) {
        if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::NoSpace | ErrorKind::Internal) {
            self.ledger_failures.at_words([error.kind().code()]).one();
        }
    }

    // ---- reading it

    /// Everything that was counted.
    pub(crate) fn families(&self) -> Vec<Family> {
        let signed = self.heads_signed.load(Ordering::Relaxed);
        let mut families = self.of_callers();
        families.extend([
            Family::counter(
                "causeway_webhook_attempts",
                "Attempts at webhook endpoints: accepted is 2xx.",
                &self.attempts,
            ),
            Family::counter("causeway_webhook_deliveries", "Deliveries that ended by an attempt.", &self.deliveries),
            Family::new("causeway_webhook_attempt_duration", "How long attempts took.", Kind::Histogram)
                .of(Unit::Seconds)
                .with([], Value::Buckets(self.attempt_times.read())),
            Family::new(
                "causeway_webhook_delivery_latency",
                "From the event to its accepted delivery.",
                Kind::Histogram,
            )
            .of(Unit::Seconds)
            .with([], Value::Buckets(self.delivery_times.read())),
            Family::counter("causeway_jobs_ended", "Background transfers that ended on this node.", &self.jobs),
            Family::counter(
                "causeway_audit_verifications",
                "Audit chains that were looked through.",
                &self.verifications,
            ),
            Family::histogram(
                "causeway_ledger_transaction_duration",
                "Transactions: commit waits for the disk.",
                &self.ledger,
            ),
            Family::counter(
                "causeway_ledger_failures",
                "Transactions that the database failed.",
                &self.ledger_failures,
            ),
            Family::histogram("causeway_blob_operation_duration", "Operations on stored content.", &self.blobs),
            Family::counter("causeway_blob_failures", "Operations on stored content that failed.", &self.blob_failures),
        ]);
        if signed > 0 {
            let name = "causeway_audit_heads_signed_timestamp";
            let family = Family::new(name, "When the heads of the chains were last signed.", Kind::Gauge);
            families.push(family.of(Unit::Seconds).with([], Value::Number(seconds(signed))));
        }
        families
    }

    fn of_callers(&self) -> Vec<Family> {
        let bytes = self.moved.iter().fold(
            Family::new("causeway_transfer", "Content that clients sent and received.", Kind::Counter).of(Unit::Bytes),
            |family, moved| {
                let label = |direction: Direction| -> [(&'static str, Cow<'static, str>); 2] {
                    [("protocol", moved.protocol.as_str().into()), ("direction", direction.as_str().into())]
                };
                family
                    .with(label(Direction::Upload), Value::Whole(moved.up.get()))
                    .with(label(Direction::Download), Value::Whole(moved.down.get()))
            },
        );
        vec![
            Family::counter("causeway_logins", "Logins; over the API each request is one.", &self.logins),
            Family::counter("causeway_sessions_opened", "Sessions that began.", &self.sessions),
            Family::counter("causeway_transfers", "Transfers that were begun and have ended.", &self.transfers),
            Family::histogram(
                "causeway_transfer_duration",
                "From a transfer's begin to its end.",
                &self.transfer_times,
            ),
            bytes,
            Family::counter("causeway_operations", "Operations that have ended.", &self.operations),
            Family::counter("causeway_errors", "What operations and logins failed by.", &self.errors),
        ]
    }
}

/// A moment as scrapers want it.
pub(crate) fn seconds(at: Micros) -> f64 {
    at as f64 / 1e6
}

/// How long ago that was; 0 where there is nothing, or clocks disagree.
pub(crate) fn age(at: Option<Micros>) -> f64 {
    at.map_or(0.0, |at| seconds(now().saturating_sub(at).max(0)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::records::later;

    fn value(metrics: &Metrics, family: &str, words: &[&str]) -> Option<Value> {
        let families = metrics.families();
        let found = families.iter().find(|one| one.name == family).unwrap();
        let is = |sample: &&Sample| sample.labels.iter().map(|(_, word)| word.as_ref()).eq(words.iter().copied());
        found.samples.iter().find(is).map(|sample| sample.value.clone())
    }

    #[test]
    fn what_alerts_look_at_begins_at_zero() {
        let metrics = Metrics::default();
        let zero = Some(Value::Whole(0));
        assert_eq!(value(&metrics, "causeway_logins", &["ftps", "refused"]), zero);
        assert_eq!(value(&metrics, "causeway_logins", &["scp", "refused"]), None);
        assert_eq!(value(&metrics, "causeway_transfers", &["scp", "upload", "completed"]), zero);
        assert_eq!(value(&metrics, "causeway_webhook_deliveries", &["dead"]), zero);
    }

    #[test]
    fn a_failure_is_counted_by_its_kind() {
        let metrics = Metrics::default();
        let denied = Error::permission_denied("upload");
        metrics.operation(Protocol::Api, Operation::Mkdir, Status::of_failure(&denied), Some(&denied));
        metrics.transfer(Protocol::Sftp, Direction::Upload, Duration::from_secs(2), Status::Completed, None);
        metrics.came(Protocol::Sftp, 5);
        metrics.came(Protocol::Transfer, 7);
        let one = Some(Value::Whole(1));
        assert_eq!(value(&metrics, "causeway_operations", &["api", "mkdir", "denied"]), one);
        assert_eq!(value(&metrics, "causeway_errors", &["api", "permission_denied"]), one);
        assert_eq!(value(&metrics, "causeway_operations", &["sftp", "upload", "completed"]), one);
        assert_eq!(value(&metrics, "causeway_transfer", &["sftp", "upload"]), Some(Value::Whole(5)));
        assert_eq!(value(&metrics, "causeway_transfer", &["api", "upload"]), Some(Value::Whole(0)));
    }

    #[test]
    fn what_a_login_came_to_is_one_word() {
        let metrics = Metrics::default();
        metrics.login(Protocol::Ftps, Ok(()));
        for kind in [ErrorKind::Unauthenticated, ErrorKind::Throttled, ErrorKind::Unavailable] {
            metrics.login(Protocol::Ftps, Err(&Error::new(kind, "no")));
        }
        for word in ["accepted", "refused", "throttled", "failed"] {
            assert_eq!(value(&metrics, "causeway_logins", &["ftps", word]), Some(Value::Whole(1)), "{word}");
        }
    }

    #[test]
    fn a_delivery_is_measured_from_its_event() {
        let metrics = Metrics::default();
        metrics.delivery(DeliveryState::Pending, 0);
        metrics.delivery(DeliveryState::Delivered, now());
        // Another node's clock may be ahead.
        metrics.delivery(DeliveryState::Delivered, later(now(), Duration::from_mins(1)));
        assert_eq!(metrics.delivery_times.read().count(), 2);
        assert_eq!(value(&metrics, "causeway_webhook_deliveries", &["delivered"]), Some(Value::Whole(2)));
        assert_eq!((age(None), age(Some(now() + 60_000_000))), (0.0, 0.0));
    }
}
