//! What receivers of webhooks get, how often and in which order: from receivers that are down, hang, flap, answer all that there is to be
//! answered, are gone for days, and at a gateway that is killed meanwhile.

mod cluster;
mod libraries;
mod targets;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::webhooks::Post;
use crate::harness::{Ledger, Plan, Receiver, Reply, Rest, eventually, on_both_ledgers, sha256};
use crate::webhooks_rest::{deliveries, hooked, shown, until};

on_both_ledgers!(
    what_a_killed_gateway_owes_arrives,
    one_that_hangs_delays_nobody,
    one_that_flaps_gets_each_once_and_in_order,
    one_that_keeps_failing_is_probed_and_not_hammered,
    one_that_fails_for_long_is_disabled_and_comes_back,
    a_dead_letter_frees_its_file,
);

/// Waits of milliseconds, and a circuit that opens where a test says so.
fn rules(breaker_failures: u32, breaker_pause: &str) -> String {
    format!(
        "webhook_first_wait = \"20ms\"\nwebhook_longest_wait = \"100ms\"\n\
         webhook_breaker_failures = {breaker_failures}\nwebhook_breaker_pause = \"{breaker_pause}\""
    )
}

/// A plan under these rules whose deliveries never become dead letters.
fn tireless(ledger: Ledger, breaker_failures: u32, breaker_pause: &str) -> Plan {
    Plan::new(ledger).events(&rules(breaker_failures, breaker_pause)).max_attempts(1000)
}

/// The hashes of what each file was, one after the other.
#[derive(Default)]
struct Told(BTreeMap<String, Vec<String>>);

impl Told {
    /// Uploads further versions of each file: the first of each before the second of any.
    async fn upload(&mut self, admin: &Rest, names: &[&str], versions: usize) {
        for _ in 0..versions {
            for name in names {
                let hashes = self.0.entry(format!("/inbound/{name}")).or_default();
                let content = format!("{name}, version {}", hashes.len());
                let answer = admin.upload("/inbound", name, content.as_bytes(), true).await;
                assert_eq!(answer.status, 201, "{answer:?}");
                hashes.push(sha256(content.as_bytes()));
            }
        }
    }

    fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Fails unless each upload was accepted once, in order for each file, and no attempt at a later one began before that.
    fn assert_told(&self, posts: &[Post]) {
        let mut accepted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut tried = accepted.clone();
        for post in posts.iter().filter(|post| post.kind() == "file.uploaded") {
            let hash = post.hash().to_owned();
            let attempts = tried.entry(post.path().to_owned()).or_default();
            if attempts.last() != Some(&hash) {
                attempts.push(hash.clone());
            }
            if post.is_accepted() {
                accepted.entry(post.path().to_owned()).or_default().push(hash);
            }
        }
        assert_eq!(accepted, self.0, "what was accepted");
        assert_eq!(tried, self.0, "what was tried");
        // An event has one id, whatever becomes of it, and no other event has it.
        let ids: BTreeMap<&str, &Value> = posts.iter().map(|post| (&*post.id, &post.event)).collect();
        assert!(posts.iter().all(|post| *ids[&*post.id] == post.event), "{posts:?}");
    }
}

/// Since 1970.
fn seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

