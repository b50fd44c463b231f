//! Names, versions and logins that are meant to deceive whoever reads the trail: they are cut, what hides something is replaced
//! or escaped, and no form of the trail has a line, a cell or a field more for them.

use std::collections::BTreeSet;
use std::fs;

use causeway_core::events::is_hidden;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::ftps::code;
use crate::harness::rest::{content_path, encode_bytes};
use crate::harness::sftp::{Attrs, CREATE, TRUNCATE, W};
use crate::harness::{Ftps, Gateway, Ledger, Plan, Rest, Sftp, on_both_ledgers};

on_both_ledgers!(nobody_is_deceived);

/// Names that files may have.
const NAMES: [&str; 9] = [
    "=1+1,\"x\".csv",
    "@sum(1)",
    "-2+3",
    "a\u{202e}fdp.exe",
    "b\u{2028}c\u{2029}",
    "\u{feff}bom",
    "q'`;<script>",
    "back\\slash\\u0041",
    "\u{2066}joined\u{200b}",
];
/// Names that none may have. The last one is too long for any.
fn no_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> =
        [&b"a\x01b"[..], b"\x1b[2J", b"x\x7f", "c\u{85}d".as_bytes(), b"\xff\xfe", b"a\0b", b"a\nb,=1\n"]
            .map(<[u8]>::to_vec)
            .into();
    names.push(b"x".repeat(5000));
    names
}

/// What a client calls itself.
const SSH: &str = "SSH-2.0-=1+1,\"\u{202e}\u{e9}\",'<b>";
const FTP: &str = "=cmd|'/C calc'!A0,\"\u{7}";

/// What comes by SFTP, and by scp on the same connection.
async fn over_ssh(gateway: &Gateway) -> Sftp {
    let mut sftp = Sftp::calling_itself(gateway.sftp, "app01", SSH).await.unwrap();
    for name in NAMES {
        sftp.put(&format!("/inbound/sftp/{name}"), b"x").await.unwrap();
        let mut scp = sftp.command("scp -t /inbound/scp").await;
        scp.write_all(format!("C0644 1 {name}\nx\0").as_bytes()).await.unwrap();
        scp.shutdown().await.unwrap();
        let mut said = Vec::new();
        scp.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, [0, 0, 0], "{name:?}");
    }
    for name in no_names() {
        let path = [b"/inbound/sftp/", &name[..]].concat();
        sftp.open_bytes(&path, W | CREATE | TRUNCATE, &Attrs::default()).await.unwrap_err();
        // What ends a line, or is longer than any, is no message of scp's.
        if !name.contains(&b'\n') && name.len() < 1000 {
            let mut scp = sftp.command("scp -t /inbound/scp").await;
            scp.write_all(&[b"C0644 1 ", &name[..], b"\n"].concat()).await.unwrap();
            scp.shutdown().await.unwrap();
            let mut said = Vec::new();
            scp.read_to_end(&mut said).await.unwrap();
            assert!(said.len() > 2, "{name:?}: {said:?}");
        }
    }
    sftp
}

async fn over_ftps(gateway: &Gateway) -> Ftps {
    let mut ftps = Ftps::connect(gateway, &rustls::version::TLS13).await;
    ftps.secure().await;
    assert_eq!(ftps.code(&format!("CLNT {FTP}")).await, 200);
    ftps.enter("app01").await;
    for name in NAMES {
        assert_eq!(code(&ftps.put(&format!("STOR /inbound/ftps/{name}"), b"x").await), 226, "{name:?}");
    }
    for name in no_names() {
        // The others cannot be said in a line, or are Telnet's.
        if !name.contains(&b'\n') && !name.contains(&0) && !name.contains(&0xff) {
            ftps.raw(&[b"STOR /inbound/ftps/", &name[..], b"\r\n"].concat()).await.unwrap();
            assert_eq!(code(&ftps.reply().await), 553, "{name:?}");
        }
    }
    ftps
}

async fn over_rest(rest: &Rest) {
    let agent = ["=HYPERLINK(\"https://evil.example\",\"x\")\u{202e}\u{2028}", &"\u{e9}".repeat(5000)].concat();
    let agent = HeaderValue::from_bytes(&[agent.as_bytes(), b"\xff"].concat()).unwrap();
    for name in NAMES {
        let request = rest.put_request(&format!("/inbound/api/{name}"), "x".into());
        let answer = rest.send(request.header("user-agent", agent.clone())).await;
        assert_eq!(answer.status, 201, "{name:?}: {answer:?}");
    }
    for name in no_names() {
        let path = [b"/inbound/api/", &name[..]].concat();
        let request = rest.request(Method::PUT, &format!("/files/content?path={}", encode_bytes(&path))).body("x");
        rest.send(request.header("user-agent", agent.clone())).await.problem(400, "invalid_name");
    }
    // Read back, so that the name is also in a download.
    assert_eq!(rest.get(&content_path(&format!("/inbound/sftp/{}", NAMES[0]))).await.status, 200);
}

