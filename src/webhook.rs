//! Webhooks over HTTP: core's [`WebhookSender`] port. One POST, no redirect, no proxy, within the time-out, and never
//! to an address that only this machine or its own network can reach, unless the configuration allows that.
//!
//! The URL is checked as it is when a webhook is declared ([`Targets`]), and the addresses of its host where the connection is
//! made ([`Admitted`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::events::target::Targets;
use causeway_core::events::{EndpointTls, Webhook};
use causeway_core::ports::{Answer, WebhookSender};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Identity, Response, redirect};
use secrecy::ExposeSecret as _;

use crate::outbound::{Admitted, causes};

/// How much of a response is read, so that its connection can be used again.
const MAX_RESPONSE: usize = 64 * 1024;
/// How long a connection is kept for the next event.
const IDLE: Duration = Duration::from_secs(30);
/// How often an HTTP/2 connection is asked whether its peer is there.
const PING: Duration = Duration::from_secs(10);

/// Posts webhooks.
pub struct HttpSender {
    timeout: Duration,
    targets: Targets,
    /// A client for each webhook, by its key: its connections are its own, and so is what it believes and shows.
    clients: Mutex<HashMap<String, Arc<Kept>>>,
}

/// What is kept for a webhook.
struct Kept {
    /// How it speaks TLS.
    tls: EndpointTls,
    /// Made by the first who needs it: it reads the system's authorities, which others do not wait for.
    client: OnceLock<Result<Client, String>>,
}

impl HttpSender {
    /// With this time for one attempt. `allow_private`: also to loopback and private addresses.
    pub fn new(timeout: Duration, allow_private: bool) -> Self {
        Self { timeout, targets: Targets::new(allow_private), clients: Mutex::default() }
    }

