//! What can go wrong below the protocols. Core speaks no wire protocol: an [`Error`] has a [`ErrorKind`], and each
//! front end has one exhaustive map from kind to its own replies.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The kinds of failure that a front end can meet. Each protocol maps every one of them, with no catch-all arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A name or path that is not allowed (SEMANTICS, "Names and views").
    InvalidName,
    /// An argument outside its range: an offset, a length, a flag combination, a cursor.
    InvalidArgument,
    /// No such file or folder, or one that the caller may not know of.
    NotFound,
    /// The parent folder does not exist.
    NoSuchFolder,
    /// The name is taken.
    AlreadyExists,
    /// A folder where a file was expected.
    IsFolder,
    /// A file where a folder was expected.
    NotFolder,
    /// The folder still has entries.
    NotEmpty,
    /// The permissions of the view, the scopes or a policy say no.
    PermissionDenied,
    /// The credential is missing, unknown, wrong or expired.
    Unauthenticated,
    /// The tenant's or identity's quota is used up.
    QuotaExceeded,
    /// The file is larger than `limits.max_file_size`.
    FileTooLarge,
    /// The storage or the ledger's disk is full.
    NoSpace,
    /// Somebody else changed or took over what this operation stood on.
    Conflict,
    /// A condition that the caller gave (`If-Match` …) does not hold.
    PreconditionFailed,
    /// The content does not have the digest that the caller declared.
    DigestMismatch,
    /// The content is not of the type that it is declared to be.
    TypeMismatch,
    /// The upload ended before its content was complete.
    Incomplete,
    /// The upload ended because its client was too slow, or sent nothing for too long.
    TimedOut,
    /// What the caller comes back to was given up meanwhile, as nobody came in time.
    Expired,
    /// Too many attempts or requests; see [`Error::retry_after`].
    Throttled,
    /// The operation does not exist here (links, for example).
    Unsupported,
    /// The session or the gateway is closing, or a backend cannot be reached at the moment.
    Unavailable,
    /// A fault of the gateway itself. Its details go to the log, never to the client.
    Internal,
}

impl ErrorKind {
    /// Every kind, for the tables of the front ends and their golden test.
    pub const ALL: [Self; 24] = [
        Self::InvalidName,
        Self::InvalidArgument,
        Self::NotFound,
        Self::NoSuchFolder,
        Self::AlreadyExists,
        Self::IsFolder,
        Self::NotFolder,
        Self::NotEmpty,
        Self::PermissionDenied,
        Self::Unauthenticated,
        Self::QuotaExceeded,
        Self::FileTooLarge,
        Self::NoSpace,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::DigestMismatch,
        Self::TypeMismatch,
        Self::Incomplete,
        Self::TimedOut,
        Self::Expired,
        Self::Throttled,
        Self::Unsupported,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The stable code that stands in events, audit entries and problem documents.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidName => "invalid_name",
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::NoSuchFolder => "no_such_folder",
            Self::AlreadyExists => "already_exists",
            Self::IsFolder => "is_folder",
            Self::NotFolder => "not_folder",
            Self::NotEmpty => "not_empty",
            Self::PermissionDenied => "permission_denied",
            Self::Unauthenticated => "unauthenticated",
            Self::QuotaExceeded => "quota_exceeded",
            Self::FileTooLarge => "file_too_large",
            Self::NoSpace => "no_space",
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition_failed",
            Self::DigestMismatch => "digest_mismatch",
            Self::TypeMismatch => "type_mismatch",
            Self::Incomplete => "incomplete",
            Self::TimedOut => "timed_out",
            Self::Expired => "expired",
            Self::Throttled => "throttled",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// Whether the operation was refused by a rule (and is therefore a `policy.violated` event, outcome `denied`)
    /// rather than failed.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::PermissionDenied
                | Self::QuotaExceeded
                | Self::FileTooLarge
                | Self::TypeMismatch
                | Self::InvalidName
                | Self::Unauthenticated
        )
    }
}

/// A failure: its kind, and a sentence for the client that says what to do. The sentence never carries a secret, a
/// path on the host or the text of a database error; those go to the log where the error is made.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
}

/// The result of an operation of core.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind with a sentence for the client.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// A fault of the gateway: `detail` is logged, the client learns only that it happened.
    pub fn internal(detail: impl fmt::Display) -> Self {
        tracing::error!(%detail, "internal error");
        Self::new(ErrorKind::Internal, "the gateway met an internal error; try again, or tell its operator")
    }

    /// Adds how long the caller should wait before it tries again.
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The kind.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How long the caller should wait before it tries again, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// "There is no such file or folder."
    pub fn not_found() -> Self {
        Self::new(ErrorKind::NotFound, "no such file or folder")
    }

    /// The name is taken.
    pub fn already_exists() -> Self {
        Self::new(ErrorKind::AlreadyExists, "the name is already taken; remove it first or allow overwriting")
    }

    /// The parent folder does not exist.
    pub fn no_such_folder() -> Self {
        Self::new(ErrorKind::NoSuchFolder, "no such folder; make it first")
    }

    /// The file is larger than `limit` bytes (`limits.max_file_size`).
    pub fn too_large(limit: u64) -> Self {
        Self::new(ErrorKind::FileTooLarge, format!("the file is larger than the limit of {limit} bytes"))
    }

    /// The connection broke, or the client went away, before all of a transfer had come or gone: the same words for every
    /// protocol.
    pub fn broken_off() -> Self {
        Self::new(ErrorKind::Incomplete, "the connection broke before the transfer was complete")
    }

    /// The permissions do not allow it.
    pub fn permission_denied(needed: &str) -> Self {
        Self::new(ErrorKind::PermissionDenied, format!("permission denied: this needs `{needed}` here"))
    }

    /// Maps a failed file operation of the host: a full disk is `NoSpace`, all else is a logged fault.
    pub fn from_io(what: &str, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                tracing::error!(%error, what, "no space");
                Self::new(ErrorKind::NoSpace, "no space left in the storage; nothing was published, try again later")
            }
            std::io::ErrorKind::FileTooLarge => {
                Self::new(ErrorKind::FileTooLarge, "the file is larger than the storage can hold")
            }
            _ => Self::internal(format_args!("{what}: {error}")),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Error {}
