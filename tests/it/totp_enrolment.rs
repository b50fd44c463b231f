//! Time-based codes that were enrolled over REST, asked for by every protocol that logs people in.

use std::process::Command;

use serde_json::{Value, json};

use crate::clients::run;
use crate::harness::codes::{code_at, next_step, with_time_left};
use crate::harness::openssh::OpenSsh;
use crate::harness::plan::{PASSWORD, Secrets};
use crate::harness::{Gateway, Ledger, Plan, Rest, Sftp, on_both_ledgers, skip};

on_both_ledgers!(codes_are_enrolled_in_two_steps, what_cannot_be_enrolled);

async fn login(admin: &Rest, username: &str, more: &Value) {
    let mut body = json!({
        "username": username, "identity": "edi-partner", "protocols": ["sftp", "ftps"],
        "password_hash": Secrets::get().password_hash,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = admin.post_json("/logins", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Logs in with OpenSSH, which asks `SSH_ASKPASS` for each answer: the password, then the code.
async fn by_ssh(gateway: &Gateway, login: &str, code: &str) -> bool {
    let answers = format!("#!/bin/sh\ncase \"$1\" in *assword*) echo '{PASSWORD}';; *) echo '{code}';; esac\n");
    let client = OpenSsh::new(gateway, login).option("PreferredAuthentications=password,keyboard-interactive");
    client.with_answers(&answers, "pwd\n").await.success
}

async fn by_ftp(gateway: &Gateway, login: &str, codes: [&str; 2]) {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python; ./test makes one");
    };
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/ftplib_codes.py"));
    command.args([&gateway.ftps.port().to_string(), login, PASSWORD, codes[0], codes[1]]);
    command.arg(gateway.data().join("certs/ca.pem"));
    run(command).await;
}

async fn codes_are_enrolled_in_two_steps(ledger: Ledger) {
    let gateway = Plan::new(ledger).limits("penalties = { enabled = false }").start().await;
    let admin = gateway.rest("ops");
    login(&admin, "rest01", &json!({})).await;
    let begun = admin.post_json("/logins/rest01/totp", &json!({})).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    assert_eq!(begun.header("cache-control"), "no-store");
    let begun = begun.json();
    let secret = begun["secret"].as_str().unwrap().to_owned();
    let uri = begun["uri"].as_str().unwrap();
    assert!(uri.starts_with("otpauth://totp/causeway:rest01?") && uri.contains(&secret), "{begun}");
    assert_eq!((&begun["state"], &begun["require"]), (&json!("pending"), &json!("password+totp")), "{begun}");
    // Nothing is asked for yet.
    assert!(Sftp::by_password(gateway.sftp, "rest01", None).await.is_ok());

    with_time_left(20).await;
    let confirm = async |code: &str| admin.post_json("/logins/rest01/totp/confirm", &json!({ "code": code })).await;
    let wrong = if code_at(&secret, -1) == "000000" { "111111" } else { "000000" };
    for code in [wrong, "", "12345x"] {
        let refused = confirm(code).await;
        refused.problem(400, "invalid_argument");
        assert_eq!(refused.json()["errors"][0]["field"], "code", "{refused:?}");
    }
    let used = code_at(&secret, -1);
    let confirmed = confirm(&used).await.ok();
    assert_eq!(
        (&confirmed["state"], &confirmed["require"]),
        (&json!("enabled"), &json!("password+totp")),
        "{confirmed}"
    );
    assert!(!confirmed.to_string().contains(&secret), "it is shown once: {confirmed}");
    assert_eq!(confirm(&code_at(&secret, 0)).await.status, 409, "nothing is pending any more");

    // From now on it is asked for, and each code counts once: that which confirmed, too.
    assert!(Sftp::by_password(gateway.sftp, "rest01", None).await.is_err());
    assert!(!by_ssh(&gateway, "rest01", &used).await);
    assert!(by_ssh(&gateway, "rest01", &code_at(&secret, 0)).await);
    next_step().await;
    by_ftp(&gateway, "rest01", [&code_at(&secret, 0), &code_at(&secret, 1)]).await;

    // The secret is nobody's to see, and the trail has both steps.
    let (shown, trail) =
        (admin.get("/logins/rest01").await, admin.pages("/audit?operation=admin&limit=200", "entries").await);
    let changes = trail.iter().filter(|entry| entry["object_id"] == "rest01").count();
    assert_eq!(changes, 3, "made, begun, confirmed: {trail:?}");
    for text in [shown.json().to_string(), format!("{trail:?}"), gateway.log()] {
        assert!(!text.contains(&secret), "{text}");
    }
    assert_eq!(admin.delete("/logins/rest01/totp").await.status, 204);
    assert!(Sftp::by_password(gateway.sftp, "rest01", None).await.is_ok(), "it asks for what it asked for before");
    admin.send(admin.request(reqwest::Method::DELETE, "/logins/rest01/totp")).await.problem(404, "not_found");
}

async fn what_cannot_be_enrolled(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let admin = gateway.rest("ops");
    login(&admin, "rest02", &json!({})).await;
    let begin = async |username: &str, body: Value| admin.post_json(&format!("/logins/{username}/totp"), &body).await;
    begin("nobody", json!({})).await.problem(404, "not_found");
    let declared = begin("edi01", json!({})).await;
    assert_eq!(declared.status, 409, "{declared:?}");
    for require in ["password", "any", "publickey+password", "totp"] {
        let refused = begin("rest02", json!({ "require": require })).await;
        refused.problem(400, "invalid_argument");
        assert_eq!(refused.json()["errors"][0]["field"], "require", "{refused:?}");
    }
    let confirm = admin.post_json("/logins/rest02/totp/confirm", &json!({ "code": "123456" })).await;
    assert_eq!(confirm.status, 409, "{confirm:?}");
    let both = begin("rest02", json!({ "require": "publickey+password+totp" })).await.ok();
    assert_eq!(both["require"], "publickey+password+totp");
    // Begun anew: only the newest secret can be confirmed.
    let first = both["secret"].as_str().unwrap().to_owned();
    let second = begin("rest02", json!({})).await.ok();
    with_time_left(10).await;
    let old = admin.post_json("/logins/rest02/totp/confirm", &json!({ "code": code_at(&first, 0) })).await;
    old.problem(400, "invalid_argument");
    let code = code_at(second["secret"].as_str().unwrap(), 0);
    admin.post_json("/logins/rest02/totp/confirm", &json!({ "code": code })).await.ok();
    // Who does not administer may not, and another tenant's login is not there.
    let orders = gateway.rest("orders");
    for path in ["/logins/rest02/totp", "/logins/rest02/totp/confirm"] {
        orders.post_json(path, &json!({ "code": "123456" })).await.problem(403, "permission_denied");
    }
    assert_eq!(orders.delete("/logins/rest02/totp").await.status, 403);
    begin("other01", json!({})).await.problem(404, "not_found");
}
