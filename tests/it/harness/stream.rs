//! A reader of Server-Sent Events (the HTML standard, section 9.2.6), as strict as the gateway's are plain.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::Rest;
use super::rest::Answer;

/// How long anything may take before a test calls it hung.
const LIMIT: Duration = Duration::from_mins(1);

/// `GET /events/stream`.
pub struct Events {
    response: reqwest::Response,
    said: Vec<u8>,
    read: usize,
    /// The event of the last block, if it had one.
    event: Option<Value>,
    /// What a client would come again with.
    pub last_id: Option<String>,
    /// After how many milliseconds it would.
    pub retry: Option<u32>,
    pub comments: Vec<String>,
}

impl Events {
    /// Opens a stream; `query` begins with a question mark or is empty.
    pub async fn open(rest: &Rest, query: &str, last_id: Option<&str>) -> Self {
        match Self::try_open(rest, query, last_id).await {
            Ok(events) => events,
            Err(answer) => panic!("{answer:?}"),
        }
    }

    /// The same; what else than a stream was answered.
    pub async fn try_open(rest: &Rest, query: &str, last_id: Option<&str>) -> Result<Self, Answer> {
        let mut request = rest.request(Method::GET, &format!("/events/stream{query}"));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if status != 200 {
            return Err(Answer { status, headers, body: response.bytes().await.unwrap() });
        }
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store, no-transform"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(headers[name], value);
        }
        let last_id = last_id.map(str::to_owned);
        Ok(Self { response, said: Vec::new(), read: 0, event: None, last_id, retry: None, comments: Vec::new() })
    }

    /// All that came so far, as it came.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// Reads one block; false: this was the end, an orderly one.
    async fn block(&mut self) -> bool {
        let end = loop {
            if let Some(end) = self.said[self.read..].windows(2).position(|two| two == b"\n\n") {
                break self.read + end;
            }
            let Some(bytes) = self.response.chunk().await.expect("the stream does not break off") else {
                assert_eq!(self.read, self.said.len(), "it does not end in the middle: {}", self.said());
                return false;
            };
            self.said.extend_from_slice(&bytes);
        };
        let block = String::from_utf8(self.said[self.read..end].to_vec()).unwrap();
        self.read = end + 2;
        self.event = None;
        let mut kind = None;
        for line in block.lines() {
            match line.split_once(':').unwrap_or_else(|| panic!("{block}")) {
                ("", comment) => self.comments.push(comment.trim().to_owned()),
                ("id", id) => self.last_id = Some(id.trim().to_owned()),
                ("retry", time) => self.retry = Some(time.trim().parse().unwrap()),
                ("event", name) => kind = Some(name.trim().to_owned()),
                ("data", json) => {
                    let before = self.event.replace(serde_json::from_str(json).unwrap());
                    assert!(before.is_none(), "data is one line: {block}");
                }
                _ => panic!("{block}"),
            }
        }
        if let Some(event) = &self.event {
            assert_eq!((event["type"].as_str(), event["id"].as_str()), (kind.as_deref(), self.last_id.as_deref()));
        }
        true
    }

    /// Reads the first block, which has no event.
    pub async fn greeted(mut self) -> Self {
        let came = tokio::time::timeout(LIMIT, self.block()).await.expect("it says something at once");
        assert!(came && self.event.is_none() && self.retry == Some(3000), "{}", self.said());
        self
    }

    /// The next event; none: this was the end.
    pub async fn next(&mut self) -> Option<Value> {
        let found = async {
            while self.block().await {
                if self.event.is_some() {
                    break;
                }
            }
        };
        let found = tokio::time::timeout(LIMIT, found).await;
        assert!(found.is_ok(), "no event comes: {}", self.said());
        self.event.take()
    }

    /// All events up to one that is looked for, and that one.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut out = Vec::new();
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("it ended early: {}", self.said()));
            let found = wanted(&event);
            out.push(event);
            if found {
                return out;
            }
        }
    }

    /// All events up to the end.
    pub async fn until_end(&mut self) -> Vec<Value> {
        let mut out = Vec::new();
        while let Some(event) = self.next().await {
            out.push(event);
        }
        out
    }

    /// Reads until so many comments have come.
    pub async fn comes_to(&mut self, comments: usize) {
        let read = async {
            while self.comments.len() < comments {
                assert!(self.block().await, "the stream goes on");
            }
        };
        tokio::time::timeout(LIMIT, read).await.expect("comments come");
    }
}
