//! `/logins/{username}/totp`: time-based codes (RFC 6238) for a login, enrolled in two steps.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use causeway_core::identity::spec::LoginSpec;
use causeway_core::identity::{Scope, totp_uri};
use causeway_core::{Error, ErrorKind};
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};

use super::admin::{OfTenant, TENANT, maybe};
use crate::auth::Caller;
use crate::json::json as answer;
use crate::members::Members;
use crate::openapi::headers::CACHE_CONTROL;
use crate::openapi::{Answer, Body, Operation, Parameter, Shape, Tag, problems};
use crate::problem::Problem;
use crate::router::Shared;

/// `{username}` of a route.
const USERNAME: Parameter = Parameter::path("username", "The login's name.", username, "edi01");

fn username() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn enrolment() -> Shape {
    Shape::Named(
        "TotpBeginning",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "require": { "type": ["string", "null"], "description": "What the login is to prove from then on: several of `publickey` or `certificate` and `password`, and `totp`, with `+` between them; what it has to prove now, and a code, where nothing is said." },
            },
        }),
    )
}

fn code() -> Shape {
    Shape::Named(
        "TotpCode",
        json!({
            "type": "object",
            "required": ["code"],
            "additionalProperties": false,
            "properties": { "code": { "type": "string", "description": "A code of the app, six digits." } },
        }),
    )
}

/// A secret that was just made: the one time that it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TotpEnrolment")]
struct Begun<'s> {
    /// The secret, in base32.
    secret: &'s str,
    /// What apps read, mostly as a QR code; it holds the secret.
    uri: &'s str,
    /// `pending`: nothing is asked for until a code of it was brought.
    state: &'static str,
    /// What the login has to prove from then on.
    require: String,
}

/// How the codes of a login are.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TotpState")]
struct Confirmed {
    /// `enabled`.
    state: &'static str,
    /// What the login has to prove.
    require: String,
}

fn name_of(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    path.map(|Path(name)| name).map_err(|_| Error::new(ErrorKind::NotFound, "there is no such login").into())
}

fn described(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Tag::Administration, id, summary)
        .scope(Scope::Admin)
        .parameters(&[USERNAME, TENANT])
        .fails([ErrorKind::NotFound, ErrorKind::Conflict])
}

pub fn begin_operation() -> Operation {
    let example = json!({
        "secret": "…", "uri": "otpauth://totp/causeway:edi01?secret=…&issuer=causeway", "state": "pending", "require": "password+totp",
    });
    described("beginTotp", "Makes a secret for the codes of a login")
        .text("The answer is the one time that it is shown. The login is what it was until the secret is confirmed; begun anew, the newest secret counts.")
        .body(Body::json("What the login is to prove.", enrolment(), json!({ "require": "password+totp" })))
        .answer(Answer::json::<Begun<'_>>(StatusCode::CREATED, "The secret.", example).header(&CACHE_CONTROL))
        .fails(problems::JSON)
}

pub async fn begin(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
    of: OfTenant,
    request: Request,
) -> Result<Response, Problem> {
    let (tenant, name) = (of.id(), name_of(name)?);
    shared.gateway.may_administer(&caller.session).await?;
    let (_, mut members) = Members::of(&shared, request).await?;
    let require = maybe(&mut members, "require");
    members.finish()?;
    let secret = shared.gateway.begin_totp(&caller.session, tenant, &name, require).await?;
    let login = shared.gateway.administered_one::<LoginSpec>(&caller.session, tenant, &name).await?;
    let require = login.spec.and_then(|spec| spec.totp_pending).map(|pending| pending.require).unwrap_or_default();
    let uri = totp_uri(&name, &secret)?;
    let begun = Begun { secret: secret.expose_secret(), uri: uri.expose_secret(), state: "pending", require };
    let mut response = answer(StatusCode::CREATED, &begun);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

pub fn confirm_operation() -> Operation {
    described("confirmTotp", "Puts a login's codes in force")
        .text("By a code of the secret that was made: it shows that the app has it, and that its clock is right. The code is used by that.")
        .body(Body::json("The code.", code(), json!({ "code": "123456" })))
        .answer(Answer::json::<Confirmed>(
            StatusCode::OK,
            "It is asked for from now on.",
            json!({ "state": "enabled", "require": "password+totp" }),
        ))
        .fails(problems::JSON)
}

pub async fn confirm(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
    of: OfTenant,
    request: Request,
) -> Result<Response, Problem> {
    let (tenant, name) = (of.id(), name_of(name)?);
    shared.gateway.may_administer(&caller.session).await?;
    let (_, mut members) = Members::of(&shared, request).await?;
    let code: SecretString = members.required("code").into();
    members.finish()?;
    shared.gateway.confirm_totp(&caller.session, tenant, &name, &code).await?;
    let login = shared.gateway.administered_one::<LoginSpec>(&caller.session, tenant, &name).await?;
    let require = login.spec.map(|spec| spec.require).unwrap_or_default();
    Ok(answer(StatusCode::OK, &Confirmed { state: "enabled", require }))
}

pub fn remove_operation() -> Operation {
    described("removeTotp", "Takes a login's codes away")
        .text("It asks for what it asked for before its codes were enrolled.")
        .answer(Answer::bare(StatusCode::NO_CONTENT, "No code is asked for any more."))
        .fails([ErrorKind::InvalidArgument])
}

pub async fn remove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
    of: OfTenant,
) -> Result<Response, Problem> {
    shared.gateway.remove_totp(&caller.session, of.id(), &name_of(name)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
