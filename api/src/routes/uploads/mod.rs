//! Uploads in chunks (`api.md`): begun with a plan, received chunk by chunk in any order and several at a time, completed
//! when all is there. They are the same incomplete uploads that SFTP and FTPS leave when a connection breaks: each can be
//! continued over any protocol.

pub mod begin;
pub mod chunk;
pub mod complete;
pub mod content;
pub mod receive;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use causeway_core::events::timestamp;
use causeway_core::records::UploadPlan;
use causeway_core::transfer::Incomplete;
use causeway_core::{Error, VirtualPath};
use http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::file_id;
use crate::auth::Caller;
use crate::json::json;
use crate::problem::Problem;
use crate::router::Shared;

/// An upload as the contract writes it.
#[derive(Debug, Serialize)]
pub struct UploadJson<'a> {
    session_id: Uuid,
    /// In the caller's own view; null where its folder was removed.
    path: Option<&'a str>,
    /// `detached`: nobody holds it, it can be continued; `open`, `sealed`: a session holds it; `committed`: it is a file.
    state: &'static str,
    /// What began it.
    protocol: &'a str,
    login: &'a str,
    /// Null where it was not announced.
    size: Option<u64>,
    chunk_size: Option<u64>,
    chunks: Option<u64>,
    /// The chunks that are there whole: the first and the last of each run.
    received: Vec<(u64, u64)>,
    /// How many bytes are there.
    bytes: u64,
    /// The bytes from the beginning without a gap.
    offset: u64,
    percent: Option<f64>,
    created_at: String,
    expires_at: String,
}

impl<'a> UploadJson<'a> {
    /// Of an upload.
    pub fn of(upload: &'a Incomplete) -> Self {
        let (plan, bytes) = (upload.plan.as_ref(), upload.bytes());
        Self {
            session_id: upload.id,
            path: upload.path.as_ref().map(VirtualPath::as_str),
            state: upload.state.as_str(),
            protocol: &upload.protocol,
            login: &upload.login,
            size: plan.map(|plan| plan.size),
            chunk_size: plan.map(|plan| plan.chunk_size),
            chunks: plan.map(UploadPlan::chunks),
            received: upload.received(),
            bytes,
            offset: upload.offset,
            percent: plan.map(|plan| percent(bytes, plan.size)),
            created_at: timestamp(upload.created_at),
            expires_at: timestamp(upload.expires_at),
        }
    }
}

/// To two digits, and 100 only when it is all.
pub(in crate::routes) fn percent(bytes: u64, size: u64) -> f64 {
    let hundredths = u128::from(bytes.min(size)) * 10_000 / u128::from(size.max(1));
    if size == 0 { 100.0 } else { hundredths as f64 / 100.0 }
}

/// Every incomplete upload.
#[derive(Serialize)]
struct UploadsJson<'a> {
    uploads: Vec<UploadJson<'a>>,
}

pub async fn list(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Response, Problem> {
    let all = shared.gateway.incomplete_uploads(&caller.session).await?;
    Ok(json(StatusCode::OK, &UploadsJson { uploads: all.iter().map(UploadJson::of).collect() }))
}

pub async fn status(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, Problem> {
    let upload = shared.gateway.incomplete_upload(&caller.session, file_id(id)?).await?;
    Ok(json(StatusCode::OK, &UploadJson::of(&upload)))
}

pub async fn abandon(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, Problem> {
    shared.gateway.abandon_upload(&caller.session, file_id(id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `{session_id}` out of text. What is no id is the id of nothing.
fn session_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Error::not_found().into())
}

#[cfg(test)]
#[allow(clippy::float_cmp)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_percent_is_all_of_it() {
        assert_eq!((percent(0, 3), percent(1, 3), percent(2, 3), percent(3, 3)), (0.0, 33.33, 66.66, 100.0));
        assert_eq!(percent(0, 0), 100.0);
        assert_eq!(percent((1 << 60) - 1, 1 << 60), 99.99);
        assert_eq!(percent(9, 4), 100.0);
    }
}
