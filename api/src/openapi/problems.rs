//! How operations fail: problem documents (RFC 9457), told by status with their codes, and an example of each.

use std::collections::BTreeMap;

use causeway_core::{Error, ErrorKind};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::headers::{ACCEPT_SIGNATURE, ALLOW, Header, RETRY_AFTER, WWW_AUTHENTICATE};
use super::operation::Operation;
use super::schemas::{ID, Shape};
use crate::problem::{HttpFault, Problem};

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A kind of core's errors.
    Core(ErrorKind),
    /// A fault of HTTP's own.
    Http(HttpFault),
}

impl From<ErrorKind> for Case {
    fn from(kind: ErrorKind) -> Self {
        Self::Core(kind)
    }
}

impl From<HttpFault> for Case {
    fn from(fault: HttpFault) -> Self {
        Self::Http(fault)
    }
}

/// What every request may meet.
const ALWAYS: [Case; 6] = [
    Case::Core(ErrorKind::Throttled),
    Case::Core(ErrorKind::Internal),
    Case::Core(ErrorKind::Unavailable),
    Case::Http(HttpFault::TargetTooLong),
    Case::Http(HttpFault::HeadersTooLarge),
    Case::Http(HttpFault::KeyInUrl),
];

/// What every request may meet whose caller must be known.
const KNOWN: [Case; 2] = [Case::Core(ErrorKind::Unauthenticated), Case::Core(ErrorKind::PermissionDenied)];

impl Case {
    fn problem(self) -> Problem {
        match self {
            Self::Core(kind) => match kind {
                ErrorKind::Unauthenticated => Problem::no_credential(),
                ErrorKind::InvalidArgument => Problem::field("limit", sentence(kind)),
                ErrorKind::InvalidName => Problem::from(Error::new(kind, sentence(kind))).at("path"),
                _ => Error::new(kind, sentence(kind)).into(),
            },
            Self::Http(HttpFault::ChunksMissing) => Problem::http(HttpFault::ChunksMissing)
                .saying("these chunks are missing: 4, 7-9")
                .at("chunks")
                .missing(vec![(4, 4), (7, 9)]),
            Self::Http(HttpFault::MismatchingOffset) => Problem::http(HttpFault::MismatchingOffset)
                .with_number("expected-offset", 8_388_608)
                .with_number("provided-offset", 0),
            Self::Http(fault) => Problem::http(fault),
        }
    }
}

impl Case {
    /// Its status, its code and the document of its example.
    fn document(self) -> (u16, String, Value) {
        let document: Value = serde_json::from_slice(&self.problem().document(ID)).unwrap_or_default();
        let status = document.get("status").and_then(Value::as_u64).unwrap_or_default() as u16;
        (status, document.get("code").and_then(Value::as_str).unwrap_or_default().to_owned(), document)
    }
}

/// A sentence that such a failure may come with.
const fn sentence(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidName => "`.` and `..` are not names here; give the full path",
        ErrorKind::InvalidArgument => "this is a number from 1 to 1000",
        ErrorKind::NotFound => "there is no such file or folder",
        ErrorKind::NoSuchFolder => "there is no such folder; make it first",
        ErrorKind::AlreadyExists => "the name is taken; choose another, or ask to overwrite it",
        ErrorKind::IsFolder => "this is a folder; list it with `GET /files`",
        ErrorKind::NotFolder => "this is a file; name a folder",
        ErrorKind::NotEmpty => "the folder is not empty; remove what is in it first",
        ErrorKind::PermissionDenied => "`files:write` is needed here",
        ErrorKind::Unauthenticated => "send `Authorization: Bearer` with an API key",
        ErrorKind::QuotaExceeded => "the quota is used up; remove files, or ask for more",
        ErrorKind::FileTooLarge => "the file is larger than the limit of 107374182400 bytes",
        ErrorKind::NoSpace => "there is no room at the moment; try again later",
        ErrorKind::Conflict => "somebody else changed this meanwhile; look at it and try again",
        ErrorKind::PreconditionFailed => {
            "the file is not as the request's conditions say; read it again and decide anew"
        }
        ErrorKind::DigestMismatch => "the content does not have the declared digest; send it again",
        ErrorKind::TypeMismatch => "the content is not of the type that its name says",
        ErrorKind::Incomplete => "the connection broke before the transfer was complete",
        ErrorKind::TimedOut => "the body stood still for too long; send it again",
        ErrorKind::Expired => "the upload was given up, as nobody went on with it in time; begin it anew",
        ErrorKind::Throttled => "too many requests of this identity in a minute; wait as `Retry-After` says",
        ErrorKind::Unsupported => "this does not exist here",
        ErrorKind::Unavailable => "the gateway is not available at the moment; try again",
        ErrorKind::Internal => "a fault of the gateway; its log has it under the request's id",
    }
}

