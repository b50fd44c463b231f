//! `/tus`: the resumable upload protocol tus, version 1.0.0 (<https://tus.io/protocols/resumable-upload>), with its extensions
//! creation, creation-with-upload, expiration, checksum and termination. An upload here is an upload as any other:
//! begun over tus, it can be continued over SFTP, and the other way round.

mod create;
mod headers;
mod upload;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use causeway_core::transfer::{Completion, Incomplete};
use causeway_core::{ErrorKind, Session};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use uuid::Uuid;

use crate::openapi::{Answer, Operation, Routes, Tag, headers as told, resource};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;
use crate::routes::uploads::complete::missing;
use crate::signatures::Uploader;

/// The version that is spoken here.
const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
/// The version of a request and of its response.
const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
/// The versions that the server knows.
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
/// The file that the upload became.
const X_FILE_ID: HeaderName = HeaderName::from_static("x-file-id");
/// The method that counts in place of the request's own.
const METHOD_OVERRIDE: &str = "x-http-method-override";

/// The routes.
pub fn routes() -> Routes {
    let collection = |path| {
        resource(path).options(abilities, abilities_operation("tusAbilities")).post(create::create, create::operation())
    };
    Routes::new()
        .add(collection("/api/v1/tus"))
        .also(collection("/api/v1/tus/"))
        .add(
            resource("/api/v1/tus/{id}")
                .options(abilities, abilities_operation("tusAbilitiesOfUpload").parameters(&[upload::ANY_ID]))
                .head(upload::head, upload::head_operation())
                .patch(upload::patch, upload::patch_operation())
                .delete(upload::terminate, upload::terminate_operation())
                .post(overridden, upload::overridden_operation()),
        )
        .around(|router| router.layer(from_fn(speak)))
}

fn abilities_operation(id: &'static str) -> Operation {
    Operation::new(Tag::Tus, id, "What the server can do over tus").open().answer(
        Answer::bare(StatusCode::NO_CONTENT, "It can do this.")
            .header(&told::TUS_RESUMABLE)
            .header(&told::TUS_VERSION)
            .header(&told::TUS_EXTENSION)
            .header(&told::TUS_MAX_SIZE)
            .header(&told::TUS_CHECKSUM_ALGORITHM),
    )
}

/// What holds for every request and response: the version of both.
async fn speak(request: Request, next: Next) -> Response {
    let options = *request.method() == Method::OPTIONS;
    let known = request.headers().get(TUS_RESUMABLE).is_some_and(|version| *version == VERSION);
    let mut response = if options || known {
        next.run(request).await
    } else {
        let mut response = Problem::http(HttpFault::TusVersion).into_response();
        response.headers_mut().insert(TUS_VERSION, VERSION);
        response
    };
    response.headers_mut().insert(TUS_RESUMABLE, VERSION);
    response
}

/// `OPTIONS`: what the server can do. Nobody has to say who is asking.
async fn abilities(State(shared): State<Arc<Shared>>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_VERSION, VERSION);
    headers.insert("tus-max-size", HeaderValue::from(shared.gateway.limits().max_file_size));
    let extensions = "creation,creation-with-upload,expiration,checksum,termination";
    headers.insert("tus-extension", HeaderValue::from_static(extensions));
    headers.insert("tus-checksum-algorithm", HeaderValue::from_static("sha1,sha256"));
    response
}

/// `POST` in place of another method, for clients that have no other.
async fn overridden(
    State(shared): State<Arc<Shared>>,
    caller: Uploader,
    id: Result<axum::extract::Path<Uuid>, axum::extract::rejection::PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let meant = request.headers().get(METHOD_OVERRIDE).map(|method| method.as_bytes().to_ascii_uppercase());
    match meant.as_deref() {
        Some(b"PATCH") => upload::patch(State(shared), caller, id, request).await,
        Some(b"DELETE") => upload::terminate(State(shared), caller.settled()?, id).await,
        Some(b"HEAD") => upload::head(State(shared), caller.settled()?, id).await,
        _ => {
            let mut response = Problem::http(HttpFault::Method).into_response();
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("OPTIONS,HEAD,PATCH,DELETE,POST"));
            Ok(response)
        }
    }
}

/// The headers that tell of an upload as it is.
fn describe(headers: &mut HeaderMap, upload: &Incomplete) {
    headers.insert(headers::UPLOAD_OFFSET, HeaderValue::from(upload.offset));
    let seconds = u64::try_from(upload.expires_at / 1_000_000).unwrap_or(0);
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    if let Ok(expires) = HeaderValue::from_str(&httpdate::fmt_http_date(moment)) {
        headers.insert(headers::UPLOAD_EXPIRES, expires);
    }
}

/// Completes an upload all of whose bytes are there: tus has no request for that. The id of its file, once it is one.
async fn complete_if_whole(
    shared: &Shared,
    session: &Arc<Session>,
    upload: &Incomplete,
) -> Result<Option<HeaderValue>, Problem> {
    if upload.size() != Some(upload.offset) {
        return Ok(None);
    }
    match shared.gateway.complete_upload(session, upload.id, None).await? {
        Completion::Published(receipt) => Ok(HeaderValue::from_str(&receipt.entry.id.to_string()).ok()),
        Completion::Missing(upload) => Err(missing(&upload)),
    }
}

/// A checksum that does not match has a status of its own here.
fn as_tus(problem: Problem) -> Problem {
    if problem.is(ErrorKind::DigestMismatch) { Problem::http(HttpFault::TusChecksum) } else { problem }
}

/// Somebody else was quicker, and has the upload.
fn as_locked(problem: Problem) -> Problem {
    if problem.is(ErrorKind::Conflict) { Problem::http(HttpFault::TusLocked) } else { problem }
}
