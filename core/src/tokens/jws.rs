//! The compact form of a signed token (RFC 7515 section 7.1), read strictly, before anything of it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::json;

/// The longest token, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;
/// The longest header, and the longest signature (RSA of 8192 bits), in bytes of base64url.
const MAX_HEADER: usize = 2 * 1024;
const MAX_SIGNATURE: usize = 1400;
/// The longest id of a key.
const MAX_KID: usize = 256;

/// Members of a header that would have somebody else say which key to believe, change what is signed, or make it no plain token
/// (RFC 7515 section 4.1, RFC 7516 section 4.1, RFC 7797): none of them is ever followed, and a token with one is refused. (`x5t`, which
/// names a key as `kid` does, is what some providers add; it is not looked at.)
pub(super) const REFUSED: &[&str] =
    &["jku", "jwk", "x5u", "x5c", "crit", "b64", "cty", "zip", "enc", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c"];

/// Whether this can be the id of a key: printable, and not long. It is only ever compared with ids that are known.
pub(crate) fn is_kid(text: &str) -> bool {
    (1..=MAX_KID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a credential has the form of a token: three parts in base64url. Whatever has not is none, and is no JWT of anybody's.
pub fn looks_like_token(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= MAX_TOKEN && text.split('.').count() == 3 && text.split('.').all(is_part)
}

/// What a token says of its signature.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    /// In lower case, and without `application/` in front (RFC 7515 section 4.1.9).
    pub(crate) kind: Option<String>,
    /// How many members it has.
    pub(crate) members: usize,
}

/// A token in its parts.
#[derive(Debug)]
pub(crate) struct Compact<'t> {
    pub(crate) header: Header,
    /// What it claims. Nothing of it is true before the signature is verified.
    pub(crate) claims: Map<String, Value>,
    /// What is signed.
    pub(crate) signed: &'t [u8],
    pub(crate) signature: Vec<u8>,
}

impl<'t> Compact<'t> {
    /// Takes a token apart. None where it is not well made, or wants what is never done here.
    pub(crate) fn parse(token: &'t str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        // The alphabet of base64url has no dot: with a further one the claims are none.
        if header.len() > MAX_HEADER || signature.len() > MAX_SIGNATURE {
            return None;
        }
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| !bytes.is_empty());
        Some(Self {
            header: Header::parse(&part(header)?)?,
            claims: json::object(&part(claims)?)?,
            signed: signed.as_bytes(),
            signature: part(signature)?,
        })
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let members = json::object(bytes)?;
        if members.keys().any(|name| REFUSED.contains(&name.as_str())) {
            return None;
        }
        let text = |name: &str| match members.get(name) {
            None => Some(None),
            Some(Value::String(text)) => Some(Some(text.as_str())),
            Some(_) => None,
        };
        let kid = text("kid")?;
        if kid.is_some_and(|kid| !is_kid(kid)) {
            return None;
        }
        let kind = text("typ")?.map(str::to_ascii_lowercase);
        let kind = kind.map(|kind| kind.strip_prefix("application/").map_or_else(|| kind.clone(), str::to_owned));
        Some(Self {
            algorithm: Algorithm::parse(text("alg")??)?,
            kid: kid.map(str::to_owned),
            kind,
            members: members.len(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(header: &str, claims: &str) -> String {
        let text = |part: &str| URL_SAFE_NO_PAD.encode(part);
        format!("{}.{}.{}", text(header), text(claims), text("signature"))
    }

    #[test]
    fn a_token_is_taken_apart() {
        let text = token(r#"{"alg":"EdDSA","kid":"k1","typ":"application/AT+jwt","x5t":"abc"}"#, r#"{"sub":"a"}"#);
        assert!(looks_like_token(&text));
        let compact = Compact::parse(&text).unwrap();
        assert_eq!(
            compact.header,
            Header { algorithm: Algorithm::EdDsa, kid: Some("k1".into()), kind: Some("at+jwt".into()), members: 4 }
        );
        assert_eq!(compact.claims.get("sub").unwrap(), "a");
        assert_eq!(compact.signed, text.rsplit_once('.').unwrap().0.as_bytes());
        assert_eq!(compact.signature, b"signature");
    }

    #[test]
    fn headers_that_want_too_much_are_refused() {
        for header in [
            r#"{"typ":"JWT"}"#,
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"eddsa"}"#,
            r#"{"alg":["EdDSA"]}"#,
            r#"{"alg":null}"#,
            r#"{"alg":"EdDSA","alg":"none"}"#,
            r#"{"alg":"none","\u0061lg":"EdDSA"}"#,
            r#"{"alg":"EdDSA","jku":"https://evil.example/keys"}"#,
            r#"{"alg":"EdDSA","x5u":"https://evil.example/cert"}"#,
            r#"{"alg":"EdDSA","x5c":["MIIB"]}"#,
            r#"{"alg":"EdDSA","jwk":{"kty":"OKP"}}"#,
            r#"{"alg":"EdDSA","crit":["exp"]}"#,
            r#"{"alg":"EdDSA","crit":[]}"#,
            r#"{"alg":"EdDSA","b64":false,"crit":["b64"]}"#,
            r#"{"alg":"EdDSA","b64":true}"#,
            r#"{"alg":"EdDSA","cty":"JWT"}"#,
            r#"{"alg":"EdDSA","zip":"DEF"}"#,
            r#"{"alg":"EdDSA","enc":"A128GCM"}"#,
            r#"{"alg":"EdDSA","kid":7}"#,
            r#"{"alg":"EdDSA","kid":""}"#,
            r#"{"alg":"EdDSA","kid":"a b"}"#,
            r#"{"alg":"EdDSA","kid":"a\u0000"}"#,
            r#"{"alg":"EdDSA","typ":7}"#,
            r#"["EdDSA"]"#,
            "",
        ] {
            assert!(Compact::parse(&token(header, "{}")).is_none(), "{header}");
        }
        let long = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "k".repeat(257));
        assert!(Compact::parse(&token(&long, "{}")).is_none());
        // Nothing is done with a name but to compare it: such a one is merely not known.
        let path = r#"{"alg":"EdDSA","kid":"../../../../dev/null';--"}"#;
        assert!(Compact::parse(&token(path, "{}")).is_some());
    }

    #[test]
    fn texts_that_are_no_token_are_refused() {
        let whole = token(r#"{"alg":"EdDSA"}"#, r#"{"sub":"a"}"#);
        let parts: Vec<&str> = whole.split('.').collect();
        let [header, claims, signature] = parts.try_into().unwrap();
        for text in [
            String::new(),
            "..".into(),
            format!("{header}.{claims}"),
            format!("{header}.{claims}."),
            format!(".{claims}.{signature}"),
            format!("{header}..{signature}"),
            format!("{whole}.{signature}"),
            format!("{header}.{claims}.{claims}.{claims}.{signature}"),
            format!("{header}=.{claims}.{signature}"),
            format!("{header}.{claims}.{signature}=="),
            format!("{header}.{claims}.{signature} "),
            format!("{header}\n.{claims}.{signature}"),
            format!("{header}.{claims}.sig+ature/"),
            // The last character has bits that stand for nothing.
            format!("{header}.{claims}.AB"),
            format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("[]")),
            format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"sub":"a","sub":"b"}"#)),
            format!("{header}.{}.{signature}", "e".repeat(MAX_TOKEN)),
            format!("{header}.{claims}.{}", "a".repeat(MAX_SIGNATURE + 1)),
        ] {
            assert!(Compact::parse(&text).is_none(), "{text}");
        }
        for (text, looks) in [
            (&*whole, true),
            ("a.b.c", true),
            ("a.b", false),
            ("a.b.c.d", false),
            ("a..c", false),
            ("cwk_abc", false),
            ("a.b.c=", false),
        ] {
            assert_eq!(looks_like_token(text), looks, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,200}", header in "\\PC{0,60}", claims in "\\PC{0,60}") {
            let _ = Compact::parse(&text);
            let _ = Compact::parse(&token(&header, &claims));
        }
    }
}
