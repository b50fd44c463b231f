//! `GET /webhooks/{webhook_id}/deliveries`, sending one again, and all since a time.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use causeway_core::ErrorKind;
use causeway_core::admin::{DeliveryFilter, ShownDelivery};
use causeway_core::events::timestamp;
use causeway_core::identity::{Scope, spec};
use causeway_core::records::DeliveryState;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::admin::{OfTenant, TENANT};
use super::super::{cursor_of, cursor_text, wrong_cursor};
use super::{WEBHOOK_ID, id_of, no_webhook, shapes};
use crate::auth::Caller;
use crate::json::json as answer;
use crate::members::Members;
use crate::openapi::schemas::{self, Cursor, Moment};
use crate::openapi::{Answer, Body, Operation, Parameter, Tag, parameters, problems};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;

/// The states, by their words.
const STATES: [(&str, DeliveryState); 3] =
    [("pending", DeliveryState::Pending), ("delivered", DeliveryState::Delivered), ("dead", DeliveryState::Dead)];

/// The parameters of the list.
const QUERY: [Parameter; 4] = [
    Parameter::query(
        "state",
        "Only deliveries that wait (`pending`), were accepted (`delivered`) or were given up (`dead`).",
        state,
        "dead",
    ),
    parameters::LIMIT,
    Parameter { example: "NDI", ..parameters::CURSOR },
    TENANT,
];

/// `{event_id}` of a route.
const EVENT_ID: Parameter = Parameter::path("event_id", "The event's id.", schemas::id, schemas::ID);

fn state() -> Value {
    json!({ "enum": STATES.map(|(word, _)| word) })
}

const fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead => "dead",
    }
}

/// The delivery of one event.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookDelivery")]
struct DeliveryJson {
    /// The event's id, which is the `webhook-id` of every attempt.
    event_id: Uuid,
    /// What kind of event it is.
    r#type: String,
    /// When that happened.
    #[schemars(with = "Moment")]
    timestamp: String,
    /// The path that it is about, in the tenant's tree.
    path: Option<String>,
    /// `pending`, `delivered` or `dead`.
    #[schemars(with = "StateWord")]
    state: &'static str,
    /// How often it was tried.
    attempts: i64,
    /// When it is tried next, unless the circuit is open or an earlier event of its file waits; null: it is not.
    #[schemars(with = "Option<Moment>")]
    next_at: Option<String>,
    /// What the last attempt came to: a status, or why there was none.
    last_result: Option<String>,
}

struct StateWord;

impl JsonSchema for StateWord {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WebhookDeliveryState".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": ["pending", "delivered", "dead"] })
    }
}

/// A page of deliveries.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookDeliveryPage")]
struct Page {
    /// The newest event first.
    deliveries: Vec<DeliveryJson>,
    /// The `cursor` of the next page; null where this was the last one.
    #[schemars(with = "Option<Cursor>")]
    next_cursor: Option<String>,
}

/// What a replay has queued.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookReplayed")]
struct ReplayedJson {
    /// How many events are sent once more.
    queued: usize,
    /// There were too many for one request: the `since` of the next one; null: these were all.
    #[schemars(with = "Option<Moment>")]
    rest_since: Option<String>,
}

impl DeliveryJson {
    fn of(one: ShownDelivery) -> Self {
        let delivery = one.delivery;
        Self {
            event_id: delivery.event,
            r#type: one.kind,
            timestamp: timestamp(one.at),
            path: one.path,
            state: word(delivery.state),
            attempts: delivery.attempts,
            next_at: (delivery.state == DeliveryState::Pending).then(|| timestamp(delivery.next_at)),
            last_result: delivery.last_result,
        }
    }
}

