//! Tokens of OpenID providers: whom they stand for, and providers that change their keys, are away, or answer rubbish.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clients::run;
use crate::harness::provider::{Mood, Provider, Signer, seconds};
use crate::harness::{Gateway, Ledger, Plan, eventually, on_both_ledgers, skip};

on_both_ledgers!(a_token_stands_for_its_subject, an_outage_is_bridged_over_a_restart);

const NEARBY: &str = "issuer_allow_private_addresses = true";

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.rest("orders").with_key(token).get("/auth/validate").await.status
}

fn with(mut value: Value, name: &str, changed: Value) -> Value {
    value[name] = changed;
    value
}

async fn a_token_stands_for_its_subject(ledger: Ledger) {
    let (provider, signer) = (Provider::start().await, Signer::new("a"));
    provider.publish(&[&signer]);
    let mapped = "identities = { \"u-17\" = \"orders-app\", \"u-18\" = \"reader\" }\n";
    let gateway = Plan::new(ledger)
        .tokens(NEARBY)
        .acme(&provider.lines("causeway", mapped))
        .other(&provider.lines("other", ""))
        .start()
        .await;
    let rest = gateway.rest("orders");
    let claims = provider.claims("causeway", "u-17");
    let caller = rest.with_key(&signer.token(&claims));
    let seen = caller.get("/auth/validate").await.ok();
    assert_eq!(
        (&seen["tenant_id"], &seen["identity"], &seen["login"]),
        (&json!("acme"), &json!("orders-app"), &json!("u-17"))
    );
    assert_eq!((&seen["method"], seen["expires_at"].is_string()), (&json!("oidc"), true));
    assert_eq!(seen["scopes"], json!(["files:read", "files:write", "transfers:read", "transfers:write"]));
    caller.upload("/inbound", "of-u17.txt", b"content", false).await.ok();
    let trail = rest.get("/audit?operation=upload&path=/inbound/of-u17.txt").await.ok();
    let entry = &trail["entries"][0];
    assert_eq!(
        (&entry["auth_method"], &entry["login"], &entry["identity"]),
        (&json!("oidc"), &json!("u-17"), &json!("orders-app"))
    );

    // The other tenant's audience, and that tenant's identities alone.
    let theirs = signer.token(&provider.claims("other", "other-app"));
    assert_eq!(rest.with_key(&theirs).get("/auth/validate").await.ok()["tenant_id"], "other");
    assert_eq!(status(&gateway, &signer.token(&provider.claims("other", "orders-app"))).await, 401);
    // A reader does not become a writer.
    let reader = rest.with_key(&signer.token(&provider.claims("causeway", "u-18")));
    assert_eq!(reader.get("/auth/validate").await.ok()["scopes"], json!(["files:read"]));
    reader.upload("/inbound", "no.txt", b"content", false).await.problem(403, "permission_denied");
    for (what, token) in [
        ("nobody", signer.token(&provider.claims("causeway", "u-19"))),
        ("an id that is not in the map", signer.token(&provider.claims("causeway", "orders-app"))),
        ("no audience", signer.token(&provider.claims("account", "u-17"))),
        ("both audiences", signer.token(&with(claims.clone(), "aud", json!(["causeway", "other"])))),
        ("expired", signer.token(&with(claims.clone(), "exp", json!(seconds() - 40)))),
        ("another issuer", signer.token(&with(claims.clone(), "iss", json!(format!("{}/", provider.url()))))),
        ("another signature", Signer::new("a").token(&claims)),
        ("another purpose", signer.sign(&json!({ "alg": "EdDSA", "kid": "a", "typ": "logout+jwt" }), &claims)),
        (
            "keys elsewhere",
            signer.sign(&json!({ "alg": "EdDSA", "kid": "a", "jku": format!("{}/keys", provider.url()) }), &claims),
        ),
    ] {
        let answer = rest.with_key(&token).get("/auth/validate").await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{what}");
    }

    // A transfer runs on as whom the token stood for.
    let asked = caller
        .post_json("/transfers", &json!({ "source": "/inbound/of-u17.txt", "destination": "/inbound/copy.txt" }))
        .await
        .ok();
    let id = asked["transfer_id"].as_str().unwrap().to_owned();
    let done = eventually("the transfer has ended", Duration::from_secs(30), async || {
        let seen = caller.get(&format!("/transfers/{id}")).await.ok();
        ["completed", "failed"].contains(&seen["state"].as_str().unwrap()).then_some(seen)
    })
    .await;
    assert_eq!(done["state"], "completed", "{done}");
    assert_eq!(provider.asked(), (1, 1), "two tenants, one question");
}

