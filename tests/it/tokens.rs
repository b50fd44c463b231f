//! The gateway's own access tokens over REST: what they open, how forged ones are refused, and how their keys change.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::clients::run;
use crate::harness::minted::{claims, execute, key_set, revoke, signer, stored_keys};
use crate::harness::provider::{Signer, part, seconds};
use crate::harness::rest::content_path;
use crate::harness::{Gateway, Ledger, Plan, Rest, eventually, on_both_ledgers, skip};

on_both_ledgers!(
    a_token_opens_what_its_key_may,
    forged_tokens_are_refused_as_the_rfc_says,
    keys_rotate_while_requests_run,
    a_transfer_outlives_the_token_that_asked_for_it,
    keys_are_sealed_where_the_configuration_wants_it,
);

const ALL: &str = "files:read files:write transfers:read transfers:write events:read audit:read";

fn url(gateway: &Gateway) -> String {
    format!("https://localhost:{}", gateway.api.port())
}

fn with(mut value: Value, name: &str, changed: Value) -> Value {
    value[name] = changed;
    value
}

/// A refusal as RFC 6750 section 3 has it.
async fn refused(rest: &Rest, token: &str, what: &str) -> String {
    let answer = rest.with_key(token).get("/auth/validate").await;
    assert_eq!(answer.status, 401, "{what}: {answer:?}");
    answer.problem(401, "unauthenticated");
    let challenge = answer.header("www-authenticate");
    assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
    answer.json()["detail"].as_str().unwrap().to_owned()
}

async fn a_token_opens_what_its_key_may(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let open = rest.with_key("");
    let answer = open.get("/../../.well-known/jwks.json").await;
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let keys = answer.ok()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 1);
    let names: Vec<&String> = keys[0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"], "public parts alone");

    let signer = signer(&gateway).await;
    assert_eq!(keys[0]["kid"], signer.kid);
    let claims = claims(&url(&gateway), "orders", "orders-app", ALL);
    let token = signer.access_token(&claims);
    let caller = rest.with_key(&token);
    let seen = caller.get("/auth/validate").await.ok();
    assert_eq!(
        (&seen["tenant_id"], &seen["identity"], &seen["login"]),
        (&json!("acme"), &json!("orders-app"), &json!("orders"))
    );
    assert_eq!(seen["method"], "jwt");
    let end = time::OffsetDateTime::from_unix_timestamp(claims["exp"].as_i64().unwrap()).unwrap();
    let told = time::OffsetDateTime::parse(
        seen["expires_at"].as_str().unwrap(),
        &time::format_description::well_known::Rfc3339,
    );
    assert_eq!(told.unwrap(), end);
    assert_eq!(seen["scopes"], json!(ALL.split(' ').collect::<Vec<_>>()));

    caller.upload("/inbound", "by-token.txt", b"content", false).await.ok();
    let entry = rest.entry("/inbound", "by-token.txt").await.unwrap();
    assert_eq!(entry["created_by"], json!({ "identity": "orders-app", "login": "orders", "protocol": "api" }));
    let trail = rest.get("/audit?operation=upload&path=/inbound/by-token.txt").await.ok();
    assert_eq!(trail["entries"][0]["auth_method"], "jwt", "{trail}");

    // Scopes are what both say.
    let narrow =
        rest.with_key(&signer.access_token(&with(claims.clone(), "scope", json!("files:read webhooks:write admin"))));
    assert_eq!(narrow.get("/auth/validate").await.ok()["scopes"], json!(["files:read", "webhooks:write"]));
    narrow.upload("/inbound", "no.txt", b"content", false).await.problem(403, "permission_denied");
    assert_eq!(narrow.get(&content_path("/inbound/by-token.txt")).await.status, 200);

    // A token in a URL or in a form is none.
    for path in [format!("/auth/validate?access_token={token}"), format!("/files?path=/&access_token={token}")] {
        assert_ne!(open.get(&path).await.status, 200, "{path}");
    }
    let form =
        open.request(reqwest::Method::POST, "/folders").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(open.send(form.body(format!("access_token={token}&path=/x"))).await.status, 401);

    // It falls with its grant, and with its key.
    let other = with(claims.clone(), "grant", json!(Uuid::now_v7()));
    let spared = rest.with_key(&signer.access_token(&other));
    revoke(&gateway, claims["grant"].as_str().unwrap().parse().unwrap()).await;
    eventually("the grant is revoked", Duration::from_secs(10), async || {
        (caller.get("/auth/validate").await.status == 401).then_some(())
    })
    .await;
    assert_eq!(spared.get("/auth/validate").await.status, 200);
}

