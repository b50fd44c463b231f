//! Issuers' tokens: whom they stand for, and how their keys are had.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA384,
};
use bytes::Bytes;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::fake::{ISSUER, inner_of, part, peer, seconds, tenant, with};
use super::{Issuer, TokenSettings};
use crate::error::ErrorKind;
use crate::gateway::{Inner, held};
use crate::identity::{Directory, TenantRecord};
use crate::jobs::fake_ledger::FakeLedger;
use crate::ports::DocumentSource;

const URL: &str = "https://login.example/";
const SECOND: i64 = 1_000_000;

/// How a provider answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Down,
    Slow,
}

/// A provider, and who asks it.
struct Provider {
    mood: std::sync::Mutex<Mood>,
    configuration: std::sync::Mutex<Value>,
    set: std::sync::Mutex<String>,
    asked: AtomicUsize,
}

#[async_trait]
impl DocumentSource for Provider {
    async fn fetch(&self, url: &str, _most: usize) -> Result<Bytes, String> {
        let mood = *held(&self.mood);
        if mood == Mood::Slow {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let answer = match url {
            "https://login.example/.well-known/openid-configuration" => held(&self.configuration).to_string(),
            "https://login.example/keys" => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                held(&self.set).clone()
            }
            other => panic!("{other} was asked"),
        };
        if mood == Mood::Down { Err("no answer in time".to_owned()) } else { Ok(answer.into()) }
    }
}

impl Provider {
    fn new(keys: &[Value]) -> Arc<Self> {
        Arc::new(Self {
            mood: Mood::Well.into(),
            configuration: json!({ "issuer": URL, "jwks_uri": "https://login.example/keys" }).into(),
            set: json!({ "keys": keys }).to_string().into(),
            asked: AtomicUsize::new(0),
        })
    }

    fn publish(&self, keys: &[Value]) {
        *held(&self.set) = json!({ "keys": keys }).to_string();
    }

    fn be(&self, mood: Mood) {
        *held(&self.mood) = mood;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn issuer() -> Issuer {
    Issuer {
        url: URL.into(),
        audience: "causeway".into(),
        identity_claim: "sub".into(),
        identities: BTreeMap::new(),
        scope_claim: Some("scope".into()),
        authorized_parties: Vec::new(),
    }
}

fn taking(issuers: Vec<Issuer>) -> TenantRecord {
    TenantRecord { issuers, ..tenant() }
}

fn gateway(ledger: &Arc<FakeLedger>, provider: &Arc<Provider>) -> Arc<Inner> {
    let settings = TokenSettings { issuer: ISSUER.into(), ..TokenSettings::default() };
    inner_of(ledger, taking(vec![issuer()]), settings, provider.clone())
}

/// A key of a provider's, with what signs by it.
struct Signer {
    pair: Ed25519KeyPair,
    kid: String,
}

impl Signer {
    fn new(kid: &str) -> Self {
        Self { pair: Ed25519KeyPair::generate().unwrap(), kid: kid.into() }
    }

    fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": part(self.pair.public_key()), "kid": self.kid, "use": "sig" })
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "kid": self.kid, "typ": "JWT" })
    }

    fn sign(&self, header: &Value, claims: &Value) -> SecretString {
        token(header, claims, |message| self.pair.sign(message).as_ref().to_vec())
    }
}

fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> SecretString {
    let signed = format!("{}.{}", part(header.to_string()), part(claims.to_string()));
    let signature = part(sign(signed.as_bytes()));
    format!("{signed}.{signature}").into()
}

fn claims() -> Value {
    json!({
        "iss": URL, "aud": "causeway", "sub": "app", "exp": seconds() + 60, "iat": seconds(),
        "scope": "openid files:read events:read transfers:read",
    })
}

