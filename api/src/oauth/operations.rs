//! The descriptions of these routes.

use causeway_core::ErrorKind;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Refused;
use super::metadata::Metadata;
use super::token::{Introspected, Tokens};
use crate::openapi::headers::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, PRAGMA, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};
use crate::openapi::problems::{Case, problem_content};
use crate::openapi::schemas::text;
use crate::openapi::{Answer, Body, Operation, Parameter, Shape, Tag};
use crate::problem::HttpFault;

/// How reading a form may fail, beside what is no form.
const FORM: [Case; 2] = [Case::Http(HttpFault::BodyTooLarge), Case::Core(ErrorKind::TimedOut)];

const CLIENT_ID: &str = "orders-2026";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const CREDENTIALS: &str = "The client says who it is by HTTP Basic, with its id and secret form-encoded, or by `client_id` and \
`client_secret` in the form (RFC 6749 section 2.3.1); a public client by `client_id` alone. An API key is a client, too: its id is the \
client id, the key the secret. What stands in the query is not looked at.";

fn client(shape: Value) -> Value {
    let mut shape = shape;
    if let Some(properties) = shape.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(
            "client_id".into(),
            json!({ "type": "string", "format": "oauth-client", "minLength": 1, "maxLength": 255, "description": "Which client asks; not needed with HTTP Basic." }),
        );
        properties.insert(
            "client_secret".into(),
            json!({ "type": "string", "format": "oauth-secret", "minLength": 1, "maxLength": 1024, "description": "Its secret; not with HTTP Basic." }),
        );
    }
    shape
}

fn kept_by_nobody(answer: Answer) -> Answer {
    answer.header(&CACHE_CONTROL).header(&PRAGMA)
}

fn refusals(operation: Operation) -> Operation {
    let example = |error, sentence| json!({ "error": error, "error_description": sentence });
    operation
        .answer(kept_by_nobody(Answer::json::<Refused<'_>>(
            StatusCode::BAD_REQUEST,
            "It is refused (RFC 6749 section 5.2).",
            example("invalid_grant", "the code or refresh token does not count, or not here"),
        )))
        .answer(
            kept_by_nobody(Answer::json::<Refused<'_>>(
                StatusCode::UNAUTHORIZED,
                "The client is not who it says.",
                example("invalid_client", "the client id or its secret is not valid here"),
            ))
            .header(&WWW_AUTHENTICATE),
        )
        .fails(FORM)
}

