//! `causeway key` and `causeway user`: what an administrator does by hand, without a gateway on SQLite and beside one on PostgreSQL.

use std::io::Write as _;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::codes::code_at;
use crate::harness::plan::PASSWORD;
use crate::harness::sftp;
use crate::harness::{Gateway, Ledger, Plan, Sftp, eventually, on_both_ledgers};

on_both_ledgers!(keys_by_hand, users_by_hand, what_is_wrong_is_said);

/// Runs a command with this on its standard input.
fn run(gateway: &Gateway, arguments: &[&str], input: &str) -> Output {
    let mut command = gateway.command(arguments);
    command.arg("--config").arg(gateway.config()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that has ended already reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a command prints as JSON.
fn json_of(gateway: &Gateway, arguments: &[&str], input: &str) -> Value {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let ran = run(gateway, &arguments, input);
    assert!(ran.status.success(), "{arguments:?}: {}", text(&ran));
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&ran)))
}

/// On SQLite the gateway is away while commands run, on PostgreSQL it goes on.
async fn away(gateway: &mut Gateway, ledger: Ledger) {
    if ledger == Ledger::Sqlite {
        gateway.stop().await;
    }
}

async fn back(gateway: &mut Gateway, ledger: Ledger) {
    if ledger == Ledger::Sqlite {
        gateway.start().await;
    }
}

async fn status(gateway: &Gateway, key: &str) -> u16 {
    gateway.rest("ops").with_key(key).get("/auth/validate").await.status
}

async fn becomes(gateway: &Gateway, key: &str, expected: u16) {
    let what = format!("a key that is answered {expected}");
    eventually(&what, Duration::from_secs(20), async || (status(gateway, key).await == expected).then_some(())).await;
}

async fn keys_by_hand(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    away(&mut gateway, ledger).await;
    let create =
        ["key", "create", "--tenant", "acme", "--identity", "reader", "--id", "by-hand", "--scope", "files:read"];
    let plain = run(&gateway, &create, "");
    assert!(plain.status.success(), "{}", text(&plain));
    // The key alone is on standard output, so that it can be taken from there.
    let key = String::from_utf8(plain.stdout).unwrap().trim().to_owned();
    assert!(key.starts_with("cwk_") && key.len() == 53, "{key}");
    let listed = json_of(&gateway, &["key", "list", "--tenant", "acme"], "");
    let keys = listed["api_keys"].as_array().unwrap();
    let made = keys.iter().find(|one| one["id"] == "by-hand").expect("it is listed");
    assert_eq!((&made["prefix"], &made["managed_by"]), (&json!(key[..8]), &json!("api")), "{made}");
    assert!(keys.iter().any(|one| one["managed_by"] == "config") && !listed.to_string().contains(&key));
    let table = text(&run(&gateway, &["key", "list", "--tenant", "acme"], ""));
    assert!(table.starts_with("ID ") && table.contains("by-hand"), "{table}");
    back(&mut gateway, ledger).await;
    becomes(&gateway, &key, 200).await;

    away(&mut gateway, ledger).await;
    // The id says whose it is.
    let rotated = json_of(&gateway, &["key", "rotate", "by-hand", "--grace", "1h"], "");
    let newer = rotated["key"].as_str().unwrap().to_owned();
    back(&mut gateway, ledger).await;
    becomes(&gateway, &newer, 200).await;
    assert_eq!(status(&gateway, &key).await, 200, "for an hour");

    away(&mut gateway, ledger).await;
    json_of(&gateway, &["key", "revoke", "by-hand"], "");
    back(&mut gateway, ledger).await;
    becomes(&gateway, &newer, 401).await;
    assert_eq!(status(&gateway, &key).await, 401);

    // Who did it is on record.
    let trail = gateway.rest("orders").pages("/audit?operation=admin&limit=200", "entries").await;
    let changes: Vec<&Value> = trail.iter().filter(|entry| entry["object_id"] == "by-hand").collect();
    assert_eq!(
        changes.iter().map(|e| e["change"].as_str().unwrap()).collect::<Vec<_>>(),
        ["created", "changed", "removed"]
    );
    for entry in changes {
        assert!(entry["login"].as_str().unwrap().starts_with("cli:"), "{entry}");
        assert_eq!((&entry["auth_method"], &entry["identity"]), (&json!("operator"), &json!("(operator)")), "{entry}");
        assert!(!entry.to_string().contains(&key[8..]), "{entry}");
    }
}

/// Waits until the gateway knows the login, as another one than that of this entity tag; the tag that it has then. (Who tried to log
/// in until it works would be taken for somebody who guesses.)
async fn login_becomes(gateway: &Gateway, other_than: Option<&str>) -> String {
    eventually("the login is known", Duration::from_secs(20), async || {
        let answer = gateway.rest("ops").get("/logins/hand01").await;
        let tag = answer.header("etag").to_owned();
        (answer.status == 200 && Some(tag.as_str()) != other_than).then_some(tag)
    })
    .await
}

