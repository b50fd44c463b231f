//! The cookie that a sign-in is bound to (RFC 6265; the `__Host-` prefix and `SameSite` are those of its revision), and what its
//! forms carry to prove that they are the gateway's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_core::{Error, Result};
use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// No other host, and nothing over a connection in clear, can set a cookie of such a name.
const NAME: &str = "__Host-causeway-sign-in";
/// Characters of its value: 256 bits in base64url.
const LENGTH: usize = 43;

/// What a form is for: the mark of one does not do for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Name and password.
    SignIn,
    /// The code.
    Code,
    /// The decision.
    Decision,
}

impl Purpose {
    /// The value of the form's `step`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Code => "code",
            Self::Decision => "decision",
        }
    }

    /// The one of that value.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::SignIn, Self::Code, Self::Decision].into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// A cookie's value that nobody had before.
pub fn fresh() -> Result<SecretString> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(random).into())
}

/// The cookie of a request: the one of its name that looks like one. Several are none: another one was smuggled in.
pub fn of(headers: &HeaderMap) -> Option<SecretString> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut values = fields
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(name, value)| (name == NAME).then_some(value));
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (value.len() == LENGTH && value.bytes().all(plain)).then(|| value.into())
}

/// The header that sets it, for as long as the browser runs; none: that takes it away.
pub fn header(value: Option<&SecretString>) -> Option<HeaderValue> {
    let text = match value {
        Some(value) => format!("{NAME}={}; Path=/; Secure; HttpOnly; SameSite=Strict", value.expose_secret()),
        None => format!("{NAME}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"),
    };
    let mut header = HeaderValue::from_str(&text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// What the form of a page carries: it follows from the cookie, which no other page can read or set.
pub fn mark(cookie: &SecretString, purpose: Purpose) -> String {
    let mut hasher = Sha256::new_with_prefix(b"causeway form\0");
    hasher.update(purpose.as_str());
    hasher.update(b"\0");
    hasher.update(cookie.expose_secret());
    URL_SAFE_NO_PAD.encode(hasher.finalize())
}

/// Whether a form carries the mark of this cookie.
pub fn is_marked(cookie: &SecretString, purpose: Purpose, shown: Option<&str>) -> bool {
    shown.is_some_and(|shown| mark(cookie, purpose).as_bytes().ct_eq(shown.as_bytes()).into())
}

/// Whether a form comes from a page of the gateway's own, as far as its browser says (Fetch Metadata; RFC 6454). These pages
/// send no referrer, so that browsers say `null` for their origin; the mark and the cookie are asked for in any case.
pub fn is_from_here(headers: &HeaderMap, public_url: &str) -> bool {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Some(None),
            (Some(value), None) => value.to_str().ok().map(Some),
            (Some(_), Some(_)) => None,
        }
    };
    let Some(site) = one("sec-fetch-site") else { return false };
    let Some(origin) = one("origin") else { return false };
    let scheme_end = public_url.find("://").map_or(0, |at| at + 3);
    let host_end =
        public_url.get(scheme_end..).and_then(|rest| rest.find('/')).map_or(public_url.len(), |at| scheme_end + at);
    let own = public_url.get(..host_end).unwrap_or_default();
    // A browser that says where it comes from by the first knows better than its second.
    let same = |origin: &str| origin == "null" || origin.eq_ignore_ascii_case(own) || site == Some("same-origin");
    site.is_none_or(|site| site == "same-origin") && origin.is_none_or(same)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn one_cookie_counts() {
        let value = fresh().unwrap();
        let text = value.expose_secret();
        let found = |field: &str| of(&headers(&[("cookie", field)])).map(|value| value.expose_secret().to_owned());
        assert_eq!(found(&format!("a=b; {NAME}={text}; c=d")).as_deref(), Some(text));
        assert_eq!(found(&format!("{NAME}={text}; {NAME}={text}")), None);
        assert_eq!(found(&format!("{NAME}={text}x")), None);
        assert_eq!(found(&format!("{NAME}=")), None);
        assert_eq!(found(&format!("x{NAME}={text}")), None);
        let set = header(Some(&value)).unwrap();
        assert!(set.to_str().unwrap().ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"));
    }

    #[test]
    fn a_mark_is_of_one_cookie_and_one_form() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        let made = mark(&one, Purpose::SignIn);
        assert!(is_marked(&one, Purpose::SignIn, Some(&made)));
        assert!(!is_marked(&one, Purpose::Decision, Some(&made)) && !is_marked(&other, Purpose::SignIn, Some(&made)));
        assert!(!is_marked(&one, Purpose::SignIn, None) && !is_marked(&one, Purpose::SignIn, Some("")));
    }

    #[test]
    fn forms_of_other_pages_are_known() {
        let own = "https://gw.example/base";
        let from = |pairs: &[(&'static str, &str)]| is_from_here(&headers(pairs), own);
        assert!(from(&[]) && from(&[("origin", "https://gw.example")]) && from(&[("origin", "null")]));
        assert!(from(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(from(&[("sec-fetch-site", "same-origin"), ("origin", "https://10.0.0.1")]), "another name of the same");
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(!from(&[("sec-fetch-site", site)]), "{site}");
        }
        for origin in
            ["https://evil.example", "https://gw.example.evil", "http://gw.example", "https://gw.example:444", ""]
        {
            assert!(!from(&[("origin", origin)]), "{origin}");
        }
        assert!(!from(&[("origin", "https://gw.example"), ("origin", "https://gw.example")]));
    }
}
