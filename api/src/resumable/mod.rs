//! Resumable uploads as HTTP itself is to have them: draft-ietf-httpbis-resumable-upload, interop version 8 (its text since -09;
//! read as it stood behind -11, published as -12). `PUT /files/content` and `POST /files/upload` with `Upload-Complete` create an upload
//! resource, `/uploads/{session_id}/content`, which takes `HEAD`, `PATCH`, `DELETE` and `OPTIONS`. It is the same incomplete upload as every
//! other here: begun over the draft it can be continued over SFTP, and the other way round.
//!
//! `104 (Upload Resumption Supported)` is sent on HTTP/1.1 ([`crate::interim`]). hyper's server can send none on HTTP/2: there
//! a client asks for an upload that is empty at first ("Careful Upload Creation").

mod create;
mod fields;
mod takeovers;
mod upload;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use causeway_core::records::now;
use causeway_core::transfer::{Completion, Incomplete};
use causeway_core::{ErrorKind, Session};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::sync::Arc;
use uuid::Uuid;

pub use create::{post, put};
pub use fields::{INTEROP_VERSION, complete};
pub use takeovers::Takeovers;
pub use upload::{cancel, cancel_operation, head, head_operation, patch, patch_operation};

use self::fields::{
    ACCEPT_PATCH, PARTIAL_UPLOAD, UPLOAD_COMPLETE, UPLOAD_LENGTH, UPLOAD_LIMIT, UPLOAD_OFFSET, boolean, limit,
};
use crate::interim::Interim;
use crate::openapi::{Answer, Operation, Parameter, Tag, headers as told, parameters, schemas};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;
use crate::routes::content::stored;
use crate::routes::header_value;

/// The version of the draft that is spoken here.
const VERSION: u64 = 8;
/// The interim response's status.
const SUPPORTED: &str = "104 Upload Resumption Supported";

/// `OPTIONS`: which limits uploads have, and that they can be resumed. Nobody has to say who is asking.
pub async fn abilities(State(shared): State<Arc<Shared>>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let settings = shared.gateway.limits();
    let headers = response.headers_mut();
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(PARTIAL_UPLOAD));
    if let Some(limits) = limit(settings.max_file_size, settings.incomplete_expiry.as_secs()) {
        headers.insert(UPLOAD_LIMIT, limits);
    }
    response
}

/// Of `/files/content`.
pub fn content_abilities_operation() -> Operation {
    described("contentAbilities")
}

/// Of `/files/upload`.
pub fn upload_abilities_operation() -> Operation {
    described("uploadAbilities")
}

/// Of an upload resource.
pub fn abilities_operation() -> Operation {
    let any = Parameter { schema: schemas::text, ..parameters::SESSION_ID };
    described("resourceAbilities").parameters(&[any])
}

fn described(id: &'static str) -> Operation {
    Operation::new(Tag::Uploads, id, "The limits of uploads that can be resumed").open().answer(
        Answer::bare(StatusCode::NO_CONTENT, "These are they.").header(&told::ACCEPT_PATCH).header(&told::UPLOAD_LIMIT),
    )
}

/// The address of an upload's resource.
fn location(shared: &Shared, id: Uuid) -> Option<HeaderValue> {
    header_value(&format!("{}/api/v1/uploads/{id}/content", shared.config.public_url))
}

/// `Upload-Limit` of an upload.
fn limits_of(shared: &Shared, upload: &Incomplete) -> Option<HeaderValue> {
    let left = u64::try_from((upload.expires_at - now()) / 1_000_000).unwrap_or(0);
    limit(shared.gateway.limits().max_file_size, left)
}

/// What there is to say of an upload, besides whether it is complete.
fn describe(headers: &mut HeaderMap, shared: &Shared, upload: &Incomplete) {
    headers.insert(UPLOAD_OFFSET, HeaderValue::from(upload.offset));
    if let Some(length) = upload.size() {
        headers.insert(UPLOAD_LENGTH, HeaderValue::from(length));
    }
    if let Some(limits) = limits_of(shared, upload) {
        headers.insert(UPLOAD_LIMIT, limits);
    }
}

/// The handle for interim responses, where the client speaks this version of the draft: to no other one may they be sent.
fn interim_of(parts: &http::request::Parts) -> Option<Interim> {
    let spoken = fields::interop_version(&parts.headers) == Some(VERSION);
    parts.extensions.get::<Interim>().filter(|_| spoken).cloned()
}

/// How far the content has come that is being received.
pub fn tell_progress(interim: &Interim, offset: u64) {
    let headers = [(UPLOAD_OFFSET, HeaderValue::from(offset)), (INTEROP_VERSION, HeaderValue::from(VERSION))];
    interim.send(SUPPORTED, &HeaderMap::from_iter(headers));
}

/// A failure as the draft wants it told: `complete` says whether it is one of the whole content, which sending more would not mend.
fn failed(shared: &Shared, problem: Problem, complete: bool) -> Response {
    let mut response = problem.into_response();
    let too_large = response.status() == StatusCode::PAYLOAD_TOO_LARGE;
    let headers = response.headers_mut();
    headers.insert(UPLOAD_COMPLETE, boolean(complete));
    let settings = shared.gateway.limits();
    if too_large && let Some(limits) = limit(settings.max_file_size, settings.incomplete_expiry.as_secs()) {
        headers.insert(UPLOAD_LIMIT, limits);
    }
    response
}

/// Makes the file out of what has come: its client says that this is all. The answer, and whether it is a success.
async fn finish(shared: &Shared, session: &Arc<Session>, id: Uuid, sha256: Option<[u8; 32]>) -> (Response, bool) {
    match shared.gateway.complete_upload(session, id, sha256).await {
        Ok(Completion::Published(receipt)) => {
            let status = if receipt.created { StatusCode::CREATED } else { StatusCode::OK };
            let mut response = stored(shared, status, &receipt);
            response.headers_mut().insert(UPLOAD_COMPLETE, boolean(true));
            (response, true)
        }
        Ok(Completion::Missing(_)) => (failed(shared, Problem::http(HttpFault::InconsistentLength), false), false),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            (failed(shared, Problem::http(HttpFault::UploadHeld), false), false)
        }
        Err(error) => {
            let problem = Problem::from(error);
            let final_word = !problem.is_retryable();
            (failed(shared, problem, final_word), false)
        }
    }
}
