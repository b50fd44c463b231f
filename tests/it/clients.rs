//! Clients that people use: lftp and rclone over SFTP, Python's `requests` over REST.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::plan::{Secrets, api_key};
use crate::harness::{Gateway, Ledger, Plan, Random, has_tool, skip};

/// A tree with empty, small and large files and a name in other scripts. Returns the relative paths, sorted.
fn tree(root: &Path) -> Vec<PathBuf> {
    let mut random = Random::seeded("clients");
    let mut paths = vec![PathBuf::from("empty"), PathBuf::from("größe 大きさ.txt"), PathBuf::from("sub/deeper/large")];
    paths.extend((0..30).map(|n| PathBuf::from(format!("sub/f{n:02}"))));
    paths.sort();
    for (n, path) in paths.iter().enumerate() {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let size = if path.ends_with("empty") { 0 } else { 100 + n * 1_000 };
        fs::write(&path, random.bytes(if path.ends_with("large") { 9_000_000 } else { size })).unwrap();
    }
    paths
}

fn assert_same(one: &Path, other: &Path, paths: &[PathBuf]) {
    for path in paths {
        assert!(fs::read(one.join(path)).unwrap() == fs::read(other.join(path)).unwrap(), "{} differs", path.display());
    }
}

fn known_hosts(gateway: &Gateway, folder: &Path) -> PathBuf {
    let scan = Command::new("ssh-keyscan")
        .args(["-p", &gateway.sftp.port().to_string(), "127.0.0.1"])
        .output()
        .expect("ssh-keyscan is installed");
    assert!(!scan.stdout.is_empty(), "{scan:?}");
    let path = folder.join("known_hosts");
    fs::write(&path, scan.stdout).unwrap();
    path
}

async fn run(mut command: Command) -> Output {
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{} {out}{err}", ran.status);
    ran
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lftp_mirrors_both_ways() {
    if !has_tool("lftp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let (there, back) = (folder.path().join("there"), folder.path().join("back"));
    let paths = tree(&there);
    let connect = format!(
        "ssh -a -x -F /dev/null -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={}",
        Secrets::get().private_key().display(),
        known_hosts(&gateway, folder.path()).display()
    );
    let script = format!(
        "set cmd:fail-exit yes; set net:max-retries 2; set sftp:connect-program '{connect}'; \
         open -u edi01, sftp://127.0.0.1:{}; mirror -R '{}' /inbound/lftp; mirror /inbound/lftp '{}'; \
         mv /inbound/lftp/empty /inbound/lftp/moved; rm /inbound/lftp/moved",
        gateway.sftp.port(),
        there.display(),
        back.display()
    );
    let mut command = Command::new("lftp");
    command.args(["-c", &script]).env("HOME", folder.path());
    run(command).await;
    assert_same(&there, &back, &paths);
    let names: Vec<String> = gateway
        .rest("orders")
        .list("/inbound/lftp")
        .await
        .iter()
        .map(|entry| entry["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["größe 大きさ.txt", "sub"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rclone_syncs_and_finds_no_difference() {
    let Some(rclone) = beside_python("rclone") else { return };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    tree(&there);
    let hosts = known_hosts(&gateway, folder.path());
    let port = gateway.sftp.port().to_string();
    let rclone = |arguments: &[&str]| {
        let mut command = Command::new(&rclone);
        command.env("RCLONE_CONFIG", "/dev/null").args(["--sftp-host", "127.0.0.1", "--sftp-user", "edi01"]);
        command.args(["--sftp-port", &port, "--sftp-known-hosts-file"]).arg(&hosts);
        command.arg("--sftp-key-file").arg(Secrets::get().private_key()).args(arguments).arg(&there);
        command.arg(":sftp:/inbound/rclone");
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
async fn requests_as_the_guides_write_it() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with requests; ./test makes one");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/rest_session.py"));
    command.arg(format!("https://localhost:{}", gateway.api.port()));
    command.arg(gateway.data().join("certs/ca.pem")).arg(api_key("orders"));
    run(command).await;
}

/// A program of the Python environment that ./test makes.
fn beside_python(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("CAUSEWAY_TEST_PYTHON")
        .map(|python| Path::new(&python).with_file_name(name))
        .filter(|path| path.is_file());
    if found.is_none() {
        skip(&format!("`{name}` is not beside CAUSEWAY_TEST_PYTHON; ./test installs it"));
    }
    found
}
