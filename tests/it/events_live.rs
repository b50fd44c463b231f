//! Events, pulled and live: whoever reads by cursor and whoever is told as it happens learn the same, in the same order, and nothing that
//! is none of their business.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::harness::rest::encode;
use crate::harness::{Events, Gateway, Ledger, Plan, Rest, Sftp, eventually, on_both_ledgers};
use crate::live_sessions::{session_of, told};
use crate::spine::{events_come, events_of};

on_both_ledgers!(
    all_readers_learn_the_same,
    a_stream_goes_on_where_it_was_cut,
    filters_are_those_of_the_list,
    what_is_none_of_a_readers_business_never_comes,
    a_stream_ends_with_what_let_its_reader_in,
    silence_is_filled_and_a_stop_waits_for_no_reader,
    too_many_streams_are_refused,
);

const LONG: Duration = Duration::from_mins(2);
/// Before the first event.
const BEGINNING: &str = "00000000-0000-0000-0000-000000000000";
const LAST: &str = "/inbound/the-last-one";
/// Files that each writer makes.
const FILES: usize = 8;
/// What becomes of each.
const LIFE: [&str; 4] = ["file.uploaded", "file.uploaded", "file.renamed", "file.deleted"];

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}

fn is_about(event: &Value, path: &str) -> bool {
    event["data"]["path"] == path && event["type"] == "file.uploaded"
}

/// Makes files, writes them again, renames and removes them.
async fn write_over_rest(rest: Rest, lane: usize) {
    for n in 0..FILES {
        let path = format!("/inbound/{lane}-{n}");
        let made = rest.put(&path, b"one").await.ok();
        rest.put(&path, b"two").await.ok();
        let file = format!("/files/{}", text(&made, "file_id"));
        let change = rest.request(Method::PATCH, &file).header("content-type", "application/json");
        rest.send(change.body(json!({ "path": format!("{path}-renamed") }).to_string())).await.ok();
        assert_eq!(rest.delete(&file).await.status, 204);
    }
}

async fn write_over_sftp(mut sftp: Sftp, lane: usize) {
    for n in 0..FILES {
        let path = format!("/inbound/{lane}-{n}");
        sftp.put(&path, b"one").await.unwrap();
        sftp.put(&path, b"two").await.unwrap();
        sftp.rename(&path, &format!("{path}-renamed")).await.unwrap();
        sftp.remove(&format!("{path}-renamed")).await.unwrap();
    }
}

/// Reads pages behind an event until the last one has come, and asks again where there was no more.
async fn read_by_cursor(rest: Rest, mut after: String) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    while !out.last().is_some_and(|event| is_about(event, LAST)) {
        let page = rest.get(&format!("/events?type=file.*&limit=3&after={after}")).await.ok();
        let events = page["events"].as_array().unwrap();
        let last = events.last().map_or(&*after, |event| text(event, "id"));
        assert_eq!(page["last_id"], last, "{page}");
        if page["next_cursor"].is_null() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        } else {
            assert_eq!((&page["next_cursor"], events.len()), (&page["last_id"], 3), "{page}");
        }
        out.extend(events.iter().cloned());
        after = text(&page, "last_id").to_owned();
    }
    out
}

async fn read_live(mut events: Events) -> Vec<Value> {
    events.until(|event| is_about(event, LAST)).await
}

/// Reads a few events, hangs up, and comes again with the id of the last one, to one node after the other.
async fn read_in_pieces(nodes: Vec<Rest>, mut last: String) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for (turn, rest) in nodes.iter().cycle().enumerate() {
        let mut events = Events::open(rest, "?type=file.*", Some(&last)).await;
        for _ in 0..=turn % 7 {
            out.push(events.next().await.expect("the stream goes on"));
            last = events.last_id.clone().unwrap();
            if out.last().is_some_and(|event| is_about(event, LAST)) {
                return out;
            }
        }
    }
    out
}

