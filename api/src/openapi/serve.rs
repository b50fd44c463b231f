//! `GET /api/v1/openapi.json` and `GET /api/docs`: the description, for programs and for people. Both are made once, need no
//! credential, and may be kept (RFC 9110 section 8.8.3, RFC 9111).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};

use super::document::document;
use super::headers::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG};
use super::operation::{Answer, Operation, Tag};
use super::page;
use super::parameters::IF_NONE_MATCH;
use super::routes::{Routes, resource};
use super::schemas::Shape;
use crate::conditions::{Conditions, etag};
use crate::problem::Problem;
use crate::router::Shared;

/// How long the description may be kept without asking again.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// A text that is made once.
#[derive(Debug)]
struct Text {
    media_type: &'static str,
    bytes: Bytes,
    digest: [u8; 32],
    policy: Option<HeaderValue>,
}

impl Text {
    fn new(media_type: &'static str, text: Vec<u8>, policy: Option<HeaderValue>) -> Self {
        Self { media_type, digest: Sha256::digest(&text).into(), bytes: text.into(), policy }
    }

    fn answer(&self, request: &HeaderMap) -> Result<Response, Problem> {
        let mut response = Response::default();
        let same = !Conditions::of(request)?.none_matches(&self.digest);
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::from_str(&etag(&self.digest)) {
            headers.insert(header::ETAG, tag);
        }
        headers.insert(header::CACHE_CONTROL, KEPT);
        if let Some(policy) = &self.policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
        }
        if same {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.bytes.len()));
        *response.body_mut() = self.bytes.clone().into();
        Ok(response)
    }
}

/// The description in both forms.
#[derive(Debug)]
pub struct Reference {
    document: Text,
    page: Text,
}

impl Reference {
    /// Of these routes, as they are reached at `public_url`.
    pub fn new(routes: &Routes, public_url: &str) -> Self {
        let document = document(routes, public_url);
        let page = page::render(&document, public_url);
        // The page is its own text and its own style, and loads nothing.
        let style = STANDARD.encode(Sha256::digest(page::STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let json = serde_json::to_vec(&document).unwrap_or_default();
        Self {
            document: Text::new("application/json", json, None),
            page: Text::new("text/html; charset=utf-8", page.into_bytes(), HeaderValue::from_str(&policy).ok()),
        }
    }
}

/// The routes.
pub fn routes() -> Routes {
    Routes::new()
        .add(resource("/api/v1/openapi.json").get(description, description_operation()))
        .add(resource("/api/docs").get(reference, reference_operation()))
}

async fn description(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Problem> {
    shared.reference.document.answer(&headers)
}

async fn reference(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Problem> {
    shared.reference.page.answer(&headers)
}

fn description_operation() -> Operation {
    Operation::new(Tag::Reference, "getDescription", "This description, as OpenAPI 3.1")
        .open()
        .parameters(&[IF_NONE_MATCH])
        .answer(
            Answer::bare(StatusCode::OK, "The description.")
                .content(
                    "application/json",
                    Shape::Inline(serde_json::json!({ "type": "object", "required": ["openapi", "info", "paths"] })),
                    None,
                )
                .header(&ETAG)
                .header(&CACHE_CONTROL),
        )
        .answer(unchanged())
        .fails([causeway_core::ErrorKind::InvalidArgument])
}

fn reference_operation() -> Operation {
    Operation::new(Tag::Reference, "getReference", "The reference, as a page")
        .text("One page without scripts, that loads nothing.")
        .open()
        .parameters(&[IF_NONE_MATCH])
        .answer(
            Answer::bare(StatusCode::OK, "The page.")
                .content("text/html", Shape::Inline(serde_json::json!({ "type": "string" })), None)
                .header(&ETAG)
                .header(&CACHE_CONTROL)
                .header(&CONTENT_SECURITY_POLICY),
        )
        .answer(unchanged())
        .fails([causeway_core::ErrorKind::InvalidArgument])
}

fn unchanged() -> Answer {
    Answer::bare(StatusCode::NOT_MODIFIED, "It is what the client has.").header(&ETAG).header(&CACHE_CONTROL)
}
