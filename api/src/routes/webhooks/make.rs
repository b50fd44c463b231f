//! `POST /webhooks`, `PATCH /webhooks/{webhook_id}` and `POST /webhooks/{webhook_id}/rotate-secret`.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use causeway_core::ErrorKind;
use causeway_core::admin::{Amendment, NewWebhook, SecretRotation, WebhookChange};
use causeway_core::identity::Scope;
use http::{StatusCode, header};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::admin::{OfTenant, TENANT, grace_of, maybe, texts};
use super::{IF_MATCH, MadeJson, WEBHOOK_ID, WebhookJson, example, id_of, made, made_example, shapes, shown};
use crate::auth::Caller;
use crate::members::Members;
use crate::openapi::headers::{CACHE_CONTROL, ETAG, LOCATION};
use crate::openapi::{Answer, Body, Operation, Tag, problems};
use crate::problem::Problem;
use crate::router::Shared;

fn secret_of(members: &mut Members) -> Option<SecretString> {
    members.read_as("secret", "this is a string", |value| Some(value.as_str()?.into()))
}

pub fn make_operation() -> Operation {
    let body = json!({
        "id": "orders-hook", "url": "https://orders.acme.example/hooks/causeway", "events": ["file.uploaded", "transfer.*"],
        "path": "/inbound/**",
    });
    Operation::new(Tag::Events, "makeWebhook", "Makes a webhook")
        .text("The answer is the one time that its secret is shown. Deliveries are signed as Standard Webhooks says, and tried again until they are accepted or given up.")
        .scope(Scope::WebhooksWrite)
        .parameters(&[TENANT])
        .body(Body::json("What the webhook is to be.", shapes::new_webhook(), body))
        .answer(
            Answer::json::<MadeJson<'_>>(StatusCode::CREATED, "The webhook.", made_example())
                .header(&LOCATION)
                .header(&ETAG)
                .header(&CACHE_CONTROL)
                .link("getWebhook", "webhook_id", "$response.body#/id")
                .link("changeWebhook", "webhook_id", "$response.body#/id")
                .link("rotateWebhookSecret", "webhook_id", "$response.body#/id")
                .link("removeWebhook", "webhook_id", "$response.body#/id"),
        )
        .fails(problems::JSON)
        .fails([ErrorKind::AlreadyExists, ErrorKind::QuotaExceeded, ErrorKind::NotFound])
}

fn asked(mut members: Members) -> Result<NewWebhook, Problem> {
    let new = NewWebhook {
        url: members.required("url"),
        id: maybe(&mut members, "id"),
        events: texts(&mut members, "events"),
        path: maybe(&mut members, "path"),
        secret: secret_of(&mut members),
        ca: maybe(&mut members, "ca"),
        client_identity: members.read_as("client_identity", "this is a string", |value| Some(value.as_str()?.into())),
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
    // Who may not make one hears that, whatever the body says.
    shared.gateway.may_manage_webhooks(&caller.session).await?;
    let (_, members) = Members::of(&shared, request).await?;
    let (one, secret) = shared.gateway.make_webhook(&caller.session, of.id(), asked(members)?).await?;
    let url = of.address(format!("{}/api/v1/webhooks/{}", shared.config.public_url, one.id));
    let mut response = made(StatusCode::CREATED, one, &secret);
    if let Some(url) = url {
        response.headers_mut().insert(header::LOCATION, url);
    }
    Ok(response)
}

pub fn change_operation() -> Operation {
    let body = json!({ "events": ["file.*"], "path": null });
    Operation::new(Tag::Events, "changeWebhook", "Changes a webhook")
        .text("What is not said stays as it is; `null` takes the path, the authorities or the client certificate away. The secret stays: see its rotation.")
        .scope(Scope::WebhooksWrite)
        .parameters(&[WEBHOOK_ID, TENANT, IF_MATCH])
        .body(Body::json("What becomes another.", shapes::change(), body))
        .answer(Answer::json::<WebhookJson>(StatusCode::OK, "The webhook.", example()).header(&ETAG))
        .fails(problems::JSON)
        .fails([ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::PreconditionFailed])
}

/// A member that may be taken away by `null`.
fn amended<T: From<String>>(members: &mut Members, name: &str) -> Amendment<T> {
    match members.take(name) {
        None => Amendment::Keep,
        Some(Value::Null) => Amendment::Clear,
        Some(Value::String(text)) => Amendment::Set(text.into()),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            members.wrong(name, "this is a string, or null");
            Amendment::Keep
        }
    }
}

pub async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    of: OfTenant,
    request: Request,
) -> Result<Response, Problem> {
    let (tenant, id) = (of.id(), id_of(id)?);
    shared.gateway.may_manage_webhooks(&caller.session).await?;
    let (headers, mut members) = Members::of(&shared, request).await?;
    let change = WebhookChange {
        url: maybe(&mut members, "url"),
        events: texts(&mut members, "events"),
        path: amended(&mut members, "path"),
        ca: amended(&mut members, "ca"),
        client_identity: amended(&mut members, "client_identity"),
    };
    members.finish()?;
    let expected = super::expected(&shared, &caller, (tenant, &id), &headers).await?;
    let one = shared.gateway.change_webhook(&caller.session, tenant, &id, change, expected).await?;
    Ok(shown(StatusCode::OK, one))
}

pub fn rotate_operation() -> Operation {
    Operation::new(Tag::Events, "rotateWebhookSecret", "Puts another secret in the place of a webhook's")
        .text("The new secret is shown once. Deliveries have both signatures for `grace`, so that receivers may change at any time in it; a rotation before that is over ends the oldest at once.")
        .scope(Scope::WebhooksWrite)
        .parameters(&[WEBHOOK_ID, TENANT, IF_MATCH])
        .body(Body::json("How.", shapes::rotation(), json!({ "grace": "24h" })))
        .answer(
            Answer::json::<MadeJson<'_>>(StatusCode::OK, "The webhook.", made_example())
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
    shared.gateway.may_manage_webhooks(&caller.session).await?;
    let (headers, mut members) = Members::of(&shared, request).await?;
    let grace = grace_of(&mut members);
    let secret = secret_of(&mut members);
    members.finish()?;
    let expected = super::expected(&shared, &caller, (tenant, &id), &headers).await?;
    let rotation = SecretRotation { grace, secret };
    let (one, secret) = shared.gateway.rotate_webhook_secret(&caller.session, tenant, &id, rotation, expected).await?;
    Ok(made(StatusCode::OK, one, &secret))
}
