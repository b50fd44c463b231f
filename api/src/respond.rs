//! What every request and every response has in common: the request id, the limits of the head, the security headers
//! (RFC 6797 among them), and problem documents (RFC 9457).

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use causeway_core::Error;
use causeway_core::trace::TraceContext;
use http::header::{self, HeaderName};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::leaks::loggable;
use crate::problem::{HttpFault, Problem};

/// The id of a request, in every response and every problem document.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a page may do that is none: nothing (Content Security Policy Level 3).
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// The limits of a request's head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the target.
    pub target: usize,
    /// Bytes of all header names and values.
    pub headers: usize,
}

/// Answers one request with a router. `secure`: whether the connection is TLS, so that it may say that it always will be.
pub async fn respond(router: Router, request: Request<Body>, limits: HeadLimits, secure: bool) -> Response {
    // An id that a client sends is not taken over: it could be somebody else's, or a line of the log.
    let id = Uuid::now_v7().to_string();
    let (method, path, version) = (request.method().clone(), request.uri().path().to_owned(), request.version());
    let begun = std::time::Instant::now();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let response = if target > limits.target {
        Problem::http(HttpFault::TargetTooLong).into_response()
    } else if headers > limits.headers {
        Problem::http(HttpFault::HeadersTooLarge).into_response()
    } else {
        match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    let mut response = finish(response, &id, &method, secure);
    if response.status() == StatusCode::REQUEST_TIMEOUT && version < Version::HTTP_2 {
        // RFC 9110 section 15.5.9: nobody waits for the rest of the request. On HTTP/2 its stream is reset.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let trace = response.extensions_mut().remove::<TraceContext>().map(|context| context.trace_id());
    // The path only: a query may hold what belongs in no log.
    tracing::info!(request_id = %id, trace_id = trace.as_deref(), %method, path = &*loggable(&path), status = response.status().as_u16(), ms = begun.elapsed().as_millis() as u64, "request");
    response
}

/// A panic of a handler, as the answer of a fault.
pub fn caught(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::from(Error::internal("a handler panicked")).into_response()
}

fn finish(mut response: Response, id: &str, method: &Method, secure: bool) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let document = problem.document(id);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(document.len()));
        *response.body_mut() = if method == Method::HEAD { Body::empty() } else { Body::from(document) };
    }
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // A length of zero would be a lie about the content that a 200 would have (RFC 9110 section 8.6).
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Whatever a partner uploads: opened in a browser it runs nothing, and loads nothing.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NOTHING));
    if secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    async fn panics() -> &'static str {
        panic!("secret")
    }

    fn router() -> Router {
        Router::new()
            .route("/ok", get(|| async { "fine" }).head(|| async { "" }))
            .route("/bad", get(|| async { Problem::from(Error::not_found()) }))
            .route("/panic", get(panics))
            .route("/unchanged", get(|| async { StatusCode::NOT_MODIFIED }))
            .fallback(|| async { Problem::http(HttpFault::NoRoute) })
            .method_not_allowed_fallback(|| async { Problem::http(HttpFault::Method) })
            .layer(CatchPanicLayer::custom(caught))
    }

    async fn ask(method: &str, target: &str) -> (Response<()>, String) {
        let request =
            Request::builder().method(method).uri(target).header("x-request-id", "mine").body(Body::empty()).unwrap();
        let response = respond(router(), request, HeadLimits { target: 100, headers: 100 }, true).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_answer_has_its_id_and_headers() {
        for target in ["/ok", "/bad", "/panic", "/nothing"] {
            let (response, _) = ask("GET", target).await;
            let id = response.headers().get(X_REQUEST_ID).unwrap().to_str().unwrap();
            assert_eq!(Uuid::parse_str(id).unwrap().get_version_num(), 7);
            assert_eq!(response.headers().get("x-content-type-options").unwrap(), "nosniff");
            assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
            assert!(response.headers().contains_key("strict-transport-security"));
        }
    }

    #[tokio::test]
    async fn failures_are_problem_documents() {
        for (method, target, status, code) in [
            ("GET", "/bad", 404, "not_found"),
            ("GET", "/nothing", 404, "no_such_route"),
            ("POST", "/ok", 405, "method_not_allowed"),
            ("GET", "/panic", 500, "internal"),
        ] {
            let (response, body) = ask(method, target).await;
            assert_eq!(response.status(), status, "{target}");
            assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
            let document: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(document["code"], code);
            assert_eq!(document["request_id"], response.headers().get(X_REQUEST_ID).unwrap().to_str().unwrap());
            assert!(!body.contains("secret"));
        }
        let (response, _) = ask("POST", "/ok").await;
        let allow = response.headers().get("allow").unwrap().to_str().unwrap();
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    }

    #[tokio::test]
    async fn heads_are_limited() {
        let (response, _) = ask("GET", &format!("/ok?{}", "x".repeat(100))).await;
        assert_eq!(response.status(), 414);
        let request = Request::builder().uri("/ok").header("a", "x".repeat(100)).body(Body::empty()).unwrap();
        let response = respond(router(), request, HeadLimits { target: 100, headers: 100 }, true).await;
        assert_eq!(response.status(), 431);
    }

    #[tokio::test]
    async fn a_head_has_no_body_and_an_unchanged_answer_no_length() {
        let (response, body) = ask("HEAD", "/bad").await;
        assert_eq!(response.status(), 404);
        assert!(body.is_empty());
        assert_ne!(response.headers().get("content-length").unwrap(), "0");
        let (response, _) = ask("GET", "/unchanged").await;
        assert!(!response.headers().contains_key("content-length"));
    }
}