async fn forged_tokens_are_refused_as_the_rfc_says(ledger: Ledger) {
    let gateway = Plan::new(ledger).limits("failed_logins = 1000").start().await;
    let rest = gateway.rest("orders");
    let (signer, claims) = (signer(&gateway).await, claims(&url(&gateway), "orders", "orders-app", ALL));
    let good = signer.access_token(&claims);
    let [head, body, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let header = json!({ "alg": "EdDSA", "kid": signer.kid, "typ": "at+jwt" });
    let headed = |name: &str, value: Value| signer.sign(&with(header.clone(), name, value), &claims);
    let claimed = |name: &str, value: Value| signer.access_token(&with(claims.clone(), name, value));
    let none = part(r#"{"alg":"none","typ":"at+jwt"}"#);
    for (what, token) in [
        ("alg none", format!("{none}.{body}.{}", part("x"))),
        ("alg none, two dots", format!("{none}.{body}.")),
        ("another signature", format!("{head}.{body}.{}", part([7; 64]))),
        ("a signature that is cut", format!("{head}.{body}.{}", &signature[..40])),
        ("a stranger's key", Signer::new(&signer.kid).access_token(&claims)),
        ("a key of nobody's", Signer::new("nobody").access_token(&claims)),
        ("jku", headed("jku", json!("http://127.0.0.1:1/keys"))),
        ("jwk", headed("jwk", Signer::new("a").jwk())),
        ("crit", headed("crit", json!(["exp"]))),
        ("typ", headed("typ", json!("JWT"))),
        ("alg", headed("alg", json!("HS256"))),
        ("kid", headed("kid", json!("../../causeway.db"))),
        ("iss", claimed("iss", json!("https://evil.example"))),
        ("aud", claimed("aud", json!("https://evil.example"))),
        ("nbf", claimed("nbf", json!(seconds() + 100))),
        ("sub", claimed("sub", json!("ops"))),
        ("tenant", claimed("tenant", json!("other"))),
        ("login", claimed("login", json!("ops"))),
    ] {
        refused(&rest, &token, what).await;
    }
    let why = refused(&rest, &claimed("exp", json!(seconds() - 60)), "expired").await;
    assert!(why.contains("expired"), "{why}");
    assert_eq!(rest.with_key(&good).get("/auth/validate").await.status, 200);
    let log = gateway.log();
    assert!(!log.contains(&good) && !log.contains(signature), "no token is in the log");
}

async fn keys_rotate_while_requests_run(ledger: Ledger) {
    let gateway = Plan::new(ledger).tokens("token_key_rotation = \"2s\"").start().await;
    let rest = gateway.rest("orders");
    let first = signer(&gateway).await;
    let claims = claims(&url(&gateway), "orders", "orders-app", ALL);
    let old = rest.with_key(&first.access_token(&claims));
    let mut signed_by = std::collections::BTreeSet::from([first.kid.clone()]);
    let began = std::time::Instant::now();
    while signed_by.len() < 3 {
        assert!(began.elapsed() < Duration::from_mins(1), "three keys have signed");
        // Whatever the keys do meanwhile, no request that is right is refused.
        let now = signer(&gateway).await;
        let token = rest.with_key(&now.access_token(&claims));
        for caller in [&old, &token] {
            let answer = caller.get("/auth/validate").await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert!(key_set(&rest).await.iter().any(|key| key["kid"] == now.kid), "who signs is published");
        signed_by.insert(now.kid);
    }
    // One that has retired is believed no more.
    let kid = &first.kid;
    execute(&gateway, &format!("UPDATE signing_keys SET retired_at = 1 WHERE kid = '{kid}'")).await;
    eventually("the first key is not believed", Duration::from_secs(10), async || {
        (old.get("/auth/validate").await.status == 401).then_some(())
    })
    .await;
    assert!(key_set(&rest).await.iter().all(|key| key["kid"] != *kid));
    let last = signer(&gateway).await;
    assert_eq!(rest.with_key(&last.access_token(&claims)).get("/auth/validate").await.status, 200);
}

async fn a_transfer_outlives_the_token_that_asked_for_it(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    rest.upload("/inbound", "a.txt", b"content", false).await.ok();
    let signer = signer(&gateway).await;
    // It ends within the leeway: by the time the job is done it has.
    let claims = with(claims(&url(&gateway), "orders", "orders-app", ALL), "exp", json!(seconds() - 20));
    let scoped = |scope: &str| rest.with_key(&signer.access_token(&with(claims.clone(), "scope", json!(scope))));
    let ask = async |caller: &Rest, to: &str| {
        caller.post_json("/transfers", &json!({ "source": "/inbound/a.txt", "destination": to })).await
    };
    let ended = async |asked: Value| {
        let id = asked["transfer_id"].as_str().unwrap().to_owned();
        eventually("the transfer has ended", Duration::from_secs(30), async || {
            let seen = rest.get(&format!("/transfers/{id}")).await.ok();
            ["completed", "failed"].contains(&seen["state"].as_str().unwrap()).then_some(seen)
        })
        .await
    };
    let done = ended(ask(&scoped(ALL), "/inbound/b.txt").await.ok()).await;
    assert_eq!(done["state"], "completed", "{done}");
    let entry = rest.entry("/inbound", "b.txt").await.unwrap();
    assert_eq!(entry["created_by"]["login"], "orders");

    // What a token is not allowed, no transfer of its is, though the key is: neither a new one nor the key's own, asked for again.
    let narrow = scoped("files:read transfers:read transfers:write");
    ask(&narrow, "/inbound/c.txt").await.problem(403, "permission_denied");
    let failed = ended(ask(&rest, "/inbound/b.txt").await.ok()).await;
    assert_eq!((&failed["state"], &failed["error_code"]), (&json!("failed"), &json!("already_exists")), "{failed}");
    let retry = format!("/transfers/{}/retry", failed["transfer_id"].as_str().unwrap());
    narrow.post_json(&retry, &json!({})).await.problem(403, "permission_denied");
    assert_eq!(scoped(ALL).post_json(&retry, &json!({})).await.status, 202);
}

async fn keys_are_sealed_where_the_configuration_wants_it(ledger: Ledger) {
    let mut plan = Plan::new(ledger);
    plan.env.push(("TOKEN_KEY".into(), "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".into()));
    let mut gateway = plan.start().await;
    let rest = gateway.rest("orders");
    let clear = signer(&gateway).await;
    let token = clear.access_token(&claims(&url(&gateway), "orders", "orders-app", ALL));
    assert_eq!(rest.with_key(&token).get("/auth/validate").await.status, 200);
    let port = gateway.api.port();
    gateway.stop().await;
    gateway.change(|plan| {
        plan.tokens("token_encryption_key = \"env:TOKEN_KEY\"")
            .api(&format!("public_url = \"https://localhost:{port}\""))
    });
    gateway.start().await;
    let rest = gateway.rest("orders");
    // Who asks for the keys has the next one made: the one in clear signs no more.
    let published = key_set(&rest).await;
    let keys = stored_keys(&gateway).await;
    assert_eq!((published.len(), keys.len()), (2, 2));
    let sealed: Vec<bool> = keys.iter().map(|key| key.sealed).collect();
    assert_eq!(sealed, [false, true]);
    let der = |key: &[u8]| key.windows(5).any(|bytes| bytes == [6, 3, 0x2b, 0x65, 0x70]);
    assert!(der(&keys[0].private) && !der(&keys[1].private), "the object identifier of Ed25519");
    assert_eq!(rest.with_key(&token).get("/auth/validate").await.status, 200, "what it signed holds until it ends");
}

/// Two nodes on one database: one key, and what one revokes the other knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_have_one_set_of_keys() {
    if crate::harness::plan::postgres_url().is_none() {
        return;
    }
    let plan = Plan::new(Ledger::Postgres).api("public_url = \"https://gateway.example\"");
    let one = plan.start().await;
    let two = one.beside(|plan| plan).await;
    let (rest_one, rest_two) = (one.rest("orders"), two.rest("orders"));
    let mut asking = tokio::task::JoinSet::new();
    for rest in [&rest_one, &rest_two, &rest_one, &rest_two] {
        let rest = rest.clone();
        asking.spawn(async move { key_set(&rest).await });
    }
    let sets = asking.join_all().await;
    assert!(sets.iter().all(|set| *set == sets[0] && set.len() == 1), "one key, whoever came first: {sets:?}");
    let signer = signer(&one).await;
    let claims = claims("https://gateway.example", "orders", "orders-app", ALL);
    let token = signer.access_token(&claims);
    for rest in [&rest_one, &rest_two] {
        assert_eq!(rest.with_key(&token).get("/auth/validate").await.ok()["method"], "jwt");
    }
    revoke(&one, claims["grant"].as_str().unwrap().parse().unwrap()).await;
    for rest in [&rest_one, &rest_two] {
        eventually("the node knows of the revocation", Duration::from_secs(5), async || {
            (rest.with_key(&token).get("/auth/validate").await.status == 401).then_some(())
        })
        .await;
    }
}

/// A second implementation finds the gateway's tokens right, by the published keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authlib_verifies_by_the_published_keys() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with Authlib; ./test makes one");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let claims = claims(&url(&gateway), "orders", "orders-app", ALL);
    let token = signer(&gateway).await.access_token(&claims);
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/authlib_tokens.py")).arg("verify");
    command
        .args([&url(&gateway), gateway.data().join("certs/ca.pem").to_str().unwrap(), &token])
        .env("NO_PROXY", "localhost");
    let seen: Value = serde_json::from_slice(&run(command).await.stdout).unwrap();
    assert_eq!(seen, claims);
}
