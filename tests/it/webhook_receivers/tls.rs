//! Receivers behind TLS: with a certificate of a CA of their own, that ask for a client's, over HTTP/2 and over HTTP/1.1.

use std::path::Path;

use axum::http::Version;
use rcgen::ExtendedKeyUsagePurpose;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Told, tireless};
use crate::harness::door::tls;
use crate::harness::pki::{Authority, Issued};
use crate::harness::{Ledger, Receiver, Rest};
use crate::webhooks_rest::{hooked, shown};

/// A server's certificate for this name.
fn server(ca: &Authority, folder: &Path, name: &str) -> Issued {
    let file = name.replace([':', '.'], "-");
    ca.issue_as(folder, &file, &[name], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    })
}

fn pem(one: &Issued) -> String {
    [&one.key, &one.chain].map(|file| std::fs::read_to_string(file).unwrap()).concat()
}

async fn change(admin: &Rest, id: &str, body: &Value) -> Value {
    let request = admin.request(Method::PATCH, &format!("/webhooks/{id}"));
    let shown = admin.send(request.header("content-type", "application/json").body(body.to_string())).await.ok();
    assert!(!shown.to_string().contains("PRIVATE KEY"), "{shown}");
    shown
}

/// Whether a test event is accepted; fails where it is not and yet there was an answer.
async fn is_accepted(admin: &Rest, id: &str) -> bool {
    let tested = admin.post_json(&format!("/webhooks/{id}/test"), &json!({})).await.ok();
    let accepted = tested["accepted"] == true;
    assert_eq!((tested["status"].is_null(), tested["error"].is_string()), (!accepted, !accepted), "{tested}");
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_of_its_own_over_either_http() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, other) = (Authority::new("hooks"), Authority::new("others"));
    let certificate = server(&ca, folder.path(), "IP:127.0.0.1");
    let mut gateway = tireless(Ledger::Sqlite, 1000, "30s").start().await;
    let admin = gateway.rest("orders");
    let mut told = Told::default();
    for (id, protocols, version) in [
        ("newer", &["h2", "http/1.1"][..], Version::HTTP_2),
        ("older", &["http/1.1"][..], Version::HTTP_11),
        ("silent", &[][..], Version::HTTP_11),
    ] {
        let receiver = Receiver::over_tls(tls(&certificate, None, protocols)).await;
        hooked(&admin, id, &receiver).await;
        assert!(!is_accepted(&admin, id).await, "nobody knows its CA");
        change(&admin, id, &json!({ "ca": other.pem() })).await;
        assert!(!is_accepted(&admin, id).await, "this is another one");
        let (accepted, refused) = receiver.lines.counts();
        assert!(accepted == 0 && refused >= 2 && receiver.posts().is_empty(), "{accepted} {refused}");
        change(&admin, id, &json!({ "ca": format!("{}{}", other.pem(), ca.pem()) })).await;
        assert!(is_accepted(&admin, id).await);
        // What it missed, and more, one after the other.
        told.upload(&admin, &["a"], 4).await;
        receiver.until_accepted(5).await;
        admin.delete(&format!("/webhooks/{id}")).await.ok();
        let posts = receiver.posts();
        assert!(posts.iter().all(|post| post.version == version), "{posts:?}");
        // The test event may have had one of its own, and one may not have been free again in time.
        assert!((1..=3).contains(&receiver.lines.counts().0), "a connection is kept: {:?}", receiver.lines.counts());
    }
    // The right CA, and another name.
    let elsewhere = server(&ca, folder.path(), "DNS:elsewhere.example");
    let receiver = Receiver::over_tls(tls(&elsewhere, None, &["h2"])).await;
    hooked(&admin, "named", &receiver).await;
    change(&admin, "named", &json!({ "ca": ca.pem() })).await;
    assert!(!is_accepted(&admin, "named").await);
    assert!(receiver.posts().is_empty());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_shown_to_those_who_ask() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, clients) = (Authority::new("hooks"), Authority::new("their clients"));
    let certificate = server(&ca, folder.path(), "IP:127.0.0.1");
    let ours = clients.issue(folder.path(), "ours", &["DNS:gateway.example"]);
    let strange = ca.issue(folder.path(), "strange", &["DNS:gateway.example"]);
    let receiver = Receiver::over_tls(tls(&certificate, Some(&clients.pem()), &["h2", "http/1.1"])).await;
    let mut gateway = tireless(Ledger::Sqlite, 1000, "30s").start().await;
    let admin = gateway.rest("orders");
    hooked(&admin, "mine", &receiver).await;
    change(&admin, "mine", &json!({ "ca": ca.pem() })).await;
    assert_eq!(shown(&admin, "mine").await["has_client_identity"], false);
    assert!(!is_accepted(&admin, "mine").await, "it shows none");
    change(&admin, "mine", &json!({ "client_identity": pem(&strange) })).await;
    assert!(!is_accepted(&admin, "mine").await, "it is not one of theirs");
    assert!(receiver.posts().is_empty(), "{:?}", receiver.posts());
    let seen = change(&admin, "mine", &json!({ "client_identity": pem(&ours) })).await;
    assert_eq!((&seen["has_client_identity"], &seen["ca"]), (&json!(true), &json!(ca.pem())), "{seen}");
    assert!(is_accepted(&admin, "mine").await);
    let mut told = Told::default();
    told.upload(&admin, &["a"], 3).await;
    receiver.until_accepted(4).await;
    told.assert_told(&receiver.posts());
    // Over restarts, too.
    gateway.kill().await;
    gateway.start().await;
    let admin = gateway.rest("orders");
    told.upload(&admin, &["a"], 1).await;
    receiver.until_accepted(5).await;
    told.assert_told(&receiver.posts());
    // Without the half of it that it needs it is not saved.
    let half = std::fs::read_to_string(&ours.chain).unwrap();
    let request = admin.request(Method::PATCH, "/webhooks/mine").header("content-type", "application/json");
    let answer = admin.send(request.body(json!({ "client_identity": half }).to_string())).await;
    answer.problem(400, "invalid_argument");
    assert_eq!(answer.json()["errors"][0]["field"], "client_identity", "{answer:?}");
    // The trail does not have it either.
    let entries = admin.pages("/audit?operation=admin&limit=200", "entries").await;
    assert!(!json!(entries).to_string().contains("PRIVATE KEY"));
    gateway.stop().await;
}
