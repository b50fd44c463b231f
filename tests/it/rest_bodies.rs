//! Bodies that are not whole, and requests that two servers could read differently (RFC 9112 sections 6 and 11.2): never a
//! published file, never a second request out of a first one's body.

use std::time::Duration;

use crate::harness::http::{Http, head, statuses};
use crate::harness::{Gateway, Ledger, Plan, eventually, on_both_ledgers};
use crate::spine::events_of;

on_both_ledgers!(bodies_that_break_off);

const PUT: &str = "PUT /api/v1/files/content?path=/inbound/x";

/// Nothing of it is visible, and no event says that it was uploaded.
async fn nothing_is_published(gateway: &Gateway, what: &str) {
    let rest = gateway.rest("orders");
    rest.read("/inbound/x").await.problem(404, "not_found");
    assert!(rest.list("/inbound").await.is_empty(), "{what}");
    assert!(events_of(&rest, "file.uploaded", "/inbound/x").await.is_empty(), "{what}");
}

/// The trail tells that so many uploads broke off.
async fn broken_uploads(gateway: &Gateway, count: usize, what: &str) {
    let rest = gateway.rest("orders");
    eventually(what, Duration::from_secs(10), || async {
        (events_of(&rest, "upload.incomplete", "/inbound/x").await.len() == count).then_some(())
    })
    .await;
}

async fn bodies_that_break_off(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let form = |length: usize, body: &str| {
        format!(
            "{}Content-Type: multipart/form-data; boundary=cut\r\nContent-Length: {length}\r\n\r\n{body}",
            head("POST /api/v1/files/upload", "orders")
        )
    };
    let part = "--cut\r\nContent-Disposition: form-data; name=\"destination\"\r\n\r\n/inbound\r\n\
                --cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nhalf";
    let mut broken = 0;
    for (what, request) in [
        ("a body shorter than its Content-Length", format!("{}Content-Length: 100\r\n\r\nhalf", head(PUT, "orders"))),
        ("no last chunk", format!("{}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", head(PUT, "orders"))),
        ("a chunk cut short", format!("{}Transfer-Encoding: chunked\r\n\r\nff\r\nhalf", head(PUT, "orders"))),
        (
            "a last chunk without its end",
            format!("{}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", head(PUT, "orders")),
        ),
        (
            "trailers without their end",
            format!("{}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nA: b\r\n", head(PUT, "orders")),
        ),
        ("a form cut in its file", form(5_000, part)),
        ("a form cut behind its file", form(5_000, &format!("{part}\r\n--cut\r\n"))),
        ("a whole form in a body that is not", form(5_000, &format!("{part}\r\n--cut--\r\n"))),
    ] {
        for properly in [true, false] {
            let mut http = Http::connect(&gateway).await;
            http.send(&request).await;
            http.end(properly).await;
            broken += 1;
            broken_uploads(&gateway, broken, what).await;
            nothing_is_published(&gateway, what).await;
        }
    }
    // A form that ends before its closing boundary, in a body that is whole.
    let mut http = Http::connect(&gateway).await;
    http.send(form(part.len(), part)).await;
    assert_eq!(statuses(&http.all().await), [400]);
    nothing_is_published(&gateway, "a form without its closing boundary").await;
    // The same bytes with an end are a file.
    let mut http = Http::connect(&gateway).await;
    http.send(format!("{}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n", head(PUT, "orders"))).await;
    assert_eq!(statuses(&http.all().await), [201]);
    assert_eq!(&gateway.rest("orders").read("/inbound/x").await.body[..], b"half");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_that_are_none() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    for size in [
        "g",
        "-1",
        "+4",
        "0x4",
        "4 4",
        " 4",
        "\t4",
        "ffffffffffffffffff",
        "10000000000000000",
        "",
        "4\r",
        "\u{0664}",
        "4\n",
        "4;a\nb",
    ] {
        let mut http = Http::connect(&gateway).await;
        http.send(format!("{}Transfer-Encoding: chunked\r\n\r\n{size}\r\nhalf\r\n0\r\n\r\n", head(PUT, "orders")))
            .await;
        let said = http.all().await;
        assert!(statuses(&said).iter().all(|status| *status == 400), "{size:?}: {said}");
        assert!(http.closed().await, "{size:?}: what follows cannot be told apart");
        nothing_is_published(&gateway, size).await;
    }
    // A line feed for CRLF, a chunk that is longer than it says.
    for body in ["4\nhalf\n0\n\n", "4\r\nhalfmore\r\n0\r\n\r\n", "4\r\nhalf0\r\n\r\n"] {
        let mut http = Http::connect(&gateway).await;
        http.send(format!("{}Transfer-Encoding: chunked\r\n\r\n{body}", head(PUT, "orders"))).await;
        let said = http.all().await;
        assert!(statuses(&said).iter().all(|status| *status == 400), "{body:?}: {said}");
        nothing_is_published(&gateway, body).await;
    }
}

