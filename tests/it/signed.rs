//! Signed requests: HTTP Message Signatures (RFC 9421). The signer here is the tests' own; `signed_clients` has those of others.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::plan::api_key;
use crate::harness::rest::{Answer, content_path};
use crate::harness::{Gateway, Ledger, Plan, Random, Rest, on_both_ledgers, sha256};

/// The secret of every key here.
pub const SECRET: &str = "a secret that both sides know, and nobody else";
/// The private key of RFC 9421 appendix B.1.4 belongs to it.
pub const ED25519: &str = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";

/// The lines of an API key of `orders-app` with this rule.
pub fn key(id: &str, rule: &str) -> String {
    format!(
        "[[tenant.api_key]]\nid = \"{id}\"\nidentity = \"orders-app\"\nkey_hash = \"{}\"\nrequire_signature = {rule}\n\
         signing_secret = \"env:SIGNING_SECRET\"\nsignature_keys = [\"{ED25519}\"]",
        sha256(api_key(id).as_bytes())
    )
}

/// A gateway's plan with the keys `signed` (which demands a message signature), `old` (either kind) and `free` (none).
pub fn plan(ledger: Ledger) -> Plan {
    let mut plan =
        Plan::new(ledger).acme(&key("signed", "true")).acme(&key("old", "\"any\"")).acme(&key("free", "false"));
    plan.env.push(("SIGNING_SECRET".to_owned(), SECRET.to_owned()));
    plan
}

pub fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

pub fn digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

fn nonce() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A request as it is signed. What is sent may be another.
#[derive(Clone)]
struct Draft {
    key: &'static str,
    secret: Vec<u8>,
    method: Method,
    /// Below `/api/v1`.
    target: String,
    origin: String,
    fields: Vec<(&'static str, String)>,
    covered: Vec<&'static str>,
    parameters: String,
    body: Bytes,
}

impl Draft {
    fn new(gateway: &Gateway, method: Method, target: &str, body: &[u8]) -> Self {
        let mut covered = vec!["@method", "@target-uri"];
        let mut fields = Vec::new();
        if !body.is_empty() {
            fields.push(("content-digest", digest(body)));
            fields.push(("content-type", "application/octet-stream".to_owned()));
            covered.extend(["content-digest", "content-type"]);
        }
        Self {
            key: "signed",
            secret: SECRET.into(),
            method,
            target: target.to_owned(),
            origin: format!("https://localhost:{}", gateway.api.port()),
            fields,
            covered,
            parameters: format!("created={};keyid=\"signed\";nonce=\"{}\"", now(), nonce()),
            body: Bytes::copy_from_slice(body),
        }
    }

    fn put(gateway: &Gateway, path: &str, body: &[u8]) -> Self {
        Self::new(gateway, Method::PUT, &content_path(path), body)
    }

    fn json(gateway: &Gateway, target: &str, body: &Value) -> Self {
        let mut draft = Self::new(gateway, Method::POST, target, body.to_string().as_bytes());
        draft.set("content-type", "application/json");
        draft
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.fields.retain(|(field, _)| *field != name);
        self.fields.push((name, value.to_owned()));
    }

    /// Covers and sets one more field.
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.set(name, value);
        self.covered.push(name);
        self
    }

