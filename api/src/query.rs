//! The query of a request target: `application/x-www-form-urlencoded` (RFC 1866 section 8.2.1, and the URL standard)
//! over RFC 3986 section 3.4, decoded to bytes and never repaired. A parameter that is not known is refused, so that a
//! misspelt filter cannot mean "everything".

use causeway_core::{Error, ErrorKind};

use crate::openapi::Parameter;
use crate::problem::Problem;

/// The parameters of a request.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(&'static str, Vec<u8>)>,
}

impl Query {
    /// Reads them. Fails with 400 where one is not in `known` or is no valid percent-encoding.
    pub fn parse(raw: Option<&str>, known: &[Parameter]) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        for part in raw.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let decoded = percent_decode(name.as_bytes(), true).and_then(|name| String::from_utf8(name).ok());
            let Some(known) = decoded.as_deref().and_then(|name| known.iter().find(|known| known.name == name)) else {
                let name = decoded.unwrap_or_else(|| name.to_owned());
                return Err(Problem::field(&name, "this parameter is not known here; see the REST reference"));
            };
            let value = percent_decode(value.as_bytes(), true)
                .ok_or_else(|| Problem::field(known.name, "this is no valid percent-encoding; write `%` as `%25`"))?;
            pairs.push((known.name, value));
        }
        Ok(Self { pairs })
    }

    /// The one value of a parameter, as bytes. Fails with 400 where it stands twice.
    pub fn bytes(&self, name: &str) -> Result<Option<&[u8]>, Problem> {
        let mut values = self.pairs.iter().filter(|(key, _)| *key == name).map(|(_, value)| value.as_slice());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Problem::field(name, "this parameter stands twice; send it once")),
        }
    }

    /// The one value of a parameter, as text. Fails with 400 where it stands twice, is empty (a filter whose value got lost
    /// must not mean "everything") or is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.bytes(name)? {
            None => Ok(None),
            Some([]) => Err(empty(name)),
            Some(value) => utf8(name, value).map(Some),
        }
    }

    /// All values of a parameter, each of which may be a list with commas.
    pub fn list(&self, name: &str) -> Result<Vec<&str>, Problem> {
        let mut all = Vec::new();
        for (_, value) in self.pairs.iter().filter(|(key, _)| *key == name) {
            for word in utf8(name, value)?.split(',').map(str::trim) {
                if word.is_empty() {
                    return Err(empty(name));
                }
                all.push(word);
            }
        }
        Ok(all)
    }

    /// `true` or `false`; false where it is not sent.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name)? {
            None => Ok(false),
            Some(text) => flag(text).ok_or_else(|| Problem::field(name, "this is `true` or `false`")),
        }
    }

    /// `limit`: how many entries a page has.
    pub fn limit(&self) -> Result<u32, Problem> {
        match self.text("limit")? {
            None => Ok(DEFAULT_LIMIT),
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                .ok_or_else(|| Problem::field("limit", format!("this is a number from 1 to {MAX_LIMIT}"))),
        }
    }
}

/// Entries of a page where the client does not say.
pub const DEFAULT_LIMIT: u32 = 100;
/// Entries of a page at most.
pub const MAX_LIMIT: u32 = 1000;

/// `true` or `false`.
pub fn flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn empty(name: &str) -> Problem {
    Problem::field(name, "this parameter is empty; give it a value, or leave it out")
}

fn utf8<'v>(name: &str, value: &'v [u8]) -> Result<&'v str, Problem> {
    std::str::from_utf8(value)
        .map_err(|_| Problem::from(Error::new(ErrorKind::InvalidArgument, "this parameter is not UTF-8")).at(name))
}

/// Decodes `%xx`, and `+` to a space where `plus` is set. None where a `%` is not followed by two hex digits.
pub fn percent_decode(text: &[u8], plus: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                (high * 16 + low) as u8
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    Some(out)
}

/// Encodes a value for a query: everything but unreserved characters (RFC 3986 section 2.3).
pub fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::openapi::schemas::text;
    use proptest::prelude::*;

    const KNOWN: [Parameter; 4] = [
        Parameter::query("path", "", text, ""),
        Parameter::query("limit", "", text, ""),
        Parameter::query("recursive", "", text, ""),
        Parameter::query("type", "", text, ""),
    ];

    #[test]
    fn parameters_are_decoded_as_forms_are() {
        let query = Query::parse(Some("path=/a+b%2Bc%C3%BC&limit=5&&type=x,y&type=z"), &KNOWN).unwrap();
        assert_eq!(query.text("path").unwrap(), Some("/a b+cü"));
        assert_eq!(query.limit().unwrap(), 5);
        assert_eq!(query.list("type").unwrap(), ["x", "y", "z"]);
        assert!(!query.flag("recursive").unwrap());
        assert_eq!(Query::parse(None, &[]).unwrap().limit().unwrap(), DEFAULT_LIMIT);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let known = KNOWN;
        assert!(Query::parse(Some("pth=/"), &known).is_err());
        assert!(Query::parse(Some("path=%2"), &known).is_err());
        assert!(Query::parse(Some("path=%zz"), &known).is_err());
        assert!(Query::parse(Some("path=a&path=b"), &known).unwrap().text("path").is_err());
        assert!(Query::parse(Some("path=%ff"), &known).unwrap().text("path").is_err());
        assert_eq!(Query::parse(Some("path=%ff"), &known).unwrap().bytes("path").unwrap(), Some(&b"\xff"[..]));
        for limit in ["0", "-1", "1001", "x", "99999999999"] {
            assert!(Query::parse(Some(&format!("limit={limit}")), &known).unwrap().limit().is_err(), "{limit}");
        }
        for empty in ["limit=", "limit", "type=x,", "type="] {
            let query = Query::parse(Some(empty), &known).unwrap();
            assert!(query.text("limit").is_err() || query.list("type").is_err(), "{empty}");
        }
        assert!(Query::parse(Some("recursive=yes"), &known).unwrap().flag("recursive").is_err());
    }

    proptest! {
        #[test]
        fn encoding_is_undone(text in ".{0,60}") {
            prop_assert_eq!(percent_decode(percent_encode(&text).as_bytes(), true), Some(text.into_bytes()));
        }
    }
}
