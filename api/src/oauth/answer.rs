//! Answers: JSON of RFC 6749 sections 5.1 and 5.2, and redirects of sections 4.1.2 and 4.1.2.1 with the issuer of RFC 9207.

use axum::response::{IntoResponse as _, Response};
use causeway_core::gateway::{OAuthAnswer, OAuthFault, OAuthRefusal};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::form::Unreadable;
use crate::problem::Problem;
use crate::query::percent_encode;

/// What a client that has not proven who it is is told (RFC 7617).
pub const CHALLENGE: &str = "Basic realm=\"causeway\", charset=\"UTF-8\"";

/// Why an application does not get what it asks for (RFC 6749 section 5.2).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OAuthError")]
pub struct Refused<'a> {
    /// The reason, for programs.
    #[schemars(extend("enum" = fault_words()))]
    error: &'static str,
    /// The reason, for developers.
    error_description: &'a str,
}

fn fault_words() -> Vec<&'static str> {
    OAuthFault::ALL.iter().map(|fault| fault.as_str()).collect()
}

/// Answers of the token endpoint and its like are kept by nobody (RFC 6749 section 5.1).
fn keep_nothing(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

/// JSON that nobody keeps.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let mut response = crate::json::json(status, value);
    keep_nothing(response.headers_mut());
    response
}

/// Nothing, that nobody keeps.
pub fn empty() -> Response {
    let mut response = StatusCode::OK.into_response();
    keep_nothing(response.headers_mut());
    response
}

/// A problem document that nobody keeps.
pub fn problem(problem: Problem) -> Response {
    let mut response = problem.into_response();
    keep_nothing(response.headers_mut());
    response
}

/// A refusal.
pub fn refusal(refusal: OAuthRefusal) -> Response {
    let (fault, sentence) = match refusal {
        OAuthRefusal::Refused(fault, sentence) => (fault, sentence),
        OAuthRefusal::Gateway(error) => return problem(error.into()),
    };
    let stranger = fault == OAuthFault::InvalidClient;
    let status = if stranger { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    let mut response = json(status, &Refused { error: fault.as_str(), error_description: &sentence });
    if stranger {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    response
}

/// A body that cannot be read.
pub fn unreadable(why: Unreadable) -> Response {
    match why {
        Unreadable::Malformed => refusal(OAuthRefusal::new(
            OAuthFault::InvalidRequest,
            "the body has to be application/x-www-form-urlencoded in UTF-8",
        )),
        Unreadable::Http(http) => problem(http),
    }
}

/// Where a browser is sent with an answer.
pub fn location(answer: &OAuthAnswer, issuer: &str) -> String {
    let mut pairs = match &answer.outcome {
        Ok(code) => vec![("code", code.expose_secret().to_owned())],
        Err((fault, sentence)) => {
            vec![("error", fault.as_str().to_owned()), ("error_description", (*sentence).to_owned())]
        }
    };
    pairs.extend(answer.state.clone().map(|state| ("state", state)));
    pairs.push(("iss", issuer.to_owned()));
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
    let between = match answer.redirect_uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{}{between}{}", answer.redirect_uri, query.join("&"))
}

/// Sends a browser with an answer.
pub fn redirect(answer: &OAuthAnswer, issuer: &str) -> Response {
    // 302 and not 307: the form that came here must not go on to the application (RFC 9700 section 4.12).
    let mut response = StatusCode::FOUND.into_response();
    if let Ok(mut location) = HeaderValue::from_str(&location(answer, issuer)) {
        location.set_sensitive(true);
        response.headers_mut().insert(header::LOCATION, location);
    }
    keep_nothing(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_behind_what_is_registered() {
        let to = |uri: &str, outcome| {
            let answer = OAuthAnswer { redirect_uri: uri.to_owned(), state: Some("a b&c=\"d\"".to_owned()), outcome };
            location(&answer, "https://gw.example:8443")
        };
        let rest = "state=a%20b%26c%3D%22d%22&iss=https%3A%2F%2Fgw.example%3A8443";
        assert_eq!(to("https://a.example/cb", Ok("x".into())), format!("https://a.example/cb?code=x&{rest}"));
        assert_eq!(to("https://a.example/cb?", Ok("x".into())), format!("https://a.example/cb?code=x&{rest}"));
        assert_eq!(to("https://a.example/cb?b=1", Ok("x".into())), format!("https://a.example/cb?b=1&code=x&{rest}"));
        let denied = to("https://a.example", Err((OAuthFault::AccessDenied, "no")));
        assert_eq!(denied, format!("https://a.example?error=access_denied&error_description=no&{rest}"));
    }
}
