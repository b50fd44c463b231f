//! Traces: taken over from requests, given on with deliveries over restarts, and told to a collector, which nobody waits for.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::collector::Collector;
use crate::harness::provider::{Provider, Signer};
use crate::harness::webhooks::Post;
use crate::harness::{Ftps, Gateway, Ledger, Plan, Receiver, Rest, eventually, on_both_ledgers};

on_both_ledgers!(a_delivery_belongs_to_the_trace_of_its_operation);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The caller's place in its trace, recorded or not.
fn parent(sampled: bool) -> String {
    format!("00-{TRACE}-{CALLER}-0{}", u8::from(sampled))
}

/// Uploads a file as a part of a trace.
async fn put(rest: &Rest, path: &str, headers: &[(&'static str, &str)]) {
    let mut request = rest.put_request(path, Bytes::from_static(b"content"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = rest.send(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

fn about<'p>(posts: &'p [Post], path: &str) -> Vec<&'p Post> {
    posts.iter().filter(|post| post.path() == path).collect()
}

async fn a_delivery_belongs_to_the_trace_of_its_operation(ledger: Ledger) {
    let receiver = Receiver::start().await;
    let mut gateway = Plan::new(ledger)
        .webhook("hook", &receiver, &["file.uploaded"])
        .events("webhook_first_wait = \"200ms\"\nwebhook_longest_wait = \"400ms\"\nwebhook_breaker_failures = 1000")
        .max_attempts(1000)
        .telemetry("log_format = \"json\"")
        .start()
        .await;
    let rest = gateway.rest("orders");
    receiver.refuse(1_000_000);
    let sent = parent(true);
    put(&rest, "/inbound/a", &[("traceparent", &sent), ("tracestate", "one=1"), ("tracestate", "two=2")]).await;
    let line = eventually("the request is logged", Duration::from_secs(10), || async {
        let lines = gateway.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>();
        lines.into_iter().find(|line| line["trace_id"] == TRACE)
    })
    .await;
    assert_eq!((&line["message"], &line["status"]), (&json!("request"), &json!(201)), "{line}");
    receiver.until("it was tried", |posts| !about(posts, "/inbound/a").is_empty()).await;
    gateway.kill().await;
    receiver.refuse(0);
    gateway.start().await;
    let posts = receiver
        .until("it arrived", |posts| about(posts, "/inbound/a").last().is_some_and(|post| post.answered == 200))
        .await;
    for post in about(&posts, "/inbound/a") {
        // Nobody records here: whoever receives it stands below the caller itself.
        assert_eq!((post.traceparent.as_str(), post.tracestate.as_str()), (sent.as_str(), "one=1,two=2"), "{post:?}");
    }

    // Without one, and with one that is wrong, there is none.
    let rest = gateway.rest("orders");
    put(&rest, "/inbound/b", &[]).await;
    put(&rest, "/inbound/c", &[("traceparent", &sent[1..]), ("tracestate", "one=1")]).await;
    put(&rest, "/inbound/d", &[("traceparent", &sent), ("traceparent", &sent)]).await;
    put(&rest, "/inbound/e", &[("traceparent", &sent), ("tracestate", "no state")]).await;
    for (path, wanted) in [("/inbound/b", ""), ("/inbound/c", ""), ("/inbound/d", ""), ("/inbound/e", sent.as_str())] {
        let posts = receiver.until(path, |posts| !about(posts, path).is_empty()).await;
        let post = about(&posts, path)[0];
        assert_eq!((post.traceparent.as_str(), post.tracestate.as_str()), (wanted, ""), "{post:?}");
    }

    // A test of the webhook belongs to the request that asks for it.
    let made = json!({ "id": "mine", "url": receiver.url(), "secret": receiver.secret(), "events": ["file.deleted"] });
    assert_eq!(rest.post_json("/webhooks", &made).await.status, 201);
    let tested = rest.request(Method::POST, "/webhooks/mine/test").header("traceparent", &sent);
    let tested = tested.header("content-type", "application/json").body("{}");
    assert_eq!(rest.send(tested).await.ok()["accepted"], true);
    let posts = receiver.posts();
    let test = posts.iter().find(|post| post.kind() == "webhook.test").unwrap();
    assert_eq!(test.traceparent, sent);
    gateway.stop().await;
}

/// A plan that tells a collector of everything.
fn telling(url: &str) -> Plan {
    let mut plan = Plan::new(Ledger::Sqlite).telemetry(&format!("otlp_endpoint = {url:?}"));
    plan.env.push(("OTLP_HEADERS".into(), "Authorization: Bearer t0ken\nX-Tenant: acme".into()));
    plan.telemetry("otlp_headers = \"env:OTLP_HEADERS\"")
}

/// Whether a span is right below another one.
fn is_below(span: &Value, above: &Value) -> bool {
    span["trace"] == above["trace"] && span["parent"] == above["id"]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_sessions_operations_and_deliveries_are_spans() {
    let Some(collector) = Collector::start(0).await else { return };
    let receiver = Receiver::start().await;
    let mut gateway = telling(&collector.url()).webhook("hook", &receiver, &["file.uploaded"]).start().await;
    let rest = gateway.rest("orders");
    put(&rest, "/inbound/n4me-of-a-file", &[("traceparent", &parent(true)), ("tracestate", "one=1")]).await;

    let request = collector.span("PUT /api/v1/files/content", |span| span["trace"] == TRACE).await;
    assert_eq!((&request["parent"], &request["kind"]), (&json!(CALLER), &json!(2)), "{request}");
    assert_eq!((&request["state"], &request["failed"]), (&json!("one=1"), &json!(false)), "{request}");
    let attributes = &request["attributes"];
    for (name, value) in [
        ("http.request.method", json!("PUT")),
        ("http.route", json!("/api/v1/files/content")),
        ("http.response.status_code", json!(201)),
    ] {
        assert_eq!(attributes[name], value, "{name}: {request}");
    }
    assert_eq!(request["resource"]["service.name"], "causeway");
    assert_eq!(request["resource"]["causeway.node"], "gw-test");
    assert!(request["began"].as_u64().unwrap() <= request["ended"].as_u64().unwrap(), "{request}");
    let upload = collector.span("upload", |span| is_below(span, &request)).await;
    assert_eq!(upload["attributes"]["file.size"], 7, "{upload}");
    // The delivery is below the upload, and who receives it below the delivery.
    let delivery = collector.span("POST webhook", |span| is_below(span, &upload)).await;
    assert_eq!(delivery["attributes"]["http.response.status_code"], 200, "{delivery}");
    let posts = receiver.until("the delivery", |posts| !about(posts, "/inbound/n4me-of-a-file").is_empty()).await;
    let given = format!("00-{TRACE}-{}-01", delivery["id"].as_str().unwrap());
    assert_eq!(about(&posts, "/inbound/n4me-of-a-file")[0].traceparent, given);

    // What its caller does not record is not told of, and yet given on.
    put(&rest, "/inbound/quiet", &[("traceparent", &parent(false))]).await;
    let posts = receiver.until("the quiet one", |posts| !about(posts, "/inbound/quiet").is_empty()).await;
    assert_eq!(about(&posts, "/inbound/quiet")[0].traceparent, parent(false));

    // Refusals are no faults of the gateway's; a method that nobody knows is not told.
    let read = |path: &str| rest.request(Method::GET, &crate::harness::rest::content_path(path));
    assert_eq!(rest.send(read("/inbound/n0-such")).await.status, 404);
    let strange = rest.request(Method::from_bytes(b"N4ME").unwrap(), "/files");
    assert_eq!(rest.send(strange).await.status, 405);
    let missing = collector.span("GET /api/v1/files/content", |span| span["parent"] == "").await;
    assert_eq!((&missing["failed"], &missing["attributes"]["http.response.status_code"]), (&json!(false), &json!(404)));
    let refused = collector.span("download", |span| is_below(span, &missing)).await;
    assert_eq!(refused["attributes"]["error.type"], "not_found", "{refused}");
    collector.span("HTTP /api/v1/files", |span| span["attributes"]["http.request.method"] == "_OTHER").await;

    sessions(&gateway, &collector).await;
    gateway.stop().await;
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span["authorization"] == "Bearer t0ken"));
    let all = json!(spans).to_string();
    for secret in ["n4me", "n0-such", "N4ME", "quiet", "inbound", "edi01", rest.key()] {
        assert!(!all.contains(secret), "{secret} is told");
    }
}

/// The same over SFTP and FTPS: what is done is below the session.
async fn sessions(gateway: &Gateway, collector: &Collector) {
    let mut sftp = gateway.sftp("edi01").await;
    sftp.put("/inbound/n4me-sftp", b"four").await.unwrap();
    sftp.rename("/inbound/n4me-sftp", "/inbound/n4me-sftp-2").await.unwrap();
    assert_eq!(sftp.get("/inbound/n4me-sftp-2").await.unwrap(), b"four");
    drop(sftp);
    let session = collector.span("SFTP session", |_| true).await;
    assert_eq!((&session["parent"], &session["kind"]), (&json!(""), &json!(2)), "{session}");
    assert_eq!(session["attributes"]["network.protocol.name"], "sftp");
    for name in ["upload", "rename", "download"] {
        collector.span(name, |span| is_below(span, &session)).await;
    }
    let download = collector.span("download", |span| is_below(span, &session)).await;
    assert_eq!(download["attributes"]["causeway.bytes"], 4, "{download}");

    let mut ftps = Ftps::login(gateway, "edi01").await;
    assert!(ftps.put("STOR /inbound/n4me-ftps", b"more").await.starts_with("226"));
    assert_eq!(ftps.code("DELE /inbound/n4me-ftps").await, 250);
    ftps.hang_up().await;
    let session = collector.span("FTPS session", |_| true).await;
    for name in ["upload", "delete"] {
        collector.span(name, |span| is_below(span, &session)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_down_holds_nobody_up() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut gateway = telling(&format!("http://127.0.0.1:{port}")).start().await;
    let rest = gateway.rest("orders");
    let (failed, again) = ("traces cannot be exported", "traces are exported again");
    for n in 0..10 {
        put(&rest, &format!("/inbound/{n}"), &[]).await;
    }
    eventually("the log says it", Duration::from_secs(20), || async { gateway.log().contains(failed).then_some(()) })
        .await;
    for n in 10..20 {
        put(&rest, &format!("/inbound/{n}"), &[("traceparent", &parent(true))]).await;
    }
    let Some(collector) = Collector::start(port).await else { return };
    collector.span("PUT /api/v1/files/content", |span| span["parent"] == "").await;
    collector.span("PUT /api/v1/files/content", |span| span["trace"] == TRACE).await;
    eventually("the log says it", Duration::from_secs(20), || async { gateway.log().contains(again).then_some(()) })
        .await;
    // Down once more, at the end: that does not keep it from stopping.
    drop(collector);
    put(&rest, "/inbound/last", &[]).await;
    gateway.stop().await;
    let log = gateway.log();
    assert!((1..=2).contains(&log.matches(failed).count()), "it is said once each time");
    assert_eq!(log.matches(again).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_is_asked_in_the_name_of_the_request_that_waits_for_it() {
    let (provider, signer) = (Provider::start().await, Signer::new("one"));
    provider.publish(&[&signer]);
    let mut gateway = Plan::new(Ledger::Sqlite)
        .tokens("issuer_allow_private_addresses = true")
        .acme(&provider.lines("causeway", "identities = { \"u-17\" = \"orders-app\" }\n"))
        .start()
        .await;
    let rest = gateway.rest("orders").with_key(&signer.token(&provider.claims("causeway", "u-17")));
    rest.send(rest.request(Method::GET, "/auth/validate").header("traceparent", parent(true))).await.ok();
    assert_eq!(provider.traces(), [parent(true), parent(true)]);
    gateway.stop().await;
}
