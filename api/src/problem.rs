//! Problem documents: RFC 9457, and the ONE map from core's kinds of failure to HTTP (RFC 9110 section 15, RFC 6585
//! section 4, RFC 4918 sections 11.3 and 11.5). `Retry-After`: RFC 9110 section 10.2.3. `WWW-Authenticate`: RFC 6750 section 3.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use causeway_core::{Error, ErrorKind};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::signatures::ACCEPT_SIGNATURE;

/// What a client without a usable credential is told.
pub const CHALLENGE: &str = "Bearer realm=\"causeway\"";
const CHALLENGE_INVALID: &str = "Bearer realm=\"causeway\", error=\"invalid_token\"";

/// The status, the title, and whether the same request may succeed later.
const fn row(kind: ErrorKind) -> (StatusCode, &'static str, bool) {
    match kind {
        ErrorKind::InvalidName => (StatusCode::BAD_REQUEST, "Invalid name", false),
        ErrorKind::InvalidArgument => (StatusCode::BAD_REQUEST, "Invalid argument", false),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "Not found", false),
        ErrorKind::NoSuchFolder => (StatusCode::NOT_FOUND, "No such folder", false),
        ErrorKind::AlreadyExists => (StatusCode::CONFLICT, "Already exists", false),
        ErrorKind::IsFolder => (StatusCode::CONFLICT, "Is a folder", false),
        ErrorKind::NotFolder => (StatusCode::CONFLICT, "Is not a folder", false),
        ErrorKind::NotEmpty => (StatusCode::CONFLICT, "Folder not empty", false),
        ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, "Permission denied", false),
        ErrorKind::Unauthenticated => (StatusCode::UNAUTHORIZED, "Unauthenticated", false),
        ErrorKind::QuotaExceeded => (StatusCode::INSUFFICIENT_STORAGE, "Quota exceeded", false),
        ErrorKind::FileTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "File too large", false),
        ErrorKind::NoSpace => (StatusCode::INSUFFICIENT_STORAGE, "No space", true),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "Conflict", true),
        ErrorKind::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "Precondition failed", false),
        ErrorKind::DigestMismatch => (StatusCode::UNPROCESSABLE_ENTITY, "Digest mismatch", false),
        ErrorKind::TypeMismatch => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Type mismatch", false),
        ErrorKind::Incomplete => (StatusCode::BAD_REQUEST, "Incomplete", true),
        ErrorKind::TimedOut => (StatusCode::REQUEST_TIMEOUT, "Too slow", true),
        ErrorKind::Expired => (StatusCode::GONE, "Expired", false),
        ErrorKind::Throttled => (StatusCode::TOO_MANY_REQUESTS, "Too many requests", true),
        ErrorKind::Unsupported => (StatusCode::NOT_IMPLEMENTED, "Not supported", false),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable", true),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Internal error", true),
    }
}

/// The HTTP status of a kind of failure.
pub const fn status_of(kind: ErrorKind) -> u16 {
    row(kind).0.as_u16()
}

/// The title of the problem document of a kind of failure.
pub const fn title_of(kind: ErrorKind) -> &'static str {
    row(kind).1
}

/// What only HTTP can get wrong: failures that never reach core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFault {
    /// No such route.
    NoRoute,
    /// The route is there, the method is not; `Allow` says which are.
    Method,
    /// A JSON body above the limit.
    BodyTooLarge,
    /// The request target is too long.
    TargetTooLong,
    /// An API key stands in the URL.
    KeyInUrl,
    /// A body of another media type, or encoded.
    MediaType,
    /// The header fields are too large together.
    HeadersTooLarge,
    /// An upload is to be completed that has not all of its chunks.
    ChunksMissing,
    /// An `Idempotency-Key` that belongs to another request.
    IdempotencyKey,
    /// A transfer is to be cancelled or retried that is past that.
    TransferState,
    /// A request to `/tus` of another version than 1.0.0.
    TusVersion,
    /// The checksum extension of tus 1.0.0 has a status of its own.
    TusChecksum,
    /// An upload over tus is with another request or session: of any other status of a client's error, tus clients begin anew.
    TusLocked,
    /// An upload goes on elsewhere than the request says (draft-ietf-httpbis-resumable-upload, "Problem Types").
    MismatchingOffset,
    /// Nothing can be appended to an upload that is complete.
    CompletedUpload,
    /// The lengths of an upload, told in several ways, are not one.
    InconsistentLength,
    /// An upload is with a session, or being completed; it may be continued later.
    UploadHeld,
    /// What the configuration declares is to be changed.
    Declared,
    /// What others name is to be taken away from them.
    InUse,
    /// A tenant is to be removed that has files.
    TenantNotEmpty,
    /// A tenant's last way in for its administrators is to be taken away by one of them.
    LastAdmin,
    /// A change that does not say what it is meant for (RFC 6585 section 3).
    PreconditionRequired,
}

