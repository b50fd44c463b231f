//! `GET /transfers`: every transfer that the caller may see, whatever carries it, the newest first.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use causeway_core::identity::Scope;
use causeway_core::jobs::transfers::TransferFilter;
use causeway_core::records::{TransferState, since_epoch};
use causeway_core::{ErrorKind, Protocol};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::TransferJson;
use crate::auth::Caller;
use crate::openapi::schemas::{Cursor, moment};
use crate::openapi::{Answer, Operation, Parameter, Tag, examples, parameters};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;
use crate::routes::{cursor_of, cursor_text, wrong_cursor};

/// The parameters of the query.
const QUERY: [Parameter; 5] = [
    Parameter::query("state", "Only those in these states, separated by commas.", states, "failed,running"),
    Parameter::query("protocol", "Only those that these carry, separated by commas.", protocols, "sftp,transfer"),
    Parameter::query(
        "since",
        "Only those that were asked for at this moment or later.",
        moment,
        "2026-11-24T20:15:02Z",
    ),
    parameters::LIMIT,
    Parameter::query(
        "cursor",
        "Where the page begins: `next_cursor` of the one before, as it was given.",
        place,
        CURSOR,
    ),
];

const CURSOR: &str = "MDE5OWEwYjItN2M0ZC03ZTEwLThiMWYtM2Q1YTZjN2U4Zjkw";

fn listed(words: &[&str]) -> Value {
    let one = words.join("|");
    json!({ "type": "string", "pattern": format!("^({one})(,({one}))*$") })
}

fn states() -> Value {
    listed(&super::STATES)
}

fn protocols() -> Value {
    listed(&["sftp", "scp", "ftps", "api", "transfer"])
}

fn place() -> Value {
    json!({ "type": "string", "format": "cursor", "minLength": 1 })
}

/// A page of transfers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TransferPage")]
struct Page<'a> {
    /// The newest first.
    transfers: Vec<TransferJson<'a>>,
    /// The `cursor` of the next page; null where this was the last one. A page may have fewer entries than asked for.
    #[schemars(with = "Option<Cursor>")]
    next_cursor: Option<String>,
}

pub fn operation() -> Operation {
    let example = json!({ "transfers": [examples::transfer()], "next_cursor": null });
    Operation::new(Tag::Transfers, "listTransfers", "The transfers of all protocols")
        .text("The newest first: those in the background, uploads and downloads under way, and those that have ended. The caller's own, and those that lie in its view; for `admin` all of the tenant's.")
        .scope(Scope::TransfersRead)
        .parameters(&QUERY)
        .answer(Answer::json::<Page<'_>>(StatusCode::OK, "A page.", example))
        .fails([ErrorKind::InvalidArgument])
}

fn words<T>(query: &Query, name: &str, parse: impl Fn(&str) -> Option<T>, known: &str) -> Result<Vec<T>, Problem> {
    let all = query.list(name)?;
    all.into_iter()
        .map(|word| {
            parse(word).ok_or_else(|| Problem::field(name, format!("this is one of {known}, or several of them")))
        })
        .collect()
}

fn filter(query: &Query) -> Result<TransferFilter, Problem> {
    let since = match query.text("since")? {
        None => None,
        Some(text) => {
            let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
                Problem::field("since", "this is a time as RFC 3339 writes it, such as 2026-11-24T20:15:02Z")
            })?;
            Some(since_epoch(at))
        }
    };
    let before = match query.text("cursor")? {
        None => None,
        Some(cursor) => Some(Uuid::try_parse(&cursor_text(cursor)?).map_err(|_| wrong_cursor())?),
    };
    Ok(TransferFilter {
        states: words(
            query,
            "state",
            TransferState::parse,
            "queued, running, retrying, completed, failed and cancelled",
        )?,
        protocols: words(query, "protocol", Protocol::parse, "sftp, scp, ftps, api and transfer")?,
        since,
        before,
    })
}

pub async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &QUERY)?;
    let limit = query.limit()?;
    let page = shared.gateway.transfers(&caller.session, &filter(&query)?, limit).await?;
    let transfers = page.transfers.iter().map(TransferJson::of).collect();
    let next_cursor = page.next.map(|id| cursor_of(&id.to_string()));
    Ok(crate::json::json(StatusCode::OK, &Page { transfers, next_cursor }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<TransferFilter, Problem> {
        filter(&Query::parse(Some(query), &QUERY).unwrap())
    }

    #[test]
    fn filters_are_words_times_and_cursors() {
        let found = of("state=failed,cancelled&protocol=sftp&since=1970-01-01T00:00:02Z").unwrap();
        assert_eq!(found.states, [TransferState::Failed, TransferState::Cancelled]);
        assert_eq!((found.protocols.as_slice(), found.since), (&[Protocol::Sftp][..], Some(2_000_000)));
        let id = Uuid::now_v7();
        assert_eq!(of(&format!("cursor={}", cursor_of(&id.to_string()))).unwrap().before, Some(id));
        for bad in ["state=done", "protocol=ftp", "since=yesterday", "cursor=x", "cursor=AAAA"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
