//! Every route of transfers × what can be wrong with a request: the exact problem documents, as `golden/problems_transfers.txt`
//! has them (`UPDATE_GOLDEN=1` writes it anew).

use reqwest::Method;
use serde_json::json;

use crate::harness::{Ledger, Plan};
use crate::problems::{JSON, Page, UNKNOWN, as_written};
use crate::transfers::{ask, end_of};

const GOLDEN: &str = "tests/it/golden/problems_transfers.txt";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_of_transfers_are_exact() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    rest.put("/inbound/a", b"x").await.ok();
    rest.put("/inbound/taken", b"x").await.ok();
    let done = ask(&rest, &json!({"source": "/inbound/a", "destination": "/inbound/b"})).await;
    end_of(&rest, &done).await;
    let failed = ask(&rest, &json!({"source": "/inbound/a", "destination": "/inbound/taken"})).await;
    end_of(&rest, &failed).await;
    let mut page = Page { rest, text: String::new() };

    for (case, body) in [
        ("no members", json!({})),
        (
            "members of other types",
            json!({"source": 7, "destination": [], "operation": "link", "overwrite": "yes", "priority": 10, "notify_on_completion": 1}),
        ),
        ("unknown member", json!({"source": "/inbound/a", "destination": "/inbound/c", "colour": "red"})),
        ("remotes", json!({"source": "bank:/out/a", "destination": "bank:/in/"})),
        ("bad pattern", json!({"source": "/inbound/[a", "destination": "/inbound/*"})),
        ("bad source path", json!({"source": "/a/../b", "destination": "/inbound/c"})),
        ("bad destination path", json!({"source": "/inbound/a", "destination": "/a/./b"})),
        ("no such source", json!({"source": "/none/a", "destination": "/inbound/c"})),
        ("no such folder of a pattern", json!({"source": "/none/*", "destination": "/inbound/c"})),
        ("pattern below a file", json!({"source": "/inbound/a/*", "destination": "/inbound/c"})),
        ("onto itself", json!({"source": "/inbound/a", "destination": "/inbound/a"})),
        ("into itself", json!({"source": "/inbound", "destination": "/inbound/c/"})),
    ] {
        let request = page.with(Method::POST, "/transfers", JSON, body.to_string());
        page.ask(&format!("POST /transfers: {case}"), request).await;
    }
    for (case, kind, body) in [("bad JSON", JSON, "{\"source\": "), ("wrong type", "text/plain", "{}")] {
        let request = page.with(Method::POST, "/transfers", kind, body);
        page.ask(&format!("POST /transfers: {case}"), request).await;
    }
    let body = |to: &str| json!({"source": "/inbound/a", "destination": to, "overwrite": true}).to_string();
    let keyed = page.with(Method::POST, "/transfers", JSON, body("/inbound/k")).header("idempotency-key", "k");
    assert_eq!(page.rest.send(keyed).await.status, 202);
    let reused = page.with(Method::POST, "/transfers", JSON, body("/inbound/l")).header("idempotency-key", "k");
    page.ask("POST /transfers: key of another request", reused).await;
    let bad = page.with(Method::POST, "/transfers", JSON, body("/inbound/l")).header("idempotency-key", "a key");
    page.ask("POST /transfers: bad key", bad).await;

    for query in ["state=done", "protocol=ftp", "since=yesterday", "limit=0", "cursor=x", "state=", "colour=red"] {
        let request = page.request(Method::GET, &format!("/transfers?{query}"));
        page.ask(&format!("GET /transfers: {query}"), request).await;
    }
    for (method, tail) in
        [(Method::GET, ""), (Method::GET, "/status"), (Method::POST, "/cancel"), (Method::POST, "/retry")]
    {
        for (case, id) in [("unknown id", UNKNOWN), ("no id", "nothing")] {
            let request = page.request(method.clone(), &format!("/transfers/{id}{tail}"));
            page.ask(&format!("{method} /transfers/{{transfer_id}}{tail}: {case}"), request).await;
        }
    }
    for (tail, id, case) in
        [("cancel", &done, "completed"), ("retry", &done, "completed"), ("cancel", &failed, "failed")]
    {
        let request = page.request(Method::POST, &format!("/transfers/{id}/{tail}"));
        page.ask(&format!("POST /transfers/{{transfer_id}}/{tail}: {case}"), request).await;
    }
    let rest = gateway.rest("reader");
    let mut page = Page { rest, text: page.text };
    for (method, path) in [(Method::GET, "/transfers".to_owned()), (Method::POST, format!("/transfers/{done}/cancel"))]
    {
        let request = page.request(method.clone(), &path);
        page.ask(&format!("{method} {}: no scope", path.replace(&done, "{transfer_id}")), request).await;
    }
    as_written(GOLDEN, &page.text);
}