impl HttpFault {
    /// The registered type, where there is one.
    const fn kind(self) -> Option<&'static str> {
        match self {
            Self::MismatchingOffset => {
                Some("https://iana.org/assignments/http-problem-types#mismatching-upload-offset")
            }
            Self::CompletedUpload => Some("https://iana.org/assignments/http-problem-types#completed-upload"),
            Self::InconsistentLength => {
                Some("https://iana.org/assignments/http-problem-types#inconsistent-upload-length")
            }
            _ => None,
        }
    }

    /// Every fault, for the API's description.
    pub const ALL: [Self; 22] = [
        Self::NoRoute,
        Self::Method,
        Self::BodyTooLarge,
        Self::TargetTooLong,
        Self::KeyInUrl,
        Self::MediaType,
        Self::HeadersTooLarge,
        Self::ChunksMissing,
        Self::IdempotencyKey,
        Self::TransferState,
        Self::TusVersion,
        Self::TusChecksum,
        Self::TusLocked,
        Self::MismatchingOffset,
        Self::CompletedUpload,
        Self::InconsistentLength,
        Self::UploadHeld,
        Self::Declared,
        Self::InUse,
        Self::TenantNotEmpty,
        Self::LastAdmin,
        Self::PreconditionRequired,
    ];

    /// Its word in problem documents.
    pub fn code(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::NoRoute => {
                (StatusCode::NOT_FOUND, "Not found", "no_such_route", "there is no such route; see the REST reference")
            }
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not allowed",
                "method_not_allowed",
                "this route does not take that method; `Allow` names those it takes",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "Body too large",
                "body_too_large",
                "the request's body is too large; shorten it",
            ),
            Self::TargetTooLong => (
                StatusCode::URI_TOO_LONG,
                "Target too long",
                "target_too_long",
                "the request's target is too long; shorten it",
            ),
            Self::KeyInUrl => (
                StatusCode::BAD_REQUEST,
                "Key in URL",
                "key_in_url",
                "an API key stands in the URL, where logs and histories keep it: it is leaked, have it rotated; send keys in the `Authorization: Bearer` header alone",
            ),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Unsupported media type",
                "unsupported_media_type",
                "the body has a media type or encoding that this route does not take",
            ),
            Self::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "Header fields too large",
                "headers_too_large",
                "the header fields are too large together; send fewer",
            ),
            Self::ChunksMissing => (
                StatusCode::CONFLICT,
                "Chunks missing",
                "chunks_missing",
                "the upload is not complete; send what `missing` lists, and complete it again",
            ),
            Self::IdempotencyKey => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "Idempotency key reused",
                "idempotency_key_reused",
                "this `Idempotency-Key` was sent with another request in the last 24 hours; make a new key for a new request",
            ),
            Self::TransferState => (
                StatusCode::CONFLICT,
                "Wrong transfer state",
                "wrong_transfer_state",
                "the transfer is in a state in which this makes no sense",
            ),
            Self::TusVersion => (
                StatusCode::PRECONDITION_FAILED,
                "Unsupported tus version",
                "unsupported_tus_version",
                "send `Tus-Resumable: 1.0.0`; no other version is known here",
            ),
            Self::TusChecksum => (
                StatusCode::from_u16(460).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY),
                "Checksum mismatch",
                "digest_mismatch",
                "the body does not have the announced checksum; nothing of it was kept, send it again",
            ),
            Self::TusLocked => (
                StatusCode::LOCKED,
                "Locked",
                "conflict",
                "another request or session has this upload at the moment; ask again in a moment",
            ),
            Self::MismatchingOffset => (
                StatusCode::CONFLICT,
                "Mismatching upload offset",
                "mismatching_upload_offset",
                "the upload goes on at `expected-offset`; send what follows there",
            ),
            Self::CompletedUpload => (
                StatusCode::BAD_REQUEST,
                "Upload is completed",
                "completed_upload",
                "the upload is complete; nothing can be appended to it",
            ),
            Self::InconsistentLength => (
                StatusCode::BAD_REQUEST,
                "Inconsistent upload length values",
                "inconsistent_upload_length",
                "the lengths that were told of the upload are not one; send what was announced, or begin anew",
            ),
            Self::UploadHeld => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Upload held",
                "unavailable",
                "a session has this upload at the moment, or it is being completed; ask again in a moment",
            ),
            Self::Declared => (
                StatusCode::CONFLICT,
                "Declared in the configuration",
                "managed_by_config",
                "this is declared in the configuration file; change it there",
            ),
            Self::InUse => (
                StatusCode::CONFLICT,
                "In use",
                "in_use",
                "others still use this; `used_by` lists them, change or remove those first",
            ),
            Self::TenantNotEmpty => (
                StatusCode::CONFLICT,
                "Tenant not empty",
                "tenant_not_empty",
                "the tenant still has files; remove them first",
            ),
            Self::LastAdmin => (
                StatusCode::CONFLICT,
                "Last administrator",
                "last_admin",
                "this is the last way in for an administrator of this tenant; make another one first",
            ),
            Self::PreconditionRequired => (
                StatusCode::PRECONDITION_REQUIRED,
                "Precondition required",
                "precondition_required",
                "send `If-Match` with the `etag` of the object that this change is meant for",
            ),
        }
    }
}

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The query parameter, form field, header or JSON member.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub detail: String,
}

