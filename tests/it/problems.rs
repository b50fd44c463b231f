//! Every route of files × what can be wrong with a request: the exact problem documents, as `golden/problems.txt` has them
//! (`UPDATE_GOLDEN=1` writes it anew). Only the request's id is cut out.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::rest::{Answer, content_path, encode};
use crate::harness::{Ledger, Plan, Rest};

const GOLDEN: &str = "tests/it/golden/problems.txt";
pub const UNKNOWN: &str = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000";
pub const JSON: &str = "application/json";
const CUT: &str = "multipart/form-data; boundary=cut";

/// The answers so far, as text.
pub struct Page {
    pub rest: Rest,
    pub text: String,
}

impl Page {
    /// Asks, and writes down what is answered.
    pub async fn ask(&mut self, what: &str, request: RequestBuilder) -> Answer {
        let answer = self.rest.send(request).await;
        writeln!(self.text, "{what}\n  {} {}", answer.status, answer.header("content-type")).unwrap();
        for name in ["allow", "content-range", "retry-after", "www-authenticate"] {
            if !answer.header(name).is_empty() {
                writeln!(self.text, "  {name}: {}", answer.header(name)).unwrap();
            }
        }
        if !answer.body.is_empty() {
            let mut document = answer.json();
            assert_eq!(document["request_id"], answer.header("x-request-id"), "{what}");
            document["request_id"] = "…".into();
            writeln!(self.text, "  {document}").unwrap();
        }
        answer
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.rest.request(method, path)
    }

    /// The same with a body of this type.
    pub fn with(&self, method: Method, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(method, path).header("content-type", kind).body(body)
    }

    /// The cases that every route with a JSON body has. `path`: the member that holds one.
    async fn json_body(&mut self, route: &str, method: &Method, at: &str, path: &str) {
        let name = |case: &str| format!("{method} {route}: {case}");
        let send = |page: &Self, body: String| page.with(method.clone(), at, JSON, body);
        let whole = json!({ path: "/inbound/free" }).to_string();
        for (case, body) in [
            ("bad path", json!({ path: "/a/../b" })),
            ("bad name", json!({ path: "/a\u{7}b" })),
            ("path of another type", json!({ path: 7 })),
            ("unknown member", json!({ path: "/inbound/free", "colour": "red" })),
            ("no such folder", json!({ path: "/none/x" })),
        ] {
            let request = send(self, body.to_string());
            self.ask(&name(case), request).await;
        }
        for (case, body) in [("bad JSON", "{\"path\": "), ("no body", ""), ("no object", "[]")] {
            let request = send(self, body.to_owned());
            self.ask(&name(case), request).await;
        }
        // Deeper than anything that means something, and than the parser goes.
        let deep = format!("{{\"{path}\": {}1{}}}", "[".repeat(200), "]".repeat(200));
        let request = send(self, deep);
        self.ask(&name("too deep"), request).await;
        let request = send(self, json!({ path: "x".repeat(2 << 20) }).to_string());
        self.ask(&name("too large"), request).await;
        let request = self.with(method.clone(), at, "text/plain", whole.clone());
        self.ask(&name("wrong type"), request).await;
        let request = self.with(method.clone(), at, JSON, whole).header("content-encoding", "gzip");
        self.ask(&name("encoded"), request).await;
    }

