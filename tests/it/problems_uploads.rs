//! Every route of uploads, tus among them × what can be wrong with a request: the exact problem documents, as
//! `golden/problems_uploads.txt` has them (`UPDATE_GOLDEN=1` writes it anew).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Gateway, Ledger, Plan};
use crate::problems::{JSON, Page, UNKNOWN, as_written};
use crate::uploads::{begin, chunk};

const GOLDEN: &str = "tests/it/golden/problems_uploads.txt";
const PART: &str = "application/offset+octet-stream";

/// What is no id, an id of nothing, of another tenant, of another identity: nobody can tell the last three apart.
async fn ids(page: &mut Page, route: &str, foreign: &[(&str, String)], make: impl Fn(&Page, &str) -> RequestBuilder) {
    let mut said = Vec::new();
    let known = foreign.iter().map(|(case, id)| (*case, id.as_str()));
    for (case, id) in [("no id", "orders.csv"), ("unknown id", UNKNOWN)].into_iter().chain(known) {
        let request = make(page, id);
        let answer = page.ask(&format!("{route}: {case}"), request).await;
        let mut document = if answer.body.is_empty() { Value::Null } else { answer.json() };
        if let Some(object) = document.as_object_mut() {
            object.remove("request_id");
        }
        said.push((answer.status, document));
    }
    assert!(said[1..].iter().all(|one| *one == said[1]), "nobody learns which ids others have: {said:?}");
}

/// A plan of three chunks: 4, 4 and 1 bytes.
fn plan(path: &str) -> Value {
    json!({ "path": path, "size": 9, "chunk_size": 4 })
}

