//! `POST /folders` and `DELETE /folders` (RFC 9110 sections 9.3.3 and 9.3.5, `Location`: section 10.2.2).

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use causeway_core::ErrorKind;
use causeway_core::events::Operation as Act;
use causeway_core::identity::Scope;
use causeway_core::records::Attributes;
use http::{StatusCode, header};
use serde_json::json;

use super::location;
use crate::auth::Caller;
use crate::json::{self, EntryJson};
use crate::members::Members;
use crate::openapi::headers::LOCATION;
use crate::openapi::schemas::{flag, new_folder, path};
use crate::openapi::{Answer, Body, Operation, Parameter, Tag, examples, problems};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;

/// The parameters of the query of `DELETE`.
const QUERY: [Parameter; 2] = [
    Parameter::query("path", "The folder to remove.", path, "/inbound/old").required(),
    Parameter::query("recursive", "Whether it is removed with everything in it.", flag, "true"),
];

pub fn make_operation() -> Operation {
    Operation::new(Tag::Folders, "makeFolder", "Makes a folder")
        .scope(Scope::FilesWrite)
        .body(Body::json("The folder.", new_folder(), json!({ "path": "/inbound/2026" })))
        .answer(Answer::json::<EntryJson<'_>>(StatusCode::CREATED, "The folder.", examples::folder()).maybe(&LOCATION))
        .fails(problems::JSON)
        .fails(problems::PLACE)
        .fails(problems::TAKEN)
}

pub fn remove_operation() -> Operation {
    Operation::new(Tag::Folders, "removeFolder", "Removes a folder")
        .scope(Scope::FilesWrite)
        .parameters(&QUERY)
        .answer(Answer::bare(StatusCode::NO_CONTENT, "It is gone."))
        .fails(problems::PLACE)
        .fails([ErrorKind::InvalidArgument, ErrorKind::NotEmpty, ErrorKind::Conflict])
}

pub async fn make(State(shared): State<Arc<Shared>>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let (_, mut members) = Members::of(&shared, request).await?;
    let path = members.required("path");
    members.finish()?;
    let path = shared.path(&caller.session, Act::Mkdir, path.as_bytes(), "path").await?;
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
    let query = Query::parse(query.as_deref(), &QUERY)?;
    let Some(path) = query.bytes("path")? else {
        return Err(Problem::field("path", "this is required: the folder to remove"));
    };
    let recursive = query.flag("recursive")?;
    let path = shared.path(&caller.session, Act::Rmdir, path, "path").await?;
    if recursive {
        shared.gateway.remove_tree(&caller.session, &path).await?;
    } else {
        shared.gateway.remove_folder(&caller.session, &path).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
