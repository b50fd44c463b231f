//! How many requests of the API came, and how long their answers took.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use causeway_core::metrics::{Family, Histogram, REQUESTS, Series, Source};
use http::{Method, StatusCode};

/// The word for a method that the route does not have.
const OTHER: &str = "other";

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
    // Or else whoever tries each method at each route makes as many series.
    let method = if response.status() == StatusCode::METHOD_NOT_ALLOWED { OTHER } else { method };
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
        _ => OTHER,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn what_nobody_serves_makes_few_series() {
        let requests = Arc::<Requests>::default();
        let router = Router::new()
            .route("/files/{id}", get(|| async { "ok" }))
            .fallback(|| async { StatusCode::NOT_FOUND })
            .layer(from_fn_with_state(requests.clone(), count));
        for (method, path) in [
            ("GET", "/files/1"),
            ("GET", "/files/2"),
            ("PUT", "/files/1"),
            ("DELETE", "/files/2"),
            ("GET", "/a"),
            ("GET", "/b"),
        ] {
            let request = http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap();
        }
        let families = requests.families();
        let samples = families.iter().flat_map(|family| &family.samples);
        let seen: Vec<Vec<&str>> =
            samples.map(|sample| sample.labels.iter().map(|(_, value)| value.as_ref()).collect()).collect();
        assert_eq!(seen, [["GET", "/files/{id}", "2xx"], ["GET", "none", "4xx"], ["other", "/files/{id}", "4xx"]]);
    }

    #[test]
    fn a_method_that_a_client_makes_up_is_no_word_of_its_own() {
        assert_eq!(word(&Method::PATCH), "PATCH");
        assert_eq!(word(&Method::from_bytes(b"PATCHY").unwrap()), "other");
    }
}
