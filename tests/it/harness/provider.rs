//! An OpenID provider: discovery and keys over loopback HTTP, with keys that change, and every way to be wrong.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// How it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// 503 to everything.
    Down,
    /// No answer at all.
    Silent,
    /// Pages of HTML.
    Rubbish,
    /// An answer without end.
    Huge,
    /// To another address.
    Redirect(String),
    /// It says that it is somebody else.
    WrongIssuer,
    /// It says that its keys are here.
    KeysAt(String),
}

struct Kept {
    mood: Mood,
    keys: Value,
}

/// The provider.
#[derive(Clone)]
pub struct Provider {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    discoveries: Arc<AtomicUsize>,
    sets: Arc<AtomicUsize>,
    traces: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kept = Kept { mood: Mood::Well, keys: json!({ "keys": [] }) };
        let provider = Self {
            address: listener.local_addr().unwrap(),
            kept: Arc::new(Mutex::new(kept)),
            discoveries: Arc::default(),
            sets: Arc::default(),
            traces: Arc::default(),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn be(&self, mood: Mood) {
        self.kept.lock().unwrap().mood = mood;
    }

    pub fn publish(&self, keys: &[&Signer]) {
        self.publish_set(json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }));
    }

    pub fn publish_set(&self, set: Value) {
        self.kept.lock().unwrap().keys = set;
    }

    /// How often its configuration and its keys were asked for.
    pub fn asked(&self) -> (usize, usize) {
        (self.discoveries.load(Ordering::SeqCst), self.sets.load(Ordering::SeqCst))
    }

    /// The `traceparent` of every question that had one.
    pub fn traces(&self) -> Vec<String> {
        self.traces.lock().unwrap().clone()
    }

    fn note(&self, headers: &HeaderMap) {
        let trace = headers.get("traceparent").and_then(|value| value.to_str().ok());
        self.traces.lock().unwrap().extend(trace.map(str::to_owned));
    }

    /// The lines of a tenant that takes its tokens.
    pub fn lines(&self, audience: &str, more: &str) -> String {
        format!("[[tenant.issuer]]\nurl = \"{}\"\naudience = \"{audience}\"\n{more}", self.url())
    }

    /// Claims of this subject's that hold for a minute.
    pub fn claims(&self, audience: &str, subject: &str) -> Value {
        let now = seconds();
        json!({
            "iss": self.url(), "aud": audience, "sub": subject, "exp": now + 60, "iat": now,
            "scope": "openid files:read files:write transfers:read transfers:write",
        })
    }
}

async fn answer(provider: &Provider, right: impl FnOnce(&Mood, &Value) -> Value) -> Response {
    let (mood, body) = {
        let kept = provider.kept.lock().unwrap();
        (kept.mood.clone(), right(&kept.mood, &kept.keys))
    };
    match mood {
        Mood::Well | Mood::WrongIssuer | Mood::KeysAt(_) => axum::Json(body).into_response(),
        Mood::Down => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::Silent => std::future::pending().await,
        Mood::Rubbish => "<html><body>Sign in</body></html>".into_response(),
        Mood::Huge => {
            let piece = || Ok::<_, std::io::Error>(axum::body::Bytes::from(vec![b' '; 64 * 1024]));
            axum::body::Body::from_stream(futures::stream::repeat_with(piece)).into_response()
        }
        Mood::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
    }
}

async fn discovery(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    provider.note(&headers);
    provider.discoveries.fetch_add(1, Ordering::SeqCst);
    let url = provider.url();
    answer(&provider, |mood, _| {
        let issuer = if *mood == Mood::WrongIssuer { format!("{url}/") } else { url.clone() };
        let keys = if let Mood::KeysAt(elsewhere) = mood { elsewhere.clone() } else { format!("{url}/keys") };
        json!({ "issuer": issuer, "jwks_uri": keys, "id_token_signing_alg_values_supported": ["EdDSA"] })
    })
    .await
}

async fn keys(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    provider.note(&headers);
    provider.sets.fetch_add(1, Ordering::SeqCst);
    answer(&provider, |_, keys| keys.clone()).await
}

/// Seconds since 1970.
pub fn seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A part of a token in base64url.
pub fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key that signs tokens.
pub struct Signer {
    pair: Ed25519KeyPair,
    pub kid: String,
}

impl Signer {
    pub fn new(kid: &str) -> Self {
        Self { pair: Ed25519KeyPair::generate().unwrap(), kid: kid.to_owned() }
    }

    /// The one with this private part.
    pub fn of(kid: &str, pkcs8: &[u8]) -> Self {
        Self { pair: Ed25519KeyPair::from_pkcs8(pkcs8).unwrap(), kid: kid.to_owned() }
    }

    pub fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": part(self.pair.public_key()), "kid": self.kid, "use": "sig", "alg": "EdDSA" })
    }

    /// A token of these parts.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", part(header.to_string()), part(claims.to_string()));
        let signature = part(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A token as providers make them.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": "EdDSA", "kid": self.kid, "typ": "JWT" }), claims)
    }

    /// An access token as the gateway makes them.
    pub fn access_token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": "EdDSA", "kid": self.kid, "typ": "at+jwt" }), claims)
    }
}
