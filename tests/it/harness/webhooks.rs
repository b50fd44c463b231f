//! A receiver of webhooks that checks both signatures and keeps what came in its order.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, StreamExt as _};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use super::door::{Door, Lines};
use super::eventually;

/// A piece of an answer without an end.
const PIECE: usize = 16 * 1024;

/// What a post is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status.
    Status(u16),
    /// A status, and when to come again, as it is written in `Retry-After`.
    Later(u16, String),
    /// Nothing, for ever.
    Silence,
    /// The first bytes of a head; then the connection ends.
    CutHead,
    /// A status and the first bytes of a body; then the connection ends.
    CutBody(u16),
    /// A status, and a body without an end.
    Endless(u16),
}

impl Reply {
    /// Its status; 0: there is none.
    const fn status(&self) -> u16 {
        match self {
            Self::Status(status) | Self::Later(status, _) | Self::CutBody(status) | Self::Endless(status) => *status,
            Self::Silence | Self::CutHead => 0,
        }
    }
}

/// One POST.
#[derive(Clone, Debug)]
pub struct Post {
    /// `webhook-id`.
    pub id: String,
    /// The event.
    pub event: Value,
    /// What was answered; 0: no status.
    pub answered: u16,
    /// How many signatures it had.
    pub signatures: usize,
    /// `webhook-timestamp`.
    pub timestamp: i64,
    /// Where it belongs in a trace; empty: nowhere.
    pub traceparent: String,
    /// What others keep of that trace.
    pub tracestate: String,
    /// When it came.
    pub at: Instant,
    /// Which HTTP it came by.
    pub version: Version,
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

    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.answered)
    }
}

struct Kept {
    posts: Vec<Post>,
    refuse: usize,
    /// What the next posts are answered.
    replies: VecDeque<Reply>,
    /// What all others are answered.
    usual: Reply,
    /// Bytes of bodies without an end that were taken.
    taken: u64,
    /// In place of the one that it began with.
    secret: Option<String>,
    /// Where it is to listen; none: it does.
    socket: Option<TcpSocket>,
}

/// The receiver.
#[derive(Clone)]
pub struct Receiver {
    address: SocketAddr,
    secret: String,
    tls: Option<TlsAcceptor>,
    /// Its connections.
    pub lines: Lines,
    kept: Arc<Mutex<Kept>>,
}

impl Receiver {
    pub async fn start() -> Self {
        Self::listening(&usual_secret(), None).await
    }

    pub async fn with_secret(secret: &str) -> Self {
        Self::listening(secret, None).await
    }

    /// One that speaks TLS (see [`super::door::tls`]).
    pub async fn over_tls(tls: TlsAcceptor) -> Self {
        Self::listening(&usual_secret(), Some(tls)).await
    }

