//! `GET` and `POST /oauth/authorize` (RFC 6749 section 3.1): the pages on which people sign in and decide. With parameters a `GET`
//! begins; without, it shows where the sign-in of the browser's cookie stands. Every form is answered by sending the browser there, so that
//! going back or loading anew sends no password again.
//!
//! Before somebody has signed in nothing is kept here: the request stands in the form, and is looked at again when that comes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use causeway_core::gateway::{Asked, Authorization, AuthorizationRefusal, SignInStage, SignInStep};
use causeway_core::{Error, ErrorKind, Peer};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use secrecy::SecretString;

use super::answer;
use super::cookie::{self, Purpose};
use super::form::{Fields, Malformed, Unreadable};
use super::page::{self, CodePage, ConsentPage, SignInPage, Wrong};
use crate::auth::peer_of;
use crate::router::Shared;

const NOT_FROM_HERE: &str = "The form did not come from this page, or is older than your last one. Nothing was done.";
const WRONG_LOGIN: Wrong =
    Wrong { field: "username", sentence: "The login or its password is not right, or this login cannot sign in here." };
const WRONG_CODE: Wrong =
    Wrong { field: "code", sentence: "The code is not right, or was used already. Wait for the next one." };
const THROTTLED: Wrong = Wrong { field: "", sentence: "Too many failed attempts. Wait a while, then try again." };

pub async fn show(State(shared): State<Arc<Shared>>, sent: Request) -> Response {
    let (parts, _) = sent.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    if query.is_empty() { stage(&shared, &parts).await } else { begin(&shared, &parts, query) }
}

/// Begins a sign-in.
fn begin(shared: &Shared, parts: &Parts, query: &str) -> Response {
    match authorization(shared, query) {
        Ok(authorization) => sign_in_page(parts, &authorization, query, StatusCode::OK, "", &[]),
        Err(response) => *response,
    }
}

/// What is asked for; otherwise whoever has to hear that it is wrong hears it.
fn authorization(shared: &Shared, query: &str) -> Result<Authorization, Box<Response>> {
    let asked = match Fields::parse(query.as_bytes()) {
        Ok(fields) => Asked {
            client_id: fields.text("client_id"),
            redirect_uri: fields.text("redirect_uri"),
            response_type: fields.text("response_type"),
            scope: fields.text("scope"),
            state: fields.text("state"),
            code_challenge: fields.text("code_challenge"),
            code_challenge_method: fields.text("code_challenge_method"),
            repeated: fields.repeated().to_vec(),
        },
        Err(Malformed) => return Err(Box::new(untrusted("the address of this page is damaged"))),
    };
    let told = |refusal| match refusal {
        AuthorizationRefusal::Untrusted(sentence) => untrusted(sentence),
        AuthorizationRefusal::Answer(answer) => answer::redirect(&answer, &shared.config.public_url),
    };
    shared.gateway.authorization(&asked).map_err(|refusal| Box::new(told(refusal)))
}

fn untrusted(sentence: &str) -> Response {
    let said = format!("{} You are not sent on, and nothing was allowed.", page::capitalised(sentence));
    page::end(StatusCode::BAD_REQUEST, "You cannot sign in here", &said)
}

fn with_cookie(mut response: Response, value: Option<&SecretString>) -> Response {
    if let Some(header) = cookie::header(value) {
        response.headers_mut().append(header::SET_COOKIE, header);
    }
    response
}

/// The first page. A browser that has a cookie keeps it: what it stands for changes with each step anyway.
fn sign_in_page(
    parts: &Parts,
    authorization: &Authorization,
    query: &str,
    status: StatusCode,
    username: &str,
    errors: &[Wrong],
) -> Response {
    let cookie = match cookie::of(&parts.headers).map_or_else(cookie::fresh, Ok) {
        Ok(cookie) => cookie,
        Err(error) => return page::failed(&error),
    };
    let template = SignInPage {
        application: &authorization.found.client.name,
        tenant: &authorization.found.tenant.id,
        mark: &cookie::mark(&cookie, Purpose::SignIn),
        request: query,
        username,
        invalid: errors.iter().any(|error| !error.field.is_empty()),
        errors,
    };
    with_cookie(page::page(status, &template, Some(&authorization.request.redirect_uri)), Some(&cookie))
}

/// The page of where a sign-in stands.
async fn stage(shared: &Shared, parts: &Parts) -> Response {
    let Some(cookie) = cookie::of(&parts.headers) else { return lapsed() };
    match shared.gateway.sign_in_stage(&cookie).await {
        Ok(Some(SignInStage::Code { application, redirect_uri })) => {
            code_page(&cookie, &application.client.name, &redirect_uri, StatusCode::OK, &[])
        }
        Ok(Some(SignInStage::Consent(consent))) => {
            let mark = cookie::mark(&cookie, Purpose::Decision);
            page::page(StatusCode::OK, &ConsentPage::of(&consent, &mark), Some(&consent.redirect_uri))
        }
        Ok(None) => lapsed(),
        Err(error) => page::failed(&error),
    }
}

fn code_page(
    cookie: &SecretString,
    application: &str,
    redirect_uri: &str,
    status: StatusCode,
    errors: &[Wrong],
) -> Response {
    let mark = cookie::mark(cookie, Purpose::Code);
    page::page(status, &CodePage { application, mark: &mark, errors }, Some(redirect_uri))
}

