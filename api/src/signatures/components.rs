//! The components of a message that a signature covers (RFC 9421 section 2): which are known here, and which must be covered.

use std::collections::BTreeSet;

use http::request::Parts;
use sfv::{FieldType as _, Item};

use super::changes;
use super::fields::Fault;

/// What a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `@method` (section 2.2.1).
    Method,
    /// `@target-uri` (section 2.2.2).
    TargetUri,
    /// `@authority` (section 2.2.3).
    Authority,
    /// `@scheme` (section 2.2.4).
    Scheme,
    /// `@request-target` (section 2.2.5).
    RequestTarget,
    /// `@path` (section 2.2.6).
    Path,
    /// `@query` (section 2.2.7).
    Query,
    /// `@query-param` of this name, as it is written there (section 2.2.8).
    QueryParameter(String),
    /// A field as it came (section 2.1).
    Field(String),
    /// A structured field, serialised strictly (`sf`, section 2.1.1).
    Structured(String),
    /// A member of a dictionary (`key`, section 2.1.2).
    Member(String, String),
    /// A field whose lines are wrapped in byte sequences (`bs`, section 2.1.3).
    Wrapped(String),
}

/// A component that is covered, with the identifier that stands before its value.
#[derive(Clone, Debug)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    identifier: String,
}

impl Component {
    /// Reads an item of a list of components.
    pub fn read(item: &Item) -> Result<Self, Fault> {
        let identifier = item.serialize();
        let Some(name) = item.bare_item.as_string().map(sfv::StringRef::as_str) else {
            return Err(format!("the component {identifier} is no string in quotes").into());
        };
        let unknown = || Fault::from(format!("the component {identifier} is not known here; cover another"));
        let (mut key, mut sf, mut bs, mut parameter) = (None, false, false, None);
        for (flag, value) in &item.params {
            let on = value.as_boolean() == Some(true);
            let text = value.as_string().map(|text| text.as_str().to_owned());
            match flag.as_str() {
                "sf" if on => sf = true,
                "bs" if on => bs = true,
                "key" if text.is_some() => key = text,
                "name" if text.is_some() => parameter = text,
                "req" => {
                    return Err(format!("{identifier}: a request has no request of its own; leave `req` out").into());
                }
                "tr" => return Err(format!("{identifier}: trailers are not taken here; leave `tr` out").into()),
                _ => return Err(unknown()),
            }
        }
        let plain = key.is_none() && !sf && !bs;
        let kind = match (name.strip_prefix('@'), parameter) {
            (Some("query-param"), Some(parameter)) if plain => Kind::QueryParameter(parameter),
            (Some(derived), None) if plain => match derived {
                "method" => Kind::Method,
                "target-uri" => Kind::TargetUri,
                "authority" => Kind::Authority,
                "scheme" => Kind::Scheme,
                "request-target" => Kind::RequestTarget,
                "path" => Kind::Path,
                "query" => Kind::Query,
                _ => return Err(unknown()),
            },
            (None, None) if is_field_name(name) => match (key, sf, bs) {
                (None, false, false) => Kind::Field(name.to_owned()),
                (None, true, false) => Kind::Structured(name.to_owned()),
                // A member is serialised strictly anyway.
                (Some(key), _, false) => Kind::Member(name.to_owned(), key),
                (None, false, true) => Kind::Wrapped(name.to_owned()),
                // Section 2.1.3: each makes the other meaningless.
                (_, _, true) => return Err(unknown()),
            },
            _ => return Err(unknown()),
        };
        Ok(Self { kind, identifier })
    }