/// A failure as HTTP answers it. As a response it is a status and an extension: the document is written where the
/// request's id is known ([`crate::respond`]).
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    code: &'static str,
    detail: Cow<'static, str>,
    retryable: bool,
    retry_after: Option<Duration>,
    challenge: Option<&'static str>,
    /// Whether the client is told what it has to sign.
    asks_signature: bool,
    lists: Box<Lists>,
}

/// What a problem document lists, where it lists anything. Apart, so that a result with a problem in it stays small.
#[derive(Clone, Debug, Default)]
struct Lists {
    errors: Vec<FieldError>,
    /// The type, where it is a registered one.
    kind: Option<&'static str>,
    /// Further members.
    numbers: BTreeMap<&'static str, u64>,
    /// The first and the last of each run of chunks that are missing.
    missing: Vec<(u64, u64)>,
    /// What uses an object that is to go.
    used_by: Vec<UsedBy>,
}

/// Something that uses an object.
#[derive(Clone, Debug, Serialize)]
struct UsedBy {
    kind: String,
    id: String,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing: &'a [(u64, u64)],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    used_by: &'a [UsedBy],
    #[serde(flatten)]
    numbers: &'a BTreeMap<&'static str, u64>,
}

impl Problem {
    /// A failure of HTTP's own.
    pub fn http(fault: HttpFault) -> Self {
        let (status, title, code, detail) = fault.row();
        Self {
            status,
            title,
            code,
            detail: Cow::Borrowed(detail),
            retryable: matches!(fault, HttpFault::TusLocked | HttpFault::UploadHeld | HttpFault::MismatchingOffset),
            retry_after: (fault == HttpFault::UploadHeld).then_some(Duration::from_secs(1)),
            challenge: None,
            asks_signature: false,
            lists: Box::new(Lists { kind: fault.kind(), ..Lists::default() }),
        }
    }

    /// No credential was sent, or one of a kind that is not taken here.
    pub fn no_credential() -> Self {
        let error = Error::new(ErrorKind::Unauthenticated, "send `Authorization: Bearer` with an API key");
        Self { challenge: Some(CHALLENGE), ..Self::from(error) }
    }

    /// The credential is right, and a signature is missing or wrong. Where it is that, `Accept-Signature` says what to sign (RFC
    /// 9421 section 5.1).
    pub fn signature(error: Error) -> Self {
        let asks_signature = error.kind() == ErrorKind::Unauthenticated;
        let challenge = asks_signature.then_some(CHALLENGE);
        Self { challenge, asks_signature, ..Self::from(error) }
    }

    /// One field of the request is wrong: 400.
    pub fn field(field: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::from(Error::new(ErrorKind::InvalidArgument, detail)).at(field)
    }

