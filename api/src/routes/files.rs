//! `GET /files/{file_id}` and `DELETE /files/{file_id}`: metadata and removal (RFC 9110 sections 9.3.1 and 9.3.5).

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use causeway_core::namespace::Target;
use http::StatusCode;
use uuid::Uuid;

use super::file_id;
use crate::auth::Caller;
use crate::json;
use crate::problem::Problem;
use crate::router::Shared;

pub async fn metadata(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, Problem> {
    let entry = shared.gateway.stat(&caller.session, &Target::Id(file_id(id)?)).await?;
    Ok(json::entry(StatusCode::OK, &entry))
}

pub async fn remove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, Problem> {
    shared.gateway.remove_file(&caller.session, &Target::Id(file_id(id)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}
