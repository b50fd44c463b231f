//! `/api-keys`: what is known of the tenant's keys; and ending one.

pub mod change;
pub mod make;
mod shapes;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use causeway_core::admin::{KeyState, ShownApiKey};
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
use crate::openapi::{Answer, Operation, Parameter, Tag, parameters};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;

/// The parameters of the list.
const QUERY: [Parameter; 3] =
    [parameters::LIMIT, Parameter { example: "b3JkZXJzLTIwMjY", ..parameters::CURSOR }, TENANT];

/// `{key_id}` of a route.
const KEY_ID: Parameter = Parameter::path("key_id", "The key's id.", key_id, "orders-2026");

/// `If-Match` of a change.
const IF_MATCH: Parameter = Parameter::header(
    "If-Match",
    "Only if the key is as this entity tag of it says; without it, however it is.",
    crate::openapi::schemas::text,
    "\"v42\"",
);

fn key_id() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

/// An API key. The key itself is not among it: nothing here has it.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
struct ApiKeyJson {
    /// Unique over the gateway; it is the OAuth client id, too.
    id: String,
    /// What people call it.
    name: Option<String>,
    /// The first eight characters of the key; null where the configuration declares it.
    prefix: Option<String>,
    /// The identity that it acts as.
    identity: String,
    /// Narrows what the identity may do; empty: all of it.
    scopes: Vec<&'static str>,
    /// When it was made, as far as that is known.
    #[schemars(with = "Option<Moment>")]
    created_at: Option<String>,
    /// Its own end.
    #[schemars(with = "Option<Moment>")]
    expires_at: Option<String>,
    /// From when on it is refused, by its own end or its age, whatever comes first; null: it does not end.
    #[schemars(with = "Option<Moment>")]
    ends_at: Option<String>,
    /// When it last let somebody in, to the minute.
    #[schemars(with = "Option<Moment>")]
    last_used_at: Option<String>,
    /// Networks that it may come from; empty: from everywhere.
    allow_from: Vec<String>,
    /// Which signature its requests must have: `off`, `any` or `message`.
    require_signature: &'static str,
    /// Whether there is a secret that they are signed with. It is never shown.
    has_signing_secret: bool,
    /// The public keys that they are signed with.
    signature_keys: Vec<String>,
    /// The key before it, while that counts, too.
    previous: Option<PreviousJson>,
    /// `config` or `api`: what the configuration declares cannot be changed here.
    managed_by: &'static str,
    /// `active`, `rotating` (the one before it counts, too), `expired`, or `unusable` (see `left_out`).
    #[schemars(with = "StateWord")]
    state: &'static str,
    /// Why it does not count; null: it does.
    left_out: Option<String>,
}

/// The key that a rotation has replaced.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "PreviousApiKey")]
struct PreviousJson {
    /// Its first eight characters.
    prefix: Option<String>,
    /// From when on it is refused.
    #[schemars(with = "Option<Moment>")]
    ends_at: Option<String>,
}

/// An API key that was just made: the one time that it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewApiKeyShown")]
struct MadeJson<'k> {
    /// The key. It is not shown again.
    key: &'k str,
    #[serde(flatten)]
    about: ApiKeyJson,
}

/// A page of keys.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKeyPage")]
struct Page {
    /// By id.
    api_keys: Vec<ApiKeyJson>,
    /// The `cursor` of the next page; null where this was the last one.
    #[schemars(with = "Option<Cursor>")]
    next_cursor: Option<String>,
}

struct StateWord;

impl JsonSchema for StateWord {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ApiKeyState".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": KeyState::ALL.map(KeyState::as_str) })
    }
}

impl ApiKeyJson {
    fn of(key: ShownApiKey) -> Self {
        let previous_ends = key.previous_ends_at.and_then(moment);
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            identity: key.identity,
            scopes: key.scopes.words().map(Scope::as_str).collect(),
            created_at: key.created_at.and_then(moment),
            expires_at: key.expires_at.and_then(moment),
            ends_at: key.ends_at.and_then(moment),
            last_used_at: key.last_used_at.and_then(moment),
            allow_from: key.allow_from.iter().map(ToString::to_string).collect(),
            require_signature: key.require_signature.as_str(),
            has_signing_secret: key.has_signing_secret,
            signature_keys: key.signature_keys,
            previous: previous_ends.map(|ends_at| PreviousJson { prefix: key.previous_prefix, ends_at: Some(ends_at) }),
            managed_by: key.managed_by.as_str(),
            state: key.state.as_str(),
            left_out: key.left_out,
        }
    }
}

