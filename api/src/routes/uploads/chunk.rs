//! `PUT /uploads/{session_id}/chunks/{n}`: one chunk, in any order, several at a time. It counts when it is whole, and has
//! the digest that was announced of it; the same one again takes its place.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use causeway_core::Error;
use causeway_core::transfer::PartAt;
use http::StatusCode;

use super::receive::{Announced, receive};
use super::session_id;
use crate::auth::Caller;
use crate::digest;
use crate::problem::Problem;
use crate::router::Shared;
use crate::routes::content::plain;

pub async fn put(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let Ok(Path((id, number))) = path else { return Err(Error::not_found().into()) };
    let id = session_id(&id)?;
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
