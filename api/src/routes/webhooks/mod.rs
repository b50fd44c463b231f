//! `/webhooks`: where the tenant's events are posted to, how their endpoints fare, and ending one.

pub mod act;
pub mod deliveries;
pub mod make;
mod shapes;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use causeway_core::admin::ShownWebhook;
use causeway_core::events::timestamp;
use causeway_core::identity::Scope;
use causeway_core::{Error, ErrorKind};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};

use super::admin::{OfTenant, TENANT};
use super::{cursor_of, cursor_text, moment, tagged};
use crate::auth::Caller;
use crate::conditions::Conditions;
use crate::json::json as answer;
use crate::openapi::headers::ETAG;
use crate::openapi::schemas::{Cursor, Moment};
use crate::openapi::{Answer, Operation, Parameter, Routes, Tag, parameters, resource};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;

/// The parameters of the list.
const QUERY: [Parameter; 3] =
    [parameters::LIMIT, Parameter { example: "b3JkZXJzLWhvb2s", ..parameters::CURSOR }, TENANT];

/// `{webhook_id}` of a route.
const WEBHOOK_ID: Parameter = Parameter::path("webhook_id", "The webhook's id.", webhook_id, "orders-hook");

/// `If-Match` of a change.
const IF_MATCH: Parameter = Parameter::header(
    "If-Match",
    "Only if the webhook is as this entity tag of it says; without it, however it is.",
    crate::openapi::schemas::text,
    "\"v42\"",
);

fn webhook_id() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

/// A webhook. Its secret is not among it: that is shown when it is made, and never again.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Webhook")]
struct WebhookJson {
    /// Unique in the tenant.
    id: String,
    /// Where events are posted to.
    url: String,
    /// Which kinds of events: names, or groups as `transfer.*`.
    events: Vec<String>,
    /// Only events about files under this glob, and those about no file; null: all.
    path: Option<String>,
    /// `config` or `api`: what the configuration declares cannot be changed here.
    managed_by: &'static str,
    /// When it was made; null where the configuration declares it.
    #[schemars(with = "Option<Moment>")]
    created_at: Option<String>,
    /// Until when the secret before a rotation signs, too; null: the deliveries have one signature.
    #[schemars(with = "Option<Moment>")]
    previous_secret_until: Option<String>,
    /// Authorities that are believed beside the usual ones, in PEM.
    ca: Option<String>,
    /// Whether it is shown a client certificate. The private key is never shown.
    has_client_identity: bool,
    /// What goes to its endpoint.
    circuit: CircuitJson,
    /// Since when nothing is sent to it at all, and why; null: it is.
    disabled: Option<DisabledJson>,
    /// Why it does not count; null: it does.
    left_out: Option<String>,
}

/// How an endpoint fares. It is one for all nodes of the gateway.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "WebhookCircuit")]
struct CircuitJson {
    /// `closed`: everything is sent; `open`: nothing; `half_open`: one event, to see whether it is there again.
    #[schemars(with = "StateWord")]
    state: &'static str,
    /// Failed attempts since the last one that was accepted.
    failures: i64,
    /// When the first of them failed.
    #[schemars(with = "Option<Moment>")]
    failing_since: Option<String>,
    /// When it is tried again; null where it is not open.
    #[schemars(with = "Option<Moment>")]
    probe_at: Option<String>,
}

/// That nothing is sent to a webhook.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "WebhookDisabled")]
struct DisabledJson {
    /// Since when.
    #[schemars(with = "Moment")]
    at: String,
    /// Why.
    reason: String,
}

/// A webhook whose secret is new: the one time that it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewWebhookShown")]
struct MadeJson<'s> {
    /// What its deliveries are signed with. It is not shown again.
    secret: &'s str,
    #[serde(flatten)]
    about: WebhookJson,
}

/// A page of webhooks.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookPage")]
struct Page {
    /// By id.
    webhooks: Vec<WebhookJson>,
    /// The `cursor` of the next page; null where this was the last one.
    #[schemars(with = "Option<Cursor>")]
    next_cursor: Option<String>,
}

struct StateWord;

impl JsonSchema for StateWord {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WebhookCircuitState".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": ["closed", "open", "half_open"] })
    }
}

impl WebhookJson {
    fn of(one: ShownWebhook) -> Self {
        let health = one.health;
        let disabled = health
            .disabled_at
            .map(|at| DisabledJson { at: timestamp(at), reason: health.disabled_why.unwrap_or_default() });
        Self {
            id: one.id,
            url: one.url,
            events: one.events,
            path: one.path,
            managed_by: one.managed_by.as_str(),
            created_at: one.created_at.map(timestamp),
            previous_secret_until: one.previous_ends_at.and_then(moment),
            ca: one.ca,
            has_client_identity: one.has_client_identity,
            circuit: CircuitJson {
                state: one.circuit.as_str(),
                failures: health.failures,
                failing_since: health.failing_since.map(timestamp),
                probe_at: health.probe_at.map(timestamp),
            },
            disabled,
            left_out: one.left_out,
        }
    }
}

fn tag_of(one: &ShownWebhook) -> String {
    format!("\"{}\"", one.tag)
}

/// A webhook, with its entity tag.
fn shown(status: StatusCode, one: ShownWebhook) -> Response {
    let tag = tag_of(&one);
    let mut response = answer(status, &WebhookJson::of(one));
    tagged(&mut response, &tag);
    response
}

