//! What the bodies of requests about keys look like.

use causeway_core::identity::Scope;
use serde_json::{Value, json};

use crate::openapi::Shape;
use crate::openapi::schemas;

fn scopes() -> Value {
    let words: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    json!({
        "type": ["array", "null"], "items": { "enum": words },
        "description": "Narrows what the identity may do; empty: all of it. No more than the identity may.",
    })
}

fn networks() -> Value {
    json!({
        "type": ["array", "null"], "items": { "type": "string", "format": "network" }, "maxItems": 1000,
        "description": "Networks that it may come from, such as 192.0.2.0/24; empty: from everywhere.",
    })
}

fn rule() -> Value {
    json!({
        "enum": [true, false, "off", "any", "message", null],
        "description": "Which signature its requests must have: \"message\" (true), one by RFC 9421; \"any\", that or X-Signature; \"off\" (false), none.",
    })
}

fn secret() -> Value {
    json!({
        "type": ["string", "null"], "format": "signing-secret",
        "description": "What its requests are signed with by HMAC-SHA-256: 32 bytes at least, as they are or behind \"base64:\". It is never shown.",
    })
}

fn signature_keys() -> Value {
    json!({
        "type": ["array", "null"], "items": { "type": "string", "format": "public-key" }, "maxItems": 8,
        "description": "Public keys that its requests are signed with: Ed25519 or ECDSA on P-256, as `openssl pkey -pubout` prints them.",
    })
}

fn name() -> Value {
    json!({ "type": ["string", "null"], "minLength": 1, "maxLength": 128, "description": "What people call it." })
}

fn end(about: &str) -> Value {
    json!({ "type": ["string", "null"], "format": "date-time", "description": about })
}

/// `POST /api-keys`.
pub fn new_api_key() -> Shape {
    let mut id = schemas::slug();
    if let Some(members) = id.as_object_mut() {
        members.insert("type".to_owned(), json!(["string", "null"]));
        members
            .insert("description".to_owned(), "Its id, unique over the gateway; a new one where none is sent.".into());
    }
    Shape::Named(
        "NewApiKey",
        json!({
            "type": "object",
            "required": ["identity"],
            "additionalProperties": false,
            "properties": {
                "identity": { "type": "string", "format": "identity", "description": "The identity that it acts as." },
                "id": id,
                "name": name(),
                "scopes": scopes(),
                "expires": end("From then on it is refused; a moment to come."),
                "allow_from": networks(),
                "require_signature": rule(),
                "signing_secret": secret(),
                "signature_keys": signature_keys(),
            },
        }),
    )
}

/// `POST /api-keys/{key_id}/rotate`.
pub fn rotation() -> Shape {
    Shape::Named(
        "ApiKeyRotation",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "grace": { "type": ["string", "null"], "format": "duration-text", "description": "How long the old key goes on, such as \"24h\" (which it is where nothing is said) or \"7d\"; \"30d\" at most, \"0s\": not at all." },
                "expires": end("The key's end from now on; where nothing is said it stays."),
            },
        }),
    )
}

/// `PATCH /api-keys/{key_id}`.
pub fn change() -> Shape {
    Shape::Named(
        "ApiKeyChange",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "name": name(),
                "scopes": scopes(),
                "expires": end("Its end; null: it has none of its own."),
                "allow_from": networks(),
                "require_signature": rule(),
                "signing_secret": secret(),
                "signature_keys": signature_keys(),
            },
        }),
    )
}
