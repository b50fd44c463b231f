//! Webhooks over HTTP: core's [`WebhookSender`] port. One POST, no redirect, no proxy, within the time-out, and never
//! to an address that only this machine or its own network can reach, unless the configuration allows that.
//!
//! The address is looked at where the connection is made, by the resolver of the client, so that a name cannot be one
//! thing when it is checked and another when it is used. A literal address never reaches the resolver: it is looked at
//! in the URL.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::ports::{Answer, WebhookSender};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, Url, redirect};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// How much of a response is read, so that its connection can be used again.
const MAX_RESPONSE: usize = 64 * 1024;

/// Posts webhooks.
pub struct HttpSender {
    /// The client; or why there is none (no certificates of authorities on this machine, say).
    client: Result<Client, String>,
    allow_private: bool,
}

impl HttpSender {
    /// With this time for one attempt. `allow_private`: also to loopback and private addresses.
    pub fn new(timeout: Duration, allow_private: bool) -> Self {
        let mut builder = Client::builder()
            .user_agent(concat!("causeway/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(timeout)
            .timeout(timeout)
            .pool_idle_timeout(Duration::from_secs(30));
        if !allow_private {
            builder = builder.dns_resolver(PublicOnly);
        }
        let client = builder.build().map_err(|e| causes(&e));
        if let Err(error) = &client {
            tracing::warn!(error, "webhooks cannot be sent");
        }
        Self { client, allow_private }
    }

    async fn attempt(&self, url: &str, headers: &[(&'static str, String)], body: Bytes) -> Result<Answer, String> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let url = Url::parse(url).map_err(|e| e.to_string())?;
        if !self.allow_private
            && let Some(address) = refused_host(&url)
        {
            return Err(format!("{address} is no public address"));
        }
        let mut request = client.post(url).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
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
    async fn post(&self, url: &str, headers: &[(&'static str, String)], body: Bytes) -> Answer {
        self.attempt(url, headers, body).await.unwrap_or_else(Answer::Failed)
    }
}

/// The chain of causes, without the URL (which may carry a token in its path).
pub fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut source = std::error::Error::source(error);
    let mut last = None;
    while let Some(cause) = source {
        last = Some(cause.to_string());
        source = cause.source();
    }
    last.unwrap_or_else(|| "the request failed".to_owned())
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
fn retry_after(response: &Response, now: OffsetDateTime) -> Option<Duration> {
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

/// The literal address in a URL that is not public. None where the host is a name or a public address.
pub fn refused_host(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let literal = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    literal.parse().ok().filter(|ip| !is_public(*ip))
}

/// Resolves names to public addresses alone.
pub struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = found.into_iter().filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address can be reached from anywhere: not this machine's, not its network's, not set aside for another
/// purpose (the special-purpose registries of RFC 6890).
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b); // RFC 6598, carrier-grade NAT
    let protocols = a == 192 && b == 0 && c == 0; // RFC 6890
    let relay = a == 192 && b == 88 && c == 99; // RFC 7526
    let benchmark = a == 198 && (18..20).contains(&b); // RFC 2544
    !(a == 0
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || shared
        || protocols
        || relay
        || benchmark
        || a >= 224) // multicast, reserved, broadcast
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // The IPv4 address in two neighbouring segments.
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    let [first, second, third, .., high, low] = segments;
    match segments {
        // IPv4-mapped (RFC 4291), and NAT64's well-known prefix (RFC 6052): what they stand for.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => embedded(high, low),
        // Unspecified, loopback, IPv4-compatible and all else below ::/32; NAT64 of a network's own (RFC 8215).
        [0, 0, ..] | [0x64, 0xff9b, ..]
        // Teredo, ORCHID, benchmarking and other protocol assignments (2001::/23); documentation.
        | [0x2001, 0..=0x1ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // 6to4 (RFC 3056) carries an IPv4 address.
        [0x2002, ..] => embedded(second, third),
        // Global unicast is 2000::/3 alone: unique-local, link-local, site-local, discard and multicast lie outside.
        _ => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[test]
    fn private_addresses_are_refused() {
        for ip in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "100::1",
            "4000::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2606:4700::1",
            "2002:808:808::1",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn literal_hosts_in_every_spelling() {
        // The URL parser turns them all into the address that the connection would go to.
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
        ] {
            assert!(refused_host(&Url::parse(url).unwrap()).is_some(), "{url}");
        }
        assert_eq!(refused_host(&Url::parse("https://hooks.example/x").unwrap()), None);
        assert_eq!(refused_host(&Url::parse("https://8.8.8.8/x").unwrap()), None);
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
        let answer = sender.post(&format!("http://{address}/hook"), &[("webhook-id", "x".into())], body).await;
        assert_eq!(answer, Answer::Status(302, Some(Duration::from_secs(7))));
        let seen = task.await.unwrap();
        assert!(seen.starts_with("POST /hook HTTP/1.1\r\n"), "{seen}");
        assert!(
            seen.contains("\r\nwebhook-id: x\r\n") && seen.contains("\r\ncontent-type: application/json\r\n"),
            "{seen}"
        );
    }

    #[tokio::test]
    async fn private_targets_fail_by_address_and_by_name() {
        let (address, task) = server(b"").await;
        let sender = HttpSender::new(Duration::from_secs(5), false);
        let body = Bytes::from_static(b"{\"a\":1}");
        for url in [format!("http://{address}/"), format!("http://localhost:{}/", address.port())] {
            match sender.post(&url, &[], body.clone()).await {
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
        let answer = sender.post(&format!("http://{address}/"), &[], Bytes::from_static(b"{")).await;
        assert_eq!(answer, Answer::Failed("no answer in time".to_owned()));
        task.abort();
    }
}
