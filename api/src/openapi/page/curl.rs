//! How an operation is asked for with curl, made of its examples.

use serde_json::Value;

use super::{plain, resolved};
use crate::query::percent_encode;

/// The command.
pub fn command(document: &Value, operation: &Value, (method, path): (&str, &str), public_url: &str) -> String {
    let mut parts = vec![match method {
        "get" => "curl".to_owned(),
        "head" => "curl --head".to_owned(),
        other => format!("curl --request {}", other.to_uppercase()),
    }];
    if !operation.get("security").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        parts.push("--header 'Authorization: Bearer cwk_…'".to_owned());
    }
    let (mut target, mut query) = (path.to_owned(), Vec::new());
    for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
        let example = parameter.pointer("/examples/example/value").map(plain).unwrap_or_default();
        let required = parameter.get("required") == Some(&Value::Bool(true));
        match parameter.get("in").and_then(Value::as_str) {
            Some("path") => target = target.replace(&format!("{{{name}}}"), &percent_encode(&example)),
            Some("query") if required => query.push(format!("{name}={}", percent_encode(&example))),
            Some("header") if required => parts.push(quoted("--header", &format!("{name}: {example}"))),
            _ => {}
        }
    }
    // Where there are several media types, the one with an example.
    let contents = || super::object(operation, "/requestBody/content");
    let shown = contents().find(|(_, content)| content.get("examples").is_some()).or_else(|| contents().next());
    if let Some((media_type, content)) = shown {
        let example = super::object(content, "/examples").next().and_then(|(_, example)| example.get("value"));
        if media_type == "multipart/form-data" {
            for (name, value) in example.and_then(Value::as_object).into_iter().flatten() {
                let field = content
                    .get("schema")
                    .map(|schema| resolved(document, schema))
                    .and_then(|schema| schema.pointer(&format!("/properties/{name}/format")));
                let at = if field.is_some_and(|format| format == "binary") { "@" } else { "" };
                parts.push(quoted("--form", &format!("{name}={at}{}", plain(value))));
            }
        } else if media_type == "application/x-www-form-urlencoded" {
            for (name, value) in example.and_then(Value::as_object).into_iter().flatten() {
                parts.push(quoted("--data-urlencode", &format!("{name}={}", plain(value))));
            }
        } else if let Some(example) = example {
            parts.push(quoted("--header", &format!("Content-Type: {media_type}")));
            parts.push(quoted("--data", &plain(example)));
        } else {
            parts.push(quoted("--header", &format!("Content-Type: {media_type}")));
            parts.push("--data-binary @orders.csv".to_owned());
        }
    }
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    parts.push(format!("'{public_url}{target}{query}'"));
    parts.join(" \\\n  ")
}

/// An option whose value a shell takes as it is.
fn quoted(option: &str, value: &str) -> String {
    format!("{option} '{}'", value.replace('\'', r"'\''"))
}
