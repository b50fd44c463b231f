//! Clients that people use, unchanged: OpenSSH's `sftp`, sshfs, PuTTY's `psftp`, lftp, rclone, curl, paramiko, asyncssh and
//! `ssh2-sftp-client` over SFTP; curl, lftp, rclone, Python's `ftplib`, npm's `basic-ftp` and `suppaftp` over FTPS; Python's
//! `requests`, curl and aria2c over REST. And ncftp and tnftp, which know no TLS, are turned away.

mod ftps;
mod ftps_libraries;
mod http;
mod openssh;
mod scripts;
mod sshfs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::plan::{Secrets, api_key};
use crate::harness::{Gateway, Ledger, Plan, Random, beside_python, eventually, has_tool, skip};

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

pub async fn run(mut command: Command) -> Output {
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
async fn rclone_bisync_carries_changes_both_ways() {
    let Some(rclone) = beside_python("rclone") else { return };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    tree(&there);
    let hosts = known_hosts(&gateway, folder.path());
    let port = gateway.sftp.port().to_string();
    let bisync = |arguments: &[&str]| {
        let mut command = Command::new(&rclone);
        command.env("RCLONE_CONFIG", "/dev/null").args(["bisync", "--sftp-host", "127.0.0.1", "--sftp-user", "app01"]);
        command.args(["--sftp-port", &port, "--sftp-known-hosts-file"]).arg(&hosts);
        command.arg("--sftp-key-file").arg(Secrets::get().private_key());
        command.arg("--workdir").arg(folder.path().join("work")).args(arguments).arg(&there).arg(":sftp:/inbound/two");
        command
    };
    let rest = gateway.rest("orders");
    let made = rest.post_json("/folders", &serde_json::json!({ "path": "/inbound/two" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    run(bisync(&["--resync"])).await;
    fs::write(there.join("sub/here"), b"from the partner").unwrap();
    fs::remove_file(there.join("sub/f04")).unwrap();
    assert_eq!(rest.upload("/inbound/two/sub", "there", b"from the application", false).await.status, 201);
    run(bisync(&[])).await;
    assert_eq!(&rest.read("/inbound/two/sub/here").await.body[..], b"from the partner");
    assert_eq!(fs::read(there.join("sub/there")).unwrap(), b"from the application");
    assert!(rest.entry("/inbound/two/sub", "f04").await.is_none(), "what was removed there is removed here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_sends_resumes_and_fetches() {
    // curl's libssh2 before 1.11 knows no encrypt-then-MAC, and the log says what it wants.
    let mut gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let first = format!("sftp://edi01@127.0.0.1:{}/", gateway.sftp.port());
    let mut command = Command::new("curl");
    command
        .args(["-sS", "-k", "--key"])
        .arg(Secrets::get().private_key())
        .args(["--pubkey", "", "-u", "edi01:", &first]);
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    if !ran.status.success() {
        // curl may be gone before the gateway has said why.
        let said = "add one that the client offers to `macs` in [sftp]";
        eventually(&format!("`{said}` after {ran:?}"), Duration::from_secs(10), || async {
            gateway.log().contains(said).then_some(())
        })
        .await;
        gateway.stop().await;
        gateway.change(|plan| plan.sftp("macs = [\"hmac-sha2-256-etm@openssh.com\", \"hmac-sha2-256\"]"));
        gateway.start().await;
    }
    let content = Random::seeded("curl").bytes(3_000_000);
    let local = folder.path().join("data.bin");
    fs::write(&local, &content).unwrap();
    let hosts = known_hosts(&gateway, folder.path());
    let url = format!("sftp://edi01@127.0.0.1:{}/inbound/curl", gateway.sftp.port());
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail", "--key"]).arg(Secrets::get().private_key()).args(["--pubkey", ""]);
        command.args(["-u", "edi01:", "--hostpubsha256"]).arg(fingerprint(&hosts)).args(arguments);
        command
    };
    let rest = gateway.rest("orders");
    let source = local.display().to_string();
    run(curl(&["--ftp-create-dirs", "-T", &source, &format!("{url}/deep/er/data.bin")])).await;
    assert_eq!(rest.read("/inbound/curl/deep/er/data.bin").await.body, content);
    let back = folder.path().join("back");
    run(curl(&["-o", &back.display().to_string(), &format!("{url}/deep/er/data.bin")])).await;
    assert!(fs::read(&back).unwrap() == content);
    // The second half only: `-C` reads from where the local file ends.
    fs::write(&back, &content[..1_000_001]).unwrap();
    run(curl(&["-C", "-", "-o", &back.display().to_string(), &format!("{url}/deep/er/data.bin")])).await;
    assert!(fs::read(&back).unwrap() == content);
    run(curl(&["-Q", "rename /inbound/curl/deep/er/data.bin /inbound/curl/moved", &format!("{url}/")])).await;
    assert!(rest.entry("/inbound/curl", "moved").await.is_some());
    run(curl(&["-Q", "rm /inbound/curl/moved", &format!("{url}/")])).await;
    assert!(rest.entry("/inbound/curl", "moved").await.is_none());
}

/// The first host key's SHA-256, as curl wants it: base64 without padding's prefix.
fn fingerprint(known_hosts: &Path) -> String {
    let listed = Command::new("ssh-keygen").args(["-l", "-E", "sha256", "-f"]).arg(known_hosts).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let hash = listed.split_whitespace().find_map(|word| word.strip_prefix("SHA256:")).expect("a fingerprint");
    hash.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psftp_does_a_partners_session() {
    if !has_tool("psftp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let content = Random::seeded("psftp").bytes(2_500_000);
    fs::write(folder.path().join("data.bin"), &content).unwrap();
    let many = folder.path().join("many/deeper");
    fs::create_dir_all(&many).unwrap();
    fs::write(many.join("größe.txt"), b"names in UTF-8").unwrap();
    let batch = "cd /inbound\nmkdir putty\ncd putty\nput data.bin\nput -r many\nls\nget data.bin back.bin\nreget data.bin back.bin\n\
                 mv data.bin moved.bin\nget -r many again\nchmod 600 moved.bin\nput data.bin gone\ndel gone\nmkdir empty\nrmdir empty\npwd\nquit\n";
    fs::write(folder.path().join("batch"), batch).unwrap();
    let hosts = known_hosts(&gateway, folder.path());
    let mut command = Command::new("psftp");
    command.current_dir(folder.path()).env("HOME", folder.path()).env("LC_ALL", "C.UTF-8");
    command.args(["-batch", "-P", &gateway.sftp.port().to_string(), "-l", "edi01"]);
    command.args(["-pw", crate::harness::plan::PASSWORD, "-hostkey", &format!("SHA256:{}", fingerprint(&hosts))]);
    command.args(["-b", "batch", "127.0.0.1"]);
    let ran = run(command).await;
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("Remote directory is /inbound/putty"), "{said}");
    assert!(fs::read(folder.path().join("back.bin")).unwrap() == content);
    assert_eq!(fs::read(folder.path().join("again/deeper/größe.txt")).unwrap(), b"names in UTF-8");
    let rest = gateway.rest("orders");
    assert_eq!(rest.read("/inbound/putty/moved.bin").await.body, content);
    let names: Vec<String> =
        rest.list("/inbound/putty").await.iter().map(|e| e["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["many", "moved.bin"]);
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
