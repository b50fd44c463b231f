//! `/config/limits` and `/config/uploads`: the settings that can be changed while the gateway runs. What is set here counts over what
//! the configuration says, on every node, until it is taken away again by `DELETE`.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use causeway_core::admin::{Administered, LIMITS, Spec, UPLOADS};
use causeway_core::identity::Scope;
use causeway_core::identity::spec::{LimitsSpec, UploadsSpec};
use causeway_core::identity::texts::duration_text;
use causeway_core::{Error, ErrorKind, Session};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{bytes, expected, header_value, maybe, members};
use crate::auth::Caller;
use crate::conditions::{Conditions, Tags};
use crate::json::json as answer;
use crate::members::Members;
use crate::openapi::headers::ETAG;
use crate::openapi::{Answer, Body, Operation, Shape, Tag, problems};
use crate::problem::{HttpFault, Problem};
use crate::query::Query;
use crate::router::Shared;

/// The tag of settings of which none is set here.
const NOTHING_SET: &str = "c0";

/// One group of settings.
pub trait Settings: Spec {
    /// Its id.
    const ID: &'static str;

    /// Reads what a body sets.
    fn read(members: &mut Members) -> Self;

    /// What counts now.
    fn effective(shared: &Shared) -> Map<String, Value>;
}

impl Settings for LimitsSpec {
    const ID: &'static str = LIMITS;

    fn read(members: &mut Members) -> Self {
        let count = |members: &mut Members, name| members.read_as(name, "this is a whole number", Members::whole);
        Self {
            max_file_size: bytes(members, "max_file_size"),
            bandwidth_up: bytes(members, "bandwidth_up"),
            bandwidth_down: bytes(members, "bandwidth_down"),
            requests_per_minute: count(members, "requests_per_minute"),
            failed_logins: count(members, "failed_logins"),
            failed_logins_window: maybe(members, "failed_logins_window"),
            ban: maybe(members, "ban"),
        }
    }

    fn effective(shared: &Shared) -> Map<String, Value> {
        let now = shared.gateway.limits();
        members(json!({
            "max_file_size": now.max_file_size, "bandwidth_up": now.bandwidth_up, "bandwidth_down": now.bandwidth_down,
            "requests_per_minute": now.requests_per_minute.unwrap_or_else(|| shared.quotas.declared()),
            "failed_logins": now.throttle.failures, "failed_logins_window": duration_text(now.throttle.window),
            "ban": duration_text(now.throttle.ban),
        }))
    }
}

impl Settings for UploadsSpec {
    const ID: &'static str = UPLOADS;

    fn read(members: &mut Members) -> Self {
        Self { incomplete_expiry: maybe(members, "incomplete_expiry") }
    }

    fn effective(shared: &Shared) -> Map<String, Value> {
        members(json!({ "incomplete_expiry": duration_text(shared.gateway.limits().incomplete_expiry) }))
    }
}

/// What is set here, if anything is.
async fn set<S: Settings>(shared: &Shared, session: &Session) -> Result<Vec<Administered<S>>, Problem> {
    let mut all = shared.gateway.administered::<S>(session, None).await?;
    all.retain(|one| one.key.id == S::ID);
    Ok(all)
}

fn shown<S: Settings>(shared: &Shared, set: Option<&Administered<S>>) -> Response {
    let spec = set.and_then(|one| one.spec.as_ref());
    // What is not set is left out of it.
    let overridden = spec.and_then(|spec| serde_json::to_value(spec).ok()).map(members).unwrap_or_default();
    let tag = format!("\"{}\"", set.map_or(NOTHING_SET, |one| &one.tag));
    let mut out = S::effective(shared);
    out.insert("overridden".into(), overridden.keys().cloned().collect::<Vec<_>>().into());
    out.insert("etag".into(), tag.clone().into());
    let mut response = answer(StatusCode::OK, &Value::from(out));
    if let Some(tag) = header_value(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

pub async fn get<S: Settings>(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), &[])?;
    let set = set::<S>(&shared, &caller.session).await?;
    Ok(shown(&shared, set.first()))
}

/// `GET /config`.
pub async fn whole(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), &[])?;
    let file = shared.gateway.configuration(&caller.session).await?;
    let (limits, uploads) = (LimitsSpec::effective(&shared), UploadsSpec::effective(&shared));
    Ok(answer(StatusCode::OK, &json!({ "file": *file, "limits": limits, "uploads": uploads })))
}

