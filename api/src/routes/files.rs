//! `GET`, `PATCH` and `DELETE /files/{file_id}`, `POST /files/{file_id}/copy` (RFC 9110 section 9.3, PATCH: RFC 5789,
//! conditions: section 13).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use causeway_core::events::Operation as Act;
use causeway_core::identity::Scope;
use causeway_core::namespace::{Changes, Classify, Labels, Target, check_classification, check_tags};
use causeway_core::records::{Attributes, Micros, since_epoch};
use causeway_core::{Error, ErrorKind, Name, Session, VirtualPath};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::content::stored;
use super::file_id;
use crate::auth::Caller;
use crate::conditions::{Conditions, Tags, Verdict};
use crate::json::{self, EntryJson};
use crate::members::Members;
use crate::openapi::headers::{ETAG, LOCATION};
use crate::openapi::parameters::{FILE_ID, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use crate::openapi::{Answer, Body, Operation, Tag, examples, problems, schemas};
use crate::problem::Problem;
use crate::router::Shared;

/// The conditions that a change may have.
const CONDITIONS: [crate::openapi::Parameter; 3] = [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE];

pub fn metadata_operation() -> Operation {
    Operation::new(Tag::Files, "getFile", "What is known of a file or folder")
        .scope(Scope::FilesRead)
        .parameters(&[FILE_ID])
        .answer(Answer::json::<EntryJson<'_>>(StatusCode::OK, "The file or folder.", examples::file()))
        .fails([ErrorKind::NotFound])
}

pub fn change_operation() -> Operation {
    Operation::new(Tag::Files, "changeFile", "Moves, renames and labels a file")
        .text("All of it or nothing. A folder can be moved too; it has no labels.")
        .scope(Scope::FilesWrite)
        .parameters(&[FILE_ID])
        .parameters(&CONDITIONS)
        .body(Body::json(
            "What changes; what is left out stays.",
            schemas::change(),
            json!({ "path": "/archive/orders.csv", "overwrite": true, "tags": { "batch": "47" } }),
        ))
        .answer(Answer::json::<EntryJson<'_>>(StatusCode::OK, "As it is now.", examples::file()))
        .fails(problems::JSON)
        .fails(problems::PLACE)
        .fails(problems::TAKEN)
        .fails([ErrorKind::NotEmpty, ErrorKind::PreconditionFailed, ErrorKind::Unsupported])
        .fails([ErrorKind::QuotaExceeded, ErrorKind::NoSpace, ErrorKind::TypeMismatch])
}

pub fn copy_operation() -> Operation {
    Operation::new(Tag::Files, "copyFile", "Copies a file")
        .scope(Scope::FilesWrite)
        .parameters(&[FILE_ID])
        .body(Body::json("Where to.", schemas::copy(), json!({ "destination": "/archive/", "overwrite": false })))
        .answer(
            Answer::json::<EntryJson<'_>>(StatusCode::CREATED, "The copy.", examples::file())
                .header(&LOCATION)
                .header(&ETAG)
                .link("getFile", "file_id", "$response.body#/file_id")
                .link("removeFile", "file_id", "$response.body#/file_id"),
        )
        .fails(problems::JSON)
        .fails(problems::PLACE)
        .fails(problems::TAKEN)
        .fails([ErrorKind::FileTooLarge, ErrorKind::QuotaExceeded, ErrorKind::NoSpace, ErrorKind::TypeMismatch])
}

pub fn remove_operation() -> Operation {
    Operation::new(Tag::Files, "removeFile", "Removes a file")
        .scope(Scope::FilesWrite)
        .parameters(&[FILE_ID])
        .parameters(&CONDITIONS)
        .answer(Answer::bare(StatusCode::NO_CONTENT, "It is gone."))
        .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound, ErrorKind::IsFolder, ErrorKind::Conflict])
        .fails([ErrorKind::PreconditionFailed])
}

pub async fn metadata(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, Problem> {
    let entry = shared.gateway.stat(&caller.session, &Target::Id(file_id(id)?)).await?;
    Ok(json::entry(StatusCode::OK, &entry))
}

pub async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let session = &caller.session;
    let target = Target::Id(file_id(id)?);
    let (headers, mut members) = Members::of(&shared, request).await?;
    let (path, mut changes) = changes_of(&mut members, session);
    members.finish()?;
    let operation = if path.is_some() { Act::Rename } else { Act::Attributes };
    changes.if_match = versions(&shared, session, (operation, &target), &headers).await?;
    if let Some(path) = path {
        changes.path = Some(destination(&shared, session, &target, (Act::Rename, "path"), &path).await?);
    }
    let entry = shared.gateway.change(session, &target, changes).await?;
    Ok(json::entry(StatusCode::OK, &entry))
}

pub async fn copy(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let session = &caller.session;
    let target = Target::Id(file_id(id)?);
    let (_, mut members) = Members::of(&shared, request).await?;
    let to = members.required("destination");
    let overwrite = members.flag("overwrite").unwrap_or(false);
    members.finish()?;
    let to = destination(&shared, session, &target, (Act::Copy, "destination"), &to).await?;
    let receipt = shared.gateway.copy(session, &target, &to, overwrite).await?;
    Ok(stored(&shared, StatusCode::CREATED, &receipt))
}

pub async fn remove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (session, target) = (&caller.session, Target::Id(file_id(id)?));
    match versions(&shared, session, (Act::Delete, &target), &headers).await? {
        Some(digests) => shared.gateway.remove_version(session, &target, digests).await?,
        None => shared.gateway.remove_file(session, &target).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Where a file is to go. A path that ends in `/` is a folder, in which it keeps its name.
async fn destination(
    shared: &Shared,
    session: &Session,
    target: &Target,
    (operation, field): (Act, &str),
    text: &str,
) -> Result<VirtualPath, Problem> {
    let path = shared.path(session, operation, text.as_bytes(), field).await?;
    if !text.is_empty() && !text.ends_with('/') {
        return Ok(path);
    }
    let entry = match shared.gateway.stat(session, target).await {
        Ok(entry) => entry,
        Err(error) => return Err(shared.failed(session, operation, target, error).await),
    };
    match Name::parse(&entry.name).and_then(|name| path.join(&name)) {
        Ok(path) => Ok(path),
        Err(error) => Err(shared.failed(session, operation, target, error).await),
    }
}

/// The digests that core is to compare: those of `If-Match`, or what any other condition was found to hold for.
async fn versions(
    shared: &Shared,
    session: &Session,
    (operation, target): (Act, &Target),
    headers: &HeaderMap,
) -> Result<Option<Vec<[u8; 32]>>, Problem> {
    let conditions = Conditions::of(headers)?;
    if conditions.is_empty() {
        return Ok(None);
    }
    if let (Some(tags @ Tags::List(_)), None) = (&conditions.if_match, &conditions.if_none_match) {
        return Ok(Some(tags.digests()));
    }
    let entry = match shared.gateway.stat(session, target).await {
        Ok(entry) => entry,
        Err(error) => return Err(shared.failed(session, operation, target, error).await),
    };
    let current = entry.sha256.as_ref().map(|digest| (digest, entry.modified_at));
    if conditions.evaluate(current, false) != Verdict::Proceed {
        let detail = "the file is not as the request's conditions say; read it again and decide anew";
        let error = Error::new(ErrorKind::PreconditionFailed, detail);
        return Err(shared.failed(session, operation, target, error).await);
    }
    Ok(entry.sha256.map(|digest| vec![digest]))
}

/// What the members of a `PATCH` change, and the path as it was sent.
fn changes_of(members: &mut Members, session: &Session) -> (Option<String>, Changes) {
    let path = members.text("path");
    let overwrite = members.flag("overwrite").unwrap_or(false);
    let classification = classification_of(members, session);
    let tags = tags_of(members);
    let modified_at = moment_of(members);
    let attributes = Attributes { modified_at, ..Attributes::default() };
    let changes =
        Changes { path: None, overwrite, labels: Labels { classification, tags }, attributes, if_match: None };
    (path, changes)
}

fn classification_of(members: &mut Members, session: &Session) -> Classify {
    match members.take("classification") {
        None => Classify::Keep,
        Some(Value::Null) => Classify::Remove,
        Some(Value::String(word)) => {
            if let Err(error) = check_classification(&session.tenant, &word) {
                members.wrong("classification", error.message().to_owned());
            }
            Classify::As(word)
        }
        Some(_) => {
            members.wrong("classification", "this is a string, or `null` for none");
            Classify::Keep
        }
    }
}

fn tags_of(members: &mut Members) -> Option<BTreeMap<String, String>> {
    let tags: Option<BTreeMap<String, String>> = serde_json::from_value(members.take("tags")?).ok();
    match &tags {
        None => members.wrong("tags", "this is an object whose members are strings; `{}` takes all tags away"),
        Some(tags) => {
            if let Err(error) = check_tags(tags) {
                members.wrong("tags", error.message().to_owned());
            }
        }
    }
    tags
}

fn moment_of(members: &mut Members) -> Option<Micros> {
    let text = members.text("modified_at")?;
    let Ok(at) = OffsetDateTime::parse(&text, &Rfc3339) else {
        members.wrong("modified_at", "this is a time as RFC 3339 writes it, such as 2026-11-24T20:15:02Z");
        return None;
    };
    Some(since_epoch(at))
}
