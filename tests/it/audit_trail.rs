//! The trail that an auditor holds against what was signed: heads that are kept elsewhere, exports, and the removal of old entries.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use reqwest::Method;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Gateway, Ledger, Plan, eventually, on_both_ledgers, sha256};

on_both_ledgers!(
    a_truncated_tail_is_found,
    an_export_is_verified_elsewhere,
    old_entries_go_behind_a_signed_cut,
    a_collector_can_verify_what_it_gets
);

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn uploads(gateway: &Gateway, count: usize) {
    for n in 0..count {
        gateway.rest("orders").put(&format!("/inbound/{n}"), b"x").await.ok();
    }
}

async fn last_seq(gateway: &Gateway) -> i64 {
    gateway.number("SELECT MAX(seq) FROM audit_seals WHERE chain = 'acme'").await.unwrap()
}

/// Takes the triggers away that keep the trail.
async fn disarm(gateway: &Gateway) {
    for table in ["audit_entries", "audit_seals", "audit_heads"] {
        let on = if gateway.database().is_some() { format!(" ON {table}") } else { String::new() };
        gateway.statement(&format!("DROP TRIGGER {table}_no_delete{on}")).await;
    }
}

fn heads(gateway: &Gateway) -> std::path::PathBuf {
    gateway.data().join("audit-heads.ndjson")
}

async fn a_truncated_tail_is_found(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    uploads(&gateway, 8).await;
    gateway.stop().await;
    let last = last_seq(&gateway).await;
    let good = gateway.run(&["audit", "verify"]);
    assert!(good.status.success() && said(&good).contains(&format!("signed to {last}")), "{}", said(&good));

    // Somebody with the database in hands removes the last three, with everything that was signed.
    disarm(&gateway).await;
    for sql in [
        format!(
            "DELETE FROM audit_entries WHERE id IN (SELECT entry FROM audit_seals WHERE chain = 'acme' AND seq > {})",
            last - 3
        ),
        format!("DELETE FROM audit_seals WHERE chain = 'acme' AND seq > {}", last - 3),
        "DELETE FROM audit_heads".to_owned(),
    ] {
        gateway.statement(&sql).await;
    }
    let expected = format!("acme: BROKEN at {} (truncated)", last - 2);
    let bad = gateway.run(&["audit", "verify"]);
    assert!(!bad.status.success() && said(&bad).contains(&expected), "{}", said(&bad));
    assert!(said(&bad).contains("append-only are not there: audit_entries_no_delete, "), "{}", said(&bad));

    // And who has the data folder, too, has not the copy.
    let copy = gateway.folder().join("copy-of-heads");
    fs::rename(heads(&gateway), &copy).unwrap();
    let unseen = gateway.run(&["audit", "verify"]);
    assert!(unseen.status.success(), "the database alone is a shorter trail: {}", said(&unseen));
    let bad = gateway.run(&["audit", "verify", "--heads", copy.to_str().unwrap()]);
    assert!(!bad.status.success() && said(&bad).contains(&expected), "{}", said(&bad));

    // A gateway that runs on it says so, and signs nothing over it.
    fs::rename(&copy, heads(&gateway)).unwrap();
    gateway.start().await;
    let found = gateway.rest("orders").get("/audit/verify").await.ok();
    assert_eq!(found["valid"], false, "{found}");
    assert!(["truncated", "rewritten"].contains(&found["breach"].as_str().unwrap()), "{found}");
    eventually("the log tells of it", Duration::from_secs(10), || async {
        let told = ["the audit trail is not what was signed", "lost triggers that keep the audit trail append-only"];
        told.iter().all(|one| gateway.log().contains(one)).then_some(())
    })
    .await;
}

fn verify(gateway: &Gateway, export: &Path) -> Output {
    let keys = fs::read_to_string(gateway.data().join("keys/audit_head_keys.pub")).unwrap();
    let mut command = gateway.command(&["audit", "verify", "--key", keys.trim(), "--export"]);
    command.arg(export).arg("--heads").arg(heads(gateway)).output().unwrap()
}

