//! `104 (Upload Resumption Supported)`, byte by byte on HTTP/1.1: to whom it is sent, and that nothing else is torn apart by it.

use std::time::Duration;

use reqwest::Method;

use crate::harness::http::{Http, head, statuses};
use crate::harness::{Gateway, Ledger, Plan, Random, eventually, sha256};
use crate::resumable::{append, create, offset, resource};
use crate::spine::events_come;

const SPOKEN: &str = "Upload-Draft-Interop-Version: 8\r\n";

fn put(name: &str, fields: &str, length: usize) -> String {
    let line = format!("PUT /api/v1/files/content?path=/inbound/{name}");
    format!("{}{fields}Content-Length: {length}\r\n\r\n", head(&line, "orders"))
}

/// The answers in what the gateway said: status line and fields of each, without bodies.
fn heads(said: &str) -> Vec<String> {
    let mut heads = Vec::new();
    for part in said.split("HTTP/1.1 ").skip(1) {
        heads.push(part.split_once("\r\n\r\n").unwrap_or_else(|| panic!("a whole head: {said}")).0.to_lowercase());
    }
    heads
}

/// The path of the upload resource that an interim response names.
fn named(head: &str) -> String {
    let line = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_else(|| panic!("{head}"));
    line.split_once("/api/v1").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_breaks_off_goes_on_where_the_interim_response_said() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("104").bytes(1_000_000);
    let mut http = Http::connect(&gateway).await;
    http.send(put("x", &format!("{SPOKEN}Upload-Complete: ?1\r\n"), content.len())).await;
    // Before a byte of the content is sent: a client may wait for it.
    let said = http.until("\r\n\r\n").await;
    let head = &heads(&said)[0];
    assert!(head.starts_with("104 upload resumption supported\r\n"), "{said}");
    assert!(head.contains("upload-draft-interop-version: 8") && head.contains("upload-limit: max-size="), "{said}");
    assert!(!head.contains("content-length") && !head.contains("upload-offset"), "{said}");
    let upload = named(head);
    http.send(&content[..700_000]).await;
    eventually("bytes have come", Duration::from_secs(10), || async {
        (!gateway.blob_files().is_empty()).then_some(())
    })
    .await;
    http.end(false).await;
    let (at, length, complete) = offset(&rest, &upload).await;
    assert!(at > 0 && at <= 700_000 && length == "1000000" && !complete, "{at} {length}");
    let answer = rest.send(append(&rest, &upload, at, "?1", content.slice(at..))).await;
    assert_eq!(answer.ok()["hash"], sha256(&content));
    events_come(&rest, "file.uploaded", "/inbound/x", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_asks_for_it_gets_it() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    for (fields, there) in [
        (format!("{SPOKEN}Upload-Complete: ?1\r\n"), true),
        (format!("{SPOKEN}Upload-Complete: ?1;a=b\r\n"), true),
        ("Upload-Complete: ?1\r\n".to_owned(), false),
        ("Upload-Draft-Interop-Version: 7\r\nUpload-Complete: ?1\r\n".to_owned(), false),
        ("Upload-Draft-Interop-Version: \"8\"\r\nUpload-Complete: ?1\r\n".to_owned(), false),
        (SPOKEN.to_owned(), false),
        (format!("{SPOKEN}Upload-Complete: yes\r\n"), false),
    ] {
        let mut http = Http::connect(&gateway).await;
        http.send(format!("{}half", put("y", &format!("{fields}Connection: close\r\n"), 4))).await;
        let said = statuses(&http.all().await);
        assert_eq!(said.first() == Some(&104), there, "{fields}: {said:?}");
        assert!(matches!(said.last(), Some(200 | 201)) && said.len() <= 2, "{fields}: {said:?}");
    }
    // HTTP/1.0 has no interim responses.
    let mut http = Http::connect(&gateway).await;
    let old = put("z", &format!("{SPOKEN}Upload-Complete: ?1\r\n"), 4).replacen("HTTP/1.1", "HTTP/1.0", 1);
    http.send(format!("{old}half")).await;
    let said = http.all().await;
    assert!(said.starts_with("HTTP/1.0 201") && !said.contains(" 104 "), "{said}");
    // What is refused at once has none either: there is nothing to resume.
    let mut http = Http::connect(&gateway).await;
    let denied = put("q", &format!("{SPOKEN}Upload-Complete: ?1\r\nConnection: close\r\n"), 4);
    http.send(denied.replace("/inbound/q", "/none/q")).await;
    assert_eq!(statuses(&http.all().await), [404]);
    // HTTP/2 gets its final answer.
    let rest = gateway.rest("orders");
    let answer = rest.send(create(&rest, "/inbound/h2", "?1", "two").header("upload-draft-interop-version", "8")).await;
    assert_eq!(answer.status, 201);
}

/// `100 (Continue)` is sent too, and whole; so is what comes before and after on the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stands_between_whole_messages() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let large = Random::seeded("before").bytes(2 << 20);
    rest.put("/inbound/large", &large).await.ok();
    let asked = format!("{SPOKEN}Upload-Complete: ?1\r\n");
    let mut http = Http::connect(&gateway).await;
    http.send(put("e", &format!("{asked}Expect: 100-continue\r\n"), 4)).await;
    let mut said = http.until("100 Continue\r\n\r\n").await;
    assert_eq!(statuses(&said), [104, 100], "{said}");
    http.send("half").await;
    said.push_str(&http.until("}").await);
    assert_eq!(statuses(&said), [104, 100, 201], "{said}");
    // On the same connection: an upload, a large answer, an upload, all sent at once.
    let get = format!("{}\r\n", head("GET /api/v1/files/content?path=/inbound/large", "orders"));
    let last = put("g", &format!("{asked}Connection: close\r\n"), 4);
    http.send(format!("{}half{get}{}more{get}{last}last", put("f", &asked, 4), put("f", &asked, 4))).await;
    let said = http.bytes().await;
    let text = String::from_utf8_lossy(&said);
    assert_eq!(statuses(&text), [104, 201, 200, 104, 200, 200, 104, 201], "{} bytes", said.len());
    let at: Vec<usize> =
        said.windows(large.len()).enumerate().filter(|(_, w)| w[..64] == large[..64]).map(|(at, _)| at).collect();
    assert!(at.len() == 2 && at.iter().all(|at| said[*at..*at + large.len()] == large[..]), "both answers are whole");
    assert_eq!(rest.read("/inbound/f").await.body, "more");
    assert_eq!(rest.read("/inbound/g").await.body, "last");
}