async fn what_a_killed_gateway_owes_arrives(ledger: Ledger) {
    let receiver = Receiver::down();
    let plan = tireless(ledger, 1000, "30s").webhook_timeout("20s");
    let mut gateway = plan.webhook("hook", &receiver, &["file.uploaded"]).start().await;
    let admin = gateway.rest("orders");
    let mut told = Told::default();
    told.upload(&admin, &["a", "b", "c"], 3).await;
    eventually("failed attempts", Duration::from_secs(30), || async {
        let waiting = deliveries(&admin, "hook", "pending").await;
        let tried = |one: &Value| one["attempts"].as_i64() > Some(1);
        // The first of each file was tried; what comes behind it was not.
        assert!(waiting.iter().filter(|one| one["attempts"] != 0).count() <= 3, "{waiting:?}");
        (waiting.len() == 9 && waiting.iter().filter(|one| tried(one)).count() == 3).then_some(())
    })
    .await;
    gateway.kill().await;
    gateway.start().await;
    let admin = gateway.rest("orders");
    told.upload(&admin, &["a", "b"], 1).await;
    receiver.up();
    receiver.until_accepted(told.count()).await;
    told.assert_told(&receiver.posts());
    until(&admin, "hook", "delivered", told.count()).await;
    let before = receiver.posts().len();
    assert_eq!(before, told.count(), "each once: nobody was there before");

    // Killed while the receiver has three and has answered none.
    receiver.reply([Reply::Silence, Reply::Silence, Reply::Silence]);
    told.upload(&admin, &["a", "b", "c"], 2).await;
    let hung = receiver.until("three without an answer", |posts| posts.len() == before + 3).await.split_off(before);
    gateway.kill().await;
    gateway.start().await;
    receiver.until_accepted(told.count()).await;
    let posts = receiver.posts();
    told.assert_told(&posts);
    assert_eq!(posts.len(), told.count() + 3, "what was answered is not sent again, what was not is");
    for first in hung {
        let again: Vec<&Post> = posts.iter().filter(|post| post.id == first.id).collect();
        assert_eq!(again.len(), 2, "{again:?}");
        assert_eq!(again[0].event, again[1].event);
        assert!(again[1].timestamp >= again[0].timestamp, "signed anew: {again:?}");
    }
    let admin = gateway.rest("orders");
    until(&admin, "hook", "delivered", told.count()).await;
    gateway.stop().await;
}

