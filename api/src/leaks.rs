//! API keys in URLs: never. A URL stands in histories, in the logs of proxies, and in what a page tells the next one (RFC 6750
//! section 5.3), so that a key that was sent in one is everybody's. Such a request is refused, whatever else it says, and the key
//! is put on record as leaked; no log of this gateway's has it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use causeway_core::identity::{key_in, without_keys};
use http::Uri;
use secrecy::SecretString;

use crate::auth::peer_of;
use crate::problem::{HttpFault, Problem};
use crate::query::percent_decode;
use crate::router::Shared;

/// How often a text is decoded: some clients encode twice what they were given encoded.
const TIMES: usize = 3;

/// The text as it reads once it is decoded.
fn decoded(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..TIMES {
        let Some(next) = percent_decode(text.as_bytes(), false).filter(|next| *next != text.as_bytes()) else { break };
        text = Cow::Owned(String::from_utf8_lossy(&next).into_owned());
    }
    text
}

/// The API key in a request's target, if there is one.
fn key_of(target: &Uri) -> Option<SecretString> {
    let text = target.path_and_query().map(http::uri::PathAndQuery::as_str)?;
    let key = |text: &str| key_in(text).map(SecretString::from);
    key(text).or_else(|| key(&decoded(text)))
}

/// A path as a log may have it.
pub fn loggable(path: &str) -> Cow<'_, str> {
    let plain = decoded(path);
    if key_in(&plain).is_some() { Cow::Owned(without_keys(&plain).into_owned()) } else { without_keys(path) }
}

/// Refuses requests with a key in their URL.
pub async fn refuse(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let Some(key) = key_of(request.uri()) else { return next.run(request).await };
    if let Ok(peer) = peer_of(&shared, request.headers(), request.extensions()) {
        shared.gateway.leaked_key(&key, &peer).await;
    }
    Problem::http(HttpFault::KeyInUrl).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const KEY: &str = "cwk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn a_key_is_seen_however_it_is_written() {
        for written in [KEY.to_owned(), KEY.replace('_', "%5F"), KEY.replace('c', "%63"), KEY.replace('_', "%255f")] {
            for target in [
                format!("/api/v1/files?api_key={written}&path=/"),
                format!("/api/v1/{written}/x"),
                format!("/{written}"),
            ] {
                let found = key_of(&target.parse().unwrap());
                assert_eq!(found.unwrap().expose_secret(), KEY, "{target}");
                let path = target.split('?').next().unwrap();
                assert!(!loggable(path).contains("AAAAAAAA"), "{target}");
            }
        }
        for target in ["/api/v1/files?path=/in/cwk_orders_2026.csv", "/", "/%", "/api/v1/files?path=%ff"] {
            assert!(key_of(&target.parse().unwrap()).is_none(), "{target}");
            assert_eq!(loggable(target), target);
        }
    }
}