/// While a long body comes: how far it has come for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_told_at_each_checkpoint() {
    let gateway = Plan::new(Ledger::Sqlite).uploads("checkpoint = \"1 MiB\"").start().await;
    let content = Random::seeded("progress").bytes(3 << 20);
    let mut http = Http::connect(&gateway).await;
    let fields = format!("{SPOKEN}Upload-Complete: ?1\r\nConnection: close\r\n");
    http.send(put("p", &fields, content.len())).await;
    http.send(&content).await;
    let said = http.all().await;
    let heads = heads(&said);
    let (first, rest) = heads.split_first().unwrap();
    let upload = named(first);
    let mut offsets = Vec::new();
    for head in &rest[..rest.len() - 1] {
        assert!(head.starts_with("104 ") && !head.contains("location"), "{said}");
        let told = head.lines().find_map(|line| line.strip_prefix("upload-offset: ")).unwrap();
        offsets.push(told.parse::<usize>().unwrap());
    }
    assert!(offsets.len() >= 2 && offsets.is_sorted() && offsets.iter().all(|at| *at <= content.len()), "{offsets:?}");
    assert!(heads.last().unwrap().starts_with("201"), "{said}");
    assert_eq!(offset(&gateway.rest("orders"), &upload).await, (content.len(), content.len().to_string(), true));
}

/// A client that reads nothing holds nothing up, and nothing of it is published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appending_is_told_of_too() {
    let gateway: Gateway = Plan::new(Ledger::Sqlite).uploads("checkpoint = \"1 MiB\"").start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("append").bytes(2 << 20);
    let upload = resource(&rest.send(create(&rest, "/inbound/a", "?0", "")).await);
    let mut http = Http::connect(&gateway).await;
    http.send(format!(
        "{}{SPOKEN}Upload-Complete: ?1\r\nUpload-Offset: 0\r\nContent-Type: application/partial-upload\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        head(&format!("PATCH /api/v1{upload}"), "orders"),
        content.len()
    ))
    .await;
    http.send(&content).await;
    let said = http.all().await;
    let statuses = statuses(&said);
    let (last, interim) = statuses.split_last().unwrap();
    assert!(*last == 201 && !interim.is_empty() && interim.iter().all(|status| *status == 104), "{said}");
    assert_eq!(rest.send(rest.request(Method::HEAD, &upload)).await.header("upload-complete"), "?1");
}
