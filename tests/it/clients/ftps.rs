//! curl, lftp, rclone and Python's `ftplib` over FTPS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{assert_same, beside_python, run, tree};
use crate::harness::plan::PASSWORD;
use crate::harness::{Gateway, Ledger, Plan, Random, has_tool, skip};

fn ca(gateway: &Gateway) -> PathBuf {
    gateway.data().join("certs/ca.pem")
}

fn curl(gateway: &Gateway, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.current_dir(folder).args(["-q", "-sS", "--noproxy", "*", "--max-time", "60", "--cacert"]).arg(ca(gateway));
    command.args(["-u", &format!("edi01:{PASSWORD}")]).args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_over_ftps() {
    if !has_tool("curl") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let content = Random::seeded("curl ftps").bytes(3_000_000);
    fs::write(folder.path().join("whole"), &content).unwrap();
    for (scheme, port) in [("ftp", gateway.ftps.port()), ("ftps", gateway.ftps_implicit.port())] {
        let file = format!("{scheme}://localhost:{port}/inbound/curl-{scheme}/a.bin");
        let ours = |arguments: &[&str]| {
            let mut all = vec!["--ssl-reqd", "--ftp-create-dirs"];
            all.extend(arguments);
            curl(&gateway, folder.path(), &all)
        };
        run(ours(&["-T", "whole", &file])).await;
        run(ours(&["-o", "back", &file])).await;
        assert!(fs::read(folder.path().join("back")).unwrap() == content, "{scheme}");
        // The rest of a download.
        fs::write(folder.path().join("back"), &content[..1_000_000]).unwrap();
        run(ours(&["-C", "-", "-o", "back", &file])).await;
        assert!(fs::read(folder.path().join("back")).unwrap() == content, "{scheme}: resumed");
        // The rest of an upload: SIZE, then APPE.
        fs::write(folder.path().join("part"), &content[..1_000_000]).unwrap();
        let part = format!("{file}.part2");
        run(ours(&["-T", "part", &part])).await;
        run(ours(&["-C", "-", "-T", "whole", &part])).await;
        let path = format!("/inbound/curl-{scheme}/a.bin.part2");
        assert!(gateway.rest("orders").read(&path).await.body == content, "{scheme}: an upload resumed");
        // Several uploads in a row: each one's data connection needs a ticket of its own.
        let several = format!("{scheme}://localhost:{port}/inbound/curl-{scheme}/");
        run(ours(&["-T", "{whole,part,back}", &several])).await;
        let listed = run(ours(&[&several])).await;
        assert!(String::from_utf8_lossy(&listed.stdout).contains("3000000"), "{listed:?}");
    }
    // In clear nobody logs in, and no password is asked for.
    let url = format!("ftp://localhost:{}/", gateway.ftps.port());
    let refused = curl(&gateway, folder.path(), &["-v", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(67) && said.contains("< 530") && !said.contains("> PASS"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lftp_mirrors_both_ways_over_ftps() {
    if !has_tool("lftp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let (there, back) = (folder.path().join("there"), folder.path().join("back"));
    let paths = tree(&there);
    let script = format!(
        "set cmd:fail-exit yes; set net:max-retries 2; set ssl:ca-file '{}'; set ftp:ssl-force yes; \
         set ftp:ssl-protect-data yes; open -u 'edi01,{PASSWORD}' ftp://localhost:{}; \
         mirror -R -P 3 '{}' /inbound/lftp; mirror -P 3 /inbound/lftp '{}'; \
         mv /inbound/lftp/empty /inbound/lftp/moved; rm /inbound/lftp/moved",
        ca(&gateway).display(),
        gateway.ftps.port(),
        there.display(),
        back.display()
    );
    let mut command = Command::new("lftp");
    command.args(["-c", &script]).env("HOME", folder.path()).env("LC_ALL", "C.UTF-8");
    run(command).await;
    assert_same(&there, &back, &paths);
    let rest = gateway.rest("orders");
    assert!(rest.entry("/inbound/lftp", "empty").await.is_none() && rest.entry("/inbound/lftp", "sub").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rclone_over_ftps() {
    let Some(rclone) = beside_python("rclone") else { return };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    tree(&there);
    let hidden = run({
        let mut command = Command::new(&rclone);
        command.env("RCLONE_CONFIG", "/dev/null").args(["obscure", PASSWORD]);
        command
    })
    .await;
    let hidden = String::from_utf8(hidden.stdout).unwrap().trim().to_owned();
    let port = gateway.ftps.port().to_string();
    let rclone = |arguments: &[&str]| {
        let mut command = Command::new(&rclone);
        command.env("RCLONE_CONFIG", "/dev/null").env("RCLONE_FTP_PASS", &hidden);
        command.args(["--ftp-host", "localhost", "--ftp-user", "edi01", "--ftp-port", &port, "--ftp-explicit-tls"]);
        command.arg("--ca-cert").arg(ca(&gateway)).args(arguments).arg(&there).arg(":ftp:/inbound/rclone");
        command
    };
    run(rclone(&["sync"])).await;
    run(rclone(&["check", "--download"])).await;
    fs::write(there.join("sub/f03"), b"changed").unwrap();
    fs::remove_file(there.join("sub/f04")).unwrap();
    run(rclone(&["sync"])).await;
    run(rclone(&["check", "--download"])).await;
    let rest = gateway.rest("orders");
    assert_eq!(&rest.read("/inbound/rclone/sub/f03").await.body[..], b"changed");
    assert!(rest.entry("/inbound/rclone/sub", "f04").await.is_none(), "what is gone there is gone here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ftplib_with_session_reuse() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python; ./test makes one");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/ftplib_session.py"));
    command.args([&gateway.ftps.port().to_string(), "edi01", PASSWORD]).arg(ca(&gateway));
    run(command).await;
    let names: Vec<String> = gateway
        .rest("orders")
        .list("/inbound/ftplib")
        .await
        .iter()
        .map(|entry| entry["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["moved-TLSv1_2.bin", "moved-TLSv1_3.bin"]);
}
