//! Who is asking: `Authorization: Bearer` (RFC 6750 section 2.1) with an API key or a token. Either in the query (section 2.3) or in
//! a form (section 2.2) is never looked at. Without such a header the client certificate of the TLS handshake counts, where
//! there was one: it says itself which login it stands for. One request is one session.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use causeway_core::events::{MAX_TEXT, Operation, is_hidden};
use causeway_core::identity::{BodyMac, ClientCertificate, KEY_PREFIX, SignedRequest};
use causeway_core::tokens::{MAX_TOKEN, looks_like_token};
use causeway_core::{Credential, Error, ErrorKind, Gateway, NotLetIn, Peer, Protocol, Session};
use http::Extensions;
use http::header::{self, HeaderMap};
use http::request::Parts;
use secrecy::{ExposeSecret as _, SecretString};

use crate::client::ClientAddress;
use crate::problem::Problem;
use crate::quotas::Meter;
use crate::router::Shared;
use crate::serve::ConnectionInfo;
use crate::signatures::Uploader;

/// The longest credential, in bytes.
const MAX_CREDENTIAL: usize = MAX_TOKEN;

/// The authenticated caller of a request. A handler that takes it runs for nobody else.
pub struct Caller {
    /// The session.
    pub session: Arc<Session>,
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        Uploader::from_request_parts(parts, shared).await?.settled()
    }
}

fn connection_of(extensions: &Extensions) -> Result<&ConnectionInfo, Problem> {
    let connection = extensions.get::<Arc<ConnectionInfo>>();
    connection
        .map(|connection| &**connection)
        .ok_or_else(|| Error::internal("a request came without its connection").into())
}

/// The other end of a request's connection, whoever that is.
pub fn peer_of(shared: &Shared, headers: &HeaderMap, extensions: &Extensions) -> Result<Peer, Problem> {
    let connection = connection_of(extensions)?;
    if shared.config.certificate_required && connection.certificate.is_none() {
        // The handshake refuses such connections; what has no certificate must not count as what needs none.
        return Err(
            Problem::no_credential().saying("this gateway demands a client certificate; show one in the TLS handshake")
        );
    }
    Ok(Peer {
        ip: extensions.get::<ClientAddress>().map_or(connection.ip, |client| client.0),
        protocol: Protocol::Api,
        client_version: client_version(headers),
        cipher: connection.cipher.clone(),
        required_certificate: connection.certificate.clone().filter(|_| shared.config.certificate_required),
    })
}

/// Lets the caller of a request in, with what it shows to prove that nobody has changed it (none: nothing), and counts the
/// request for its identity. What the body must be is answered, where that was signed. Once for each request.
pub async fn admit(
    parts: &Parts,
    shared: &Shared,
    signed: Option<&SignedRequest>,
) -> Result<(Arc<Session>, Option<BodyMac>), Problem> {
    let peer = peer_of(shared, &parts.headers, &parts.extensions)?;
    let certificate = connection_of(&parts.extensions)?.certificate.as_ref();
    let (session, mac) = authenticate(&shared.gateway, &parts.headers, certificate, &peer, signed).await?;
    let most = shared.gateway.limits().requests_per_minute;
    shared.quotas.identity(&session, parts.extensions.get::<Meter>(), most)?;
    if !names_only(&session.tenant.id, &parts.headers) {
        let error =
            Error::new(ErrorKind::PermissionDenied, "`X-Tenant-Id` is not the credential's tenant; leave it out");
        shared.gateway.refused(&session, Operation::Login, "", &error).await;
        return Err(Problem::from(error).at("X-Tenant-Id"));
    }
    Ok((session, mac))
}