fn lapsed() -> Response {
    page::failed(&Error::new(ErrorKind::Expired, "The sign-in has lapsed, or was ended."))
}

pub async fn submit(State(shared): State<Arc<Shared>>, sent: Request) -> Response {
    let (parts, body) = sent.into_parts();
    let peer = match peer_of(&shared, &parts.headers, &parts.extensions) {
        Ok(peer) => peer,
        Err(problem) => return problem.into_response(),
    };
    let fields = match Fields::of_body(&shared, &parts, body).await {
        Ok(fields) if fields.repeated().is_empty() => fields,
        Ok(_) | Err(Unreadable::Malformed) => return untrusted("the form is damaged"),
        Err(Unreadable::Http(problem)) => return problem.into_response(),
    };
    let Some(purpose) = fields.get("step").and_then(Purpose::parse) else { return untrusted("the form is damaged") };
    let cookie = cookie::of(&parts.headers).filter(|cookie| {
        cookie::is_from_here(&parts.headers, &shared.config.public_url)
            && cookie::is_marked(cookie, purpose, fields.get("mark"))
    });
    match (purpose, cookie) {
        (Purpose::SignIn, cookie) => sign_in(&shared, &parts, &fields, cookie.is_some(), &peer).await,
        (Purpose::Code, Some(cookie)) => code(&shared, &fields, &cookie, &peer).await,
        (Purpose::Decision, Some(cookie)) => decide(&shared, &fields, &cookie, &peer).await,
        (Purpose::Code | Purpose::Decision, None) => {
            page::end(StatusCode::FORBIDDEN, "That did not work", NOT_FROM_HERE)
        }
    }
}

/// Sends the browser to where its sign-in stands now.
fn next(step: &SignInStep) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("authorize"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    with_cookie(response, Some(&step.ticket))
}

async fn sign_in(shared: &Shared, parts: &Parts, fields: &Fields, is_own: bool, peer: &Peer) -> Response {
    let query = fields.get("request").unwrap_or_default();
    let authorization = match authorization(shared, query) {
        Ok(authorization) => authorization,
        Err(response) => return *response,
    };
    let username = fields.get("username").unwrap_or_default();
    let again =
        |status, username: &str, errors: &[Wrong]| sign_in_page(parts, &authorization, query, status, username, errors);
    if !is_own {
        // The form of another page, or of this one when another sign-in of the browser has overtaken it: nothing of it counts.
        return again(StatusCode::FORBIDDEN, "", &[Wrong { field: "", sentence: NOT_FROM_HERE }]);
    }
    let mut missing = Vec::new();
    if username.is_empty() {
        missing.push(Wrong { field: "username", sentence: "Enter your login." });
    }
    let Some(password) = fields.get("password").filter(|_| missing.is_empty()) else {
        if fields.get("password").is_none() {
            missing.push(Wrong { field: "password", sentence: "Enter your password." });
        }
        return again(StatusCode::BAD_REQUEST, username, &missing);
    };
    match shared.gateway.sign_in(&authorization, username, password.into(), peer).await {
        Ok(step) => next(&step),
        Err(error) => match error.kind() {
            ErrorKind::Unauthenticated => again(StatusCode::FORBIDDEN, username, &[WRONG_LOGIN]),
            ErrorKind::Throttled => waiting(again(StatusCode::TOO_MANY_REQUESTS, username, &[THROTTLED]), &error),
            _ => page::failed(&error),
        },
    }
}

fn waiting(mut response: Response, error: &Error) -> Response {
    if let Some(wait) = page::retry_after(error) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    }
    response
}

async fn code(shared: &Shared, fields: &Fields, cookie: &SecretString, peer: &Peer) -> Response {
    let failure = match fields.get("code") {
        Some(code) => match shared.gateway.sign_in_by_code(cookie, code.trim().into(), peer).await {
            Ok(step) => return next(&step),
            Err(error) => error,
        },
        None => Error::new(ErrorKind::InvalidArgument, ""),
    };
    let (status, wrong) = match failure.kind() {
        ErrorKind::Unauthenticated => (StatusCode::FORBIDDEN, WRONG_CODE),
        ErrorKind::Throttled => (StatusCode::TOO_MANY_REQUESTS, THROTTLED),
        ErrorKind::InvalidArgument => (StatusCode::BAD_REQUEST, Wrong { field: "code", sentence: "Enter the code." }),
        _ => return page::failed(&failure),
    };
    match shared.gateway.sign_in_stage(cookie).await {
        Ok(Some(SignInStage::Code { application, redirect_uri })) => {
            waiting(code_page(cookie, &application.client.name, &redirect_uri, status, &[wrong]), &failure)
        }
        Ok(Some(SignInStage::Consent(_)) | None) => lapsed(),
        Err(error) => page::failed(&error),
    }
}

async fn decide(shared: &Shared, fields: &Fields, cookie: &SecretString, peer: &Peer) -> Response {
    let agrees = match fields.get("decision") {
        Some("allow") => true,
        Some("deny") => false,
        _ => return untrusted("the form is damaged"),
    };
    match shared.gateway.decide(cookie, agrees, peer).await {
        // The sign-in was for this alone.
        Ok(answer) => with_cookie(answer::redirect(&answer, &shared.config.public_url), None),
        Err(error) => page::failed(&error),
    }
}
