//! draft-ietf-httpbis-resumable-upload: its words one by one, uploads that are cut, what must hold at their end, and who may send
//! to one. `interim.rs` has its interim responses, `uploads_resumed.rs` the pairs with all other protocols.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::harness::http::{Http, head, statuses};
use crate::harness::rest::{Answer, content_path, encode};
use crate::harness::sftp::W;
use crate::harness::{Ledger, Plan, Random, Rest, eventually, on_both_ledgers, sha256};
use crate::spine::{audit_of, events_come, events_of};
use crate::uploads::{breaking_off, complete, status};
use crate::uploads_resumed::left;

on_both_ledgers!(
    the_words_of_the_draft,
    an_upload_of_unknown_length,
    what_must_hold_holds_at_the_commit,
    digests_are_compared,
    a_cut_request_goes_on_where_it_was_cut,
    a_new_request_ends_the_one_before_it,
    quota_is_reserved_as_bytes_come,
    an_upload_that_a_session_has_can_be_had_later,
);

const PARTIAL: &str = "application/partial-upload";

/// An upload resource, as a path below the base.
pub fn resource(answer: &Answer) -> String {
    let (_, path) = answer.header("location").split_once("/api/v1").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(path.starts_with("/uploads/") && path.ends_with("/content"), "{answer:?}");
    path.to_owned()
}

/// The id of an upload resource.
pub fn id_of(resource: &str) -> &str {
    resource.split('/').nth(2).unwrap()
}

/// `PUT /files/content` that creates an upload.
pub fn create(rest: &Rest, path: &str, complete: &str, content: impl Into<reqwest::Body>) -> RequestBuilder {
    rest.request(Method::PUT, &content_path(path)).header("upload-complete", complete).body(content)
}

/// `PATCH` of an upload resource.
pub fn append(
    rest: &Rest,
    resource: &str,
    offset: usize,
    complete: &str,
    content: impl Into<reqwest::Body>,
) -> RequestBuilder {
    rest.request(Method::PATCH, resource)
        .header("content-type", PARTIAL)
        .header("upload-complete", complete)
        .header("upload-offset", offset.to_string())
        .body(content)
}

/// Where an upload stands: offset, length, whether it is complete.
pub async fn offset(rest: &Rest, resource: &str) -> (usize, String, bool) {
    let answer = rest.head(resource).await;
    assert_eq!((answer.status, answer.header("cache-control")), (204, "no-store"), "{answer:?}");
    assert!(answer.header("upload-limit").contains("max-size="), "{answer:?}");
    let complete = match answer.header("upload-complete") {
        "?1" => true,
        "?0" => false,
        _ => panic!("{answer:?}"),
    };
    (answer.header("upload-offset").parse().unwrap(), answer.header("upload-length").to_owned(), complete)
}

/// A body without a length.
fn chunked(content: &[u8]) -> reqwest::Body {
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        content.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    reqwest::Body::wrap_stream(futures::stream::iter(pieces))
}

fn digest_of(content: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(content)))
}

fn registered(answer: &Answer, status: u16, code: &str, name: &str) {
    answer.problem(status, code);
    let kind = format!("https://iana.org/assignments/http-problem-types#{name}");
    assert_eq!(answer.json()["type"], kind, "{answer:?}");
}

