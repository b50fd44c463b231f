//! `GET /audit` and `GET /audit/verify`: the trail as JSON, as lines of JSON, or as CSV (RFC 4180), by `Accept`
//! (RFC 9110 section 12.5.1). Pages of the last two are linked by `Link: rel="next"` (RFC 8288).

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use causeway_core::audit::export_line;
use causeway_core::events::{Operation as Act, with_hidden_escaped};
use causeway_core::identity::Scope;
use causeway_core::records::{AuditFilter, AuditRow, Micros};
use causeway_core::{Error, ErrorKind, Protocol, VirtualPath};
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

const OUTCOMES: [&str; 3] = ["ok", "denied", "error"];

fn operation_schema() -> Value {
    json!({ "type": "string", "enum": OPERATIONS.iter().map(|operation| operation.as_str()).collect::<Vec<_>>() })
}

fn outcome_schema() -> Value {
    json!({ "type": "string", "enum": OUTCOMES })
}

fn protocol_schema() -> Value {
    json!({ "type": "string", "enum": PROTOCOLS.iter().map(|protocol| protocol.as_str()).collect::<Vec<_>>() })
}

/// The columns of the CSV form.
const COLUMNS: &[&str] = &[
    "seq",
    "id",
    "timestamp",
    "tenant_id",
    "identity",
    "login",
    "protocol",
    "session",
    "client_ip",
    "node",
    "operation",
    "outcome",
    "status",
    "path",
    "view_path",
    "previous_path",
    "file_id",
    "transfer_id",
    "size",
    "bytes",
    "complete",
    "hash",
    "content_type",
    "duration_ms",
    "error_code",
    "error_message",
    "auth_method",
    "cipher",
    "client_version",
    "entry_hash",
];

const OPERATIONS: &[Act] = &[
    Act::Upload,
    Act::Download,
    Act::Delete,
    Act::Rename,
    Act::Copy,
    Act::Attributes,
    Act::Mkdir,
    Act::Rmdir,
    Act::List,
    Act::Login,
    Act::Logout,
    Act::Admin,
    Act::Transfer,
];

const PROTOCOLS: &[Protocol] = &[Protocol::Sftp, Protocol::Scp, Protocol::Ftps, Protocol::Api, Protocol::Transfer];

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
    let table = format!("{}\r\n", COLUMNS.join(","));
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
    let entries = rows.iter().map(entry).collect::<causeway_core::Result<Vec<_>>>()?;
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
    let operation = word(query, "operation", OPERATIONS.iter().map(|operation| operation.as_str()))?;
    let outcome = word(query, "outcome", OUTCOMES.into_iter())?;
    let protocol = word(query, "protocol", PROTOCOLS.iter().map(|protocol| protocol.as_str()))?;
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

/// An entry: the fields that were hashed, with its place in the chain. (`hash` is the content's; the entry's own is
/// `entry_hash`.)
fn entry(row: &AuditRow) -> causeway_core::Result<Map<String, Value>> {
    let mut fields: Map<String, Value> = serde_json::from_slice(&row.record.body)
        .map_err(|error| Error::internal(format_args!("an audit entry is no JSON object: {error}")))?;
    fields.insert("seq".into(), row.seal.as_ref().map(|seal| seal.seq).into());
    fields.insert("entry_hash".into(), row.seal.as_ref().map(|seal| hex::encode(seal.hash)).into());
    Ok(fields)
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
    let mut out = COLUMNS.join(",");
    out.push_str("\r\n");
    for entry in entries {
        for (n, column) in COLUMNS.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            match entry.get(*column) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => cell(&mut out, text),
                Some(other) => cell(&mut out, &other.to_string()),
            }
        }
        out.push_str("\r\n");
    }
    out.into_bytes()
}

/// What a spreadsheet may take for the beginning of a formula; the wide ones where East Asian text is entered. (Tabs and ends
/// of lines are escaped.)
const FORMULA: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// One cell. What a spreadsheet would take for a formula gets an apostrophe before it: file names are a stranger's. An entry
/// is one line, and nothing in it is hidden: what would be is written as JSON writes it (`\u000a`).
fn cell(out: &mut String, text: &str) {
    let text = with_hidden_escaped(text);
    let formula = text.starts_with(FORMULA);
    if !formula && !text.contains([',', '"']) {
        out.push_str(&text);
        return;
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
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
