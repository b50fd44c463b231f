//! The trail, the events and the caller's own credential × what can be wrong with a request: the exact problem documents, as
//! `golden/problems_audit.txt` has them (`UPDATE_GOLDEN=1` writes it anew).

use reqwest::Method;

use crate::harness::{Ledger, Plan};
use crate::problems::{Page, as_written};

const GOLDEN: &str = "tests/it/golden/problems_audit.txt";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_of_the_trail_are_exact() {
    let view = r#"[{ at = "/", path = "/", permissions = ["list"] }]"#;
    let gateway = Plan::new(Ledger::Sqlite).keyed("scopeless", &["files:read"], view).start().await;
    let mut page = Page { rest: gateway.rest("orders"), text: String::new() };
    for (path, queries) in [
        (
            "/audit",
            &[
                "since=yesterday",
                "until=2026-11-24",
                "identity=",
                "login=",
                "operation=link",
                "outcome=fine",
                "path=/a/../b",
                "path=%ff",
                "protocol=gopher",
                "limit=0",
                "limit=1001",
                "limit=ten",
                "cursor=",
                "cursor=x",
                "cursor=bm8gaWQ",
                "cursor=eA&cursor=eA",
                "colour=red",
            ][..],
        ),
        (
            "/events",
            &[
                "after=",
                "after=x",
                "type=",
                "type=file.eaten",
                "type=file.uploaded,,",
                "type=quota.*",
                "limit=0",
                "limit=1001",
                "limit=%2",
                "cursor=x",
            ][..],
        ),
    ] {
        for query in queries {
            let request = page.request(Method::GET, &format!("{path}?{query}"));
            page.ask(&format!("GET {path}: {query}"), request).await;
        }
    }
    let unwelcome = [
        ("/audit", &[Method::POST, Method::DELETE][..]),
        ("/audit/verify", &[Method::POST]),
        ("/events", &[Method::POST, Method::DELETE]),
        ("/auth/validate", &[Method::POST, Method::PUT]),
    ];
    for (path, methods) in unwelcome {
        for method in methods {
            let request = page.request(method.clone(), path);
            page.ask(&format!("{method} {path}"), request).await;
        }
    }
    for (who, rest) in [
        ("without the scope", gateway.rest("scopeless")),
        ("without a credential", gateway.rest("orders").with_key("")),
        ("with a wrong key", gateway.rest("orders").with_key("cwk_wrong")),
    ] {
        page.rest = rest;
        for path in ["/audit", "/audit/verify", "/events", "/auth/validate"] {
            if path == "/auth/validate" && who == "without the scope" {
                assert_eq!(page.rest.get(path).await.status, 200, "it needs none");
                continue;
            }
            let request = page.request(Method::GET, path);
            page.ask(&format!("GET {path} {who}"), request).await;
        }
    }
    page.rest = gateway.rest("orders");
    for path in ["/audit", "/events", "/auth/validate"] {
        let request = page.request(Method::GET, path).header("x-tenant-id", "other");
        page.ask(&format!("GET {path} of another tenant"), request).await;
    }
    as_written(GOLDEN, &page.text);
}