/// No text that names no file hides anything, and none is too long.
fn is_fit(entry: &Value) {
    for (field, value) in entry.as_object().unwrap() {
        let Some(text) = value.as_str() else { continue };
        let names = ["path", "view_path", "previous_path", "name"].contains(&field.as_str());
        let most = match field.as_str() {
            _ if names => 4096,
            "error_message" => 1024,
            _ => 255,
        };
        assert!(text.chars().count() <= most, "{field} of {entry}");
        assert!(names || !text.contains(is_hidden), "{field} of {entry}");
    }
}

/// The cells of a table (RFC 4180 section 2).
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {
                chars.next();
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    assert!(!quoted && cell.is_empty() && row.is_empty(), "a quote or a row has no end");
    rows
}

fn hidden(text: &str) -> BTreeSet<char> {
    text.chars().filter(|c| is_hidden(*c)).collect()
}

async fn in_form(rest: &Rest, accept: &str) -> String {
    let request = rest.request(Method::GET, "/audit?limit=1000").header("accept", accept);
    let answer = rest.send(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

async fn nobody_is_deceived(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    for protocol in ["sftp", "scp", "ftps", "api"] {
        let folder = serde_json::json!({ "path": format!("/inbound/{protocol}") });
        assert_eq!(rest.post_json("/folders", &folder).await.status, 201);
    }
    // They stay, so that nothing comes to the trail while its forms are compared.
    let (ssh, tls) = (over_ssh(&gateway).await, over_ftps(&gateway).await);
    over_rest(&rest).await;

    let entries = rest.pages("/audit?limit=1000", "entries").await;
    entries.iter().for_each(is_fit);
    for protocol in ["sftp", "scp", "ftps", "api"] {
        let of = |outcome: &str| {
            let is = |entry: &&Value| {
                entry["protocol"] == protocol && entry["operation"] == "upload" && entry["outcome"] == outcome
            };
            entries.iter().filter(is).collect::<Vec<_>>()
        };
        let done: BTreeSet<&str> = of("ok").iter().map(|entry| entry["path"].as_str().unwrap()).collect();
        for name in NAMES {
            assert!(done.contains(&*format!("/inbound/{protocol}/{name}")), "{protocol}: {name:?} of {done:?}");
        }
        let refused = of("denied");
        assert!(refused.len() >= 5, "{protocol}: {refused:?}");
        for entry in refused {
            let called = entry["view_path"].as_str().unwrap();
            assert!(called.starts_with(&format!("/inbound/{protocol}/")) && !called.contains('\0'), "{entry}");
            assert_eq!((&entry["path"], &entry["error_code"]), (&Value::Null, &"invalid_name".into()), "{entry}");
        }
    }
    let versions: BTreeSet<&str> = entries.iter().filter_map(|entry| entry["client_version"].as_str()).collect();
    for (begins, what) in [("SSH-2.0-=1+1,\"", "SSH"), ("=cmd|", "CLNT"), ("=HYPERLINK(", "User-Agent")] {
        assert!(versions.iter().any(|version| version.starts_with(begins)), "{what}: {versions:?}");
    }

    let lines = in_form(&rest, "application/x-ndjson").await;
    assert_eq!(hidden(&lines), BTreeSet::from(['\n']), "an entry is a line, whatever is taken for its end");
    let read: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids = |entries: &[Value]| -> BTreeSet<String> {
        entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((read.len(), ids(&read)), (entries.len(), ids(&entries)));

    let table = in_form(&rest, "text/csv").await;
    assert_eq!(hidden(&table), BTreeSet::from(['\r', '\n']));
    let rows = cells(&table);
    assert_eq!((rows.len(), table.matches("\r\n").count()), (entries.len() + 1, entries.len() + 1));
    for row in &rows {
        assert_eq!(row.len(), rows[0].len(), "{row:?}");
        assert!(!row.iter().any(|cell| cell.starts_with(['=', '+', '-', '@', '\t'])), "{row:?}");
    }

    // Who is nobody is in the gateway's own chain.
    drop((ssh, tls));
    Sftp::by_password(gateway.sftp, "@SUM(1+1)\u{202e}\n", None).await.map(drop).unwrap_err();
    let verified = rest.get("/audit/verify").await.ok();
    assert_eq!(verified["valid"], true, "{verified}");
    gateway.stop().await;
    for (tenant, name) in [("", "(gateway)"), ("acme", "acme")] {
        let exported = gateway.run(&["audit", "export", "--tenant", tenant]);
        assert!(exported.status.success(), "{exported:?}");
        let text = String::from_utf8(exported.stdout).unwrap();
        assert_eq!(hidden(&text), BTreeSet::from(['\n']));
        for line in text.lines() {
            is_fit(&serde_json::from_str(line).unwrap());
        }
        if tenant.is_empty() {
            assert!(text.contains("@SUM(1+1)\u{fffd}\u{fffd}"), "{text}");
        }
        let file = gateway.folder().join("export.ndjson");
        fs::write(&file, &text).unwrap();
        let checked = gateway.command(&["audit", "verify", "--export"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success() && said.contains(&format!("{name}: valid")), "{said}");
    }
}