    /// As it stands in the base: the name in quotes, and its parameters.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// Whether it is the same, whatever the order of its parameters.
    pub fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// A field name in lower case (section 2.1).
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The fields that say what a request that changes something means: where they are there, they must be covered. Whoever
/// could add one, or change it, could make another request of it.
const MEANINGFUL: [&str; 11] = [
    "content-encoding",
    "content-range",
    "content-disposition",
    "repr-digest",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "idempotency-key",
    "x-http-method-override",
    "x-tenant-id",
];
/// What the names of more of them begin with: those of tus and of resumable uploads.
const MEANINGFUL_PREFIX: &str = "upload-";

/// What of the request a signature over these components leaves open, though it matters.
pub fn uncovered(components: &[Component], parts: &Parts, has_body: bool) -> Vec<String> {
    let has = |kind: &Kind| components.iter().any(|component| component.kind == *kind);
    let mut open = Vec::new();
    if !has(&Kind::Method) {
        open.push("@method".to_owned());
    }
    let target = has(&Kind::RequestTarget);
    let path = target || has(&Kind::Path);
    let query = target || has(&Kind::Query) || parts.uri.query().is_none();
    if !has(&Kind::TargetUri) {
        if !has(&Kind::Authority) && !path {
            open.push("@target-uri".to_owned());
        } else {
            let wanted = [(has(&Kind::Authority), "@authority"), (path, "@path"), (query, "@query")];
            open.extend(wanted.iter().filter(|(covered, _)| !covered).map(|(_, name)| (*name).to_owned()));
        }
    }
    let covers = |name: &str| {
        components.iter().any(|component| match &component.kind {
            Kind::Field(field) | Kind::Structured(field) | Kind::Wrapped(field) => field == name,
            Kind::Method
            | Kind::TargetUri
            | Kind::Authority
            | Kind::Scheme
            | Kind::RequestTarget
            | Kind::Path
            | Kind::Query
            | Kind::QueryParameter(_)
            // Of a field of several members the others could still change.
            | Kind::Member(..) => false,
        })
    };
    if has_body {
        // With the media type a form's boundary changes, and what the file is.
        for name in ["content-digest", "content-type"] {
            if (name == "content-digest" || parts.headers.contains_key(name)) && !covers(name) {
                open.push(name.to_owned());
            }
        }
    }
    if changes(&parts.method) {
        let names: BTreeSet<&str> = parts.headers.keys().map(http::HeaderName::as_str).collect();
        for name in names {
            if (MEANINGFUL.contains(&name) || name.starts_with(MEANINGFUL_PREFIX)) && !covers(name) {
                open.push(name.to_owned());
            }
        }
    }
    open
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::Request;
    use sfv::{InnerList, List, ListEntry, Parser};

    pub fn components(list: &str) -> Vec<Component> {
        let parsed = Parser::new(&format!("({list})")).parse::<List>().unwrap();
        let Some(ListEntry::InnerList(InnerList { items, .. })) = parsed.into_iter().next() else { return Vec::new() };
        items.iter().map(|item| Component::read(item).unwrap()).collect()
    }

    fn open(list: &str, request: http::request::Builder, has_body: bool) -> Vec<String> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        uncovered(&components(list), &parts, has_body)
    }

    #[test]
    fn what_must_be_covered() {
        let get = || Request::get("/api/v1/files?path=/a");
        let whole = "\"@method\" \"@target-uri\"";
        assert!(open(whole, get(), false).is_empty());
        assert!(open("\"@method\" \"@authority\" \"@path\" \"@query\"", get(), false).is_empty());
        assert!(open("\"@method\" \"@authority\" \"@request-target\"", get(), false).is_empty());
        assert_eq!(open("\"@method\" \"@authority\" \"@path\"", get(), false), ["@query"]);
        assert!(
            open("\"@method\" \"@authority\" \"@path\"", Request::get("/a"), false).is_empty(),
            "there is no query"
        );
        assert_eq!(open("\"@method\" \"@path\" \"@query\"", get(), false), ["@authority"]);
        assert_eq!(
            open("\"@authority\" \"@path\" \"@query-param\";name=\"path\"", get(), false),
            ["@method", "@query"]
        );
        assert_eq!(open("\"date\"", get(), false), ["@method", "@target-uri"]);
        let put = || Request::put("/a").header("content-type", "text/csv").header("upload-complete", "?1");
        assert_eq!(open(whole, put(), true), ["content-digest", "content-type", "upload-complete"]);
        let all = format!("{whole} \"content-type\" \"upload-complete\" ");
        assert!(open(&format!("{all} \"content-digest\""), put(), true).is_empty());
        assert!(open(&format!("{all} \"content-digest\";sf"), put(), true).is_empty());
        assert_eq!(open(&format!("{all} \"content-digest\";key=\"sha-256\""), put(), true), ["content-digest"]);
        let more = Request::delete("/a")
            .header("if-match", "*")
            .header("x-http-method-override", "HEAD")
            .header("accept", "*/*");
        assert_eq!(open(whole, more, false), ["if-match", "x-http-method-override"]);
        assert!(open(whole, get().header("if-match", "*"), false).is_empty(), "nothing changes by it");
    }

    #[test]
    fn what_is_not_known_is_told() {
        let parsed = |list: &str| Parser::new(&format!("({list})")).parse::<List>().unwrap();
        for wrong in [
            "\"@status\"",
            "\"@unknown\"",
            "\"@query-param\"",
            "\"@method\";name=\"x\"",
            "\"@method\";sf",
            "\"@path\";req",
            "\"date\";tr",
            "\"date\";sf;bs",
            "\"date\";bs;key=\"a\"",
            "\"date\";sf=1",
            "\"Date\"",
            "\"a b\"",
            "\"\"",
            "date",
            "\"date\";other",
            "\"@signature-params\"",
        ] {
            let Some(ListEntry::InnerList(list)) = parsed(wrong).into_iter().next() else { unreachable!() };
            assert!(list.items.iter().any(|item| Component::read(item).is_err()), "{wrong}");
        }
    }
}