async fn one_that_hangs_delays_nobody(ledger: Ledger) {
    let fast = Receiver::start().await;
    let gateway = tireless(ledger, 10, "30s").webhook_timeout("50s").start().await;
    let admin = gateway.rest("orders");
    let mut hanging = Vec::new();
    for id in ["one", "two", "three"] {
        let receiver = Receiver::start().await;
        receiver.usually(Reply::Silence);
        hooked(&admin, id, &receiver).await;
        hanging.push(receiver);
    }
    hooked(&admin, "fast", &fast).await;
    let names: Vec<String> = (0..20).map(|n| format!("f{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut told = Told::default();
    told.upload(&admin, &names, 1).await;
    told.upload(&admin, &["f0", "f1"], 2).await;
    fast.until_accepted(told.count()).await;
    told.assert_told(&fast.posts());
    // None of the others has ended an attempt: they have as many as there may be at once, of one file each, and not one more.
    for receiver in &hanging {
        let posts = receiver.until("all that may be under way", |posts| posts.len() >= 8).await;
        assert_eq!(posts.len(), 8, "{posts:?}");
        let paths: BTreeSet<&str> = posts.iter().map(Post::path).collect();
        assert_eq!(paths.len(), 8, "{paths:?}");
    }
    // One of them is sent elsewhere, which is not waited for by one that is new.
    let elsewhere = Receiver::start().await;
    let patch = admin
        .request(reqwest::Method::PATCH, "/webhooks/one")
        .header("content-type", "application/json")
        .body(json!({ "url": elsewhere.url() }).to_string());
    admin.send(patch).await.ok();
    let late = Receiver::start().await;
    hooked(&admin, "late", &late).await;
    told.upload(&admin, &["f2"], 1).await;
    late.until_accepted(1).await;
    elsewhere.until_accepted(told.count()).await;
    told.assert_told(&elsewhere.posts());
}

async fn one_that_flaps_gets_each_once_and_in_order(ledger: Ledger) {
    let receiver = Receiver::start().await;
    let flaps = [500, 200, 503, 204, 400, 404, 202, 302, 502, 200];
    receiver.reply(flaps.iter().cycle().take(40).map(|status| Reply::Status(*status)));
    let mut gateway = tireless(ledger, 10, "30s").webhook("hook", &receiver, &["file.uploaded"]).start().await;
    let admin = gateway.rest("orders");
    let mut told = Told::default();
    told.upload(&admin, &["a", "b", "c", "d"], 6).await;
    receiver.until_accepted(told.count()).await;
    told.assert_told(&receiver.posts());
    let done = until(&admin, "hook", "delivered", told.count()).await;
    let attempts: i64 = done.iter().map(|one| one["attempts"].as_i64().unwrap()).sum();
    assert_eq!(attempts, receiver.posts().len() as i64, "every attempt is counted");
    assert!(attempts > told.count() as i64, "it has refused some");
    let seen = shown(&admin, "hook").await;
    assert_eq!((&seen["circuit"]["state"], &seen["circuit"]["failures"]), (&json!("closed"), &json!(0)), "{seen}");
    gateway.stop().await;
}

async fn one_that_keeps_failing_is_probed_and_not_hammered(ledger: Ledger) {
    let receiver = Receiver::start().await;
    receiver.usually(Reply::Status(500));
    let mut gateway = tireless(ledger, 3, "400ms").webhook("hook", &receiver, &["file.uploaded"]).start().await;
    let admin = gateway.rest("orders");
    let mut told = Told::default();
    told.upload(&admin, &["a"], 4).await;
    // What comes now is not sent but as a probe, although each of it is due.
    let seen = eventually("the circuit to open", Duration::from_secs(30), || async {
        let seen = shown(&admin, "hook").await;
        (seen["circuit"]["state"] != "closed").then_some(seen)
    })
    .await;
    assert!(seen["circuit"]["failures"].as_i64() >= Some(3) && seen["circuit"]["probe_at"].is_string(), "{seen}");
    told.upload(&admin, &["b", "c", "d", "e", "f", "g"], 1).await;
    let posts = receiver.until("three probes", |posts| posts.len() >= 6).await;
    let gaps: Vec<u128> = posts.windows(2).map(|two| (two[1].at - two[0].at).as_millis()).collect();
    // The pause less its random half, twice as long each time. (A clock that is set a little meanwhile is forgiven.)
    for (gap, least) in gaps[2..].iter().zip([200, 400, 800]) {
        assert!(*gap + 10 >= least, "{gaps:?}");
    }
    assert_ne!(shown(&admin, "hook").await["circuit"]["state"], "closed");
    receiver.usually(Reply::Status(200));
    receiver.until_accepted(told.count()).await;
    told.assert_told(&receiver.posts());
    until(&admin, "hook", "delivered", told.count()).await;
    assert_eq!(shown(&admin, "hook").await["circuit"]["state"], "closed");
    gateway.stop().await;
}

async fn one_that_fails_for_long_is_disabled_and_comes_back(ledger: Ledger) {
    let (receiver, witness) = (Receiver::start().await, Receiver::start().await);
    receiver.usually(Reply::Status(503));
    let mut gateway = tireless(ledger, 2, "50ms").events("webhook_disable_after = \"1s\"").start().await;
    let admin = gateway.rest("orders");
    hooked(&admin, "mine", &receiver).await;
    hooked(&admin, "witness", &witness).await;
    let mut told = Told::default();
    told.upload(&admin, &["a", "b"], 2).await;
    let heard = witness.until("the end", |posts| posts.iter().any(|post| post.kind() == "webhook.disabled")).await;
    let data = &heard.iter().find(|post| post.kind() == "webhook.disabled").unwrap().event["data"];
    assert_eq!((&data["webhook"], &data["reason"]), (&json!("mine"), &json!("the endpoint has failed for too long")));
    assert!(data["failures"].as_i64() >= Some(2), "{data}");
    let seen = shown(&admin, "mine").await;
    assert_eq!(seen["disabled"]["reason"], data["reason"], "{seen}");
    let dead = until(&admin, "mine", "dead", told.count()).await;
    let results: Vec<&str> = dead.iter().map(|one| one["last_result"].as_str().unwrap()).collect();
    assert!(results.contains(&"the webhook was disabled"), "{results:?}");
    let entries = admin.pages("/audit?operation=admin&limit=200", "entries").await;
    assert!(json!(entries).to_string().contains("the endpoint has failed for too long"), "{entries:?}");

    // Nothing more goes there, though it would be accepted now.
    receiver.usually(Reply::Status(200));
    let before = receiver.posts().len();
    told.upload(&admin, &["c"], 1).await;
    witness.until("c", |posts| posts.iter().any(|post| post.path() == "/inbound/c")).await;
    assert_eq!(receiver.posts().len(), before);

    admin.post_json("/webhooks/mine/enable", &json!({})).await.ok();
    let replayed = admin.post_json("/webhooks/mine/replay", &json!({ "since": "2020-01-01T00:00:00Z" })).await.ok();
    assert_eq!(replayed["queued"], told.count() + 1, "all uploads, and that it was disabled: {replayed}");
    receiver.until_accepted(told.count() + 1).await;
    told.assert_told(&receiver.posts().split_off(before));
    told.assert_told(&witness.posts());
    assert!(deliveries(&admin, "mine", "dead").await.is_empty());
    gateway.stop().await;
}

async fn a_dead_letter_frees_its_file(ledger: Ledger) {
    let receiver = Receiver::start().await;
    receiver.reply([Reply::Status(500), Reply::Status(400)]);
    let plan = Plan::new(ledger).events(&rules(1000, "30s")).max_attempts(2);
    let mut gateway = plan.webhook("hook", &receiver, &["file.uploaded"]).start().await;
    let admin = gateway.rest("orders");
    let mut told = Told::default();
    told.upload(&admin, &["a"], 3).await;
    until(&admin, "hook", "delivered", 2).await;
    let dead = until(&admin, "hook", "dead", 1).await;
    let event = dead[0]["event_id"].as_str().unwrap();
    let posts = receiver.posts();
    let hashes: Vec<&str> = posts.iter().map(Post::hash).collect();
    let versions = &told.0["/inbound/a"];
    assert_eq!(hashes, [&versions[0], &versions[0], &versions[1], &versions[2]]);
    assert!(posts[0].id == event && posts[1].id == event && posts[2].id != event, "{posts:?}");
    let again = format!("/webhooks/hook/deliveries/{event}/redeliver");
    assert_eq!(admin.post_json(&again, &json!({})).await.status, 202);
    let posts = receiver.until("the dead letter", |posts| posts.len() == 5).await;
    assert_eq!((&*posts[4].id, &posts[4].event), (event, &posts[0].event));
    until(&admin, "hook", "delivered", 3).await;
    assert!(deliveries(&admin, "hook", "dead").await.is_empty());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_answered_is_judged_as_the_contract_says() {
    let receiver = Receiver::start().await;
    let date = SystemTime::now() + Duration::from_secs(3);
    receiver.reply([
        Reply::Status(500),
        Reply::Status(404),
        Reply::Status(301),
        Reply::Status(308),
        Reply::CutHead,
        Reply::Later(429, "1".to_owned()),
        Reply::Later(503, httpdate::fmt_http_date(date)),
        Reply::Later(500, "soon".to_owned()),
        // Its status has come, so that it counts, whatever becomes of the rest.
        Reply::CutBody(200),
        Reply::Endless(202),
        Reply::Status(204),
    ]);
    let plan = tireless(Ledger::Sqlite, 1000, "10ms").webhook("hook", &receiver, &["file.uploaded"]);
    let mut gateway = plan.start().await;
    let admin = gateway.rest("orders");
    let mut told = Told::default();
    told.upload(&admin, &["a"], 3).await;
    receiver.until_accepted(told.count()).await;
    let done = until(&admin, "hook", "delivered", told.count()).await;
    let posts = receiver.posts();
    told.assert_told(&posts);
    let answered: Vec<u16> = posts.iter().map(|post| post.answered).collect();
    assert_eq!(answered, [500, 404, 301, 308, 0, 429, 503, 500, 200, 202, 204], "no redirect is followed, either");
    // `Retry-After` in both forms; and each attempt is signed for its own moment.
    assert!(posts[6].at - posts[5].at >= Duration::from_millis(990) && posts[6].timestamp > posts[5].timestamp);
    assert!(posts[7].timestamp >= seconds(date), "{posts:?}");
    // Of the body without an end so much was taken as fits into buffers on the way, and a little more.
    assert!(receiver.taken() < 32 * 1024 * 1024, "{}", receiver.taken());
    // The newest first.
    let results: Vec<Value> = done.iter().map(|one| json!([one["attempts"], one["last_result"]])).collect();
    assert_eq!(json!(results), json!([[1, "204"], [1, "202"], [9, "200"]]));
    gateway.stop().await;
}
