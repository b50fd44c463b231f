//! Webhooks over HTTP: core's [`WebhookSender`] port. One POST, no redirect, no proxy, within the time-out, and never
//! to an address that only this machine or its own network can reach, unless the configuration allows that.
//!
//! The URL is checked as it is when a webhook is declared ([`Targets`]), and the addresses of its host where the connection is
//! made ([`Admitted`]).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::events::target::Targets;
use causeway_core::events::{EndpointTls, Webhook};
use causeway_core::ports::{Answer, WebhookSender};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Identity, Response, redirect};
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::outbound::{Admitted, causes};

/// How much of a response is read, so that its connection can be used again.
const MAX_RESPONSE: usize = 64 * 1024;

/// Posts webhooks.
pub struct HttpSender {
    timeout: Duration,
    targets: Targets,
    /// A client for each webhook, by its key: its connections are its own, and so is what it believes and shows.
    clients: Mutex<HashMap<String, Kept>>,
}

/// What is kept for a webhook.
struct Kept {
    /// How it speaks TLS.
    tls: EndpointTls,
    client: Client,
}

impl HttpSender {
    /// With this time for one attempt. `allow_private`: also to loopback and private addresses.
    pub fn new(timeout: Duration, allow_private: bool) -> Self {
        Self { timeout, targets: Targets::new(allow_private), clients: Mutex::default() }
    }

    /// The client of a webhook; or why there is none (no certificates of authorities on this machine, say).
    fn client(&self, webhook: &Webhook) -> Result<Client, String> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = clients.get(&webhook.key()).filter(|kept| kept.tls.is(&webhook.tls)) {
            return Ok(kept.client.clone());
        }
        let client = self.make(&webhook.tls)?;
        clients.insert(webhook.key(), Kept { tls: webhook.tls.clone(), client: client.clone() });
        Ok(client)
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
            .pool_idle_timeout(Duration::from_secs(30))
            .dns_resolver(Admitted(self.targets));
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
        let answer = Answer::Status(response.status().as_u16(), retry_after(&response, OffsetDateTime::now_utc()));
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
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).remove(webhook);
    }
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
pub fn retry_after(response: &Response, now: OffsetDateTime) -> Option<Duration> {
    parse_retry_after(response.headers().get("retry-after")?.to_str().ok()?, now)
}

fn parse_retry_after(text: &str, now: OffsetDateTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = OffsetDateTime::parse(text, &Rfc2822).ok()? - now;
    Some(Duration::try_from(until).unwrap_or(Duration::ZERO))
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
        sender.forget("acme/hook");
        assert!(kept().is_empty());
    }

    #[test]
    fn retry_after_in_both_forms() {
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        assert_eq!(parse_retry_after("120", now), Some(Duration::from_mins(2)));
        assert_eq!(parse_retry_after("Tue, 14 Nov 2023 22:13:30 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(parse_retry_after("Tue, 14 Nov 2023 22:13:10 GMT", now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon", now), None);
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
