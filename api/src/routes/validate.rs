//! `GET /auth/validate`: whom a credential is. It needs no scope.

use axum::response::Response;
use causeway_core::identity::Scope;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::moment;
use crate::auth::Caller;
use crate::json;
use crate::openapi::schemas::Moment;
use crate::openapi::{Answer, Operation, Tag};

/// Whom a credential is.
#[derive(Serialize, JsonSchema)]
struct Validated<'a> {
    /// The tenant.
    tenant_id: &'a str,
    /// The identity that it acts as.
    identity: &'a str,
    /// The login, or the name of the API key; of a token the one that it was given by, of an issuer's token its subject.
    login: &'a str,
    /// What it may do.
    scopes: Vec<&'static str>,
    /// What was proven: `api_key`, `certificate`, `jwt` (a token of the gateway's own), `oidc` (an issuer's).
    method: &'static str,
    /// When the credential ends; null where it does not.
    #[schemars(with = "Option<Moment>")]
    expires_at: Option<String>,
}

pub fn operation() -> Operation {
    let example = json!({
        "tenant_id": "acme", "identity": "edi-partner", "login": "edi-key", "scopes": ["files:read", "files:write"],
        "method": "api_key", "expires_at": null,
    });
    Operation::new(Tag::Auth, "validateCredential", "Whom a credential is")
        .text("It needs no scope.")
        .answer(Answer::json::<Validated<'_>>(StatusCode::OK, "Whom it is.", example))
}

pub async fn validate(caller: Caller) -> Response {
    let session = &caller.session;
    let answer = Validated {
        tenant_id: &session.tenant.id,
        identity: &session.identity.id,
        login: &session.login,
        scopes: session.scopes.words().map(Scope::as_str).collect(),
        method: session.auth_method.as_str(),
        expires_at: session.expires.and_then(moment),
    };
    json::json(StatusCode::OK, &answer)
}
