//! Limits of requests on the API, what is told of them, and pages of other origins.

use reqwest::Method;

use crate::harness::plan::api_key;
use crate::harness::{Ledger, Plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_identity_has_its_requests_and_leaves_the_others_theirs() {
    let mut gateway = Plan::new(Ledger::Sqlite).start().await;
    gateway.stop().await;
    gateway.change(|plan| plan.limits("requests_per_minute = 20"));
    gateway.start().await;
    let (edi, reader) = (gateway.rest("edi"), gateway.rest("reader"));
    let first = edi.get("/auth/validate").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), "\"address\";q=200;w=60, \"identity\";q=20;w=60");
    assert!(first.header("ratelimit").ends_with("\"identity\";r=19;t=3"), "{first:?}");
    let mut refused = None;
    for _ in 0..40 {
        let answer = edi.get("/auth/validate").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 200);
    }
    let refused = refused.expect("a limit");
    refused.problem(429, "throttled");
    assert_eq!(refused.json()["retryable"], true);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=3).contains(&wait), "{refused:?}");
    assert!(refused.header("ratelimit").contains("\"identity\";r=0;"), "{refused:?}");
    assert_eq!(reader.get("/auth/validate").await.status, 200, "another identity is served");
    tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
    assert_eq!(edi.get("/auth/validate").await.status, 200, "after `Retry-After` it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_its_requests_whoever_makes_them() {
    let gateway = Plan::new(Ledger::Sqlite).limits("requests_per_minute_per_address = 30").start().await;
    let nobody = gateway.rest("orders").with_key("");
    let mut last = nobody.get("/auth/validate").await;
    for _ in 0..60 {
        if last.status == 429 {
            break;
        }
        assert_eq!(last.status, 401);
        last = nobody.get("/auth/validate").await;
    }
    last.problem(429, "throttled");
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    let known = gateway.rest("orders").get("/auth/validate").await;
    assert_eq!(known.status, 429, "before anybody is known: {known:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_origins_that_are_named_may_call() {
    let gateway = Plan::new(Ledger::Sqlite).api("cors_origins = [\"https://app.example\"]").start().await;
    let rest = gateway.rest("orders");
    let preflight = |origin: &'static str| {
        rest.with_key("")
            .request(Method::OPTIONS, "/files/content?path=/inbound/a")
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "authorization, if-none-match")
    };
    let answer = rest.send(preflight("https://app.example")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    assert!(answer.header("access-control-allow-methods").contains("PUT"), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-headers"), "authorization, if-none-match");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    let answer = rest.send(preflight("https://evil.example")).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
    let request = rest.request(Method::GET, "/files?path=/inbound").header("origin", "https://app.example");
    let answer = rest.send(request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
    assert!(exposed.contains("x-request-id") && exposed.contains("etag"), "{exposed}");
    // Failures can be read, too.
    let request =
        rest.with_key(&api_key("nobody")).request(Method::GET, "/files").header("origin", "https://app.example");
    let answer = rest.send(request).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, "https://app.example"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_origins_no_page_is_let_in_and_every_answer_is_inert() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    rest.put("/inbound/page.html", b"<script>alert(1)</script>").await.ok();
    for path in ["/files?path=/inbound", "/files/content?path=/inbound/page.html", "/nothing"] {
        let answer = rest.send(rest.request(Method::GET, path).header("origin", "https://app.example")).await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{answer:?}");
        assert!(answer.header("strict-transport-security").starts_with("max-age="), "{answer:?}");
    }
}
