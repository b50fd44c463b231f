//! A receiver of webhooks that checks both signatures and keeps what came in its order.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::eventually;

/// One POST.
#[derive(Clone, Debug)]
pub struct Post {
    /// `webhook-id`.
    pub id: String,
    /// The event.
    pub event: Value,
    /// What was answered.
    pub answered: u16,
    /// How many signatures it had.
    pub signatures: usize,
    /// Where it belongs in a trace; empty: nowhere.
    pub traceparent: String,
    /// What others keep of that trace.
    pub tracestate: String,
    /// When it came.
    pub at: Instant,
    /// What is wrong with its headers; none: nothing.
    pub wrong: Option<String>,
}

impl Post {
    pub fn kind(&self) -> &str {
        self.event["type"].as_str().unwrap_or_default()
    }

    pub fn path(&self) -> &str {
        self.event["data"]["path"].as_str().unwrap_or_default()
    }

    pub fn hash(&self) -> &str {
        self.event["data"]["hash"].as_str().unwrap_or_default()
    }
}

#[derive(Default)]
struct Kept {
    posts: Vec<Post>,
    refuse: usize,
    /// What the next posts are answered, with `Retry-After`.
    answers: VecDeque<(u16, Option<u32>)>,
    /// In place of the one that it began with.
    secret: Option<String>,
}

/// The receiver.
#[derive(Clone)]
pub struct Receiver {
    address: SocketAddr,
    secret: String,
    kept: Arc<Mutex<Kept>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let key: [u8; 24] = std::array::from_fn(|i| i as u8 * 7 + 1);
        Self::with_secret(&format!("whsec_{}", STANDARD.encode(key))).await
    }

    pub async fn with_secret(secret: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self { address, secret: secret.to_owned(), kept: Arc::default() };
        let router = Router::new().route("/hook", post(receive)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Answers 500 to the next `n` posts.
    pub fn refuse(&self, n: usize) {
        self.kept.lock().unwrap().refuse = n;
    }

    /// Answers the next posts so: status and `Retry-After`.
    pub fn answer(&self, answers: &[(u16, Option<u32>)]) {
        self.kept.lock().unwrap().answers.extend(answers);
    }

    /// Looks at the signatures of another secret from now on.
    pub fn know(&self, secret: &str) {
        self.kept.lock().unwrap().secret = Some(secret.to_owned());
    }

    /// All posts so far; their signatures must be right.
    pub fn posts(&self) -> Vec<Post> {
        let posts = self.kept.lock().unwrap().posts.clone();
        if let Some(post) = posts.iter().find(|p| p.wrong.is_some()) {
            panic!("a webhook is not signed as the contract says: {post:?}");
        }
        posts
    }

    /// Waits until this is true of the posts.
    pub async fn until(&self, what: &str, holds: impl Fn(&[Post]) -> bool) -> Vec<Post> {
        eventually(what, Duration::from_secs(30), || async {
            let posts = self.posts();
            holds(&posts).then_some(posts)
        })
        .await
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap) {
    let secret = receiver.kept.lock().unwrap().secret.clone().unwrap_or_else(|| receiver.secret.clone());
    let wrong = check(&headers, &body, &secret).err();
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let mut kept = receiver.kept.lock().unwrap();
    let refused = if kept.refuse > 0 { (500, None) } else { (200, None) };
    kept.refuse = kept.refuse.saturating_sub(1);
    let (status, retry_after) = kept.answers.pop_front().unwrap_or(refused);
    let answered = StatusCode::from_u16(status).unwrap();
    let mut fields = HeaderMap::new();
    fields.extend(retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
    if answered.is_redirection() {
        // A redirect that was followed would be seen.
        fields.insert(header::LOCATION, HeaderValue::from_str(&receiver.url()).unwrap());
    }
    kept.posts.push(Post {
        id: text("webhook-id"),
        event: serde_json::from_slice(&body).unwrap_or_default(),
        answered: answered.as_u16(),
        signatures: text("webhook-signature").split(' ').count(),
        traceparent: text("traceparent"),
        tracestate: text("tracestate"),
        at: Instant::now(),
        wrong,
    });
    (answered, fields)
}

fn hmac(key: &[u8], message: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in message {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// The contract's two signatures (`events.md`, "Webhooks"), worked out here a second time.
fn check(headers: &HeaderMap, body: &[u8], secret: &str) -> Result<(), String> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|v| v.to_str().ok());
        value.map(str::to_owned).ok_or_else(|| format!("no {name}"))
    };
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|e| e.to_string())?,
        None => secret.as_bytes().to_vec(),
    };
    let expected =
        format!("v1,{}", STANDARD.encode(hmac(&key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body])));
    let given = header("webhook-signature")?;
    if !given.split(' ').any(|one| one == expected) {
        return Err(format!("webhook-signature is {given}, not {expected}"));
    }
    let expected = hex::encode(hmac(secret.as_bytes(), &[body]));
    let given = header("x-signature")?;
    if given != expected {
        return Err(format!("x-signature is {given}, not {expected}"));
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let at: i64 = timestamp.parse().map_err(|_| format!("webhook-timestamp is {timestamp}"))?;
    if (now - at).abs() > 60 {
        return Err(format!("webhook-timestamp is {timestamp}, now is {now}"));
    }
    let event: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    if event["id"] != id.as_str() {
        return Err(format!("webhook-id is {id}, the event's is {}", event["id"]));
    }
    Ok(())
}