async fn tried(inner: &Arc<Inner>, token: &SecretString) -> Result<String, &'static str> {
    match inner.prove_token(token, &peer()).await {
        Ok(Some(proof)) => Ok(proof.summary()),
        Ok(None) => Err("wrong"),
        Err(error) if error.kind() == ErrorKind::Unauthenticated => Err("lapsed"),
        Err(error) if error.kind() == ErrorKind::Unavailable => Err("away"),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn every_algorithm_of_the_list_is_taken_from_its_own_kind_of_key_alone() {
    let random = SystemRandom::new();
    let ed = Signer::new("ed");
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let point = |pair: &EcdsaKeyPair, curve: &str, kid: &str| {
        let bytes = pair.public_key().as_ref()[1..].to_vec();
        let (x, y) = bytes.split_at(bytes.len() / 2);
        json!({ "kty": "EC", "crv": curve, "x": part(x), "y": part(y), "kid": kid })
    };
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    // A sequence of two integers (RFC 8017 appendix A.1.1): 2048 bits with a zero in front, and 65537.
    let (n, e) = (rsa.public_key().as_ref()[9..265].to_vec(), [1, 0, 1]);
    let rsa_jwk = json!({ "kty": "RSA", "n": part(&n), "e": part(e), "kid": "rsa" });
    let provider = Provider::new(&[
        json!({ "kty": "oct", "k": part([7; 32]), "kid": "shared" }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": part([7; 32]), "kid": "later" }),
        ed.jwk(),
        point(&p256, "P-256", "p256"),
        point(&p384, "P-384", "p384"),
        rsa_jwk.clone(),
        with(with(rsa_jwk, "kid", json!("pinned")), "alg", json!("PS384")),
    ]);
    let inner = gateway(&Arc::default(), &provider);
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let by_rsa = |padding: &'static dyn aws_lc_rs::signature::RsaEncoding, message: &[u8]| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    };
    let ec = |pair: &EcdsaKeyPair, message: &[u8]| pair.sign(&random, message).unwrap().as_ref().to_vec();
    let hs =
        |key: &[u8], message: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec();
    let claims = claims();
    let sign = |alg: &str, kid: &str, by: &dyn Fn(&[u8]) -> Vec<u8>| token(&header(alg, kid), &claims, by);
    for (alg, kid, token, holds) in [
        ("EdDSA", "ed", ed.sign(&header("EdDSA", "ed"), &claims), Ok(())),
        ("Ed25519", "ed", ed.sign(&header("Ed25519", "ed"), &claims), Ok(())),
        ("ES256", "p256", sign("ES256", "p256", &|m| ec(&p256, m)), Ok(())),
        ("ES384", "p384", sign("ES384", "p384", &|m| ec(&p384, m)), Ok(())),
        ("RS256", "rsa", sign("RS256", "rsa", &|m| by_rsa(&RSA_PKCS1_SHA256, m)), Ok(())),
        ("RS512", "rsa", sign("RS512", "rsa", &|m| by_rsa(&RSA_PKCS1_SHA512, m)), Ok(())),
        ("PS384", "rsa", sign("PS384", "rsa", &|m| by_rsa(&RSA_PSS_SHA384, m)), Ok(())),
        ("PS384", "pinned", sign("PS384", "pinned", &|m| by_rsa(&RSA_PSS_SHA384, m)), Ok(())),
        ("RS256", "pinned to another", sign("RS256", "pinned", &|m| by_rsa(&RSA_PKCS1_SHA256, m)), Err("lapsed")),
        ("PS256", "signed as RS256", sign("PS256", "rsa", &|m| by_rsa(&RSA_PKCS1_SHA256, m)), Err("wrong")),
        ("RS512", "signed as RS256", sign("RS512", "rsa", &|m| by_rsa(&RSA_PKCS1_SHA256, m)), Err("wrong")),
        ("ES384", "another curve", sign("ES384", "p256", &|m| ec(&p256, m)), Err("lapsed")),
        ("EdDSA", "a key of another kind", ed.sign(&header("EdDSA", "rsa"), &claims), Err("lapsed")),
        ("HS256", "by the modulus", sign("HS256", "rsa", &|m| hs(&n, m)), Err("wrong")),
        ("RS256", "HMAC by the modulus", sign("RS256", "rsa", &|m| hs(&n, m)), Err("wrong")),
        ("HS256", "by the published shared key", sign("HS256", "shared", &|m| hs(&[7; 32], m)), Err("wrong")),
        ("none", "without a signature", sign("none", "ed", &|_| vec![0]), Err("wrong")),
    ] {
        assert_eq!(tried(&inner, &token).await.map(drop), holds, "{alg} {kid}");
    }
    let nameless = ed.sign(&json!({ "alg": "EdDSA" }), &claims);
    assert!(tried(&inner, &nameless).await.is_ok(), "one key alone is for it");
    let ambiguous = token(&json!({ "alg": "PS384" }), &claims, |m| by_rsa(&RSA_PSS_SHA384, m));
    assert_eq!(tried(&inner, &ambiguous).await, Err("lapsed"), "two are");
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn a_token_stands_for_whom_its_claims_say() {
    let signer = Signer::new("a");
    let provider = Provider::new(&[signer.jwk()]);
    let inner = gateway(&Arc::default(), &provider);
    let seen = async |claims: Value| tried(&inner, &signer.sign(&signer.header(), &claims)).await;
    let cut = "files:read events:read";
    assert_eq!(seen(claims()).await, Ok(format!("acme app app {cut} /")));
    let but = |name: &str, value: Value| with(claims(), name, value);
    for (name, value, result) in [
        ("aud", json!(["account", "causeway"]), Ok("app app files:read events:read")),
        ("aud", json!("account"), Err("wrong")),
        ("aud", Value::Null, Err("wrong")),
        ("iss", json!("https://login.example"), Err("wrong")),
        ("iss", json!("https://evil.example/"), Err("wrong")),
        ("exp", json!(seconds() - 31), Err("lapsed")),
        ("exp", Value::Null, Err("lapsed")),
        ("nbf", json!(seconds() + 60), Err("lapsed")),
        ("sub", json!("other"), Ok("other other files:read events:read")),
        ("sub", json!("nobody"), Err("lapsed")),
        ("sub", json!("a\nb"), Err("lapsed")),
        ("sub", Value::Null, Err("lapsed")),
        ("scope", json!(["files:write", "admin"]), Ok("app app files:write admin")),
        ("scope", json!("admin:gateway"), Ok("app app ")),
        ("scope", Value::Null, Ok("app app ")),
        ("scope", json!(7), Err("lapsed")),
        ("azp", json!(7), Err("lapsed")),
        ("azp", json!("portal"), Ok("app app files:read events:read")),
    ] {
        let wanted = result.map(|said| format!("acme {said} /"));
        assert_eq!(seen(but(name, value.clone())).await, wanted, "{name}: {value}");
    }
    for kind in ["at+jwt", "application/at+jwt", "JWT"] {
        let header = with(signer.header(), "typ", json!(kind));
        assert!(tried(&inner, &signer.sign(&header, &claims())).await.is_ok(), "{kind}");
    }
    for kind in ["logout+jwt", "dpop+jwt", "secevent+jwt", ""] {
        let header = with(signer.header(), "typ", json!(kind));
        assert_eq!(tried(&inner, &signer.sign(&header, &claims())).await, Err("wrong"), "{kind}");
    }

    // Other ways to say who it is and what he may.
    let known = |change: &dyn Fn(&mut Issuer)| {
        let mut issuer = issuer();
        change(&mut issuer);
        inner.known.send_replace(Arc::new(Directory::new(vec![taking(vec![issuer])]).unwrap()));
    };
    known(&|issuer| issuer.identity_claim = "email".into());
    assert_eq!(seen(but("email", json!("other"))).await, Ok(format!("acme other app {cut} /")));
    assert_eq!(seen(claims()).await, Err("lapsed"));
    known(&|issuer| issuer.identities = BTreeMap::from([("u-17".to_owned(), "app".into())]));
    assert_eq!(seen(but("sub", json!("u-17"))).await, Ok(format!("acme app u-17 {cut} /")));
    assert_eq!(seen(claims()).await, Err("lapsed"), "where there is a map, it alone counts");
    known(&|issuer| issuer.scope_claim = Some("roles".into()));
    assert_eq!(seen(but("roles", json!(["files:read"]))).await, Ok("acme app app files:read /".into()));
    known(&|issuer| issuer.scope_claim = None);
    assert_eq!(seen(claims()).await, Ok("acme app app files:read files:write admin /".into()));
    known(&|issuer| issuer.authorized_parties = vec!["portal".into()]);
    assert_eq!(seen(claims()).await, Err("lapsed"));
    assert_eq!(seen(but("azp", json!("evil"))).await, Err("lapsed"));
    assert!(seen(but("azp", json!("portal"))).await.is_ok() && seen(but("client_id", json!("portal"))).await.is_ok());
    inner.known.send_replace(Arc::new(Directory::new(vec![tenant()]).unwrap()));
    assert_eq!(seen(claims()).await, Err("wrong"), "nobody takes it any more");
}

#[tokio::test]
async fn tenants_that_share_a_provider_are_told_by_the_audience() {
    let signer = Signer::new("a");
    let provider = Provider::new(&[signer.jwk()]);
    let inner = gateway(&Arc::default(), &provider);
    let mut bank = taking(vec![Issuer { audience: "bank".into(), ..issuer() }]);
    bank.tenant.id = "bank".into();
    bank.api_keys.clear();
    bank.identities.truncate(1);
    inner.known.send_replace(Arc::new(Directory::new(vec![taking(vec![issuer()]), bank]).unwrap()));
    let seen = async |aud: Value, sub: &str| {
        let claims = with(with(claims(), "aud", aud), "sub", json!(sub));
        tried(&inner, &signer.sign(&signer.header(), &claims))
            .await
            .map(|said| said.split(' ').take(2).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(seen(json!("causeway"), "app").await, Ok("acme app".into()));
    assert_eq!(seen(json!("bank"), "app").await, Ok("bank app".into()));
    assert_eq!(seen(json!("causeway"), "other").await, Ok("acme other".into()));
    assert_eq!(seen(json!("bank"), "other").await, Err("lapsed"), "of that tenant's identities alone");
    assert_eq!(seen(json!(["causeway", "bank"]), "app").await, Err("wrong"), "it says two things");
    assert_eq!(provider.asked(), 1, "one provider has one set");
}

#[tokio::test]
async fn keys_that_are_not_known_are_asked_for_at_a_bounded_rate() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::new(&[old.jwk()]);
    let inner = gateway(&Arc::default(), &provider);
    let good = old.sign(&old.header(), &claims());
    let next = new.sign(&new.header(), &claims());
    assert!(tried(&inner, &good).await.is_ok());
    for number in 0..50 {
        let unknown = Signer::new(&format!("unknown {number}").replace(' ', "-"));
        assert_eq!(tried(&inner, &unknown.sign(&unknown.header(), &claims())).await, Err("lapsed"));
    }
    assert_eq!(provider.asked(), 1, "it was asked a moment ago");
    provider.publish(&[old.jwk(), new.jwk()]);
    assert_eq!(tried(&inner, &next).await, Err("lapsed"));
    inner.providers.age(31 * SECOND);
    provider.be(Mood::Slow);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (inner, next) = (inner.clone(), next.clone());
        tasks.spawn(async move { tried(&inner, &next).await.is_ok() });
    }
    assert!(tasks.join_all().await.into_iter().all(|holds| holds), "all of them waited for the one question");
    assert_eq!(provider.asked(), 2);
    assert!(tried(&inner, &good).await.is_ok());
    // What is not there any more is not believed after the next question.
    provider.be(Mood::Well);
    provider.publish(&[new.jwk()]);
    inner.providers.age(16 * 60 * SECOND);
    assert!(tried(&inner, &good).await.is_ok(), "nobody waits for a question that may be asked later");
    let began = std::time::Instant::now();
    while tried(&inner, &good).await.is_ok() {
        assert!(began.elapsed().as_secs() < 5);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(provider.asked(), 3);
}

#[tokio::test]
async fn an_outage_of_the_provider_is_bridged_for_a_day_and_over_restarts() {
    let signer = Signer::new("a");
    let provider = Provider::new(&[signer.jwk()]);
    let ledger = Arc::new(FakeLedger::default());
    let first = gateway(&ledger, &provider);
    let token = signer.sign(&signer.header(), &claims());
    provider.be(Mood::Down);
    for _ in 0..3 {
        assert_eq!(tried(&first, &token).await, Err("away"), "nothing is known yet");
    }
    assert_eq!(provider.asked(), 0, "not even the keys were asked for");
    provider.be(Mood::Well);
    assert_eq!(tried(&first, &token).await, Err("away"), "it was asked a moment ago");
    first.providers.age(6 * SECOND);
    assert!(tried(&first, &token).await.is_ok());
    provider.be(Mood::Down);
    first.providers.age(23 * 3600 * SECOND);
    assert!(tried(&first, &token).await.is_ok(), "a day's outage is bridged");

    let second = gateway(&ledger, &provider);
    assert!(tried(&second, &token).await.is_ok(), "over a restart too");
    let unknown = Signer::new("b");
    assert_eq!(tried(&second, &unknown.sign(&unknown.header(), &claims())).await, Err("lapsed"));
    for gateway in [&first, &second] {
        gateway.providers.age(2 * 24 * 3600 * SECOND);
        assert_eq!(tried(gateway, &token).await, Err("away"), "and no longer");
    }
}

#[tokio::test]
async fn what_a_provider_publishes_is_read_with_care() {
    let signer = Signer::new("a");
    let token = signer.sign(&signer.header(), &claims());
    let good = json!({ "issuer": URL, "jwks_uri": "https://login.example/keys" });
    let set = json!({ "keys": [signer.jwk()] }).to_string();
    for (name, configuration, set) in [
        ("another issuer", with(good.clone(), "issuer", json!("https://login.example")), set.clone()),
        ("no issuer", with(good.clone(), "issuer", Value::Null), set.clone()),
        ("no address of keys", with(good.clone(), "jwks_uri", Value::Null), set.clone()),
        ("a list", json!([good]), set.clone()),
        ("rubbish", good.clone(), "<html>".into()),
        ("no keys", good.clone(), json!({ "keys": [] }).to_string()),
        ("no list", good.clone(), json!({ "keys": signer.jwk() }).to_string()),
        ("the list alone", good.clone(), json!([signer.jwk()]).to_string()),
        ("two lists", good.clone(), format!(r#"{{"keys":[],{}"#, &set[1..])),
        ("private parts", good.clone(), json!({ "keys": [with(signer.jwk(), "d", json!("AQAB"))] }).to_string()),
        ("more keys than are looked at", good.clone(), {
            let mut keys = vec![json!({ "kty": "oct" }); 100];
            keys.push(signer.jwk());
            json!({ "keys": keys }).to_string()
        }),
    ] {
        let provider = Provider::new(&[]);
        *held(&provider.configuration) = configuration;
        *held(&provider.set) = set;
        let inner = gateway(&Arc::default(), &provider);
        assert_eq!(tried(&inner, &token).await, Err("away"), "{name}");
        // It may come to its senses.
        *held(&provider.configuration) = good.clone();
        provider.publish(&[signer.jwk()]);
        inner.providers.age(6 * SECOND);
        assert!(tried(&inner, &token).await.is_ok(), "{name}");
        // Rubbish does not take away what is known.
        *held(&provider.set) = "<html>".into();
        inner.providers.age(16 * 60 * SECOND);
        assert!(tried(&inner, &token).await.is_ok(), "{name}");
    }
}
