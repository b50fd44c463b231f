//! Traces to a collector: core's [`SpanSink`] on OTLP over HTTP (OpenTelemetry Protocol 1.x, section "OTLP/HTTP", binary protobuf).
//!
//! Nothing of the gateway ever waits for the collector: what it does not take in time is kept in a bounded queue, and what does not fit
//! into that is lost and counted. That the collector fails, and that it is there again, is logged once each.

mod otlp;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use causeway_core::trace::{EndedSpan, SpanSink, Tracer};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, StatusCode, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Outcome};
use crate::outbound::causes;
use crate::webhook::retry_after;

pub use otlp::Resource;

/// Spans that wait to be sent. With some hundred bytes each that is about a megabyte.
const QUEUE: usize = 4096;
/// Spans of one request.
const BATCH: usize = 512;
/// How long a span waits for others to go with.
const GATHER: Duration = Duration::from_secs(1);
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The waits after failed requests: the first one, each as long again, and the longest one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long the gateway's end waits for what is not sent yet.
const FLUSH: Duration = Duration::from_secs(5);
/// It is told at most this often that spans are lost.
const TELL_LOST: Duration = Duration::from_mins(1);
/// How much of an answer is read, so that its connection can be used again.
const MAX_ANSWER: u64 = 64 * 1024;

/// The collector, as the configuration names it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is: `/v1/traces` belongs behind the path, if that is not there.
    pub endpoint: Url,
    /// Headers of every request, one `Name: value` a line: how the gateway shows who it is.
    pub headers: Option<SecretString>,
    /// Certificates (PEM) that are believed beside those that this machine trusts.
    pub ca: Option<PathBuf>,
    /// Of traces that begin here one in so many is recorded.
    pub one_in: u32,
}

impl Target {
    /// Where spans are posted to.
    fn url(&self) -> Url {
        let mut url = self.endpoint.clone();
        let path = url.path().trim_end_matches('/');
        if !path.ends_with("/v1/traces") {
            let path = format!("{path}/v1/traces");
            url.set_path(&path);
        }
        url
    }