/// The ids of uploads that are not the caller's.
async fn foreign(gateway: &Gateway) -> [(&'static str, String); 2] {
    let other = begin(&gateway.rest("other"), &plan("/x")).await;
    [("other tenant's id", other), ("other identity's id", begin(&gateway.rest("edi"), &plan("/inbound/edi")).await)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_of_uploads_are_exact() {
    let gateway = Plan::new(Ledger::Sqlite).limits("max_file_size = \"1 MiB\"").start().await;
    let rest = gateway.rest("orders");
    rest.put("/inbound/taken", b"x").await.ok();
    rest.post_json("/folders", &json!({ "path": "/inbound/folder" })).await.ok();
    let foreign = foreign(&gateway).await;
    let mut page = Page { rest: rest.clone(), text: String::new() };

    for (case, body) in [
        ("bad path", json!({ "path": "/a/../b", "size": 9 })),
        ("bad name", json!({ "path": "/a\u{7}b", "size": 9 })),
        ("path of another type", json!({ "path": 7, "size": 9 })),
        ("no path", json!({ "size": 9 })),
        ("path and name", json!({ "path": "/inbound/free", "filename": "free", "size": 9 })),
        ("no name", json!({ "destination": "/inbound", "size": 9 })),
        ("bad file name", json!({ "destination": "/inbound", "filename": "a/b", "size": 9 })),
        ("unknown member", json!({ "path": "/inbound/free", "size": 9, "colour": "red" })),
        ("no size", json!({ "path": "/inbound/free" })),
        ("bad size", json!({ "path": "/inbound/free", "size": 1.5 })),
        ("bad chunk size", json!({ "path": "/inbound/free", "size": 9, "chunk_size": 0 })),
        ("too many chunks", json!({ "path": "/inbound/free", "size": 10_001, "chunk_size": 1 })),
        ("bad sha256", json!({ "path": "/inbound/free", "size": 9, "sha256": "abc" })),
        ("bad rest", json!({ "path": "/inbound/free", "size": 9, "overwrite": "yes", "content_type": "x" })),
        ("file too large", json!({ "path": "/inbound/free", "size": 2 << 20 })),
        ("no such folder", json!({ "path": "/none/x", "size": 9 })),
        ("conflict", json!({ "path": "/inbound/taken", "size": 9 })),
        ("conflict with a folder", json!({ "path": "/inbound/folder", "size": 9, "overwrite": true })),
        ("conflict with a file", json!({ "path": "/inbound/taken/below", "size": 9 })),
    ] {
        let request = page.with(Method::POST, "/uploads", JSON, body.to_string());
        page.ask(&format!("POST /uploads: {case}"), request).await;
    }
    let deep = format!("{{\"path\": {}1{}}}", "[".repeat(200), "]".repeat(200));
    let long = json!({ "path": "x".repeat(2 << 20), "size": 9 }).to_string();
    bodies(&mut page, "/uploads", "POST /uploads", &[("too deep", &deep), ("no body", ""), ("too large", &long)]).await;

    let id = begin(&rest, &plan("/inbound/free")).await;
    ids(&mut page, "GET /uploads/{session_id}", &foreign, |page, id| {
        page.request(Method::GET, &format!("/uploads/{id}"))
    })
    .await;
    ids(&mut page, "DELETE /uploads/{session_id}", &foreign, |page, id| {
        page.request(Method::DELETE, &format!("/uploads/{id}"))
    })
    .await;

    let route = "PUT /uploads/{session_id}/chunks/{n}";
    ids(&mut page, route, &foreign, |page, id| {
        page.request(Method::PUT, &format!("/uploads/{id}/chunks/0")).body("1234")
    })
    .await;
    let none = format!("sha-256=:{}=:", "A".repeat(43));
    for (case, n, body, header) in [
        ("bad number", "x", "1234", None),
        ("negative number", "-1", "1234", None),
        ("no such chunk", "3", "1234", None),
        ("huge number", "99999999999999999999999", "1234", None),
        ("too large", "0", "12345", None),
        ("too small", "0", "123", None),
        ("wrong type", "0", "1234", Some(("content-encoding", "gzip"))),
        ("bad digest", "0", "1234", Some(("content-digest", "sha-256=x"))),
        ("another digest", "0", "1234", Some(("content-digest", none.as_str()))),
    ] {
        let mut request = page.request(Method::PUT, &format!("/uploads/{id}/chunks/{n}")).body(body);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        page.ask(&format!("{route}: {case}"), request).await;
    }

    let route = "PUT /uploads/{session_id}/content";
    ids(&mut page, route, &foreign, |page, id| {
        page.request(Method::PUT, &format!("/uploads/{id}/content")).header("content-range", "bytes 0-3/*").body("1234")
    })
    .await;
    for (case, range, body, header) in [
        ("no range", "", "1234", None),
        ("bad range", "bytes 4-0/*", "1234", None),
        ("another size", "bytes 0-3/10", "1234", None),
        ("beyond the end", "bytes 8-11/*", "1234", None),
        ("conflict: a gap", "bytes 4-7/*", "1234", None),
        ("too large", "bytes 0-3/*", "12345", None),
        ("too small", "bytes 0-3/*", "123", Some(("content-digest", none.as_str()))),
        ("wrong type", "bytes 0-3/*", "1234", Some(("content-encoding", "gzip"))),
        ("bad digest", "bytes 0-3/*", "1234", Some(("content-digest", "sha-256=x"))),
        ("another digest", "bytes 0-3/*", "1234", Some(("content-digest", none.as_str()))),
    ] {
        let mut request = page.request(Method::PUT, &format!("/uploads/{id}/content")).body(body);
        if !range.is_empty() {
            request = request.header("content-range", range);
        }
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        page.ask(&format!("{route}: {case}"), request).await;
    }

    let route = "POST /uploads/{session_id}/complete";
    ids(&mut page, route, &foreign, |page, id| page.request(Method::POST, &format!("/uploads/{id}/complete"))).await;
    let at = format!("/uploads/{id}/complete");
    assert_eq!(chunk(&rest, &id, 1, b"5678").await.status, 204);
    let request = page.request(Method::POST, &at);
    page.ask(&format!("{route}: chunks are missing"), request).await;
    for (n, content) in [(0, &b"1234"[..]), (2, b"9")] {
        assert_eq!(chunk(&rest, &id, n, content).await.status, 204);
    }
    let other = json!({ "sha256": "0".repeat(64) }).to_string();
    let small = [
        ("bad sha256", "{\"sha256\": \"abc\"}"),
        ("unknown member", "{\"colour\": \"red\"}"),
        ("another digest", other.as_str()),
        ("too large", long.as_str()),
    ];
    bodies(&mut page, &at, route, &small).await;
    // Somebody else: the caller's own would take the place of its upload.
    gateway.rest("edi").put("/inbound/free", b"quicker").await.ok();
    let request = page.request(Method::POST, &at);
    page.ask(&format!("{route}: conflict"), request).await;
    rest.delete("/folders?path=/inbound/folder").await.ok();
    assert_eq!(rest.delete(&format!("/uploads/{id}")).await.status, 204);
    let request = page.request(Method::POST, &at);
    page.ask(&format!("{route}: given up"), request).await;

    let done = begin(&rest, &plan("/inbound/done")).await;
    for (n, content) in [(0, &b"1234"[..]), (1, b"5678"), (2, b"9")] {
        assert_eq!(chunk(&rest, &done, n, content).await.status, 204);
    }
    rest.send(page.request(Method::POST, &format!("/uploads/{done}/complete"))).await.ok();
    let request = page.request(Method::PUT, &format!("/uploads/{done}/chunks/0")).body("1234");
    page.ask("PUT /uploads/{session_id}/chunks/{n}: conflict: it is a file", request).await;
    let request = page.request(Method::DELETE, &format!("/uploads/{done}"));
    page.ask("DELETE /uploads/{session_id}: conflict: it is a file", request).await;

    for (method, path) in [
        (Method::PUT, "/uploads".to_owned()),
        (Method::POST, format!("/uploads/{done}")),
        (Method::GET, format!("/uploads/{done}/chunks/0")),
        (Method::GET, format!("/uploads/{done}/content")),
        (Method::GET, format!("/uploads/{done}/complete")),
    ] {
        let request = page.request(method.clone(), &path);
        page.ask(&format!("{method} {}", path.replace(&done, "{session_id}")), request).await;
    }
    page.rest = gateway.rest("reader");
    for (method, path) in [(Method::POST, "/uploads"), (Method::GET, "/uploads")] {
        let request = page.with(method.clone(), path, JSON, plan("/inbound/x").to_string());
        page.ask(&format!("{method} {path} without the scope"), request).await;
    }
    // Over HTTP/2 a client keeps to what the server has told it of its limit.
    page.rest = gateway.rest_http1("orders");
    let request = page.request(Method::GET, "/uploads").header("x-much", "x".repeat(33 << 10));
    page.ask("GET /uploads: header fields too large", request).await;
    page.rest = rest.with_key("");
    let request = page.request(Method::GET, "/uploads");
    page.ask("GET /uploads without a credential", request).await;
    assert!(!page.text.contains(&done) && !page.text.contains("/tmp/"), "nothing internal is shown");
    as_written(GOLDEN, &page.text);
}

/// The cases that every JSON body has, and more of them.
async fn bodies(page: &mut Page, at: &str, route: &str, more: &[(&str, &str)]) {
    for (case, body) in [("bad JSON", "{\"path\": "), ("no object", "[]")].iter().chain(more) {
        let request = page.with(Method::POST, at, JSON, (*body).to_owned());
        page.ask(&format!("{route}: {case}"), request).await;
    }
    let request = page.with(Method::POST, at, "text/plain", "{}");
    page.ask(&format!("{route}: wrong type"), request).await;
    let request = page.with(Method::POST, at, JSON, "{}").header("content-encoding", "gzip");
    page.ask(&format!("{route}: encoded"), request).await;
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect::<Vec<_>>().join(",")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_of_tus_are_exact() {
    let gateway = Plan::new(Ledger::Sqlite).limits("max_file_size = \"1 MiB\"").start().await;
    let rest = gateway.rest("orders");
    rest.put("/inbound/taken", b"x").await.ok();
    rest.post_json("/folders", &json!({ "path": "/inbound/folder" })).await.ok();
    let foreign = foreign(&gateway).await;
    let mut page = Page { rest: rest.clone(), text: String::new() };
    let named = |path: &str| metadata(&[("path", path)]);
    let (free, none) = (named("/inbound/free"), format!("sha1 {}", STANDARD.encode([0; 20])));

    for version in ["", "0.2.2"] {
        let request = page.request(Method::POST, "/tus").header("tus-resumable", version);
        page.ask(&format!("POST /tus: version {version:?}"), request).await;
    }
    for (case, headers) in [
        ("no length", vec![("upload-metadata", free.as_str())]),
        ("length later", vec![("upload-metadata", &free), ("upload-defer-length", "1")]),
        ("bad length", vec![("upload-metadata", &free), ("upload-length", "-1")]),
        ("huge length", vec![("upload-metadata", &free), ("upload-length", "9223372036854775808")]),
        ("too large", vec![("upload-metadata", &free), ("upload-length", "2097152")]),
        ("no metadata", vec![("upload-length", "9")]),
        ("bad metadata", vec![("upload-length", "9"), ("upload-metadata", "filename ***")]),
        ("bad path", vec![("upload-length", "9"), ("upload-metadata", "path L2EvLi4vYg==")]),
        ("encoded", vec![("upload-length", "9"), ("upload-metadata", &free), ("content-encoding", "gzip")]),
        (
            "bad checksum",
            vec![
                ("upload-length", "9"),
                ("upload-metadata", &free),
                ("content-type", PART),
                ("upload-checksum", "md5 AA=="),
            ],
        ),
        (
            "another checksum",
            vec![
                ("upload-length", "9"),
                ("upload-metadata", &free),
                ("content-type", PART),
                ("upload-checksum", &none),
            ],
        ),
    ] {
        let request = page.request(Method::POST, "/tus").header("tus-resumable", "1.0.0").body("1234");
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        page.ask(&format!("POST /tus: {case}"), request).await;
    }
    for (case, path) in [
        ("no such folder", "/none/x"),
        ("conflict", "/inbound/taken"),
        ("conflict with a folder", "/inbound/folder"),
        ("conflict with a file", "/inbound/taken/below"),
    ] {
        let request = page.request(Method::POST, "/tus").header("tus-resumable", "1.0.0");
        let request = request.header("upload-length", "9").header("upload-metadata", named(path));
        page.ask(&format!("POST /tus: {case}"), request).await;
    }

    let part = |page: &Page, id: &str| {
        let request = page.request(Method::PATCH, &format!("/tus/{id}")).header("tus-resumable", "1.0.0");
        request.header("content-type", PART).header("upload-offset", "0").body("1234")
    };
    ids(&mut page, "PATCH /tus/{id}", &foreign, part).await;
    for method in [Method::HEAD, Method::DELETE] {
        ids(&mut page, &format!("{method} /tus/{{id}}"), &foreign, |page, id| {
            page.request(method.clone(), &format!("/tus/{id}")).header("tus-resumable", "1.0.0")
        })
        .await;
    }
    let id = begin(&rest, &plan("/inbound/free")).await;
    for (case, headers, body) in [
        ("wrong type", vec![("content-type", "text/plain"), ("upload-offset", "0")], "1234"),
        ("encoded", vec![("content-type", PART), ("upload-offset", "0"), ("content-encoding", "gzip")], "1234"),
        ("no offset", vec![("content-type", PART)], "1234"),
        ("bad offset", vec![("content-type", PART), ("upload-offset", "x")], "1234"),
        ("conflict: another offset", vec![("content-type", PART), ("upload-offset", "4")], "1234"),
        ("too large", vec![("content-type", PART), ("upload-offset", "0")], "0123456789"),
        ("bad checksum", vec![("content-type", PART), ("upload-offset", "0"), ("upload-checksum", "sha1 ***")], "1234"),
        ("another checksum", vec![("content-type", PART), ("upload-offset", "0"), ("upload-checksum", &none)], "1234"),
    ] {
        let request = page.request(Method::PATCH, &format!("/tus/{id}")).header("tus-resumable", "1.0.0").body(body);
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        page.ask(&format!("PATCH /tus/{{id}}: {case}"), request).await;
    }
    let request = page.request(Method::PATCH, &format!("/tus/{id}"));
    page.ask("PATCH /tus/{id}: no version", request).await;
    for (method, path, name) in [
        (Method::POST, format!("/tus/{id}"), "POST /tus/{id} without X-HTTP-Method-Override"),
        (Method::GET, format!("/tus/{id}"), "GET /tus/{id}"),
        (Method::GET, "/tus".to_owned(), "GET /tus"),
    ] {
        let request = page.request(method, &path).header("tus-resumable", "1.0.0");
        page.ask(name, request).await;
    }
    // Somebody else: the caller's own would take the place of its upload.
    gateway.rest("edi").put("/inbound/free", b"quicker").await.ok();
    let request = part(&page, &id).body("123456789");
    page.ask("PATCH /tus/{id}: the last part, and a conflict", request).await;
    page.rest = rest.with_key("");
    let request = page.request(Method::POST, "/tus").header("tus-resumable", "1.0.0");
    page.ask("POST /tus without a credential", request).await;
    assert!(!page.text.contains(&id) && !page.text.contains("/tmp/"), "nothing internal is shown");
    as_written("tests/it/golden/problems_tus.txt", &page.text);
}
