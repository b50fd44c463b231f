//! Applications that act for signed-in people (RFC 6749 section 2), and where answers to them may go.

use std::net::Ipv6Addr;
use std::sync::Arc;

use super::{ScopeSet, Tenant};

/// An application of a tenant that people of that tenant may let act for them.
#[derive(Clone, Debug)]
pub struct OAuthClient {
    /// Unique over the gateway, API keys included.
    pub id: Arc<str>,
    /// What people are told that it is called.
    pub name: String,
    /// SHA-256 of its secret; none: it is a public client (RFC 6749 section 2.1).
    pub secret_hash: Option<[u8; 32]>,
    /// The most that it may be granted; empty: whatever the person may do.
    pub scopes: ScopeSet,
    /// Where answers may go; at least one.
    pub redirect_uris: Vec<RedirectUri>,
}

impl OAuthClient {
    /// Whether answers may go there.
    pub fn redirects_to(&self, asked: &str) -> bool {
        self.redirect_uris.iter().any(|registered| registered.admits(asked))
    }
}

/// An application that was found, and whose it is.
#[derive(Clone, Debug)]
pub struct OAuthClientMatch {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The application.
    pub client: Arc<OAuthClient>,
}

/// The loopback hosts whose port an application may choose when it asks (RFC 8252 section 7.3): the two literals, and no name.
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];

/// A redirect URI as it is registered. What an application asks for must be the same, character by character (RFC 9700 section
/// 2.1); only a loopback address that is registered without a port admits any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Reads one. The error is the rest of a sentence that begins with what was written. Absolute, `https`, or `http` on this
    /// machine; no fragment (RFC 6749 section 3.1.2), no user, only visible ASCII.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic())
            || text.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}'])
        {
            return Err("has a character that no URI has; percent-encode it");
        }
        if text.contains('#') {
            return Err("has a fragment; take out what follows `#`");
        }
        let (scheme, rest) = text.split_once("://").ok_or("is no absolute URI; write one that begins with https://")?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("names a user; take it out");
        }
        let host = host_of(authority).ok_or("has no host, or a port that is none")?;
        match scheme {
            "https" => Ok(Self(text.to_owned())),
            "http" if host == "localhost" || host == "127.0.0.1" || host == "[::1]" => Ok(Self(text.to_owned())),
            "http" => Err("would send codes in clear; write https://, or http:// with 127.0.0.1 or [::1]"),
            _ => Err("is of a scheme that is not taken here; write https://, or http:// with 127.0.0.1 or [::1]"),
        }
    }

    /// As it is registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it admits this one.
    pub fn admits(&self, asked: &str) -> bool {
        if self.0 == asked {
            return true;
        }
        LOOPBACK.iter().any(|host| {
            let (Some(registered), Some(asked)) = (self.0.strip_prefix(host), asked.strip_prefix(host)) else {
                return false;
            };
            let portless = registered.is_empty() || registered.starts_with(['/', '?']);
            portless && after_port(asked) == Some(registered)
        })
    }

    /// Whether an application that names none can mean only this: not where it chooses the port.
    pub fn is_whole(&self) -> bool {
        LOOPBACK.iter().all(|host| self.0.strip_prefix(host).is_none_or(|rest| rest.starts_with(':')))
    }
}

/// The host of an authority without a user; none where it has none, or where what stands behind it is no port.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']')?;
        let (host, port) = authority.split_at_checked(end + 1)?;
        host.trim_matches(['[', ']']).parse::<Ipv6Addr>().ok()?;
        (host, port)
    } else {
        authority.find(':').and_then(|at| authority.split_at_checked(at)).unwrap_or((authority, ""))
    };
    let port_is_one = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    (!host.is_empty() && port_is_one).then_some(host)
}

