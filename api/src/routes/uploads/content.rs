//! `PUT /uploads/{session_id}/content` with `Content-Range: bytes a-b/*` (RFC 9110 sections 14.4 and 14.5): goes on with
//! an upload where it ended, whatever protocol began it. What comes of a body that breaks off is kept, unless its digest was announced.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use causeway_core::ErrorKind;
use causeway_core::identity::Scope;
use causeway_core::transfer::PartAt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::receive::{Announced, receive};
use super::upload_id;
use crate::digest;
use crate::openapi::{Answer, Body, Operation, Parameter, Tag, headers as told, parameters, problems};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;
use crate::routes::content::plain;
use crate::signatures::Uploader;

/// What is there without a gap, after the request.
pub const UPLOAD_OFFSET: &str = "upload-offset";

/// `Content-Range`.
const CONTENT_RANGE: Parameter = Parameter::header(
    "Content-Range",
    "The first and the last byte that the body has, from 0, and the bytes of the whole, or `*` (RFC 9110 section 14.4).",
    content_range,
    "bytes 0-8388607/*",
)
.required();

fn content_range() -> Value {
    json!({ "type": "string", "format": "content-range", "pattern": "^bytes [0-9]{1,18}-[0-9]{1,18}/(\\*|[0-9]{1,18})$" })
}

pub fn operation() -> Operation {
    Operation::new(Tag::Uploads, "continueUpload", "Goes on with an upload where it ended")
        .text(
            "Whatever protocol began it. What came of a body that breaks off is kept, unless its digest was announced.",
        )
        .scope(Scope::FilesWrite)
        .parameters(&[parameters::SESSION_ID, CONTENT_RANGE, parameters::CONTENT_DIGEST])
        .body(Body::bytes("application/octet-stream", "The bytes."))
        .answer(Answer::bare(StatusCode::NO_CONTENT, "They are there.").header(&told::UPLOAD_OFFSET))
        .fails(problems::PART)
        .fails([ErrorKind::InvalidArgument])
        .fails([HttpFault::BodyTooLarge, HttpFault::MediaType])
}

pub async fn put(
    State(shared): State<Arc<Shared>>,
    caller: Uploader,
    id: Result<Path<Uuid>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let id = upload_id(id);
    let (parts, body) = request.into_parts();
    let mut body = shared.body(&parts, body);
    plain(&parts.headers)?;
    let announced = digest::of_content(&parts.headers)?.map(Announced::Sha256);
    let (start, end, total) = range(&parts.headers)?;
    if let Some(total) = total {
        let size = shared.gateway.incomplete_upload(&caller.session, id).await?.size();
        if size.is_some_and(|size| size != total) {
            return Err(Problem::field("Content-Range", "the upload was begun with another size; send `/*`"));
        }
    }
    let at = PartAt::Following { start, end: Some(end), exact: false, total };
    let part = shared.gateway.begin_part(&caller.session, id, at).await?;
    let upload = receive(part, &mut body, announced, true).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(upload.offset));
    Ok(response)
}

/// Where the body begins and ends, and the size of the whole, where it is told.
fn range(headers: &HeaderMap) -> Result<(u64, u64, Option<u64>), Problem> {
    let mut values = headers.get_all(header::CONTENT_RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::field("Content-Range", "this is required, once: `bytes a-b/*`"));
    };
    value.to_str().ok().and_then(parse).ok_or_else(|| {
        Problem::field("Content-Range", "this is `bytes a-b/*`: the first and the last byte that the body has, from 0")
    })
}

fn parse(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (unit, rest) = value.trim().split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (first, end) = (number(first)?, number(last)?.checked_add(1)?);
    let total = if total == "*" { None } else { Some(number(total)?) };
    let fits = first < end && total.is_none_or(|total| end <= total);
    (unit.eq_ignore_ascii_case("bytes") && fits).then_some((first, end, total))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        assert_eq!(parse("bytes 0-0/*"), Some((0, 1, None)));
        assert_eq!(parse("Bytes 5-9/10"), Some((5, 10, Some(10))));
        for wrong in
            ["", "bytes", "bytes 5-4/*", "bytes 0-9/9", "bytes */10", "bytes -5/*", "bytes +1-5/*", "lines 0-1/*"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse(&format!("bytes 0-{}/*", u64::MAX)), None);
    }
}
