//! `GET` and `HEAD` of content, by id and by path: RFC 9110 sections 9.3.1, 9.3.2, 13 (conditions) and 14 (ranges),
//! several of them: section 14.6, `Repr-Digest`, `Content-Digest` and what a client wants of them: RFC 9530,
//! `Content-Disposition`: RFC 6266. HEAD looks, and is no download.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use causeway_core::events::Operation as Act;
use causeway_core::identity::Scope;
use causeway_core::namespace::Target;
use causeway_core::{Entry, Error, ErrorKind};
use http::header::{self, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode, Version};
use uuid::Uuid;

use super::{file_id, header_value};
use crate::auth::Caller;
use crate::body::download::{Pieces, stream};
use crate::byteranges::ByteRanges;
use crate::conditions::{Conditions, Verdict, etag, last_modified, range_applies};
use crate::digest::{CONTENT_DIGEST, REPR_DIGEST, WANT_CONTENT_DIGEST, WANT_REPR_DIGEST, preference, repr_digest};
use crate::disposition::attachment;
use crate::openapi::{Answer, Operation, Shape, Tag, headers as told, parameters, problems};
use crate::problem::Problem;
use crate::query::Query;
use crate::ranges::{Selection, select};
use crate::router::{Shared, Tasks};

/// `GET` by id.
pub fn get_by_id_operation() -> Operation {
    let about = Operation::new(Tag::Files, "downloadFile", "The content of a file, by id");
    described(about.parameters(&[parameters::FILE_ID]), true)
}

/// `GET` by path.
pub fn get_by_path_operation() -> Operation {
    let about = Operation::new(Tag::Files, "getContent", "The content of a file, by path");
    described(about.parameters(&[parameters::FILE_PATH]), true)
}

/// `HEAD` by id.
pub fn head_by_id_operation() -> Operation {
    let about = Operation::new(Tag::Files, "lookAtFile", "The headers of a file's content, by id");
    described(about.parameters(&[parameters::FILE_ID]), false)
}

/// `HEAD` by path.
pub fn head_by_path_operation() -> Operation {
    let about = Operation::new(Tag::Files, "lookAtContent", "The headers of a file's content, by path");
    described(about.parameters(&[parameters::FILE_PATH]), false)
}

fn described(operation: Operation, content: bool) -> Operation {
    let with = |answer: Answer| {
        let answer = answer.header(&told::ETAG).maybe(&told::LAST_MODIFIED).header(&told::CACHE_CONTROL);
        answer.header(&told::ACCEPT_RANGES).header(&told::CONTENT_LENGTH).header(&told::CONTENT_DISPOSITION)
    };
    let carrying = |answer: Answer| if content { answer.content("*/*", Shape::bytes(), None) } else { answer };
    let whole = Answer::bare(StatusCode::OK, "The whole content, with the media type of the file.");
    let whole = carrying(with(whole).maybe(&told::REPR_DIGEST).maybe(&told::CONTENT_DIGEST));
    let same = Answer::bare(StatusCode::NOT_MODIFIED, "It is what the client has.").header(&told::ETAG);
    let operation = operation
        .scope(Scope::FilesRead)
        .parameters(&[parameters::IF_MATCH, parameters::IF_NONE_MATCH, parameters::IF_MODIFIED_SINCE])
        .parameters(&[parameters::IF_UNMODIFIED_SINCE, parameters::WANT_REPR_DIGEST, parameters::WANT_CONTENT_DIGEST])
        .answer(whole)
        .answer(same.maybe(&told::LAST_MODIFIED).header(&told::CACHE_CONTROL))
        .fails(problems::PLACE)
        .fails([ErrorKind::InvalidArgument, ErrorKind::IsFolder, ErrorKind::PreconditionFailed]);
    if !content {
        return operation.text("The same headers as `GET`, and no record of a download.");
    }
    let part = Answer::bare(
        StatusCode::PARTIAL_CONTENT,
        "The bytes that `Range` asks for: several ranges as `multipart/byteranges`.",
    );
    let beyond = Answer::bare(StatusCode::RANGE_NOT_SATISFIABLE, "`Range` asks for nothing that is there. No content.");
    operation
        .text("A download that breaks off ends the connection (HTTP/2: the stream), so that half of it is never taken for whole.")
        .parameters(&[parameters::RANGE, parameters::IF_RANGE])
        .answer(carrying(with(part).maybe(&told::CONTENT_RANGE).maybe(&told::REPR_DIGEST)))
        .answer(beyond.header(&told::CONTENT_RANGE).header(&told::ACCEPT_RANGES))
        .fails([ErrorKind::Conflict])
}

