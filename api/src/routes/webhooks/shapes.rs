//! What the bodies of requests about webhooks look like.

use causeway_core::identity::spec::MAX_EVENT_GLOBS;
use serde_json::{Value, json};

use crate::openapi::Shape;
use crate::openapi::schemas;

fn url() -> Value {
    json!({
        "type": "string", "format": "webhook-url", "maxLength": 2048,
        "description": "Where events are posted to: https, a public address, port 443 or one from 1024 on.",
    })
}

fn events() -> Value {
    json!({
        "type": ["array", "null"], "items": { "type": "string", "format": "event-kinds" }, "minItems": 1,
        "maxItems": MAX_EVENT_GLOBS,
        "description": "Which kinds of events: names, or groups as `transfer.*`.",
    })
}

fn path() -> Value {
    json!({
        "type": ["string", "null"], "format": "path-glob", "maxLength": 1024,
        "description": "Only events about files under this glob, such as `/inbound/**`, and those about no file.",
    })
}

fn secret() -> Value {
    json!({
        "type": ["string", "null"], "format": "webhook-secret", "minLength": 16, "maxLength": 512,
        "description": "What the deliveries are signed with: `whsec_` and base64, or any text; one is made where none is sent.",
    })
}

fn ca() -> Value {
    json!({
        "type": ["string", "null"], "format": "pem-certificates", "maxLength": 65536,
        "description": "Authorities that are believed beside the usual ones: certificates in PEM.",
    })
}

fn identity() -> Value {
    json!({
        "type": ["string", "null"], "format": "pem-identity", "maxLength": 65536,
        "description": "A client certificate that the endpoint asks for, with those above it and its private key, in PEM. It is never shown.",
    })
}

/// `POST /webhooks`.
pub fn new_webhook() -> Shape {
    let mut id = schemas::slug();
    if let Some(members) = id.as_object_mut() {
        members.insert("type".to_owned(), json!(["string", "null"]));
        members.insert("description".to_owned(), "Its id, unique in the tenant; a new one where none is sent.".into());
    }
    Shape::Named(
        "NewWebhook",
        json!({
            "type": "object",
            "required": ["url"],
            "additionalProperties": false,
            "properties": {
                "id": id, "url": url(), "events": events(), "path": path(), "secret": secret(),
                "ca": ca(), "client_identity": identity(),
            },
        }),
    )
}

/// `PATCH /webhooks/{webhook_id}`.
pub fn change() -> Shape {
    let mut url = url();
    if let Some(members) = url.as_object_mut() {
        members.insert("type".to_owned(), json!(["string", "null"]));
    }
    Shape::Named(
        "WebhookChange",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "url": url, "events": events(), "path": path(), "ca": ca(), "client_identity": identity(),
            },
        }),
    )
}

/// `POST /webhooks/{webhook_id}/rotate-secret`.
pub fn rotation() -> Shape {
    Shape::Named(
        "WebhookSecretRotation",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "grace": { "type": ["string", "null"], "format": "duration-text", "description": "How long the old secret signs, too, such as \"24h\" (which it is where nothing is said) or \"7d\"; \"30d\" at most, \"0s\": not at all." },
                "secret": secret(),
            },
        }),
    )
}

/// `POST /webhooks/{webhook_id}/replay`.
pub fn replay() -> Shape {
    Shape::Named(
        "WebhookReplay",
        json!({
            "type": "object",
            "required": ["since"],
            "additionalProperties": false,
            "properties": { "since": schemas::moment() },
        }),
    )
}
