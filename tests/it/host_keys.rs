//! Host keys that change: clients that know one learn the next (`hostkeys-00@openssh.com`, section 2.5 of OpenSSH's PROTOCOL).

use std::fs;
use std::path::Path;

use crate::certificates::Ssh;
use crate::harness::openssh::OpenSsh;
use crate::harness::{Gateway, Ledger, Plan};

const RSA: &[&str] = &["-t", "rsa", "-b", "2048"];

fn host_keys(ssh: &Ssh, names: &[&str]) -> String {
    let paths: Vec<_> = names.iter().map(|name| ssh.path(name)).collect();
    format!("host_keys = {paths:?}")
}

/// The key of a public line, without its comment.
fn bare(line: &str) -> String {
    line.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn entry(gateway: &Gateway, line: &str) -> String {
    format!("[127.0.0.1]:{} {}\n", gateway.sftp.port(), bare(line))
}

/// A client that knows these host keys alone, and learns what can be proven.
fn learner(gateway: &Gateway, known: &str) -> OpenSsh {
    let client = OpenSsh::new(gateway, "edi01");
    client.local("known_hosts", known.as_bytes());
    client
        .option("StrictHostKeyChecking=yes")
        .option("GlobalKnownHostsFile=/dev/null")
        .option("UpdateHostKeys=yes")
        .option("LogLevel=DEBUG3")
}

fn known(client: &OpenSsh) -> String {
    fs::read_to_string(client.folder().join("known_hosts")).unwrap()
}

fn has(folder: &Path, public: &str) -> bool {
    fs::read_to_string(folder.join("known_hosts")).unwrap().contains(&bare(public))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_learns_the_next_host_key_before_it_is_used() {
    let Some(ssh) = Ssh::new() else { return };
    let (old, new, gone) = (ssh.key("old", &[]), ssh.key("new", &[]), ssh.key("gone", &[]));
    let plan = Plan::new(Ledger::Sqlite).generated_host_keys();
    let mut gateway = plan.clone().sftp(&host_keys(&ssh, &["old", "new"])).start().await;
    let known_before = entry(&gateway, &old) + &entry(&gateway, &gone);
    let client = learner(&gateway, &known_before);
    let ran = client.batch("ls\n").await;
    assert!(ran.success, "{}", ran.output);
    assert!(ran.output.contains("Learned new hostkey: ED25519"), "{}", ran.output);
    assert!(ran.output.contains("Deprecating obsolete hostkey: ED25519"), "{}", ran.output);
    let learned = known(&client);
    assert!(has(client.folder(), &old) && has(client.folder(), &new), "{learned}");
    assert!(!has(client.folder(), &gone), "a key that the gateway has no more is forgotten: {learned}");
    // What is known does not change any more.
    assert!(client.batch("ls\n").await.success);
    assert_eq!(known(&client), learned);

    // The new key takes over: who learned it comes in, who did not is warned.
    gateway.stop().await;
    let port = gateway.sftp.port();
    gateway.change(|_| plan.sftp(&host_keys(&ssh, &["new"])));
    gateway.start().await;
    let here = |known: &str| known.replace(&format!("]:{port} "), &format!("]:{} ", gateway.sftp.port()));
    let ran = learner(&gateway, &here(&learned)).batch("ls\n").await;
    assert!(ran.success, "{}", ran.output);
    let ran = learner(&gateway, &here(&known_before)).batch("ls\n").await;
    assert!(!ran.success && ran.output.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), "{}", ran.output);
}

/// A key of RSA proves itself by what was agreed on for host keys, of which SHA-1 is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsa_keys_are_proven_by_sha_2() {
    let Some(ssh) = Ssh::new() else { return };
    let (ed25519, one, two) = (ssh.key("ed25519", &[]), ssh.key("one", RSA), ssh.key("two", RSA));
    let keys = host_keys(&ssh, &["ed25519", "one", "two"]);
    let gateway = Plan::new(Ledger::Sqlite).generated_host_keys().sftp(&keys).start().await;
    for (algorithms, knows) in [
        ("rsa-sha2-512", &one),
        ("rsa-sha2-256", &one),
        ("ssh-ed25519,rsa-sha2-256", &ed25519),
        ("ssh-ed25519,rsa-sha2-512", &ed25519),
    ] {
        // With compression, which begins in the moment before the keys are told.
        let client = learner(&gateway, &entry(&gateway, knows)).option("Compression=yes");
        let client = client.option(&format!("HostKeyAlgorithms={algorithms}"));
        let ran = client.batch("ls\n").await;
        assert!(ran.success, "{algorithms}: {}", ran.output);
        assert!(has(client.folder(), &one) && has(client.folder(), &two), "{algorithms}: {}", ran.output);
    }
}

/// Keys that are not shown, as their algorithm is not in the list, are not told either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_shown_is_not_told() {
    let Some(ssh) = Ssh::new() else { return };
    let (ed25519, rsa) = (ssh.key("ed25519", &[]), ssh.key("rsa", RSA));
    let keys = host_keys(&ssh, &["ed25519", "rsa"]) + "\nhost_key_algorithms = [\"ssh-ed25519\"]";
    let gateway = Plan::new(Ledger::Sqlite).generated_host_keys().sftp(&keys).start().await;
    let client = learner(&gateway, &entry(&gateway, &ed25519));
    let ran = client.batch("ls\n").await;
    assert!(ran.success, "{}", ran.output);
    assert!(!has(client.folder(), &rsa), "{}", ran.output);
}
