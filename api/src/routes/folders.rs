//! `POST /folders` and `DELETE /folders` (RFC 9110 sections 9.3.3 and 9.3.5, `Location`: section 10.2.2).

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use causeway_core::events::Operation;
use causeway_core::records::Attributes;
use http::{StatusCode, header};

use super::location;
use crate::auth::Caller;
use crate::json;
use crate::members::Members;
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;

pub async fn make(State(shared): State<Arc<Shared>>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let mut body = shared.body(&parts, body);
    let mut members = Members::read(&parts.headers, &mut body, shared.config.max_json_bytes).await?;
    let path = members.required("path");
    members.finish()?;
    let path = shared.path(&caller.session, Operation::Mkdir, path.as_bytes(), "path").await?;
    let entry = shared.gateway.make_folder(&caller.session, &path, Attributes::default()).await?;
    let mut response = json::entry(StatusCode::CREATED, &entry);
    if let Some(location) = location(&shared, entry.id) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub async fn remove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Problem> {
    let query = Query::parse(query.as_deref(), &["path", "recursive"])?;
    let Some(path) = query.bytes("path")? else {
        return Err(Problem::field("path", "this is required: the folder to remove"));
    };
    let recursive = query.flag("recursive")?;
    let path = shared.path(&caller.session, Operation::Rmdir, path, "path").await?;
    if recursive {
        shared.gateway.remove_tree(&caller.session, &path).await?;
    } else {
        shared.gateway.remove_folder(&caller.session, &path).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