    /// Another sentence.
    pub fn saying(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// The same, naming the field that it is about.
    pub fn at(mut self, field: &str) -> Self {
        self.lists.errors.push(FieldError { field: field.to_owned(), detail: self.detail.to_string() });
        self
    }

    /// The same, with the chunks that are missing: the first and the last of each run.
    pub fn missing(mut self, missing: Vec<(u64, u64)>) -> Self {
        self.lists.missing = missing;
        self
    }

    /// The same, with what uses the object that is to go: kinds and ids.
    pub fn used_by(mut self, users: Vec<(String, String)>) -> Self {
        self.lists.used_by = users.into_iter().map(|(kind, id)| UsedBy { kind, id }).collect();
        self
    }

    /// The same, with a further member of the document.
    pub fn with_number(mut self, name: &'static str, value: u64) -> Self {
        self.lists.numbers.insert(name, value);
        self
    }

    /// Whether the same request may succeed later.
    pub const fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Whether it has this code.
    pub fn has_code(&self, code: &str) -> bool {
        self.code == code
    }

    /// Whether it is a failure of this kind.
    pub fn is(&self, kind: ErrorKind) -> bool {
        self.code == kind.code()
    }

    /// The status.
    #[cfg(test)]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The document's bytes.
    pub fn document(&self, request_id: &str) -> Vec<u8> {
        let document = Document {
            r#type: self.lists.kind.map_or_else(|| format!("urn:causeway:problem:{}", self.code), str::to_owned),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            retryable: self.retryable,
            errors: &self.lists.errors,
            missing: &self.lists.missing,
            used_by: &self.lists.used_by,
            numbers: &self.lists.numbers,
        };
        // Text and numbers always serialise.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// Seconds for `Retry-After`: what core said, rounded up; 429 and 503 always have one.
    fn retry_seconds(&self) -> Option<u64> {
        let asked = self.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => Some(asked.unwrap_or(30)),
            StatusCode::SERVICE_UNAVAILABLE => Some(asked.unwrap_or(5)),
            _ => asked,
        }
        .map(|seconds| seconds.max(1))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, title, retryable) = row(error.kind());
        Self {
            status,
            title,
            code: error.kind().code(),
            detail: Cow::Owned(error.message().to_owned()),
            retryable,
            retry_after: error.retry_after(),
            challenge: (error.kind() == ErrorKind::Unauthenticated).then_some(CHALLENGE_INVALID),
            asks_signature: false,
            lists: Box::default(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.asks_signature {
            response.headers_mut().insert("accept-signature", HeaderValue::from_static(ACCEPT_SIGNATURE));
        }
        if let Some(seconds) = self.retry_seconds() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_failure_status_and_its_own_code() {
        let mut codes = std::collections::BTreeSet::new();
        for kind in ErrorKind::ALL {
            let problem = Problem::from(Error::new(kind, "a sentence"));
            assert!(problem.status.is_client_error() || problem.status.is_server_error(), "{kind:?}");
            assert_eq!(problem.status.as_u16(), status_of(kind));
            assert!(codes.insert(problem.code));
            let json: serde_json::Value = serde_json::from_slice(&problem.document("r-1")).unwrap();
            assert_eq!(json["code"], kind.code());
            assert_eq!(json["status"], status_of(kind));
            assert_eq!(json["detail"], "a sentence");
            assert_eq!(json["request_id"], "r-1");
            assert_eq!(json["type"], format!("urn:causeway:problem:{}", kind.code()));
            assert!(json.get("errors").is_none());
        }
    }

    #[test]
    fn the_statuses_of_the_contract() {
        for (kind, status) in [
            (ErrorKind::InvalidName, 400),
            (ErrorKind::Unauthenticated, 401),
            (ErrorKind::PermissionDenied, 403),
            (ErrorKind::NotFound, 404),
            (ErrorKind::NoSuchFolder, 404),
            (ErrorKind::AlreadyExists, 409),
            (ErrorKind::FileTooLarge, 413),
            (ErrorKind::TimedOut, 408),
            (ErrorKind::Expired, 410),
            (ErrorKind::PreconditionFailed, 412),
            (ErrorKind::DigestMismatch, 422),
            (ErrorKind::Throttled, 429),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::QuotaExceeded, 507),
        ] {
            assert_eq!(status_of(kind), status, "{kind:?}");
        }
    }

    #[test]
    fn waiting_times_are_told_in_whole_seconds() {
        let header = |error: Error| {
            let response = Problem::from(error).into_response();
            response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(header(Error::not_found()), None);
        assert_eq!(header(Error::new(ErrorKind::Unavailable, "x")).as_deref(), Some("5"));
        let soon = Error::new(ErrorKind::Throttled, "x").with_retry_after(Duration::from_millis(1200));
        assert_eq!(header(soon).as_deref(), Some("2"));
        let now = Error::new(ErrorKind::Throttled, "x").with_retry_after(Duration::ZERO);
        assert_eq!(header(now).as_deref(), Some("1"));
    }

    #[test]
    fn a_credential_is_asked_for_as_rfc_6750_says() {
        let header = |problem: Problem| {
            problem.into_response().headers().get(header::WWW_AUTHENTICATE).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(header(Problem::no_credential()), CHALLENGE);
        assert!(header(Problem::from(Error::new(ErrorKind::Unauthenticated, "x"))).contains("invalid_token"));
    }

    #[test]
    fn wrong_fields_are_named() {
        let problem = Problem::field("limit", "from 1 to 1000");
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
        let json: serde_json::Value = serde_json::from_slice(&problem.document("r")).unwrap();
        assert_eq!(json["errors"][0]["field"], "limit");
    }
}
