//! What needs no credential, or only a client's of OAuth 2.0.

use super::route::{Ask, Foreign, Needs, Route, Scene};
use crate::harness::browser::{Browser, form};
use crate::harness::plan::PASSWORD;
use crate::oauth::asked;

/// The form of the sign-in page, filled in rightly, by the browser that has it.
async fn sign_in(scene: Scene<'_>) -> Ask {
    let mut browser = Browser::new(scene.gateway);
    let page = browser.open(&asked(&[])).await;
    page.is(200, "Sign in");
    let hidden = page.hidden();
    let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.extend([("username", "ann"), ("password", PASSWORD)]);
    let cookies: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ask::plain()
        .header("cookie", cookies.join("; "))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form(&fields))
}

pub fn open() -> Vec<Route> {
    let all = |path| Route::new("get", path, Needs::Nothing, 200, |_| Box::pin(async { Ask::plain() }));
    let client = |path| Route::new("post", path, Needs::Client, 200, |_| Box::pin(async { Ask::plain() }));
    vec![
        Route::new("get", "/api/v1/auth/validate", Needs::Scopes(&[]), 200, |_| Box::pin(async { Ask::plain() }))
            .foreign(Foreign::TellsItsOwn),
        all("/api/v1/openapi.json"),
        all("/api/docs"),
        all("/.well-known/jwks.json"),
        all("/.well-known/oauth-authorization-server"),
        Route::new("get", "/api/v1/oauth/authorize", Needs::Nothing, 200, |_| {
            Box::pin(async {
                let path = asked(&[]);
                let mut ask = Ask::plain();
                path.split_once('?').unwrap().1.clone_into(&mut ask.query);
                ask
            })
        }),
        Route::new("post", "/api/v1/oauth/authorize", Needs::Nothing, 303, |scene| Box::pin(sign_in(scene))),
        client("/api/v1/oauth/token"),
        client("/api/v1/oauth/revoke"),
        client("/api/v1/oauth/introspect"),
    ]
}
