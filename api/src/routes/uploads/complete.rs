//! `POST /uploads/{session_id}/complete`: the upload becomes the file. The answer goes out after core has committed; asked
//! again, it is the same.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use causeway_core::ErrorKind;
use causeway_core::identity::Scope;
use causeway_core::transfer::{Completion, Incomplete};
use http::{StatusCode, header};
use serde_json::json;
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::BodyReader;
use crate::digest::from_hex;
use crate::json::EntryJson;
use crate::members::Members;
use crate::openapi::headers::{ETAG, LOCATION};
use crate::openapi::{Answer, Body, Operation, Tag, examples, parameters, problems, schemas};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;
use crate::routes::content::stored;
use crate::routes::file_id;

pub fn operation() -> Operation {
    let digest = json!({ "sha256": schemas::HASH });
    Operation::new(Tag::Uploads, "completeUpload", "The upload becomes the file")
        .text("Asked again within a day, the answer tells of the same file; where that has other content by now, or is gone, without `hash` and `ETag`.")
        .scope(Scope::FilesWrite)
        .parameters(&[parameters::SESSION_ID])
        .body(Body::json("The digest that the whole must have.", schemas::completion(), digest).optional())
        .answer(
            Answer::json::<EntryJson<'_>>(StatusCode::CREATED, "The file.", examples::file())
                .header(&LOCATION)
                .maybe(&ETAG)
                .link("getFile", "file_id", "$response.body#/file_id")
                .link("downloadFile", "file_id", "$response.body#/file_id"),
        )
        .fails(problems::JSON)
        .fails(problems::PART)
        .fails([ErrorKind::AlreadyExists, ErrorKind::IsFolder, ErrorKind::NoSuchFolder])
        .fails([ErrorKind::NotFolder, ErrorKind::PreconditionFailed, ErrorKind::TypeMismatch])
        .fails([HttpFault::ChunksMissing])
}

pub async fn complete(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let id = file_id(id)?;
    let (parts, body) = request.into_parts();
    let mut body = BodyReader::new(&parts, body, shared.config.body_timeout);
    let sha256 = if parts.headers.contains_key(header::CONTENT_TYPE) && body.declared() != Some(0) {
        let mut members = Members::read(&parts.headers, &mut body, shared.config.max_json_bytes).await?;
        let digest = members.read_as("sha256", "this is 64 hexadecimal digits", |value| from_hex(value.as_str()?));
        members.finish()?;
        digest
    } else if body.whole(0).await?.is_none() {
        return Err(Problem::http(HttpFault::MediaType).saying("send `Content-Type: application/json`, or no body"));
    } else {
        None
    };
    match shared.gateway.complete_upload(&caller.session, id, sha256).await? {
        Completion::Published(receipt) => Ok(stored(&shared, StatusCode::CREATED, &receipt)),
        Completion::Missing(upload) => Err(missing(&upload)),
    }
}

/// Tells which chunks are missing.
pub fn missing(upload: &Incomplete) -> Problem {
    let missing = upload.missing();
    let shown = missing.iter().take(8).map(
        |(first, last)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        },
    );
    let mut told = shown.collect::<Vec<_>>().join(", ");
    if missing.len() > 8 {
        told.push_str(", …");
    }
    Problem::http(HttpFault::ChunksMissing)
        .saying(format!("these chunks are missing: {told}"))
        .at("chunks")
        .missing(missing)
}
