//! The upload resource, `/uploads/{session_id}/content`: `HEAD` (offset retrieval), `PATCH` (append), `DELETE` (cancellation).

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use causeway_core::identity::Scope;
use causeway_core::records::UploadState;
use causeway_core::transfer::{Completion, Incomplete, PartAt};
use causeway_core::{ErrorKind, Session};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::create::give_up;
use super::fields::{self, ACCEPT_PATCH, PARTIAL_UPLOAD, UPLOAD_COMPLETE, UPLOAD_LENGTH, UPLOAD_OFFSET, boolean};
use super::{describe, failed, finish, interim_of};
use crate::auth::Caller;
use crate::digest;
use crate::json::EntryJson;
use crate::openapi::{
    Answer, Body, Operation, Parameter, Tag, examples, headers as told, parameters, problems, schemas,
};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;
use crate::routes::content::plain;
use crate::routes::file_id;
use crate::routes::uploads::receive::{Announced, Receiving};
use crate::signatures::Uploader;

type Id = Result<Path<Uuid>, PathRejection>;

/// The file that the upload became: the one thing that a client wants to know that did not hear the last answer.
const X_FILE_ID: HeaderName = HeaderName::from_static("x-file-id");

/// What the draft's fields of a `PATCH` are.
const FIELDS: [Parameter; 3] = [
    Parameter::header("Upload-Offset", "Where the body begins: what `HEAD` tells.", schemas::digits, "0").required(),
    Parameter::header("Upload-Complete", "`?1` where the body ends the content.", complete, "?1").required(),
    Parameter::header("Upload-Length", "Bytes of the whole; what is no number is ignored.", schemas::text, "8"),
];

fn complete() -> Value {
    json!({ "type": "string", "enum": ["?0", "?1"] })
}

pub fn head_operation() -> Operation {
    Operation::new(Tag::Uploads, "uploadOffset", "Where to go on (draft-ietf-httpbis-resumable-upload)")
        .text("The request that still sends to the upload ends. One that was completed is told as complete for a day.")
        .scope(Scope::FilesWrite)
        .parameters(&[parameters::SESSION_ID])
        .answer(
            Answer::bare(StatusCode::NO_CONTENT, "So far it is.")
                .header(&told::UPLOAD_COMPLETE)
                .header(&told::UPLOAD_OFFSET)
                .header(&told::UPLOAD_LIMIT)
                .maybe(&told::UPLOAD_LENGTH)
                .maybe(&told::X_FILE_ID),
        )
        .fails([ErrorKind::NotFound, ErrorKind::NoSuchFolder, ErrorKind::Expired, ErrorKind::Conflict])
}

pub fn patch_operation() -> Operation {
    let file = |status, description| {
        Answer::json::<EntryJson<'_>>(status, description, examples::file())
            .header(&told::UPLOAD_COMPLETE)
            .header(&told::LOCATION)
            .header(&told::ETAG)
    };
    Operation::new(Tag::Uploads, "appendUpload", "Goes on with an upload (draft-ietf-httpbis-resumable-upload)")
        .text("The request that still sends to the upload ends. With `Upload-Complete: ?1` the upload becomes the file behind the body.")
        .scope(Scope::FilesWrite)
        .parameters(&[parameters::SESSION_ID])
        .parameters(&FIELDS)
        .parameters(&[parameters::CONTENT_DIGEST, parameters::REPR_DIGEST])
        .body(Body::bytes(PARTIAL_UPLOAD, "The bytes.").optional())
        .answer(
            Answer::bare(StatusCode::NO_CONTENT, "They are there.")
                .header(&told::UPLOAD_COMPLETE)
                .header(&told::UPLOAD_OFFSET)
                .header(&told::UPLOAD_LIMIT)
                .maybe(&told::UPLOAD_LENGTH),
        )
        .answer(file(StatusCode::CREATED, "The file is new."))
        .answer(file(StatusCode::OK, "The file was there, and has this content now."))
        .fails(problems::PART)
        .fails(problems::TAKEN)
        .fails([ErrorKind::InvalidArgument, ErrorKind::PreconditionFailed, ErrorKind::TypeMismatch])
        .fails([HttpFault::MediaType, HttpFault::BodyTooLarge, HttpFault::MismatchingOffset])
        .fails([HttpFault::CompletedUpload, HttpFault::InconsistentLength])
}