async fn an_export_is_verified_elsewhere(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    uploads(&gateway, 8).await;
    let rest = gateway.rest("orders");
    let request = rest.request(Method::GET, "/audit?limit=1000").header("accept", "application/x-ndjson");
    let over_rest = rest.send(request).await;
    assert_eq!(over_rest.status, 200);
    gateway.stop().await;
    let last = last_seq(&gateway).await;

    let exported = gateway.run(&["audit", "export", "--tenant", "acme"]);
    assert!(exported.status.success(), "{}", said(&exported));
    let text = String::from_utf8(exported.stdout).unwrap();
    assert_eq!(text.lines().count() as i64, last);
    let file = gateway.folder().join("export.ndjson");
    let written = |text: &str| fs::write(&file, text).unwrap();
    written(&text);
    let good = verify(&gateway, &file);
    let expected = format!("acme: valid; {last} entries, {last} sealed, 1 to {last}, signed to {last}");
    assert!(good.status.success() && said(&good).contains(&expected), "{}", said(&good));

    let line = |at: usize| text.lines().nth(at).unwrap();
    for (changed, found) in [
        (text.replace(line(3), &line(3).replace("gw-test", "gw-else")), "acme: BROKEN at 4 (changed)".to_owned()),
        (text.replace(&format!("{}\n", line(4)), ""), "acme: BROKEN at 5 (missing)".to_owned()),
        (text.split_inclusive('\n').take(6).collect(), "acme: BROKEN at 7 (truncated)".to_owned()),
    ] {
        written(&changed);
        let bad = verify(&gateway, &file);
        assert!(!bad.status.success() && said(&bad).contains(&found), "{found}: {}", said(&bad));
    }

    // The same as one page, as a table, and what is asked for of it.
    let page = gateway.run(&["audit", "export", "--tenant", "acme", "--format", "json"]);
    written(std::str::from_utf8(&page.stdout).unwrap());
    let good = verify(&gateway, &file);
    assert!(good.status.success() && said(&good).contains(&expected), "{}", said(&good));
    let asked = |words: &[&str]| {
        let command = ["audit", "export", "--tenant", "acme", "--format", "csv"];
        let output = gateway.run(&[&command[..], words].concat());
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap().split_terminator("\r\n").skip(1).count() as i64
    };
    assert_eq!(asked(&[]), last);
    assert_eq!(asked(&["--operation", "upload", "--outcome", "ok", "--protocol", "api", "--path", "/inbound"]), 8);
    assert_eq!(asked(&["--path", "/inbound/3"]), 1);
    assert_eq!(asked(&["--until", "2020-01-01T00:00:00Z"]), 0);

    // What REST exported while it ran.
    written(std::str::from_utf8(&over_rest.body).unwrap());
    let alone = gateway.command(&["audit", "verify", "--export"]).arg(&file).output().unwrap();
    assert!(alone.status.success() && said(&alone).contains("acme: valid"), "{}", said(&alone));
}

async fn old_entries_go_behind_a_signed_cut(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    uploads(&gateway, 8).await;
    gateway.stop().await;
    let before = last_seq(&gateway).await;
    gateway.edit(|text| text.replace("[events]\n", "[events]\naudit_retention = \"2s\"\n"));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    gateway.start().await;
    // All but the last entry of a chain go.
    let found = eventually("the old ones are removed", Duration::from_secs(20), || async {
        let found = gateway.rest("orders").get("/audit/verify").await.ok();
        (found["first"].as_i64()? > 1).then_some(found)
    })
    .await;
    assert_eq!(found["valid"], true, "{found}");
    assert!(found["first"].as_i64().unwrap() >= before, "{found}");
    gateway.rest("orders").put("/inbound/more", b"x").await.ok();
    gateway.stop().await;
    let good = gateway.run(&["audit", "verify"]);
    assert!(good.status.success(), "{}", said(&good));
    assert!(fs::read_to_string(heads(&gateway)).unwrap().contains("causeway.audit.cut"));

    // The cut is what lets it begin there.
    if gateway.database().is_none() {
        gateway.statement("DROP TRIGGER audit_cuts_no_update").await;
    } else {
        gateway.statement("DROP TRIGGER audit_cuts_no_change ON audit_cuts").await;
    }
    gateway.statement("UPDATE audit_cuts SET at = at + 1").await;
    fs::remove_file(heads(&gateway)).unwrap();
    let bad = gateway.run(&["audit", "verify"]);
    assert!(!bad.status.success() && said(&bad).contains("acme: BROKEN at 1 (missing)"), "{}", said(&bad));
}

/// The next message of a frame that says its length (RFC 6587 section 3.4.1); none at the end.
async fn message(wire: &mut TcpStream) -> Option<String> {
    let mut length = 0;
    loop {
        match wire.read_u8().await.ok()? {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut message = vec![0; length];
    wire.read_exact(&mut message).await.unwrap();
    Some(String::from_utf8(message).unwrap())
}

async fn a_collector_can_verify_what_it_gets(ledger: Ledger) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut gateway = Plan::new(ledger).start().await;
    uploads(&gateway, 3).await;
    gateway.stop().await;
    // What was sealed before there was a collector comes, too.
    gateway.edit(|text| text.replace("[events]\n", &format!("[events]\nsyslog = \"tcp://127.0.0.1:{port}\"\n")));
    gateway.start().await;
    let collected = async {
        let (mut wire, _) = listener.accept().await.unwrap();
        let (mut previous, mut seq) = (vec![0; 32], 0);
        loop {
            let Some(message) = message(&mut wire).await else {
                // It ends a connection in order, to see that this side has read it and does the same.
                drop(wire);
                wire = listener.accept().await.unwrap().0;
                continue;
            };
            if !message.contains(" chain=\"acme\" ") {
                continue;
            }
            let (header, body) = message.split_once("] \u{feff}").unwrap();
            seq += 1;
            assert!(header.contains(&format!(" seq=\"{seq}\" ")), "{header}");
            let hash = sha256(&[&previous[..], body.as_bytes()].concat());
            assert!(header.contains(&format!(" hash=\"{hash}\" ")), "{header}");
            previous = hex::decode(hash).unwrap();
            if body.contains("\"path\":\"/inbound/later\"") {
                assert!(header.starts_with("<110>1 20") && header.contains(" gw-test causeway - upload "), "{header}");
                return;
            }
        }
    };
    gateway.rest("orders").put("/inbound/later", b"x").await.ok();
    tokio::time::timeout(Duration::from_secs(30), collected).await.expect("the upload reaches the collector");
    // It is away when the gateway stops, which does not wait for it.
    drop(listener);
    gateway.stop().await;
}