/// An example of every problem, by status and code.
pub fn examples() -> Map<String, Value> {
    let all = ErrorKind::ALL.into_iter().map(Case::Core).chain(HttpFault::ALL.into_iter().map(Case::Http));
    all.map(|case| {
        let (status, code, document) = case.document();
        (format!("{status}_{code}"), json!({ "summary": document.get("title"), "value": document }))
    })
    .collect()
}

/// The answers of an operation that are problems, by status, with their headers. Each has a name: many operations have the same.
pub fn answers(operation: &Operation, head: bool) -> BTreeMap<u16, (String, Value)> {
    let known = if operation.open { &[][..] } else { &KNOWN[..] };
    let mut by_status: BTreeMap<u16, Vec<(String, Value)>> = BTreeMap::new();
    for case in ALWAYS.iter().chain(known).chain(&operation.cases) {
        let (status, code, document) = case.document();
        let cases = by_status.entry(status).or_default();
        if !cases.iter().any(|(there, _)| *there == code) {
            cases.push((code, document));
        }
    }
    let named = |status: u16, cases: &[(String, Value)]| {
        let codes: Vec<&str> = cases.iter().map(|(code, _)| code.as_str()).collect();
        format!("{status}.{}{}", codes.join("."), if head { ".head" } else { "" })
    };
    by_status
        .into_iter()
        .map(|(status, mut cases)| {
            cases.sort_by(|(one, _), (other, _)| one.cmp(other));
            (status, (named(status, &cases), answer(status, &cases, head)))
        })
        .collect()
}