async fn all_readers_learn_the_same(ledger: Ledger) {
    let one = Plan::new(ledger).start().await;
    let two = if ledger == Ledger::Postgres { Some(one.beside(|plan| plan).await) } else { None };
    let nodes: Vec<&Gateway> = std::iter::once(&one).chain(two.as_ref()).collect();
    let rest = one.rest("orders");
    // Where no reader says where to begin it begins now: what was before does not come.
    rest.put("/inbound/before", b"x").await.ok();
    let before = text(&events_come(&rest, "file.uploaded", "/inbound/before", 1).await[0], "id").to_owned();
    let mut readers = Vec::new();
    for node in &nodes {
        let live = Events::open(&node.rest("orders"), "?type=file.*", None).await;
        readers.push(tokio::spawn(read_live(live)));
        readers.push(tokio::spawn(read_by_cursor(node.rest("orders"), before.clone())));
        let others = nodes.iter().map(|node| node.rest("orders")).collect();
        readers.push(tokio::spawn(read_in_pieces(others, before.clone())));
    }
    let mut writers = Vec::new();
    let lanes = 6;
    for lane in 0..lanes {
        let node = nodes[lane / 2 % nodes.len()];
        writers.push(if lane % 2 == 0 {
            tokio::spawn(write_over_rest(node.rest("orders"), lane))
        } else {
            tokio::spawn(write_over_sftp(node.sftp("edi01").await, lane))
        });
    }
    for writer in writers {
        tokio::time::timeout(LONG, writer).await.expect("the writers come to their end").unwrap();
    }
    rest.put(LAST, b"x").await.ok();
    let mut told = Vec::new();
    for reader in readers {
        told.push(tokio::time::timeout(LONG, reader).await.expect("every reader comes to the end").unwrap());
    }
    let ids = |events: &[Value]| events.iter().map(|event| text(event, "id").to_owned()).collect::<Vec<_>>();
    let first = ids(&told[0]);
    for (reader, events) in told.iter().enumerate() {
        assert_eq!(ids(events), first, "reader {reader}");
        assert_eq!(events, &told[0], "reader {reader} has other words for them");
    }
    let mut lives: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in &told[0] {
        lives.entry(text(&event["data"], "file_id")).or_default().push(text(event, "type"));
    }
    let whole = lives.values().filter(|life| **life == LIFE).count();
    assert_eq!(
        (whole, lives.len()),
        (lanes * FILES, lanes * FILES + 1),
        "each file's events in their order: {lives:?}"
    );
}

async fn a_stream_goes_on_where_it_was_cut(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    for (n, rest) in [gateway.rest("orders"), gateway.rest_http1("orders")].into_iter().enumerate() {
        let (one, two) = (format!("/inbound/one-{n}"), format!("/inbound/two-{n}"));
        // One that has seen no event yet has an id to come again with, too.
        let fresh = Events::open(&rest, "", None).await.greeted().await;
        let mark = fresh.last_id.clone().expect("an id");
        drop(fresh);
        rest.put(&one, b"1").await.ok();
        let mut events = Events::open(&rest, "", Some(&mark)).await;
        events.until(|event| is_about(event, &one)).await;
        let last = events.last_id.clone().unwrap();
        drop(events);
        // What comes while nobody listens is there behind the last id; `after` says the same, and the header counts before it.
        rest.put(&two, b"2").await.ok();
        let mut again = Events::open(&rest, &format!("?after={BEGINNING}"), Some(&last)).await;
        let mut after = Events::open(&rest, &format!("?after={last}"), None).await;
        for events in [&mut again, &mut after] {
            let told = events.until(|event| is_about(event, &two)).await;
            assert!(told.iter().all(|event| !is_about(event, &one)), "nothing comes again: {told:?}");
        }
        let mut all = Events::open(&rest, &format!("?after={BEGINNING}"), None).await;
        let all = all.until(|event| is_about(event, &two)).await;
        let listed = rest.get("/events?limit=1000").await.ok();
        assert_eq!(all[..], listed["events"].as_array().unwrap()[..all.len()]);
        assert_eq!(rest.get(&format!("/events?limit=1000&after={BEGINNING}")).await.ok()["events"][0], all[0]);
    }
    let rest = gateway.rest("orders");
    // An id of another tenant's event is not known here, nor is one that nobody has.
    let foreign = gateway.rest("other");
    foreign.put("/theirs", b"x").await.ok();
    let theirs = events_come(&foreign, "file.uploaded", "/theirs", 1).await;
    for (id, field) in [
        (text(&theirs[0], "id"), "Last-Event-ID"),
        ("0199a0b2-7c4d-7e10-8b1f-3d5a6c7e8f90", "Last-Event-ID"),
        ("yesterday", "Last-Event-ID"),
        ("", "Last-Event-ID"),
        (text(&theirs[0], "id"), "after"),
    ] {
        let asked = match field {
            "after" => Events::try_open(&rest, &format!("?after={id}"), None).await,
            _ => Events::try_open(&rest, "", Some(id)).await,
        };
        let refused = asked.err().unwrap_or_else(|| panic!("{field}: {id}"));
        refused.problem(400, "invalid_argument");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{refused:?}");
    }
    rest.get(&format!("/events?after={}", text(&theirs[0], "id"))).await.problem(400, "invalid_argument");
}

