//! The JSON Schema (draft 2020-12) of the configuration file, for editors, made of the description of its keys ([`super::keys`]).
//! It tells what a value looks like; what fits together is told by `causeway check`.

use serde_json::{Map, Value, json};

use super::keys::{Counts, Form, Key, Kind, ROOT};

/// The schema of the whole file.
pub fn document() -> Value {
    let mut schema = object(ROOT);
    if let Some(members) = schema.as_object_mut() {
        members.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        members.insert("title".to_owned(), json!("causeway.toml"));
        members.insert("description".to_owned(), json!("The configuration of the causeway file gateway."));
    }
    schema
}

/// A table with these keys, and no others.
fn object(keys: &[Key]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if let (false, Some(members)) = (required.is_empty(), schema.as_object_mut()) {
        members.insert("required".to_owned(), json!(required));
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = match key.form {
        Form::Text(kind) => text(kind),
        Form::TextOrEmpty(kind) => or_empty(text(kind)),
        Form::Texts(kind) => json!({ "type": "array", "items": text(kind) }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::FlagOrText(kind) => json!({ "anyOf": [{ "type": "boolean" }, text(kind)] }),
        Form::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Form::Table(keys) => object(keys),
        Form::Tables(keys) => json!({ "type": "array", "items": object(keys) }),
        Form::Map(kind) => json!({ "type": "object", "additionalProperties": text(kind) }),
    };
    let Some(members) = schema.as_object_mut() else { return schema };
    members.insert("description".to_owned(), json!(description(key)));
    let default = key.default.and_then(|text| serde_json::from_str::<Value>(text).ok());
    if let Some(default) = default {
        members.insert("default".to_owned(), default);
    }
    schema
}

fn description(key: &Key) -> String {
    let counts = match (key.keys(), key.counts) {
        // It is said of each of its keys.
        (Some(_), _) | (None, Counts::AtOnce) => "",
        (None, Counts::NewConnections) => " A change counts for connections that come then.",
        (None, Counts::Restart) => " A change needs a restart.",
    };
    let required = if key.required { " Required." } else { "" };
    format!("{}{required}{counts}", key.says)
}

fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn text(kind: Kind) -> Value {
    match kind {
        Kind::Any => json!({ "type": "string" }),
        Kind::Slug => pattern("^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"),
        Kind::Username => pattern(r"^[^\s/]{1,128}$"),
        Kind::Duration => pattern("^[0-9]+ *(ms|s|m|h|d)$"),
        Kind::Size => pattern("^[0-9]+ *(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)$"),
        Kind::Rate => pattern("^[0-9]+ *(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB) */s$"),
        Kind::OneOf(words) => json!({ "enum": words() }),
        Kind::Secret => pattern("^(env:[A-Za-z0-9_]+|file:.+|vault:.+)$"),
        Kind::TreePath => pattern("^/"),
        Kind::Listen => pattern(r"^([0-9.]+|\[[0-9A-Fa-f:.%]+\]):[0-9]+$"),
        Kind::Network => pattern(r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"),
        Kind::Url => json!({ "type": "string", "format": "uri" }),
        Kind::Moment => json!({ "type": "string", "format": "date-time" }),
        Kind::Pattern(own) => pattern(own),
    }
}

/// The same, or nothing.
fn or_empty(schema: Value) -> Value {
    match schema.get("type") {
        Some(_) if schema.get("pattern").is_none() && schema.get("format").is_none() => schema,
        _ => json!({ "anyOf": [{ "const": "" }, schema] }),
    }
}
