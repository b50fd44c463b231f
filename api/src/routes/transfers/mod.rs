//! `/transfers`: copies and moves in the background, and looking up every transfer, whatever carries it.

pub mod list;
pub mod request;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use causeway_core::events::timestamp;
use causeway_core::identity::Scope;
use causeway_core::jobs::transfers::{Control, Transfer};
use causeway_core::records::{JobItem, TransferState};
use causeway_core::{Error, ErrorKind};
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::header_value;
use super::uploads::percent;
use crate::auth::Caller;
use crate::json::json;
use crate::openapi::headers::LOCATION;
use crate::openapi::parameters::TRANSFER_ID;
use crate::openapi::schemas::Moment;
use crate::openapi::{Answer, Operation, Tag, examples};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;

/// A transfer that was asked for, as the contract writes it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RequestedTransfer")]
struct RequestedJson {
    /// Its id.
    transfer_id: Uuid,
    /// Where it stands.
    #[schemars(extend("enum" = STATES))]
    state: &'static str,
    /// Where to ask how it goes on.
    #[schemars(extend("format" = "uri"))]
    status_url: String,
}

const STATES: [&str; 6] = ["queued", "running", "retrying", "completed", "failed", "cancelled"];

/// A file of a transfer.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TransferredFile")]
struct FileJson<'a> {
    /// Where it is taken from; null for a folder that is made.
    source: Option<&'a str>,
    /// Where it goes to; null for a folder that is removed, or cannot be looked into.
    destination: Option<&'a str>,
    /// Bytes.
    size: u64,
    /// What became of it.
    #[schemars(extend("enum" = ["pending", "done", "failed"]))]
    state: &'static str,
    /// The code of its error.
    error_code: Option<&'a str>,
    /// What went wrong.
    error_message: Option<&'a str>,
}

impl<'a> FileJson<'a> {
    fn of(item: &'a JobItem) -> Self {
        let path = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Self {
            source: path(&item.source),
            destination: path(&item.destination),
            size: item.size,
            state: item.state.as_str(),
            error_code: item.error_code.as_deref(),
            error_message: item.error_message.as_deref(),
        }
    }
}

/// A transfer as the contract writes it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Transfer")]
struct TransferJson<'a> {
    /// Its id, which its events have, too.
    transfer_id: Uuid,
    /// Where it stands.
    #[schemars(extend("enum" = STATES))]
    state: &'static str,
    /// What carries it.
    #[schemars(extend("enum" = ["sftp", "scp", "ftps", "api", "transfer"]))]
    protocol: &'a str,
    /// What it does: `upload`, `download`, `copy` or `move`.
    operation: &'a str,
    /// Whose it is.
    identity: &'a str,
    /// By which login or key.
    login: &'a str,
    /// Where it takes from, in the caller's own view; null where that is outside, or no place of the gateway's.
    source: Option<&'a str>,
    /// Where it goes to, the same.
    destination: Option<&'a str>,
    /// Bytes that were moved.
    bytes: u64,
    /// Bytes of all of it; null as long as they are not known.
    size: Option<u64>,
    /// How much of it is done; null as long as the size is not known.
    #[schemars(range(min = 0, max = 100))]
    percent: Option<f64>,
    /// How often it was begun.
    attempts: i64,
    /// What went wrong.
    error_message: Option<&'a str>,
    /// Its code.
    error_code: Option<&'a str>,
    /// When it was asked for.
    #[schemars(with = "Moment")]
    created_at: String,
    /// When it began.
    #[schemars(with = "Option<Moment>")]
    started_at: Option<String>,
    /// When it ended.
    #[schemars(with = "Option<Moment>")]
    finished_at: Option<String>,
    /// Its priority; only of those in the background, as are the counts of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i64>,
    /// How many files it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    files_total: Option<u64>,
    /// How many of them are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    files_done: Option<u64>,
    /// How many steps failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    files_failed: Option<u64>,
    /// Its files, 1000 at most, those that failed first; empty in a list, and of transfers that are not in the background.
    files: Vec<FileJson<'a>>,
}