async fn filters_are_those_of_the_list(ledger: Ledger) {
    // So a stream is read to its end.
    let gateway = Plan::new(ledger).api("event_stream_time = \"500ms\"").start().await;
    let rest = gateway.rest("orders");
    for (folder, name) in
        [("/inbound", "a.csv"), ("/inbound/deep", "b.csv"), ("/inbound", "c.txt"), ("/outbound", "d.csv")]
    {
        assert_eq!(rest.upload(folder, name, b"x", false).await.status, 201);
    }
    // What is about no file.
    drop(gateway.sftp("edi01").await);
    rest.read("/inbound/a.csv").await;
    events_come(&rest, "file.downloaded", "/inbound/a.csv", 1).await;
    eventually("the end of the session", LONG, async || {
        (!told(&rest, "session.closed").await.is_empty()).then_some(())
    })
    .await;
    let uploads = "type=file.uploaded";
    for (query, paths) in [
        (format!("{uploads}&path=/inbound/*.csv"), &["/inbound/a.csv"][..]),
        (format!("{uploads}&path=/inbound/**"), &["/inbound/a.csv", "/inbound/deep/b.csv", "/inbound/c.txt"]),
        (format!("{uploads},file.downloaded&path=**/a.csv"), &["/inbound/a.csv", "/inbound/a.csv"]),
        (
            format!("{uploads}&path={}", encode("/*/*.{csv,txt}")),
            &["/inbound/a.csv", "/inbound/c.txt", "/outbound/d.csv"],
        ),
        ("type=folder.*&path=/outbound".to_owned(), &["/outbound"]),
        (format!("{uploads}&path=/nothing/**"), &[]),
    ] {
        let listed = rest.get(&format!("/events?limit=1000&{query}")).await.ok();
        let listed = listed["events"].as_array().unwrap();
        let found: Vec<&str> = listed.iter().map(|event| text(&event["data"], "path")).collect();
        assert_eq!(found, paths, "{query}");
        let mut live = Events::open(&rest, &format!("?after={BEGINNING}&{query}"), None).await;
        assert_eq!(&live.until_end().await, listed, "{query}");
    }
    // Whoever asks for paths asks for events about files.
    let all = rest.get("/events?limit=1000").await.ok();
    let about_files = rest.get("/events?limit=1000&path=**").await.ok();
    let has_path = |event: &&Value| event["data"]["path"].is_string();
    let (all, about_files) = (all["events"].as_array().unwrap(), about_files["events"].as_array().unwrap());
    assert!(all.iter().any(|event| !has_path(&event)), "{all:?}");
    assert_eq!(all.iter().filter(has_path).collect::<Vec<_>>(), about_files.iter().collect::<Vec<_>>());

    for wrong in
        ["path=", "path=inbound/**", "path=/%5B", "path=/a&path=/b", "type=file.eaten", "after=x", "colour=red"]
    {
        rest.get(&format!("/events?{wrong}")).await.problem(400, "invalid_argument");
        let live = Events::try_open(&rest, &format!("?{wrong}"), None).await;
        live.err().unwrap_or_else(|| panic!("{wrong}")).problem(400, "invalid_argument");
    }
    let live = Events::try_open(&rest, "?limit=5", None).await;
    live.err().expect("a stream has no pages").problem(400, "invalid_argument");
}

async fn what_is_none_of_a_readers_business_never_comes(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let (orders, mill, other) = (gateway.rest("orders"), gateway.rest("mill"), gateway.rest("other"));
    // Without what the gateway's start has left, which may have no position yet.
    let mut of_mill = Events::open(&mill, "?type=file.*,transfer.*", None).await;
    let mut of_other = Events::open(&other, "", None).await;
    orders.put("/secret-of-acme", b"x").await.ok();
    other.put("/first-of-other", b"x").await.ok();
    // Not even its id comes, where a reader begins behind it.
    let hidden = events_come(&orders, "file.uploaded", "/secret-of-acme", 1).await;
    let ended = events_of(&orders, "transfer.completed", "/secret-of-acme").await;
    let later = Events::open(&mill, "", None).await.greeted().await;
    for event in hidden.iter().chain(&ended) {
        assert!(!later.said().contains(text(event, "id")), "{}", later.said());
    }
    let mark = later.last_id.clone().expect("an id of its own");
    orders.put("/inbound/for-mill", b"x").await.ok();
    other.put("/last-of-other", b"x").await.ok();

    let told = of_mill.until(|event| is_about(event, "/inbound/for-mill")).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let mut again = Events::open(&mill, "?type=file.*", Some(&mark)).await;
    assert_eq!(again.until(|event| is_about(event, "/inbound/for-mill")).await, told);
    for said in [of_mill.said(), again.said()] {
        assert!(!said.contains("secret") && !said.contains("of-other"), "{said}");
    }
    of_other.until(|event| is_about(event, "/last-of-other")).await;
    assert!(of_other.said().contains("/first-of-other") && !of_other.said().contains("acme"), "{}", of_other.said());
    // Who may read no events has no stream.
    let refused = Events::try_open(&gateway.rest("dropper"), "", None).await;
    refused.err().expect("it has not the scope").problem(403, "permission_denied");
}

