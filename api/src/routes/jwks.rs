//! `GET /.well-known/jwks.json`: the keys that the gateway's own tokens are verified by (RFC 7517 section 5). Anybody may have them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::openapi::headers::CACHE_CONTROL;
use crate::openapi::{Answer, Operation, Shape, Tag};
use crate::problem::Problem;
use crate::router::Shared;

/// How long the set may be kept: a key stands in it for much longer before it signs.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// A public key (RFC 7517 section 4, RFC 8037 section 2).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PublicKey")]
struct PublicKey {
    /// Its id, as tokens name it: its thumbprint (RFC 7638).
    kid: String,
    /// The algorithm that it is used with: `EdDSA`.
    alg: String,
    /// `sig`.
    #[schemars(rename = "use")]
    purpose: String,
    /// `OKP`.
    kty: String,
    /// `Ed25519`.
    crv: String,
    /// The public key, in base64url.
    x: String,
}

/// A set of public keys (RFC 7517 section 5).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeySet")]
struct KeySet {
    /// The keys: the one that signs, the next one some time before it signs, and those whose tokens may still hold.
    keys: Vec<PublicKey>,
}

pub fn operation() -> Operation {
    let example = json!({ "keys": [{
        "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "alg": "EdDSA", "use": "sig", "kty": "OKP", "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }] });
    let answer = Answer::bare(StatusCode::OK, "The keys.")
        .content("application/jwk-set+json", Shape::of::<KeySet>(), Some(example))
        .header(&CACHE_CONTROL);
    Operation::new(Tag::Auth, "getKeySet", "The keys of the gateway's tokens")
        .text("Public keys alone. A key is here before it signs; who meets one that it does not know asks again.")
        .open()
        .answer(answer)
}

pub async fn jwks(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let keys: Value = shared.gateway.published_keys().await?;
    let mut response = axum::Json(keys).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
    response.headers_mut().insert(header::CACHE_CONTROL, KEPT);
    Ok(response)
}
