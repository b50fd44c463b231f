//! `GET /.well-known/oauth-authorization-server` (RFC 8414): where everything is, and what is known here.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use causeway_core::identity::Scope;
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::AUTHORIZE;
use crate::json;
use crate::router::Shared;

/// How long it may be kept.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

const SECRET_METHODS: &[&str] = &["client_secret_basic", "client_secret_post"];
const METHODS: &[&str] = &["client_secret_basic", "client_secret_post", "none"];

/// What an application has to know of this authorization server (RFC 8414 section 2).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuthorizationServer")]
pub struct Metadata<'a> {
    /// Who it is: `iss` of its tokens and of its answers.
    issuer: &'a str,
    /// Where people sign in.
    authorization_endpoint: String,
    /// Where tokens are.
    token_endpoint: String,
    /// The keys that access tokens are signed by.
    jwks_uri: String,
    /// Where tokens are ended.
    revocation_endpoint: String,
    /// Where it is told what a token is.
    introspection_endpoint: String,
    /// The scopes that are known.
    scopes_supported: Vec<&'static str>,
    /// `code`.
    response_types_supported: &'static [&'static str],
    /// `query`.
    response_modes_supported: &'static [&'static str],
    /// How tokens can be asked for.
    grant_types_supported: &'static [&'static str],
    /// How a client says who it is there.
    token_endpoint_auth_methods_supported: &'static [&'static str],
    /// The same where tokens are ended.
    revocation_endpoint_auth_methods_supported: &'static [&'static str],
    /// The same where it is told what a token is.
    introspection_endpoint_auth_methods_supported: &'static [&'static str],
    /// `S256`.
    code_challenge_methods_supported: &'static [&'static str],
    /// Whether answers say who they are of (RFC 9207).
    authorization_response_iss_parameter_supported: bool,
    /// For developers.
    service_documentation: String,
}

pub async fn metadata(State(shared): State<Arc<Shared>>) -> Response {
    let issuer = &*shared.config.public_url;
    let at = |path: &str| format!("{issuer}{path}");
    let mut response = json::json(
        StatusCode::OK,
        &Metadata {
            issuer,
            authorization_endpoint: at(AUTHORIZE),
            token_endpoint: at("/api/v1/oauth/token"),
            jwks_uri: at("/.well-known/jwks.json"),
            revocation_endpoint: at("/api/v1/oauth/revoke"),
            introspection_endpoint: at("/api/v1/oauth/introspect"),
            scopes_supported: Scope::ALL.iter().map(|scope| scope.as_str()).collect(),
            response_types_supported: &["code"],
            response_modes_supported: &["query"],
            grant_types_supported: &["authorization_code", "client_credentials", "refresh_token"],
            token_endpoint_auth_methods_supported: METHODS,
            revocation_endpoint_auth_methods_supported: METHODS,
            introspection_endpoint_auth_methods_supported: SECRET_METHODS,
            code_challenge_methods_supported: &["S256"],
            authorization_response_iss_parameter_supported: true,
            service_documentation: at("/api/docs"),
        },
    );
    response.headers_mut().insert(header::CACHE_CONTROL, KEPT);
    response
}
