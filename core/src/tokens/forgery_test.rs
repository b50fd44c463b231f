//! The gateway's own tokens: those that hold, and every forgery that was ever seen.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::fake::{ISSUER, apart, granted, inner, kid_of, part, peer, scopes, seconds, signed, tenant, with};
use super::keys::outlives;
use super::{Judged, REVOCATION_LIFE, TOKEN_LIFE, Via};
use crate::error::ErrorKind;
use crate::gateway::Inner;
use crate::identity::{AuthMethod, Directory, Peer, Protocol, Scope, TenantRecord, TokenOrigin};
use crate::jobs::fake_ledger::FakeLedger;
use crate::ports::{Durability, Reach, transact};
use crate::records::now;

/// What a token comes to: whom it is, or how it is refused.
async fn tried(inner: &Arc<Inner>, token: &SecretString, peer: &Peer) -> Result<String, &'static str> {
    match inner.prove_token(token, peer).await {
        Ok(Some(proof)) => Ok(proof.summary()),
        Ok(None) => Err("wrong"),
        Err(error) if error.kind() == ErrorKind::Unauthenticated => Err("lapsed"),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_minted_token_holds_and_says_what_it_should() {
    let inner = inner(&Arc::default());
    for (by, home) in [(Via::ApiKey, "/"), (Via::Login, "/home")] {
        let granted = granted(by);
        let before = seconds();
        let (token, end) = inner.mint(&granted).await.unwrap();
        let (header, claims) = apart(&token);
        assert_eq!(header, json!({ "alg": "EdDSA", "kid": kid_of(&inner), "typ": "at+jwt" }));
        for (name, value) in [
            ("iss", json!(ISSUER)),
            ("aud", json!(ISSUER)),
            ("sub", json!("app")),
            ("client_id", json!(granted.login)),
            ("scope", json!("files:read transfers:read events:read")),
            ("tenant", json!("acme")),
            ("via", json!(by.as_str())),
            ("grant", json!(granted.grant)),
        ] {
            assert_eq!(claims[name], value, "{name}");
        }
        assert_eq!(claims["exp"], end.unix_timestamp());
        assert_eq!(claims["iat"], claims["nbf"]);
        let made = claims["iat"].as_i64().unwrap();
        assert!((before..=seconds()).contains(&made));
        assert_eq!(claims["exp"].as_i64().unwrap() - made, TOKEN_LIFE.as_secs() as i64);
        let Judged::Holds(held) = inner.examine_own(token.expose_secret()).await.unwrap() else { panic!() };
        assert_eq!(held.claims, granted);
        assert_eq!((held.ends, held.made.unix_timestamp()), (end, made));
        assert_eq!(json!(held.id), claims["jti"]);
        // `transfers:read` is not among what the identity has, and `events:read` follows from `admin`.
        let seen = tried(&inner, &token, &peer()).await.unwrap();
        assert_eq!(seen, format!("acme app {} files:read events:read {home}", granted.login));
    }
    let method = AuthMethod::Token(TokenOrigin::Own(Via::Login));
    assert_eq!(method.as_str(), "jwt");
}

#[tokio::test]
async fn forgeries_are_refused() {
    let ledger = Arc::new(FakeLedger::default());
    let ours = inner(&ledger);
    let (good, _) = ours.mint(&granted(Via::ApiKey)).await.unwrap();
    let (header, claims) = apart(&good);
    let again = |header: &Value, claims: &Value| signed(&ours, &header.to_string(), &claims.to_string());
    assert!(tried(&ours, &again(&header, &claims), &peer()).await.is_ok(), "the forger's tools work");
    let text = good.expose_secret();
    let [head, body, signature] = text.split('.').collect::<Vec<_>>().try_into().unwrap();
    let public =
        URL_SAFE_NO_PAD.decode(ours.published_keys().await.unwrap()["keys"][0]["x"].as_str().unwrap()).unwrap();
    let hmac = |key: &[u8], header: Value| {
        let signed = format!("{}.{body}", part(header.to_string()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
        format!("{signed}.{}", part(tag))
    };
    let stranger = inner(&Arc::default());
    let (theirs, _) = stranger.mint(&granted(Via::ApiKey)).await.unwrap();
    let [their_head, their_body, their_signature] =
        theirs.expose_secret().split('.').collect::<Vec<_>>().try_into().unwrap();
    let jwk = stranger.published_keys().await.unwrap()["keys"][0].clone();
    let headed =
        |name: &str, value: Value| again(&with(header.clone(), name, value), &claims).expose_secret().to_owned();
    let kid = header["kid"].as_str().unwrap();

    let mut cases: Vec<(&str, String, &str)> = vec![
        ("no parts", "abc".into(), "wrong"),
        ("two parts", format!("{head}.{body}"), "wrong"),
        ("no signature", format!("{head}.{body}."), "wrong"),
        ("four parts", format!("{text}.{signature}"), "wrong"),
        ("five parts, as encrypted ones have", format!("{head}..{body}.{signature}.{signature}"), "wrong"),
        ("another signature", format!("{head}.{body}.{their_signature}"), "wrong"),
        ("a signature cut short", format!("{head}.{body}.{}", &signature[..80]), "wrong"),
        ("zeros", format!("{head}.{body}.{}", part([0; 64])), "wrong"),
        ("another body", format!("{head}.{their_body}.{signature}"), "wrong"),
        ("another header", format!("{their_head}.{body}.{signature}"), "lapsed"),
        ("padded", format!("{text}="), "wrong"),
        ("white space", format!("{text}\n"), "wrong"),
        ("alg none", format!("{}.{body}.", part(r#"{"alg":"none"}"#)), "wrong"),
        ("alg none with a signature", headed("alg", json!("none")), "wrong"),
        ("alg None", headed("alg", json!("nOnE")), "wrong"),
        ("HS256 by the public key", hmac(&public, with(header.clone(), "alg", json!("HS256"))), "wrong"),
        (
            "HS256 by the published key",
            hmac(jwk.to_string().as_bytes(), with(header.clone(), "alg", json!("HS256"))),
            "wrong",
        ),
        ("HS256 called EdDSA", hmac(&public, header.clone()), "wrong"),
        ("HS256 by an empty key", hmac(b"", with(header.clone(), "alg", json!("HS256"))), "wrong"),
        ("ES256, which is not the key's", headed("alg", json!("ES256")), "wrong"),
        ("RS256, which is not the key's", headed("alg", json!("RS256")), "wrong"),
        ("no algorithm", headed("alg", Value::Null), "wrong"),
        ("a list of algorithms", headed("alg", json!(["EdDSA"])), "wrong"),
        ("no key", headed("kid", Value::Null), "wrong"),
        ("a path", headed("kid", json!("../../../../dev/null")), "lapsed"),
        ("SQL", headed("kid", json!("'/**/UNION/**/SELECT/**/'key';--")), "lapsed"),
        ("a command", headed("kid", json!("|/usr/bin/uname")), "lapsed"),
        ("white space in the key's name", headed("kid", json!(format!("{kid} "))), "wrong"),
        ("NUL in the key's name", headed("kid", json!(format!("{kid}\0"))), "wrong"),
        ("a long name", headed("kid", json!("k".repeat(100_000))), "wrong"),
        ("a number", headed("kid", json!(0)), "wrong"),
        ("jku", headed("jku", json!("https://evil.example/jwks.json")), "wrong"),
        ("x5u", headed("x5u", json!("https://evil.example/cert.pem")), "wrong"),
        ("x5c", headed("x5c", json!(["MIIB"])), "wrong"),
        ("jwk", headed("jwk", jwk.clone()), "wrong"),
        ("crit", headed("crit", json!(["exp"])), "wrong"),
        ("b64", headed("b64", json!(false)), "wrong"),
        ("nested", headed("cty", json!("JWT")), "wrong"),
        ("compressed", headed("zip", json!("DEF")), "wrong"),
        ("a member that nobody writes here", headed("extra", json!(1)), "wrong"),
        ("typ JWT", headed("typ", json!("JWT")), "wrong"),
        ("typ of something else", headed("typ", json!("logout+jwt")), "wrong"),
        ("no typ", headed("typ", Value::Null), "wrong"),
        ("a stranger's token", theirs.expose_secret().to_owned(), "lapsed"),
        (
            "a stranger's signature under our key's name",
            { signed(&stranger, &header.to_string(), &claims.to_string()).expose_secret().to_owned() },
            "wrong",
        ),
        (
            "a member twice in the header",
            signed(
                &ours,
                &format!(r#"{{"alg":"none","alg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}"#),
                &claims.to_string(),
            )
            .expose_secret()
            .to_owned(),
            "wrong",
        ),
        (
            "a claim twice",
            signed(&ours, &header.to_string(), &claims.to_string().replacen('{', r#"{"sub":"other","#, 1))
                .expose_secret()
                .to_owned(),
            "wrong",
        ),
        ("claims that are a list", signed(&ours, &header.to_string(), "[]").expose_secret().to_owned(), "wrong"),
        ("a token in a token", signed(&ours, &header.to_string(), text).expose_secret().to_owned(), "wrong"),
    ];
    let claimed =
        |name: &str, value: Value| again(&header, &with(claims.clone(), name, value)).expose_secret().to_owned();
    for (name, value, how) in [
        ("iss", json!("https://gw.example/"), "wrong"),
        ("iss", json!("https://evil.example"), "wrong"),
        ("iss", json!([ISSUER]), "wrong"),
        ("iss", Value::Null, "wrong"),
        ("aud", json!("https://other.example"), "lapsed"),
        ("aud", json!([]), "lapsed"),
        ("aud", Value::Null, "lapsed"),
        ("exp", json!(seconds() - 31), "lapsed"),
        ("exp", json!("9999999999"), "lapsed"),
        ("exp", json!(1e300), "lapsed"),
        ("exp", Value::Null, "lapsed"),
        ("nbf", json!(seconds() + 60), "lapsed"),
        ("iat", json!(seconds() + 60), "lapsed"),
        ("iat", Value::Null, "lapsed"),
        ("jti", json!("x"), "lapsed"),
        ("jti", Value::Null, "lapsed"),
        ("sub", json!("other"), "lapsed"),
        ("sub", Value::Null, "lapsed"),
        ("tenant", json!("nobody"), "lapsed"),
        ("tenant", json!(["acme"]), "lapsed"),
        ("login", json!("nobody"), "lapsed"),
        ("login", json!("person"), "lapsed"),
        ("via", json!("login"), "lapsed"),
        ("via", json!("password"), "lapsed"),
        ("grant", json!("x"), "lapsed"),
        ("scope", json!(["files:read"]), "lapsed"),
        ("scope", Value::Null, "lapsed"),
        ("client_id", Value::Null, "lapsed"),
    ] {
        cases.push((name, claimed(name, value), how));
    }
    for (name, token, how) in cases {
        assert_eq!(tried(&ours, &token.clone().into(), &peer()).await, Err(how), "{name}: {token}");
    }
    assert!(tried(&ours, &claimed("exp", json!(seconds() - 25)).into(), &peer()).await.is_ok(), "leeway");
    assert!(tried(&ours, &good, &peer()).await.is_ok(), "and the right one still holds");
}

#[tokio::test]
async fn a_token_falls_with_what_it_came_from() {
    let ours = inner(&Arc::default());
    let (by_key, _) = ours.mint(&granted(Via::ApiKey)).await.unwrap();
    let (by_login, _) = ours.mint(&granted(Via::Login)).await.unwrap();
    let elsewhere = Peer { ip: [198, 51, 100, 1].into(), ..peer() };
    let ftps = Peer { protocol: Protocol::Ftps, ..peer() };
    assert!(tried(&ours, &by_key, &elsewhere).await.is_ok());
    assert_eq!(tried(&ours, &by_login, &elsewhere).await, Err("lapsed"), "its login may not come from there");
    assert_eq!(tried(&ours, &by_key, &ftps).await, Err("lapsed"));
    let known = async |change: &dyn Fn(&mut TenantRecord)| {
        let mut record = tenant();
        change(&mut record);
        ours.known.send_replace(Arc::new(Directory::new(vec![record]).unwrap()));
        let seen = async |token: &SecretString| tried(&ours, token, &peer()).await.ok();
        (seen(&by_key).await, seen(&by_login).await)
    };
    let held = |who: &str, scopes: &str, home: &str| Some(format!("acme app {who} {scopes} {home}"));
    let key = || held("key", "files:read events:read", "/");
    let login = || held("person", "files:read events:read", "/home");
    assert_eq!(known(&|_| {}).await, (key(), login()));
    assert_eq!(known(&|record| record.api_keys.clear()).await, (None, login()));
    assert_eq!(known(&|record| record.logins.clear()).await, (key(), None));
    let hour = time::Duration::hours(1);
    assert_eq!(known(&|r| r.api_keys[0].expires = Some(OffsetDateTime::now_utc() - hour)).await, (None, login()));
    assert_eq!(known(&|r| r.api_keys[0].expires = Some(OffsetDateTime::now_utc() + hour)).await, (key(), login()));
    assert_eq!(known(&|r| r.api_keys[0].allow_from = vec!["10.0.0.0/8".parse().unwrap()]).await, (None, login()));
    assert_eq!(known(&|r| r.api_keys[0].identity = "other".into()).await, (None, login()), "another identity's by now");
    assert_eq!(known(&|r| r.logins[0].protocols = vec![Protocol::Sftp]).await, (key(), None));
    assert_eq!(known(&|r| r.logins[0].allow_from.clear()).await, (key(), login()));
    assert_eq!(
        known(&|r| r.api_keys[0].scopes = scopes(&[Scope::FilesRead, Scope::FilesWrite])).await,
        (held("key", "files:read", "/"), login()),
        "scopes are cut by what the key has now"
    );
    assert_eq!(known(&|r| r.tenant.id = "bank".into()).await, (None, None));
}

#[tokio::test]
async fn a_revoked_grant_ends_all_its_tokens() {
    let ledger = Arc::new(FakeLedger::default());
    let (here, there) = (inner(&ledger), inner(&ledger));
    let grant = granted(Via::ApiKey);
    let (one, two) = (here.mint(&grant).await.unwrap().0, here.mint(&grant).await.unwrap().0);
    let (other, _) = here.mint(&granted(Via::ApiKey)).await.unwrap();
    for node in [&here, &there] {
        assert!(tried(node, &one, &peer()).await.is_ok() && tried(node, &two, &peer()).await.is_ok());
    }
    let until = now() + REVOCATION_LIFE.as_micros() as i64;
    let id = grant.grant;
    transact(&*ledger, Reach::Gateway, Durability::Disk, move |tx| {
        Box::pin(async move { tx.revoke_grant(id, until, now()).await })
    })
    .await
    .unwrap();
    here.grant_is_revoked(id, until);
    for token in [&one, &two] {
        assert_eq!(tried(&here, token, &peer()).await, Err("lapsed"), "here at once");
    }
    assert_eq!(here.mint(&grant).await.unwrap_err().kind(), ErrorKind::Unauthenticated, "and no new one is made");
    let began = std::time::Instant::now();
    while tried(&there, &one, &peer()).await.is_ok() {
        assert!(began.elapsed().as_secs() < 5, "and there soon");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(tried(&here, &other, &peer()).await.is_ok() && tried(&there, &other, &peer()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn where_revocations_cannot_be_known_no_token_holds() {
    let ledger = Arc::new(FakeLedger::default());
    let ours = inner(&ledger);
    let (token, _) = ours.mint(&granted(Via::ApiKey)).await.unwrap();
    ledger.set_away(true);
    tokio::time::advance(std::time::Duration::from_secs(29)).await;
    assert!(tried(&ours, &token, &peer()).await.is_ok(), "a short outage is bridged");
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    let refused = ours.prove_token(&token, &peer()).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(ours.mint(&granted(Via::ApiKey)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    ledger.set_away(false);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert!(tried(&ours, &token, &peer()).await.is_ok());
}

#[tokio::test]
async fn keys_rotate_and_retire() {
    let ledger = Arc::new(FakeLedger::default());
    let (here, there) = (inner(&ledger), inner(&ledger));
    let ((old, _), (same, _)) =
        (here.mint(&granted(Via::ApiKey)).await.unwrap(), there.mint(&granted(Via::ApiKey)).await.unwrap());
    assert_eq!(apart(&old).0, apart(&same).0, "one key for all nodes");
    assert_eq!(ledger.look(|state| state.signing_keys.len()), 1);
    here.rotate_keys().await;
    assert_eq!(ledger.look(|state| state.signing_keys.len()), 1, "it is not time yet");

    // Twenty-nine and a half days later: late for the next one, which stands there for a day all the same.
    let back = |by: i64| {
        ledger.look(|state| {
            for key in &mut state.signing_keys {
                key.signs_from -= by;
                key.created_at -= by;
                key.retired_at = key.retired_at.map(|at| at - by);
            }
        });
    };
    let fresh = async |node: &Arc<Inner>| node.follow_tokens(std::time::Duration::ZERO).await.unwrap();
    let hours = |hours: i64| hours * 3_600_000_000;
    back(hours(708));
    for node in [&here, &there] {
        fresh(node).await;
        node.rotate_keys().await;
    }
    let keys = async |node: &Inner| node.published_keys().await.unwrap()["keys"].as_array().unwrap().len();
    assert_eq!((keys(&here).await, keys(&there).await), (2, 2), "the next one is published");
    let kid = |token: &SecretString| apart(token).0["kid"].clone();
    let (before, _) = here.mint(&granted(Via::ApiKey)).await.unwrap();
    assert_eq!(kid(&before), kid(&old), "and does not sign yet");
    back(hours(25));
    fresh(&here).await;
    fresh(&there).await;
    let (after, _) = here.mint(&granted(Via::ApiKey)).await.unwrap();
    assert_ne!(kid(&after), kid(&old));
    for node in [&here, &there] {
        // It has ended by its own time only on paper: the clock of the claims did not move.
        assert_eq!(keys(node).await, 1, "the old one is gone");
        assert_eq!(tried(node, &old, &peer()).await, Err("lapsed"));
        assert!(tried(node, &after, &peer()).await.is_ok());
    }
    // Between the two, both are believed.
    ledger.look(|state| state.signing_keys[0].retired_at = Some(now() + outlives()));
    fresh(&here).await;
    assert!(tried(&here, &old, &peer()).await.is_ok() && tried(&here, &after, &peer()).await.is_ok());
}

#[tokio::test]
async fn wrong_tokens_count_as_failures_and_lapsed_ones_do_not() {
    let ledger = Arc::new(FakeLedger::default());
    let ours = inner(&ledger);
    let (good, _) = ours.mint(&granted(Via::ApiKey)).await.unwrap();
    let (header, claims) = apart(&good);
    let login = async |token: &SecretString| {
        ours.login(crate::Credential::Token(token.expose_secret().into()), &peer())
            .await
            .err()
            .map(|error| error.kind())
    };
    let old = signed(&ours, &header.to_string(), &with(claims.clone(), "exp", json!(seconds() - 100)).to_string());
    let entries = || ledger.look(|state| state.entries.len());
    for _ in 0..100 {
        assert_eq!(login(&old).await, Some(ErrorKind::Unauthenticated), "an expired one is never throttled");
    }
    assert_eq!(entries(), 1, "and on record once in a while");
    let events = ledger.look(|state| state.events.last().unwrap().body.clone());
    assert!(events.contains("auth.failed") && !events.contains(old.expose_secret()), "{events}");
    let wrong: SecretString = format!("{}.{}", good.expose_secret().rsplit_once('.').unwrap().0, part([7; 64])).into();
    for _ in 0..5 {
        assert_eq!(login(&wrong).await, Some(ErrorKind::Unauthenticated));
    }
    assert_eq!(login(&wrong).await, Some(ErrorKind::Throttled), "somebody tries");
    assert_eq!(entries(), 6);
    // Of the address ten times as many: then nobody comes from it.
    for _ in 0..45 {
        let another: SecretString =
            format!("{}.{}", good.expose_secret().rsplit_once('.').unwrap().0, part(Uuid::new_v4())).into();
        assert_eq!(login(&another).await, Some(ErrorKind::Unauthenticated));
    }
    let last: SecretString = format!("{}.{}", good.expose_secret().rsplit_once('.').unwrap().0, part([9; 64])).into();
    assert_eq!(login(&last).await, Some(ErrorKind::Throttled));
    assert_eq!(login(&old).await, Some(ErrorKind::Unauthenticated), "which says nothing of who has a token");
    assert_ne!(login(&good).await, Some(ErrorKind::Throttled), "and keeps nobody out who has a right one");
}
