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
use causeway_core::identity::Scope;
use causeway_core::records::UploadPlan;
use causeway_core::transfer::Incomplete;
use causeway_core::{ErrorKind, VirtualPath};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::auth::Caller;
use crate::json::json;
use crate::openapi::schemas::{Moment, PathText};
use crate::openapi::{Answer, Operation, Tag, examples, parameters::SESSION_ID};
use crate::problem::Problem;
use crate::router::Shared;

/// An upload as the contract writes it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Upload")]
pub struct UploadJson<'a> {
    /// Its id.
    session_id: Uuid,
    /// In the caller's own view; null where its folder was removed.
    #[schemars(with = "Option<PathText>")]
    path: Option<&'a str>,
    /// `detached`: nobody holds it, it can be continued; `open`, `sealed`: a session holds it; `committed`: it is a file.
    #[schemars(extend("enum" = ["detached", "open", "sealed", "committed"]))]
    state: &'static str,
    /// What began it.
    protocol: &'a str,
    /// By which login.
    login: &'a str,
    /// Bytes of the whole; null where they were not announced.
    size: Option<u64>,
    /// Bytes of a chunk, but for the last.
    chunk_size: Option<u64>,
    /// How many chunks there are.
    chunks: Option<u64>,
    /// The chunks that are there whole: the first and the last of each run.
    #[schemars(with = "Vec<[u64; 2]>")]
    received: Vec<(u64, u64)>,
    /// How many bytes are there.
    bytes: u64,
    /// The bytes from the beginning without a gap.
    offset: u64,
    /// How much of it is there; 100 only when it is all.
    #[schemars(range(min = 0, max = 100))]
    percent: Option<f64>,
    /// When it was begun.
    #[schemars(with = "Moment")]
    created_at: String,
    /// When it is given up, unless more of it comes.
    #[schemars(with = "Moment")]
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
            size: upload.size(),
            chunk_size: plan.filter(|plan| plan.size.is_some()).map(|plan| plan.chunk_size),
            chunks: plan.and_then(UploadPlan::chunks),
            received: upload.received(),
            bytes,
            offset: upload.offset,
            percent: upload.size().map(|size| percent(bytes, size)),
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
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Uploads")]
struct UploadsJson<'a> {
    /// The newest first.
    uploads: Vec<UploadJson<'a>>,
}

/// `{session_id}` of a route. What is no id is the id of nothing: core says so in its words for uploads, and puts it on record.
pub fn upload_id(path: Result<Path<Uuid>, PathRejection>) -> Uuid {
    path.map_or(Uuid::nil(), |Path(id)| id)
}

pub fn list_operation() -> Operation {
    let example = serde_json::json!({ "uploads": [examples::upload()] });
    Operation::new(Tag::Uploads, "listUploads", "The caller's incomplete uploads")
        .text("Whatever protocol began them.")
        .scope(Scope::FilesWrite)
        .answer(Answer::json::<UploadsJson<'_>>(StatusCode::OK, "All of them.", example))
}

pub fn status_operation() -> Operation {
    Operation::new(Tag::Uploads, "getUpload", "How far an upload is")
        .text("One that was completed is told for a day.")
        .scope(Scope::FilesWrite)
        .parameters(&[SESSION_ID])
        .answer(Answer::json::<UploadJson<'_>>(StatusCode::OK, "The upload.", examples::upload()))
        .fails([ErrorKind::NotFound, ErrorKind::Expired])
}

pub fn abandon_operation() -> Operation {
    Operation::new(Tag::Uploads, "abandonUpload", "Gives an upload up")
        .text("What came of it is removed.")
        .scope(Scope::FilesWrite)
        .parameters(&[SESSION_ID])
        .answer(Answer::bare(StatusCode::NO_CONTENT, "It is gone."))
        .fails([ErrorKind::NotFound, ErrorKind::Expired, ErrorKind::Conflict])
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
    let upload = shared.gateway.incomplete_upload(&caller.session, upload_id(id)).await?;
    Ok(json(StatusCode::OK, &UploadJson::of(&upload)))
}

pub async fn abandon(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, Problem> {
    shared.gateway.abandon_upload(&caller.session, upload_id(id)).await?;
    Ok(StatusCode::NO_CONTENT)
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
