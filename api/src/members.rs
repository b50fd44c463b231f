//! Reading small JSON bodies (RFC 8259): an object whose members are taken one by one. All that is wrong with them is told
//! at once.

use std::borrow::Cow;

use axum::extract::Request;
use http::{HeaderMap, header};
use serde_json::{Map, Value};

use crate::body::BodyReader;
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;

/// Unknown members that are named at most.
const MAX_UNKNOWN: usize = 8;

/// The members of a body that were not taken yet, and what is wrong with those that were.
#[derive(Debug)]
pub struct Members {
    object: Map<String, Value>,
    wrong: Vec<(String, Cow<'static, str>)>,
}

impl Members {
    /// Reads a body. 415 for another media type than JSON or an encoded body, 413 beyond `limit` bytes, 400 where it is no
    /// JSON object.
    pub async fn read(headers: &HeaderMap, body: &mut BodyReader, limit: usize) -> Result<Self, Problem> {
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") || headers.contains_key(header::CONTENT_ENCODING) {
            return Err(
                Problem::http(HttpFault::MediaType).saying("send `Content-Type: application/json`, not encoded")
            );
        }
        let Some(bytes) = body.whole(limit).await? else { return Err(Problem::http(HttpFault::BodyTooLarge)) };
        Self::parse(&bytes)
    }

    /// Those of a request's body, and the request's headers.
    pub async fn of(shared: &Shared, request: Request) -> Result<(HeaderMap, Self), Problem> {
        let (parts, body) = request.into_parts();
        let mut body = BodyReader::new(&parts, body, shared.config.body_timeout);
        let members = Self::read(&parts.headers, &mut body, shared.config.max_json_bytes).await?;
        Ok((parts.headers, members))
    }

    /// The members of a JSON text.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            // Line and column only: the parser's sentence may quote the body.
            let (line, column) = (error.line(), error.column());
            Problem::field("body", format!("the body is no valid JSON (line {line}, column {column})"))
        })?;
        match value {
            Value::Object(object) => Ok(Self { object, wrong: Vec::new() }),
            _ => Err(Problem::field("body", "the body is no JSON object")),
        }
    }

    /// Notes what is wrong with a member, and what would be right.
    pub fn wrong(&mut self, name: &str, detail: impl Into<Cow<'static, str>>) {
        self.wrong.push((name.to_owned(), detail.into()));
    }

    /// The same, unless something else is wrong with it already.
    pub fn miss(&mut self, name: &str, detail: impl Into<Cow<'static, str>>) {
        if !self.wrong.iter().any(|(wrong, _)| wrong == name) {
            self.wrong(name, detail);
        }
    }

    /// A member as this reads it; `null` is as good as none. `expected` is told where it cannot be read.
    pub fn read_as<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name).filter(|value| !value.is_null())?;
        let read = read(&value);
        if read.is_none() {
            self.wrong(name, expected);
        }
        read
    }

    /// A whole number, however JSON writes it: `3`, `3.0` and `3e0` are one (JSON Schema 2020-12, "integer").
    pub fn whole(value: &Value) -> Option<u64> {
        value.as_u64().or_else(|| {
            let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
            // Beyond 2^53 such a number is no longer exact.
            (0.0..=9_007_199_254_740_992.0).contains(&number).then_some(number as u64)
        })
    }

    /// A member, whatever it is.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name)
    }

    /// A string.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let Value::String(text) = self.take(name)? else {
            self.wrong(name, "this is a string");
            return None;
        };
        Some(text)
    }

    /// A string that must be there.
    pub fn required(&mut self, name: &str) -> String {
        if !self.object.contains_key(name) {
            self.wrong(name, "this is required");
        }
        self.text(name).unwrap_or_default()
    }

    /// A boolean.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        let Value::Bool(flag) = self.take(name)? else {
            self.wrong(name, "this is `true` or `false`, without quotes");
            return None;
        };
        Some(flag)
    }

    /// Fails with 400 where anything was wrong, or a member is left that nobody took.
    pub fn finish(self) -> Result<(), Problem> {
        let unknown =
            self.object.keys().take(MAX_UNKNOWN).map(|name| (name.clone(), "this member is not known here".into()));
        let mut wrong = self.wrong.into_iter().chain(unknown);
        let Some((name, detail)) = wrong.next() else { return Ok(()) };
        Err(wrong
            .fold(Problem::field(&name, detail), |problem, (name, detail)| problem.saying(detail).at(&name))
            .saying("the body's members are wrong; `errors` names them"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn document(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.document("r")).unwrap()
    }

    #[test]
    fn only_an_object_will_do() {
        for bad in ["", "[]", "{", "\"/a\"", "{}x", "{\"a\":1,}", "\u{feff}{}"] {
            assert_eq!(Members::parse(bad.as_bytes()).unwrap_err().status(), StatusCode::BAD_REQUEST, "{bad}");
        }
        assert!(Members::parse(&[b"{\"a\":\"".as_slice(), &[0xff], b"\"}"].concat()).is_err());
        // Deeper than anything that means something here, and than a stack may be.
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Members::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let whole = |text: &str| Members::whole(&serde_json::from_str(text).unwrap());
        for (text, number) in [("0", 0), ("3.0", 3), ("3e2", 300), ("18446744073709551615", u64::MAX)] {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        for text in ["-1", "1.5", "1e300", "-0.5", "\"1\"", "true", "null"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn members_are_taken_once() {
        let mut members = Members::parse(br#"{"path": "/a", "overwrite": true}"#).unwrap();
        assert_eq!(members.required("path"), "/a");
        assert_eq!(members.flag("overwrite"), Some(true));
        assert_eq!(members.text("other"), None);
        members.finish().unwrap();
    }

    #[test]
    fn all_that_is_wrong_is_named() {
        let mut members = Members::parse(br#"{"paht": "/a", "overwrite": "true", "tag": null}"#).unwrap();
        members.required("path");
        assert_eq!((members.flag("overwrite"), members.text("tag")), (None, None));
        let problem = members.finish().unwrap_err();
        let document = document(&problem);
        let fields: Vec<&str> =
            document["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!(fields, ["path", "overwrite", "tag", "paht"]);
        assert_eq!(document["detail"], "the body's members are wrong; `errors` names them");
    }
}