async fn users_by_hand(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    away(&mut gateway, ledger).await;
    let added = json_of(&gateway, &["user", "add", "hand01", "--tenant", "acme"], &format!("{PASSWORD}\n"));
    assert_eq!((&added["username"], &added["identity"]), (&json!("hand01"), &json!("hand01")), "{added}");
    back(&mut gateway, ledger).await;
    let first = login_becomes(&gateway, None).await;
    let mut session = Sftp::by_password(gateway.sftp, "hand01", None).await.unwrap();
    let handle = session.open("/mine.txt", sftp::W | sftp::CREATE).await.unwrap();
    session.close(&handle).await.unwrap();
    assert_eq!(gateway.rest("orders").read("/hand01/mine.txt").await.status, 200, "its folder is its root");

    away(&mut gateway, ledger).await;
    json_of(&gateway, &["user", "passwd", "hand01", "--tenant", "acme"], "another one 77\n");
    let listed = json_of(&gateway, &["user", "list", "--tenant", "acme"], "");
    assert!(listed["logins"].as_array().unwrap().iter().any(|one| one["username"] == "hand01"), "{listed}");
    assert!(!listed.to_string().contains("argon2"), "{listed}");
    back(&mut gateway, ledger).await;
    login_becomes(&gateway, Some(&first)).await;
    assert!(Sftp::by_password(gateway.sftp, "hand01", Some("another one 77")).await.is_ok());
    assert!(Sftp::by_password(gateway.sftp, "hand01", None).await.is_err());

    away(&mut gateway, ledger).await;
    enables_codes(&gateway);
    json_of(&gateway, &["user", "remove", "hand01", "--tenant", "acme"], "");
    let listed = json_of(&gateway, &["user", "list", "--tenant", "acme"], "");
    assert!(!listed.to_string().contains("hand01"), "{listed}");
    back(&mut gateway, ledger).await;
    eventually("it is gone", Duration::from_secs(20), async || {
        (gateway.rest("ops").get("/logins/hand01").await.status == 404).then_some(())
    })
    .await;
    assert!(Sftp::by_password(gateway.sftp, "hand01", Some("another one 77")).await.is_err());
    let entry = gateway.rest("orders").read("/hand01/mine.txt").await;
    assert_eq!(entry.status, 200, "what it left stays");
}

/// The secret is printed first; the code that is asked for then is made of it.
fn enables_codes(gateway: &Gateway) {
    use std::io::BufRead as _;
    let mut command = gateway.command(&["user", "enable-totp", "hand01", "--tenant", "acme"]);
    command.arg("--config").arg(gateway.config()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let secret = lines.next().expect("the secret").unwrap();
    assert!(lines.next().expect("the URI").unwrap().starts_with("otpauth://totp/causeway:hand01?secret="));
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}", code_at(&secret, 0)).unwrap();
    drop(input);
    let last = lines.next().expect("a word at the end").unwrap();
    assert!(child.wait().unwrap().success() && last.contains("password+totp"), "{last}");
}

async fn what_is_wrong_is_said(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    if ledger == Ledger::Sqlite {
        let refused = run(&gateway, &["key", "list", "--tenant", "acme"], "");
        let said = text(&refused);
        assert!(!refused.status.success() && said.contains("in use") && said.contains("/api/v1/api-keys"), "{said}");
    }
    away(&mut gateway, ledger).await;
    for (arguments, why) in [
        (&["key", "list"][..], "--tenant"),
        (&["key", "list", "--tenant", "nobody"], "no such tenant"),
        (&["key", "create", "--tenant", "acme", "--identity", "nobody"], "no identity"),
        (&["key", "create", "--tenant", "acme", "--identity", "reader", "--scope", "files:write"], "files:write"),
        (&["key", "create", "--tenant", "acme", "--identity", "reader", "--expires", "soon"], "RFC 3339"),
        (&["key", "revoke", "orders"], "configuration"),
        (&["key", "rotate", "nothing", "--tenant", "acme"], "no such API key"),
        (&["user", "passwd", "edi01", "--tenant", "acme"], "configuration"),
        (&["user", "passwd", "nobody", "--tenant", "acme"], "no login"),
        (&["user", "add", "edi01", "--tenant", "acme", "--identity", "reader"], "name"),
        (&["user", "add", "new01", "--tenant", "acme", "--identity", "nobody"], "no identity"),
        (&["user", "add", "new01", "--tenant", "acme", "--password", "x"], "--password"),
    ] {
        let refused = run(&gateway, arguments, &format!("{PASSWORD}\n"));
        let said = text(&refused);
        assert!(!refused.status.success() && said.contains(why), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let listed = json_of(&gateway, &["user", "list", "--tenant", "acme"], "");
    assert!(!listed.to_string().contains("new01"), "nothing is left of what failed: {listed}");
}
