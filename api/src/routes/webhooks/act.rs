//! `POST /webhooks/{webhook_id}/test` and `POST /webhooks/{webhook_id}/enable`.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use causeway_core::ErrorKind;
use causeway_core::identity::Scope;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::super::admin::{OfTenant, TENANT};
use super::{WEBHOOK_ID, WebhookJson, example, id_of, shown};
use crate::auth::Caller;
use crate::json::json as answer;
use crate::openapi::headers::ETAG;
use crate::openapi::schemas;
use crate::openapi::{Answer, Operation, Tag};
use crate::problem::Problem;
use crate::router::Shared;

/// What a test event came to. Of the endpoint's answer nothing but its status is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookTest")]
struct TestJson {
    /// The event's id.
    event_id: Uuid,
    /// Whether it was accepted: a status from 200 to 299.
    accepted: bool,
    /// The status of the answer; null: there was none.
    status: Option<u16>,
    /// Why there was none.
    error: Option<String>,
    /// How long it took.
    duration_ms: u64,
}

pub fn test_operation() -> Operation {
    let example = json!({ "event_id": schemas::ID, "accepted": true, "status": 204, "error": null, "duration_ms": 42 });
    Operation::new(Tag::Events, "testWebhook", "Posts a test event to a webhook")
        .text("Once, now, signed as every event is; it is of the type `webhook.test`, nobody else gets it, and it changes nothing of how the endpoint is judged.")
        .scope(Scope::WebhooksWrite)
        .parameters(&[WEBHOOK_ID, TENANT])
        .answer(Answer::json::<TestJson>(StatusCode::OK, "What came of it.", example))
        .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound])
}

pub async fn test(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    of: OfTenant,
) -> Result<Response, Problem> {
    let tested = shared.gateway.test_webhook(&caller.session, of.id(), &id_of(id)?).await?;
    let outcome = TestJson {
        event_id: tested.event,
        accepted: tested.is_accepted(),
        status: tested.status,
        error: tested.failure,
        duration_ms: u64::try_from(tested.took.as_millis()).unwrap_or(u64::MAX),
    };
    Ok(answer(StatusCode::OK, &outcome))
}

pub fn enable_operation() -> Operation {
    Operation::new(Tag::Events, "enableWebhook", "Sends to a webhook again")
        .text("To one that was disabled; of any other the circuit is closed. What became a dead letter stays one: see redelivery and replay.")
        .scope(Scope::WebhooksWrite)
        .parameters(&[WEBHOOK_ID, TENANT])
        .answer(Answer::json::<WebhookJson>(StatusCode::OK, "The webhook.", example()).header(&ETAG))
        .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound])
}

pub async fn enable(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    of: OfTenant,
) -> Result<Response, Problem> {
    let one = shared.gateway.enable_webhook(&caller.session, of.id(), &id_of(id)?).await?;
    Ok(shown(StatusCode::OK, one))
}