pub fn whole_operation() -> Operation {
    let part = |about: &str| json!({ "type": "object", "description": about });
    let shape = Shape::Named(
        "Configuration",
        json!({
            "type": "object",
            "description": "The configuration.",
            "required": ["file", "limits", "uploads"],
            "properties": {
                "file": part("The file of the node that answers, key by key; secrets are references, hashes are masked."),
                "limits": part("The limits that count now."),
                "uploads": part("The settings of uploads that count now."),
            },
        }),
    );
    let example = json!({
        "file": { "node": { "name": "gw-1" }, "database": { "url": "env:DATABASE_URL" } },
        "limits": Group::limits().example, "uploads": Group::uploads().example,
    });
    Operation::new(Tag::Administration, "getConfiguration", "The configuration")
        .scope(Scope::AdminGateway)
        .answer(Answer::bare(StatusCode::OK, "It.").content("application/json", shape, Some(example)))
        .fails([ErrorKind::InvalidArgument])
}

/// Whether `If-Match`, where it is sent, fits that nothing is set.
fn fits_nothing(headers: &HeaderMap) -> Result<bool, Problem> {
    Ok(match Conditions::of(headers)?.if_match {
        None | Some(Tags::Any) => true,
        Some(Tags::List(tags)) => tags.iter().any(|(weak, tag)| !weak && tag == NOTHING_SET.as_bytes()),
    })
}

pub async fn put<S: Settings>(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), &[])?;
    let session = &caller.session;
    let all = set::<S>(&shared, session).await?;
    let version = if all.is_empty() {
        if !fits_nothing(request.headers())? {
            let sentence = "nothing is set any more; read it again and decide anew";
            return Err(Error::new(ErrorKind::PreconditionFailed, sentence).into());
        }
        None
    } else {
        Some(expected(request.headers(), &all)?)
    };
    let (_, mut members) = Members::of(&shared, request).await?;
    let spec = S::read(&mut members);
    for name in ["overridden", "etag"] {
        members.take(name);
    }
    members.finish()?;
    let made = match version {
        None => shared.gateway.make_object(session, None, S::ID, spec).await?,
        Some(version) => shared.gateway.replace_object(session, None, S::ID, version, spec).await?,
    };
    Ok(shown(&shared, Some(&made)))
}

pub async fn reset<S: Settings>(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), &[])?;
    let all = set::<S>(&shared, &caller.session).await?;
    let version = expected(&headers, &all)?;
    shared.gateway.remove_object::<S>(&caller.session, None, S::ID, version).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn limits(body: bool) -> Map<String, Value> {
    let or_null = |kind: &str| if body { json!([kind, "null"]) } else { json!(kind) };
    let size = |about: &str, null: bool| {
        let kind = if null { json!(["integer", "null"]) } else { or_null("integer") };
        json!({ "type": kind, "format": "int64", "minimum": 1, "maximum": i64::MAX, "description": about })
    };
    let time = |about: &str| json!({ "type": or_null("string"), "format": "duration-text", "description": about });
    members(json!({
        "max_file_size": size("Largest file, in bytes.", false),
        "bandwidth_up": size("Bytes a second that one session may send; null: unlimited. Transfers that run keep theirs.", true),
        "bandwidth_down": size("The same of what it receives.", true),
        "requests_per_minute": { "type": or_null("integer"), "minimum": 1, "maximum": u32::MAX, "description": "Requests of one identity in a minute." },
        "failed_logins": { "type": or_null("integer"), "minimum": i32::from(body), "maximum": 1_000_000, "description": "Failed logins of one login and address in the window." },
        "failed_logins_window": time("The window: `10m`."),
        "ban": time("How long logins are then refused: `15m`."),
    }))
}

fn uploads(body: bool) -> Map<String, Value> {
    let kind = if body { json!(["string", "null"]) } else { json!("string") };
    members(json!({
        "incomplete_expiry": { "type": kind, "format": "duration-text", "description": "How long an incomplete upload can be gone on with: `7d`." },
    }))
}

fn with_state(mut own: Map<String, Value>, body: bool) -> Map<String, Value> {
    let about = |text: &str| if body { "As it was shown; it is passed over.".to_owned() } else { text.to_owned() };
    own.insert(
        "overridden".into(),
        json!({ "type": "array", "items": { "type": "string" }, "readOnly": true, "description": about("What is set here; the rest is as the configuration says.") }),
    );
    own.insert(
        "etag".into(),
        json!({ "type": "string", "pattern": "^\"[cv][0-9]+\"$", "readOnly": true, "description": about("What `If-Match` names of it.") }),
    );
    own
}

