//! `POST /api-keys` and `POST /api-keys/{key_id}/rotate`: a new key, which is shown once.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use causeway_core::ErrorKind;
use causeway_core::admin::{KeyRotation, NewApiKey};
use causeway_core::identity::{Scope, SignatureRule, spec};
use http::{StatusCode, header};
use serde_json::json;
use time::OffsetDateTime;

use super::super::admin::{OfTenant, TENANT, grace_of, maybe, texts};
use super::{IF_MATCH, KEY_ID, MadeJson, id_of, made, made_example, shapes};
use crate::auth::Caller;
use crate::members::Members;
use crate::openapi::headers::{CACHE_CONTROL, ETAG, LOCATION};
use crate::openapi::{Answer, Body, Operation, Tag, problems};
use crate::problem::Problem;
use crate::router::Shared;

/// Which signature is demanded.
pub(super) fn rule_of(members: &mut Members) -> Option<SignatureRule> {
    members.read_as("require_signature", "this is true, false, \"off\", \"any\" or \"message\"", |value| {
        value.as_bool().map(Into::into).or_else(|| serde_json::from_value(value.clone()).ok())
    })
}

/// A moment.
pub(super) fn moment_of(members: &mut Members, name: &str) -> Option<OffsetDateTime> {
    members.read_as(name, "this is a time as RFC 3339 writes it, such as 2027-12-31T00:00:00Z", |value| {
        spec::moment(value.as_str()?).ok()
    })
}

pub fn make_operation() -> Operation {
    let body = json!({
        "identity": "orders-app", "name": "Orders", "scopes": ["files:read"], "expires": "2027-12-31T00:00:00Z",
        "allow_from": ["192.0.2.0/24"],
    });
    Operation::new(Tag::Administration, "makeApiKey", "Makes an API key")
        .text("The answer is the one time that the key is shown. It can do no more than its identity, and `scopes` narrow that.")
        .scope(Scope::Admin)
        .parameters(&[TENANT])
        .body(Body::json("What the key is to be.", shapes::new_api_key(), body))
        .answer(
            Answer::json::<MadeJson<'_>>(StatusCode::CREATED, "The key.", made_example())
                .header(&LOCATION)
                .header(&ETAG)
                .header(&CACHE_CONTROL)
                .link("getApiKey", "key_id", "$response.body#/id")
                .link("rotateApiKey", "key_id", "$response.body#/id")
                .link("changeApiKey", "key_id", "$response.body#/id")
                .link("revokeApiKey", "key_id", "$response.body#/id"),
        )
        .fails(problems::JSON)
        .fails([ErrorKind::AlreadyExists, ErrorKind::QuotaExceeded])
}

fn asked(mut members: Members) -> Result<NewApiKey, Problem> {
    let new = NewApiKey {
        identity: members.required("identity"),
        id: maybe(&mut members, "id"),
        name: maybe(&mut members, "name"),
        scopes: texts(&mut members, "scopes").unwrap_or_default(),
        expires: moment_of(&mut members, "expires"),
        allow_from: texts(&mut members, "allow_from").unwrap_or_default(),
        require_signature: rule_of(&mut members).unwrap_or_default(),
        signing_secret: maybe(&mut members, "signing_secret").map(Into::into),
        signature_keys: texts(&mut members, "signature_keys").unwrap_or_default(),
    };
    members.finish()?;
    Ok(new)
}

pub async fn make(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    of: OfTenant,
    request: Request,
) -> Result<Response, Problem> {
    let tenant = of.id();
    // Who may not make one hears that, whatever the body says.
    shared.gateway.may_administer(&caller.session).await?;
    let (_, members) = Members::of(&shared, request).await?;
    let (key, text) = shared.gateway.make_api_key(&caller.session, tenant, asked(members)?).await?;
    let url = of.address(format!("{}/api/v1/api-keys/{}", shared.config.public_url, key.id));
    let mut response = made(StatusCode::CREATED, key, &text);
    if let Some(url) = url {
        response.headers_mut().insert(header::LOCATION, url);
    }
    Ok(response)
}

pub fn rotate_operation() -> Operation {
    Operation::new(Tag::Administration, "rotateApiKey", "Makes another key in the place of one")
        .text("The new key is shown once. The old one goes on for `grace`; a rotation before that is over ends the oldest at once. What the key has asked for, transfers say, goes on.")
        .scope(Scope::Admin)
        .parameters(&[KEY_ID, TENANT, IF_MATCH])
        .body(Body::json("How.", shapes::rotation(), json!({ "grace": "24h" })))
        .answer(
            Answer::json::<MadeJson<'_>>(StatusCode::OK, "The new key.", made_example())
                .header(&ETAG)
                .header(&CACHE_CONTROL),
        )
        .fails(problems::JSON)
        .fails([ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::PreconditionFailed])
}

pub async fn rotate(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    of: OfTenant,
    request: Request,
) -> Result<Response, Problem> {
    let (tenant, id) = (of.id(), id_of(id)?);
    shared.gateway.may_administer(&caller.session).await?;
    let (headers, mut members) = Members::of(&shared, request).await?;
    let grace = grace_of(&mut members);
    let expires = moment_of(&mut members, "expires");
    members.finish()?;
    let expected = super::expected(&shared, &caller, (tenant, &id), &headers).await?;
    let rotation = KeyRotation { grace, expires };
    let (key, text) = shared.gateway.rotate_api_key(&caller.session, tenant, &id, rotation, expected).await?;
    Ok(made(StatusCode::OK, key, &text))
}
