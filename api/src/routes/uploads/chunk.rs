//! `PUT /uploads/{session_id}/chunks/{n}`: one chunk, in any order, several at a time. It counts when it is whole, and has
//! the digest that was announced of it; the same one again takes its place.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use causeway_core::identity::Scope;
use causeway_core::transfer::{MAX_CHUNKS, PartAt};
use causeway_core::{Error, ErrorKind};
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::receive::{Announced, receive};
use crate::digest;
use crate::openapi::{Answer, Body, Operation, Parameter, Tag, parameters, problems};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;
use crate::routes::content::plain;
use crate::signatures::Uploader;

/// `{n}`.
const NUMBER: Parameter = Parameter::path("n", "The chunk's number, from 0.", number, "0");

fn number() -> Value {
    json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": MAX_CHUNKS - 1 })
}

pub fn operation() -> Operation {
    Operation::new(Tag::Uploads, "putChunk", "Sends a chunk")
        .text("In any order, and several at once; the same chunk again takes the place of the one that is there. Every chunk has `chunk_size` bytes, but for the last. It counts when it is whole.")
        .scope(Scope::FilesWrite)
        .parameters(&[parameters::SESSION_ID, NUMBER, parameters::CONTENT_DIGEST])
        .body(Body::bytes("application/octet-stream", "The chunk."))
        .answer(Answer::bare(StatusCode::NO_CONTENT, "It is there."))
        .fails(problems::PART)
        .fails([ErrorKind::InvalidArgument])
        .fails([HttpFault::BodyTooLarge, HttpFault::MediaType])
}

pub async fn put(
    State(shared): State<Arc<Shared>>,
    caller: Uploader,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let Ok(Path((id, number))) = path else { return Err(Error::not_found().into()) };
    // What is no id is the id of nothing.
    let id = Uuid::try_parse(&id).unwrap_or_default();
    let (parts, body) = request.into_parts();
    let mut body = shared.body(&parts, body);
    plain(&parts.headers)?;
    let announced = digest::of_content(&parts.headers)?.map(Announced::Sha256);
    let Some(number) = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit())) else {
        return Err(Problem::field("n", "a chunk's number is a whole number, counted from 0"));
    };
    let part = shared.gateway.begin_part(&caller.session, id, PartAt::Chunk(number)).await?;
    receive(part, &mut body, announced, true).await?;
    Ok(StatusCode::NO_CONTENT)
}