    fn base(&self) -> (String, String) {
        let covered = self.covered.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" ");
        let input = format!("({covered});{}", self.parameters);
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut base = String::new();
        for name in &self.covered {
            let value = match *name {
                "@method" => self.method.to_string(),
                "@target-uri" => format!("{}/api/v1{}", self.origin, self.target),
                "@authority" => self.origin.trim_start_matches("https://").to_owned(),
                "@path" => format!("/api/v1{path}"),
                "@query" => format!("?{query}"),
                field => self.fields.iter().find(|(name, _)| *name == field).unwrap().1.clone(),
            };
            writeln!(base, "\"{name}\": {value}").unwrap();
        }
        write!(base, "\"@signature-params\": {input}").unwrap();
        (base, input)
    }

    /// The two fields of the signature.
    fn signature(&self) -> [(&'static str, String); 2] {
        let (base, input) = self.base();
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).unwrap();
        mac.update(base.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        [("signature-input", format!("sig={input}")), ("signature", format!("sig=:{signature}:"))]
    }

    fn request(&self, rest: &Rest, signature: &[(&'static str, String)]) -> reqwest::RequestBuilder {
        let key = if self.key.is_empty() { String::new() } else { api_key(self.key) };
        let mut request = rest.with_key(&key).request(self.method.clone(), &self.target);
        for (name, value) in self.fields.iter().chain(signature) {
            request = request.header(*name, value);
        }
        if self.body.is_empty() { request } else { request.body(self.body.clone()) }
    }

    async fn send(&self, rest: &Rest) -> Answer {
        rest.send(self.request(rest, &self.signature())).await
    }

    /// Sends another request with this one's signature.
    async fn forged(&self, rest: &Rest, change: impl FnOnce(&mut Self)) -> Answer {
        let signature = self.signature();
        let mut other = self.clone();
        change(&mut other);
        rest.send(other.request(rest, &signature)).await
    }
}

fn refused(answer: &Answer, words: &str) {
    answer.problem(401, "unauthenticated");
    let said = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains(words), "`{words}` is not in: {said}");
    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
}

async fn a_key_that_demands_signatures_takes_nothing_else(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    for rest in [gateway.rest("signed"), gateway.rest_http1("signed")] {
        let unsigned = rest.put("/inbound/unsigned", b"x").await;
        refused(&unsigned, "must be signed");
        assert!(unsigned.header("accept-signature").contains("\"@method\" \"@target-uri\""), "{unsigned:?}");
        refused(&rest.get("/auth/validate").await, "must be signed");
        refused(&rest.with_key(&api_key("old")).get("/auth/validate").await, "or `X-Signature`");
        rest.with_key(&api_key("free")).get("/auth/validate").await.ok();

        let name = nonce();
        let path = format!("/inbound/{name}");
        let made = Draft::put(&gateway, &path, b"signed content").send(&rest).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.json()["file_id"].as_str().unwrap().to_owned();
        let read = Draft::new(&gateway, Method::GET, &content_path(&path), b"").send(&rest).await;
        assert_eq!(read.body, "signed content");
        Draft::json(&gateway, "/folders", &json!({ "path": format!("/inbound/f-{name}") })).send(&rest).await.ok();
        let moved = json!({ "path": format!("{path}-moved") });
        let patch = Draft { method: Method::PATCH, ..Draft::json(&gateway, &format!("/files/{id}"), &moved) };
        patch.send(&rest).await.ok();
        let parts = Draft {
            covered: vec!["@authority", "@query", "@method", "@path"],
            ..Draft::new(&gateway, Method::DELETE, &format!("/files/{id}"), b"")
        };
        assert_eq!(parts.send(&rest).await.status, 204);
        // A key that demands none has what is sent checked all the same.
        let free = Draft {
            key: "free",
            parameters: format!("created={};keyid=\"free\"", now()),
            ..Draft::put(&gateway, &path, b"free")
        };
        assert_eq!(free.send(&rest).await.status, 201);
        refused(&free.forged(&rest, |other| other.parameters.clear()).await, "used before");
        let wrong =
            Draft { secret: vec![7; 32], parameters: format!("created={};keyid=\"free\";nonce=\"2\"", now()), ..free };
        refused(&wrong.send(&rest).await, "is not right");
    }
    let denied = gateway.rest("orders").pages("/audit?operation=login&outcome=denied&login=signed", "entries").await;
    assert_eq!(denied.len(), 1, "once in a while: {denied:?}");
    assert_eq!(denied[0]["identity"], "orders-app", "{:?}", denied[0]);
}

async fn whatever_is_changed_is_refused(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let orders = gateway.rest("orders");
    let file = orders.put("/inbound/stays", b"as it was").await.ok();
    let one = format!("/files/{}", file["file_id"].as_str().unwrap());
    for rest in [gateway.rest("signed"), gateway.rest_http1("signed")] {
        let put = || Draft::put(&gateway, "/inbound/attack", b"signed content");
        let get = |target: &str| Draft::new(&gateway, Method::GET, target, b"");
        let wrong = "is not right";

        let answer = put().forged(&rest, |r| r.body = "other content!".into()).await;
        answer.problem(422, "digest_mismatch");
        // The digest changed with it.
        let signed = put();
        let both = signed.forged(&rest, |r| {
            r.body = "other content!".into();
            r.set("content-digest", &digest(&r.body.clone()));
        });
        refused(&both.await, wrong);
        put().forged(&rest, |r| r.body = Bytes::new()).await.problem(422, "digest_mismatch");
        refused(&put().forged(&rest, |r| r.set("content-type", "text/html")).await, wrong);
        refused(&put().forged(&rest, |r| r.fields.push(("content-type", "text/html".into()))).await, wrong);
        refused(&put().forged(&rest, |r| r.target = content_path("/inbound/attack2")).await, wrong);
        refused(&put().forged(&rest, |r| r.target = content_path("/inbound/Attack")).await, wrong);
        refused(&put().forged(&rest, |r| r.target.push_str("&x=1")).await, wrong);
        // What changes the meaning, and was not there when it was signed.
        for (name, value) in [("if-match", "*"), ("upload-complete", "?0"), ("content-range", "bytes 0-1/*")] {
            refused(
                &put().forged(&rest, |r| r.fields.push((name, value.into()))).await,
                &format!("does not cover \"{name}\""),
            );
        }
        let listed = get("/files?path=/inbound&limit=5");
        refused(&listed.forged(&rest, |r| r.target = "/files?limit=5&path=/inbound".into()).await, wrong);
        refused(&listed.forged(&rest, |r| r.target = "/files?path=%2Finbound&limit=5".into()).await, wrong);
        refused(&get(&one).forged(&rest, |r| r.method = Method::DELETE).await, wrong);
        refused(&get(&one).forged(&rest, |r| r.target = one.to_uppercase()).await, wrong);
        // Another gateway's name.
        refused(&Draft { origin: "https://elsewhere.example".into(), ..put() }.send(&rest).await, wrong);
        // Old, of the future, expired, without what it needs.
        let at = |parameters: String| Draft { parameters, ..put() };
        refused(&at(format!("created={};keyid=\"signed\"", now() - 400)).send(&rest).await, "older than 300 seconds");
        refused(&at(format!("created={};keyid=\"signed\"", now() + 400)).send(&rest).await, "from the future");
        refused(&at(format!("created={0};expires={0};keyid=\"signed\"", now() - 1)).send(&rest).await, "expired");
        refused(&at("keyid=\"signed\"".into()).send(&rest).await, "no `created`");
        refused(&at(format!("created={}", now())).send(&rest).await, "no `keyid`");
        refused(&at(format!("created={};keyid=\"old\"", now())).send(&rest).await, "another `keyid`");
        refused(&at(format!("created={};keyid=\"signed\";alg=\"none\"", now())).send(&rest).await, "`alg`");
        refused(&at(format!("created={};keyid=\"signed\";alg=\"ed25519\"", now())).send(&rest).await, wrong);
        refused(&Draft { secret: b"the secret of somebody else, as long".to_vec(), ..put() }.send(&rest).await, wrong);
        // HMAC under the public key, which everybody knows.
        for public in [STANDARD.decode(ED25519).unwrap()[12..].to_vec(), ED25519.as_bytes().to_vec()] {
            refused(&Draft { secret: public, ..put() }.send(&rest).await, wrong);
        }
        for left_out in ["@method", "@target-uri", "content-digest", "content-type"] {
            let mut some = put();
            some.covered.retain(|name| *name != left_out);
            refused(&some.send(&rest).await, &format!("does not cover \"{left_out}\""));
        }
        // Nothing that cannot be read is passed over.
        for (name, value, said) in [
            ("signature", "sig=:AAAA:", "is not right"),
            ("signature", "other=:AAAA:", "no signature"),
            ("signature", "!", "no dictionary"),
            ("signature-input", "sig=(\"@status\")", "@status"),
            ("signature-input", "sig=(\"@method\";req)", "leave `req` out"),
            ("signature-input", "sig=(\"@method\"", "no dictionary"),
        ] {
            let mut signature = put().signature();
            signature.iter_mut().filter(|(field, _)| *field == name).for_each(|(_, old)| value.clone_into(old));
            refused(&rest.send(put().request(&rest, &signature)).await, said);
        }
        let [input, signature] = put().signature();
        refused(&rest.send(put().request(&rest, std::slice::from_ref(&input))).await, "no signature");
        refused(&rest.send(put().request(&rest, std::slice::from_ref(&signature))).await, "no `Signature-Input`");
        refused(&put().forged(&rest, |r| r.key = "").await, "belongs to an API key");
        refused(&put().forged(&rest, |r| r.key = "orders").await, "leave the signature out");
    }
    let names: Vec<String> = orders.tree("/inbound").await.into_keys().collect();
    assert_eq!(names, ["/inbound/stays"], "nothing came of any of them");
    assert_eq!(orders.read("/inbound/stays").await.body, "as it was");
    assert_eq!(orders.get("/uploads").await.ok()["uploads"], json!([]), "nor anything to go on with");
}

async fn each_signature_counts_once(ledger: Ledger) {
    let mut gateway = plan(ledger).start().await;
    let rest = gateway.rest("signed");
    let put = Draft::put(&gateway, "/inbound/once", b"once");
    assert_eq!(put.send(&rest).await.status, 201);
    refused(&put.send(&rest).await, "used before");
    // Under another label it is the same.
    let [(_, input), (_, signature)] = put.signature();
    let renamed =
        [("signature-input", input.replacen("sig=", "x=", 1)), ("signature", signature.replacen("sig=", "x=", 1))];
    refused(&rest.send(put.request(&rest, &renamed)).await, "used before");
    // Many at once: one comes through.
    let many = Draft::put(&gateway, "/inbound/many", b"many");
    let answers = futures::future::join_all((0..8).map(|_| many.send(&rest))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    // Reading changes nothing, and may be asked again.
    let get = Draft::new(&gateway, Method::GET, &content_path("/inbound/once"), b"");
    for _ in 0..2 {
        assert_eq!(get.send(&rest).await.body, "once");
    }
    if ledger == Ledger::Postgres {
        let other = gateway.beside(|plan| plan).await;
        // As it was signed, at the other node.
        let moved = Draft { origin: put.origin.clone(), ..put.clone() };
        let host = put.origin.trim_start_matches("https://").to_owned();
        let request = moved.request(&other.rest_http1("signed"), &moved.signature()).header("host", host);
        refused(&rest.send(request).await, "used before");
    }
    // Over a restart too.
    gateway.kill().await;
    gateway.start().await;
    let again = gateway.rest_http1("signed");
    let host = put.origin.trim_start_matches("https://").to_owned();
    refused(&again.send(put.request(&again, &put.signature()).header("host", host)).await, "used before");
}

on_both_ledgers!(
    a_key_that_demands_signatures_takes_nothing_else,
    whatever_is_changed_is_refused,
    each_signature_counts_once,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_gateways_own_names_are_signed_for() {
    let gateway = plan(Ledger::Sqlite)
        .api("public_url = \"https://files.example/gw\"")
        .api("signature_hosts = [\"10.0.0.5:8443\"]")
        .start()
        .await;
    let rest = gateway.rest_http1("signed");
    let send = async |origin: &str, host: &str| {
        let draft = Draft { origin: origin.to_owned(), ..Draft::put(&gateway, &format!("/inbound/{}", nonce()), b"x") };
        rest.send(draft.request(&rest, &draft.signature()).header("host", host)).await
    };
    // Through a proxy that takes `/gw` away, with and without the `Host` that was called; and by the other name.
    for (origin, host) in [
        ("https://files.example/gw", "files.example"),
        ("https://files.example", "files.example:443"),
        ("https://files.example/gw", "internal:8443"),
        ("https://10.0.0.5:8443", "10.0.0.5:8443"),
    ] {
        let answer = send(origin, host).await;
        assert_eq!(answer.status, 201, "{origin} {host}: {answer:?}");
    }
    // What was signed for another gateway, whatever the request itself says.
    for (origin, host) in [
        ("https://other.example", "other.example"),
        ("https://other.example", "files.example"),
        ("https://other.example/gw", "10.0.0.5:8443"),
        ("http://files.example/gw", "files.example"),
        ("https://files.example:8443/gw", "files.example"),
    ] {
        refused(&send(origin, host).await, "is not right");
    }
}

/// A body in pieces, whose length is not announced.
fn chunked(body: &[u8]) -> reqwest::Body {
    let pieces: Vec<std::io::Result<Bytes>> =
        body.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    reqwest::Body::wrap_stream(stream::iter(pieces))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_chunked_bodies_are_checked_to_their_end() {
    let gateway = plan(Ledger::Sqlite).uploads("checkpoint = \"1 MiB\"").start().await;
    let orders = gateway.rest("orders");
    let mut random = Random::seeded("signed bodies");
    for (n, size) in [100_usize, 900_000, 1 << 20, (1 << 20) + 1, 9_000_000].into_iter().enumerate() {
        let content = random.bytes(size);
        let mut other = content.to_vec();
        *other.last_mut().unwrap() ^= 1;
        for (name, rest) in [("h2", gateway.rest("signed")), ("h1", gateway.rest_http1("signed"))] {
            for whole in [true, false] {
                let path = format!("/inbound/{name}-{n}-{whole}");
                let put = Draft::put(&gateway, &path, &content);
                let send = async |body: &[u8], draft: &Draft| {
                    let request = draft.request(&rest, &draft.signature());
                    let body = if whole { reqwest::Body::from(body.to_vec()) } else { chunked(body) };
                    rest.send(request.body(body)).await
                };
                send(&other, &put).await.problem(422, "digest_mismatch");
                assert_eq!(orders.read(&path).await.status, 404, "{path}");
                assert_eq!(orders.get("/uploads").await.ok()["uploads"], json!([]), "{path}");
                let put = Draft::put(&gateway, &path, &content);
                let made = send(&content, &put).await;
                assert_eq!((made.status, made.json()["hash"].as_str()), (201, Some(&*sha256(&content))), "{path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_way_to_upload_publishes_what_was_not_signed() {
    let gateway = plan(Ledger::Sqlite).start().await;
    let orders = gateway.rest("orders");
    let content = Random::seeded("64 MiB").bytes(64 << 20);
    let mut other = content.to_vec();
    other[63 << 20] ^= 1;
    let other = Bytes::from(other);
    for rest in [gateway.rest("signed"), gateway.rest_http1("signed")] {
        let digest = digest(&content);
        let wrong = async |draft: Draft, status: u16| {
            let answer = draft.forged(&rest, |r| r.body = other.clone()).await;
            answer.problem(status, "digest_mismatch");
        };
        let over = |method: Method, target: &str| {
            let mut draft = Draft::new(&gateway, method, target, b"x");
            draft.set("content-digest", &digest);
            draft
        };
        wrong(over(Method::PUT, &content_path("/inbound/put")), 422).await;
        wrong(over(Method::PUT, &content_path("/inbound/draft")).with("upload-complete", "?1"), 422).await;

        // The form's digest is that of the whole form.
        let form = |content: &[u8]| {
            let head = "--cut\r\ncontent-disposition: form-data; name=\"destination\"\r\n\r\n/inbound\r\n--cut\r\ncontent-disposition: form-data; name=\"file\"; filename=\"form\"\r\n\r\n";
            [head.as_bytes(), content, b"\r\n--cut--\r\n"].concat()
        };
        let mut upload = Draft::new(&gateway, Method::POST, "/files/upload", b"x");
        upload.set("content-digest", &self::digest(&form(&content)));
        upload.set("content-type", "multipart/form-data; boundary=cut");
        upload.forged(&rest, |r| r.body = form(&other).into()).await.problem(422, "digest_mismatch");

        let begin = json!({ "path": "/inbound/chunks", "size": 64 << 20, "chunk_size": 64 << 20 });
        let begun = Draft::json(&gateway, "/uploads", &begin).send(&rest).await.ok();
        let id = begun["session_id"].as_str().unwrap().to_owned();
        wrong(over(Method::PUT, &format!("/uploads/{id}/chunks/0")), 422).await;
        wrong(over(Method::PUT, &format!("/uploads/{id}/content")).with("content-range", "bytes 0-67108863/*"), 422)
            .await;
        let mut part = over(Method::PATCH, &format!("/uploads/{id}/content"))
            .with("upload-complete", "?1")
            .with("upload-offset", "0");
        part.set("content-type", "application/partial-upload");
        wrong(part, 422).await;
        let mut tus = over(Method::PATCH, &format!("/tus/{id}")).with("upload-offset", "0");
        tus.set("content-type", "application/offset+octet-stream");
        tus.fields.push(("tus-resumable", "1.0.0".into()));
        // tus has a status of its own for it.
        wrong(tus, 460).await;
        let upload = orders.get(&format!("/uploads/{id}")).await.ok();
        assert_eq!((&upload["bytes"], &upload["received"]), (&json!(0), &json!([])), "{upload}");
        assert_eq!(orders.delete(&format!("/uploads/{id}")).await.status, 204);

        // To a route whose body is no content nothing large comes at all. (No more than a client can be rid of before it hears that.)
        let folder = over(Method::POST, "/folders");
        folder.forged(&rest, |r| r.body = content.slice(..2 << 20)).await.problem(413, "body_too_large");
    }
    assert_eq!(orders.tree("/inbound").await, std::collections::BTreeMap::default());
    for upload in orders.get("/uploads").await.ok()["uploads"].as_array().unwrap() {
        assert_eq!(upload["bytes"], 0, "of what was begun nothing came: {upload}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_off_was_not_signed() {
    use crate::harness::http::Http;

    let mut gateway = plan(Ledger::Sqlite).uploads("checkpoint = \"1 MiB\"").start().await;
    let content = Random::seeded("half").bytes(8 << 20);
    for end in ["cut", "kill"] {
        let put = Draft::put(&gateway, "/inbound/half", &content);
        let mut head = format!("PUT /api/v1{} HTTP/1.1\r\nHost: localhost:{}\r\n", put.target, gateway.api.port());
        write!(head, "Authorization: Bearer {}\r\nContent-Length: {}\r\n", api_key("signed"), content.len()).unwrap();
        for (name, value) in put.fields.iter().chain(&put.signature()) {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let mut client = Http::connect(&gateway).await;
        client.send(format!("{head}\r\n")).await;
        client.send(&content[..5 << 20]).await;
        // It has begun: over SFTP its own identity would see it.
        let rest = gateway.rest("orders");
        crate::harness::eventually("the upload is there", Duration::from_secs(20), async || {
            let uploads = rest.get("/uploads").await.ok();
            (!uploads["uploads"].as_array().unwrap().is_empty()).then_some(())
        })
        .await;
        if end == "cut" {
            client.end(false).await;
            crate::harness::eventually("it is given up", Duration::from_secs(20), async || {
                (rest.get("/uploads").await.ok()["uploads"] == json!([])).then_some(())
            })
            .await;
        } else {
            gateway.kill().await;
            gateway.start().await;
            let uploads = gateway.rest("orders").get("/uploads").await.ok();
            assert!(uploads["uploads"].as_array().unwrap().iter().all(|upload| upload["bytes"] == 0), "{uploads}");
        }
        assert_eq!(gateway.rest("orders").read("/inbound/half").await.status, 404);
    }
}