async fn the_words_of_the_draft(ledger: Ledger) {
    let gateway = Plan::new(ledger).limits("max_file_size = \"10 MiB\"").start().await;
    let rest = gateway.rest("orders");
    // What the server can do; nobody has to say who asks.
    for path in ["/files/content", "/files/upload", "/uploads/0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000/content"] {
        let answer = rest.send(rest.with_key("").request(Method::OPTIONS, path)).await;
        assert_eq!((answer.status, answer.header("accept-patch")), (204, PARTIAL), "{answer:?}");
        assert_eq!(answer.header("upload-limit"), "max-size=10485760, max-age=604800");
    }
    rest.send(create(&rest.with_key(""), "/a", "?0", "")).await.problem(401, "unauthenticated");

    // Carefully: an empty request first.
    let answer = rest.send(create(&rest, "/careful.txt", "?0", "").header("upload-length", "11")).await;
    assert_eq!((answer.status, answer.header("upload-complete")), (201, "?0"), "{answer:?}");
    assert_eq!(answer.header("upload-offset"), "0");
    assert!(answer.header("upload-limit").starts_with("max-size=10485760, max-age=6047"), "{answer:?}");
    let upload = resource(&answer);
    assert_eq!(answer.json()["session_id"], id_of(&upload));
    assert_eq!(offset(&rest, &upload).await, (0, "11".to_owned(), false));
    let answer = rest.send(append(&rest, &upload, 0, "?0", "hello ")).await;
    assert_eq!((answer.status, answer.header("upload-complete"), answer.header("upload-offset")), (204, "?0", "6"));
    assert_eq!(offset(&rest, &upload).await, (6, "11".to_owned(), false));
    rest.read("/careful.txt").await.problem(404, "not_found");

    // What is wrong with a request that appends.
    let answer = rest.send(append(&rest, &upload, 5, "?0", "x")).await;
    registered(&answer, 409, "mismatching_upload_offset", "mismatching-upload-offset");
    assert_eq!((&answer.json()["expected-offset"], &answer.json()["provided-offset"]), (&json!(6), &json!(5)));
    assert_eq!((answer.header("upload-offset"), answer.header("upload-complete")), ("6", "?0"));
    let typed = rest.request(Method::PATCH, &upload).header("upload-complete", "?1").header("upload-offset", "6");
    let answer = rest.send(typed.header("content-type", "text/plain").body("world")).await;
    answer.problem(415, "unsupported_media_type");
    assert_eq!(answer.header("accept-patch"), PARTIAL);
    for (complete, at) in [("", "6"), ("1", "6"), ("?1", ""), ("?1", "-6"), ("?1", "6, 6"), ("true", "6")] {
        let request = rest.request(Method::PATCH, &upload).header("content-type", PARTIAL);
        let request = request.header("upload-complete", complete).header("upload-offset", at);
        rest.send(request.body("world")).await.problem(400, "invalid_argument");
    }
    for (complete, length, content) in [
        // Against itself, and against what was announced.
        ("?1", "12", "world"),
        ("?1", "", "worl"),
        ("?0", "12", "world"),
        ("?0", "8", "world"),
        ("?0", "", "world!"),
    ] {
        let mut request = append(&rest, &upload, 6, complete, content);
        if !length.is_empty() {
            request = request.header("upload-length", length);
        }
        let answer = rest.send(request).await;
        registered(&answer, 400, "inconsistent_upload_length", "inconsistent-upload-length");
    }
    rest.send(append(&gateway.rest("mill"), &upload, 6, "?1", "world")).await.problem(404, "not_found");
    assert_eq!(gateway.rest("mill").head(&upload).await.status, 404);
    assert_eq!(offset(&rest, &upload).await, (6, "11".to_owned(), false), "nothing of that changed it");

    // The end.
    let answer = rest.send(append(&rest, &upload, 6, "?1", "world")).await;
    assert_eq!((answer.status, answer.header("upload-complete")), (201, "?1"), "{answer:?}");
    let file = answer.json();
    assert_eq!((&file["hash"], &file["path"]), (&json!(sha256(b"hello world")), &json!("/careful.txt")));
    assert_eq!(answer.header("location").rsplit('/').next(), file["file_id"].as_str(), "the file's, as of any PUT");
    assert_eq!(offset(&rest, &upload).await, (11, "11".to_owned(), true));
    assert_eq!(rest.head(&upload).await.header("x-file-id"), file["file_id"]);
    let answer = rest.send(append(&rest, &upload, 11, "?1", "")).await;
    registered(&answer, 400, "completed_upload", "completed-upload");
    assert_eq!(answer.header("upload-complete"), "?1");
    let answer = rest.send(append(&rest, &upload, 11, "?1", "!")).await;
    registered(&answer, 400, "inconsistent_upload_length", "inconsistent-upload-length");
    assert_eq!(rest.read("/careful.txt").await.body, "hello world");
    events_come(&rest, "file.uploaded", "/careful.txt", 1).await;

    // In one request; and again: that replaces it.
    for status in [201, 200] {
        let answer = rest.send(create(&rest, "/one.txt", "?1", "whole").header("upload-length", "5")).await;
        assert_eq!((answer.status, answer.header("upload-complete")), (status, "?1"), "{answer:?}");
        assert!(answer.header("location").contains("/files/"), "{answer:?}");
    }
    let answer = rest.send(create(&rest, "/empty.txt", "?1", "")).await;
    assert_eq!((answer.status, &answer.json()["size"]), (201, &json!(0)), "{answer:?}");
    // What is no boolean is not sent.
    let answer = rest.send(create(&rest, "/plain.txt", "1", "plain")).await;
    assert_eq!((answer.status, answer.header("upload-complete")), (201, ""), "{answer:?}");
    for (complete, length, content) in [("?1", "4", "12345"), ("?1", "6", "12345"), ("?0", "4", "12345")] {
        let answer = rest.send(create(&rest, "/no.txt", complete, content).header("upload-length", length)).await;
        registered(&answer, 400, "inconsistent_upload_length", "inconsistent-upload-length");
    }
    let answer = rest.send(create(&rest, "/large", "?0", "").header("upload-length", "10485761")).await;
    answer.problem(413, "file_too_large");
    assert!(answer.header("upload-limit").starts_with("max-size=10485760"), "{answer:?}");
    rest.send(create(&rest, "/a/../b", "?0", "")).await.problem(400, "invalid_name");
    rest.send(create(&gateway.rest("reader"), "/x", "?0", "")).await.problem(403, "permission_denied");

    // By POST, as the form, and with the name where the draft puts it.
    let by_post = |query: &str, content: &'static str| {
        let request = rest.request(Method::POST, &format!("/files/upload?{query}")).header("upload-complete", "?1");
        request.body(content)
    };
    let named = by_post("destination=/made/here", "posted");
    let answer = rest.send(named.header("content-disposition", "inline; filename=\"p.txt\"")).await;
    assert_eq!((answer.status, &answer.json()["path"]), (201, &json!("/made/here/p.txt")), "{answer:?}");
    rest.send(by_post("destination=/made/here&filename=p.txt", "x")).await.problem(409, "already_exists");
    let answer = rest.send(by_post("destination=/made/here&filename=p.txt&overwrite=true", "again")).await;
    assert_eq!((answer.status, &answer.json()["size"]), (200, &json!(5)), "{answer:?}");
    rest.send(by_post("destination=/made/here", "x")).await.problem(400, "invalid_argument");
    rest.send(by_post("filename=x", "x")).await.problem(400, "invalid_argument");
    rest.send(by_post("destination=/&filename=a/b", "x")).await.problem(400, "invalid_name");
    let form = rest.form_request(&[("destination", None, b"/".as_slice()), ("file", Some("f.txt"), b"form")]);
    rest.send(form.header("upload-complete", "?0")).await.problem(415, "unsupported_media_type");
    let form = rest.form_request(&[("destination", None, b"/".as_slice()), ("file", Some("f.txt"), b"form")]);
    assert_eq!(rest.send(form.header("upload-complete", "?1")).await.status, 201, "as if it had not been sent");

    // Cancellation.
    let upload = resource(&rest.send(create(&rest, "/gone.txt", "?0", "half")).await);
    assert_eq!(rest.delete(&upload).await.status, 204);
    assert_eq!(rest.head(&upload).await.status, 404);
    rest.send(append(&rest, &upload, 4, "?1", "x")).await.problem(404, "not_found");
    assert_eq!(rest.get("/uploads").await.ok()["uploads"], json!([]), "nothing is left of all that");
}

