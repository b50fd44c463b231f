//! `uploads.content_type_check`: what a content is, against what it is declared to be, over every protocol alike.

use serde_json::Value;

use crate::harness::rest::Answer;
use crate::harness::sftp::{CREATE, TRUNCATE, W};
use crate::harness::{Gateway, Ledger, Plan, Rest, on_both_ledgers};
use crate::spine::{events_come, events_of};

on_both_ledgers!(told, refused);

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01";
const SVG: &[u8] = b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>";
const SCRIPT: &[u8] = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00";

async fn put(rest: &Rest, path: &str, declared: Option<&str>, content: &[u8]) -> Answer {
    let request = rest.put_request(path, content.to_vec().into());
    rest.send(if let Some(declared) = declared { request.header("content-type", declared) } else { request }).await
}

/// The events that tell that this path is not what it is declared to be.
async fn mismatches(gateway: &Gateway, path: &str) -> Vec<Value> {
    events_of(&gateway.rest("orders"), "policy.violated", path).await
}

async fn told(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    // What agrees, or says nothing: the type is what is declared, or found, or named.
    for (path, declared, content, kind) in [
        ("/inbound/a.png", Some("image/png"), PNG, "image/png"),
        ("/inbound/b", None, PNG, "image/png"),
        ("/inbound/c", Some("application/octet-stream"), PNG, "image/png"),
        ("/inbound/d.csv", None, b"MZ;1\n".as_slice(), "text/csv"),
        ("/inbound/e", Some("text/csv; charset=utf-8"), b"a;b", "text/csv; charset=utf-8"),
        ("/inbound/f.pdf", Some("application/pdf"), b"\x00\x01\x02", "application/pdf"),
    ] {
        let answer = put(&rest, path, declared, content).await.ok();
        assert_eq!(answer["content_type"], kind, "{path}");
        events_come(&rest, "file.uploaded", path, 1).await;
        assert!(mismatches(&gateway, path).await.is_empty(), "{path}");
    }
    // What does not agree is published, and told of.
    let answer = put(&rest, "/inbound/x.csv", Some("text/csv"), SCRIPT).await.ok();
    assert_eq!(answer["content_type"], "text/csv");
    let told = &events_come(&rest, "policy.violated", "/inbound/x.csv", 1).await[0];
    assert_eq!(
        (&told["status"], &told["data"]["error_code"]),
        (&"completed".into(), &"type_mismatch".into()),
        "{told}"
    );
    assert_eq!(told["data"]["file_id"], answer["file_id"]);
    let told_of = told["data"]["error_message"].as_str().unwrap();
    assert!(told_of.contains("portable-executable") && told_of.contains("text/csv"), "{told_of}");
    // Over SFTP the name declares it; large contents are looked at as small ones are.
    let mut session = gateway.sftp("edi01").await;
    let large = [SCRIPT, &vec![0; 300_000]].concat();
    let handle = session.open("/inbound/y.csv", W | CREATE | TRUNCATE).await.unwrap();
    session.write_all(&handle, 0, &large).await.unwrap();
    session.close(&handle).await.unwrap();
    events_come(&rest, "policy.violated", "/inbound/y.csv", 1).await;
    // A temporary name declares nothing; the name that it arrives under does.
    for (temporary, name) in [("/inbound/z.filepart", "/inbound/z.csv"), ("/inbound/w.filepart", "/inbound/w.exe")] {
        session.put(temporary, SCRIPT).await.unwrap();
        session.rename(temporary, name).await.unwrap();
        events_come(&rest, "file.uploaded", name, 1).await;
    }
    events_come(&rest, "policy.violated", "/inbound/z.csv", 1).await;
    // The type is that of the name in the end, whatever the temporary one was taken for.
    session.put("/inbound/v.svg.filepart", SVG).await.unwrap();
    session.rename("/inbound/v.svg.filepart", "/inbound/v.svg").await.unwrap();
    assert_eq!(rest.entry("/inbound", "v.svg").await.unwrap()["content_type"], "image/svg+xml");
    // Text may begin with a tag.
    put(&rest, "/inbound/README.md", None, b"<!-- a title -->\n# Title\n").await.ok();
    events_come(&rest, "file.uploaded", "/inbound/README.md", 1).await;
    assert!(mismatches(&gateway, "/inbound/README.md").await.is_empty());
    assert!(mismatches(&gateway, "/inbound/z.filepart").await.is_empty());
    assert!(mismatches(&gateway, "/inbound/w.exe").await.is_empty());
}

async fn refused(ledger: Ledger) {
    let gateway = Plan::new(ledger).uploads("content_type_check = \"refuse\"").start().await;
    let rest = gateway.rest("orders");
    put(&rest, "/inbound/x", Some("text/csv"), SCRIPT).await.problem(415, "type_mismatch");
    let parts = [("destination", None, &b"/inbound"[..]), ("file", Some("x.csv"), SCRIPT)];
    rest.send(rest.form_request(&parts)).await.problem(415, "type_mismatch");
    let mut session = gateway.sftp("edi01").await;
    let handle = session.open("/inbound/y.pdf", W | CREATE | TRUNCATE).await.unwrap();
    session.write_all(&handle, 0, &[PNG, &vec![0; 300_000]].concat()).await.unwrap();
    let status = session.close(&handle).await.unwrap_err();
    assert!(status.message.contains("image/png"), "{status:?}");
    assert!(rest.list("/inbound").await.is_empty(), "nothing of it is there");
    assert!(session.names("/inbound").await.unwrap().is_empty(), "nor can anybody go on with it");
    for path in ["/inbound/x", "/inbound/x.csv", "/inbound/y.pdf"] {
        let told = &events_come(&rest, "policy.violated", path, 1).await[0];
        assert_eq!(told["status"], "denied", "{told}");
        assert!(events_of(&rest, "file.uploaded", path).await.is_empty());
    }
    // What comes by a temporary name is refused when it is to arrive, and stays under it.
    session.put("/inbound/z.filepart", SCRIPT).await.unwrap();
    assert!(session.rename("/inbound/z.filepart", "/inbound/z.csv").await.unwrap_err().message.contains("text/csv"));
    assert_eq!(session.names("/inbound").await.unwrap(), ["z.filepart"]);
    session.rename("/inbound/z.filepart", "/inbound/z.exe").await.unwrap();
    // A plain rename is none to get past it by.
    let made = put(&rest, "/inbound/q.bin", None, SCRIPT).await.ok();
    let renaming = rest.request(reqwest::Method::PATCH, &format!("/files/{}", made["file_id"].as_str().unwrap()));
    let renaming = renaming.header("content-type", "application/json");
    rest.send(renaming.body("{\"path\": \"/inbound/q.pdf\"}")).await.problem(415, "type_mismatch");
    // The old version stays.
    put(&rest, "/inbound/a.png", None, PNG).await.ok();
    put(&rest, "/inbound/a.png", None, SCRIPT).await.problem(415, "type_mismatch");
    assert_eq!(rest.read("/inbound/a.png").await.body, PNG);
}
