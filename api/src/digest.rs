//! Integrity fields: RFC 9530 (`Content-Digest`, `Repr-Digest`), dictionaries of RFC 8941 section 3.2 whose values are
//! byte sequences (section 3.3.5). Only `sha-256` is known here; other algorithms are ignored, as section 2 allows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_core::{Error, ErrorKind, Result};
use http::HeaderMap;

/// The header of the digest of what a request or response carries.
pub const CONTENT_DIGEST: &str = "content-digest";
/// The header of the digest of the whole representation.
pub const REPR_DIGEST: &str = "repr-digest";

/// `Repr-Digest` of a content.
pub fn repr_digest(sha256: &[u8; 32]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(sha256))
}

/// The SHA-256 that a request declares for its body. Both fields mean the same there, as bodies are taken as they are.
/// Two that differ, or one that cannot be read, are refused: the client wants to be sure.
pub fn declared(headers: &HeaderMap) -> Result<Option<[u8; 32]>> {
    let mut found: Option<[u8; 32]> = None;
    for name in [CONTENT_DIGEST, REPR_DIGEST] {
        for value in headers.get_all(name) {
            let Some(digest) = sha256_of(value.as_bytes()).map_err(|()| malformed(name))? else { continue };
            if found.is_some_and(|before| before != digest) {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "two different SHA-256 digests are declared; send one",
                ));
            }
            found = Some(digest);
        }
    }
    Ok(found)
}

/// The SHA-256 that a request declares for its body alone, where that is a part of something.
pub fn of_content(headers: &HeaderMap) -> Result<Option<[u8; 32]>> {
    let mut content = HeaderMap::new();
    for value in headers.get_all(CONTENT_DIGEST) {
        content.append(CONTENT_DIGEST, value.clone());
    }
    declared(&content)
}

/// A SHA-256 in hex, of either case.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text.trim(), &mut digest).ok()?;
    Some(digest)
}

fn malformed(name: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("`{name}` cannot be read; send `sha-256=:<base64>:`"))
}

fn sha256_of(value: &[u8]) -> std::result::Result<Option<[u8; 32]>, ()> {
    let value = std::str::from_utf8(value).map_err(|_| ())?;
    let mut found = None;
    for member in value.split(',').map(str::trim).filter(|member| !member.is_empty()) {
        let (algorithm, digest) = member.split_once('=').ok_or(())?;
        if !algorithm.trim().eq_ignore_ascii_case("sha-256") {
            continue;
        }
        let inner = digest.trim().strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).ok_or(())?;
        let bytes = STANDARD.decode(inner).map_err(|_| ())?;
        found = Some(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| ())?);
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn what_is_written_can_be_read() {
        let text = repr_digest(&[7; 32]);
        assert_eq!(declared(&headers(&[(REPR_DIGEST, &text)])).unwrap(), Some([7; 32]));
        assert_eq!(declared(&headers(&[(CONTENT_DIGEST, &format!("sha-512=:AA==:, {text}"))])).unwrap(), Some([7; 32]));
        assert_eq!(declared(&headers(&[(CONTENT_DIGEST, &text), (REPR_DIGEST, &text)])).unwrap(), Some([7; 32]));
        assert_eq!(declared(&headers(&[(CONTENT_DIGEST, "sha-512=:AA==:")])).unwrap(), None);
        assert_eq!(declared(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for value in ["sha-256=:AAAA:", "sha-256=AAAA", "sha-256", "sha-256=:***:"] {
            assert!(declared(&headers(&[(CONTENT_DIGEST, value)])).is_err(), "{value}");
        }
        let two = [(CONTENT_DIGEST, repr_digest(&[1; 32])), (REPR_DIGEST, repr_digest(&[2; 32]))];
        assert!(declared(&headers(&[(two[0].0, &two[0].1), (two[1].0, &two[1].1)])).is_err());
    }

    #[test]
    fn hex_of_either_case() {
        assert_eq!(from_hex(&"aB".repeat(32)), Some([0xab; 32]));
        assert_eq!(from_hex("ab"), None);
    }
}
