//! What OpenID providers publish, over HTTPS: core's [`DocumentSource`] port. One GET, no redirect, no proxy, bounded in size and time, and never
//! to an address that only this machine or its own network can reach, unless the configuration allows that. The address is looked
//! at as for webhooks: where the connection is made.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use causeway_core::events::target::Targets;
use causeway_core::ports::DocumentSource;
use causeway_core::trace::{self, TraceContext};
use reqwest::{Client, StatusCode, Url, redirect};

use crate::outbound::{Admitted, causes};

/// How long one document may take, from the connection to its last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches documents.
pub struct HttpDocuments {
    /// The client; or why there is none.
    client: Result<Client, String>,
    allow_private: bool,
}

impl HttpDocuments {
    /// `allow_private`: also from loopback and private addresses, and from loopback ones without TLS.
    pub fn new(allow_private: bool) -> Self {
        let builder = Client::builder()
            .user_agent(concat!("causeway/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            .dns_resolver(Admitted::new(Targets::new(allow_private)));
        Self { client: builder.build().map_err(|e| causes(&e)), allow_private }
    }

    /// The URL, where it may be asked.
    fn allowed(&self, url: &str) -> Result<Url, String> {
        let url = Url::parse(url).map_err(|e| e.to_string())?;
        if let Some(ip) = Targets::new(self.allow_private).refused_literal(&url) {
            return Err(format!("{ip} is no public address"));
        }
        let private = Targets::new(false).refused_literal(&url);
        match (url.scheme(), private) {
            ("https", _) => Ok(url),
            ("http", Some(ip)) if self.allow_private && ip.is_loopback() => Ok(url),
            ("http", None) if self.allow_private && url.host_str() == Some("localhost") => Ok(url),
            _ => Err("it is not an https URL".to_owned()),
        }
    }
}

#[async_trait]
impl DocumentSource for HttpDocuments {
    async fn fetch(&self, url: &str, most: usize) -> Result<Bytes, String> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let url = self.allowed(url)?;
        let mut request = client.get(url).header("accept", "application/json");
        // Of a request that waits for it, where there is one.
        for (name, value) in trace::current().iter().flat_map(TraceContext::headers) {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(|e| causes(&e))?;
        if response.status() != StatusCode::OK {
            return Err(format!("the answer was {}", response.status().as_u16()));
        }
        let too_large = || format!("the answer is larger than {most} bytes");
        if response.content_length().is_some_and(|len| len > most as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(|e| causes(&e))? {
            if body.len() + piece.len() > most {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_are_asked() {
        let may = |allow_private: bool, url: &str| HttpDocuments::new(allow_private).allowed(url).is_ok();
        for (url, public, private) in [
            ("https://login.example/keys", true, true),
            ("https://8.8.8.8/keys", true, true),
            ("https://10.0.0.1/keys", false, true),
            ("https://127.0.0.1:8443/keys", false, true),
            ("https://[::ffff:10.0.0.1]/keys", false, true),
            ("http://127.0.0.1:8080/keys", false, true),
            ("http://[::1]:8080/keys", false, true),
            ("http://localhost:8080/keys", false, true),
            ("http://10.0.0.1/keys", false, false),
            ("http://login.example/keys", false, false),
            ("http://8.8.8.8/keys", false, false),
            ("https://169.254.169.254/keys", false, false),
            ("file:///etc/passwd", false, false),
            ("ftp://login.example/keys", false, false),
            ("//login.example/keys", false, false),
        ] {
            assert_eq!((may(false, url), may(true, url)), (public, private), "{url}");
        }
    }
}
