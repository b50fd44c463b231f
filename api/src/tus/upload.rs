//! `HEAD`, `PATCH` and `DELETE` of `/tus/{id}`: where to go on, going on, termination.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use causeway_core::ErrorKind;
use causeway_core::identity::Scope;
use causeway_core::records::UploadState;
use causeway_core::transfer::PartAt;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::create::{TUS_RESUMABLE, UPLOAD_CHECKSUM};
use super::headers::{self, UPLOAD_DEFER_LENGTH, UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_OFFSET};
use super::{X_FILE_ID, as_locked, as_tus, complete_if_whole, describe};
use crate::auth::Caller;
use crate::openapi::{Answer, Body, Operation, Parameter, Tag, headers as told, problems, schemas};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;
use crate::routes::content::plain;
use crate::routes::header_value;
use crate::routes::uploads::receive::receive;
use crate::routes::uploads::upload_id;
use crate::signatures::Uploader;

type Id = Result<Path<Uuid>, PathRejection>;

/// `{id}` of `OPTIONS`, which does not look at it.
pub const ANY_ID: Parameter = Parameter { schema: schemas::text, ..ID };
/// `{id}`.
pub const ID: Parameter = Parameter::path("id", "The upload's id.", schemas::id, schemas::ID);
const OFFSET: Parameter =
    Parameter::header("Upload-Offset", "Where the body begins: what `HEAD` told.", schemas::digits, "0");
const METHOD: Parameter = Parameter::header(
    "X-HTTP-Method-Override",
    "The method that is meant.",
    || json!({ "type": "string", "enum": ["PATCH", "DELETE", "HEAD"] }),
    "PATCH",
);

pub fn head_operation() -> Operation {
    Operation::new(Tag::Tus, "tusOffset", "Where to go on")
        .text("While a session or the completion has the upload this is 423. One that was completed is told as whole for a day.")
        .scope(Scope::FilesWrite)
        .parameters(&[ID, TUS_RESUMABLE])
        .answer(
            Answer::bare(StatusCode::OK, "So far it is.")
                .header(&told::TUS_RESUMABLE)
                .header(&told::UPLOAD_OFFSET)
                .header(&told::UPLOAD_EXPIRES)
                .maybe(&told::UPLOAD_LENGTH)
                .maybe(&told::UPLOAD_DEFER_LENGTH)
                .maybe(&told::UPLOAD_METADATA)
                .maybe(&told::X_FILE_ID),
        )
        .fails(completing())
        .fails([HttpFault::TusVersion, HttpFault::TusLocked, HttpFault::ChunksMissing])
}

pub fn patch_operation() -> Operation {
    Operation::new(Tag::Tus, "tusPatch", "Goes on with an upload")
        .text("Behind the last byte the upload becomes the file, and `X-File-Id` names it.")
        .scope(Scope::FilesWrite)
        .parameters(&[ID, TUS_RESUMABLE, OFFSET.required(), UPLOAD_CHECKSUM])
        .body(Body::bytes(headers::PART, "The bytes."))
        .answer(gone_on(StatusCode::NO_CONTENT, "They are there."))
        .fails(completing())
        .fails([ErrorKind::InvalidArgument])
        .fails([HttpFault::MediaType, HttpFault::BodyTooLarge, HttpFault::ChunksMissing])
        .fails([HttpFault::TusVersion, HttpFault::TusChecksum])
}

pub fn terminate_operation() -> Operation {
    Operation::new(Tag::Tus, "tusTerminate", "Gives an upload up (termination)")
        .scope(Scope::FilesWrite)
        .parameters(&[ID, TUS_RESUMABLE])
        .answer(Answer::bare(StatusCode::NO_CONTENT, "It is gone.").header(&told::TUS_RESUMABLE))
        .fails([ErrorKind::NotFound, ErrorKind::Expired, ErrorKind::Conflict])
        .fails([HttpFault::TusVersion])
}

