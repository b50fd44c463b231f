//! Forms and queries: `application/x-www-form-urlencoded` in UTF-8 (RFC 6749 appendix B). Parameters that are not known are
//! not looked at, and those that are sent empty were not sent (sections 3.1 and 3.2).

use axum::body::Body;
use causeway_core::ErrorKind;
use http::header;
use http::request::Parts;

use crate::problem::{HttpFault, Problem};
use crate::query::percent_decode;
use crate::router::Shared;

/// The largest form, in bytes.
const MAX_FORM: usize = 64 * 1024;
/// The most parameters of one.
const MAX_FIELDS: usize = 64;

/// What was sent is no form.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// Why a form cannot be read.
pub enum Unreadable {
    /// It is none.
    Malformed,
    /// For a reason of HTTP's own.
    Http(Problem),
}

/// The parameters of a form or query.
#[derive(Debug, Default)]
pub struct Fields {
    pairs: Vec<(String, String)>,
    repeated: Vec<String>,
}

impl Fields {
    /// Reads them.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Self::default();
        for part in text.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
            let (name, value) = match part.iter().position(|byte| *byte == b'=') {
                Some(at) => (part.get(..at), part.get(at + 1..)),
                None => (Some(part), None),
            };
            let decode = |raw: Option<&[u8]>| {
                let bytes = percent_decode(raw.unwrap_or_default(), true).ok_or(Malformed)?;
                String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).ok_or(Malformed)
            };
            let (name, value) = (decode(name)?, decode(value)?);
            if fields.pairs.iter().any(|(known, _)| *known == name) {
                fields.repeated.push(name);
                continue;
            }
            if fields.pairs.len() == MAX_FIELDS {
                return Err(Malformed);
            }
            fields.pairs.push((name, value));
        }
        Ok(fields)
    }

    /// Those of a request's body.
    pub async fn of_body(shared: &Shared, parts: &Parts, body: Body) -> Result<Self, Unreadable> {
        let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let right = essence.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        if !right || parts.headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Unreadable::Malformed);
        }
        match shared.body(parts, body).whole(MAX_FORM).await {
            Ok(Some(bytes)) => Self::parse(&bytes).map_err(|Malformed| Unreadable::Malformed),
            Ok(None) => Err(Unreadable::Http(Problem::http(HttpFault::BodyTooLarge))),
            Err(error) if error.kind() == ErrorKind::Incomplete => Err(Unreadable::Malformed),
            Err(error) => Err(Unreadable::Http(error.into())),
        }
    }

    /// The value of a parameter; none where it was not sent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The same, as its own.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// The names of parameters that were sent more than once.
    pub fn repeated(&self) -> &[String] {
        &self.repeated
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_counted() {
        let fields = Fields::parse(b"a=1&b=x%20y+z&c=&d&e=%C3%A9&&a=2&%61=3").unwrap();
        assert_eq!((fields.get("a"), fields.get("b"), fields.get("e")), (Some("1"), Some("x y z"), Some("é")));
        assert_eq!((fields.get("c"), fields.get("d"), fields.get("f")), (None, None, None));
        assert_eq!(fields.repeated(), ["a", "a"], "an encoded name is the same name");
        assert_eq!(Fields::parse(b"c=&c=1").unwrap().repeated(), ["c"], "an empty one, too");
        for wrong in [&b"a=%zz"[..], b"a=%2", b"a=%ff", b"%ff=a", b"a=%00"] {
            assert_eq!(Fields::parse(wrong).unwrap_err(), Malformed, "{wrong:?}");
        }
        let many: Vec<String> = (0..=MAX_FIELDS).map(|n| format!("p{n}=1")).collect();
        assert_eq!(Fields::parse(many.join("&").as_bytes()).unwrap_err(), Malformed);
    }
}
