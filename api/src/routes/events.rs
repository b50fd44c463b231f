//! `GET /events`: the tenant's events that lie in the caller's view, oldest first. `after` is the id of the last event
//! that the caller has seen. [`stream`] brings the same as they come.

pub mod stream;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use causeway_core::events::{EVENT_KINDS, EventFilter};
use causeway_core::identity::Scope;
use causeway_core::identity::spec::path_filter;
use causeway_core::{Error, ErrorKind};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Caller;
use crate::json::json;
use crate::openapi::schemas::{Cursor, ID, id};
use crate::openapi::{Answer, Operation, Parameter, Tag, examples, parameters};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;

const AFTER: Parameter = Parameter::query(
    "after",
    "The id of the last event that the caller has seen; `00000000-0000-0000-0000-000000000000` stands before the first.",
    id,
    ID,
);
const TYPE: Parameter = Parameter::query(
    "type",
    "Only these kinds: names, or groups as `transfer.*`, separated by commas; it may stand several times.",
    kinds_schema,
    "file.uploaded,transfer.*",
);
const PATH: Parameter = Parameter::query(
    "path",
    "Only events about files and folders under this pattern, by their `data.path`: `*` stays inside a folder, `**` goes below.",
    path_schema,
    "/inbound/**",
);

/// The parameters of the query.
const QUERY: [Parameter; 4] = [AFTER, TYPE, PATH, parameters::LIMIT];

fn path_schema() -> Value {
    json!({ "type": "string", "format": "path-glob", "pattern": "^(/|\\*\\*)", "maxLength": 1024 })
}

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
    /// The `after` that goes on behind this page, whether or not it was the last one: the id of its last event, or of a page without
    /// any the `after` of the request.
    #[schemars(with = "Option<Cursor>")]
    last_id: Option<String>,
}

pub fn operation() -> Operation {
    let example = json!({ "events": [examples::event()], "next_cursor": null, "last_id": ID });
    Operation::new(Tag::Events, "listEvents", "The events in the caller's view")
        .text("Oldest first, in order for each file, and each at least once. What happened where the caller cannot look is left out. Who comes again goes on with `after` = `last_id`, also behind the last page: nothing is passed over, whatever is committed meanwhile. An `after` that is not known here is 400.")
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
    let (limit, after, filter) = (query.limit()?, after(&query)?, filter(&query)?);
    let found = shared.gateway.events(&caller.session, after, &filter, limit + 1).await;
    let mut found = found.map_err(|error| unknown(error, AFTER.name))?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last_id = found.last().map(|last| last.event.id).or(after).map(|id| id.to_string());
    let next_cursor = last_id.clone().filter(|_| more);
    let events = found
        .iter()
        .map(|stored| {
            serde_json::from_str(&stored.event.body)
                .map_err(|error| Error::internal(format_args!("an event is no JSON: {error}")))
        })
        .collect::<causeway_core::Result<_>>()?;
    Ok(json(StatusCode::OK, &Page { events, next_cursor, last_id }))
}

fn after(query: &Query) -> Result<Option<Uuid>, Problem> {
    query.text(AFTER.name)?.map(|text| event_id(text, AFTER.name)).transpose()
}

/// The id of an event; `named` is where it stands.
fn event_id(text: &str, named: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::field(named, "this is the id of an event"))
}

/// Core's failure; where it does not know an event, that names where its id stands.
fn unknown(error: Error, named: &str) -> Problem {
    let wrong = error.kind() == ErrorKind::InvalidArgument;
    let problem = Problem::from(error);
    if wrong { problem.at(named) } else { problem }
}

/// Which events a query asks for.
fn filter(query: &Query) -> Result<EventFilter, Problem> {
    let kinds = kinds(&query.list(TYPE.name)?)?;
    let path = query.text(PATH.name)?.map(path_filter).transpose();
    Ok(EventFilter { kinds, path: path.map_err(|wrong| Problem::field(PATH.name, wrong))? })
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