/// Lets in by the header, and only where there is none by the certificate: who sends a header means it.
async fn authenticate(
    gateway: &Gateway,
    headers: &HeaderMap,
    certificate: Option<&ClientCertificate>,
    peer: &Peer,
    signed: Option<&SignedRequest>,
) -> Result<(Arc<Session>, Option<BodyMac>), Problem> {
    match (bearer(headers), certificate) {
        (Some(token), _) => gateway.login_signed(credential(token), peer, signed).await.map_err(|why| match why {
            NotLetIn::Credential(error) => error.into(),
            NotLetIn::Signature(error) => Problem::signature(error),
        }),
        // A signature that nobody would check is not passed over.
        (None, _) if signed.is_some() => Err(Problem::no_credential().saying(
            "a signature belongs to an API key; send `Authorization: Bearer` with it, or leave the signature out",
        )),
        (None, Some(certificate)) if !headers.contains_key(header::AUTHORIZATION) => {
            let admitted = gateway.login_by_certificate(certificate, peer).await;
            admitted.map(|session| (session, None)).map_err(|error| match error.kind() {
                // No token was sent that could be invalid.
                ErrorKind::Unauthenticated => Problem::no_credential().saying(
                    "the client certificate stands for no login here; send `Authorization: Bearer` with an API key",
                ),
                _ => Problem::from(error),
            })
        }
        (None, _) => Err(Problem::no_credential()),
    }
}

/// What a bearer token is. An API key begins as none of the others can; what has not the form of a token is looked up as a key, and
/// found to be none.
fn credential(token: SecretString) -> Credential {
    let text = token.expose_secret();
    if !text.starts_with(KEY_PREFIX) && looks_like_token(text) {
        Credential::Token(token)
    } else {
        Credential::ApiKey(token)
    }
}

/// Whether every `X-Tenant-Id` is this tenant: whoever reads the second one must not come to another result.
fn names_only(tenant: &str, headers: &HeaderMap) -> bool {
    headers.get_all("x-tenant-id").iter().all(|value| value.as_bytes() == tenant.as_bytes())
}

/// The token of the one `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let usable = scheme.eq_ignore_ascii_case("bearer") && (1..=MAX_CREDENTIAL).contains(&token.len());
    usable.then(|| SecretString::from(token))
}

fn client_version(headers: &HeaderMap) -> Option<String> {
    let agent = String::from_utf8_lossy(headers.get(header::USER_AGENT)?.as_bytes());
    Some(agent.chars().filter(|c| !is_hidden(*c)).take(MAX_TEXT).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn token(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        bearer(&headers).map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn only_one_bearer_token_counts() {
        assert_eq!(token(&["Bearer cwk_abc"]).as_deref(), Some("cwk_abc"));
        assert_eq!(token(&["bearer  cwk_abc "]).as_deref(), Some("cwk_abc"));
        assert_eq!(token(&[]), None);
        assert_eq!(token(&["Basic YTpi"]), None);
        assert_eq!(token(&["Bearer"]), None);
        assert_eq!(token(&["Bearer "]), None);
        assert_eq!(token(&["Bearer a", "Bearer b"]), None);
        assert_eq!(token(&[&format!("Bearer {}", "x".repeat(MAX_CREDENTIAL + 1))]), None);
    }

    #[test]
    fn what_has_the_form_of_a_token_is_one() {
        let is_token = |text: &str| matches!(credential(text.into()), Credential::Token(_));
        assert!(is_token("eyJh.eyJz.c2ln"));
        for key in ["cwk_abc", "cwk_a.b.c", "abc", "a.b", "a.b.c.d", "a..c", ".b.c", "a.b.", "a.b=.c", "a.b+.c"] {
            assert!(!is_token(key), "{key}");
        }
    }

    #[test]
    fn every_tenant_that_is_named_counts() {
        let named = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-tenant-id", HeaderValue::from_str(value).unwrap());
            }
            names_only("acme", &headers)
        };
        assert!(named(&[]) && named(&["acme"]) && named(&["acme", "acme"]));
        assert!(!named(&["other"]) && !named(&["acme", "other"]) && !named(&["ACME"]));
    }

    #[test]
    fn the_client_is_named_within_bounds() {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_bytes(b"curl\t/8 \xff\xe2\x80\xae").unwrap());
        assert_eq!(client_version(&headers).as_deref(), Some("curl/8 \u{fffd}"));
        headers.insert(header::USER_AGENT, HeaderValue::from_str(&"x".repeat(1000)).unwrap());
        assert_eq!(client_version(&headers).unwrap().len(), MAX_TEXT);
    }
}