/// A webhook with its new secret. No cache may keep that.
fn made(status: StatusCode, one: ShownWebhook, secret: &SecretString) -> Response {
    let tag = tag_of(&one);
    let mut response = answer(status, &MadeJson { secret: secret.expose_secret(), about: WebhookJson::of(one) });
    tagged(&mut response, &tag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Which version a change is meant for, by `If-Match`; none: any.
async fn expected(
    shared: &Shared,
    caller: &Caller,
    (tenant, id): (Option<&str>, &str),
    headers: &HeaderMap,
) -> Result<Option<i64>, Problem> {
    let Some(tags) = Conditions::of(headers)?.if_match else { return Ok(None) };
    let one = shared.gateway.webhook(&caller.session, tenant, id).await?;
    Ok(tags.version(&one.tag, one.version))
}

fn no_webhook() -> Problem {
    Error::new(ErrorKind::NotFound, "there is no such webhook").into()
}

/// `{webhook_id}` of a route. What is no id is the id of nothing.
fn id_of(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    path.map(|Path(id)| id).map_err(|_| no_webhook())
}

fn example() -> Value {
    json!({
        "id": "orders-hook", "url": "https://orders.acme.example/hooks/causeway", "events": ["file.uploaded", "transfer.*"],
        "path": "/inbound/**", "managed_by": "api", "created_at": "2026-11-24T20:15:02.123456Z", "previous_secret_until": null,
        "ca": null, "has_client_identity": false,
        "circuit": { "state": "closed", "failures": 0, "failing_since": null, "probe_at": null },
        "disabled": null, "left_out": null,
    })
}

/// The same with a secret that is none: no example shows one.
fn made_example() -> Value {
    let mut example = example();
    if let Some(members) = example.as_object_mut() {
        members.insert("secret".to_owned(), "whsec_…".into());
    }
    example
}

pub fn list_operation() -> Operation {
    let page = json!({ "webhooks": [example()], "next_cursor": null });
    Operation::new(Tag::Events, "listWebhooks", "The webhooks of the tenant, and how their endpoints fare")
        .text("By id, those of the configuration among them.")
        .scope(Scope::WebhooksWrite)
        .parameters(&QUERY)
        .answer(Answer::json::<Page>(StatusCode::OK, "A page.", page))
        .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound])
}

pub async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &QUERY)?;
    let limit = query.limit()? as usize;
    // Who may not see them hears that, whatever page is asked for.
    let mut all = shared.gateway.webhooks(&caller.session, query.text("tenant")?).await?;
    if let Some(after) = query.text("cursor")?.map(cursor_text).transpose()? {
        all.retain(|one| one.id > after);
    }
    let next_cursor = all.get(limit).and_then(|_| all.get(limit.checked_sub(1)?)).map(|last| cursor_of(&last.id));
    all.truncate(limit);
    Ok(answer(StatusCode::OK, &Page { webhooks: all.into_iter().map(WebhookJson::of).collect(), next_cursor }))
}

pub fn get_operation() -> Operation {
    Operation::new(Tag::Events, "getWebhook", "What is known of a webhook")
        .scope(Scope::WebhooksWrite)
        .parameters(&[WEBHOOK_ID, TENANT])
        .answer(Answer::json::<WebhookJson>(StatusCode::OK, "The webhook.", example()).header(&ETAG))
        .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound])
}

pub async fn get(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    of: OfTenant,
) -> Result<Response, Problem> {
    let one = shared.gateway.webhook(&caller.session, of.id(), &id_of(id)?).await?;
    Ok(shown(StatusCode::OK, one))
}

pub fn remove_operation() -> Operation {
    Operation::new(Tag::Events, "removeWebhook", "Removes a webhook")
        .text("What waits for it is not sent any more.")
        .scope(Scope::WebhooksWrite)
        .parameters(&[WEBHOOK_ID, TENANT, IF_MATCH])
        .answer(Answer::bare(StatusCode::NO_CONTENT, "It is gone."))
        .fails([ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::PreconditionFailed, ErrorKind::InvalidArgument])
}

pub async fn remove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    of: OfTenant,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (tenant, id) = (of.id(), id_of(id)?);
    let expected = expected(&shared, &caller, (tenant, &id), &headers).await?;
    shared.gateway.remove_webhook(&caller.session, tenant, &id, expected).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Every route of webhooks.
pub fn routes() -> Routes {
    Routes::new()
        .add(resource("/api/v1/webhooks").get(list, list_operation()).post(make::make, make::make_operation()))
        .add(
            resource("/api/v1/webhooks/{webhook_id}")
                .get(get, get_operation())
                .patch(make::change, make::change_operation())
                .delete(remove, remove_operation()),
        )
        .add(resource("/api/v1/webhooks/{webhook_id}/rotate-secret").post(make::rotate, make::rotate_operation()))
        .add(resource("/api/v1/webhooks/{webhook_id}/test").post(act::test, act::test_operation()))
        .add(resource("/api/v1/webhooks/{webhook_id}/enable").post(act::enable, act::enable_operation()))
        .add(resource("/api/v1/webhooks/{webhook_id}/deliveries").get(deliveries::list, deliveries::list_operation()))
        .add(
            resource("/api/v1/webhooks/{webhook_id}/deliveries/{event_id}/redeliver")
                .post(deliveries::redeliver, deliveries::redeliver_operation()),
        )
        .add(resource("/api/v1/webhooks/{webhook_id}/replay").post(deliveries::replay, deliveries::replay_operation()))
}