    /// The client of a webhook; or why there is none (no certificates of authorities on this machine, say).
    fn client(&self, webhook: &Webhook) -> Result<Client, String> {
        let key = webhook.key();
        let kept = {
            let mut clients = self.kept();
            if let Some(kept) = clients.get(&key).filter(|kept| kept.tls.is(&webhook.tls)) {
                kept.clone()
            } else {
                let kept = Arc::new(Kept { tls: webhook.tls.clone(), client: OnceLock::new() });
                clients.insert(key.clone(), kept.clone());
                kept
            }
        };
        let client = kept.client.get_or_init(|| self.make(&webhook.tls)).clone();
        if client.is_err() {
            // What is missing may be there the next time.
            self.kept().remove(&key);
        }
        client
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Arc<Kept>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, tls: &EndpointTls) -> Result<Client, String> {
        let mut builder = Client::builder()
            .user_agent(concat!("causeway/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(self.timeout)
            .timeout(self.timeout)
            .pool_idle_timeout(IDLE)
            // Over HTTP/2 a time-out ends a request and not its connection: to a peer that is gone without a word all further ones
            // would be sent, and wait.
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(self.timeout.min(PING))
            .http2_keep_alive_while_idle(true)
            .dns_resolver(Admitted::new(self.targets));
        if let Some(pem) = &tls.authorities {
            let all = Certificate::from_pem_bundle(pem.as_bytes());
            builder = builder.tls_certs_merge(all.map_err(|_| "the webhook's `ca` cannot be read".to_owned())?);
        }
        if let Some(pem) = &tls.identity {
            // Nothing of it is told: it has a private key in it.
            let identity = Identity::from_pem(pem.expose_secret().as_bytes());
            builder = builder.identity(identity.map_err(|_| "the client certificate cannot be read".to_owned())?);
        }
        builder.build().map_err(|e| causes(&e))
    }

    async fn attempt(
        &self,
        webhook: &Webhook,
        headers: &[(&'static str, String)],
        body: Bytes,
    ) -> Result<Answer, String> {
        let url = self.targets.parse(&webhook.url).map_err(|unfit| unfit.to_string())?;
        let mut fields = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|_| format!("`{name}` cannot be sent"))?;
            fields.insert(*name, value);
        }
        let request = self.client(webhook)?.post(url).headers(fields).body(body);
        let mut response = request.send().await.map_err(|e| causes(&e))?;
        let answer = Answer::Status(response.status().as_u16(), retry_after(&response, SystemTime::now()));
        // The status has come: what happens to the body does not change what it says.
        let mut read = 0;
        while let Ok(Some(piece)) = response.chunk().await {
            read += piece.len();
            if read > MAX_RESPONSE {
                break;
            }
        }
        Ok(answer)
    }
}

#[async_trait]
impl WebhookSender for HttpSender {
    async fn post(&self, webhook: &Webhook, headers: &[(&'static str, String)], body: Bytes) -> Answer {
        self.attempt(webhook, headers, body).await.unwrap_or_else(Answer::Failed)
    }

    fn forget(&self, webhook: &str) {
        self.kept().remove(webhook);
    }
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date in any of the three forms that a recipient must know (section 5.6.7).
pub fn retry_after(response: &Response, now: SystemTime) -> Option<Duration> {
    parse_retry_after(response.headers().get("retry-after")?.to_str().ok()?, now)
}

fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than can be counted are very many of them.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    use globset::GlobSet;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn webhook(url: &str) -> Webhook {
        Webhook {
            tenant: "acme".into(),
            id: "hook".into(),
            url: url.to_owned(),
            events: GlobSet::empty(),
            event_texts: Vec::new(),
            path: None,
            path_text: None,
            secret: "secret".into(),
            previous: None,
            tls: EndpointTls::default(),
        }
    }

    #[test]
    fn each_webhook_has_its_client_until_it_speaks_otherwise() {
        let sender = HttpSender::new(Duration::from_secs(1), false);
        let mut hook = webhook("https://hooks.example/");
        let kept = || sender.clients.lock().unwrap().keys().cloned().collect::<Vec<_>>();
        sender.client(&hook).unwrap();
        assert_eq!(kept(), ["acme/hook"]);
        hook.tls.identity = Some("no PEM".into());
        assert!(sender.client(&hook).is_err());
        assert!(kept().is_empty(), "it is tried anew");
        hook.tls.identity = None;
        sender.client(&hook).unwrap();
        sender.forget("acme/hook");
        assert!(kept().is_empty());
    }

    #[test]
    fn retry_after_in_every_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999", Some(u64::MAX)),
            ("Tue, 14 Nov 2023 22:13:30 GMT", Some(10)),
            ("Tuesday, 14-Nov-23 22:13:30 GMT", Some(10)),
            ("Tue Nov 14 22:13:30 2023", Some(10)),
            ("Tue, 14 Nov 2023 22:13:10 GMT", Some(0)),
            ("+5", None),
            ("-5", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(parse_retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }

    /// Answers every connection with these bytes; gives back what it was sent.
    async fn server(answer: &'static [u8]) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            let mut piece = [0; 4096];
            while !seen.ends_with(b"{\"a\":1}") {
                let n = stream.read(&mut piece).await.unwrap();
                assert!(n > 0);
                seen.extend_from_slice(&piece[..n]);
            }
            stream.write_all(answer).await.unwrap();
            String::from_utf8(seen).unwrap()
        });
        (address, task)
    }

    #[tokio::test]
    async fn a_post_carries_its_headers_and_follows_no_redirect() {
        let (address, task) = server(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
        let sender = HttpSender::new(Duration::from_secs(5), true);
        let body = Bytes::from_static(b"{\"a\":1}");
        let headers = [("webhook-id", "x".to_owned()), ("content-type", "application/json".to_owned())];
        let answer = sender.post(&webhook(&format!("http://{address}/hook")), &headers, body).await;
        assert_eq!(answer, Answer::Status(302, Some(Duration::from_secs(7))));
        let seen = task.await.unwrap();
        assert!(seen.starts_with("POST /hook HTTP/1.1\r\n"), "{seen}");
        assert!(
            seen.contains("\r\nwebhook-id: x\r\n") && seen.contains("\r\ncontent-type: application/json\r\n"),
            "{seen}"
        );
        assert_eq!(seen.matches("user-agent: causeway/").count(), 1, "{seen}");
    }

    #[tokio::test]
    async fn private_targets_fail_by_address_and_by_name() {
        let (address, task) = server(b"").await;
        let sender = HttpSender::new(Duration::from_secs(5), false);
        let body = Bytes::from_static(b"{\"a\":1}");
        for url in [format!("https://{address}/"), format!("https://localhost:{}/", address.port())] {
            match sender.post(&webhook(&url), &[], body.clone()).await {
                Answer::Failed(why) => assert!(why.contains("no public address"), "{why}"),
                Answer::Status(..) => panic!("{url} was reached"),
            }
        }
        task.abort();
    }

    #[tokio::test]
    async fn silence_ends_in_time() {
        let (address, task) = server(b"").await;
        let sender = HttpSender::new(Duration::from_millis(200), true);
        let answer = sender.post(&webhook(&format!("http://{address}/")), &[], Bytes::from_static(b"{")).await;
        assert_eq!(answer, Answer::Failed("no answer in time".to_owned()));
        task.abort();
    }
}
