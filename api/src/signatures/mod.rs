//! Signed requests: HTTP Message Signatures (RFC 9421) and `X-Signature`, the plain HMAC of a body. What is signed is read here
//! ([`fields`], [`components`], [`base`]); what that is worth is core's to say.
//!
//! Whoever sends a signature is looked at before its route is: its body is read whole first where it is small. A larger one is
//! checked as it comes, and its end is told only if it is the body that was signed ([`body`]): so nothing can be made of it that
//! stays, as nothing is made of a body that breaks off. The routes that may have such a body are those that take [`Uploader`].

mod base;
mod body;
mod components;
mod fields;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use causeway_core::identity::SignedRequest;
use causeway_core::{Error, ErrorKind, Session};
use http::request::Parts;
use http::{HeaderMap, Method, header};
use http_body::Body as _;

use self::body::{Proof, ProvenBody};
use crate::auth::{Caller, admit};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;

pub use self::body::told;
#[cfg(feature = "fuzz")]
pub use self::fields::fuzz;

/// What a client is asked to sign (RFC 9421 section 5.1).
pub const ACCEPT_SIGNATURE: &str =
    "sig=(\"@method\" \"@target-uri\" \"content-digest\" \"content-type\");created;keyid;nonce";

const SIGNATURE: &str = "signature";
const SIGNATURE_INPUT: &str = "signature-input";
const X_SIGNATURE: &str = "x-signature";

/// The caller of a request that was signed, among its extensions. `pending`: whether its body is still to be checked.
#[derive(Clone)]
pub struct Signed {
    /// Who it is.
    pub session: Arc<Session>,
    /// Whether the end of the body is still to tell that it is the one that was signed.
    pub pending: bool,
}

/// The caller of a request whose body is content: its handler reads it to its end before it does anything that stays, and keeps
/// nothing of a body that has another end ([`crate::body::BodyReader::is_pending`]).
pub struct Uploader {
    /// The session.
    pub session: Arc<Session>,
    pending: bool,
}

impl Uploader {
    /// The same where the body means nothing to the handler. 413 where it is still to be checked.
    pub fn settled(self) -> Result<Caller, Problem> {
        if self.pending {
            return Err(Problem::http(HttpFault::BodyTooLarge)
                .saying("the body of a signed request is too large for this route; shorten it"));
        }
        Ok(Caller { session: self.session })
    }
}

impl FromRequestParts<Arc<Shared>> for Uploader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        if let Some(Signed { session, pending }) = parts.extensions.get().cloned() {
            parts.extensions.insert(session.clone());
            return Ok(Self { session, pending });
        }
        let (session, _) = admit(parts, shared, None).await?;
        // Its body is read for as long as the session is there.
        parts.extensions.insert(session.clone());
        Ok(Self { session, pending: false })
    }
}

/// Checks what a request shows to prove that nobody has changed it. One that shows nothing goes on as it is.
pub async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if ![SIGNATURE, SIGNATURE_INPUT, X_SIGNATURE].iter().any(|name| request.headers().contains_key(*name)) {
        return next.run(request).await;
    }
    match checked(&shared, request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Whether a method may change something (RFC 9110 section 9.2.1).
fn changes(method: &Method) -> bool {
    !method.is_safe()
}

async fn checked(shared: &Arc<Shared>, request: Request) -> Result<Request, Problem> {
    let (mut parts, body) = request.into_parts();
    let has_body = !body.is_end_stream() && declared(&parts.headers) != Some(0);
    let mut signed = SignedRequest {
        messages: Vec::new(),
        plain: None,
        fault: None,
        changes: changes(&parts.method),
        window: shared.config.signature_window,
    };
    let mut proof = Proof::default();
    match read(shared, &parts, has_body, &mut proof) {
        Ok((messages, plain)) => (signed.messages, signed.plain) = (messages, plain),
        Err(fault) => signed.fault = Some(fault),
    }
    let (session, mac) = admit(&parts, shared, Some(&signed)).await?;
    proof.mac = mac;
    let refused = async |error: Error| {
        shared.gateway.refused_body(&session, &error).await;
        Problem::from(error)
    };
    if !has_body {
        if let Err(error) = proof.finish() {
            return Err(refused(error).await);
        }
        parts.extensions.insert(Signed { session, pending: false });
        return Ok(Request::from_parts(parts, body));
    }
    let limit = shared.config.max_json_bytes;
    let mut ahead = Vec::new();
    let mut left = body;
    // One that is larger by its own account is not waited for.
    if declared(&parts.headers).is_none_or(|declared| declared <= limit as u64) {
        let mut reader = shared.body(&parts, left);
        let mut total = 0;
        let whole = loop {
            match reader.next().await? {
                None => break true,
                Some(data) => {
                    total += data.len();
                    proof.update(&data);
                    ahead.push(data);
                }
            }
            if total > limit {
                break false;
            }
        };
        if whole {
            if let Err(error) = proof.finish() {
                return Err(refused(error).await);
            }
            parts.extensions.insert(Signed { session, pending: false });
            return Ok(Request::from_parts(parts, Body::from(ahead.concat())));
        }
        let (behind, rest) = reader.into_rest();
        if let Some(data) = behind.transpose()? {
            proof.update(&data);
            ahead.push(data);
        }
        left = rest;
    }
    parts.extensions.insert(Signed { session, pending: true });
    Ok(Request::from_parts(parts, Body::new(ProvenBody::new(ahead, left, proof))))
}

type Read = (Vec<causeway_core::identity::MessageSignature>, Option<[u8; 32]>);

/// What the request's fields say was signed, and what its body must be for that.
fn read(shared: &Shared, parts: &Parts, has_body: bool, proof: &mut Proof) -> Result<Read, fields::Fault> {
    let inputs = fields::inputs(&parts.headers)?;
    let plain = fields::plain(&parts.headers)?;
    let called = base::called(parts, &shared.config);
    let mut messages = Vec::with_capacity(inputs.len());
    for input in inputs {
        let uncovered = components::uncovered(&input.components, parts, has_body);
        let mut bases = Vec::with_capacity(called.len());
        for target in &called {
            let base = base::of(&input, target, parts)?;
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        messages.push(input.into_message(bases, uncovered));
    }
    if !messages.is_empty() {
        proof.digests(&parts.headers, has_body)?;
    }
    Ok((messages, plain))
}

/// `Content-Length`.
fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that is not the one of which a signature covers the digest.
fn other_body() -> Error {
    Error::new(ErrorKind::DigestMismatch, "the body does not have the signed `Content-Digest`; nothing of it was kept")
}

/// A body that is not the one that `X-Signature` signs.
fn other_plain_body() -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "`X-Signature` is not right: the body was changed on its way, or signed with another secret; nothing of it was kept",
    )
}
