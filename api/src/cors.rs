//! Pages of other origins that may call the API from a browser (the Fetch standard, "CORS protocol"), as
//! `api.cors_origins` says. Credentials of the browser are not shared: a page sends its token itself.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, header};
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long a browser may keep what it was told.
const KEPT: Duration = Duration::from_mins(10);

/// What of a response a page may read besides the Fetch standard's safe list.
const EXPOSED: [HeaderName; 26] = [
    header::LOCATION,
    header::ETAG,
    header::RETRY_AFTER,
    header::CONTENT_DISPOSITION,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    HeaderName::from_static("accept-signature"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-file-id"),
    HeaderName::from_static("x-request-id"),
    // tus 1.0.0, whose clients are often pages.
    HeaderName::from_static("tus-resumable"),
    HeaderName::from_static("tus-version"),
    HeaderName::from_static("tus-max-size"),
    HeaderName::from_static("tus-extension"),
    HeaderName::from_static("tus-checksum-algorithm"),
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("upload-length"),
    HeaderName::from_static("upload-metadata"),
    HeaderName::from_static("upload-expires"),
    // draft-ietf-httpbis-resumable-upload.
    HeaderName::from_static("upload-complete"),
    HeaderName::from_static("upload-limit"),
    HeaderName::from_static("upload-draft-interop-version"),
    HeaderName::from_static("accept-patch"),
];

/// For these origins; none where there are none.
pub fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let layer = CorsLayer::new().allow_origin(origin).allow_methods(methods).max_age(KEPT);
    Some(layer.allow_headers(AllowHeaders::mirror_request()).expose_headers(EXPOSED))
}

/// Answers preflights, and says in other responses who may read them. An OPTIONS that is no preflight is a route's own.
pub async fn share(State(layer): State<CorsLayer>, request: Request, next: Next) -> Response {
    // People sign in there: nobody's script may read those pages, whoever may call the rest.
    if request.uri().path() == crate::oauth::AUTHORIZE {
        return next.run(request).await;
    }
    let preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && !preflight {
        return next.run(request).await;
    }
    match layer.layer(next).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