/// What stands behind the body as one server reads it is no request for another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_smuggled() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let smuggled = format!("{}\r\n", head("DELETE /api/v1/folders?path=/inbound", "orders"));
    let chunked = "0\r\n\r\n";
    for (what, fields) in [
        ("two lengths that differ", "Content-Length: 5\r\nContent-Length: 0\r\n".to_owned()),
        ("two lengths in one field", "Content-Length: 5, 0\r\n".to_owned()),
        ("a signed length", "Content-Length: +5\r\n".to_owned()),
        ("a negative length", "Content-Length: -1\r\n".to_owned()),
        ("a length in hex", "Content-Length: 0x5\r\n".to_owned()),
        ("a length beyond counting", "Content-Length: 18446744073709551621\r\n".to_owned()),
        ("a length with a space before the colon", "Content-Length : 5\r\n".to_owned()),
        ("a folded line", "X: y\r\n Content-Length: 5\r\n".to_owned()),
        ("a coding that is not known", "Transfer-Encoding: xchunked\r\n".to_owned()),
        ("chunked that is not the last", "Transfer-Encoding: chunked, identity\r\n".to_owned()),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned()),
        ("a vertical tab", "Transfer-Encoding: \u{b}chunked\r\n".to_owned()),
        ("a space before the colon", "Transfer-Encoding : chunked\r\n".to_owned()),
    ] {
        let mut http = Http::connect(&gateway).await;
        http.send(format!("{}{fields}\r\n{chunked}{smuggled}", head(PUT, "orders"))).await;
        let said = http.all().await;
        // Refused, and what follows is not looked at.
        let answered = statuses(&said);
        assert!(answered.len() <= 1 && answered.iter().all(|status| [400, 415].contains(status)), "{what}: {said}");
        assert!(http.closed().await, "{what}");
        nothing_is_published(&gateway, what).await;
        assert!(gateway.rest("orders").entry("/", "inbound").await.is_some(), "{what}: the second request ran");
    }
    // Both framings at once: chunked counts (RFC 9112 section 6.3), and the connection ends with the answer (section 6.1).
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 400\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let mut http = Http::connect(&gateway).await;
        http.send(format!("{}{fields}\r\n{chunked}{smuggled}", head(PUT, "orders"))).await;
        let said = http.all().await;
        assert_eq!(statuses(&said).len(), 1, "{fields}: {said}");
        assert!(http.closed().await, "{fields}");
        assert!(gateway.rest("orders").entry("/", "inbound").await.is_some(), "{fields}: the second request ran");
    }
    // HTTP/1.0 has no chunks.
    let mut http = Http::connect(&gateway).await;
    let old = head(PUT, "orders").replace("HTTP/1.1", "HTTP/1.0");
    http.send(format!("{old}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n")).await;
    assert!(!statuses(&http.all().await).contains(&201));
}

/// A length and one more is one request and the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_are_answered_in_order() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut http = Http::connect(&gateway).await;
    let put = format!("{}Content-Length: 4\r\n\r\nhalf", head(PUT, "orders"));
    let get = format!("{}\r\n", head("GET /api/v1/files/content?path=/inbound/x", "orders"));
    let gone = format!("{}Connection: close\r\n\r\n", head("GET /api/v1/files/content?path=/inbound/y", "orders"));
    http.send(format!("{put}{put}{get}{gone}")).await;
    assert_eq!(statuses(&http.all().await), [201, 200, 200, 404]);
}

/// A client that waits for `100 Continue` gets it only where the request may be (RFC 9110 section 10.1.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expectations() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let expecting = |key: &str| format!("{}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n", head(PUT, key));
    let mut http = Http::connect(&gateway).await;
    http.send(expecting("reader")).await;
    assert_eq!(statuses(&http.all().await), [403], "no body is asked for that would be refused");
    let mut http = Http::connect(&gateway).await;
    http.send(expecting("orders")).await;
    assert_eq!(statuses(&http.all().await), [100]);
    nothing_is_published(&gateway, "before the body").await;
    http.send("half").await;
    assert_eq!(statuses(&http.all().await), [201]);
}
