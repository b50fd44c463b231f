//! The signature base (RFC 9421 section 2.5): what is signed of a request, line by line.
//!
//! `@authority` and `@target-uri` are what the client called. That must be a name of this gateway: where `api.public_url` is set,
//! that one or one of `api.signature_hosts`, and never a name that only stands in the request, which whoever takes a request
//! from one gateway to another writes as he likes. Where a proxy has written another `Host`, `public_url` counts.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use http::request::Parts;
use sfv::{Dictionary, FieldType as _, Item, List, ListEntry, ListSerializer, Parser};

use super::components::Kind;
use super::fields::{Fault, Input};
use crate::config::ApiConfig;
use crate::query::percent_decode;

/// What a client may have called.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    scheme: String,
    authority: String,
    /// What stands before the path that the gateway sees.
    prefix: String,
}

/// A host and port as `@authority` has them: in lower case, without the scheme's own port (section 2.2.3).
fn normal(authority: &str, scheme: &str) -> String {
    let lower = authority.to_ascii_lowercase();
    let usual = if scheme == "http" { ":80" } else { ":443" };
    lower.strip_suffix(usual).map(str::to_owned).unwrap_or(lower)
}

/// What the client may have called, to come to this gateway with this request.
pub fn called(parts: &Parts, config: &ApiConfig) -> Vec<Target> {
    let (scheme, rest) = config.public_url.split_once("://").unwrap_or(("https", &config.public_url));
    let (authority, prefix) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, String::new()),
    };
    let public = normal(authority, scheme);
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let sent = parts.uri.authority().map(http::uri::Authority::as_str).or(host).map(|sent| normal(sent, "https"));
    let target = |scheme: &str, authority: &str, prefix: &str| Target {
        scheme: scheme.to_owned(),
        authority: authority.to_owned(),
        prefix: prefix.to_owned(),
    };
    if let Some(sent) = sent.filter(|sent| *sent != public) {
        let known = config.signature_hosts.iter().flatten().any(|host| normal(host, "https") == sent);
        // Nobody has said under which names the gateway is known.
        if known || config.signature_hosts.is_none() {
            return vec![target("https", &sent, "")];
        }
    }
    let mut targets = vec![target(scheme, &public, &prefix)];
    if !prefix.is_empty() {
        targets.push(target(scheme, &public, ""));
    }
    targets
}

/// What a signature signs of a request. Fails where it covers what is not there, or cannot be made.
pub fn of(input: &Input, target: &Target, parts: &Parts) -> Result<Vec<u8>, Fault> {
    let mut base = String::new();
    for component in &input.components {
        let value = value(&component.kind, target, parts)
            .map_err(|why| Fault::from(format!("the component {} {why}", component.identifier())))?;
        // Writing to a string cannot fail.
        let _ = writeln!(base, "{}: {value}", component.identifier());
    }
    let _ = write!(base, "\"@signature-params\": {}", input.parameters);
    Ok(base.into_bytes())
}

const NOT_THERE: &str = "is covered, and the request does not have it";

fn value(kind: &Kind, target: &Target, parts: &Parts) -> Result<String, &'static str> {
    let Target { scheme, authority, prefix } = target;
    let path = || format!("{prefix}{}", if parts.uri.path().is_empty() { "/" } else { parts.uri.path() });
    let query = || parts.uri.query();
    let behind = || query().map(|query| format!("?{query}")).unwrap_or_default();
    match kind {
        Kind::Method => Ok(parts.method.as_str().to_owned()),
        Kind::Scheme => Ok(scheme.clone()),
        Kind::Authority => Ok(authority.clone()),
        Kind::TargetUri => Ok(format!("{scheme}://{authority}{}{}", path(), behind())),
        Kind::RequestTarget => Ok(format!("{}{}", path(), behind())),
        Kind::Path => Ok(path()),
        // Where there is no query it is the question mark alone.
        Kind::Query => Ok(format!("?{}", query().unwrap_or_default())),
        Kind::QueryParameter(name) => parameter(query().unwrap_or_default(), name),
        Kind::Field(name) => Ok(lines(parts, name)?.join(", ")),
        Kind::Wrapped(name) => {
            let wrapped = lines(parts, name)?.into_iter().map(|line| format!(":{}:", STANDARD.encode(line)));
            Ok(wrapped.collect::<Vec<_>>().join(", "))
        }
        Kind::Structured(name) => structured(name, &lines(parts, name)?.join(", ")),
        Kind::Member(name, key) => {
            let dictionary = Parser::new(&lines(parts, name)?.join(", "))
                .parse::<Dictionary>()
                .map_err(|_| "is no dictionary of structured fields")?;
            member(dictionary.get(key.as_str()).ok_or(NOT_THERE)?)
        }
    }
}

/// The lines of a field, without the white space around them.
fn lines(parts: &Parts, name: &str) -> Result<Vec<String>, &'static str> {
    let mut lines = Vec::new();
    for value in parts.headers.get_all(name) {
        lines.push(value.to_str().map_err(|_| "has a value that is not ASCII")?.trim().to_owned());
    }
    if lines.is_empty() { Err(NOT_THERE) } else { Ok(lines) }
}

/// Section 2.1.1: only a field whose type is known can be serialised strictly.
fn structured(name: &str, value: &str) -> Result<String, &'static str> {
    let wrong = "is not a structured field of its type";
    let parser = Parser::new(value);
    match name {
        "content-digest" | "repr-digest" | "want-content-digest" | "want-repr-digest" | "priority" => {
            Ok(parser.parse::<Dictionary>().map_err(|_| wrong)?.serialize().unwrap_or_default())
        }
        "accept-signature" => Ok(parser.parse::<Dictionary>().map_err(|_| wrong)?.serialize().unwrap_or_default()),
        "upload-complete" | "upload-offset" | "upload-length" | "idempotency-key" => {
            Ok(parser.parse::<Item>().map_err(|_| wrong)?.serialize())
        }
        "cache-status" | "proxy-status" => {
            Ok(parser.parse::<List>().map_err(|_| wrong)?.serialize().unwrap_or_default())
        }
        _ => Err("is not known here as a structured field; leave `sf` out"),
    }
}

/// A member of a dictionary by itself.
fn member(entry: &ListEntry) -> Result<String, &'static str> {
    match entry {
        ListEntry::Item(item) => Ok(item.serialize()),
        ListEntry::InnerList(list) => {
            let mut serializer = ListSerializer::new();
            let mut inner = serializer.inner_list();
            inner.items(&list.items);
            let _ = inner.finish().parameters(&list.params);
            serializer.finish().ok_or("cannot be written")
        }
    }
}

/// The one value of a parameter of the query: decoded as forms are, and encoded anew with `%20` for a space.
fn parameter(query: &str, name: &str) -> Result<String, &'static str> {
    let decode = |text: &str| percent_decode(text.as_bytes(), true).ok_or("cannot be read in this query");
    let wanted = percent_decode(name.as_bytes(), false).ok_or("has a name that is no valid percent-encoding")?;
    let mut found = None;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        if decode(key)? == wanted && found.replace(decode(value)?).is_some() {
            return Err("stands several times in the query; cover \"@query\"");
        }
    }
    let mut encoded = String::new();
    for byte in found.ok_or(NOT_THERE)? {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Ok(encoded)
}

#[cfg(test)]
#[path = "base_test.rs"]
mod tests;
