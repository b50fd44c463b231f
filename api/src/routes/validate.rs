//! `GET /auth/validate`: whom a credential is. It needs no scope.

use axum::response::Response;
use causeway_core::identity::Scope;
use http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::auth::Caller;
use crate::json::json;

#[derive(Serialize)]
struct Validated<'a> {
    tenant_id: &'a str,
    identity: &'a str,
    login: &'a str,
    scopes: Vec<&'static str>,
    method: &'static str,
    expires_at: Option<String>,
}

pub async fn validate(caller: Caller) -> Response {
    let session = &caller.session;
    let utc = |moment: OffsetDateTime| moment.to_offset(time::UtcOffset::UTC).format(&Rfc3339).ok();
    let answer = Validated {
        tenant_id: &session.tenant.id,
        identity: &session.identity.id,
        login: &session.login,
        scopes: session.scopes.words().map(Scope::as_str).collect(),
        method: session.auth_method.as_str(),
        expires_at: session.expires.and_then(utc),
    };
    json(StatusCode::OK, &answer)
}
