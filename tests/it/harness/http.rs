//! HTTP/1.1 by hand, over TLS: what no client library would send.

use std::time::Duration;

use rustls::version::TLS13;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Gateway;
use super::ftps::tls;
use super::plan::api_key;

/// A connection that speaks HTTP/1.1.
pub struct Http(TlsStream<TcpStream>, bool);

impl Http {
    pub async fn connect(gateway: &Gateway) -> Self {
        let stream = TcpStream::connect(gateway.api).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        Self(TlsConnector::from(tls(gateway, &TLS13)).connect(name, stream).await.unwrap(), false)
    }

    /// Sends these bytes; where the gateway has closed already, its answer tells.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
        let _ = self.0.flush().await;
    }

    /// Ends the own side: with TLS's close_notify, or as a line that is cut.
    pub async fn end(mut self, properly: bool) {
        if properly {
            let _ = self.0.shutdown().await;
        }
    }

    /// What the gateway says up to this text, or until it closes or says nothing for ten seconds.
    pub async fn until(&mut self, text: &str) -> String {
        let mut said = Vec::new();
        let mut byte = [0];
        while !said.ends_with(text.as_bytes()) {
            match tokio::time::timeout(Duration::from_secs(10), self.0.read(&mut byte)).await {
                Ok(Ok(1..)) => said.extend_from_slice(&byte),
                _ => break,
            }
        }
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Everything that the gateway says until it closes, or falls silent for two seconds while it waits for more.
    pub async fn all(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes().await).into_owned()
    }

    /// The same as it is.
    pub async fn bytes(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(Ok(count)) = tokio::time::timeout(Duration::from_secs(2), self.0.read(&mut buffer)).await {
            if count == 0 {
                break;
            }
            said.extend_from_slice(&buffer[..count]);
        }
        said
    }

    /// What the gateway says within this time, and all that it has to say then; see [`Self::is_closed`].
    pub async fn heard(&mut self, within: Duration) -> String {
        let mut buffer = vec![0; 16 * 1024];
        match tokio::time::timeout(within, self.0.read(&mut buffer)).await {
            Ok(Ok(count @ 1..)) => {
                buffer.truncate(count);
                String::from_utf8_lossy(&buffer).into_owned()
            }
            Ok(_) => {
                self.1 = true;
                String::new()
            }
            Err(_) => String::new(),
        }
    }

    /// Whether [`Self::heard`] has met the end.
    pub const fn is_closed(&self) -> bool {
        self.1
    }

    /// Whether the gateway has closed.
    pub async fn closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(tokio::time::timeout(Duration::from_secs(5), self.0.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
    }
}

/// A request's head up to the fields of its body, with the key of this id.
pub fn head(line: &str, key: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n", api_key(key))
}

/// The statuses of the answers in what the gateway said, one after the other.
pub fn statuses(said: &str) -> Vec<u16> {
    said.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
}
