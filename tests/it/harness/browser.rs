//! A browser without scripts: it keeps cookies, fills in forms, and goes where it is sent within the gateway.

use std::collections::BTreeMap;

use reqwest::Method;

use super::rest::{Answer, encode};
use super::{Gateway, Rest};

/// A browser.
#[derive(Clone)]
pub struct Browser {
    rest: Rest,
    pub cookies: BTreeMap<String, String>,
    /// Headers that it sends with every request.
    pub headers: Vec<(&'static str, String)>,
}

/// A page, or where it leads.
pub struct Page(pub Answer);

impl Page {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.body.to_vec()).unwrap()
    }

    /// Names and values of the form's hidden fields.
    pub fn hidden(&self) -> Vec<(String, String)> {
        let text = self.text();
        let inputs = text.split("<input type=\"hidden\" name=\"").skip(1);
        inputs
            .map(|input| {
                let (name, rest) = input.split_once("\" value=\"").expect("a value");
                (name.to_owned(), unescape(rest.split_once('"').expect("its end").0))
            })
            .collect()
    }

    /// Fails unless it is a page with this status and title.
    pub fn is(&self, status: u16, heading: &str) {
        assert_eq!(self.0.status, status, "{:?}", self.0);
        assert_eq!(self.0.header("content-type"), "text/html; charset=utf-8", "{:?}", self.0);
        assert!(self.text().contains(&format!("<h1>{heading}</h1>")), "{}", self.text());
    }

    /// The parameters of the answer that it sends on with, and the URI without them.
    pub fn answer(&self) -> (String, BTreeMap<String, String>) {
        assert_eq!(self.0.status, 302, "{:?}", self.0);
        let location = self.0.header("location");
        let url = reqwest::Url::parse(location).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let named: BTreeMap<String, String> = pairs.iter().cloned().collect();
        assert_eq!(named.len(), pairs.len(), "no parameter twice: {location}");
        (location.split('?').next().unwrap().to_owned(), named)
    }

    /// The same, of a refusal: its `error`.
    pub fn error(&self) -> String {
        let (_, answer) = self.answer();
        assert!(!answer.contains_key("code") && answer.contains_key("iss"), "{answer:?}");
        answer["error"].clone()
    }
}

/// Text out of markup, as the templates escape it.
fn unescape(text: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .into_iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A form or query.
pub fn form(pairs: &[(&str, &str)]) -> String {
    let value = |text: &str| encode(text).replace('/', "%2F");
    pairs.iter().map(|(name, text)| format!("{name}={}", value(text))).collect::<Vec<_>>().join("&")
}

impl Browser {
    pub fn new(gateway: &Gateway) -> Self {
        Self { rest: gateway.rest("orders").with_key(""), cookies: BTreeMap::new(), headers: Vec::new() }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Page {
        let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if jar.is_empty() { request } else { request.header("cookie", jar.join("; ")) };
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let answer = self.rest.send(request).await;
        for set in answer.headers.get_all("set-cookie") {
            let text = set.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Page(answer)
    }

    /// Opens a path below `/api/v1`.
    pub async fn open(&mut self, path: &str) -> Page {
        let request = self.rest.request(Method::GET, path);
        self.send(request).await
    }

    /// Sends a form to the pages, and goes on to the next one.
    pub async fn post(&mut self, fields: &[(&str, &str)]) -> Page {
        let request = self.rest.request(Method::POST, "/oauth/authorize");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form(fields));
        let page = self.send(request).await;
        if page.0.status != 303 {
            return page;
        }
        assert_eq!(page.0.header("location"), "authorize");
        self.open("/oauth/authorize").await
    }

    /// Fills in the form of a page and sends it.
    pub async fn submit(&mut self, page: &Page, filled: &[(&str, &str)]) -> Page {
        let hidden = page.hidden();
        assert!(!hidden.is_empty(), "no form: {}", page.text());
        let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        fields.extend_from_slice(filled);
        self.post(&fields).await
    }
}