pub fn token() -> Operation {
    let properties = json!({
        "grant_type": { "enum": ["client_credentials", "authorization_code", "refresh_token"], "description": "What is shown for the tokens: the client itself, the code that a person has granted, or the refresh token of the time before." },
        "scope": { "type": "string", "format": "oauth-scope", "maxLength": 1024, "description": "Scopes with spaces between: fewer than could be had. For `client_credentials` and `refresh_token`." },
        "code": { "type": "string", "maxLength": 255, "description": "For `authorization_code`: the code. It counts once." },
        "redirect_uri": { "type": "string", "maxLength": 2048, "description": "For `authorization_code`: the same as was asked with." },
        "code_verifier": { "type": "string", "maxLength": 128, "description": "For `authorization_code`: what the challenge was made of (RFC 7636)." },
        "refresh_token": { "type": "string", "maxLength": 255, "description": "For `refresh_token`: the token. It counts once, and the next one comes with the answer; one that is shown again revokes all that came of its grant." },
    });
    let shape = client(json!({ "type": "object", "required": ["grant_type"], "properties": properties }));
    let tokens = json!({
        "access_token": "eyJhbGciOiJFZERTQSIsImtpZCI6IjEiLCJ0eXAiOiJhdCtqd3QifQ.e30.c2lnbmF0dXJl", "token_type": "Bearer",
        "expires_in": 900, "scope": "files:read",
    });
    refusals(
        Operation::new(Tag::OAuth, "issueToken", "Access tokens")
            .text(CREDENTIALS)
            .open()
            .body(Body::urlencoded(
                "What is shown for the tokens.",
                Shape::Named("TokenRequest", shape),
                json!({ "grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": "cwk_example", "scope": "files:read" }),
            ))
            .answer(kept_by_nobody(Answer::json::<Tokens<'_>>(StatusCode::OK, "The tokens.", tokens))),
    )
}

fn of_a_token() -> Value {
    client(json!({
        "type": "object",
        "required": ["token"],
        "properties": {
            "token": { "type": "string", "minLength": 1, "maxLength": 8192, "description": "An access token or a refresh token." },
            "token_type_hint": { "type": "string", "maxLength": 64, "description": "Which of the two; it is known without." },
        },
    }))
}

fn token_form(description: &'static str) -> Body {
    let example = json!({ "token": "cwr_example", "client_id": CLIENT_ID, "client_secret": "cwk_example" });
    Body::urlencoded(description, Shape::Named("TokenForm", of_a_token()), example)
}

pub fn revoke() -> Operation {
    refusals(
        Operation::new(Tag::OAuth, "revokeToken", "Ends what a token stands for (RFC 7009)")
            .text(
                "All that came of the same grant ends with it, on every node in a second. A token that is not known, or another client's, \
                 is no error.",
            )
            .open()
            .body(token_form("The token."))
            .answer(kept_by_nobody(Answer::bare(StatusCode::OK, "It counts no more."))),
    )
}

pub fn introspect() -> Operation {
    let example = json!({
        "active": true, "scope": "files:read", "client_id": "portal", "username": "edi01", "token_type": "Bearer",
        "exp": 1_764_015_302, "iat": 1_764_014_402, "sub": "edi-partner", "iss": "https://gateway.example", "tenant_id": "acme",
    });
    refusals(
        Operation::new(Tag::OAuth, "introspectToken", "What a token is (RFC 7662)")
            .text(
                "For clients that have a secret. A client sees its own tokens; an API key also those of its identity, and all of its tenant \
                 where it has `audit:read`. Of all others it is said that they are not active.",
            )
            .open()
            .body(token_form("The token."))
            .answer(kept_by_nobody(Answer::json::<Introspected<'_>>(StatusCode::OK, "What it is.", example))),
    )
}

fn some_text() -> Value {
    json!({ "type": "string", "maxLength": 2048 })
}

const ASKED: [Parameter; 7] = [
    Parameter::query("response_type", "`code`.", text, "code"),
    Parameter::query("client_id", "Which application asks.", some_text, "portal"),
    Parameter::query(
        "redirect_uri",
        "Where the answer goes: exactly as it is registered. It may be left out where one is.",
        some_text,
        "https://portal.acme.example/callback",
    ),
    Parameter::query("scope", "What is asked for: scopes with spaces between.", some_text, "files:read"),
    Parameter::query("state", "What the application wants to have back.", some_text, "af0ifjsldkj"),
    Parameter::query("code_challenge", "SHA-256 of the verifier in base64url (RFC 7636).", some_text, CHALLENGE),
    Parameter::query("code_challenge_method", "`S256`.", text, "S256"),
];

fn html() -> Shape {
    Shape::Inline(json!({ "type": "string" }))
}

fn pages(operation: Operation) -> Operation {
    let page = |status, description| {
        Answer::bare(status, description)
            .content("text/html", html(), None)
            .header(&CACHE_CONTROL)
            .header(&CONTENT_SECURITY_POLICY)
    };
    operation
        .answer(kept_by_nobody(
            Answer::bare(
                StatusCode::FOUND,
                "On to the application, with a code or an error, `state` and `iss` (RFC 9207).",
            )
            .header(&LOCATION)
            .maybe(&SET_COOKIE),
        ))
        .answer(page(
            StatusCode::BAD_REQUEST,
            "A page that says what is wrong: nobody is sent on where it is not certain who asks.",
        ))
        .answer(
            Answer::bare(StatusCode::TOO_MANY_REQUESTS, "Too many requests, or too many failed logins.")
                .content("text/html", html(), None)
                .content("application/problem+json", problem_content(), None)
                .header(&RETRY_AFTER),
        )
        .answer(
            Answer::bare(StatusCode::SERVICE_UNAVAILABLE, "The gateway is not available at the moment.")
                .content("text/html", html(), None)
                .content("application/problem+json", problem_content(), None)
                .header(&RETRY_AFTER),
        )
}

pub fn authorize() -> Operation {
    pages(
        Operation::new(Tag::OAuth, "authorize", "Where people sign in and decide")
            .text(
                "For browsers, and never for scripts of other pages. An application sends its user here (RFC 6749 section 4.1.1, with \
                 PKCE). Without parameters it shows where the sign-in of this browser stands. Parameters that are not known are not \
                 looked at.",
            )
            .open()
            .parameters(&ASKED)
            .answer(
                Answer::bare(StatusCode::OK, "The page.")
                    .content("text/html", html(), None)
                    .header(&CACHE_CONTROL)
                    .header(&CONTENT_SECURITY_POLICY)
                    .maybe(&SET_COOKIE),
            ),
    )
}

pub fn authorize_form() -> Operation {
    let shape = json!({
        "type": "object",
        "required": ["step", "mark"],
        "properties": {
            "step": { "enum": ["sign-in", "code", "decision"], "description": "Which form it is." },
            "mark": { "type": "string", "maxLength": 64, "description": "Proves that the form is the gateway's own." },
            "request": { "type": "string", "maxLength": 16384, "description": "What was asked for." },
            "username": { "type": "string", "maxLength": 255, "description": "The login." },
            "password": { "type": "string", "format": "password", "maxLength": 1024, "description": "Its password." },
            "code": { "type": "string", "maxLength": 16, "description": "The code of its second step." },
            "decision": { "enum": ["allow", "deny"], "description": "What the person decides." },
        },
    });
    let example = json!({ "step": "decision", "mark": CHALLENGE, "decision": "allow" });
    pages(
        Operation::new(Tag::OAuth, "submitAuthorization", "The forms of these pages")
            .text("The pages' own: an application has no use for it.")
            .open()
            .body(Body::urlencoded("A form of the pages.", Shape::Named("SignInForm", shape), example))
            .answer(Answer::bare(StatusCode::SEE_OTHER, "On to the next page.").header(&LOCATION).header(&SET_COOKIE))
            .answer(
                Answer::bare(StatusCode::FORBIDDEN, "The page again, as something was wrong.")
                    .content("text/html", html(), None)
                    .header(&CACHE_CONTROL)
                    .header(&CONTENT_SECURITY_POLICY),
            )
            .fails(FORM),
    )
}

pub fn metadata() -> Operation {
    let at = |path: &str| format!("https://gateway.example{path}");
    let example = json!({
        "issuer": "https://gateway.example",
        "authorization_endpoint": at("/api/v1/oauth/authorize"),
        "token_endpoint": at("/api/v1/oauth/token"),
        "jwks_uri": at("/.well-known/jwks.json"),
        "revocation_endpoint": at("/api/v1/oauth/revoke"),
        "introspection_endpoint": at("/api/v1/oauth/introspect"),
        "scopes_supported": ["files:read", "files:write"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "service_documentation": at("/api/docs"),
    });
    Operation::new(Tag::OAuth, "getAuthorizationServer", "Where everything of OAuth 2.0 is (RFC 8414)")
        .open()
        .answer(Answer::json::<Metadata<'_>>(StatusCode::OK, "The description.", example).header(&CACHE_CONTROL))
}
