//! `POST /oauth/token`, `/oauth/revoke` and `/oauth/introspect`. What stands in the query is not looked at: secrets there would stand
//! in logs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use causeway_core::Peer;
use causeway_core::gateway::{ClientClaim, Introspection, Issued, OAuthFault, OAuthRefusal, TokenKind, TokenRequest};
use causeway_core::identity::{Scope, ScopeSet};
use http::StatusCode;
use http::request::Parts;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use time::OffsetDateTime;

use super::answer;
use super::client;
use super::form::Fields;
use crate::auth::peer_of;
use crate::router::Shared;

/// Tokens (RFC 6749 section 5.1).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tokens")]
pub struct Tokens<'a> {
    /// What goes into `Authorization: Bearer`.
    access_token: &'a str,
    /// `Bearer`.
    #[schemars(extend("const" = "Bearer"))]
    token_type: &'static str,
    /// Seconds until it ends.
    expires_in: i64,
    /// What it may be used for: scopes with spaces between.
    scope: &'a str,
    /// What gets the next ones, once; where a person has signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// What a token is (RFC 7662 section 2.2). Of one that does not count, or that the caller may not know of, `active` alone.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(rename = "Introspection")]
pub struct Introspected<'a> {
    /// Whether it counts.
    active: bool,
    /// What it may be used for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The client that it was given to.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    /// The login or API key that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    /// `Bearer`, of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// When it ends, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// When it was made, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// The identity that it acts as.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    /// Its own id, of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<uuid::Uuid>,
    /// Who has made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    /// The tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a str>,
}

/// What every one of these requests has.
struct Asked {
    fields: Fields,
    claim: ClientClaim,
    peer: Peer,
}

fn words(scopes: ScopeSet) -> String {
    scopes.words().map(Scope::as_str).collect::<Vec<_>>().join(" ")
}

fn wrong(sentence: &'static str) -> OAuthRefusal {
    OAuthRefusal::new(OAuthFault::InvalidRequest, sentence)
}

async fn asked(shared: &Shared, parts: &Parts, body: Body) -> Result<Asked, Response> {
    let peer = peer_of(shared, &parts.headers, &parts.extensions).map_err(answer::problem)?;
    let fields = Fields::of_body(shared, parts, body).await.map_err(answer::unreadable)?;
    if !fields.repeated().is_empty() {
        return Err(answer::refusal(wrong("a parameter is there twice")));
    }
    let claim = client::claim(&parts.headers, &fields).map_err(answer::refusal)?;
    Ok(Asked { fields, claim, peer })
}

/// What is asked for.
fn request(fields: &Fields) -> Result<TokenRequest, OAuthRefusal> {
    let secret = |name: &str, missing| fields.get(name).map(SecretString::from).ok_or_else(|| wrong(missing));
    match fields.get("grant_type") {
        Some("client_credentials") => Ok(TokenRequest::ClientCredentials { scope: fields.text("scope") }),
        Some("authorization_code") => Ok(TokenRequest::AuthorizationCode {
            code: secret("code", "code is missing")?,
            redirect_uri: fields.text("redirect_uri"),
            verifier: secret("code_verifier", "code_verifier is missing")?,
        }),
        Some("refresh_token") => Ok(TokenRequest::RefreshToken {
            token: secret("refresh_token", "refresh_token is missing")?,
            scope: fields.text("scope"),
        }),
        Some(_) => {
            let known = "grant_type has to be client_credentials, authorization_code or refresh_token";
            Err(OAuthRefusal::new(OAuthFault::UnsupportedGrantType, known))
        }
        None => Err(wrong("grant_type is missing")),
    }
}

pub async fn token(State(shared): State<Arc<Shared>>, sent: Request) -> Response {
    let (parts, body) = sent.into_parts();
    let Asked { fields, claim, peer } = match asked(&shared, &parts, body).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let issued = match request(&fields) {
        Ok(request) => shared.gateway.issue(&claim, &request, &peer).await,
        Err(refusal) => Err(refusal),
    };
    match issued {
        Ok(issued) => tokens(&issued),
        Err(refusal) => answer::refusal(refusal),
    }
}

fn tokens(issued: &Issued) -> Response {
    let left = issued.expires_at - OffsetDateTime::now_utc();
    answer::json(
        StatusCode::OK,
        &Tokens {
            access_token: issued.access_token.expose_secret(),
            token_type: "Bearer",
            expires_in: left.whole_seconds().max(0),
            scope: &words(issued.scopes),
            refresh_token: issued.refresh_token.as_ref().map(ExposeSecret::expose_secret),
        },
    )
}

pub async fn revoke(State(shared): State<Arc<Shared>>, sent: Request) -> Response {
    let (parts, body) = sent.into_parts();
    let Asked { fields, claim, peer } = match asked(&shared, &parts, body).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let Some(token) = fields.get("token") else { return answer::refusal(wrong("token is missing")) };
    match shared.gateway.revoke_token(&claim, &token.into(), &peer).await {
        Ok(()) => answer::empty(),
        Err(refusal) => answer::refusal(refusal),
    }
}

pub async fn introspect(State(shared): State<Arc<Shared>>, sent: Request) -> Response {
    let (parts, body) = sent.into_parts();
    let Asked { fields, claim, peer } = match asked(&shared, &parts, body).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let Some(token) = fields.get("token") else { return answer::refusal(wrong("token is missing")) };
    match shared.gateway.introspect(&claim, &token.into(), &peer).await {
        Ok(Some(found)) => answer::json(StatusCode::OK, &introspected(&found, &shared.config.public_url)),
        Ok(None) => answer::json(StatusCode::OK, &Introspected::default()),
        Err(refusal) => answer::refusal(refusal),
    }
}

fn introspected<'a>(found: &'a Introspection, issuer: &'a str) -> Introspected<'a> {
    Introspected {
        active: true,
        scope: Some(words(found.scopes)),
        client_id: Some(&found.client),
        username: Some(&found.login),
        token_type: match found.kind {
            TokenKind::Access => Some("Bearer"),
            TokenKind::Refresh => None,
        },
        exp: Some(found.expires_at.unix_timestamp()),
        iat: Some(found.issued_at.unix_timestamp()),
        sub: Some(&found.identity),
        jti: found.id,
        iss: Some(issuer),
        tenant_id: Some(&found.tenant),
    }
}
