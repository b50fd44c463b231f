//! `GET /transfers`: every transfer that the caller may see, whatever carries it, the newest first.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use causeway_core::Protocol;
use causeway_core::jobs::transfers::TransferFilter;
use causeway_core::records::{Micros, TransferState};
use http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::TransferJson;
use crate::auth::Caller;
use crate::json::json;
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;
use crate::routes::{cursor_of, cursor_text, wrong_cursor};

#[derive(Serialize)]
struct Page<'a> {
    transfers: Vec<TransferJson<'a>>,
    /// The `cursor` of the next page; none where this was the last one. A page may have fewer entries than asked for.
    next_cursor: Option<String>,
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
            let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
                Problem::field("since", "this is a time as RFC 3339 writes it, such as 2026-11-24T20:15:02Z")
            })?;
            Some((moment.unix_timestamp_nanos() / 1000) as Micros)
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
    let query = Query::parse(query.as_deref(), &["state", "protocol", "since", "limit", "cursor"])?;
    let limit = query.limit()?;
    let page = shared.gateway.transfers(&caller.session, &filter(&query)?, limit).await?;
    let transfers = page.transfers.iter().map(TransferJson::of).collect();
    let next_cursor = page.next.map(|id| cursor_of(&id.to_string()));
    Ok(json(StatusCode::OK, &Page { transfers, next_cursor }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<TransferFilter, Problem> {
        filter(&Query::parse(Some(query), &["state", "protocol", "since", "limit", "cursor"]).unwrap())
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
