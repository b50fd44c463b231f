//! Integrity fields: RFC 9530 (`Content-Digest`, `Repr-Digest`), dictionaries of RFC 8941 section 3.2 whose values are
//! byte sequences (section 3.3.5). Only `sha-256` is known here; other algorithms are ignored, as section 2 allows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use crate::problem::Problem;

/// The header of the digest of what a request or response carries.
pub const CONTENT_DIGEST: &str = "content-digest";
/// The header of the digest of the whole representation.
pub const REPR_DIGEST: &str = "repr-digest";

/// `Repr-Digest` of a content.
pub fn repr_digest(sha256: &[u8; 32]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(sha256))
}

/// The header by which a client says which digests of the whole representation it would like.
pub const WANT_REPR_DIGEST: &str = "want-repr-digest";
/// The same of what the response carries.
pub const WANT_CONTENT_DIGEST: &str = "want-content-digest";

/// What a client says of `sha-256` in one of the two fields above (section 4): its preference from 0, "not acceptable", to
/// 10; none where it says nothing of it, or nothing that can be read.
pub fn preference(headers: &HeaderMap, name: &str) -> Option<u8> {
    let members = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    // Of a key that stands twice the last one counts (RFC 8941 section 3.2).
    let last = members.filter_map(|member| member.split_once('=')).rfind(|(key, _)| key.trim() == "sha-256")?;
    last.1.trim().parse().ok().filter(|preference| *preference <= 10)
}

/// The SHA-256 that a request declares for its body. Both fields mean the same there, as bodies are taken as they are.
/// Two that differ, or one that cannot be read, are refused: the client wants to be sure.
pub fn declared(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Problem> {
    let mut found: Option<[u8; 32]> = None;
    for name in [CONTENT_DIGEST, REPR_DIGEST] {
        for value in headers.get_all(name) {
            let Some(digest) = sha256_of(value.as_bytes()).map_err(|()| malformed(name))? else { continue };
            if found.is_some_and(|before| before != digest) {
                return Err(Problem::field(name, "two different SHA-256 digests are declared; send one"));
            }
            found = Some(digest);
        }
    }
    Ok(found)
}

/// The SHA-256 that a request declares for its body alone, where that is a part of something.
pub fn of_content(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Problem> {
    let mut content = HeaderMap::new();
    for value in headers.get_all(CONTENT_DIGEST) {
        content.append(CONTENT_DIGEST, value.clone());
    }
    declared(&content)
}

/// The SHA-256 that a request declares for the whole of which its body is, or may be, a part.
pub fn of_representation(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Problem> {
    let mut whole = HeaderMap::new();
    for value in headers.get_all(REPR_DIGEST) {
        whole.append(REPR_DIGEST, value.clone());
    }
    declared(&whole)
}

/// A SHA-256 in hex, of either case.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text.trim(), &mut digest).ok()?;
    Some(digest)
}

fn malformed(name: &str) -> Problem {
    Problem::field(name, format!("`{name}` cannot be read; send `sha-256=:<base64>:`"))
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

    #[test]
    fn what_a_client_would_like() {
        let said = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(WANT_REPR_DIGEST, value.parse().unwrap());
            preference(&headers, WANT_REPR_DIGEST)
        };
        assert_eq!(said("sha-256=1"), Some(1));
        assert_eq!(said("sha-512=3, sha-256=10, unixsum=0"), Some(10));
        assert_eq!(said("sha-256=0"), Some(0));
        assert_eq!(said("sha-256=5, sha-256=0"), Some(0));
        for nothing in ["sha-512=3", "sha-256", "sha-256=11", "sha-256=x", ""] {
            assert_eq!(said(nothing), None, "{nothing}");
        }
        assert_eq!(preference(&HeaderMap::new(), WANT_REPR_DIGEST), None);
    }
}
