//! Requests that come slowly, or not at all: each is cut after the time that `[api]` gives it, and nothing of it is published.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;

use crate::harness::http::{Http, head, statuses};
use crate::harness::rest::content_path;
use crate::harness::{Gateway, Ledger, Plan, Rest, on_both_ledgers};
use crate::resumable::{offset, resource};
use crate::spine::{events_come, events_of};
use crate::uploads_resumed::left;

on_both_ledgers!(a_slow_body_is_cut);

/// Bytes with a pause before each.
fn dripping(piece: &'static [u8], pause: Duration, count: usize) -> reqwest::Body {
    let stream = futures::stream::unfold(count, move |left| async move {
        tokio::time::sleep(pause).await;
        (left > 0).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(piece)), left - 1))
    });
    reqwest::Body::wrap_stream(stream)
}

async fn told(gateway: &Gateway, path: &str) {
    let events = gateway.rest("orders");
    let told = &events_come(&events, "upload.incomplete", path, 1).await[0];
    assert_eq!(told["data"]["error_code"], "timed_out", "{told}");
    assert!(events_of(&events, "file.uploaded", path).await.is_empty());
    events.read(path).await.problem(404, "not_found");
}

async fn a_slow_body_is_cut(ledger: Ledger) {
    let gateway = Plan::new(ledger)
        .api("body_timeout = \"2s\"")
        .api("body_grace = \"1s\"")
        .api("body_min_rate = \"1 KiB/s\"")
        .start()
        .await;
    // HTTP/1.1: it stands still, or drips; the answer tells, and the connection is closed.
    for (name, fields, begin) in [
        ("still", "Content-Length: 100\r\n\r\n", "half"),
        ("chunked", "Transfer-Encoding: chunked\r\n\r\n", "4\r\nhalf\r\n"),
        ("nothing", "Content-Length: 100\r\n\r\n", ""),
    ] {
        let path = format!("/inbound/{name}");
        let mut http = Http::connect(&gateway).await;
        http.send(format!("{}{fields}{begin}", head(&format!("PUT /api/v1{}", content_path(&path)), "orders"))).await;
        let said = http.until("}").await;
        assert_eq!(statuses(&said), [408], "{name}: {said}");
        assert!(said.contains("\"code\":\"timed_out\"") && said.contains("\"retryable\":true"), "{said}");
        assert!(said.to_lowercase().contains("\r\nconnection: close\r\n"), "{said}");
        assert!(http.closed().await, "{name}");
        told(&gateway, &path).await;
    }
    let mut http = Http::connect(&gateway).await;
    http.send(format!(
        "{}Content-Length: 100\r\n\r\n",
        head("PUT /api/v1/files/content?path=/inbound/drips", "orders")
    ))
    .await;
    let mut drops = 0;
    let said = loop {
        http.send("x").await;
        drops += 1;
        assert!(drops < 90, "a byte each tenth of a second is too slow");
        let said = http.heard(Duration::from_millis(100)).await;
        if !said.is_empty() {
            break said;
        }
    };
    assert_eq!(statuses(&said), [408], "{said}");
    told(&gateway, "/inbound/drips").await;

    // HTTP/2, and every route that takes a body.
    let rest = gateway.rest("orders");
    let slow =
        |method: Method, path: &str| rest.request(method, path).body(dripping(b"x", Duration::from_millis(100), 1_000));
    let answer = rest.send(slow(Method::PUT, &content_path("/inbound/h2"))).await;
    answer.problem(408, "timed_out");
    assert_eq!(answer.header("connection"), "", "HTTP/2 has no such field");
    told(&gateway, "/inbound/h2").await;
    let stalls = rest.request(Method::PUT, &content_path("/inbound/h2still"));
    let stalls = stalls.body(reqwest::Body::wrap_stream(futures::stream::pending::<std::io::Result<Bytes>>()));
    rest.send(stalls).await.problem(408, "timed_out");
    told(&gateway, "/inbound/h2still").await;
    let json = slow(Method::POST, "/folders").header("content-type", "application/json");
    rest.send(json).await.problem(408, "timed_out");
    let form = slow(Method::POST, "/files/upload").header("content-type", "multipart/form-data; boundary=cut");
    rest.send(form).await.problem(408, "timed_out");

    // What can be resumed keeps what came.
    for (name, rest) in [("r2", gateway.rest("edi")), ("r1", gateway.rest_http1("edi"))] {
        kept(&rest, &format!("/inbound/{name}")).await;
    }
    // One that is above the rate takes its time.
    let steady = rest.request(Method::PUT, &content_path("/inbound/steady"));
    let steady = steady.body(dripping(&[b'x'; 512], Duration::from_millis(200), 20));
    assert_eq!(rest.send(steady).await.ok()["size"], 512 * 20);
}

async fn kept(rest: &Rest, path: &str) {
    let request = rest.request(Method::PUT, &content_path(path)).header("upload-complete", "?1");
    let request = request.header("upload-length", "1000").body(dripping(b"x", Duration::from_millis(50), 1_000));
    let answer = rest.send(request).await;
    answer.problem(408, "timed_out");
    assert_eq!(answer.header("upload-complete"), "?0");
    let upload = resource(&answer);
    let (at, length, complete) = offset(rest, &upload).await;
    assert!(at > 0 && at < 1000 && length == "1000" && !complete, "{at}");
    assert_eq!(left(rest, path).await["offset"], at);
    rest.delete(&upload).await.ok();
}

/// A head that never ends, however it comes, holds a connection no longer than `header_timeout`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_head_is_cut() {
    let gateway = Plan::new(Ledger::Sqlite).api("header_timeout = \"1s\"").start().await;
    let begun = head("PUT /api/v1/files/content?path=/inbound/x", "orders");
    // Byte by byte, as the first request and as a later one.
    for before in ["", "GET /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut http = Http::connect(&gateway).await;
        http.send(before).await;
        http.send(&begun).await;
        let mut said = String::new();
        let mut fields = 0;
        while !http.is_closed() {
            fields += 1;
            assert!(fields < 300, "a field's byte each twentieth of a second: {said}");
            http.send("X").await;
            said.push_str(&http.heard(Duration::from_millis(50)).await);
        }
        assert!(statuses(&said).iter().all(|status| [404, 408].contains(status)), "{said}");
    }
    // HTTP/2: headers that are not ended (RFC 9113 section 10.5.1).
    let mut http = Http::connect(&gateway).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x83]);
    http.send(&bytes).await;
    http.bytes().await;
    assert!(http.closed().await);
    assert_eq!(gateway.rest("orders").get("/files?path=/inbound").await.status, 200, "others are served");
}