fn answered(name: &'static str, own: Map<String, Value>) -> Shape {
    let own = with_state(own, false);
    let required: Vec<String> = own.keys().cloned().collect();
    Shape::Named(
        name,
        json!({ "type": "object", "description": "Settings as they count now.", "required": required, "properties": own }),
    )
}

fn asked(name: &'static str, own: Map<String, Value>) -> Shape {
    Shape::Named(name, json!({ "type": "object", "additionalProperties": false, "properties": with_state(own, true) }))
}

struct Group {
    ids: [&'static str; 3],
    shape: Shape,
    body: Shape,
    example: Value,
    request: Value,
}

impl Group {
    fn limits() -> Self {
        Self {
            ids: ["getLimits", "setLimits", "resetLimits"],
            shape: answered("Limits", limits(false)),
            body: asked("NewLimits", limits(true)),
            example: json!({
                "max_file_size": 107_374_182_400_u64, "bandwidth_up": 52_428_800, "bandwidth_down": null,
                "requests_per_minute": 6_000, "failed_logins": 10, "failed_logins_window": "10m", "ban": "15m",
                "overridden": ["bandwidth_up"], "etag": "\"v12\"",
            }),
            request: json!({ "bandwidth_up": 52_428_800 }),
        }
    }

    fn uploads() -> Self {
        Self {
            ids: ["getUploadSettings", "setUploadSettings", "resetUploadSettings"],
            shape: answered("UploadSettings", uploads(false)),
            body: asked("NewUploadSettings", uploads(true)),
            example: json!({ "incomplete_expiry": "14d", "overridden": ["incomplete_expiry"], "etag": "\"v12\"" }),
            request: json!({ "incomplete_expiry": "14d" }),
        }
    }

    fn operation(&self, at: usize, summary: &'static str) -> Operation {
        let id = self.ids.get(at).copied().unwrap_or_default();
        Operation::new(Tag::Administration, id, summary).scope(Scope::AdminGateway)
    }

    fn answer(&self) -> Answer {
        let shape = self.shape.clone();
        Answer::bare(StatusCode::OK, "As they count now.")
            .content("application/json", shape, Some(self.example.clone()))
            .header(&ETAG)
    }

    fn got(self, summary: &'static str) -> Operation {
        self.operation(0, summary).answer(self.answer()).fails([ErrorKind::InvalidArgument])
    }

    fn put(self, summary: &'static str) -> Operation {
        self.operation(1, summary)
            .text("What is set counts over the configuration, on this node now and on every other within a second; what is not sent is as the configuration says. `If-Match` is needed where something is set already.")
            .parameters(&[super::told::IF_MATCH])
            .body(Body::json("What is set.", self.body.clone(), self.request.clone()))
            .answer(self.answer())
            .fails(problems::JSON)
            .fails([ErrorKind::AlreadyExists, ErrorKind::NotFound, ErrorKind::PreconditionFailed, ErrorKind::NoSpace])
            .fails([HttpFault::PreconditionRequired])
    }

    fn reset(self, summary: &'static str) -> Operation {
        self.operation(2, summary)
            .text("From then on all of them are as the configuration says; 404 where nothing was set.")
            .parameters(&[super::told::IF_MATCH])
            .answer(Answer::bare(StatusCode::NO_CONTENT, "Nothing is set any more."))
            .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound, ErrorKind::PreconditionFailed, ErrorKind::NoSpace])
            .fails([HttpFault::PreconditionRequired])
    }
}

pub fn get_limits_operation() -> Operation {
    Group::limits().got("The limits")
}

pub fn put_limits_operation() -> Operation {
    Group::limits().put("Sets limits")
}

pub fn reset_limits_operation() -> Operation {
    Group::limits().reset("Takes back what was set of the limits")
}

pub fn get_uploads_operation() -> Operation {
    Group::uploads().got("The settings of uploads")
}

pub fn put_uploads_operation() -> Operation {
    Group::uploads().put("Sets settings of uploads")
}

pub fn reset_uploads_operation() -> Operation {
    Group::uploads().reset("Takes back what was set of the uploads")
}