pub async fn get_by_id(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Extension(tasks): Extension<Tasks>,
    id: Result<Path<Uuid>, PathRejection>,
    version: Version,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    get(&shared, &caller, &tasks, Target::Id(file_id(id)?), &headers, version).await
}

pub async fn get_by_path(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Extension(tasks): Extension<Tasks>,
    RawQuery(query): RawQuery,
    version: Version,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let target = target(&shared, &caller, query.as_deref()).await?;
    get(&shared, &caller, &tasks, target, &headers, version).await
}

pub async fn head_by_id(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    head(&shared, &caller, &Target::Id(file_id(id)?), &headers).await
}

pub async fn head_by_path(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let target = target(&shared, &caller, query.as_deref()).await?;
    head(&shared, &caller, &target, &headers).await
}

async fn target(shared: &Shared, caller: &Caller, query: Option<&str>) -> Result<Target, Problem> {
    let query = Query::parse(query, &[parameters::FILE_PATH])?;
    let Some(path) = query.bytes("path")? else {
        return Err(Problem::field("path", "this is required: the path of the file"));
    };
    Ok(Target::Path(shared.path(&caller.session, Act::Download, path, "path").await?))
}

/// The media type of content of which nothing else is known.
const OCTETS: &str = "application/octet-stream";

/// What a request comes to for one version of a file.
#[derive(Debug)]
enum Plan {
    /// These bytes, with these headers.
    Content { status: StatusCode, pieces: Pieces, headers: HeaderMap },
    /// No content: 304, or 416 with its empty body.
    Bare(StatusCode, HeaderMap),
}

/// Decides: preconditions first, then the range (RFC 9110 section 13.2.2). Fails with `PreconditionFailed`, `IsFolder`.
fn plan(entry: &Entry, conditions: &Conditions, request: &HeaderMap, ranges: bool) -> Result<Plan, Error> {
    if entry.folder {
        return Err(Error::new(ErrorKind::IsFolder, "this is a folder; list it with `GET /files`"));
    }
    let Some(digest) = &entry.sha256 else { return Err(Error::internal("a visible file has no digest")) };
    match conditions.evaluate(Some((digest, entry.modified_at)), true) {
        Verdict::Proceed => {}
        Verdict::NotModified => return Ok(Plan::Bare(StatusCode::NOT_MODIFIED, validators(entry, digest))),
        Verdict::Failed => {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                "the file is not the version that the request names",
            ));
        }
    }
    let mut range = request.get_all(header::RANGE).iter();
    let selection = match (range.next(), range.next()) {
        (Some(range), None) if ranges && range_applies(request, digest) => select(range.as_bytes(), entry.size),
        _ => Selection::Whole,
    };
    let mut headers = validators(entry, digest);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTETS));
    if let Some(content_type) = &entry.content_type {
        set(&mut headers, header::CONTENT_TYPE, content_type);
    }
    let (status, pieces) = match selection {
        Selection::Whole => {
            if preference(request, WANT_CONTENT_DIGEST).is_some_and(|wanted| wanted > 0) {
                set(&mut headers, HeaderName::from_static(CONTENT_DIGEST), &repr_digest(digest));
            }
            (StatusCode::OK, Pieces::run(0, entry.size))
        }
        Selection::Part(span) => {
            set(&mut headers, header::CONTENT_RANGE, &span.content_range(entry.size));
            (StatusCode::PARTIAL_CONTENT, Pieces::run(span.first, span.len()))
        }
        Selection::Parts(spans) => {
            // `Content-Range` stands in each part, and must not stand here (RFC 9110 section 15.3.7.2).
            let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or(OCTETS);
            let body = ByteRanges::new(&spans, entry.size, media_type);
            set(&mut headers, header::CONTENT_TYPE, &body.content_type);
            (StatusCode::PARTIAL_CONTENT, body.pieces)
        }
        Selection::Unsatisfiable => {
            let mut headers = HeaderMap::new();
            set(&mut headers, header::CONTENT_RANGE, &format!("bytes */{}", entry.size));
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            return Ok(Plan::Bare(StatusCode::RANGE_NOT_SATISFIABLE, headers));
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(pieces.len()));
    set(&mut headers, header::CONTENT_DISPOSITION, &attachment(&entry.name));
    if preference(request, WANT_REPR_DIGEST) != Some(0) {
        set(&mut headers, HeaderName::from_static(REPR_DIGEST), &repr_digest(digest));
    }
    // Whatever a partner uploaded, no browser runs it in the gateway's origin.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    Ok(Plan::Content { status, pieces, headers })
}

