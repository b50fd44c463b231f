//! `POST /tus`: creation and creation-with-upload.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use causeway_core::ErrorKind;
use causeway_core::events::Operation as Act;
use causeway_core::identity::Scope;
use causeway_core::records::{UploadConditions, UploadPlan};
use causeway_core::transfer::PartAt;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::headers::{self, UPLOAD_DEFER_LENGTH, UPLOAD_LENGTH};
use super::{X_FILE_ID, as_tus, complete_if_whole, describe};
use crate::openapi::{Answer, Body, Operation, Parameter, Tag, headers as told, problems, schemas};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;
use crate::routes::content::{content_type, plain};
use crate::routes::header_value;
use crate::routes::uploads::begin::usual_chunk_size;
use crate::routes::uploads::receive::receive;
use crate::signatures::Uploader;

/// `Tus-Resumable`.
pub const TUS_RESUMABLE: Parameter =
    Parameter::header("Tus-Resumable", "The version of tus that the client speaks.", version, "1.0.0").required();
/// `Upload-Checksum`.
pub const UPLOAD_CHECKSUM: Parameter = Parameter::header(
    "Upload-Checksum",
    "`sha1` or `sha256`, a space, and the digest of the body in Base64. Where it does not match, nothing of the body is kept.",
    checksum,
    "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
);
const LENGTH: Parameter =
    Parameter::header("Upload-Length", "The bytes of the whole file.", schemas::digits, "1048576").required();
const METADATA: Parameter = Parameter::header(
    "Upload-Metadata",
    "Pairs of a key and its value in Base64, separated by commas: `filename` or `path` (where it ends in `/`, the folder for `filename`), `filetype`, `overwrite` (`true`, `false`), `sha256` in hex. Others are kept and mean nothing.",
    metadata,
    "filename b3JkZXJzLmNzdg==,path L2luYm91bmQv",
)
.required();

fn version() -> Value {
    json!({ "type": "string", "const": "1.0.0" })
}

fn checksum() -> Value {
    let (sha1, sha256) = ("sha1 [A-Za-z0-9+/]{26}[AEIMQUYcgkosw048]=", "sha256 [A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=");
    json!({ "type": "string", "format": "tus-checksum", "pattern": format!("^({sha1}|{sha256})$") })
}

fn metadata() -> Value {
    json!({ "type": "string", "format": "tus-metadata", "minLength": 1 })
}

pub fn operation() -> Operation {
    Operation::new(Tag::Tus, "tusCreate", "Begins an upload (creation, creation-with-upload)")
        .text("With `Content-Type: application/offset+octet-stream` the body is the beginning of the file; otherwise there is none. `/api/v1/tus/` is the same route.")
        .scope(Scope::FilesWrite)
        .parameters(&[TUS_RESUMABLE, LENGTH, METADATA, UPLOAD_CHECKSUM])
        .body(Body::bytes(headers::PART, "The beginning of the file.").optional())
        .answer(
            Answer::bare(StatusCode::CREATED, "The upload is begun.")
                .header(&told::TUS_RESUMABLE)
                .header(&told::LOCATION)
                .header(&told::UPLOAD_OFFSET)
                .header(&told::UPLOAD_EXPIRES)
                .maybe(&told::X_FILE_ID)
                .link("tusOffset", "id", "$response.header.Location#regex:([^/]+)$")
                .link("tusPatch", "id", "$response.header.Location#regex:([^/]+)$")
                .link("tusTerminate", "id", "$response.header.Location#regex:([^/]+)$"),
        )
        .fails(problems::PLACE)
        .fails(problems::TAKEN)
        .fails([ErrorKind::Incomplete, ErrorKind::FileTooLarge, ErrorKind::QuotaExceeded, ErrorKind::NoSpace])
        .fails([ErrorKind::InvalidArgument, ErrorKind::TypeMismatch, ErrorKind::DigestMismatch])
        .fails([HttpFault::MediaType, HttpFault::BodyTooLarge, HttpFault::TusVersion, HttpFault::TusChecksum])
}

pub async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Uploader,
    request: Request,
) -> Result<Response, Problem> {
    let session = caller.session.clone();
    let session = &session;
    let (parts, body) = request.into_parts();
    let mut body = shared.body(&parts, body);
    let metadata = headers::metadata(&parts.headers)?;
    let Some(size) = headers::number(&parts.headers, &UPLOAD_LENGTH)? else {
        let deferred = parts.headers.contains_key(UPLOAD_DEFER_LENGTH);
        let why = if deferred { "a length that comes later is not known here; send it" } else { "this is required" };
        return Err(Problem::field("Upload-Length", why));
    };
    let with_upload = headers::is_part(&parts.headers);
    if !with_upload {
        caller.settled()?;
    }
    plain(&parts.headers)?;
    let checksum = if with_upload { headers::checksum(&parts.headers)? } else { None };
    let path = shared.path(session, Act::Upload, metadata.goal()?.as_bytes(), "Upload-Metadata").await?;
    let plan = UploadPlan {
        size: Some(size),
        chunk_size: usual_chunk_size(size),
        sha256: metadata.sha256.map(hex::encode),
        overwrite: metadata.overwrite,
        content_type: content_type(metadata.filetype.as_deref()),
        metadata: Some(metadata.raw).filter(|raw| !raw.is_empty()),
        conditions: UploadConditions::default(),
    };
    let mut upload = shared.gateway.plan_upload(session, &path, plan, false).await?;
    if with_upload && body.declared() != Some(0) {
        let at = PartAt::Following { start: 0, end: None, exact: true, total: None };
        let part = shared.gateway.begin_part(session, upload.id, at).await?;
        upload = receive(part, &mut body, checksum, false).await.map_err(as_tus)?;
    }
    let file = complete_if_whole(&shared, session, &upload).await?;
    let mut response = StatusCode::CREATED.into_response();
    let answer = response.headers_mut();
    if let Some(location) = header_value(&location(&shared, upload.id)) {
        answer.insert(header::LOCATION, location);
    }
    describe(answer, &upload);
    if let Some(file) = file {
        answer.insert(X_FILE_ID, file);
    }
    Ok(response)
}

/// The upload's address, without the name of the server: the client has reached it by one that works.
fn location(shared: &Shared, id: uuid::Uuid) -> String {
    let below = shared.config.public_url.split_once("://").map_or("", |(_, rest)| rest);
    let prefix = below.split_once('/').map(|(_, path)| format!("/{path}")).unwrap_or_default();
    format!("{prefix}/api/v1/tus/{id}")
}
