//! `/transfers`: copies and moves in the background, and looking up every transfer, whatever carries it.

mod list;
mod request;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use causeway_core::events::timestamp;
use causeway_core::jobs::transfers::{Control, Transfer};
use causeway_core::records::{JobItem, TransferState};
use causeway_core::{Error, ErrorKind};
use http::{StatusCode, header};
use serde::Serialize;
use uuid::Uuid;

pub use list::list;
pub use request::request;

use super::header_value;
use super::uploads::percent;
use crate::auth::Caller;
use crate::json::json;
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;

/// A transfer that was asked for, as the contract writes it.
#[derive(Debug, Serialize)]
struct RequestedJson {
    transfer_id: Uuid,
    state: &'static str,
    status_url: String,
}

/// A file of a transfer.
#[derive(Debug, Serialize)]
struct FileJson<'a> {
    source: Option<&'a str>,
    destination: Option<&'a str>,
    size: u64,
    /// `pending`, `done` or `failed`.
    state: &'static str,
    error_code: Option<&'a str>,
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
#[derive(Debug, Serialize)]
struct TransferJson<'a> {
    transfer_id: Uuid,
    state: &'static str,
    protocol: &'a str,
    operation: &'a str,
    identity: &'a str,
    login: &'a str,
    /// In the caller's own view; null where it is outside, or no place of the gateway's.
    source: Option<&'a str>,
    destination: Option<&'a str>,
    bytes: u64,
    /// Null as long as it is not known.
    size: Option<u64>,
    percent: Option<f64>,
    attempts: i64,
    error_message: Option<&'a str>,
    error_code: Option<&'a str>,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files_done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files_failed: Option<u64>,
    /// At most 1000: those that failed first.
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

pub async fn status(
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
