//! One connection: HTTP/1.1 (RFC 9112) or HTTP/2 (RFC 9113), told apart by the HTTP/2 preface (section 3.4), with the
//! time-outs and limits that keep a slow or hostile client from holding more than its connection.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use causeway_core::identity::ClientCertificate;
use http::{Request, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::ApiConfig;
use crate::interim::Line;
use crate::linger::{Guarded, linger};
use crate::resumable::INTEROP_VERSION;

/// Bytes written that count as progress where the client is what an answer waits for: one frame of content. Less within
/// the time-out is what a client gets that takes nothing and only keeps its connection up (an answer to a PING has 17).
const MOVES: u64 = 16 * 1024;

/// What is known of a connection before the first request.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The client's address.
    pub ip: IpAddr,
    /// The TLS cipher suite, as TLS names it; none on plain connections.
    pub cipher: Option<String>,
    /// The protocol that ALPN chose (`h2`, `http/1.1`), for the log.
    pub alpn: Option<String>,
    /// The certificate that the client showed in the handshake.
    pub certificate: Option<ClientCertificate>,
}

/// The limits of a connection.
#[derive(Clone, Debug)]
pub struct Limits {
    header_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    max_streams: u32,
    max_header_bytes: usize,
}

impl Limits {
    /// Out of the configuration.
    pub fn of(config: &ApiConfig) -> Self {
        Self {
            header_timeout: config.header_timeout,
            idle_timeout: config.idle_timeout,
            write_timeout: config.body_timeout,
            max_streams: config.max_streams,
            max_header_bytes: config.max_header_bytes,
        }
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.header_timeout).max_buf_size(256 * 1024);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_streams)
            .max_header_list_size(u32::try_from(self.max_header_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_frame_size(64 * 1024)
            .max_send_buf_size(512 * 1024)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(30));
        builder
    }
}

/// Serves one connection until it ends. When `shutdown` is cancelled, running requests finish and no new one begins.
/// `service` answers one request; its future is dropped when the client goes away.
pub async fn serve_connection<S, F, A>(stream: S, limits: &Limits, shutdown: CancellationToken, service: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Response> + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let line = Arc::new(Line::default());
    let (io, back) = Guarded::new(stream, limits.write_timeout, Arc::clone(&activity.written), Arc::clone(&line));
    let counted = Arc::clone(&activity);
    let answer = service_fn(move |mut request: Request<Incoming>| {
        let mut running = Running::enter(&counted);
        let line = wants_interim(&request).then(|| Arc::clone(&line));
        if let Some(line) = &line {
            request.extensions_mut().insert(line.open());
        }
        let answer = service(request);
        async move {
            let answer = answer.await;
            if let Some(line) = line {
                line.close();
            }
            running.wait_for(Side::Client);
            Ok::<_, Infallible>(answer.map(|body| Body::new(CountedBody { body, running })))
        }
    });
    let builder = limits.builder();
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(io), answer));
    let shortest = limits.header_timeout.min(limits.idle_timeout).min(limits.write_timeout);
    let period = (shortest / 4).clamp(Duration::from_millis(50), Duration::from_secs(5));
    let mut look = tokio::time::interval(period);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut closing = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection ended with an error");
                }
                break;
            }
            () = shutdown.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => match activity.quiet_for() {
                // Nothing was asked yet, not even which version it is: there is nothing to be graceful about.
                Quiet::NeverAsked(wait) if wait > limits.header_timeout => return,
                Quiet::Idle(wait) if wait > limits.idle_timeout && !closing => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                // A client that ignores GOAWAY.
                Quiet::Idle(wait) if closing && wait > limits.idle_timeout * 2 => return,
                // A client that asks and opens no window for the answers (RFC 9113 section 10.5).
                Quiet::Stuck(wait) if wait > limits.write_timeout => {
                    tracing::debug!("a connection was cut: the client takes no answer");
                    return;
                }
                _ => {}
            },
        }
    }
    drop(connection);
    // A gateway that stops does not wait for clients that have nothing left to send.
    if let Ok(stream) = back.await
        && !shutdown.is_cancelled()
    {
        linger(stream).await;
    }
}

/// Whether a request may be answered by interim responses of ours: HTTP/1.1, as HTTP/1.0 has none (RFC 9110 section 15.2), and
/// HTTP/2 has no way for them here; and only where its client says that it understands them.
fn wants_interim(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_11 && request.headers().contains_key(INTEROP_VERSION)
}

/// What the requests of a connection wait for, and since when.
struct Activity {
    state: Mutex<State>,
    /// Bytes written to the client.
    written: Arc<AtomicU64>,
}

struct State {
    /// Requests between their head and the end of their answer's body.
    running: usize,
    /// Those of them that wait for the gateway; the others wait for the client to take what is there.
    ours: usize,
    asked: bool,
    /// When anything moved last, and the bytes written by then.
    moved: Instant,
    written: u64,
}

enum Quiet {
    NeverAsked(Duration),
    Idle(Duration),
    /// All answers wait for the client, which takes nothing.
    Stuck(Duration),
    Busy,
}

impl Activity {
    fn new() -> Self {
        let state = State { running: 0, ours: 0, asked: false, moved: Instant::now(), written: 0 };
        Self { state: Mutex::new(state), written: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and notes that something moved.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.moved = Instant::now();
        state.written = self.written.load(Ordering::Acquire);
    }

    fn quiet_for(&self) -> Quiet {
        let mut state = self.lock();
        let wait = state.moved.elapsed();
        match (state.running, state.ours) {
            (0, _) if state.asked => Quiet::Idle(wait),
            (0, _) => Quiet::NeverAsked(wait),
            (_, 0) => {
                // A slow client may take one piece of an answer for longer than the time-out, as long as it takes it.
                let written = self.written.load(Ordering::Acquire);
                if written.saturating_sub(state.written) < MOVES {
                    return Quiet::Stuck(wait);
                }
                (state.moved, state.written) = (Instant::now(), written);
                Quiet::Busy
            }
            _ => Quiet::Busy,
        }
    }
}

/// Who has to do something next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Gateway,
    Client,
}

/// One running request: from its head to the end of its answer's body.
struct Running {
    activity: Arc<Activity>,
    side: Side,
}

impl Running {
    fn enter(activity: &Arc<Activity>) -> Self {
        activity.change(|state| {
            state.running += 1;
            state.ours += 1;
            state.asked = true;
        });
        Self { activity: Arc::clone(activity), side: Side::Gateway }
    }

    fn wait_for(&mut self, side: Side) {
        let before = std::mem::replace(&mut self.side, side);
        self.activity.change(|state| match (before, side) {
            (Side::Client, Side::Gateway) => state.ours += 1,
            (Side::Gateway, Side::Client) => state.ours = state.ours.saturating_sub(1),
            _ => {}
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.wait_for(Side::Client);
        self.activity.change(|state| state.running = state.running.saturating_sub(1));
    }
}

/// An answer's body that keeps its request counted. It is asked for a frame only when the client has room for one, so a
/// client that gives none is seen by the time since the last.
struct CountedBody {
    body: Body,
    running: Running,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.running.wait_for(if frame.is_pending() { Side::Gateway } else { Side::Client });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "serve_test.rs"]
mod tests;