impl<'a> TransferJson<'a> {
    fn of(transfer: &'a Transfer) -> Self {
        let details = transfer.job.as_ref();
        let share = transfer.size.map(|size| percent(transfer.bytes, size));
        Self {
            transfer_id: transfer.id,
            state: transfer.state.as_str(),
            protocol: &transfer.protocol,
            operation: &transfer.operation,
            identity: &transfer.identity,
            login: &transfer.login,
            source: transfer.source.as_deref(),
            destination: transfer.destination.as_deref(),
            bytes: transfer.bytes,
            size: transfer.size,
            percent: if transfer.state == TransferState::Completed { Some(100.0) } else { share },
            attempts: transfer.attempts,
            error_message: transfer.error.as_ref().map(|(_, message)| message.as_str()),
            error_code: transfer.error.as_ref().map(|(code, _)| code.as_str()),
            created_at: timestamp(transfer.created_at),
            started_at: transfer.started_at.map(timestamp),
            finished_at: transfer.finished_at.map(timestamp),
            priority: details.map(|job| job.priority),
            files_total: details.map(|job| job.files),
            files_done: details.map(|job| job.done),
            files_failed: details.map(|job| job.failed),
            files: details.map(|job| job.items.iter().map(FileJson::of).collect()).unwrap_or_default(),
        }
    }
}

/// `{transfer_id}` of a route. What is no id is the id of nothing.
fn transfer_id(path: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    path.map(|Path(id)| id).map_err(|_| Error::new(ErrorKind::NotFound, "no such transfer").into())
}

/// 202 and where to ask (RFC 9110 section 15.3.3).
fn accepted(shared: &Shared, id: Uuid, state: TransferState) -> Response {
    let url = format!("{}/api/v1/transfers/{id}", shared.config.public_url);
    let body = RequestedJson { transfer_id: id, state: state.as_str(), status_url: format!("{url}/status") };
    let mut response = json(StatusCode::ACCEPTED, &body);
    if let Some(url) = header_value(&url) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    response
}

fn described(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Tag::Transfers, id, summary).parameters(&[TRANSFER_ID]).fails([ErrorKind::NotFound])
}

pub fn get_operation() -> Operation {
    described("getTransfer", "How a transfer goes on")
        .text("The caller's own, and those that lie in its view; for `admin` all of the tenant's. An ended one is told for 30 days (`transfers.retention`).")
        .scope(Scope::TransfersRead)
        .answer(Answer::json::<TransferJson<'_>>(StatusCode::OK, "The transfer.", examples::transfer()))
}

pub fn status_operation() -> Operation {
    described("getTransferStatus", "How a transfer goes on")
        .text("The same as `GET /api/v1/transfers/{transfer_id}`.")
        .scope(Scope::TransfersRead)
        .answer(Answer::json::<TransferJson<'_>>(StatusCode::OK, "The transfer.", examples::transfer()))
}

fn controlled(id: &'static str, summary: &'static str, text: &'static str) -> Operation {
    described(id, summary)
        .text(text)
        .scope(Scope::TransfersWrite)
        .answer(
            Answer::json::<RequestedJson>(StatusCode::ACCEPTED, "It is so.", examples::requested()).header(&LOCATION),
        )
        .fails([HttpFault::TransferState])
        .fails([ErrorKind::Conflict])
}

pub fn cancel_operation() -> Operation {
    let text = "It has ended when this answers, whichever node works on it; what it has done already stays. The caller's own, or for `admin` any of the tenant's. It needs no body, and reads none: `{}` is as good.";
    controlled("cancelTransfer", "Ends a transfer before its time", text)
}

pub fn retry_operation() -> Operation {
    let text = "One that failed or was cancelled: only what it has not done is done. It needs no body, and reads none: `{}` is as good.";
    controlled("retryTransfer", "Asks for a transfer again", text)
}

pub async fn get(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, Problem> {
    let transfer = shared.gateway.transfer(&caller.session, transfer_id(id)?).await?;
    Ok(json(StatusCode::OK, &TransferJson::of(&transfer)))
}

pub async fn cancel(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, Problem> {
    let id = transfer_id(id)?;
    match shared.gateway.cancel_transfer(&caller.session, id).await? {
        Control::Is(state) => Ok(accepted(&shared, id, state)),
        Control::Wrong(state) => Err(Problem::http(HttpFault::TransferState)
            .saying(format!("this transfer is {} already; there is nothing to cancel", state.as_str()))),
    }
}

pub async fn retry(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, Problem> {
    let id = transfer_id(id)?;
    match shared.gateway.retry_transfer(&caller.session, id).await? {
        Control::Is(state) => Ok(accepted(&shared, id, state)),
        Control::Wrong(state) => Err(Problem::http(HttpFault::TransferState)
            .saying(format!("this transfer is {}; one that failed or was cancelled can be retried", state.as_str()))),
    }
}