pub fn overridden_operation() -> Operation {
    Operation::new(Tag::Tus, "tusOverridden", "Another method, for clients that have none but POST")
        .text("Without `X-HTTP-Method-Override` this is 405.")
        .scope(Scope::FilesWrite)
        .parameters(&[ID, TUS_RESUMABLE, METHOD.required()])
        .parameters(&[
            Parameter { schema: schemas::text, ..OFFSET },
            Parameter { schema: schemas::text, ..UPLOAD_CHECKSUM },
        ])
        .body(Body::bytes(headers::PART, "The bytes, where `PATCH` is meant.").optional())
        .answer(gone_on(StatusCode::NO_CONTENT, "As `PATCH` or `DELETE` answers."))
        .answer(gone_on(StatusCode::OK, "As `HEAD` answers."))
        .fails(completing())
        .fails([ErrorKind::InvalidArgument])
        .fails([HttpFault::MediaType, HttpFault::BodyTooLarge, HttpFault::ChunksMissing, HttpFault::Method])
        .fails([HttpFault::TusVersion, HttpFault::TusChecksum, HttpFault::TusLocked])
}

fn gone_on(status: StatusCode, description: &'static str) -> Answer {
    Answer::bare(status, description)
        .header(&told::TUS_RESUMABLE)
        .maybe(&told::UPLOAD_OFFSET)
        .maybe(&told::UPLOAD_EXPIRES)
        .maybe(&told::X_FILE_ID)
}

/// How a part, and the completion behind the last one, may fail.
fn completing() -> impl Iterator<Item = ErrorKind> {
    let place = [ErrorKind::AlreadyExists, ErrorKind::IsFolder, ErrorKind::NoSuchFolder, ErrorKind::NotFolder];
    problems::PART.into_iter().chain(place).chain([ErrorKind::PreconditionFailed, ErrorKind::TypeMismatch])
}

/// Where to go on. An upload that was completed is told as whole for a day; one whose last part came, but whose completion
/// did not, is completed now: the client will not ask for it. While a session or the completion has it nothing is told of it
/// (423): a client that is told that all of it is there goes away, and might be wrong.
pub async fn head(State(shared): State<Arc<Shared>>, caller: Caller, id: Id) -> Result<Response, Problem> {
    let id = upload_id(id);
    let upload = shared.gateway.incomplete_upload(&caller.session, id).await?;
    if matches!(upload.state, UploadState::Open | UploadState::Sealed) {
        return Err(Problem::http(HttpFault::TusLocked));
    }
    let file = complete_if_whole(&shared, &caller.session, &upload).await.map_err(as_locked)?;
    let mut response = StatusCode::OK.into_response();
    let answer = response.headers_mut();
    describe(answer, &upload);
    match upload.size() {
        Some(size) => answer.insert(UPLOAD_LENGTH, HeaderValue::from(size)),
        None => answer.insert(UPLOAD_DEFER_LENGTH, HeaderValue::from_static("1")),
    };
    if let Some(metadata) = upload.plan.and_then(|plan| plan.metadata).and_then(|raw| header_value(&raw)) {
        answer.insert(UPLOAD_METADATA, metadata);
    }
    if let Some(file) = file {
        answer.insert(X_FILE_ID, file);
    }
    Ok(response)
}

/// Goes on at `Upload-Offset`; behind the last byte the upload becomes the file.
pub async fn patch(
    State(shared): State<Arc<Shared>>,
    caller: Uploader,
    id: Id,
    request: Request,
) -> Result<Response, Problem> {
    let id = upload_id(id);
    let session = &caller.session;
    let (parts, body) = request.into_parts();
    let mut body = shared.body(&parts, body);
    headers::require_part(&parts.headers)?;
    plain(&parts.headers)?;
    let checksum = headers::checksum(&parts.headers)?;
    let Some(start) = headers::number(&parts.headers, &UPLOAD_OFFSET)? else {
        return Err(Problem::field("Upload-Offset", "this is required: where the body begins"));
    };
    // Where the size was not announced, this is all that is known of how much there will be.
    let end = body.declared().map(|length| start.saturating_add(length));
    let at = PartAt::Following { start, end, exact: true, total: None };
    let part = shared.gateway.begin_part(session, id, at).await?;
    let upload = receive(part, &mut body, checksum, false).await.map_err(as_tus)?;
    let file = complete_if_whole(&shared, session, &upload).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    describe(response.headers_mut(), &upload);
    if let Some(file) = file {
        response.headers_mut().insert(X_FILE_ID, file);
    }
    Ok(response)
}

pub async fn terminate(State(shared): State<Arc<Shared>>, caller: Caller, id: Id) -> Result<Response, Problem> {
    let id = upload_id(id);
    shared.gateway.abandon_upload(&caller.session, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
