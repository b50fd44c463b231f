//! The command line: what each command does, says and returns.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::gateway::PROGRAM;
use crate::harness::sftp::{CREATE, TRUNCATE, W};
use crate::harness::{Ledger, Plan, Random, eventually, has_tool, on_both_ledgers, sha256};

on_both_ledgers!(terminates_in_its_grace, verifies_the_trail);

fn text(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs the program with this standard input.
fn with_input(arguments: &[&str], input: &str) -> std::process::Output {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn version_and_usage() {
    let version = with_input(&["--version"], "");
    assert!(version.status.success());
    assert_eq!(String::from_utf8_lossy(&version.stdout).trim(), format!("causeway {}", env!("CARGO_PKG_VERSION")));
    assert!(!with_input(&["no-such-command"], "").status.success());
    assert!(!with_input(&["serve"], "").status.success(), "--config is needed");
    assert!(!with_input(&["hash-password", "secret"], "").status.success(), "never as an argument");
}

#[test]
fn hashes() {
    let hashed = with_input(&["hash-password"], "correct horse\n");
    assert!(hashed.status.success(), "{}", text(&hashed));
    let phc = String::from_utf8(hashed.stdout).unwrap().trim().to_owned();
    assert!(phc.starts_with("$argon2id$"), "{phc}");
    let again = with_input(&["hash-password"], "correct horse\n");
    assert_ne!(String::from_utf8(again.stdout).unwrap().trim(), phc, "salted");
    assert!(!with_input(&["hash-password"], "").status.success(), "no password at all");
    let key = "cwk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let hashed = with_input(&["hash-key"], &format!("{key}\n"));
    assert!(hashed.status.success(), "{}", text(&hashed));
    assert_eq!(String::from_utf8(hashed.stdout).unwrap().trim(), sha256(key.as_bytes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_a_configuration() {
    let mut gateway = Plan::new(Ledger::Sqlite).start().await;
    let checked = gateway.run(&["check"]);
    assert!(checked.status.success(), "{}", text(&checked));
    gateway.stop().await;
    let good = std::fs::read_to_string(gateway.config()).unwrap();
    let bad = good
        .replace("shutdown_grace", "shutdown_graze")
        .replace("identity = \"mill\"", "identity = \"mil\"")
        .replace("webhook_timeout = \"2s\"", "webhook_timeout = \"soon\"");
    assert_ne!(good, bad);
    std::fs::write(gateway.config(), bad).unwrap();
    for command in ["check", "serve"] {
        let checked = gateway.run(&[command]);
        let said = text(&checked);
        assert!(!checked.status.success(), "{command}: {said}");
        for word in ["shutdown_graze", "shutdown_grace", "mil", "webhook_timeout", "causeway.toml"] {
            assert!(said.contains(word), "{command} does not name `{word}`, all errors in one go:\n{said}");
        }
    }
    // A secret in clear is refused, and not repeated.
    std::fs::write(
        gateway.config(),
        format!("{good}\n[[tenant.webhook]]\nid = \"w\"\nurl = \"https://w.example/\"\nevents = [\"*\"]\nsecret = \"hunter2hunter2\"\n"),
    )
    .unwrap();
    let checked = gateway.run(&["check"]);
    assert!(!checked.status.success());
    assert!(!text(&checked).contains("hunter2"), "{}", text(&checked));
    // What is not built yet: a warning of `check`, an error of `serve`.
    std::fs::write(gateway.config(), good.replace("[events]\n", "[events]\nsyslog = \"udp://logs.example:514\"\n"))
        .unwrap();
    let checked = gateway.run(&["check"]);
    assert!(checked.status.success() && text(&checked).contains("syslog"), "{}", text(&checked));
    let served = gateway.run(&["serve"]);
    assert!(!served.status.success() && text(&served).contains("syslog"), "{}", text(&served));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_at_a_time() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let listening = std::fs::read(gateway.data().join("listening.json")).unwrap();
    let second = gateway.run(&["serve"]);
    assert!(!second.status.success());
    assert!(text(&second).contains("data"), "it names the folder: {}", text(&second));
    assert_eq!(std::fs::read(gateway.data().join("listening.json")).unwrap(), listening);
    assert_eq!(gateway.rest("orders").get("/auth/validate").await.status, 200, "the first one goes on");
}

async fn terminates_in_its_grace(ledger: Ledger) {
    let mut gateway = Plan::new(ledger).grace("8s").start().await;
    let content = Random::seeded("grace").bytes(300_000);
    let mut session = gateway.sftp("edi01").await;
    let handle = session.open("/inbound/late", W | CREATE | TRUNCATE).await.unwrap();
    session.write_all(&handle, 0, &content[..200_000]).await.unwrap();
    gateway.terminate();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(tokio::net::TcpStream::connect(gateway.sftp).await.is_err(), "it accepts no more");
    session.write_all(&handle, 200_000, &content[200_000..]).await.unwrap();
    session.close(&handle).await.unwrap();
    drop(session);
    let began = Instant::now();
    let status = gateway.wait().await;
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    gateway.start().await;
    assert_eq!(gateway.rest("orders").read("/inbound/late").await.body, content);

    // One that does not end in the grace is detached, and resumed after the restart.
    gateway.change(|plan| plan.grace("1s"));
    gateway.stop().await;
    gateway.start().await;
    let mut session = gateway.sftp("edi01").await;
    let handle = session.open("/inbound/later", W | CREATE | TRUNCATE).await.unwrap();
    session.write_all(&handle, 0, &content[..200_000]).await.unwrap();
    let began = Instant::now();
    gateway.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(session.close(&handle).await.is_err());
    gateway.start().await;
    let mut session = gateway.sftp("edi01").await;
    assert_eq!(session.stat("/inbound/later").await.unwrap().size, Some(200_000), "what was acknowledged is kept");
    assert!(gateway.rest("orders").entry("/inbound", "later").await.is_none());
    let handle = session.open("/inbound/later", W).await.unwrap();
    session.write_all(&handle, 200_000, &content[200_000..]).await.unwrap();
    session.close(&handle).await.unwrap();
    assert_eq!(gateway.rest("orders").read("/inbound/later").await.body, content);
}

async fn verifies_the_trail(ledger: Ledger) {
    use sqlx::{Connection, Executor};
    let mut gateway = Plan::new(ledger).start().await;
    for n in 0..10 {
        gateway.rest("orders").put(&format!("/inbound/{n}"), b"x").await.ok();
    }
    let good = gateway.run(&["audit", "verify"]);
    assert!(good.status.success(), "while it runs: {}", text(&good));
    gateway.stop().await;
    let good = gateway.run(&["audit", "verify"]);
    assert!(good.status.success() && text(&good).contains("acme"), "{}", text(&good));
    // Somebody with the database in hands changes an entry.
    match gateway.database() {
        None => {
            let connection = rusqlite::Connection::open(gateway.data().join("causeway.db")).unwrap();
            connection
                .execute_batch(
                    "drop trigger audit_entries_no_update; \
                     update audit_entries \
                     set body = cast(replace(cast(body as text), '/inbound/3', '/inbound/4') as blob) \
                     where path = '/inbound/3';",
                )
                .unwrap();
        }
        Some(url) => {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            for statement in [
                "set causeway.tenant = '*'",
                "drop trigger audit_entries_no_change on audit_entries",
                "update audit_entries set body = convert_to(replace(convert_from(body, 'UTF8'), '/inbound/3', '/inbound/4'), \
                 'UTF8') where path = '/inbound/3'",
            ] {
                connection.execute(statement).await.unwrap();
            }
            connection.close().await.unwrap();
        }
    }
    let bad = gateway.run(&["audit", "verify"]);
    assert!(!bad.status.success(), "a changed entry is found: {}", text(&bad));
}

/// A running `quickstart`, ended with this value.
struct Quickstart(std::process::Child);

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `quickstart` and waits until it has printed its lines.
async fn quickstart(folder: &std::path::Path, base: u16) -> (Quickstart, String) {
    let output = folder.join("output");
    let file = std::fs::File::create(&output).unwrap();
    let child = Command::new(PROGRAM)
        .args(["quickstart", "--port-base", &base.to_string(), "--dir"])
        .arg(folder.join("demo"))
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let mut child = Quickstart(child);
    let said = eventually("quickstart prints its lines", Duration::from_mins(1), || {
        assert!(child.0.try_wait().unwrap().is_none(), "{}", std::fs::read_to_string(&output).unwrap());
        let said = std::fs::read_to_string(&output).unwrap();
        async move { (said.contains("sftp ") && said.contains("curl ")).then_some(said) }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let said = std::fs::read_to_string(&output).unwrap_or(said);
    (child, said)
}

/// The lines that can be pasted: those that begin with this command.
fn pasteable(said: &str, command: &str) -> Vec<String> {
    said.lines()
        .map(str::trim)
        .map(|l| l.trim_start_matches("$ ").to_owned())
        .filter(|l| l.starts_with(command))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quickstart_twice() {
    if !has_tool("sftp") || !has_tool("curl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // A range that nothing else takes: the kernel hands out ports from 32768 on.
    let base = 21_000 + (std::process::id() % 900) as u16 * 10;
    let (first, said) = quickstart(folder.path(), base).await;
    let curls = pasteable(&said, "curl ");
    let sftps = pasteable(&said, "sftp ");
    assert!(!curls.is_empty() && !sftps.is_empty(), "{said}");
    let shell = |line: String| {
        let folder = folder.path().to_owned();
        tokio::task::spawn_blocking(move || {
            Command::new("bash").args(["-c", &line]).current_dir(folder).stdin(Stdio::null()).output().unwrap()
        })
    };
    for line in &curls {
        let ran = shell(line.replace("curl ", "curl -fsS ")).await.unwrap();
        assert!(ran.status.success(), "{line}: {}\n{said}", text(&ran));
    }
    // The line as printed, with its standard input in place of a terminal.
    let line = format!(
        "echo 'ls -la' | {}",
        sftps[0].replacen("sftp ", "sftp -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=known -b - ", 1)
    );
    let ran = shell(line.clone()).await.unwrap();
    assert!(ran.status.success(), "{line}: {}\n{said}", text(&ran));
    // lftp's as printed, with something to do in place of a terminal.
    if has_tool("lftp") {
        let lftp = pasteable(&said, "lftp ");
        assert_eq!(lftp.len(), 1, "{said}");
        let line = lftp[0].replacen("-e \"", "-e \"set cmd:fail-exit yes; ", 1);
        let line = line.replacen("\" -u", "; cls ftps.toml; quit\" -u", 1);
        let ran = shell(line.clone()).await.unwrap();
        assert!(ran.status.success() && text(&ran).contains("ftps.toml"), "{line}: {}", text(&ran));
    }
    drop(first);
    let (_second, again) = quickstart(folder.path(), base).await;
    assert_eq!(pasteable(&again, "curl "), curls, "a second start reuses all of it");
    assert_eq!(pasteable(&again, "sftp "), sftps);
    for line in pasteable(&again, "curl ") {
        let ran = shell(line.replace("curl ", "curl -fsS ")).await.unwrap();
        assert!(ran.status.success(), "{line}: {}", text(&ran));
    }
}
