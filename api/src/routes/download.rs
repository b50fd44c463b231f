//! `GET` and `HEAD` of content, by id and by path: RFC 9110 sections 9.3.1, 9.3.2, 13 (conditions) and 14 (ranges),
//! several of them: section 14.6, `Repr-Digest`, `Content-Digest` and what a client wants of them: RFC 9530,
//! `Content-Disposition`: RFC 6266. HEAD looks, and is no download.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use causeway_core::events::Operation;
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
use crate::problem::Problem;
use crate::query::Query;
use crate::ranges::{Selection, select};
use crate::router::{Shared, Tasks};

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
    let query = Query::parse(query, &["path"])?;
    let Some(path) = query.bytes("path")? else {
        return Err(Problem::field("path", "this is required: the path of the file"));
    };
    Ok(Target::Path(shared.path(&caller.session, Operation::Download, path, "path").await?))
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
