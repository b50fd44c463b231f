//! `GET`, `PATCH` and `DELETE /files/{file_id}`, `POST /files/{file_id}/copy` (RFC 9110 section 9.3, PATCH: RFC 5789,
//! conditions: section 13).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use causeway_core::events::Operation;
use causeway_core::namespace::{Changes, Classify, Labels, Target, check_classification, check_tags};
use causeway_core::records::{Attributes, Micros};
use causeway_core::{Error, ErrorKind, Name, Session, VirtualPath};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::content::stored;
use super::file_id;
use crate::auth::Caller;
use crate::conditions::{Conditions, Tags, Verdict};
use crate::json;
use crate::members::Members;
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

pub async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let session = &caller.session;
    let target = Target::Id(file_id(id)?);
    let (parts, body) = request.into_parts();
    let mut body = shared.body(&parts, body);
    let mut members = Members::read(&parts.headers, &mut body, shared.config.max_json_bytes).await?;
    let (path, mut changes) = changes_of(&mut members, session);
    members.finish()?;
    changes.if_match = versions(&shared, session, &target, &parts.headers).await?;
    if let Some(path) = path {
        changes.path = Some(destination(&shared, session, &target, (Operation::Rename, "path"), &path).await?);
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
    let (parts, body) = request.into_parts();
    let mut body = shared.body(&parts, body);
    let mut members = Members::read(&parts.headers, &mut body, shared.config.max_json_bytes).await?;
    let to = members.required("destination");
    let overwrite = members.flag("overwrite").unwrap_or(false);
    members.finish()?;
    let to = destination(&shared, session, &target, (Operation::Copy, "destination"), &to).await?;
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
    match versions(&shared, session, &target, &headers).await? {
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
    (operation, field): (Operation, &str),
    text: &str,
) -> Result<VirtualPath, Problem> {
    let path = shared.path(session, operation, text.as_bytes(), field).await?;
    if !text.is_empty() && !text.ends_with('/') {
        return Ok(path);
    }
    let entry = shared.gateway.stat(session, target).await?;
    Ok(path.join(&Name::parse(&entry.name)?)?)
}

/// The digests that core is to compare: those of `If-Match`, or what any other condition was found to hold for.
async fn versions(
    shared: &Shared,
    session: &Session,
    target: &Target,
    headers: &HeaderMap,
) -> Result<Option<Vec<[u8; 32]>>, Problem> {
    let conditions = Conditions::of(headers)?;
    if conditions.is_empty() {
        return Ok(None);
    }
    if let (Some(tags @ Tags::List(_)), None) = (&conditions.if_match, &conditions.if_none_match) {
        return Ok(Some(tags.digests()));
    }
    let entry = shared.gateway.stat(session, target).await?;
    let current = entry.sha256.as_ref().map(|digest| (digest, entry.modified_at));
    if conditions.evaluate(current, false) != Verdict::Proceed {
        let detail = "the file is not as the request's conditions say; read it again and decide anew";
        return Err(Error::new(ErrorKind::PreconditionFailed, detail).into());
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
    let Ok(moment) = OffsetDateTime::parse(&text, &Rfc3339) else {
        members.wrong("modified_at", "this is a time as RFC 3339 writes it, such as 2026-11-24T20:15:02Z");
        return None;
    };
    Some((moment.unix_timestamp_nanos() / 1000) as Micros)
}
