//! OpenSSH's certificates with OpenSSH's own tools: users that log in by one, hosts that are known by one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use russh::client;
use russh::keys::{Certificate, PrivateKey};

use crate::harness::openssh::{OpenSsh, Ran};
use crate::harness::plan::{PASSWORD, Secrets};
use crate::harness::sftp::AnyHost;
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

/// `acme` believes the CAs `ca` and `rsa`, `other` believes `other`. `cert01` of `acme` has no other way in.
fn plan(ssh: &Ssh) -> Plan {
    let ca = ssh.key("ca", &[]);
    let other = ssh.key("other", &[]);
    ssh.key("rsa", &["-t", "rsa", "-b", "2048"]);
    Plan::new(Ledger::Sqlite)
        .limits("failed_logins = 1000")
        .limits("penalty_exempt = [\"127.0.0.1\"]")
        .acme(&format!("trusted_user_ca_keys = [{ca:?}, {:?}]", ssh.path("rsa.pub")))
        .other(&format!("trusted_user_ca_keys = [{other:?}]"))
        .login("cert01", "edi-partner", "")
}

#[tokio::test]
async fn users_log_in_by_certificate() {
    let Some(ssh) = Ssh::new() else { return };
    let gateway = plan(&ssh).start().await;
    ssh.key("ecdsa-user", &["-t", "ecdsa"]);
    ssh.key("rsa-user", &["-t", "rsa", "-b", "2048"]);
    let now = ["-n", "cert01"];
    for (name, login, ca, options) in [
        ("good", "cert01", "ca", &["-n", "someone,cert01", "-V", "-5m:+1h"][..]),
        ("with-tenant", "cert01@acme", "ca", &now),
        ("always", "cert01", "ca", &[&now[..], &["-V", "always:forever"]].concat()),
        ("here", "cert01", "ca", &[&now[..], &["-O", "source-address=192.0.2.0/24,127.0.0.0/8"]].concat()),
        ("no-extensions", "cert01", "ca", &[&now[..], &["-O", "clear"]].concat()),
        ("unknown-extension", "cert01", "ca", &[&now[..], &["-O", "extension:x@example.org=y"]].concat()),
        ("by-rsa", "cert01", "rsa", &[&now[..], &["-t", "rsa-sha2-256"]].concat()),
        ("ecdsa-user", "cert01", "ca", &now),
        ("rsa-user", "cert01", "ca", &now),
    ] {
        let ran = list(&gateway, login, &ssh.sign(ca, name, options)).await;
        assert!(ran.success, "{name}: {ran:?}\n{}", gateway.log());
    }
    let logins = gateway.rest("orders").pages("/audit?operation=login&outcome=ok&limit=200", "entries").await;
    let by_certificate = logins.iter().filter(|entry| entry.to_string().contains("\"certificate\"")).count();
    assert_eq!(by_certificate, 9, "{logins:?}");
}

