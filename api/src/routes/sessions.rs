//! `/sessions`: the live sessions of all protocols and nodes, and ending one.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use causeway_core::events::timestamp;
use causeway_core::identity::Scope;
use causeway_core::{Error, ErrorKind, LiveSession, Protocol, SessionFilter};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{cursor_of, cursor_text, wrong_cursor};
use crate::auth::Caller;
use crate::json::json;
use crate::openapi::parameters::LIVE_SESSION_ID;
use crate::openapi::schemas::{Cursor, Moment};
use crate::openapi::{Answer, Operation, Parameter, Tag, examples, parameters};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;

/// The parameters of the query.
const QUERY: [Parameter; 6] = [
    Parameter::query(
        "tenant",
        "The tenant; the caller's own where it is left out. Another one needs the scope `admin:gateway`.",
        word,
        "acme",
    ),
    Parameter::query("protocol", "Only those of this protocol.", protocol, "sftp"),
    Parameter::query("identity", "Only those of this identity.", word, "edi-partner"),
    Parameter::query("login", "Only those of this login or API key.", word, "edi01"),
    parameters::LIMIT,
    Parameter::query(
        "cursor",
        "Where the page begins: `next_cursor` of the one before, as it was given.",
        place,
        "MDE5OWEwYjItN2M0ZC03ZTEwLThiMWYtM2Q1YTZjN2U4Zjkw",
    ),
];

const PROTOCOLS: [&str; 3] = ["sftp", "ftps", "api"];

fn word() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn protocol() -> Value {
    json!({ "enum": PROTOCOLS })
}

fn place() -> Value {
    json!({ "type": "string", "format": "cursor", "minLength": 1 })
}

/// A session that is live, or a request that is under way.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LiveSession")]
struct SessionJson<'a> {
    /// Its id, which its events have, too.
    session_id: Uuid,
    /// The tenant.
    tenant_id: &'a str,
    /// The protocol that it came by; `scp` over SSH is a part of an `sftp` session.
    #[schemars(extend("enum" = PROTOCOLS))]
    protocol: &'a str,
    /// As whom it acts.
    identity: &'a str,
    /// By which login or API key.
    login: &'a str,
    /// The client's address.
    client_ip: &'a str,
    /// What the client says of its software.
    client_version: Option<&'a str>,
    /// What was proven: `password`, `publickey+totp`, `api_key` …
    auth_method: &'a str,
    /// The node that has it.
    node: &'a str,
    /// When it began.
    #[schemars(with = "Moment")]
    started_at: String,
    /// Bytes of content that came so far; null for a session of another node than the one that answers, as are the next two.
    bytes_up: Option<u64>,
    /// Bytes of content that went so far.
    bytes_down: Option<u64>,
    /// `upload` or `download` while it moves content.
    operation: Option<&'static str>,
}

impl<'a> SessionJson<'a> {
    fn of(session: &'a LiveSession) -> Self {
        Self {
            session_id: session.id,
            tenant_id: &session.tenant,
            protocol: &session.protocol,
            identity: &session.identity,
            login: &session.login,
            client_ip: &session.client_ip,
            client_version: session.client_version.as_deref(),
            auth_method: &session.auth_method,
            node: &session.node,
            started_at: timestamp(session.started_at),
            bytes_up: session.moved.map(|(up, _)| up),
            bytes_down: session.moved.map(|(_, down)| down),
            operation: session.operation.map(causeway_core::events::Operation::as_str),
        }
    }
}

/// A page of live sessions.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SessionPage")]
struct Page<'a> {
    /// The newest first.
    sessions: Vec<SessionJson<'a>>,
    /// The `cursor` of the next page; null where this was the last one.
    #[schemars(with = "Option<Cursor>")]
    next_cursor: Option<String>,
}

pub fn list_operation() -> Operation {
    let example = json!({ "sessions": [examples::session()], "next_cursor": null });
    Operation::new(Tag::Administration, "listSessions", "The live sessions of all protocols and nodes")
        .text("SFTP and FTPS sessions, and requests of the API that are under way, the newest first. Those of other nodes are told about a second after they began; requests that are over by then are not.")
        .scope(Scope::Admin)
        .parameters(&QUERY)
        .answer(Answer::json::<Page<'_>>(StatusCode::OK, "A page.", example))
        .fails([ErrorKind::InvalidArgument])
}

pub fn end_operation() -> Operation {
    Operation::new(Tag::Administration, "endSession", "Ends a live session")
        .text("Whichever node has it: at once where that is the one that answers, otherwise within about a second. What is being committed comes to its end; an upload that is open stays to be resumed, a download ends. The client may log in again as long as its login is there.")
        .scope(Scope::Admin)
        .parameters(&[LIVE_SESSION_ID])
        .answer(Answer::bare(StatusCode::NO_CONTENT, "It is ended."))
        .fails([ErrorKind::NotFound])
}

fn filter(query: &Query) -> Result<SessionFilter, Problem> {
    let protocol = match query.text("protocol")? {
        None => None,
        Some(word) if PROTOCOLS.contains(&word) => Protocol::parse(word),
        Some(_) => return Err(Problem::field("protocol", "this is one of sftp, ftps and api")),
    };
    let before = match query.text("cursor")? {
        None => None,
        Some(cursor) => Some(Uuid::try_parse(&cursor_text(cursor)?).map_err(|_| wrong_cursor())?),
    };
    let text = |name| Ok::<_, Problem>(query.text(name)?.map(str::to_owned));
    Ok(SessionFilter { tenant: text("tenant")?, protocol, identity: text("identity")?, login: text("login")?, before })
}

pub async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &QUERY)?;
    let limit = query.limit()?;
    let page = shared.gateway.sessions(&caller.session, &filter(&query)?, limit).await?;
    let sessions = page.sessions.iter().map(SessionJson::of).collect();
    let next_cursor = page.next.map(|id| cursor_of(&id.to_string()));
    Ok(json(StatusCode::OK, &Page { sessions, next_cursor }))
}

pub async fn end(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, Problem> {
    let id = id.map(|Path(id)| id).map_err(|_| Error::new(ErrorKind::NotFound, "no such session"))?;
    shared.gateway.end_session(&caller.session, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<SessionFilter, Problem> {
        filter(&Query::parse(Some(query), &QUERY).ok().unwrap())
    }

    #[test]
    fn what_is_looked_for_is_read() {
        let all = read("").ok().unwrap();
        assert!(all.tenant.is_none() && all.protocol.is_none() && all.before.is_none());
        let id = Uuid::now_v7();
        let query = format!("tenant=acme&protocol=ftps&identity=i&login=l&cursor={}", cursor_of(&id.to_string()));
        let some = read(&query).ok().unwrap();
        assert_eq!(some.tenant.as_deref(), Some("acme"));
        assert_eq!((some.protocol, some.before), (Some(Protocol::Ftps), Some(id)));
        assert_eq!((some.identity.as_deref(), some.login.as_deref()), (Some("i"), Some("l")));
        for wrong in ["protocol=scp", "protocol=transfer", "cursor=x", "cursor=eA"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
