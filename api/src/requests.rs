//! How many requests of the API came, and how long their answers took.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use causeway_core::metrics::{Family, Histogram, REQUESTS, Series, Source};
use http::Method;

/// What was counted of them: by method, by the route's template, never by the path, and by the class of the answer.
#[derive(Debug)]
pub struct Requests(Series<3, Histogram>);

impl Default for Requests {
    fn default() -> Self {
        Self(Series::new(["method", "route", "status"], || Histogram::new(REQUESTS)))
    }
}

impl Source for Requests {
    fn families(&self) -> Vec<Family> {
        let help = "Requests of the API, from their head to the head of the answer.";
        vec![Family::histogram("causeway_http_request_duration", help, &self.0)]
    }
}

/// Counts a request when it is answered.
pub async fn count(State(requests): State<Arc<Requests>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (method, route) = (word(request.method()), request.extensions().get::<MatchedPath>().cloned());
    let response = next.run(request).await;
    let route = route.map_or(Cow::Borrowed("none"), |route| Cow::Owned(route.as_str().to_owned()));
    let status = match response.status().as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    requests.0.at([method.into(), route, status.into()]).observe(began.elapsed());
    response
}

/// A method that there are routes for; clients may make up others.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_a_client_makes_up_is_no_word_of_its_own() {
        assert_eq!(word(&Method::PATCH), "PATCH");
        assert_eq!(word(&Method::from_bytes(b"PATCHY").unwrap()), "other");
    }
}