#[tokio::test]
async fn certificates_that_do_not_let_in() {
    let Some(ssh) = Ssh::new() else { return };
    let gateway = plan(&ssh).start().await;
    ssh.key("stranger", &[]);
    let now = ["-n", "cert01"];
    let with = |more: &[&'static str]| [&now[..], more].concat();
    for (name, ca, options) in [
        ("wrong-ca", "stranger", with(&[])),
        ("other-tenants-ca", "other", with(&[])),
        ("wrong-principal", "ca", vec!["-n", "edi01"]),
        ("tenant-in-principal", "ca", vec!["-n", "cert01@other"]),
        ("no-principal", "ca", vec![]),
        ("expired", "ca", with(&["-V", "-2h:-1h"])),
        ("not-yet", "ca", with(&["-V", "+1h:+2h"])),
        ("elsewhere", "ca", with(&["-O", "source-address=192.0.2.0/24"])),
        ("command", "ca", with(&["-O", "force-command=internal-sftp"])),
        ("unknown-option", "ca", with(&["-O", "critical:foo=bar"])),
        ("verify-required", "ca", with(&["-O", "verify-required"])),
        ("of-host", "ca", with(&["-h"])),
    ] {
        let ran = list(&gateway, "cert01", &ssh.sign(ca, name, &options)).await;
        assert!(!ran.success && ran.output.contains("Permission denied"), "{name}: {ran:?}");
    }
    // A right certificate is no key: not of another login, not of one that does not exist.
    let good = ssh.sign("ca", "good", &with(&[]));
    for login in ["edi01", "other01", "nobody"] {
        assert!(!list(&gateway, login, &good).await.success, "{login}");
    }
    assert!(list(&gateway, "cert01", &good).await.success);
    // The plain key of a certificate opens nothing.
    let plain = ssh.path("plain");
    fs::copy(&good, &plain).unwrap();
    assert!(!list(&gateway, "cert01", &plain).await.success);
    // SHA-1 of the CA, where this OpenSSH still makes it.
    ssh.key("sha1", &[]);
    let sha1 = ["-q", "-s", "rsa", "-t", "ssh-rsa", "-I", "sha1", "-n", "cert01", "sha1.pub"];
    if Command::new("ssh-keygen").args(sha1).current_dir(ssh.0.path()).status().unwrap().success() {
        assert!(!list(&gateway, "cert01", &ssh.path("sha1")).await.success);
    }
}

/// Whatever is wrong with a certificate, whose key has signed: that it was refused is on record. A key that nobody knows is
/// refused when it is offered, CA or not.
#[tokio::test]
async fn refused_certificates_are_on_record() {
    let Some(ssh) = Ssh::new() else { return };
    let mut plan = plan(&ssh);
    let all = ["expired01", "later01", "forged01", "command01", "stranger01"];
    for login in all {
        plan = plan.login(login, "edi-partner", "");
    }
    let gateway = plan.start().await;
    ssh.key("stranger", &[]);
    for (login, ca, options) in [
        ("expired01", "ca", &["-V", "-2h:-1h"][..]),
        ("later01", "ca", &["-V", "+1h:+2h"]),
        ("command01", "ca", &["-O", "force-command=internal-sftp"]),
        ("stranger01", "stranger", &[]),
    ] {
        let ran = list(&gateway, login, &ssh.sign(ca, login, &[&["-n", login], options].concat())).await;
        assert!(!ran.success && ran.output.contains("Permission denied"), "{login}: {ran:?}");
    }
    // OpenSSH's client does not even read a certificate whose signature is wrong.
    let key = ssh.sign("ca", "forged01", &["-n", "forged01"]);
    let mut blob = Certificate::from_openssh(&ssh.public("forged01-cert")).unwrap().to_bytes().unwrap();
    *blob.last_mut().unwrap() ^= 1;
    let key = PrivateKey::from_openssh(fs::read(key).unwrap()).unwrap();
    let mut client = client::connect(Arc::default(), gateway.sftp, AnyHost).await.unwrap();
    let forged = Certificate::from_bytes(&blob).unwrap();
    let answer = client.authenticate_openssh_cert("forged01", Arc::new(key), forged).await.unwrap();
    assert!(!answer.success());

    let entries = gateway.rest("orders").pages("/audit?operation=login&outcome=denied&limit=200", "entries").await;
    for login in all {
        let of_it: Vec<String> = entries.iter().map(ToString::to_string).filter(|e| e.contains(login)).collect();
        assert!(of_it.len() == 1 && of_it[0].contains("\"certificate\""), "{login}: {entries:?}");
    }
    let unknown = OpenSsh::new(&gateway, "expired01").identity(&ssh.path("stranger")).option("LogLevel=DEBUG1");
    let unknown = unknown.batch("ls\n").await;
    assert!(!unknown.success && unknown.output.contains("Offering public key"), "{unknown:?}");
    assert!(!unknown.output.contains("Server accepts key"), "{unknown:?}");
}

#[tokio::test]
async fn what_is_revoked_lets_nobody_in() {
    let Some(ssh) = Ssh::new() else { return };
    let (krl, text) = (ssh.path("krl"), ssh.path("revoked"));
    fs::write(&text, "# nobody yet\n").unwrap();
    let plan = plan(&ssh);
    let revoke = |specification: &str| {
        fs::write(ssh.path("specification"), specification).unwrap();
        ssh.run(&["-k", "-f", "krl", "-s", "ca.pub", "specification"]);
    };
    revoke("");
    let key = ssh.key("key", &[]);
    let gateway = plan
        .acme(&format!("revoked_keys = [{krl:?}, {text:?}]"))
        .login("key01", "edi-partner", &format!("authorized_keys = [{key:?}]"))
        .start()
        .await;
    let one = ssh.sign("ca", "one", &["-n", "cert01", "-z", "7"]);
    let two = ssh.sign("ca", "two", &["-n", "cert01", "-z", "8"]);
    let other = ssh.sign("other", "theirs", &["-n", "other01", "-z", "7"]);
    let key = ssh.path("key");
    let see = async |wanted: [bool; 4], what: &str| {
        let all = [("cert01", &one), ("cert01", &two), ("key01", &key), ("other01", &other)];
        for ((login, identity), wanted) in all.into_iter().zip(wanted) {
            let ran = list(&gateway, login, identity).await;
            assert_eq!(ran.success, wanted, "{what}: {identity:?}: {ran:?}\n{}", gateway.log());
        }
    };
    see([true; 4], "nothing is revoked").await;
    revoke("serial: 7");
    see([false, true, true, true], "a serial number").await;
    revoke("id: two");
    see([true, false, true, true], "a key id").await;
    revoke(&format!("sha256: {}\nkey: {}", ssh.public("one"), ssh.public("key")));
    see([false, true, false, true], "keys").await;
    revoke(&format!("key: {}", ssh.public("ca")));
    see([false, false, true, true], "the CA").await;
    revoke("");
    fs::write(&text, format!("{}\nserial: 8\n", ssh.public("key"))).unwrap();
    see([true, false, false, true], "the text form").await;
    fs::write(&krl, b"SSHKRL\n\0\0\0").unwrap();
    see([false, false, false, true], "a list that cannot be read").await;
    assert!(gateway.log().contains("the revocation list ends in the middle of a field"), "{}", gateway.log());
    let by_password = OpenSsh::new(&gateway, "edi01").with_password(PASSWORD, "ls\n").await;
    assert!(by_password.success, "a password is no key: {by_password:?}");
    fs::remove_file(&krl).unwrap();
    see([false, false, false, true], "a list that is gone").await;
    revoke("");
    fs::write(&text, "").unwrap();
    see([true; 4], "nothing is revoked any more").await;
}

#[tokio::test]
async fn a_certificate_and_a_password() {
    let Some(ssh) = Ssh::new() else { return };
    let hash = &Secrets::get().password_hash;
    let lines = format!("password_hash = {hash:?}\nrequire = \"certificate+password\"");
    let gateway = plan(&ssh).login("both01", "edi-partner", &lines).start().await;
    let good = ssh.sign("ca", "both", &["-n", "both01"]);
    let wrong = ssh.sign("other", "wrong", &["-n", "both01"]);
    let client = |identity: &Path| {
        let client = OpenSsh::new(&gateway, "both01").option("PubkeyAuthentication=yes").option("IdentitiesOnly=yes");
        client.option(&format!("IdentityFile={}", identity.display()))
    };
    let both = client(&good).with_password(PASSWORD, "ls\n").await;
    assert!(both.success, "{both:?}\n{}", gateway.log());
    assert!(!client(&good).with_password("wrong", "ls\n").await.success, "the wrong password");
    assert!(!client(&wrong).with_password(PASSWORD, "ls\n").await.success, "the wrong certificate");
    assert!(!list(&gateway, "both01", &good).await.success, "no password");
    assert!(!OpenSsh::new(&gateway, "both01").with_password(PASSWORD, "ls\n").await.success, "no certificate");
}