/// The client tells at the end that it is the end; or on the way, which binds from then on.
async fn an_upload_of_unknown_length(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("edi");
    let content = Random::seeded("unknown length").bytes(30_000);
    for (name, told) in [("/inbound/never.bin", false), ("/inbound/late.bin", true)] {
        let answer = rest.send(create(&rest, name, "?0", chunked(&content[..10_000]))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let upload = resource(&answer);
        assert_eq!(offset(&rest, &upload).await, (10_000, String::new(), false));
        let seen = status(&rest, id_of(&upload)).await;
        assert_eq!((&seen["size"], &seen["chunks"], &seen["percent"]), (&json!(null), &json!(null), &json!(null)));
        let mut request = append(&rest, &upload, 10_000, "?0", chunked(&content[10_000..20_000]));
        if told {
            request = request.header("upload-length", "30000");
        }
        assert_eq!(rest.send(request).await.status, 204);
        let length = if told { "30000" } else { "" };
        assert_eq!(offset(&rest, &upload).await, (20_000, length.to_owned(), false));
        if told {
            let wrong = append(&rest, &upload, 20_000, "?0", "").header("upload-length", "30001");
            rest.send(wrong).await.problem(400, "inconsistent_upload_length");
        }
        let answer = rest.send(append(&rest, &upload, 20_000, "?1", chunked(&content[20_000..]))).await;
        assert_eq!((answer.status, &answer.json()["hash"]), (201, &json!(sha256(&content))), "{answer:?}");
        assert_eq!(offset(&rest, &upload).await, (30_000, "30000".to_owned(), true));
        events_come(&gateway.rest("orders"), "file.uploaded", name, 1).await;
    }
    // With nothing but the word that this is the end, and by another protocol.
    let upload = resource(&rest.send(create(&rest, "/inbound/word.bin", "?0", chunked(&content))).await);
    let answer = rest.send(append(&rest, &upload, 30_000, "?1", "")).await;
    assert_eq!((answer.status, &answer.json()["hash"]), (201, &json!(sha256(&content))), "{answer:?}");
    let upload = resource(&rest.send(create(&rest, "/inbound/other.bin", "?0", chunked(&content))).await);
    assert_eq!(complete(&rest, id_of(&upload)).await.ok()["hash"], sha256(&content));
    // More than was announced: the upload is of no use to anybody, and gone.
    let announced = create(&rest, "/inbound/more.bin", "?0", "").header("upload-length", "25000");
    let upload = resource(&rest.send(announced).await);
    let answer = rest.send(append(&rest, &upload, 0, "?0", chunked(&content))).await;
    registered(&answer, 400, "inconsistent_upload_length", "inconsistent-upload-length");
    assert_eq!(rest.head(&upload).await.status, 404);
    // Less: the client may send the rest.
    let less = create(&rest, "/inbound/less.bin", "?1", chunked(&content[..20_000])).header("upload-length", "30000");
    let answer = rest.send(less).await;
    registered(&answer, 400, "inconsistent_upload_length", "inconsistent-upload-length");
    let upload = resource(&answer);
    assert_eq!(offset(&rest, &upload).await, (20_000, "30000".to_owned(), false));
    let answer = rest.send(append(&rest, &upload, 20_000, "?1", content.slice(20_000..))).await;
    assert_eq!((answer.status, &answer.json()["hash"]), (201, &json!(sha256(&content))), "{answer:?}");
    assert_eq!(rest.get("/uploads").await.ok()["uploads"], json!([]));
}

/// The conditions of the first request hold of what is there when the file takes its place, whoever ends the upload.
async fn what_must_hold_holds_at_the_commit(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let (rest, path) = (gateway.rest("edi"), "/inbound/held.txt");
    let begin = async |name: &str, value: &str| {
        let answer = rest.send(create(&rest, path, "?0", "new ").header(name, value)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        resource(&answer)
    };
    let end = async |upload: &str| rest.send(append(&rest, upload, 4, "?1", "text")).await;
    // There must be none, and one came.
    let upload = begin("if-none-match", "*").await;
    let other = gateway.rest("orders");
    let first = other.put(path, b"other").await.ok()["etag"].as_str().unwrap().to_owned();
    let answer = end(&upload).await;
    answer.problem(412, "precondition_failed");
    assert_eq!(answer.header("upload-complete"), "?1", "sending more would not mend it");
    // Over SFTP neither.
    let mut session = gateway.sftp("edi01").await;
    let handle = session.open(path, W).await.unwrap();
    assert!(session.close(&handle).await.is_err());
    assert_eq!(rest.read(path).await.body, "other");
    rest.delete(&upload).await.ok();
    rest.send(create(&rest, path, "?0", "new ").header("if-none-match", "*")).await.problem(412, "precondition_failed");
    // It must be this version, and is; and then is not.
    let upload = begin("if-match", &first).await;
    let answer = end(&upload).await;
    assert_eq!((answer.status, rest.read(path).await.body), (200, Bytes::from("new text")), "{answer:?}");
    let second = answer.json()["etag"].as_str().unwrap().to_owned();
    rest.send(create(&rest, path, "?0", "").header("if-match", &first)).await.problem(412, "precondition_failed");
    let upload = begin("if-match", &second).await;
    other.put(path, b"other").await.ok();
    end(&upload).await.problem(412, "precondition_failed");
    // There must be one, and it was removed.
    let upload = begin("if-match", "*").await;
    other
        .delete(&format!("/files/{}", other.entry("/inbound", "held.txt").await.unwrap()["file_id"].as_str().unwrap()))
        .await
        .ok();
    end(&upload).await.problem(412, "precondition_failed");
    rest.read(path).await.problem(404, "not_found");
    rest.delete(&upload).await.ok();
    rest.send(create(&rest, path, "?0", "").header("if-match", "*")).await.problem(412, "precondition_failed");
}

async fn digests_are_compared(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("edi");
    // Of one request: nothing of it is appended.
    let upload = resource(&rest.send(create(&rest, "/inbound/d", "?0", "").header("upload-length", "8")).await);
    let wrong = append(&rest, &upload, 0, "?0", "half").header("content-digest", digest_of(b"helf"));
    rest.send(wrong).await.problem(422, "digest_mismatch");
    assert_eq!(offset(&rest, &upload).await.0, 0);
    let right = append(&rest, &upload, 0, "?0", "half").header("content-digest", digest_of(b"half"));
    assert_eq!(rest.send(right).await.status, 204);
    // Of the whole, told with the last request or the first: it is not processed.
    let wrong = append(&rest, &upload, 4, "?1", "half").header("repr-digest", digest_of(b"half"));
    let answer = rest.send(wrong).await;
    answer.problem(422, "digest_mismatch");
    assert_eq!(answer.header("upload-complete"), "?1");
    rest.read("/inbound/d").await.problem(404, "not_found");
    let right = append(&rest, &upload, 8, "?1", "").header("repr-digest", digest_of(b"halfhalf"));
    assert_eq!(rest.send(right).await.ok()["hash"], sha256(b"halfhalf"));
    let first = create(&rest, "/inbound/e", "?0", "half").header("repr-digest", digest_of(b"halfhalf"));
    let upload = resource(&rest.send(first.header("content-digest", digest_of(b"half"))).await);
    rest.send(append(&rest, &upload, 4, "?1", "helf")).await.problem(422, "digest_mismatch");
    let all = create(&rest, "/inbound/f", "?1", "whole").header("repr-digest", digest_of(b"part"));
    let answer = rest.send(all).await;
    answer.problem(422, "digest_mismatch");
    assert_eq!(answer.header("upload-complete"), "?1");
    let left: Vec<String> = rest.get("/uploads").await.ok()["uploads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].to_string())
        .collect();
    assert_eq!(left, ["\"/inbound/e\""], "the one of a single request is of no use to anybody");
    let all = create(&rest, "/inbound/f", "?1", "whole").header("repr-digest", digest_of(b"whole"));
    assert_eq!(rest.send(all).await.status, 201);
    for name in ["d", "f"] {
        events_come(&gateway.rest("orders"), "file.uploaded", &format!("/inbound/{name}"), 1).await;
    }
    assert!(events_of(&gateway.rest("orders"), "file.uploaded", "/inbound/e").await.is_empty());
}

/// Optimistically: all of it in one request, which breaks off, as do those that go on with it.
async fn a_cut_request_goes_on_where_it_was_cut(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let (content, events) = (Random::seeded("draft cut").bytes(3 << 20), gateway.rest("orders"));
    for (name, rest) in [("http2", gateway.rest("edi")), ("http1", gateway.rest_http1("edi"))] {
        let path = format!("/inbound/{name}.bin");
        let request = create(&rest, &path, "?1", breaking_off(content.slice(..1 << 20)));
        let sent = rest.try_send(request.header("upload-length", content.len().to_string())).await;
        assert!(sent.is_err() || sent.unwrap().status >= 400);
        let upload = format!("/uploads/{}/content", left(&rest, &path).await["session_id"].as_str().unwrap());
        let mut at = 0;
        for end in [1 << 20, 2 << 20] {
            // What is told is exact, however soon it is asked.
            let before = at;
            at = eventually("the gateway knows of the cut", Duration::from_secs(10), || async {
                Some(offset(&rest, &upload).await.0).filter(|now| *now > before)
            })
            .await;
            assert!(at <= end, "{at}");
            let sent = rest
                .try_send(append(&rest, &upload, at, "?1", breaking_off(content.slice(at..end.max(at) + (1 << 19)))))
                .await;
            assert!(sent.is_err() || sent.unwrap().status >= 400);
            rest.read(&path).await.problem(404, "not_found");
        }
        at = offset(&rest, &upload).await.0;
        let answer = rest.send(append(&rest, &upload, at, "?1", content.slice(at..))).await;
        assert_eq!((answer.status, &answer.json()["hash"]), (201, &json!(sha256(&content))), "{answer:?}");
        let told = &events_come(&events, "file.uploaded", &path, 1).await[0];
        assert_eq!((&told["data"]["hash"], &told["transfer_id"]), (&json!(sha256(&content)), &json!(id_of(&upload))));
        let done = audit_of(&events, "upload", &path).await;
        assert_eq!(done.iter().filter(|entry| entry["outcome"] == "ok").count(), 1, "{done:?}");
    }
}

/// A line that is dead without the gateway knowing keeps nobody out.
async fn a_new_request_ends_the_one_before_it(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("edi");
    let answer = rest.send(create(&rest, "/inbound/t", "?0", "").header("upload-length", "9")).await;
    let upload = resource(&answer);
    let begin = async |at: usize, bytes: &str| {
        let mut http = Http::connect(&gateway).await;
        let line = format!("PATCH /api/v1{upload}");
        http.send(format!(
            "{}Content-Type: {PARTIAL}\r\nUpload-Offset: {at}\r\nUpload-Complete: ?1\r\nExpect: 100-continue\r\n\
             Content-Length: {}\r\n\r\n",
            head(&line, "edi"),
            9 - at
        ))
        .await;
        assert_eq!(statuses(&http.until("\r\n\r\n").await), [100], "it is under way");
        http.send(bytes).await;
        http
    };
    // By HEAD: what is told is what the next one is held to, and the one before is at its end.
    let mut hanging = begin(0, "abc").await;
    let told = eventually("its bytes have come", Duration::from_secs(10), || async {
        match offset(&rest, &upload).await.0 {
            3 => Some(3),
            // It was cut before they were read.
            at => {
                drop(begin(at, &"abc"[at..]).await);
                None
            }
        }
    })
    .await;
    assert_eq!(statuses(&hanging.until("\r\n\r\n").await), [409], "its client is told");
    assert_eq!(rest.send(append(&rest, &upload, told, "?0", "def")).await.status, 204);
    // By PATCH and by DELETE.
    let mut hanging = begin(6, "").await;
    assert_eq!(rest.send(append(&rest, &upload, 6, "?0", "gh")).await.status, 204);
    assert_eq!(statuses(&hanging.until("\r\n\r\n").await), [409]);
    let mut hanging = begin(8, "").await;
    assert_eq!(rest.delete(&upload).await.status, 204);
    assert_eq!(statuses(&hanging.until("\r\n\r\n").await), [409]);
    assert_eq!(rest.head(&upload).await.status, 404);
    assert!(events_of(&gateway.rest("orders"), "file.uploaded", "/inbound/t").await.is_empty());
}

/// Where nobody can know how much will come, no more is taken of the quota than what came, and a slab.
async fn quota_is_reserved_as_bytes_come(ledger: Ledger) {
    let gateway = Plan::new(ledger).edi_quota("3 MiB").start().await;
    let rest = gateway.rest("edi");
    let content = Random::seeded("slabs").bytes(4 << 20);
    // Over the draft, and over tus into what another protocol began.
    let upload = resource(&rest.send(create(&rest, "/inbound/s", "?0", chunked(&content[..1 << 20]))).await);
    let path = "/inbound/u";
    crate::uploads_resumed::break_off(&gateway, "sftp", path, &content.slice(..60_000), 50_000).await;
    let other = left(&rest, path).await["session_id"].as_str().unwrap().to_owned();
    let patch = rest
        .request(Method::PATCH, &format!("/tus/{other}"))
        .header("tus-resumable", "1.0.0")
        .header("content-type", "application/offset+octet-stream")
        .header("upload-offset", "50000");
    let answer = rest.send(patch.body(chunked(&content[50_000..(1 << 20)]))).await;
    assert_eq!((answer.status, answer.header("upload-offset")), (204, "1048576"), "{answer:?}");
    // Both are there, and what was reserved beyond them is free again: a third fits, and not a byte more.
    let answer = rest.send(append(&rest, &upload, 1 << 20, "?0", chunked(&content[1 << 20..]))).await;
    answer.problem(507, "quota_exceeded");
    let (at, ..) = offset(&rest, &upload).await;
    assert!((1 << 20..=2 << 20).contains(&at), "{at}");
    let answer = rest.send(append(&rest, &upload, at, "?1", chunked(&content[at..2 << 20]))).await;
    assert_eq!((answer.status, &answer.json()["hash"]), (201, &json!(sha256(&content[..2 << 20]))), "{answer:?}");
    assert_eq!(complete(&rest, &other).await.ok()["hash"], sha256(&content[..1 << 20]));
    rest.put("/inbound/full", b"x").await.problem(507, "quota_exceeded");
}

async fn an_upload_that_a_session_has_can_be_had_later(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("edi");
    let upload = resource(&rest.send(create(&rest, "/inbound/h", "?0", "abc").header("upload-length", "6")).await);
    let mut session = gateway.sftp("edi01").await;
    let handle = session.open("/inbound/h", W).await.unwrap();
    session.write_all(&handle, 3, b"de").await.unwrap();
    let answer = rest.head(&upload).await;
    assert_eq!((answer.status, answer.header("retry-after"), answer.header("upload-offset")), (503, "1", ""));
    rest.send(append(&rest, &upload, 3, "?1", "def")).await.problem(503, "unavailable");
    rest.delete(&upload).await.problem(503, "unavailable");
    session.write_all(&handle, 5, b"f").await.unwrap();
    session.close(&handle).await.unwrap();
    assert_eq!(offset(&rest, &upload).await, (6, "6".to_owned(), true));
    assert_eq!(rest.read("/inbound/h").await.body, "abcdef");
    let listed = rest.get(&format!("/files?path={}", encode("/inbound"))).await.ok();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1);
}