async fn a_stream_ends_with_what_let_its_reader_in(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let ops = gateway.rest("ops");
    let made = async |lines: Value| {
        let answer = ops.post_json("/api-keys", &lines).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let made = answer.json();
        (text(&made, "id").to_owned(), ops.with_key(text(&made, "key")))
    };
    let (id, rest) = made(json!({ "identity": "orders-app" })).await;
    let mut events = Events::open(&rest, "", None).await.greeted().await;
    assert_eq!(ops.delete(&format!("/api-keys/{id}")).await.status, 204);
    events.until_end().await;
    assert!(events.comments.last().is_some_and(|last| last.contains("not there any more")), "{:?}", events.comments);
    Events::try_open(&rest, "", None).await.err().expect("its key is revoked").problem(401, "unauthenticated");

    let soon = (OffsetDateTime::now_utc() + time::Duration::seconds(3)).format(&Rfc3339).unwrap();
    let (_, rest) = made(json!({ "identity": "orders-app", "expires": soon })).await;
    let mut events = Events::open(&rest, "", None).await;
    events.until_end().await;
    assert!(events.comments.last().is_some_and(|last| last.contains("expired")), "{:?}", events.comments);

    let mut events = Events::open(&gateway.rest("reader"), "", None).await.greeted().await;
    let session = session_of(&ops, "reader").await;
    assert_eq!(ops.delete(&format!("/sessions/{}", text(&session, "session_id"))).await.status, 204);
    events.until_end().await;
    assert!(events.comments.last().is_some_and(|last| last.contains("administrator")), "{:?}", events.comments);
}

async fn silence_is_filled_and_a_stop_waits_for_no_reader(ledger: Ledger) {
    let plan = Plan::new(ledger).api("event_heartbeat = \"100ms\"").api("body_timeout = \"1s\"").grace("1m");
    let mut gateway = plan.start().await;
    let (rest, old) = (gateway.rest("orders"), gateway.rest_http1("orders"));
    let mut two = Events::open(&rest, "?type=file.uploaded", None).await;
    let mut one = Events::open(&old, "?type=file.uploaded", None).await;
    // Longer than a body may stand still.
    tokio::join!(two.comes_to(25), one.comes_to(25));
    rest.put("/inbound/a", b"x").await.ok();
    for events in [&mut two, &mut one] {
        assert_eq!(events.until(|_| true).await[0]["data"]["path"], "/inbound/a");
    }
    let began = Instant::now();
    gateway.terminate();
    for events in [&mut two, &mut one] {
        events.until_end().await;
        assert!(events.comments.last().is_some_and(|last| last.contains("stops")), "{:?}", events.comments);
    }
    let status = gateway.wait().await;
    assert!(status.success() && began.elapsed() < Duration::from_secs(40), "{status}: {:?}", began.elapsed());
}

async fn too_many_streams_are_refused(ledger: Ledger) {
    let gateway = Plan::new(ledger).api("event_streams_per_identity = 2").start().await;
    let rest = gateway.rest("orders");
    let (first, second) = (Events::open(&rest, "", None).await, Events::open(&rest, "", None).await);
    let refused = Events::try_open(&rest, "", None).await.err().expect("the third");
    refused.problem(429, "throttled");
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    assert!(text(&refused.json(), "detail").contains("2 streams"), "{refused:?}");
    let other = Events::open(&gateway.rest("reader"), "", None).await;
    drop(second);
    let third = eventually("a place is free again", LONG, async || Events::try_open(&rest, "", None).await.ok()).await;
    drop((first, third, other));
    // `HEAD` is no stream.
    for _ in 0..4 {
        eventually("HEAD", LONG, async || (rest.head("/events/stream").await.status == 200).then_some(())).await;
    }
}
