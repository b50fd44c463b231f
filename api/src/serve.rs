//! One connection: HTTP/1.1 (RFC 9112) or HTTP/2 (RFC 9113), told apart by the HTTP/2 preface (section 3.4), with the
//! time-outs and limits that keep a slow or hostile client from holding more than its connection.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::ApiConfig;
use crate::linger::{Guarded, linger};

/// What is known of a connection before the first request.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The client's address.
    pub ip: IpAddr,
    /// The TLS cipher suite, as TLS names it; none on plain connections.
    pub cipher: Option<String>,
    /// The protocol that ALPN chose (`h2`, `http/1.1`), for the log.
    pub alpn: Option<String>,
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
    let (io, back) = Guarded::new(stream, limits.write_timeout);
    let activity = Arc::new(Activity::default());
    let counted = Arc::clone(&activity);
    let answer = service_fn(move |request| {
        let running = Running::enter(&counted);
        let answer = service(request);
        async move { Ok::<_, Infallible>(answer.await.map(|body| Body::new(CountedBody { body, _running: running }))) }
    });
    let builder = limits.builder();
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(io), answer));
    let period =
        (limits.header_timeout.min(limits.idle_timeout) / 4).clamp(Duration::from_millis(50), Duration::from_secs(5));
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

/// How many requests run on a connection, and since when none does.
struct Activity {
    state: Mutex<(usize, bool, Instant)>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { state: Mutex::new((0, false, Instant::now())) }
    }
}

enum Quiet {
    NeverAsked(Duration),
    Idle(Duration),
    Busy,
}

impl Activity {
    fn quiet_for(&self) -> Quiet {
        let (running, asked, since) = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (running, asked) {
            (0, false) => Quiet::NeverAsked(since.elapsed()),
            (0, true) => Quiet::Idle(since.elapsed()),
            _ => Quiet::Busy,
        }
    }
}

/// One running request: from its head to the end of its answer's body.
struct Running(Arc<Activity>);

impl Running {
    fn enter(activity: &Arc<Activity>) -> Self {
        let mut state = activity.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        state.1 = true;
        drop(state);
        Self(Arc::clone(activity))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = state.0.saturating_sub(1);
        state.2 = Instant::now();
    }
}

/// An answer's body that keeps its request counted.
struct CountedBody {
    body: Body,
    _running: Running,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
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