async fn an_outage_is_bridged_over_a_restart(ledger: Ledger) {
    let (provider, signer) = (Provider::start().await, Signer::new("a"));
    provider.publish(&[&signer]);
    let mut gateway = Plan::new(ledger).tokens(NEARBY).acme(&provider.lines("causeway", "")).start().await;
    let token = signer.token(&provider.claims("causeway", "orders-app"));
    assert_eq!(status(&gateway, &token).await, 200);
    provider.be(Mood::Down);
    assert_eq!(status(&gateway, &token).await, 200);
    gateway.stop().await;
    gateway.start().await;
    assert_eq!(status(&gateway, &token).await, 200, "what was last known is in the ledger");
    let unknown = Signer::new("b").token(&provider.claims("causeway", "orders-app"));
    assert_eq!(status(&gateway, &unknown).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_nobody_knows_are_not_asked_for_again_and_again() {
    let (provider, old) = (Provider::start().await, Signer::new("old"));
    provider.publish(&[&old]);
    let gateway = Plan::new(Ledger::Sqlite)
        .tokens(NEARBY)
        .limits("failed_logins = 1000")
        .acme(&provider.lines("causeway", ""))
        .start()
        .await;
    let claims = provider.claims("causeway", "orders-app");
    assert_eq!(status(&gateway, &old.token(&claims)).await, 200);
    let rest = gateway.rest("orders");
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..200 {
        let token = Signer::new(&format!("unknown-{number}")).token(&claims);
        let caller = rest.with_key(&token);
        flood.spawn(async move { caller.get("/auth/validate").await.status });
    }
    let seen = flood.join_all().await;
    assert!(seen.iter().all(|status| *status == 401), "{seen:?}");
    let (discoveries, sets) = provider.asked();
    assert!(discoveries <= 2 && sets <= 2, "the provider was asked {discoveries} and {sets} times");
    // They were no guesses, and keep nobody out.
    assert_eq!(status(&gateway, &old.token(&claims)).await, 200);
}

/// A provider for each way to be wrong. What it says is not believed, and its callers are told to try again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_that_misbehave_are_not_believed() {
    let elsewhere = Provider::start().await;
    let signer = Signer::new("a");
    elsewhere.publish(&[&signer]);
    let moods = [
        Mood::Down,
        Mood::Rubbish,
        Mood::Huge,
        Mood::Redirect(format!("{}/.well-known/openid-configuration", elsewhere.url())),
        Mood::WrongIssuer,
        Mood::KeysAt("file:///etc/passwd".into()),
        Mood::KeysAt("http://192.0.2.1/keys".into()),
        Mood::KeysAt("http://metadata.example/keys".into()),
        Mood::Silent,
    ];
    let mut plan = Plan::new(Ledger::Sqlite).tokens(NEARBY);
    let mut providers = Vec::new();
    for mood in moods {
        let provider = Provider::start().await;
        provider.publish(&[&signer]);
        provider.be(mood.clone());
        plan = plan.acme(&provider.lines("causeway", ""));
        providers.push((mood, provider));
    }
    let gateway = plan.start().await;
    let rest = gateway.rest("orders");
    for (mood, provider) in &providers {
        let token = signer.token(&provider.claims("causeway", "orders-app"));
        let answer = rest.with_key(&token).get("/auth/validate").await;
        answer.problem(503, "unavailable");
        assert!(!answer.header("retry-after").is_empty(), "{mood:?}");
    }
    assert_eq!(elsewhere.asked(), (0, 0), "no redirect is followed");
    // Each may come to its senses.
    for (mood, provider) in &providers {
        provider.be(Mood::Well);
        let token = signer.token(&provider.claims("causeway", "orders-app"));
        eventually(&format!("{mood:?} is over"), Duration::from_secs(30), async || {
            (status(&gateway, &token).await == 200).then_some(())
        })
        .await;
    }
}

/// A provider on this machine is not asked where the configuration does not allow it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_providers_have_to_be_allowed() {
    let provider = Provider::start().await;
    let lines = provider.lines("causeway", "").replace("http://", "https://");
    let gateway = Plan::new(Ledger::Sqlite).acme(&lines).start().await;
    let claims =
        with(provider.claims("causeway", "orders-app"), "iss", json!(provider.url().replace("http://", "https://")));
    let answer = gateway.rest("orders").with_key(&Signer::new("a").token(&claims)).get("/auth/validate").await;
    answer.problem(503, "unavailable");
    assert_eq!(provider.asked(), (0, 0));
    assert!(gateway.log().contains("is no public address"), "{}", gateway.log());
}

/// What a second implementation signs is taken, by every kind of key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_authlib_signs_is_taken() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with Authlib; ./test makes one");
    };
    let provider = Provider::start().await;
    let gateway = Plan::new(Ledger::Sqlite).tokens(NEARBY).acme(&provider.lines("causeway", "")).start().await;
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/authlib_tokens.py"));
    command.args(["sign", &provider.url(), "causeway", "orders-app"]);
    let made: Value = serde_json::from_slice(&run(command).await.stdout).unwrap();
    provider.publish_set(made["keys"].clone());
    let tokens = made["tokens"].as_object().unwrap();
    assert_eq!(tokens.len(), 7);
    for (algorithm, token) in tokens {
        let token = token.as_str().unwrap();
        let seen = gateway.rest("orders").with_key(token).get("/auth/validate").await;
        assert_eq!(seen.status, 200, "{algorithm}: {seen:?}");
        assert_eq!(seen.json()["scopes"], json!(["files:read"]), "{algorithm}");
        let (head, rest) = token.split_once('.').unwrap();
        let changed = format!("{head}.{}", rest.replacen(['A', 'B'], "C", 1));
        assert_eq!(status(&gateway, &changed).await, 401, "{algorithm}");
    }
}
