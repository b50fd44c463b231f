//! What the fuzz target of tokens calls (`fuzz/` in the repository). It panics when a rule is broken.

#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::Algorithm;
use super::claims::Claims;
use super::jws::{Compact, REFUSED};
use super::looks_like_token;
use super::providers::read_set;

/// Bytes as a token; as the header and the claims of one, with NUL between them; and as a set of keys.
pub fn tokens(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let mut part = || URL_SAFE_NO_PAD.encode(parts.next().unwrap_or_default());
    look(&format!("{}.{}.{}", part(), part(), URL_SAFE_NO_PAD.encode("signature")));
    if let Ok(text) = std::str::from_utf8(data) {
        look(text);
        assert!(read_set(text).is_none_or(|keys| (1..=100).contains(&keys.len())));
    }
}

/// What is taken for a token says to every other reader what it says here.
fn look(token: &str) {
    let Some(compact) = Compact::parse(token) else { return };
    assert!(looks_like_token(token));
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let mut next = || serde_json::from_slice::<Value>(&parts.next().unwrap()).unwrap();
    let (header, claims) = (next(), next());
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    assert_eq!(text("alg").and_then(Algorithm::parse), Some(compact.header.algorithm));
    assert_eq!(text("kid"), compact.header.kid.as_deref());
    assert!(REFUSED.iter().all(|name| header.get(name).is_none()));
    assert_eq!(claims, Value::Object(compact.claims.clone()));
    let claims = Claims(&compact.claims);
    for name in ["iss", "aud", "sub", "scope"] {
        assert!(claims.text(name).is_none_or(|text| !text.is_empty() && text.chars().all(|c| !c.is_control())));
        let _ = claims.scopes(name);
    }
    if let Ok(end) = claims.end(1_800_000_000) {
        assert!(end > 1_799_999_900, "what has ended does not hold");
    }
}