pub fn cancel_operation() -> Operation {
    Operation::new(Tag::Uploads, "cancelUpload", "Gives an upload up (draft-ietf-httpbis-resumable-upload)")
        .text("The request that still sends to it ends.")
        .scope(Scope::FilesWrite)
        .parameters(&[parameters::SESSION_ID])
        .answer(Answer::bare(StatusCode::NO_CONTENT, "It is gone."))
        .fails([ErrorKind::NotFound, ErrorKind::Expired, ErrorKind::Conflict])
}

/// The upload once nothing is on its way to it any more: what sends to it, for the client that asks now has given up.
async fn settled(shared: &Shared, session: &Arc<Session>, id: Uuid) -> Result<Incomplete, Problem> {
    let upload = shared.gateway.settled_upload(session, id).await?;
    match upload.state {
        UploadState::Open | UploadState::Sealed => Err(Problem::http(HttpFault::UploadHeld)),
        UploadState::Detached | UploadState::Committed | UploadState::Discarded => Ok(upload),
    }
}

/// Where to go on. What is told is what the next request is held to: the request that is still sending ends first.
pub async fn head(State(shared): State<Arc<Shared>>, caller: Caller, id: Id) -> Result<Response, Problem> {
    let (id, session) = (file_id(id)?, &caller.session);
    shared.gateway.incomplete_upload(session, id).await?;
    shared.takeovers.interrupt(id);
    let upload = settled(&shared, session, id).await?;
    let complete = upload.state == UploadState::Committed;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(UPLOAD_COMPLETE, boolean(complete));
    describe(headers, &shared, &upload);
    if complete {
        headers.insert(UPLOAD_LENGTH, HeaderValue::from(upload.offset));
        if let Completion::Published(receipt) = shared.gateway.complete_upload(session, id, None).await?
            && let Ok(file) = HeaderValue::from_str(&receipt.entry.id.to_string())
        {
            response.headers_mut().insert(X_FILE_ID, file);
        }
    }
    Ok(response)
}

/// What a `PATCH` says of itself.
struct Append {
    start: u64,
    complete: bool,
    /// The length of the whole, where it is announced.
    length: Option<u64>,
    content: Option<[u8; 32]>,
    whole: Option<[u8; 32]>,
}

impl Append {
    fn read(headers: &HeaderMap, declared: Option<u64>) -> Result<Self, Problem> {
        plain(headers)?;
        let Some(complete) = fields::complete(headers) else {
            return Err(Problem::field(
                "Upload-Complete",
                "this is required: `?1` with the last of the content, else `?0`",
            ));
        };
        let Some(start) = fields::offset(headers) else {
            return Err(Problem::field("Upload-Offset", "this is required: the offset that HEAD tells"));
        };
        let end = declared.map(|declared| start.saturating_add(declared));
        let length = match (fields::length(headers), end) {
            (Some(length), Some(end)) if end > length || (complete && end != length) => {
                return Err(Problem::http(HttpFault::InconsistentLength));
            }
            (None, end) if complete => end,
            (length, _) => length,
        };
        let (content, whole) = (digest::of_content(headers)?, digest::of_representation(headers)?);
        Ok(Self { start, complete, length, content, whole })
    }
}