    /// The cases that every route with a file's id has.
    async fn ids(&mut self, route: &str, method: &Method, tail: &str, foreign: &str, body: &str) {
        let mut said = Vec::new();
        for (case, id) in [("unknown id", UNKNOWN), ("other tenant's id", foreign), ("no id", "orders.csv")] {
            let at = format!("/files/{id}{tail}");
            let request = match body {
                "" => self.request(method.clone(), &at),
                body => self.with(method.clone(), &at, JSON, body.to_owned()),
            };
            let answer = self.ask(&format!("{method} {route}: {case}"), request).await;
            let mut document = if answer.body.is_empty() { Value::Null } else { answer.json() };
            if let Some(object) = document.as_object_mut() {
                object.remove("request_id");
            }
            said.push((answer.status, document));
        }
        assert_eq!(said[0], said[1], "nobody learns which ids another tenant has");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_are_exact() {
    let gateway = Plan::new(Ledger::Sqlite).limits("max_file_size = \"1 MiB\"").start().await;
    let rest = gateway.rest("orders");
    let file = rest.put("/inbound/taken", b"x").await.ok()["file_id"].as_str().unwrap().to_owned();
    let other = rest.put("/inbound/other", b"y").await.ok()["file_id"].as_str().unwrap().to_owned();
    let folder = rest.post_json("/folders", &json!({"path": "/inbound/folder"})).await.ok();
    let folder = folder["file_id"].as_str().unwrap().to_owned();
    rest.put("/inbound/folder/in", b"z").await.ok();
    let foreign = gateway.rest("other").put("/x", b"x").await.ok()["file_id"].as_str().unwrap().to_owned();
    let mut page = Page { rest, text: String::new() };

    for (case, query) in [
        ("bad path", "path=/a/../b"),
        ("not UTF-8", "path=%ff"),
        ("bad encoding", "path=%2"),
        ("no such folder", "path=/none"),
        ("a file", "path=/inbound/taken"),
        ("bad limit", "path=/&limit=1001"),
        ("bad cursor", "path=/&cursor=x"),
        ("bad recursive", "path=/&recursive=yes"),
        ("unknown parameter", "pth=/"),
    ] {
        let request = page.request(Method::GET, &format!("/files?{query}"));
        page.ask(&format!("GET /files: {case}"), request).await;
    }

    let form = |parts: &[(&str, Option<&str>, &str)]| {
        let parts: Vec<(&str, Option<&str>, &[u8])> =
            parts.iter().map(|(name, file, value)| (*name, *file, value.as_bytes())).collect();
        gateway.rest("orders").form_request(&parts)
    };
    let (to, taken) = (("destination", None, "/inbound"), ("file", Some("taken"), "x"));
    let none = "0".repeat(64);
    let big = "x".repeat(3 << 20);
    for (case, request) in [
        ("bad path", form(&[("destination", None, "/a/../b"), taken])),
        ("bad name", form(&[to, ("file", Some("a/b"), "x")])),
        ("too large", form(&[to, ("file", Some("big"), big.as_str())])),
        ("wrong type", page.with(Method::POST, "/files/upload", JSON, "{}")),
        ("no boundary", page.with(Method::POST, "/files/upload", "multipart/form-data", "x")),
        ("no form", page.with(Method::POST, "/files/upload", CUT, "x")),
        ("no file", form(&[to])),
        ("no destination", form(&[taken])),
        ("no file name", form(&[to, ("file", None, "x")])),
        ("bad overwrite", form(&[to, ("overwrite", None, "yes"), taken])),
        ("bad sha256", form(&[to, ("sha256", None, "abc"), taken])),
        ("another sha256", form(&[to, ("sha256", None, none.as_str()), ("file", Some("free"), "x")])),
        ("a field twice", form(&[to, to, taken])),
        ("conflict", form(&[to, taken])),
        ("conflict with a folder", form(&[to, ("overwrite", None, "true"), ("file", Some("folder"), "x")])),
    ] {
        page.ask(&format!("POST /files/upload: {case}"), request).await;
    }

    let put = |path: &str| gateway.rest("orders").put_request(path, "x".into());
    for (case, request) in [
        ("bad path", put("/a/../b")),
        ("no path", page.request(Method::PUT, "/files/content").body("x")),
        ("no such folder", put("/none/x")),
        ("too large", gateway.rest("orders").put_request("/inbound/big", big.clone().into())),
        ("wrong type", put("/inbound/free").header("content-encoding", "gzip")),
        ("a part", put("/inbound/free").header("content-range", "bytes 0-0/2")),
        ("bad digest", put("/inbound/free").header("repr-digest", "sha-256=x")),
        ("another digest", put("/inbound/free").header("content-digest", format!("sha-256=:{}=:", "A".repeat(43)))),
        ("bad condition", put("/inbound/taken").header("if-match", "x")),
        ("conflict", put("/inbound/taken").header("if-none-match", "*")),
        ("another version", put("/inbound/taken").header("if-match", "\"x\"")),
        ("conflict with a folder", put("/inbound/folder")),
        ("conflict with a file", put("/inbound/taken/below")),
    ] {
        page.ask(&format!("PUT /files/content: {case}"), request).await;
    }

    for method in [Method::GET, Method::HEAD] {
        for (case, path) in [
            ("bad path", "/a/../b"),
            ("no such file", "/inbound/none"),
            ("no such folder", "/none/x"),
            ("a folder", "/inbound/folder"),
        ] {
            let request = page.request(method.clone(), &content_path(path));
            page.ask(&format!("{method} /files/content: {case}"), request).await;
        }
        let request = page.request(method.clone(), "/files/content");
        page.ask(&format!("{method} /files/content: no path"), request).await;
        page.ids("/files/{file_id}/download", &method, "/download", &foreign, "").await;
        let request = page.request(method.clone(), &format!("/files/{folder}/download"));
        page.ask(&format!("{method} /files/{{file_id}}/download: a folder"), request).await;
        let request = page.request(method.clone(), &format!("/files/{file}/download")).header("if-match", "\"x\"");
        page.ask(&format!("{method} /files/{{file_id}}/download: another version"), request).await;
    }
    let request = page.request(Method::GET, &format!("/files/{file}/download")).header("range", "bytes=5-");
    page.ask("GET /files/{file_id}/download: a range beyond the end", request).await;

    page.ids("/files/{file_id}", &Method::GET, "", &foreign, "").await;

    let at = format!("/files/{file}");
    page.json_body("/files/{file_id}", &Method::PATCH, &at, "path").await;
    page.ids("/files/{file_id}", &Method::PATCH, "", &foreign, "{\"path\":\"/inbound/free\"}").await;
    for (case, body) in [
        ("conflict", json!({"path": "/inbound/other"})),
        ("conflict with a folder", json!({"path": "/inbound/folder", "overwrite": true})),
        ("bad classification", json!({"classification": "secret"})),
        ("bad labels", json!({"classification": 1, "tags": {"k": 1}, "overwrite": 0, "modified_at": "now"})),
    ] {
        let request = page.with(Method::PATCH, &at, JSON, body.to_string());
        page.ask(&format!("PATCH /files/{{file_id}}: {case}"), request).await;
    }
    let request = page.with(Method::PATCH, &at, JSON, "{}").header("if-match", "\"x\"");
    page.ask("PATCH /files/{file_id}: another version", request).await;
    let request = page.with(Method::PATCH, &format!("/files/{folder}"), JSON, "{\"tags\":{}}");
    page.ask("PATCH /files/{file_id}: labels of a folder", request).await;
    let request = page.with(Method::PATCH, &format!("/files/{folder}"), JSON, "{\"path\":\"/inbound/folder/in/x\"}");
    page.ask("PATCH /files/{file_id}: a folder below a file", request).await;
    let request = page.with(Method::PATCH, &format!("/files/{folder}"), JSON, "{\"path\":\"/inbound/folder/x\"}");
    page.ask("PATCH /files/{file_id}: a folder into itself", request).await;

    page.json_body("/files/{file_id}/copy", &Method::POST, &format!("{at}/copy"), "destination").await;
    page.ids("/files/{file_id}/copy", &Method::POST, "/copy", &foreign, "{\"destination\":\"/inbound/free\"}").await;
    for (case, body, id) in [
        ("conflict", json!({"destination": "/inbound/other"}), &file),
        ("conflict with a folder", json!({"destination": "/inbound/folder"}), &file),
        ("a folder", json!({"destination": "/inbound/free"}), &folder),
    ] {
        let request = page.with(Method::POST, &format!("/files/{id}/copy"), JSON, body.to_string());
        page.ask(&format!("POST /files/{{file_id}}/copy: {case}"), request).await;
    }

    page.ids("/files/{file_id}", &Method::DELETE, "", &foreign, "").await;
    let request = page.request(Method::DELETE, &format!("/files/{folder}"));
    page.ask("DELETE /files/{file_id}: a folder", request).await;
    let request = page.request(Method::DELETE, &at).header("if-match", "\"x\"");
    page.ask("DELETE /files/{file_id}: another version", request).await;

    page.json_body("/folders", &Method::POST, "/folders", "path").await;
    for path in ["/inbound/folder", "/inbound/taken", "/"] {
        let request = page.with(Method::POST, "/folders", JSON, json!({ "path": path }).to_string());
        page.ask(&format!("POST /folders: conflict with {path}"), request).await;
    }
    for (case, query) in [
        ("bad path", "path=/a/../b"),
        ("no path", ""),
        ("no such folder", "path=/inbound/none"),
        ("no such folder, recursive", "path=/inbound/none&recursive=true"),
        ("bad recursive", "path=/inbound/folder&recursive=1"),
        ("not empty", "path=/inbound/folder"),
        ("a file", "path=/inbound/taken"),
        ("a file, recursive", "path=/inbound/taken&recursive=true"),
        ("the root", "path=/&recursive=true"),
    ] {
        let request = page.request(Method::DELETE, &format!("/folders?{query}"));
        page.ask(&format!("DELETE /folders: {case}"), request).await;
    }

    for (method, path) in [
        (Method::POST, "/files".to_owned()),
        (Method::GET, "/files/upload".to_owned()),
        (Method::POST, "/files/content?path=/x".to_owned()),
        (Method::PUT, at.clone()),
        (Method::PUT, format!("{at}/download")),
        (Method::GET, format!("{at}/copy")),
        (Method::PATCH, "/folders".to_owned()),
        (Method::GET, "/files/x/y".to_owned()),
    ] {
        let request = page.request(method.clone(), &path);
        let shown = path.replace(&file, "{file_id}");
        page.ask(&format!("{method} {shown}"), request).await;
    }
    let (long, folders) = (encode(&"x".repeat(20_000)), "/folders?path=/inbound/folder");
    let request = page.request(Method::GET, &format!("/files?path={long}"));
    page.ask("GET /files: a target too long", request).await;
    page.rest = gateway.rest("reader");
    for (method, path) in [(Method::DELETE, at.as_str()), (Method::DELETE, folders)] {
        let request = page.request(method.clone(), path);
        let shown = path.replace(&file, "{file_id}");
        page.ask(&format!("{method} {shown} without permission"), request).await;
    }
    page.rest = gateway.rest("orders").with_key("");
    let request = page.request(Method::GET, "/files");
    page.ask("GET /files without a credential", request).await;
    page.rest = gateway.rest("orders").with_key("cwk_wrong");
    let request = page.request(Method::GET, "/files");
    page.ask("GET /files with a wrong key", request).await;

    // None of it has changed anything.
    let tree = gateway.rest("orders").tree("/inbound").await;
    assert_eq!(
        tree.keys().map(String::as_str).collect::<Vec<_>>(),
        ["/inbound/folder", "/inbound/folder/in", "/inbound/other", "/inbound/taken"]
    );
    assert!(!page.text.contains(&other) && !page.text.contains("/tmp/"), "nothing internal is shown");

    as_written(GOLDEN, &page.text);
}

/// Fails unless the file says the same.
pub fn as_written(golden: &str, text: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(golden);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, text).unwrap();
    }
    let written = fs::read_to_string(&golden).unwrap();
    for (was, is) in written.split('\n').zip(text.split('\n')) {
        assert_eq!(was, is, "run with UPDATE_GOLDEN=1 to write it anew, and read what has changed");
    }
    assert_eq!(written.len(), text.len());
}
