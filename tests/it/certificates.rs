//! OpenSSH's certificates with OpenSSH's own tools: users that log in by one, hosts that are known by one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::openssh::{OpenSsh, Ran};
use crate::harness::plan::Secrets;
use crate::harness::{Gateway, Ledger, Plan, has_tool};

/// A folder with CAs, keys and certificates.
pub struct Ssh(tempfile::TempDir);

impl Ssh {
    /// None where OpenSSH is not installed.
    pub fn new() -> Option<Self> {
        (has_tool("ssh-keygen") && has_tool("sftp")).then(|| Self(tempfile::tempdir().unwrap()))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) {
        let done = Command::new("ssh-keygen").args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Makes a key and says its public line.
    pub fn key(&self, name: &str, kind: &[&str]) -> String {
        let kind = if kind.is_empty() { &["-t", "ed25519"][..] } else { kind };
        self.run(&[&["-q", "-N", "", "-C", "test", "-f", name], kind].concat());
        self.public(name)
    }

    pub fn public(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    /// Certifies a key, which is made where it is not there, with these options of ssh-keygen.
    pub fn sign(&self, ca: &str, name: &str, options: &[&str]) -> PathBuf {
        if !self.path(name).exists() {
            self.key(name, &[]);
        }
        let public = format!("{name}.pub");
        self.run(&[&["-q", "-s", ca, "-I", name], options, &[&public]].concat());
        self.path(name)
    }
}

async fn list(gateway: &Gateway, login: &str, identity: &Path) -> Ran {
    OpenSsh::new(gateway, login).identity(identity).batch("ls\n").await
}

/// A client that believes nothing but the keys of this `known_hosts`.
fn strict(gateway: &Gateway, known_hosts: &str) -> OpenSsh {
    let client = OpenSsh::new(gateway, "edi01");
    client.local("known_hosts", known_hosts.as_bytes());
    client.option("StrictHostKeyChecking=yes").option("GlobalKnownHostsFile=/dev/null")
}

#[tokio::test]
async fn clients_that_trust_the_ca_know_the_host() {
    let Some(ssh) = Ssh::new() else { return };
    let (ca, other) = (ssh.key("ca", &[]), ssh.key("other", &[]));
    fs::copy(Secrets::get().host_key().with_extension("pub"), ssh.path("host.pub")).unwrap();
    fs::write(ssh.path("host"), "").unwrap();
    ssh.sign("ca", "host", &["-h", "-n", "127.0.0.1"]);
    let certificates = format!("host_certificates = [{:?}]", ssh.path("host-cert.pub"));
    let mut gateway = Plan::new(Ledger::Sqlite).sftp(&certificates).start().await;

    let known = strict(&gateway, &format!("@cert-authority * {ca}\n")).batch("ls\n").await;
    assert!(known.success, "{known:?}");
    let unknown = strict(&gateway, &format!("@cert-authority * {other}\n")).batch("ls\n").await;
    assert!(!unknown.success && unknown.output.contains("Host key verification failed"), "{unknown:?}");
    let revoked = format!("@cert-authority * {ca}\n@revoked * {ca}\n");
    assert!(!strict(&gateway, &revoked).batch("ls\n").await.success);
    // Who knows no CA goes by the key.
    let key = ssh.public("host");
    let plain = strict(&gateway, &format!("[127.0.0.1]:{} {key}\n", gateway.sftp.port())).batch("ls\n").await;
    assert!(plain.success, "{plain:?}");
    let plain = strict(&gateway, &format!("@cert-authority * {ca}\n"));
    let plain = plain.option("HostKeyAlgorithms=ssh-ed25519").batch("ls\n").await;
    assert!(!plain.success, "the plain key alone is not known: {plain:?}");

    // The certificate of another name does not do.
    ssh.sign("ca", "host", &["-h", "-n", "gw.example"]);
    gateway.stop().await;
    gateway.start().await;
    let other_name = strict(&gateway, &format!("@cert-authority * {ca}\n")).batch("ls\n").await;
    assert!(!other_name.success && other_name.output.contains("name is not a listed principal"), "{other_name:?}");
}
