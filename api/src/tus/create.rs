//! `POST /tus`: creation and creation-with-upload.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use causeway_core::events::Operation;
use causeway_core::records::{UploadConditions, UploadPlan};
use causeway_core::transfer::PartAt;
use http::{StatusCode, header};

use super::headers::{self, UPLOAD_DEFER_LENGTH, UPLOAD_LENGTH};
use super::{X_FILE_ID, as_tus, complete_if_whole, describe};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::router::Shared;
use crate::routes::content::{content_type, plain};
use crate::routes::header_value;
use crate::routes::uploads::begin::usual_chunk_size;
use crate::routes::uploads::receive::receive;

pub async fn create(State(shared): State<Arc<Shared>>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let session = &caller.session;
    let (parts, body) = request.into_parts();
    let mut body = shared.body(&parts, body);
    let metadata = headers::metadata(&parts.headers)?;
    let Some(size) = headers::number(&parts.headers, &UPLOAD_LENGTH)? else {
        let deferred = parts.headers.contains_key(UPLOAD_DEFER_LENGTH);
        let why = if deferred { "a length that comes later is not known here; send it" } else { "this is required" };
        return Err(Problem::field("Upload-Length", why));
    };
    let with_upload = headers::is_part(&parts.headers);
    plain(&parts.headers)?;
    let checksum = if with_upload { headers::checksum(&parts.headers)? } else { None };
    let path = shared.path(session, Operation::Upload, metadata.goal()?.as_bytes(), "Upload-Metadata").await?;
    let plan = UploadPlan {
        size: Some(size),
        chunk_size: usual_chunk_size(size),
        sha256: metadata.sha256.map(hex::encode),
        overwrite: metadata.overwrite,
        content_type: content_type(metadata.filetype.as_deref()),
        metadata: Some(metadata.raw).filter(|raw| !raw.is_empty()),
        conditions: UploadConditions::default(),
    };
    let mut upload = shared.gateway.plan_upload(session, &path, plan, false).await?;
    if with_upload && body.declared() != Some(0) {
        let at = PartAt::Following { start: 0, end: None, exact: true, total: None };
        let part = shared.gateway.begin_part(session, upload.id, at).await?;
        upload = receive(part, &mut body, checksum, false).await.map_err(as_tus)?;
    }
    let file = complete_if_whole(&shared, session, &upload).await?;
    let mut response = StatusCode::CREATED.into_response();
    let answer = response.headers_mut();
    if let Some(location) = header_value(&location(&shared, upload.id)) {
        answer.insert(header::LOCATION, location);
    }
    describe(answer, &upload);
    if let Some(file) = file {
        answer.insert(X_FILE_ID, file);
    }
    Ok(response)
}

/// The upload's address, without the name of the server: the client has reached it by one that works.
fn location(shared: &Shared, id: uuid::Uuid) -> String {
    let below = shared.config.public_url.split_once("://").map_or("", |(_, rest)| rest);
    let prefix = below.split_once('/').map(|(_, path)| format!("/{path}")).unwrap_or_default();
    format!("{prefix}/api/v1/tus/{id}")
}
