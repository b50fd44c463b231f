//! `GET /events`: the tenant's events that lie in the caller's view, oldest first. `after` is the id of the last event
//! that the caller has seen.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use causeway_core::events::EVENT_KINDS;
use causeway_core::identity::Scope;
use causeway_core::{Error, ErrorKind};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Caller;
use crate::json::json;
use crate::openapi::schemas::{Cursor, id};
use crate::openapi::{Answer, Operation, Parameter, Tag, examples, parameters};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;

/// The parameters of the query.
const QUERY: [Parameter; 3] = [
    Parameter::query("after", "The id of the last event that the caller has seen.", id, crate::openapi::schemas::ID),
    Parameter::query(
        "type",
        "Only these kinds: names, or groups as `transfer.*`, separated by commas; it may stand several times.",
        kinds_schema,
        "file.uploaded,transfer.*",
    ),
    parameters::LIMIT,
];

fn kinds_schema() -> Value {
    let mut groups: Vec<&str> = EVENT_KINDS.iter().filter_map(|kind| kind.split('.').next()).collect();
    groups.dedup();
    let words: Vec<String> = EVENT_KINDS.iter().map(|kind| kind.replace('.', "\\.")).collect();
    let word = format!("({}|({})\\.\\*)", words.join("|"), groups.join("|"));
    json!({ "type": "string", "pattern": format!("^{word}(,{word})*$") })
}

/// A page of events.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventPage")]
struct Page {
    /// The events, oldest first, each as its webhook has it: `{id, type, timestamp, tenant_id, transfer_id, status, data}`.
    #[schemars(with = "Vec<crate::openapi::schemas::Event>")]
    events: Vec<serde_json::Value>,
    /// The `after` of the next page; null where this was the last one.
    #[schemars(with = "Option<Cursor>")]
    next_cursor: Option<String>,
}

pub fn operation() -> Operation {
    let example = json!({ "events": [examples::event()], "next_cursor": null });
    Operation::new(Tag::Events, "listEvents", "The events in the caller's view")
        .text("Oldest first, in order for each file, and each at least once. What happened where the caller cannot look is left out.")
        .scope(Scope::EventsRead)
        .parameters(&QUERY)
        .answer(Answer::json::<Page>(StatusCode::OK, "A page.", example))
        .fails([ErrorKind::InvalidArgument])
}

pub async fn events(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &QUERY)?;
    let limit = query.limit()?;
    let after = match query.text("after")? {
        None => None,
        Some(id) => Some(Uuid::try_parse(id).map_err(|_| Problem::field("after", "this is the id of an event"))?),
    };
    let kinds = kinds(&query.list("type")?)?;
    let mut found = shared.gateway.events(&caller.session, after, &kinds, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(|last| last.event.id.to_string());
    let events = found
        .iter()
        .map(|stored| {
            serde_json::from_str(&stored.event.body)
                .map_err(|error| Error::internal(format_args!("an event is no JSON: {error}")))
        })
        .collect::<causeway_core::Result<_>>()?;
    Ok(json(StatusCode::OK, &Page { events, next_cursor }))
}

/// The kinds that a caller asks for: names of the contract, or a group as `transfer.*`.
fn kinds(asked: &[&str]) -> Result<Vec<String>, Problem> {
    let mut kinds = Vec::new();
    for word in asked {
        let before = kinds.len();
        let group = word.strip_suffix('*').filter(|group| group.ends_with('.'));
        kinds.extend(
            EVENT_KINDS
                .iter()
                .filter(|kind| *kind == word || group.is_some_and(|group| kind.starts_with(group)))
                .map(|kind| (*kind).to_owned()),
        );
        if kinds.len() == before {
            return Err(Problem::field("type", "there is no such kind of event; see the event reference"));
        }
    }
    Ok(kinds)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_groups() {
        assert_eq!(kinds(&["file.uploaded"]).unwrap(), ["file.uploaded"]);
        assert_eq!(kinds(&["folder.*"]).unwrap(), ["folder.created", "folder.deleted", "folder.renamed"]);
        assert!(kinds(&[]).unwrap().is_empty());
        for bad in ["file", "file.*d", "*", "nothing.*", "file.uploade"] {
            assert!(kinds(&[bad]).is_err(), "{bad}");
        }
    }
}