pub fn list_operation() -> Operation {
    let one = json!({
        "event_id": schemas::ID, "type": "file.uploaded", "timestamp": "2026-11-24T20:15:02.123456Z",
        "path": "/inbound/orders.csv", "state": "dead", "attempts": 12, "next_at": null, "last_result": "503",
    });
    Operation::new(Tag::Events, "listWebhookDeliveries", "The deliveries of a webhook")
        .text("The newest event first. `state=dead` is the dead-letter list.")
        .scope(Scope::WebhooksWrite)
        .parameters(&[WEBHOOK_ID])
        .parameters(&QUERY)
        .answer(Answer::json::<Page>(StatusCode::OK, "A page.", json!({ "deliveries": [one], "next_cursor": null })))
        .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound])
}

pub async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &QUERY)?;
    let limit = query.limit()?;
    let wanted = |text: &str| {
        let found = STATES.iter().find(|(word, _)| *word == text).map(|(_, state)| *state);
        found.ok_or_else(|| Problem::field("state", "this is `pending`, `delivered` or `dead`"))
    };
    let state = query.text("state")?.map(wanted).transpose()?;
    let before = match query.text("cursor")? {
        None => None,
        Some(cursor) => Some(cursor_text(cursor)?.parse::<i64>().map_err(|_| wrong_cursor())?),
    };
    let filter = DeliveryFilter { state, before, limit: limit + 1 };
    let tenant = query.text("tenant")?;
    let mut found = shared.gateway.webhook_deliveries(&caller.session, tenant, &id_of(id)?, filter).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(|last| cursor_of(&last.delivery.position.to_string()));
    Ok(answer(StatusCode::OK, &Page { deliveries: found.into_iter().map(DeliveryJson::of).collect(), next_cursor }))
}

pub fn redeliver_operation() -> Operation {
    Operation::new(Tag::Events, "redeliverWebhook", "Sends an event to a webhook once more")
        .text("Whatever has become of it. It has all its attempts again, and goes before later events of its file that wait.")
        .scope(Scope::WebhooksWrite)
        .parameters(&[WEBHOOK_ID, EVENT_ID, TENANT])
        .answer(Answer::bare(StatusCode::ACCEPTED, "It is sent."))
        .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound, ErrorKind::Conflict])
}

pub async fn redeliver(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    ids: Result<Path<(String, String)>, PathRejection>,
    of: OfTenant,
) -> Result<Response, Problem> {
    let Path((id, event)) = ids.map_err(|_| no_webhook())?;
    // What is no id is the id of no event.
    let event = Uuid::try_parse(&event).unwrap_or_default();
    shared.gateway.redeliver(&caller.session, of.id(), &id, event).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

pub fn replay_operation() -> Operation {
    let example = json!({ "queued": 3, "rest_since": null });
    Operation::new(Tag::Events, "replayWebhook", "Sends a webhook once more what happened since a time")
        .text("Everything that it wants to hear, also what it had accepted: each event under the same id as before, in order for each file. At most about 100,000 in one request.")
        .scope(Scope::WebhooksWrite)
        .parameters(&[WEBHOOK_ID, TENANT])
        .body(Body::json("Since when.", shapes::replay(), json!({ "since": "2026-11-24T20:15:02Z" })))
        .answer(Answer::json::<ReplayedJson>(StatusCode::ACCEPTED, "They are sent.", example))
        .fails(problems::JSON)
        .fails([ErrorKind::NotFound, ErrorKind::Conflict])
}

pub async fn replay(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    of: OfTenant,
    request: Request,
) -> Result<Response, Problem> {
    let (tenant, id) = (of.id(), id_of(id)?);
    shared.gateway.may_manage_webhooks(&caller.session).await?;
    let (_, mut members) = Members::of(&shared, request).await?;
    let since =
        members.read_as("since", "this is a time as RFC 3339 writes it, such as 2026-11-24T20:15:02Z", |value| {
            spec::moment(value.as_str()?).ok()
        });
    if since.is_none() {
        members.miss("since", "this is required");
    }
    members.finish()?;
    // `finish` has failed where there is none.
    let since = since.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let done = shared.gateway.replay(&caller.session, tenant, &id, since).await?;
    let told = ReplayedJson { queued: done.queued, rest_since: done.rest_since.map(timestamp) };
    Ok(answer(StatusCode::ACCEPTED, &told))
}
