//! What an operator's scraper is told (`GET /metrics` on `[ops]`): in both formats, the same for every protocol, and everything that
//! the dashboard and the alerts under `deploy/` ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};

use crate::clients::run;
use crate::harness::plan::api_key;
use crate::harness::{Ftps, Gateway, Ledger, Plan, Receiver, Sftp, eventually, on_both_ledgers, skip};

on_both_ledgers!(what_happens_is_counted, a_webhook_is_told_of_while_it_is_there);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const LIMIT: Duration = Duration::from_secs(20);

/// A scrape: its media type and its text.
async fn scrape(gateway: &Gateway, accept: &str) -> (String, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/metrics", gateway.ops);
    let response = client.get(url).header(ACCEPT, accept).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let media_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    (media_type, response.text().await.unwrap())
}

/// The values by name and labels, as they are written.
async fn values(gateway: &Gateway) -> BTreeMap<String, f64> {
    let (_, text) = scrape(gateway, OPENMETRICS).await;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Waits until these have grown by so much since, exactly.
async fn grown(gateway: &Gateway, before: &BTreeMap<String, f64>, wanted: &[(&str, f64)]) {
    let of = |values: &BTreeMap<String, f64>, name: &str| values.get(name).copied().unwrap_or(0.0);
    let (mut seen, began) = (Vec::new(), std::time::Instant::now());
    while began.elapsed() < LIMIT {
        let now = values(gateway).await;
        seen = wanted.iter().map(|(name, _)| (*name, of(&now, name) - of(before, name))).collect();
        if seen == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let wrong: Vec<_> = seen.iter().zip(wanted).filter(|(is, wanted)| is != wanted).collect();
    panic!("grown by, and wanted: {wrong:#?}");
}

async fn what_happens_is_counted(ledger: Ledger) {
    let receiver = Receiver::start().await;
    let gateway = Plan::new(ledger).webhook("hook", &receiver, &["file.uploaded"]).start().await;
    let before = values(&gateway).await;

    let mut sftp = gateway.sftp("edi01").await;
    sftp.put("/inbound/a", &[b'a'; 1000]).await.unwrap();
    assert_eq!(sftp.get("/inbound/a").await.unwrap().len(), 1000);
    assert!(Sftp::by_password(gateway.sftp, "edi01", Some("wrong")).await.is_err());

    let mut ftps = Ftps::login(&gateway, "edi01").await;
    assert!(ftps.put("STOR /inbound/b", &[b'b'; 2000]).await.starts_with("226"));
    assert_eq!(ftps.get("RETR /inbound/b").await.0.len(), 2000);
    let mut stranger = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    stranger.secure().await;
    assert_eq!(stranger.code("USER edi01").await, 331);
    assert_eq!(stranger.code("PASS wrong").await, 530);

    let rest = gateway.rest("orders");
    rest.put("/inbound/c", &[b'c'; 3000]).await.ok();
    assert_eq!(rest.read("/inbound/c").await.body.len(), 3000);
    gateway.rest("reader").put("/inbound/d", b"d").await.problem(403, "permission_denied");
    rest.with_key(&api_key("nobody")).get("/auth/validate").await.problem(401, "unauthenticated");

    receiver.until("three uploads", |posts| posts.len() == 3).await;
    let mut wanted = Vec::new();
    for (protocol, bytes) in [("sftp", 1000.0), ("ftps", 2000.0), ("api", 3000.0)] {
        for direction in ["upload", "download"] {
            let labels = format!("protocol=\"{protocol}\",direction=\"{direction}\"");
            wanted.push((format!("causeway_transfers_total{{{labels},outcome=\"completed\"}}"), 1.0));
            wanted.push((format!("causeway_transfers_total{{{labels},outcome=\"failed\"}}"), 0.0));
            wanted.push((format!("causeway_transfer_bytes_total{{{labels}}}"), bytes));
            wanted.push((format!("causeway_transfer_duration_seconds_count{{{labels}}}"), 1.0));
            let labels = format!("protocol=\"{protocol}\",operation=\"{direction}\",outcome=\"completed\"");
            wanted.push((format!("causeway_operations_total{{{labels}}}"), 1.0));
        }
        let accepted = if protocol == "api" { 3.0 } else { 1.0 };
        wanted.push((format!("causeway_logins_total{{protocol=\"{protocol}\",outcome=\"accepted\"}}"), accepted));
        wanted.push((format!("causeway_logins_total{{protocol=\"{protocol}\",outcome=\"refused\"}}"), 1.0));
        wanted.push((format!("causeway_sessions_opened_total{{protocol=\"{protocol}\"}}"), accepted));
        wanted.push((format!("causeway_errors_total{{protocol=\"{protocol}\",code=\"unauthenticated\"}}"), 1.0));
        wanted.push((format!("causeway_errors_total{{protocol=\"{protocol}\",code=\"internal\"}}"), 0.0));
    }
    let route = "route=\"/api/v1/files/content\"";
    for (name, by) in [
        ("causeway_errors_total{protocol=\"api\",code=\"permission_denied\"}", 1.0),
        ("causeway_operations_total{protocol=\"api\",operation=\"upload\",outcome=\"denied\"}", 1.0),
        ("causeway_webhook_attempts_total{outcome=\"accepted\"}", 3.0),
        ("causeway_webhook_deliveries_total{outcome=\"delivered\"}", 3.0),
        ("causeway_webhook_deliveries_total{outcome=\"dead\"}", 0.0),
        ("causeway_webhook_delivery_latency_seconds_count", 3.0),
        ("causeway_blob_failures_total{storage=\"local\"}", 0.0),
        // Those that are here now.
        ("causeway_sessions{protocol=\"sftp\"}", 1.0),
        ("causeway_sessions{protocol=\"ftps\"}", 1.0),
    ] {
        wanted.push((name.to_owned(), by));
    }
    for (method, status) in [("PUT", "2xx"), ("PUT", "4xx"), ("GET", "2xx")] {
        let labels = format!("method=\"{method}\",{route},status=\"{status}\"");
        wanted.push((format!("causeway_http_request_duration_seconds_count{{{labels}}}"), 1.0));
    }
    let wanted: Vec<(&str, f64)> = wanted.iter().map(|(name, by)| (name.as_str(), *by)).collect();
    grown(&gateway, &before, &wanted).await;

    drop(sftp);
    ftps.hang_up().await;
    let gone = [("causeway_sessions{protocol=\"sftp\"}", 0.0), ("causeway_sessions{protocol=\"ftps\"}", 0.0)];
    grown(&gateway, &before, &gone).await;

    let now = values(&gateway).await;
    for name in ["read", "write", "commit"] {
        let name = format!("causeway_ledger_transaction_duration_seconds_count{{kind=\"{name}\"}}");
        assert!(now[&name] > before[&name], "{name}");
    }
    let small = "causeway_blob_operation_duration_seconds_count{storage=\"local\",operation=\"put\"}";
    assert!(now[small] >= before[small] + 3.0);
    for (name, least, most) in [
        ("causeway_ledger_up", 1.0, 1.0),
        ("causeway_webhook_circuit{tenant=\"acme\",webhook=\"hook\",state=\"closed\"}", 1.0, 1.0),
        ("causeway_webhook_circuit{tenant=\"acme\",webhook=\"hook\",state=\"open\"}", 0.0, 0.0),
        ("process_open_fds", 5.0, 1e6),
        ("process_resident_memory_bytes", 1e6, 1e12),
        ("process_start_time_seconds", 1.7e9, 1e11),
    ] {
        assert!((least..=most).contains(&now[name]), "{name} is {}", now[name]);
    }
    let version = format!("causeway_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert!(now.contains_key(&version));
    assert!(!now.keys().any(|name| ["edi01", "/inbound/", "orders-app"].iter().any(|word| name.contains(word))));

    what_deploy_asks_for_is_there(&gateway).await;
    the_official_parsers_read_it(&gateway).await;
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("causeway_") || word.starts_with("process_"))
        .collect()
}

async fn what_deploy_asks_for_is_there(gateway: &Gateway) {
    let dashboard = include_str!("../../deploy/grafana/causeway.json");
    let alerts = include_str!("../../deploy/prometheus/alerts.yml");
    serde_json::from_str::<serde_json::Value>(dashboard).unwrap();
    let asked: BTreeSet<&str> = names(dashboard).union(&names(alerts)).copied().collect();
    assert!(asked.len() > 25, "{asked:?}");
    // The heads are signed soon after the start.
    let missing = || async {
        let there = values(gateway).await;
        let there: BTreeSet<&str> = there.keys().map(|name| name.split('{').next().unwrap()).collect();
        asked.iter().filter(|name| !there.contains(**name)).map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    let began = std::time::Instant::now();
    while !missing().await.is_empty() && began.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(missing().await, Vec::<String>::new(), "deploy/ names what no scrape has");
}

async fn the_official_parsers_read_it(gateway: &Gateway) {
    let (media_type, open) = scrape(gateway, "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3").await;
    assert_eq!(media_type, OPENMETRICS);
    assert!(open.ends_with("# EOF\n"));
    let (media_type, older) = scrape(gateway, "*/*").await;
    assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with prometheus_client; ./test makes one");
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/exposition.py"));
    for (name, text) in [("open", open), ("older", older)] {
        std::fs::write(folder.path().join(name), text).unwrap();
        command.arg(folder.path().join(name));
    }
    run(command).await;
}

async fn a_webhook_is_told_of_while_it_is_there(ledger: Ledger) {
    let receiver = Receiver::start().await;
    receiver.refuse(9);
    let plan = Plan::new(ledger).max_attempts(1).events("webhook_breaker_failures = 1");
    let gateway = plan.webhook("hook", &receiver, &["file.uploaded"]).start().await;
    let before = values(&gateway).await;
    gateway.rest("orders").put("/inbound/a", b"a").await.ok();
    let wanted = [
        ("causeway_webhook_attempts_total{outcome=\"refused\"}", 1.0),
        ("causeway_webhook_deliveries_total{outcome=\"dead\"}", 1.0),
        ("causeway_webhook_dead_letters", 1.0),
        ("causeway_webhook_circuit{tenant=\"acme\",webhook=\"hook\",state=\"open\"}", 1.0),
        ("causeway_webhook_circuit{tenant=\"acme\",webhook=\"hook\",state=\"closed\"}", -1.0),
    ];
    grown(&gateway, &before, &wanted).await;

    // What comes now waits for the circuit.
    gateway.rest("orders").put("/inbound/b", b"b").await.ok();
    grown(&gateway, &before, &[("causeway_outbox_deliveries", 1.0)]).await;
    assert!(values(&gateway).await["causeway_outbox_oldest_delivery_age_seconds"] > 0.0);

    gateway.edit(|text| {
        let (head, tail) = text.split_once("[[tenant.webhook]]").unwrap();
        let (_, tail) = tail.split_once("[[tenant]]").unwrap();
        format!("{head}[[tenant]]{tail}")
    });
    gateway.hang_up();
    eventually("a webhook that is not there any more has no series", LIMIT, || async {
        let now = values(&gateway).await;
        (!now.keys().any(|name| name.starts_with("causeway_webhook_circuit"))).then_some(())
    })
    .await;
}