/// What a 304 repeats of a 200 (RFC 9110 section 15.4.5).
fn validators(entry: &Entry, digest: &[u8; 32]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    set(&mut headers, header::ETAG, &etag(digest));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Some(date) = last_modified(entry.modified_at, SystemTime::now()) {
        set(&mut headers, header::LAST_MODIFIED, &date);
    }
    headers
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Some(value) = header_value(value) {
        headers.insert(name, value);
    }
}

fn bare(status: StatusCode, headers: HeaderMap) -> Response {
    (status, headers).into_response()
}

async fn head(shared: &Shared, caller: &Caller, target: &Target, request: &HeaderMap) -> Result<Response, Problem> {
    let entry = shared.gateway.stat(&caller.session, target).await?;
    // Ranges are defined for GET alone (RFC 9110 section 14.2).
    Ok(match plan(&entry, &Conditions::of(request)?, request, false)? {
        Plan::Content { status, headers, .. } | Plan::Bare(status, headers) => bare(status, headers),
    })
}

async fn get(
    shared: &Shared,
    caller: &Caller,
    tasks: &Tasks,
    target: Target,
    request: &HeaderMap,
    version: Version,
) -> Result<Response, Problem> {
    let conditions = Conditions::of(request)?;
    // What sends no content is no download, so it is found out before one begins. Where looking fails, beginning fails
    // too, and puts it on record.
    if (!conditions.is_empty() || request.contains_key(header::RANGE))
        && let Ok(entry) = shared.gateway.stat(&caller.session, &target).await
        && let Plan::Bare(status, headers) = plan(&entry, &conditions, request, true)?
    {
        return Ok(bare(status, headers));
    }
    let download = shared.gateway.begin_download(&caller.session, &target).await?;
    // The version that is read may be a newer one than was looked at: it alone counts.
    let (status, pieces, headers) = match plan(download.entry(), &conditions, request, true) {
        Ok(Plan::Content { status, pieces, headers }) => (status, pieces, headers),
        Ok(Plan::Bare(status, headers)) => {
            download.fail(Error::new(ErrorKind::Conflict, "the file changed while it was asked for")).await;
            return Ok(bare(status, headers));
        }
        Err(error) => {
            download.fail(error.clone()).await;
            return Err(error.into());
        }
    };
    let body = stream(download, pieces, version, shared.step_timeout(), &tasks.0).await?;
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

#[cfg(test)]
#[path = "download_test.rs"]
mod tests;
