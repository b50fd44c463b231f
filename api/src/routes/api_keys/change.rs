//! `PATCH /api-keys/{key_id}`: its name, its scopes, its end, its networks.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use causeway_core::ErrorKind;
use causeway_core::admin::{Amendment, ApiKeyChange};
use causeway_core::identity::{Scope, spec};
use http::StatusCode;
use serde_json::{Value, json};

use super::super::admin::{OfTenant, TENANT, texts};
use super::make::rule_of;
use super::{ApiKeyJson, IF_MATCH, KEY_ID, example, id_of, shapes, shown};
use crate::auth::Caller;
use crate::members::Members;
use crate::openapi::headers::ETAG;
use crate::openapi::{Answer, Body, Operation, Tag, problems};
use crate::problem::Problem;
use crate::router::Shared;

pub fn operation() -> Operation {
    let body = json!({ "scopes": ["files:read", "files:write"], "expires": null });
    Operation::new(Tag::Administration, "changeApiKey", "Changes an API key")
        .text("What is not said stays as it is; `null` takes a name or an end away. The key itself stays: see its rotation.")
        .scope(Scope::Admin)
        .parameters(&[KEY_ID, TENANT, IF_MATCH])
        .body(Body::json("What becomes another.", shapes::change(), body))
        .answer(Answer::json::<ApiKeyJson>(StatusCode::OK, "The key.", example()).header(&ETAG))
        .fails(problems::JSON)
        .fails([ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::PreconditionFailed])
}

/// A member that may be taken away by `null`.
fn settable<T>(
    members: &mut Members,
    name: &str,
    expected: &'static str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Amendment<T> {
    let Some(value) = members.take(name) else { return Amendment::Keep };
    if value.is_null() {
        return Amendment::Clear;
    }
    let Some(value) = read(&value) else {
        members.wrong(name, expected);
        return Amendment::Keep;
    };
    Amendment::Set(value)
}

fn asked(mut members: Members) -> Result<ApiKeyChange, Problem> {
    let moments = "this is a time as RFC 3339 writes it, such as 2027-12-31T00:00:00Z, or null";
    let change = ApiKeyChange {
        name: settable(&mut members, "name", "this is a string, or null", |value| value.as_str().map(str::to_owned)),
        scopes: texts(&mut members, "scopes"),
        expires: settable(&mut members, "expires", moments, |value| spec::moment(value.as_str()?).ok()),
        allow_from: texts(&mut members, "allow_from"),
        require_signature: rule_of(&mut members),
        signing_secret: settable(&mut members, "signing_secret", "this is a string, or null", |value| {
            Some(value.as_str()?.into())
        }),
        signature_keys: texts(&mut members, "signature_keys"),
    };
    members.finish()?;
    Ok(change)
}

pub async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    of: OfTenant,
    request: Request,
) -> Result<Response, Problem> {
    let (tenant, id) = (of.id(), id_of(id)?);
    shared.gateway.may_administer(&caller.session).await?;
    let (headers, members) = Members::of(&shared, request).await?;
    let change = asked(members)?;
    let expected = super::expected(&shared, &caller, (tenant, &id), &headers).await?;
    let key = shared.gateway.change_api_key(&caller.session, tenant, &id, change, expected).await?;
    Ok(shown(StatusCode::OK, key))
}
