//! The pages of sign-in and consent: plain HTML that works without scripts, reads well aloud and in a narrow window, and loads
//! nothing. The templates are in `api/templates/oauth/`; all that is put into them is escaped.

use std::net::{IpAddr, Ipv4Addr};

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_core::gateway::Consent;
use causeway_core::identity::{Scope, origin_of};
use causeway_core::{Error, ErrorKind};
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::problem::{Problem, status_of};

/// The pages' style. Its digest stands in their Content Security Policy.
pub const STYLE: &str = include_str!("../../templates/oauth/style.css");
/// The id of what explains a wrong field.
pub const EXPLAINED: &str = "problem";

/// What is wrong with what was filled in.
#[derive(Clone, Copy, Debug)]
pub struct Wrong {
    /// The id of the field; empty: of none.
    pub field: &'static str,
    /// What is wrong.
    pub sentence: &'static str,
}

/// Name and password.
#[derive(Template)]
#[template(path = "oauth/sign_in.html")]
pub struct SignInPage<'a> {
    pub application: &'a str,
    pub tenant: &'a str,
    pub mark: &'a str,
    pub request: &'a str,
    pub username: &'a str,
    pub invalid: bool,
    pub errors: &'a [Wrong],
}

/// The code.
#[derive(Template)]
#[template(path = "oauth/code.html")]
pub struct CodePage<'a> {
    pub application: &'a str,
    pub mark: &'a str,
    pub errors: &'a [Wrong],
}

/// The decision.
#[derive(Template)]
#[template(path = "oauth/consent.html")]
pub struct ConsentPage<'a> {
    pub application: &'a str,
    pub client: &'a str,
    pub login: &'a str,
    pub identity: &'a str,
    pub tenant: &'a str,
    pub origin: &'a str,
    pub scopes: Vec<Said>,
    pub mark: &'a str,
}

/// Nothing more can be done here.
#[derive(Template)]
#[template(path = "oauth/end.html")]
struct EndPage<'a> {
    title: &'a str,
    sentence: &'a str,
    advice: &'a str,
}

/// A scope in words.
pub struct Said {
    pub word: &'static str,
    pub sentence: &'static str,
}

impl Said {
    /// Of a scope.
    pub const fn of(scope: Scope) -> Self {
        let sentence = match scope {
            Scope::FilesRead => "see your files and read what is in them",
            Scope::FilesWrite => "change your files: add, replace, move and remove them",
            Scope::TransfersRead => "see the transfers of files",
            Scope::TransfersWrite => "begin and end transfers of files",
            Scope::EventsRead => "see what happens to the files",
            Scope::AuditRead => "read the trail of everything that was done in your organisation",
            Scope::WebhooksWrite => "decide where your organisation's events are sent",
            Scope::Admin => "manage your organisation: its people, keys and settings",
            Scope::AdminGateway => "operate the whole gateway, other organisations included",
        };
        Self { word: scope.as_str(), sentence }
    }
}

impl<'a> ConsentPage<'a> {
    /// Of what there is to decide.
    pub fn of(consent: &'a Consent, mark: &'a str) -> Self {
        Self {
            application: &consent.application.client.name,
            client: &consent.application.client.id,
            login: &consent.login,
            identity: &consent.identity,
            tenant: &consent.application.tenant.id,
            origin: origin_of(&consent.redirect_uri).unwrap_or_default(),
            scopes: consent.scopes.words().map(Said::of).collect(),
            mark,
        }
    }
}

/// Where forms of a page may lead: here, and on to the application, as browsers ask that of each redirect behind a form, too. None: the
/// page has no form.
fn policy(redirect_uri: Option<&str>) -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let forms = match redirect_uri.and_then(origin_of) {
        Some(origin) => format!("'self' {}", source(origin)),
        None => "'none'".to_owned(),
    };
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
    )
}

/// An origin as a policy can name it (CSP Level 3 section 2.3.1): of the addresses it knows 127.0.0.1 alone, so that others are
/// named by their scheme.
fn source(origin: &str) -> &str {
    let (scheme, authority) = origin.split_once("://").unwrap_or((origin, ""));
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let address = |text: &str| text.parse::<IpAddr>().is_ok_and(|ip| ip != IpAddr::V4(Ipv4Addr::LOCALHOST));
    if authority.starts_with('[') || address(host) || address(authority) {
        origin.get(..=scheme.len()).unwrap_or(origin)
    } else {
        origin
    }
}

/// A page as a response.
pub fn page<T: Template>(status: StatusCode, template: &T, redirect_uri: Option<&str>) -> Response {
    let text = match template.render() {
        Ok(text) => text,
        Err(error) => return Problem::from(Error::internal(format_args!("a page: {error}"))).into_response(),
    };
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    if let Ok(policy) = HeaderValue::from_str(&policy(redirect_uri)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The page of something that cannot go on.
pub fn end(status: StatusCode, title: &str, sentence: &str) -> Response {
    let advice = "Close this page, and begin anew at the application. If that does not help, tell whoever runs it.";
    page(status, &EndPage { title, sentence, advice }, None)
}

/// The page of a failure of the gateway's.
pub fn failed(error: &Error) -> Response {
    let status = StatusCode::from_u16(status_of(error.kind())).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = match error.kind() {
        ErrorKind::Expired => "This sign-in has lapsed",
        ErrorKind::Throttled => "Too many attempts",
        _ => "That did not work",
    };
    // What has lapsed was no address of its own that could be gone.
    let status = if error.kind() == ErrorKind::Expired { StatusCode::BAD_REQUEST } else { status };
    let mut response = end(status, title, &capitalised(error.message()));
    if let Some(wait) = retry_after(error) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    }
    response
}

/// A sentence as pages begin one.
pub fn capitalised(sentence: &str) -> String {
    let mut said = sentence.to_owned();
    if let Some(first) = said.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !said.ends_with('.') {
        said.push('.');
    }
    said
}

/// Seconds to wait, where that helps.
pub fn retry_after(error: &Error) -> Option<u64> {
    let usual = match error.kind() {
        ErrorKind::Throttled => 30,
        ErrorKind::Unavailable => 5,
        _ => return None,
    };
    let asked = error.retry_after().map_or(usual, |wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    Some(asked.max(1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_page_is_text() {
        let page = SignInPage {
            application: "<b>&\"'",
            tenant: "<i>",
            mark: "\"><u>",
            request: "\"><script>",
            username: "\" onfocus=\"x",
            invalid: true,
            errors: &[Wrong { field: "password", sentence: "<s>" }],
        };
        let text = page.render().unwrap();
        for markup in ["<b>", "<i>", "<u>", "<script", "<s>", "\" onfocus"] {
            assert!(!text.contains(markup), "{markup}: {text}");
        }
        assert!(text.contains("<a href=\"#password\">") && text.contains("aria-describedby=\"problem\""));
        assert!(text.contains(&format!("<style>{STYLE}</style>")), "the policy names the digest of exactly that");
    }

    #[test]
    fn a_policy_names_what_it_can() {
        assert_eq!(source("https://portal.example:8443"), "https://portal.example:8443");
        assert_eq!(source("http://127.0.0.1:9"), "http://127.0.0.1:9");
        assert_eq!(source("http://[::1]:9"), "http:");
        assert_eq!(source("https://192.0.2.1"), "https:");
        assert_eq!(source("https://192.0.2.1:444"), "https:");
        let policy = policy(Some("https://portal.example/cb"));
        assert!(policy.contains("form-action 'self' https://portal.example; frame-ancestors 'none'"), "{policy}");
    }
}