    /// What posts them.
    fn client(&self) -> Outcome<Client> {
        let headers = match &self.headers {
            Some(text) => read_headers(text.expose_secret())
                .map_err(|why| Failure::configuration(format!("telemetry.otlp_headers: {why}")))?,
            None => HeaderMap::new(),
        };
        let mut builder = Client::builder()
            .user_agent(concat!("causeway/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT);
        if let Some(path) = &self.ca {
            let failed = |why: &dyn std::fmt::Display| {
                Failure::configuration(format!("telemetry.otlp_ca: {}: {why}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|e| failed(&e))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| failed(&"it is no PEM"))?;
            if certificates.is_empty() {
                return Err(failed(&"it holds no certificate"));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        builder.build().map_err(|e| Failure::step("traces cannot be exported", causes(&e)))
    }
}

/// Headers out of a text of lines; or what is wrong with them, without telling what they say.
pub fn read_headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = || format!("line {} is no header; write one `Name: value` a line", number + 1);
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// Where spans wait.
#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<EndedSpan>,
    lost: Arc<AtomicU64>,
}

impl SpanSink for Queue {
    fn take(&self, span: EndedSpan) {
        if self.sender.try_send(span).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The export under way.
pub struct Export {
    tracer: Tracer,
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Export {
    /// Begins. Fails where the configuration cannot be used; nothing is connected yet.
    pub fn start(target: &Target, resource: Resource) -> Outcome<Self> {
        let (sender, spans) = mpsc::channel(QUEUE);
        let (lost, end) = (Arc::<AtomicU64>::default(), CancellationToken::new());
        let sending = Sending {
            client: target.client()?,
            url: target.url(),
            resource,
            lost: lost.clone(),
            failing: false,
            told_lost: None,
        };
        let tracer = Tracer::new(Arc::new(Queue { sender, lost }), target.one_in);
        let task = tokio::spawn(sending.run(spans, end.clone()));
        Ok(Self { tracer, end, task })
    }

    /// What gives spans to it.
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Sends what is there, as far as that goes in a few seconds.
    pub async fn stop(mut self) {
        self.end.cancel();
        if timeout(FLUSH, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the last traces were not taken in time; they are lost");
        }
    }
}

/// Why a request failed.
struct Refused {
    why: String,
    /// Whether the same one may succeed later, and what the collector wants to be waited.
    again: Option<Duration>,
}

/// The task that sends.
struct Sending {
    client: Client,
    url: Url,
    resource: Resource,
    lost: Arc<AtomicU64>,
    failing: bool,
    told_lost: Option<Instant>,
}

impl Sending {
    async fn run(mut self, mut spans: mpsc::Receiver<EndedSpan>, end: CancellationToken) {
        while let Some(batch) = gather(&mut spans, &end).await {
            self.deliver(&batch, &end).await;
        }
        // What has come by now. A collector that fails is not asked once more for each.
        loop {
            let mut batch = Vec::new();
            while batch.len() < BATCH
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                break;
            }
            if !self.deliver(&batch, &end).await {
                let left = std::iter::from_fn(|| spans.try_recv().ok()).count() as u64;
                self.lost.fetch_add(left, Ordering::Relaxed);
                break;
            }
        }
        self.told_lost = None;
        self.tell_lost();
    }

    /// Sends spans until they are taken, or cannot be. False: they are lost.
    async fn deliver(&mut self, batch: &[EndedSpan], end: &CancellationToken) -> bool {
        let body = Bytes::from(otlp::request(&self.resource, batch));
        let mut wait = FIRST_WAIT;
        loop {
            let refused = match self.post(body.clone()).await {
                Ok(()) => {
                    if std::mem::replace(&mut self.failing, false) {
                        tracing::info!("traces are exported again");
                    }
                    self.tell_lost();
                    return true;
                }
                Err(refused) => refused,
            };
            if !std::mem::replace(&mut self.failing, true) {
                tracing::warn!(why = refused.why, "traces cannot be exported; all else goes on without them");
            }
            let Some(asked) = refused.again.filter(|_| !end.is_cancelled()) else {
                self.lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                return false;
            };
            tokio::select! {
                () = sleep(wait.max(asked)) => {}
                // Once more, and then no more.
                () = end.cancelled() => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn post(&self, body: Bytes) -> Result<(), Refused> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let sent = request.send().await;
        let response = sent.map_err(|e| Refused { why: causes(&e), again: Some(Duration::ZERO) })?;
        let status = response.status();
        let asked = retry_after(&response, SystemTime::now()).unwrap_or_default().min(LONGEST_WAIT);
        if response.content_length().is_some_and(|length| length <= MAX_ANSWER) {
            let _ = response.bytes().await;
        }
        if status.is_success() {
            return Ok(());
        }
        // Those that the protocol says are worth another try.
        let passes = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        Err(Refused { why: format!("the collector answered {}", status.as_u16()), again: passes.then_some(asked) })
    }

    /// Says that spans were lost, once in a while.
    fn tell_lost(&mut self) {
        if self.told_lost.is_some_and(|at| at.elapsed() < TELL_LOST) {
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.told_lost = Some(Instant::now());
            tracing::warn!(
                lost,
                "parts of traces were lost: the collector did not take them, or not as fast as they came"
            );
        }
    }
}

/// The next spans to send together; none at the end.
async fn gather(spans: &mut mpsc::Receiver<EndedSpan>, end: &CancellationToken) -> Option<Vec<EndedSpan>> {
    let first = tokio::select! {
        biased;
        () = end.cancelled() => return None,
        first = spans.recv() => first?,
    };
    let (mut batch, until) = (vec![first], Instant::now() + GATHER);
    while batch.len() < BATCH {
        tokio::select! {
            biased;
            () = end.cancelled() => break,
            next = timeout_at(until, spans.recv()) => match next {
                Ok(Some(span)) => batch.push(span),
                Ok(None) | Err(_) => break,
            },
        }
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_below_the_endpoint() {
        let url = |endpoint: &str| {
            let endpoint = Url::parse(endpoint).unwrap();
            Target { endpoint, headers: None, ca: None, one_in: 1 }.url().to_string()
        };
        assert_eq!(url("http://otel:4318"), "http://otel:4318/v1/traces");
        assert_eq!(url("http://otel:4318/"), "http://otel:4318/v1/traces");
        assert_eq!(url("https://otel.example/otlp/"), "https://otel.example/otlp/v1/traces");
        assert_eq!(url("https://otel.example/x/v1/traces"), "https://otel.example/x/v1/traces");
        assert_eq!(url("https://otel.example/x?tenant=a"), "https://otel.example/x/v1/traces?tenant=a");
    }

    #[test]
    fn headers_stand_one_a_line() {
        let headers = read_headers("Authorization: Bearer a:b\r\n\n x-tenant : acme \n").unwrap();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["authorization"], "Bearer a:b");
        assert_eq!(headers["x-tenant"], "acme");
        for wrong in ["secret", "a b: secret", "x: \u{7}secret", "ok: 1\nsecret"] {
            let why = read_headers(wrong).unwrap_err();
            assert!(why.contains("is no header") && !why.contains("secret"), "{why}");
        }
    }
}