/// The entity tag of a key.
fn tag_of(key: &ShownApiKey) -> String {
    format!("\"{}\"", key.tag)
}

/// A key, with its entity tag.
fn shown(status: StatusCode, key: ShownApiKey) -> Response {
    let tag = tag_of(&key);
    let mut response = answer(status, &ApiKeyJson::of(key));
    tagged(&mut response, &tag);
    response
}

/// A key that was just made, with its text. No cache may keep that.
fn made(status: StatusCode, key: ShownApiKey, text: &SecretString) -> Response {
    let tag = tag_of(&key);
    let mut response = answer(status, &MadeJson { key: text.expose_secret(), about: ApiKeyJson::of(key) });
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
    let key = shared.gateway.api_key(&caller.session, tenant, id).await?;
    Ok(tags.version(&key.tag, key.version))
}

/// `{key_id}` of a route. What is no id is the id of nothing.
fn id_of(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    path.map(|Path(id)| id).map_err(|_| Error::new(ErrorKind::NotFound, "there is no such API key").into())
}

fn example() -> Value {
    json!({
        "id": "orders-2026", "name": "Orders", "prefix": "cwk_3kQ9", "identity": "orders-app", "scopes": ["files:read"],
        "created_at": "2026-11-24T20:15:02.123456Z", "expires_at": null, "ends_at": "2027-02-22T20:15:02.123456Z",
        "last_used_at": "2026-11-25T08:00:00.5Z", "allow_from": ["192.0.2.0/24"], "require_signature": "off", "has_signing_secret": false,
        "signature_keys": [], "previous": null, "managed_by": "api",
        "state": "active", "left_out": null,
    })
}

/// The same with a key that is none: no example shows one.
fn made_example() -> Value {
    let mut example = example();
    if let Some(members) = example.as_object_mut() {
        members.insert("key".to_owned(), "cwk_…".into());
    }
    example
}

pub fn list_operation() -> Operation {
    let page = json!({ "api_keys": [example()], "next_cursor": null });
    Operation::new(Tag::Administration, "listApiKeys", "The API keys of the tenant")
        .text("By id, those of the configuration among them. No key itself is kept anywhere.")
        .scope(Scope::Admin)
        .parameters(&QUERY)
        .answer(Answer::json::<Page>(StatusCode::OK, "A page.", page))
        .fails([ErrorKind::InvalidArgument])
}

pub async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &QUERY)?;
    let limit = query.limit()? as usize;
    // Who may not see them hears that, whatever page is asked for.
    let mut keys = shared.gateway.api_keys(&caller.session, query.text("tenant")?).await?;
    let after = query.text("cursor")?.map(cursor_text).transpose()?;
    if let Some(after) = &after {
        keys.retain(|key| key.id > *after);
    }
    let next_cursor = keys.get(limit).and_then(|_| keys.get(limit.checked_sub(1)?)).map(|last| cursor_of(&last.id));
    keys.truncate(limit);
    Ok(answer(StatusCode::OK, &Page { api_keys: keys.into_iter().map(ApiKeyJson::of).collect(), next_cursor }))
}

pub fn get_operation() -> Operation {
    Operation::new(Tag::Administration, "getApiKey", "What is known of an API key")
        .scope(Scope::Admin)
        .parameters(&[KEY_ID, TENANT])
        .answer(Answer::json::<ApiKeyJson>(StatusCode::OK, "The key.", example()).header(&ETAG))
        .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound])
}

pub async fn get(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    of: OfTenant,
) -> Result<Response, Problem> {
    let key = shared.gateway.api_key(&caller.session, of.id(), &id_of(id)?).await?;
    Ok(shown(StatusCode::OK, key))
}

pub fn revoke_operation() -> Operation {
    Operation::new(Tag::Administration, "revokeApiKey", "Ends an API key")
        .text("It is refused at once on this node, and within a second on every other.")
        .scope(Scope::Admin)
        .parameters(&[KEY_ID, TENANT, IF_MATCH])
        .answer(Answer::bare(StatusCode::NO_CONTENT, "It is over."))
        .fails([ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::PreconditionFailed, ErrorKind::InvalidArgument])
}

pub async fn revoke(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    of: OfTenant,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (tenant, id) = (of.id(), id_of(id)?);
    let expected = expected(&shared, &caller, (tenant, &id), &headers).await?;
    shared.gateway.revoke_api_key(&caller.session, tenant, &id, expected).await?;
    Ok(axum::response::IntoResponse::into_response(StatusCode::NO_CONTENT))
}
