//! The routes of the contract (`api.md`): one group, one file.

pub mod admin;
pub mod api_keys;
pub mod audit;
pub mod content;
pub mod download;
pub mod events;
pub mod files;
pub mod folders;
pub mod jwks;
pub mod list;
pub mod sessions;
pub mod totp;
pub mod transfers;
pub mod upload;
pub mod uploads;
pub mod validate;
pub mod webhooks;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_core::Error;
use http::{HeaderValue, header};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::problem::Problem;
use crate::router::Shared;

/// `{file_id}` of a route. What is no id is the id of nothing.
pub fn file_id(path: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    path.map(|Path(id)| id).map_err(|_| Error::not_found().into())
}

/// A header out of text that may hold anything; none where it cannot be one.
pub fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

/// Gives an answer the entity tag of what it shows.
fn tagged(response: &mut Response, tag: &str) {
    if let Some(tag) = header_value(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

/// A moment as JSON has it: RFC 3339, UTC.
fn moment(at: OffsetDateTime) -> Option<String> {
    at.to_offset(UtcOffset::UTC).format(&Rfc3339).ok()
}

/// `Location` of a file or folder (RFC 9110 section 10.2.2).
fn location(shared: &Shared, id: Uuid) -> Option<HeaderValue> {
    header_value(&format!("{}/api/v1/files/{id}", shared.config.public_url))
}

/// A cursor is text that means something here only.
fn cursor_of(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn cursor_text(cursor: &str) -> Result<String, Problem> {
    URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(wrong_cursor)
}

fn wrong_cursor() -> Problem {
    Problem::field("cursor", "this is no cursor of this list; send `next_cursor` as it was given, or none")
}