/// A number from 1 to 65535 as it is written.
fn is_port(text: &str) -> bool {
    !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// What follows `:` and a port; none where there is no port.
fn after_port(text: &str) -> Option<&str> {
    let text = text.strip_prefix(':')?;
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (port, rest) = text.split_at_checked(end)?;
    is_port(port).then_some(rest)
}

/// The origin of a URI that was admitted: scheme, host and port, as a Content Security Policy names a source.
pub fn origin_of(uri: &str) -> Option<&str> {
    let start = uri.find("://")? + 3;
    let end = uri.get(start..)?.find(['/', '?']).map_or(uri.len(), |at| start + at);
    uri.get(..end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_the_same_or_none() {
        let registered = RedirectUri::parse("https://portal.example/callback?a=1").unwrap();
        assert!(registered.admits("https://portal.example/callback?a=1"));
        for other in [
            "",
            "https://portal.example/callback",
            "https://portal.example/callback?a=1&b=2",
            "https://portal.example/callback?a=1/",
            "https://portal.example/callback?a=1#",
            "https://portal.example/callbacK?a=1",
            "HTTPS://portal.example/callback?a=1",
            "https://PORTAL.example/callback?a=1",
            "https://portal.example:443/callback?a=1",
            "http://portal.example/callback?a=1",
            "https://portal.example.evil.example/callback?a=1",
            "https://portal.example@evil.example/callback?a=1",
            "https://evil.example/https://portal.example/callback?a=1",
            "https://portal.example/x/../callback?a=1",
            "https://portal.example/%63allback?a=1",
            "https://portal.example/callback%3fa=1",
            " https://portal.example/callback?a=1",
            "https://portal.example/callback?a=1 ",
        ] {
            assert!(!registered.admits(other), "{other}");
        }
    }

    #[test]
    fn a_loopback_address_without_a_port_admits_any() {
        for host in LOOPBACK {
            let registered = RedirectUri::parse(&format!("{host}/callback")).unwrap();
            for port in ["", ":1", ":8080", ":65535"] {
                assert!(registered.admits(&format!("{host}{port}/callback")), "{host}{port}");
            }
            for other in [
                ":/callback",
                ":0/callback",
                ":080/callback",
                ":65536/callback",
                ":8080",
                ":8080/",
                ":8080/callback/",
                ":8080/callbac",
                ":8080/callback?x",
                ":8080@evil.example/callback",
                ":8080.evil.example/callback",
                ".evil.example/callback",
                "@evil.example/callback",
                "/other",
            ] {
                assert!(!registered.admits(&format!("{host}{other}")), "{host}{other}");
            }
            assert!(!registered.is_whole());
        }
        let root = RedirectUri::parse("http://127.0.0.1").unwrap();
        assert!(root.admits("http://127.0.0.1:9") && !root.admits("http://127.0.0.1:9/"));
        assert!(!root.admits("http://[::1]:9") && !root.admits("http://localhost:9"));
        let fixed = RedirectUri::parse("http://127.0.0.1:8080/callback").unwrap();
        assert!(fixed.is_whole() && !fixed.admits("http://127.0.0.1:8081/callback"));
        let named = RedirectUri::parse("http://localhost/callback").unwrap();
        assert!(
            named.is_whole() && !named.admits("http://localhost:8080/callback"),
            "a name may be resolved elsewhere"
        );
        let remote = RedirectUri::parse("https://portal.example/callback").unwrap();
        assert!(remote.is_whole() && !remote.admits("https://portal.example:444/callback"));
    }

    #[test]
    fn what_could_mislead_cannot_be_registered() {
        for wrong in [
            "",
            "portal",
            "/callback",
            "//portal.example/callback",
            "http://portal.example/callback",
            "http://127.0.0.2/callback",
            "http://127.0.0.1.evil.example/callback",
            "javascript://portal.example/%0aalert(1)",
            "com.example.app:/callback",
            "https:///callback",
            "https://:443/callback",
            "https://portal.example:/callback",
            "https://portal.example:99999/callback",
            "https://user@portal.example/callback",
            "https://portal.example/callback#",
            "https://portal.example/call back",
            "https://portal.example/ca\rllback",
            "https://portal.example\\@evil.example/",
            "https://größe.example/callback",
            "https://[::1/callback",
        ] {
            assert!(RedirectUri::parse(wrong).is_err(), "{wrong:?}");
        }
        for right in ["https://portal.example", "https://[2001:db8::1]:8443/cb", "http://localhost:3000/cb"] {
            assert_eq!(RedirectUri::parse(right).unwrap().as_str(), right);
        }
    }

    #[test]
    fn the_origin_is_what_a_policy_names() {
        assert_eq!(origin_of("https://portal.example:8443/a/b?c"), Some("https://portal.example:8443"));
        assert_eq!(origin_of("https://portal.example?c=/"), Some("https://portal.example"));
        assert_eq!(origin_of("http://[::1]:9"), Some("http://[::1]:9"));
        assert_eq!(origin_of("nothing"), None);
    }
}