fn answer(status: u16, cases: &[(String, Value)], head: bool) -> Value {
    let codes: Vec<&str> = cases.iter().map(|(code, _)| code.as_str()).collect();
    let title = cases.first().and_then(|(_, document)| document.get("title")?.as_str()).unwrap_or_default();
    let listed = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
    let mut answer = json!({ "description": format!("{title}: {listed}.") });
    if !head {
        let examples: Map<String, Value> = cases
            .iter()
            .map(|(code, _)| (code.clone(), json!({ "$ref": format!("#/components/examples/{status}_{code}") })))
            .collect();
        put(
            &mut answer,
            "content",
            json!({
                "application/problem+json": {
                    "schema": {
                        "allOf": [
                            { "$ref": "#/components/schemas/Problem" },
                            { "properties": { "status": { "const": status }, "code": { "enum": codes } } },
                        ],
                    },
                    "examples": examples,
                },
            }),
        );
    }
    let own: &[&Header] = match StatusCode::from_u16(status) {
        Ok(StatusCode::UNAUTHORIZED) => &[&WWW_AUTHENTICATE],
        Ok(StatusCode::METHOD_NOT_ALLOWED) => &[&ALLOW],
        Ok(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => &[&RETRY_AFTER],
        _ => &[],
    };
    let mut own: Vec<(&Header, bool)> = own.iter().map(|header| (*header, true)).collect();
    if status == StatusCode::UNAUTHORIZED.as_u16() {
        own.push((&ACCEPT_SIGNATURE, false));
    }
    put(&mut answer, "headers", super::document::headers(&own));
    answer
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// A problem document as the content of an answer that may be something else, too.
pub fn problem_content() -> Shape {
    Shape::Inline(json!({ "$ref": "#/components/schemas/Problem" }))
}

/// The schema of a problem document.
pub fn schema() -> Value {
    let codes: Vec<&str> =
        ErrorKind::ALL.iter().map(|kind| kind.code()).chain(HttpFault::ALL.iter().map(|f| f.code())).collect();
    let codes: std::collections::BTreeSet<&str> = codes.into_iter().collect();
    json!({
        "type": "object",
        "description": "A problem document (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code", "request_id", "retryable"],
        "properties": {
            "type": { "type": "string", "format": "uri", "description": "`urn:causeway:problem:` and the code." },
            "title": { "type": "string", "description": "The kind of problem in a few words." },
            "status": { "type": "integer", "description": "The status of the answer." },
            "detail": { "type": "string", "description": "What is wrong here, and what to do about it." },
            "code": { "enum": codes, "description": "The kind of problem, for programs." },
            "request_id": { "type": "string", "format": "uuid", "description": "The id of the request, as `X-Request-Id` has it." },
            "retryable": { "type": "boolean", "description": "Whether the same request may succeed later." },
            "errors": {
                "type": "array",
                "description": "Each wrong field of the request.",
                "items": {
                    "type": "object",
                    "required": ["field", "detail"],
                    "properties": {
                        "field": { "type": "string", "description": "The parameter, form field, header or JSON member." },
                        "detail": { "type": "string", "description": "What is wrong with it, and what would be right." },
                    },
                },
            },
            "used_by": {
                "type": "array",
                "description": "What uses the object that was to go.",
                "items": {
                    "type": "object",
                    "required": ["kind", "id"],
                    "properties": {
                        "kind": { "type": "string", "description": "`login`, `mapping`, `api_key` …" },
                        "id": { "type": "string", "description": "Its id, or the username." },
                    },
                },
            },
            "missing": {
                "type": "array",
                "description": "The chunks that are missing: the first and the last of each run.",
                "items": { "type": "array", "items": { "type": "integer", "minimum": 0 }, "minItems": 2, "maxItems": 2 },
            },
        },
    })
}

/// What is wrong with a place that is named.
pub const PLACE: [ErrorKind; 4] =
    [ErrorKind::InvalidName, ErrorKind::NotFound, ErrorKind::NoSuchFolder, ErrorKind::NotFolder];

/// What is wrong where something is to be, beside the place.
pub const TAKEN: [ErrorKind; 3] = [ErrorKind::AlreadyExists, ErrorKind::IsFolder, ErrorKind::Conflict];

/// What is wrong with content that comes.
pub const CONTENT: [ErrorKind; 7] = [
    ErrorKind::Incomplete,
    ErrorKind::TimedOut,
    ErrorKind::FileTooLarge,
    ErrorKind::QuotaExceeded,
    ErrorKind::NoSpace,
    ErrorKind::DigestMismatch,
    ErrorKind::TypeMismatch,
];

/// What is wrong with a part of an upload, or with the upload.
pub const PART: [ErrorKind; 11] = [
    ErrorKind::NotFound,
    ErrorKind::NoSuchFolder,
    ErrorKind::NotFolder,
    ErrorKind::Expired,
    ErrorKind::Conflict,
    ErrorKind::Incomplete,
    ErrorKind::TimedOut,
    ErrorKind::FileTooLarge,
    ErrorKind::QuotaExceeded,
    ErrorKind::NoSpace,
    ErrorKind::DigestMismatch,
];

/// What is wrong with an upload that a request creates with `Upload-Complete`, beside its place and its content.
pub const CREATION: [Case; 4] = [
    Case::Core(ErrorKind::Expired),
    Case::Http(HttpFault::BodyTooLarge),
    Case::Http(HttpFault::InconsistentLength),
    Case::Http(HttpFault::UploadHeld),
];

/// What is wrong with a JSON body.
pub const JSON: [Case; 6] = [
    Case::Core(ErrorKind::InvalidArgument),
    Case::Core(ErrorKind::Incomplete),
    Case::Core(ErrorKind::TimedOut),
    // Where the request is signed.
    Case::Core(ErrorKind::DigestMismatch),
    Case::Http(HttpFault::BodyTooLarge),
    Case::Http(HttpFault::MediaType),
];
