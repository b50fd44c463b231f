//! Where no webhook goes: what is refused when one is saved, and what where it is connected to.

use std::net::IpAddr;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::rest::Answer;
use crate::harness::{Ledger, Plan, Receiver, Rest, say};
use crate::webhooks_rest::{hooked, until};

/// Addresses in every spelling of a URL's host that are this machine's, its network's, or nobody's.
const HOSTS: [&str; 38] = [
    "127.0.0.1",
    "127.1",
    "127.0.0.1.",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "%31%32%37.0.0.1",
    "１２７.0.0.1",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.1.1",
    "169.254.169.254",
    "2852039166",
    "168.63.129.16",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::1]",
    "[2606:4700::5efe:10.0.0.1]",
    "[fe80::1]",
    "[fec0::1]",
    "[fd00:ec2::254]",
    "[fc00::1]",
    "[ff02::1]",
];

fn refused(answer: &Answer, url: &str) {
    answer.problem(400, "invalid_argument");
    let problem = answer.json();
    assert_eq!(problem["errors"][0]["field"], "url", "{url}: {problem}");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{url}: {problem}");
}

async fn sent_elsewhere(admin: &Rest, url: &str) -> Answer {
    let patch = admin.request(Method::PATCH, "/webhooks/mine").header("content-type", "application/json");
    admin.send(patch.body(json!({ "url": url }).to_string())).await
}

/// What a test event came to, where nobody was connected to.
async fn not_reached(admin: &Rest, id: &str, why: &str) {
    let tested = admin.post_json(&format!("/webhooks/{id}/test"), &json!({})).await.ok();
    assert_eq!((&tested["accepted"], &tested["status"]), (&json!(false), &Value::Null), "{tested}");
    assert!(tested["error"].as_str().is_some_and(|error| error.contains(why)), "{tested}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_public_address_is_not_saved() {
    let mut gateway = Plan::new(Ledger::Sqlite).start().await;
    let admin = gateway.rest("orders");
    let body = json!({ "id": "mine", "url": "https://hooks.example/x", "events": ["file.uploaded"] });
    assert_eq!(admin.post_json("/webhooks", &body).await.status, 201);
    // Metadata addresses stay out where private ones are let in.
    for host in ["169.254.169.254", "2852039166", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]", "0.0.0.0", "[ff02::1]"] {
        let url = format!("http://{host}/latest/meta-data/");
        refused(&sent_elsewhere(&admin, &url).await, &url);
    }
    assert_eq!(sent_elsewhere(&admin, "http://10.0.0.1/").await.status, 200);
    assert_eq!(sent_elsewhere(&admin, "https://hooks.example/x").await.status, 200);
    gateway.stop().await;

    gateway.change(Plan::public_webhooks);
    gateway.start().await;
    let admin = gateway.rest("orders");
    for host in HOSTS {
        let url = format!("https://{host}/hook");
        refused(&admin.post_json("/webhooks", &json!({ "url": url })).await, &url);
        refused(&sent_elsewhere(&admin, &url).await, &url);
    }
    for url in ["http://hooks.example/", "https://localhost/", "https://hooks.localhost./", "https://hooks.example:22/"]
    {
        refused(&sent_elsewhere(&admin, url).await, url);
    }
    assert_eq!(admin.get("/webhooks/mine").await.ok()["url"], "https://hooks.example/x");
    assert_eq!(admin.get("/webhooks").await.ok()["webhooks"].as_array().unwrap().len(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_public_address_is_not_connected_to() {
    let receiver = Receiver::start().await;
    let mut gateway = Plan::new(Ledger::Sqlite).max_attempts(2).events("webhook_first_wait = \"20ms\"").start().await;
    // Saved while it was let in.
    hooked(&gateway.rest("orders"), "mine", &receiver).await;
    gateway.stop().await;
    gateway.change(Plan::public_webhooks);
    gateway.start().await;
    let admin = gateway.rest("orders");
    not_reached(&admin, "mine", "127.0.0.1 is no public address").await;
    assert_eq!(admin.upload("/inbound", "a", b"content", true).await.status, 201);
    let dead = until(&admin, "mine", "dead", 1).await;
    assert_eq!(dead[0]["last_result"], "127.0.0.1 is no public address", "{dead:?}");

    // A name that means such an address: that of this machine, as its hosts file has it.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_lowercase();
    let found: Vec<IpAddr> = tokio::net::lookup_host((host.as_str(), 0))
        .await
        .map(|found| found.map(|address| address.ip()).collect())
        .unwrap_or_default();
    let is_private = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if found.is_empty() || !found.iter().all(is_private) {
        say(&format!(
            "the name of this machine, {host}, means {found:?}: that it is not connected to is not shown here"
        ));
    } else {
        let body = json!({ "id": "named", "url": format!("https://{host}/"), "events": ["file.uploaded"] });
        assert_eq!(admin.post_json("/webhooks", &body).await.status, 201, "a name is judged where it is resolved");
        not_reached(&admin, "named", "no public address").await;
    }
    assert!(receiver.posts().is_empty(), "{:?}", receiver.posts());
    assert_eq!(receiver.lines.counts(), (0, 0));
    gateway.stop().await;
}
