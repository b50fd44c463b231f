//! A small client of the REST API.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::pki::Issued;

/// A response, read whole.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The body of a success; fails otherwise.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Fails unless this is a problem document with this status and code, of the form that the contract gives it.
    pub fn problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type").split(';').next(), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for field in ["type", "title", "detail", "request_id"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "no {field}: {problem}");
        }
        assert!(problem["retryable"].is_boolean(), "{problem}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{self:?}");
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(600)]).into_owned();
        write!(f, "{} {:?} {} bytes: {body}", self.status, self.headers, self.body.len())
    }
}

/// A client with one API key.
#[derive(Clone)]
pub struct Rest {
    client: reqwest::Client,
    base: String,
    key: String,
}

impl Rest {
    pub fn new(address: SocketAddr, ca: &[u8], key: &str) -> Self {
        Self::build(address, ca, key, |client| client)
    }

    /// With HTTP/1.1 alone.
    pub fn http1(address: SocketAddr, ca: &[u8], key: &str) -> Self {
        Self::build(address, ca, key, reqwest::ClientBuilder::http1_only)
    }

    /// With a client certificate, and no key.
    pub fn showing(address: SocketAddr, ca: &[u8], certificate: &Issued) -> Self {
        let pem = [&certificate.key, &certificate.chain].map(|file| std::fs::read(file).unwrap()).concat();
        let identity = reqwest::Identity::from_pem(&pem).unwrap();
        Self::build(address, ca, "", |client| client.identity(identity))
    }

    fn build(
        address: SocketAddr,
        ca: &[u8],
        key: &str,
        more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Self {
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(ca).unwrap()])
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .resolve("localhost", address)
            .timeout(Duration::from_mins(5));
        let client = more(client).build().unwrap();
        Self { client, base: format!("https://localhost:{}", address.port()), key: key.to_owned() }
    }

    /// The same client with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// The key that it shows.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A request to a path below `/api/v1`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}/api/v1{path}", self.base));
        if self.key.is_empty() { request } else { request.bearer_auth(&self.key) }
    }

    /// Sends a request; an error of the connection is the caller's.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn head(&self, path: &str) -> Answer {
        self.send(self.request(Method::HEAD, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    /// `PUT /files/content`.
    pub fn put_request(&self, path: &str, content: Bytes) -> reqwest::RequestBuilder {
        self.request(Method::PUT, &content_path(path)).body(content)
    }

    pub async fn put(&self, path: &str, content: &[u8]) -> Answer {
        self.send(self.put_request(path, Bytes::copy_from_slice(content))).await
    }

    /// `GET /files/content`.
    pub async fn read(&self, path: &str) -> Answer {
        self.get(&content_path(path)).await
    }

    /// `POST /files/upload` with these parts in this order: name, file name, content.
    pub fn form_request(&self, parts: &[(&str, Option<&str>, &[u8])]) -> reqwest::RequestBuilder {
        let mut body = Vec::new();
        for (name, file, content) in parts {
            let file = file.map(|f| format!("; filename=\"{f}\"")).unwrap_or_default();
            let kind = if file.is_empty() { "" } else { "content-type: application/octet-stream\r\n" };
            body.extend_from_slice(
                format!("--cut\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n{kind}\r\n").as_bytes(),
            );
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--cut--\r\n");
        self.request(Method::POST, "/files/upload")
            .header("content-type", "multipart/form-data; boundary=cut")
            .body(body)
    }

    /// `POST /files/upload` of one file into a folder.
    pub async fn upload(&self, folder: &str, name: &str, content: &[u8], overwrite: bool) -> Answer {
        let overwrite = if overwrite { "true" } else { "false" };
        self.send(self.form_request(&[
            ("destination", None, folder.as_bytes()),
            ("overwrite", None, overwrite.as_bytes()),
            ("file", Some(name), content),
        ]))
        .await
    }

    /// Every entry of a folder, page by page.
    pub async fn list(&self, folder: &str) -> Vec<Value> {
        self.pages(&format!("/files?path={}&limit=200", encode(folder)), "entries").await
    }

    /// What a listing answers, one page after the other.
    pub async fn pages(&self, path: &str, field: &str) -> Vec<Value> {
        let mut out = Vec::new();
        let mut cursor = String::new();
        loop {
            let answer = self.get(&format!("{path}{cursor}")).await.ok();
            out.extend(answer[field].as_array().unwrap_or_else(|| panic!("no {field}: {answer}")).iter().cloned());
            match answer["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encode(next)),
                None => return out,
            }
        }
    }

    /// The entry of this name in a folder.
    pub async fn entry(&self, folder: &str, name: &str) -> Option<Value> {
        self.list(folder).await.into_iter().find(|entry| entry["name"] == name)
    }

    /// Every path below a folder: a file's hash, or `folder`.
    pub async fn tree(&self, folder: &str) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in self.list(&folder).await {
                let path = entry["path"].as_str().unwrap().to_owned();
                if entry["type"] == "folder" {
                    out.insert(path.clone(), "folder".to_owned());
                    folders.push(path);
                } else {
                    out.insert(path, entry["hash"].as_str().unwrap_or_default().to_owned());
                }
            }
        }
        out
    }
}

/// `/files/content?path=…`
pub fn content_path(path: &str) -> String {
    format!("/files/content?path={}", encode(path))
}

/// Percent-encodes a query value (RFC 3986 section 2.3 leaves the unreserved).
pub fn encode(text: &str) -> String {
    encode_bytes(text.as_bytes())
}

pub fn encode_bytes(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
    }
    out
}