    /// One that nobody can connect to, until it is [`Receiver::up`]. Its port is kept for it.
    pub fn down() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let receiver = Self::new(socket.local_addr().unwrap(), &usual_secret(), None);
        receiver.kept.lock().unwrap().socket = Some(socket);
        receiver
    }

    /// Takes connections from now on.
    pub fn up(&self) {
        let socket = self.kept.lock().unwrap().socket.take().expect("it is down");
        self.serve(socket.listen(1024).unwrap());
    }

    async fn listening(secret: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self::new(listener.local_addr().unwrap(), secret, tls);
        receiver.serve(listener);
        receiver
    }

    fn new(address: SocketAddr, secret: &str, tls: Option<TlsAcceptor>) -> Self {
        let kept = Kept {
            posts: Vec::new(),
            refuse: 0,
            replies: VecDeque::new(),
            usual: Reply::Status(200),
            taken: 0,
            secret: None,
            socket: None,
        };
        Self { address, secret: secret.to_owned(), tls, lines: Lines::default(), kept: Arc::new(Mutex::new(kept)) }
    }

    fn serve(&self, listener: TcpListener) {
        let door = Door { listener, tls: self.tls.clone(), lines: self.lines.clone() };
        let router = Router::new().route("/hook", post(receive)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(door, router).await });
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/hook", self.address)
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
        let reply = |&(status, seconds): &(u16, Option<u32>)| match seconds {
            Some(seconds) => Reply::Later(status, seconds.to_string()),
            None => Reply::Status(status),
        };
        self.reply(answers.iter().map(reply));
    }

    /// Answers the next posts so.
    pub fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.kept.lock().unwrap().replies.extend(replies);
    }

    /// Answers all posts so for which nothing else was said.
    pub fn usually(&self, reply: Reply) {
        self.kept.lock().unwrap().usual = reply;
    }

    /// Bytes of bodies without an end that were taken from it.
    pub fn taken(&self) -> u64 {
        self.kept.lock().unwrap().taken
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

    /// Those that it has accepted.
    pub fn accepted(&self) -> Vec<Post> {
        self.posts().into_iter().filter(Post::is_accepted).collect()
    }

    /// Waits until this is true of the posts.
    pub async fn until(&self, what: &str, holds: impl Fn(&[Post]) -> bool) -> Vec<Post> {
        eventually(what, Duration::from_secs(30), || async {
            let posts = self.posts();
            holds(&posts).then_some(posts)
        })
        .await
    }

    /// Waits until it has accepted so many, and tells them.
    pub async fn until_accepted(&self, count: usize) -> Vec<Post> {
        let accepted = |posts: &[Post]| posts.iter().filter(|post| post.is_accepted()).count();
        self.until(&format!("{count} accepted"), |posts| accepted(posts) >= count).await;
        self.accepted()
    }
}

fn usual_secret() -> String {
    let key: [u8; 24] = std::array::from_fn(|i| i as u8 * 7 + 1);
    format!("whsec_{}", STANDARD.encode(key))
}

async fn receive(State(receiver): State<Receiver>, version: Version, headers: HeaderMap, body: Bytes) -> Response {
    let secret = receiver.kept.lock().unwrap().secret.clone().unwrap_or_else(|| receiver.secret.clone());
    let wrong = check(&headers, &body, &secret).err();
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let reply = {
        let mut kept = receiver.kept.lock().unwrap();
        let usual = if kept.refuse > 0 { Reply::Status(500) } else { kept.usual.clone() };
        kept.refuse = kept.refuse.saturating_sub(1);
        let reply = kept.replies.pop_front().unwrap_or(usual);
        kept.posts.push(Post {
            id: text("webhook-id"),
            event: serde_json::from_slice(&body).unwrap_or_default(),
            answered: reply.status(),
            signatures: text("webhook-signature").split(' ').count(),
            timestamp: text("webhook-timestamp").parse().unwrap_or_default(),
            traceparent: text("traceparent"),
            tracestate: text("tracestate"),
            at: Instant::now(),
            version,
            wrong,
        });
        reply
    };
    let status = StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::OK);
    let mut fields = HeaderMap::new();
    if status.is_redirection() {
        // A redirect that was followed would be seen.
        fields.insert(header::LOCATION, HeaderValue::from_str(&receiver.url()).unwrap());
    }
    match reply {
        Reply::Status(_) => (status, fields).into_response(),
        Reply::Later(_, text) => {
            fields.insert(header::RETRY_AFTER, HeaderValue::from_str(&text).unwrap());
            (status, fields).into_response()
        }
        Reply::Silence => std::future::pending().await,
        Reply::CutHead => {
            receiver.lines.cut();
            status.into_response()
        }
        Reply::CutBody(_) => {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("1000"));
            let end = async {
                // What was written so far goes out first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err(io::Error::other("cut"))
            };
            let pieces = stream::iter([Ok(Bytes::from_static(b"{"))]).chain(stream::once(end));
            (status, fields, Body::from_stream(pieces)).into_response()
        }
        Reply::Endless(_) => {
            let piece = move || {
                receiver.kept.lock().unwrap().taken += PIECE as u64;
                Ok::<_, io::Error>(Bytes::from(vec![b' '; PIECE]))
            };
            (status, fields, Body::from_stream(stream::repeat_with(piece))).into_response()
        }
    }
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
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