/// Goes on at `Upload-Offset`; with `Upload-Complete: ?1` the upload becomes the file.
pub async fn patch(
    State(shared): State<Arc<Shared>>,
    caller: Uploader,
    id: Id,
    request: Request,
) -> Result<Response, Problem> {
    let (id, session) = (file_id(id)?, &caller.session);
    let (parts, body) = request.into_parts();
    let mut body = shared.body(&parts, body);
    if !fields::is_partial_upload(&parts.headers) {
        let problem = Problem::http(HttpFault::MediaType).saying(format!("send `Content-Type: {PARTIAL_UPLOAD}`"));
        let mut response = failed(&shared, problem, false);
        response.headers_mut().insert(ACCEPT_PATCH, HeaderValue::from_static(PARTIAL_UPLOAD));
        return Ok(response);
    }
    let declared = body.declared();
    let append = match Append::read(&parts.headers, declared) {
        Ok(append) => append,
        Err(problem) => return Ok(failed(&shared, problem, false)),
    };
    shared.gateway.incomplete_upload(session, id).await?;
    let sending = shared.takeovers.begin(id);
    let upload = match settled(&shared, session, id).await {
        Ok(upload) => upload,
        Err(problem) => return Ok(failed(&shared, problem, false)),
    };
    if upload.state == UploadState::Committed {
        return Ok(completed(&shared, declared));
    }
    if upload.offset != append.start {
        return Ok(mismatching(&shared, &upload, append.start));
    }
    let end = declared.map(|declared| append.start.saturating_add(declared));
    if upload.size().is_some_and(|size| append.length.is_some_and(|length| length != size) || end > Some(size)) {
        return Ok(failed(&shared, Problem::http(HttpFault::InconsistentLength), false));
    }
    let empty = declared == Some(0) && (append.length.is_none() || upload.size().is_some());
    let upload = if empty {
        upload
    } else {
        let at = PartAt::Following { start: append.start, end, exact: true, total: append.length };
        let received = match shared.gateway.begin_part(session, id, at).await {
            Ok(part) => {
                let receiving = Receiving { taken: Some(sending.taken.clone()), interim: interim_of(&parts) };
                receiving.receive(part, &mut body, append.content.map(Announced::Sha256), false).await
            }
            Err(error) => Err(error.into()),
        };
        match received {
            Ok(upload) => upload,
            Err(problem) => {
                let bounded = upload.size().or(append.length).is_some();
                return Ok(not_appended(&shared, session, id, (append.start, bounded), problem).await);
            }
        }
    };
    if !append.complete {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().insert(UPLOAD_COMPLETE, boolean(false));
        describe(response.headers_mut(), &shared, &upload);
        return Ok(response);
    }
    if append.length.is_some_and(|length| length != upload.offset) {
        return Ok(failed(&shared, Problem::http(HttpFault::InconsistentLength), false));
    }
    Ok(finish(&shared, session, id, append.whole).await.0)
}

/// Why nothing, or not all, was appended. `start`: where it was to be; `bounded`: whether the length of the whole is known.
async fn not_appended(
    shared: &Shared,
    session: &Arc<Session>,
    id: Uuid,
    (start, bounded): (u64, bool),
    problem: Problem,
) -> Response {
    if bounded && problem.has_code("body_too_large") {
        // "marking the upload resource invalid": what goes beyond the length is not the content that was announced.
        give_up(shared, session, id).await;
        return failed(shared, Problem::http(HttpFault::InconsistentLength), false);
    }
    if problem.is(ErrorKind::Conflict)
        && let Ok(now) = shared.gateway.incomplete_upload(session, id).await
    {
        return match now.state {
            UploadState::Committed => completed(shared, None),
            UploadState::Detached if now.offset != start => mismatching(shared, &now, start),
            // Another request to it came meanwhile.
            UploadState::Detached | UploadState::Discarded => failed(shared, problem, false),
            UploadState::Open | UploadState::Sealed => failed(shared, Problem::http(HttpFault::UploadHeld), false),
        };
    }
    failed(shared, problem, false)
}

/// Nothing can be appended to what is complete.
fn completed(shared: &Shared, declared: Option<u64>) -> Response {
    let fault = if declared == Some(0) { HttpFault::CompletedUpload } else { HttpFault::InconsistentLength };
    failed(shared, Problem::http(fault), true)
}

fn mismatching(shared: &Shared, upload: &Incomplete, provided: u64) -> Response {
    let problem = Problem::http(HttpFault::MismatchingOffset)
        .with_number("expected-offset", upload.offset)
        .with_number("provided-offset", provided);
    let mut response = failed(shared, problem, false);
    response.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(upload.offset));
    response
}

/// Gives the upload up, and ends the request that sends to it.
pub async fn cancel(State(shared): State<Arc<Shared>>, caller: Caller, id: Id) -> Result<StatusCode, Problem> {
    let (id, session) = (file_id(id)?, &caller.session);
    shared.gateway.incomplete_upload(session, id).await?;
    shared.takeovers.interrupt(id);
    settled(&shared, session, id).await?;
    shared.gateway.abandon_upload(session, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
