//! OAuth 2.0 over HTTP (RFC 6749, 7009, 7636, 7662, 8414, 9207): forms in, JSON or pages out. Who gets what is decided by core
//! ([`causeway_core::gateway`]); here stands how HTTP says it.

mod answer;
mod authorize;
mod client;
mod cookie;
mod form;
mod metadata;
mod operations;
mod page;
mod token;

use crate::openapi::{Routes, resource};

/// The path of the pages; no page of another origin may read what it answers, whatever `cors_origins` says (RFC 9700 section 2.6).
pub const AUTHORIZE: &str = "/api/v1/oauth/authorize";

/// The routes.
pub fn routes() -> Routes {
    Routes::new()
        .add(resource("/api/v1/oauth/token").post(token::token, operations::token()))
        .add(
            resource(AUTHORIZE)
                .get(authorize::show, operations::authorize())
                .post(authorize::submit, operations::authorize_form()),
        )
        .add(resource("/api/v1/oauth/revoke").post(token::revoke, operations::revoke()))
        .add(resource("/api/v1/oauth/introspect").post(token::introspect, operations::introspect()))
        .add(resource("/.well-known/oauth-authorization-server").get(metadata::metadata, operations::metadata()))
}
