//! `GET /audit` and `GET /audit/verify`: the trail as JSON, as lines of JSON, or as CSV (RFC 4180), by `Accept`
//! (RFC 9110 section 12.5.1). Pages of the last two are linked by `Link: rel="next"` (RFC 8288).

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use causeway_core::audit::{OUTCOMES, csv_header, csv_row, export_line, shown};
use causeway_core::events::Operation as Act;
use causeway_core::identity::Scope;
use causeway_core::records::{AuditFilter, AuditRow, Micros};
use causeway_core::{ErrorKind, Protocol, VirtualPath};
use http::header::{self, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{cursor_of, cursor_text, header_value, wrong_cursor};
use crate::auth::Caller;
use crate::json::json;
use crate::openapi::schemas::{AuditEntry, Cursor, moment as moment_schema, path, word as any_word};
use crate::openapi::{Answer, Operation, Parameter, Shape, Tag, examples, headers as told, parameters};
use crate::problem::Problem;
use crate::query::{Query, percent_encode};
use crate::router::Shared;

/// The parameters of the query.
const QUERY: [Parameter; 10] = [
    Parameter::query("since", "Only entries of this moment and later.", moment_schema, "2026-11-24T00:00:00Z"),
    Parameter::query("until", "Only entries before this moment.", moment_schema, "2026-11-25T00:00:00Z"),
    Parameter::query("identity", "Only entries of this identity.", any_word, "edi-partner"),
    Parameter::query("login", "Only entries of this login.", any_word, "edi01"),
    Parameter::query("operation", "Only entries of this operation.", operation_schema, "upload"),
    Parameter::query("outcome", "Only entries that ended so.", outcome_schema, "denied"),
    Parameter::query("path", "Only entries of this path of the tenant's tree.", path, "/inbound/orders.csv"),
    Parameter::query("protocol", "Only entries of this protocol.", protocol_schema, "sftp"),
    parameters::LIMIT,
    Parameter { example: "NDcxMQ", ..parameters::CURSOR },
];

fn operation_schema() -> Value {
    json!({ "type": "string", "enum": Act::ALL.iter().map(|operation| operation.as_str()).collect::<Vec<_>>() })
}

fn outcome_schema() -> Value {
    json!({ "type": "string", "enum": OUTCOMES })
}

fn protocol_schema() -> Value {
    json!({ "type": "string", "enum": Protocol::ALL.iter().map(|protocol| protocol.as_str()).collect::<Vec<_>>() })
}

/// A page of the trail.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditPage")]
struct Page {
    /// The entries, oldest first.
    #[schemars(with = "Vec<AuditEntry>")]
    entries: Vec<Map<String, Value>>,
    /// The `cursor` of the next page; null where this is the last.
    #[schemars(with = "Option<Cursor>")]
    next_cursor: Option<String>,
}

pub fn entries_operation() -> Operation {
    let example = json!({ "entries": [examples::audit_entry()], "next_cursor": null });
    let lines = format!("{}\n", examples::audit_entry());
    let table = csv_header();
    Operation::new(Tag::Audit, "listAuditEntries", "The trail")
        .text("In the order of the trail, by `seq`; entries that wait for their place are last. `Accept` chooses the form: `application/json`, `application/x-ndjson` (an entry a line) or `text/csv` (RFC 4180). The last two tell the next page in `Link` and `X-Next-Cursor`.")
        .scope(Scope::AuditRead)
        .parameters(&QUERY)
        .answer(
            Answer::json::<Page>(StatusCode::OK, "A page.", example)
                .content("application/x-ndjson", Shape::Inline(json!({ "type": "string" })), Some(lines.into()))
                .content("text/csv", Shape::Inline(json!({ "type": "string" })), Some(table.into()))
                .maybe(&told::VARY)
                .maybe(&told::LINK)
                .maybe(&told::X_NEXT_CURSOR),
        )
        .fails([ErrorKind::InvalidArgument, ErrorKind::InvalidName])
}

pub async fn entries(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::parse(raw.as_deref(), &QUERY)?;
    let (filter, limit) = (filter(&query)?, query.limit()?);
    let mut rows = shared.gateway.audit(&caller.session, &filter, limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = more.then(|| cursor_of(&end_of_page(&mut rows, filter.after).to_string()));
    let entries: Vec<_> = rows.iter().map(|row| shown(&row.record, row.seal.as_ref())).collect();
    let (media_type, body) = match accepted(&headers) {
        Form::Json => return Ok(json(StatusCode::OK, &Page { entries, next_cursor })),
        Form::Lines => ("application/x-ndjson", lines(&entries)),
        Form::Csv => ("text/csv; charset=utf-8; header=present", csv(&entries)),
    };
    let mut response = ([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response();
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    if let Some(cursor) = next_cursor {
        let target = next_target(raw.as_deref().unwrap_or_default(), &cursor);
        let link = format!("<{}/api/v1/audit?{target}>; rel=\"next\"", shared.config.public_url);
        for (name, value) in
            [(header::LINK, link.as_str()), (HeaderName::from_static("x-next-cursor"), cursor.as_str())]
        {
            if let Some(value) = header_value(value) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    Ok(response)
}

/// What a walk over the chain has found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditVerification")]
struct Verified {
    /// Entries that were looked at.
    entries: u64,
    /// Those of them that have their place in the chain; the others get it soon.
    sealed: u64,
    /// The place of the first.
    first: i64,
    /// The place of the last.
    last: i64,
    /// Whether nothing was changed, removed or put in between.
    valid: bool,
    /// The place of the first entry that is not as it was sealed.
    broken_at: Option<i64>,
    /// What is wrong there: `missing`, `changed`, `inserted`, `truncated`, `rewritten` or `forged`.
    breach: Option<String>,
    /// Entries that wait for their place.
    unsealed: u64,
    /// The last place up to which a signed head vouches for the trail; 0 where none does.
    signed: i64,
}

pub fn verify_operation() -> Operation {
    let example = json!({ "entries": 4712, "sealed": 4711, "first": 1, "last": 4711, "valid": true, "broken_at": null, "breach": null, "unsealed": 1, "signed": 4690 });
    Operation::new(Tag::Audit, "verifyAudit", "Whether the trail is unbroken")
        .text("Walks the tenant's chain from its beginning, or from where old entries were removed, and compares it with the heads that were signed of it.")
        .scope(Scope::AuditRead)
        .answer(Answer::json::<Verified>(StatusCode::OK, "What was found.", example))
}

pub async fn verify(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Response, Problem> {
    let found = shared.gateway.verify_audit(&caller.session).await?;
    let answer = Verified {
        entries: found.entries,
        sealed: found.sealed,
        first: found.first,
        last: found.last,
        valid: found.valid,
        broken_at: found.broken_at,
        breach: found.breach.map(|breach| breach.as_str().to_owned()),
        unsealed: found.entries.saturating_sub(found.sealed),
        signed: found.signed,
    };
    Ok(json(StatusCode::OK, &answer))
}

/// The place behind which the next page begins. A page that others follow ends before the first entry that waits for its place:
/// it is on the next one, where it may have it. Only where all of them wait are they shown, and shown again.
fn end_of_page(rows: &mut Vec<AuditRow>, after: Option<i64>) -> i64 {
    let waiting = rows.iter().position(|row| row.seal.is_none());
    if let Some(at) = waiting.filter(|at| *at > 0) {
        rows.truncate(at);
    }
    rows.last().and_then(|row| row.seal.as_ref()).map_or(after.unwrap_or(0), |seal| seal.seq)
}

fn filter(query: &Query) -> Result<AuditFilter, Problem> {
    let text = |name| Ok::<_, Problem>(query.text(name)?.map(str::to_owned));
    let path = match query.text("path")? {
        None => None,
        Some(path) => Some(VirtualPath::parse(path).map_err(|error| Problem::from(error).at("path"))?.to_string()),
    };
    let after = match query.text("cursor")? {
        None => None,
        Some(cursor) => Some(cursor_text(cursor)?.parse().ok().filter(|seq| *seq >= 0).ok_or_else(wrong_cursor)?),
    };
    let operation = word(query, "operation", Act::ALL.iter().map(|operation| operation.as_str()))?;
    let outcome = word(query, "outcome", OUTCOMES.into_iter())?;
    let protocol = word(query, "protocol", Protocol::ALL.iter().map(|protocol| protocol.as_str()))?;
    Ok(AuditFilter {
        since: moment(query, "since")?,
        until: moment(query, "until")?,
        identity: text("identity")?,
        login: text("login")?,
        operation,
        outcome,
        path,
        protocol,
        after,
    })
}

fn word(
    query: &Query,
    name: &str,
    mut known: impl Iterator<Item = &'static str> + Clone,
) -> Result<Option<String>, Problem> {
    let Some(word) = query.text(name)? else { return Ok(None) };
    let all = known.clone().collect::<Vec<_>>().join(", ");
    match known.find(|known| *known == word) {
        Some(word) => Ok(Some(word.to_owned())),
        None => Err(Problem::field(name, format!("this is one of: {all}"))),
    }
}

fn moment(query: &Query, name: &str) -> Result<Option<Micros>, Problem> {
    let Some(text) = query.text(name)? else { return Ok(None) };
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
        Problem::field(name, "this is a time as RFC 3339 writes it, such as 2026-11-24T20:15:02Z (`+` as `%2B`)")
    })?;
    Ok(Some(causeway_core::records::since_epoch(at)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
    Lines,
}

/// The form that `Accept` weighs most; JSON where it says nothing that is known here.
fn accepted(headers: &HeaderMap) -> Form {
    let mut best = (Form::Json, 0.0);
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parameters = range.split(';').map(str::trim);
            let form = match parameters.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/json" | "application/*" | "*/*" => Form::Json,
                "text/csv" | "text/*" => Form::Csv,
                "application/x-ndjson" | "application/ndjson" => Form::Lines,
                _ => continue,
            };
            let weight =
                parameters.find_map(|parameter| parameter.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if weight > best.1 {
                best = (form, weight);
            }
        }
    }
    best.0
}

fn lines(entries: &[Map<String, Value>]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        out.extend(export_line(entry).into_bytes());
        out.push(b'\n');
    }
    out
}

fn csv(entries: &[Map<String, Value>]) -> Vec<u8> {
    let mut out = csv_header();
    for entry in entries {
        csv_row(&mut out, entry);
    }
    out.into_bytes()
}

/// The same query with another cursor.
fn next_target(raw: &str, cursor: &str) -> String {
    let mut parts: Vec<&str> = raw.split('&').filter(|part| !part.is_empty() && !part.starts_with("cursor=")).collect();
    let cursor = format!("cursor={}", percent_encode(cursor));
    parts.push(&cursor);
    parts.join("&")
}

#[cfg(test)]
#[path = "audit_test.rs"]
mod tests;
