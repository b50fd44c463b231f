//! Requests as parts of traces (W3C Trace Context sections 3.2 and 3.3): the trace that a caller names is taken over, and where the
//! gateway tells of traces each request is a span, by OpenTelemetry's semantic conventions for HTTP servers. No target and no header of
//! a client's is told: the route's template says what was asked for.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use causeway_core::trace::{Span, SpanKind, TraceContext, Tracer};
use http::{HeaderMap, Method, Version};

use crate::router::Shared;

/// Answers a request as a part of the trace that it belongs to, if there is one. The answer's extensions have its place there.
pub async fn follow(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let span = begin(shared.gateway.tracer(), &request);
    let Some(context) = span.context().cloned() else { return next.run(request).await };
    let mut response = span.within(next.run(request)).await;
    let status = response.status();
    span.note("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.as_str().to_owned(), true);
    }
    response.extensions_mut().insert(context);
    response
}

fn begin(tracer: &Tracer, request: &Request) -> Span {
    let method = method_of(request.method());
    let span = tracer.begin(SpanKind::Server, method.unwrap_or("HTTP"), sent(request.headers()));
    if !span.is_recording() {
        return span;
    }
    span.note("http.request.method", method.unwrap_or("_OTHER"));
    span.note("url.scheme", "https");
    span.note("network.protocol.version", if request.version() == Version::HTTP_2 { "2" } else { "1.1" });
    if let Some(route) = request.extensions().get::<MatchedPath>() {
        span.rename(format!("{} {}", method.unwrap_or("HTTP"), route.as_str()));
        span.note("http.route", route.as_str().to_owned());
    }
    span
}

/// A method that is known; any other one is the client's own words.
fn method_of(method: &Method) -> Option<&'static str> {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
        .into_iter()
        .find(|known| method.as_str() == *known)
}

/// What the caller says. A field that is there twice says nothing; several `tracestate` are one list.
fn sent(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
    let states: Option<Vec<&str>> = headers.get_all("tracestate").iter().map(|state| state.to_str().ok()).collect();
    TraceContext::parse(parent.to_str().ok()?, Some(&states.unwrap_or_default().join(",")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(fields: &[(&'static str, &str)]) -> Option<(String, Option<String>)> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        sent(&headers).map(|context| (context.traceparent(), context.tracestate().map(str::to_owned)))
    }

    #[test]
    fn one_parent_counts_and_states_are_a_list() {
        let parent = ("traceparent", PARENT);
        assert_eq!(read(&[parent]), Some((PARENT.to_owned(), None)));
        let both = read(&[parent, ("tracestate", "a=1"), ("tracestate", "b=2")]);
        assert_eq!(both, Some((PARENT.to_owned(), Some("a=1,b=2".to_owned()))));
        assert_eq!(read(&[parent, ("tracestate", "a=\u{e9}")]), Some((PARENT.to_owned(), None)));
        for wrong in [&[][..], &[parent, parent], &[("traceparent", "00-x")], &[("tracestate", "a=1")]] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_method_of_nobody_is_not_told() {
        assert_eq!(method_of(&Method::PATCH), Some("PATCH"));
        assert_eq!(method_of(&Method::from_bytes(b"SECRET").unwrap()), None);
    }
}
