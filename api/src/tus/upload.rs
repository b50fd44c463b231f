//! `HEAD`, `PATCH` and `DELETE` of `/tus/{id}`: where to go on, going on, termination.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use causeway_core::records::UploadState;
use causeway_core::transfer::PartAt;
use http::{HeaderValue, StatusCode};
use uuid::Uuid;

use super::headers::{self, UPLOAD_DEFER_LENGTH, UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_OFFSET};
use super::{X_FILE_ID, as_locked, as_tus, complete_if_whole, describe, no_such_upload};
use crate::auth::Caller;
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;
use crate::routes::content::plain;
use crate::routes::header_value;
use crate::routes::uploads::receive::receive;

type Id = Result<Path<Uuid>, PathRejection>;

/// Where to go on. An upload that was completed is told as whole for a day; one whose last part came, but whose completion
/// did not, is completed now: the client will not ask for it. While a session or the completion has it nothing is told of it
/// (423): a client that is told that all of it is there goes away, and might be wrong.
pub async fn head(State(shared): State<Arc<Shared>>, caller: Caller, id: Id) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| no_such_upload())?;
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
    caller: Caller,
    id: Id,
    request: Request,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| no_such_upload())?;
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
    let Path(id) = id.map_err(|_| no_such_upload())?;
    shared.gateway.abandon_upload(&caller.session, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
