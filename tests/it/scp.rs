//! The real `scp` by both of its protocols, and commands over `ssh`: checksums run, everything else is refused.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::harness::plan::{PASSWORD, Secrets};
use crate::harness::proxy::Proxy;
use crate::harness::{Ledger, Plan, Random, beside_python, eventually, has_tool, sha256};
use crate::spine::{audit_of, events_come, events_of};

/// OpenSSH's programs as one login, in a folder of their own.
struct Client {
    port: u16,
    login: &'static str,
    folder: tempfile::TempDir,
}

impl Client {
    fn new(port: u16, login: &'static str) -> Self {
        Self { port, login, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn there(&self, path: &str) -> String {
        format!("{}@127.0.0.1:{path}", self.login)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let port = if program == "scp" { "-P" } else { "-p" };
        command.current_dir(self.folder.path()).args(["-F", "/dev/null", port, &self.port.to_string()]);
        for option in ["StrictHostKeyChecking=accept-new", "ConnectTimeout=20", "IdentitiesOnly=yes", "BatchMode=yes"] {
            command.args(["-o", option]);
        }
        command.arg("-o").arg(format!("UserKnownHostsFile={}", self.path(".known_hosts").display()));
        command.arg("-i").arg(Secrets::get().private_key()).stdin(Stdio::null());
        command
    }

    async fn scp(&self, arguments: &[&str]) -> Output {
        let mut command = self.command("scp");
        command.args(arguments);
        run(command).await
    }

    async fn ssh(&self, arguments: &[&str]) -> Output {
        let mut command = self.command("ssh");
        command.arg(format!("{}@127.0.0.1", self.login)).args(arguments);
        run(command).await
    }
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_done(output: &Output) {
    assert!(output.status.success(), "{} {}", output.status, errors(output));
}

fn assert_failed(output: &Output, text: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", errors(output));
    assert!(errors(output).contains(text), "`{text}` is not in: {}", errors(output));
}

/// What a tree looks like: content, mode and second of the last change; a folder has no content.
fn look(root: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, u32, i64)> {
    fn walk(root: &Path, at: &Path, out: &mut BTreeMap<PathBuf, (Option<Vec<u8>>, u32, i64)>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.metadata().unwrap();
            let content = meta.is_file().then(|| fs::read(&path).unwrap());
            let found = (content, meta.permissions().mode() & 0o7777, meta.mtime());
            out.insert(path.strip_prefix(root).unwrap().to_owned(), found);
            if meta.is_dir() {
                walk(root, &path, out);
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(root, root, &mut out);
    out
}

/// A tree with what copies like to forget.
fn plant(client: &Client) {
    let mut random = Random::seeded("scp");
    client.write("tree/empty", b"");
    client.write("tree/größe 大きさ.txt", b"names in all scripts");
    client.write("tree/it's \"quoted\" $HOME *", b"letters that a shell knows");
    client.write("tree/sub/deep/large", &random.bytes(3_000_000));
    client.write("tree/sub/run", b"#!/bin/sh\n");
    fs::create_dir_all(client.path("tree/none/in it")).unwrap();
    for (path, mode) in [("tree/sub/run", 0o750), ("tree/empty", 0o600), ("tree/none", 0o700)] {
        fs::set_permissions(client.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    // From the leaves up, as every change of a folder sets its time.
    let mut paths: Vec<PathBuf> = look(&client.path("tree")).into_keys().collect();
    paths.sort();
    for (n, path) in paths.iter().enumerate().rev() {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000 + 1000 * n as u64);
        fs::File::open(client.path("tree").join(path)).unwrap().set_modified(moment).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_goes_there_and_back_by_both_protocols() {
    if !has_tool("scp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let client = Client::new(gateway.sftp.port(), "edi01");
    plant(&client);
    for (protocol, name) in [("-O", "old"), ("-s", "new")] {
        fs::create_dir(client.path(name)).unwrap();
        let target = format!("/inbound/{name}");
        // The target does not exist yet: the tree gets its name.
        assert_done(&client.scp(&[protocol, "-r", "-p", "tree", &client.there(&target)]).await);
        assert_done(&client.scp(&[protocol, "-r", "-p", &client.there(&target), "."]).await);
        let (sent, got) = (look(&client.path("tree")), look(&client.path(name)));
        for (path, what) in &sent {
            assert_eq!(
                got.get(path).map(|(_, mode, time)| (mode, time)),
                Some((&what.1, &what.2)),
                "{protocol} {path:?}"
            );
        }
        assert!(sent == got, "{protocol}: the content is the same");
    }
    // A tree into a folder that is there, twice: the second time everything is replaced.
    for _ in 0..2 {
        assert_done(&client.scp(&["-O", "-r", "tree", &client.there("/inbound")]).await);
    }
    let listed = gateway.rest("orders").tree("/inbound/tree").await;
    assert_eq!(listed.len(), 9, "five files and four folders: {listed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_patterns_and_events() {
    if !has_tool("scp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let client = Client::new(gateway.sftp.port(), "edi01");
    for name in ["a.csv", "b.csv", "c.txt"] {
        client.write(name, name.as_bytes());
    }
    // Several sources: `-d`, and a target that is no folder.
    assert_done(&client.scp(&["-O", "a.csv", "b.csv", "c.txt", &client.there("/inbound")]).await);
    assert_failed(&client.scp(&["-O", "a.csv", "b.csv", &client.there("/inbound/none")]).await, "not a folder");
    let rest = gateway.rest("orders");
    let told = &events_come(&rest, "file.uploaded", "/inbound/a.csv", 1).await[0];
    assert_eq!(told["data"]["protocol"], "scp", "{told}");
    assert_eq!(told["data"]["hash"], sha256(b"a.csv"), "{told}");
    let logins = audit_of_session(&rest, told["data"]["session"].as_str().unwrap()).await;
    assert!(logins.contains(&"login".to_owned()) && logins.contains(&"upload".to_owned()), "{logins:?}");

    // The gateway expands patterns, and what a shell would do to a name is done to it.
    fs::create_dir(client.path("got")).unwrap();
    assert_done(&client.scp(&["-O", &client.there("/inbound/*.csv"), &client.there("/inbound/c\\.txt"), "got"]).await);
    assert_eq!(
        look(&client.path("got")).keys().map(|p| p.to_str().unwrap().to_owned()).collect::<Vec<_>>(),
        ["a.csv", "b.csv", "c.txt"]
    );
    let told = &events_come(&rest, "file.downloaded", "/inbound/c.txt", 1).await[0];
    assert_eq!(
        (&told["data"]["protocol"], &told["data"]["complete"]),
        (&Value::from("scp"), &Value::from(true)),
        "{told}"
    );
    assert_failed(
        &client.scp(&["-O", &client.there("/inbound/none"), &client.there("/inbound/a.csv"), "got"]).await,
        "/inbound/none",
    );
    assert_failed(&client.scp(&["-O", &client.there("/inbound"), "got"]).await, "-r");
    assert_failed(&client.scp(&["-O", &client.there("/inbound/$HOME"), "got"]).await, "no shell");
}

async fn audit_of_session(rest: &crate::harness::Rest, session: &str) -> Vec<String> {
    let entries = rest.pages("/audit?limit=200", "entries").await;
    let of = entries.iter().filter(|entry| entry["session"] == session || entry["data"]["session"] == session);
    of.map(|entry| entry["operation"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_is_told_and_the_rest_goes_on() {
    if !has_tool("scp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).edi_quota("1 MiB").start().await;
    let rest = gateway.rest("orders");
    let reader = Client::new(gateway.sftp.port(), "reader01");
    reader.write("a", b"a");
    assert_failed(&reader.scp(&["-O", "a", &reader.there("/inbound/a")]).await, "permission denied");
    assert!(rest.entry("/inbound", "a").await.is_none());
    assert_eq!(audit_of(&rest, "upload", "/inbound/a").await[0]["outcome"], "denied");

    // Who may put files, but neither replace nor read them.
    let dropper = Client::new(gateway.sftp.port(), "drop01");
    dropper.write("b", b"first");
    assert_done(&dropper.scp(&["-O", "b", &dropper.there("/")]).await);
    dropper.write("b", b"second");
    assert_failed(&dropper.scp(&["-O", "b", &dropper.there("/")]).await, "permission denied");
    assert_failed(&dropper.scp(&["-O", &dropper.there("/b"), "got"]).await, "permission denied");
    assert_eq!(&rest.read("/inbound/b").await.body[..], b"first");

    let edi = Client::new(gateway.sftp.port(), "edi01");
    edi.write("many/a", b"a");
    edi.write("many/large", &vec![7; 2 << 20]);
    edi.write("many/z", b"z");
    assert_failed(&edi.scp(&["-O", "-r", "many", &edi.there("/inbound")]).await, "quota");
    let there = rest.tree("/inbound/many").await;
    assert_eq!(there.keys().map(|path| path.rsplit('/').next().unwrap()).collect::<Vec<_>>(), ["a", "z"], "{there:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_leaves_the_old_version_and_an_incomplete_upload() {
    if !has_tool("scp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    rest.put("/inbound/kept", b"the old version").await.ok();
    let proxy = Proxy::to(gateway.sftp).await;
    let client = Client::new(proxy.address.port(), "edi01");
    client.write("kept", &Random::seeded("cut").bytes(8 << 20));
    // Slowly enough that the cut comes in the middle: 8 MiB at 16 Mbit/s take four seconds.
    let child = client
        .command("scp")
        .args(["-O", "-l", "16000", "kept", &client.there("/inbound/kept")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let begun = eventually("the upload is under way", Duration::from_secs(20), || async {
        let size = gateway.blob_files().iter().filter_map(|path| path.metadata().ok()).map(|meta| meta.len()).max();
        size.filter(|size| *size > 100_000)
    })
    .await;
    assert!(begun < 8 << 20, "it is not over yet");
    assert_eq!(&rest.read("/inbound/kept").await.body[..], b"the old version");
    proxy.cut();
    let told = &events_come(&rest, "upload.incomplete", "/inbound/kept", 1).await[0];
    assert_eq!((&told["data"]["protocol"], &told["status"]), (&Value::from("scp"), &Value::from("failed")), "{told}");
    assert!(!child.0.wait().unwrap().success());
    assert_eq!(&rest.read("/inbound/kept").await.body[..], b"the old version");
    assert_eq!(events_of(&rest, "file.uploaded", "/inbound/kept").await.len(), 1, "the one over REST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puttys_pscp_by_the_old_protocol() {
    if !has_tool("pscp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let client = Client::new(gateway.sftp.port(), "edi01");
    client.write("tree/sub/a b", &Random::seeded("pscp").bytes(300_000));
    client.write("tree/empty", b"");
    client.ssh(&["ls"]).await;
    let mut keygen = Command::new("ssh-keygen");
    keygen.arg("-lf").arg(client.path(".known_hosts"));
    let shown = String::from_utf8(run(keygen).await.stdout).unwrap();
    let host_key = shown.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap().to_owned();
    let pscp = |arguments: &[&str]| {
        let mut command = Command::new("pscp");
        command.current_dir(client.folder.path()).env("HOME", client.folder.path());
        command.args(["-scp", "-batch", "-q", "-P", &client.port.to_string(), "-pw", PASSWORD, "-hostkey", &host_key]);
        command.args(arguments);
        command
    };
    fs::create_dir(client.path("back")).unwrap();
    assert_done(&run(pscp(&["-r", "-p", "tree", &client.there("/inbound/")])).await);
    assert_done(&run(pscp(&["-r", "-p", &client.there("/inbound/tree"), "back"])).await);
    for path in ["sub/a b", "empty"] {
        let [there, back] = ["tree", "back/tree"].map(|root| fs::read(client.path(root).join(path)).unwrap());
        assert!(there == back, "{path} differs");
    }
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checksums_over_ssh() {
    if !has_tool("ssh") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let content = Random::seeded("sums").bytes(1_000_000);
    rest.put("/inbound/a b", &content).await.ok();
    let client = Client::new(gateway.sftp.port(), "edi01");
    client.write("a b", &content);
    for program in ["md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum"] {
        let out = client.ssh(&[&format!("{program} '/inbound/a b'")]).await;
        assert_done(&out);
        let mut own = Command::new(program);
        own.arg("a b").current_dir(client.folder.path());
        let own = String::from_utf8(run(own).await.stdout).unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), own.replace("  a b", "  /inbound/a b"), "{program}");
    }
    // Nothing of it was sent to anybody.
    events_come(&rest, "file.downloaded", "/inbound/a b", 0).await;
    let out = client.ssh(&["sha256sum /inbound/none /inbound /inbound/*"]).await;
    assert_failed(&out, "sha256sum: /inbound/none: ");
    assert_eq!(String::from_utf8_lossy(&out.stdout), format!("{}  /inbound/a b\n", sha256(&content)));
    // Who may not read a file learns no digest of it.
    let dropper = Client::new(gateway.sftp.port(), "drop01");
    for program in ["md5sum", "sha256sum"] {
        assert_failed(&dropper.ssh(&[&format!("{program} '/a b'")]).await, "permission denied");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_else_over_ssh_is_refused() {
    if !has_tool("ssh") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let client = Client::new(gateway.sftp.port(), "edi01");
    for arguments in
        [&["ls"][..], &["sh", "-c", "id"], &["echo ${ShellId}%ComSpec%"], &[], &["-A", "ls"], &["-X", "ls"]]
    {
        let options = arguments.iter().filter(|a| a.starts_with('-') && **a != "-c");
        let mut command = client.command("ssh");
        command.args(options).arg("edi01@127.0.0.1");
        command.args(arguments.iter().filter(|a| !a.starts_with('-') || **a == "-c"));
        let out = run(command).await;
        assert_failed(&out, "This is a file gateway");
        assert!(out.stdout.is_empty(), "{out:?}");
    }
    // A client that insists on a terminal ends by itself.
    let mut command = client.command("ssh");
    command.args(["-tt", "edi01@127.0.0.1"]);
    assert!(!run(command).await.status.success());
    // Forwardings: of a connection to here, of a port there, of a socket there, and a subsystem that there is none of.
    let mut command = client.command("ssh");
    command.args(["-W", "127.0.0.1:22", "edi01@127.0.0.1"]);
    assert!(!run(command).await.status.success());
    for forward in [["-R", "0:127.0.0.1:22"], ["-R", "/tmp/causeway-test.sock:127.0.0.1:22"]] {
        let mut command = client.command("ssh");
        command.args(["-o", "ExitOnForwardFailure=yes", "-N"]).args(forward).arg("edi01@127.0.0.1");
        assert!(!run(command).await.status.success(), "{forward:?}");
    }
    let mut command = client.command("ssh");
    command.args(["edi01@127.0.0.1", "-s", "netconf"]);
    assert!(!run(command).await.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rclone_compares_by_hashes() {
    let Some(rclone) = beside_python("rclone") else { return };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let client = Client::new(gateway.sftp.port(), "edi01");
    client.write("there/größe (1) & 'x'.txt", b"one");
    client.write("there/sub/two", b"two");
    client.write("there/none", b"");
    let there = client.path("there");
    // ssh makes the file of known hosts.
    client.ssh(&["ls"]).await;
    let rclone = |arguments: &[&str]| {
        let mut command = Command::new(&rclone);
        command.env("RCLONE_CONFIG", "/dev/null").args(["--sftp-host", "127.0.0.1", "--sftp-user", "edi01"]);
        command
            .args(["--sftp-port", &client.port.to_string(), "--sftp-known-hosts-file"])
            .arg(client.path(".known_hosts"));
        command.arg("--sftp-key-file").arg(Secrets::get().private_key()).args(arguments);
        command
    };
    let local = there.to_str().unwrap();
    let remote = ":sftp:/inbound/rclone";
    assert_done(&run(rclone(&["copy", local, remote])).await);
    let out = run(rclone(&["check", "-v", local, remote])).await;
    assert_done(&out);
    assert!(
        errors(&out).contains("3 matching files") && !errors(&out).contains("hashes could not be checked"),
        "{}",
        errors(&out)
    );
    for kind in ["md5", "sha1"] {
        // One at a time: rclone takes hashes for unsupported while another of its threads still asks for them.
        let hashsum = |place| run(rclone(&["hashsum", "--checkers", "1", kind, place]));
        let (far, near) = (hashsum(remote).await, hashsum(local).await);
        assert_done(&far);
        let sorted = |out: &Output| {
            let mut lines: Vec<String> = String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&far), sorted(&near), "{kind}");
        assert_eq!(sorted(&far).len(), 3);
    }
    // The same size and another content: only a hash tells.
    gateway.rest("orders").put("/inbound/rclone/sub/two", b"TWO").await.ok();
    let out = run(rclone(&["check", local, remote])).await;
    assert!(!out.status.success() && errors(&out).contains("1 differences found"), "{}", errors(&out));
}
