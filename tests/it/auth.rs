//! Who: mapping rules, several things to prove, typed passwords and codes; with the real OpenSSH client, and with one of
//! our own where the order of every message counts.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Asked};
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::public::SkEd25519;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg};
use russh::{MethodKind, MethodSet};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use totp_rs::{Builder, Secret};

use crate::harness::openssh::OpenSsh;
use crate::harness::plan::{PASSWORD, Secrets};
use crate::harness::sftp::AnyHost;
use crate::harness::{Ledger, Plan, Rest, Sftp, eventually};

const TOTP: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A login of `edi-partner` that must prove this much.
fn login(username: &str, require: &str, more: &str) -> String {
    let secrets = Secrets::get();
    format!(
        "[[tenant.login]]\nusername = \"{username}\"\nidentity = \"edi-partner\"\nprotocols = [\"sftp\"]\n\
         require = \"{require}\"\npassword_hash = \"{}\"\nauthorized_keys = [\"{}\"]\n{more}\n",
        secrets.password_hash, secrets.public_key
    )
}

fn with_code(username: &str, require: &str) -> String {
    login(username, require, "totp_secret = \"env:TOTP\"")
}

/// The code of now; where a step is about to end, that of the next one, which the gateway takes too.
fn code(steps: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let totp = Builder::new().with_secret(Secret::try_from_base32(TOTP).unwrap()).build().unwrap();
    totp.generate(now.saturating_add_signed(steps * 30)).to_string()
}

/// Answers each prompt by what it asks for.
fn answers(password: &str, code: &str) -> String {
    format!("case \"$1\" in *assword*) echo '{password}';; *code*) echo '{code}';; *) echo nothing;; esac")
}

/// The arguments for these methods, with the tests' key.
fn methods(list: &str) -> Vec<String> {
    let key = Secrets::get().private_key().display().to_string();
    ["-o", &format!("PreferredAuthentications={list}"), "-o", "IdentitiesOnly=yes", "-i", &key].map(Into::into).to_vec()
}

async fn run(client: &OpenSsh, list: &str, password: &str, code: &str) -> bool {
    let arguments = methods(list);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ran = client.answering(&answers(password, code), &arguments, "pwd\n").await;
    assert!(ran.success || ran.output.contains("Permission denied") || ran.output.contains("isconnect"), "{ran:?}");
    ran.success
}

/// The audit entries of logins by this name.
async fn logins(rest: &Rest, login: &str) -> Vec<Value> {
    let answer = rest.get("/audit?operation=login&limit=1000").await.ok();
    let entries = answer["entries"].as_array().expect("entries").clone();
    entries.into_iter().filter(|entry| entry["login"] == login).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_makes_logins_with_their_own_homes_and_keys() {
    let gateway = Plan::new(Ledger::Sqlite)
        .tenant(
            "[[tenant.mapping]]\nid = \"branches\"\nprotocols = [\"sftp\"]\nusername = \"branch-(?<nr>[0-9]{3})\"\n\
             identity = \"edi-partner\"\nhome = \"/inbound/branch-${nr}\"\n\
             authorized_keys_file = \"keys/branch-${nr}.pub\"\n",
        )
        .start()
        .await;
    let rest = gateway.rest("orders");
    let keys = gateway.folder().join("keys");
    fs::create_dir(&keys).unwrap();
    let mine = &Secrets::get().public_key;
    let other = {
        let file = gateway.folder().join("other");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ecdsa", "-N", "", "-f"]).arg(&file).status().unwrap();
        assert!(made.success());
        fs::read_to_string(file.with_extension("pub")).unwrap()
    };
    fs::write(keys.join("branch-017.pub"), format!("# branch 17\nrestrict,from=\"127.0.0.0/8\" {mine}\n")).unwrap();
    fs::write(keys.join("branch-018.pub"), &other).unwrap();
    fs::write(keys.join("branch-021.pub"), format!("from=\"192.0.2.0/24\" {mine}\n")).unwrap();
    fs::write(keys.join("branch-022.pub"), format!("expiry-time=\"20200101\" {mine}\n")).unwrap();
    fs::write(keys.join("branch-023.pub"), format!("command=\"x\" {mine}\n")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("key.pub"), mine).unwrap();
    symlink(outside.path().join("key.pub"), keys.join("branch-020.pub")).unwrap();

    for name in ["branch-017", "branch-017@acme"] {
        let client = OpenSsh::new(&gateway, name);
        client.local("a.csv", name.as_bytes());
        let ran = client.batch("put a.csv\npwd\n").await;
        assert!(ran.success && ran.output.contains("Remote working directory: /\n"), "{name}: {ran:?}");
        assert_eq!(rest.read("/inbound/branch-017/a.csv").await.body, name.as_bytes());
    }
    for name in ["branch-018", "branch-019", "branch-020", "branch-021", "branch-022", "branch-023", "branch-17"] {
        let ran = OpenSsh::new(&gateway, name).batch("pwd\n").await;
        assert!(!ran.success && ran.output.contains("Permission denied"), "{name}: {ran:?}");
    }
    assert!(rest.entry("/inbound", "branch-018").await.is_none(), "who is not let in gets no home");
    // Keys are read when somebody logs in.
    fs::write(keys.join("branch-018.pub"), format!("{other}{mine}\n")).unwrap();
    assert!(OpenSsh::new(&gateway, "branch-018").batch("pwd\n").await.success);
    assert!(rest.entry("/inbound", "branch-018").await.is_some());
    // A rule has no password.
    let ran = OpenSsh::new(&gateway, "branch-017").with_password(PASSWORD, "pwd\n").await;
    assert!(!ran.success, "{ran:?}");

    let entries = logins(&rest, "branch-017").await;
    let good: Vec<&Value> = entries.iter().filter(|e| e["outcome"] == "ok").collect();
    assert_eq!(good.len(), 2, "by the name without its tenant: {entries:?}");
    assert!(good.iter().all(|e| e["auth_method"] == "publickey" && e["identity"] == "edi-partner"), "{good:?}");
    assert!(gateway.log().contains("a line of a key file is not used"), "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_things_in_either_order() {
    let plan = Plan::new(Ledger::Sqlite).tenant(&login("two", "publickey+password", ""));
    let gateway = plan.start().await;
    let rest = gateway.rest("orders");
    let client = OpenSsh::new(&gateway, "two");
    for list in ["publickey,password", "password,publickey", "publickey,keyboard-interactive"] {
        assert!(run(&client, list, PASSWORD, "").await, "{list}");
    }
    for list in ["publickey", "password", "keyboard-interactive"] {
        assert!(!run(&client, list, PASSWORD, "").await, "{list}");
    }
    assert!(!run(&client, "publickey,password", "wrong", "").await);
    let entries = logins(&rest, "two").await;
    let good: Vec<&Value> = entries.iter().filter(|e| e["outcome"] == "ok").collect();
    assert_eq!(good.len(), 3, "one entry for each login: {entries:?}");
    assert!(good.iter().all(|e| e["auth_method"] == "publickey+password"), "{good:?}");
    let bad: Vec<&Value> = entries.iter().filter(|e| e["outcome"] == "denied").collect();
    assert_eq!(bad.len(), 1, "a step that is right is no failure: {entries:?}");
    assert_eq!(bad[0]["auth_method"], "password");
    // Where one thing alone can be shown, that is not enough.
    assert!(Sftp::connect(gateway.sftp, "two").await.is_err());
    assert!(Sftp::by_password(gateway.sftp, "two", None).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_and_codes_are_typed() {
    let gateway = Plan::new(Ledger::Sqlite)
        .tenant(&with_code("coded", "password+totp"))
        .tenant(&with_code("keyed", "publickey+totp"))
        .tenant(&with_code("all3", "publickey+password+totp"))
        .variable("TOTP", TOTP)
        .start()
        .await;
    let rest = gateway.rest("orders");
    assert!(run(&OpenSsh::new(&gateway, "edi01"), "keyboard-interactive", PASSWORD, "").await);
    assert!(!run(&OpenSsh::new(&gateway, "edi01"), "keyboard-interactive", "wrong", "").await);

    let coded = OpenSsh::new(&gateway, "coded");
    let (now, next) = (code(0), code(1));
    assert!(!run(&coded, "keyboard-interactive", "wrong", &now).await, "the password is wrong");
    assert!(!run(&coded, "keyboard-interactive", PASSWORD, &code(-5)).await, "the code is old");
    assert!(!run(&coded, "password", PASSWORD, &now).await, "a code is missing");
    assert!(run(&coded, "keyboard-interactive", PASSWORD, &now).await);
    assert!(!run(&coded, "keyboard-interactive", PASSWORD, &now).await, "each code counts once");
    assert!(run(&coded, "password,keyboard-interactive", PASSWORD, &next).await, "the next one may come early");

    assert!(run(&OpenSsh::new(&gateway, "keyed"), "publickey,keyboard-interactive", "", &code(0)).await);
    assert!(!run(&OpenSsh::new(&gateway, "keyed"), "keyboard-interactive", PASSWORD, &code(1)).await);
    assert!(run(&OpenSsh::new(&gateway, "all3"), "publickey,keyboard-interactive", PASSWORD, &code(0)).await);

    let good = |entries: Vec<Value>| -> Vec<Value> { entries.into_iter().filter(|e| e["outcome"] == "ok").collect() };
    for (login, method) in
        [("coded", "password+totp"), ("keyed", "publickey+totp"), ("all3", "publickey+password+totp")]
    {
        let entries = good(logins(&rest, login).await);
        assert!(!entries.is_empty() && entries.iter().all(|e| e["auth_method"] == method), "{entries:?}");
    }
    let codes = logins(&rest, "coded").await.into_iter().filter(|e| e["auth_method"] == "totp").count();
    assert_eq!(codes, 2, "an old code and a used one");
    let text = gateway.log() + &rest.get("/audit?limit=1000").await.ok().to_string();
    assert!(!text.contains(TOTP), "no secret is on record");
}

fn remaining(answer: &AuthResult) -> (MethodSet, bool) {
    match answer {
        AuthResult::Failure { remaining_methods, partial_success } => (remaining_methods.clone(), *partial_success),
        AuthResult::Success => panic!("it was let in"),
    }
}

async fn sign(connection: &mut Handle<AnyHost>, login: &str) -> AuthResult {
    let key = russh::keys::load_secret_key(Secrets::get().private_key(), None).unwrap();
    connection.authenticate_publickey(login, PrivateKeyWithHashAlg::new(Arc::new(key), None)).await.unwrap()
}

/// What is asked for first, and what comes of these answers.
async fn typed(connection: &mut Handle<AnyHost>, login: &str, answers: &[&str]) -> Vec<String> {
    let mut said = Vec::new();
    let mut answer = connection.authenticate_keyboard_interactive_start(login, None).await.unwrap();
    let mut answers = answers.iter();
    loop {
        match answer {
            Asked::InfoRequest { name, instructions, prompts } => {
                let prompts: Vec<String> = prompts.iter().map(|p| format!("{}/{}", p.prompt, p.echo)).collect();
                said.push(format!("{name}|{instructions}|{}", prompts.join(",")));
                let Some(text) = answers.next() else { return said };
                let texts = vec![(*text).to_owned()];
                answer = connection.authenticate_keyboard_interactive_respond(texts).await.unwrap();
            }
            Asked::Success => {
                said.push("in".to_owned());
                return said;
            }
            Asked::Failure { remaining_methods, partial_success } => {
                said.push(format!("no {partial_success} {}", remaining_methods.len()));
                return said;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_come_next_is_told_and_bound_to_the_name() {
    let gateway = Plan::new(Ledger::Sqlite)
        .tenant(&login("two", "publickey+password", ""))
        .tenant(&login("twin", "publickey+password", ""))
        .tenant(&with_code("keyed", "publickey+totp"))
        .variable("TOTP", TOTP)
        .start()
        .await;
    let all = MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive][..]);
    let typing = MethodSet::from(&[MethodKind::Password, MethodKind::KeyboardInteractive][..]);
    let signing = MethodSet::from(&[MethodKind::PublicKey][..]);

    let mut connection = Sftp::dial(gateway.sftp).await.unwrap();
    // The same offer for everybody.
    for name in ["two", "keyed", "edi01", "nobody"] {
        let answer = connection.authenticate_none(name).await.unwrap();
        assert_eq!(remaining(&answer), (all.clone(), false), "{name}");
    }
    drop(connection);

    let mut connection = Sftp::dial(gateway.sftp).await.unwrap();
    assert_eq!(remaining(&sign(&mut connection, "two").await), (typing.clone(), true));
    let answer = connection.authenticate_password("two", "wrong").await.unwrap();
    assert_eq!(remaining(&answer), (typing.clone(), false), "what was proven stays proven");
    // What is proven of one login is nothing for another one.
    let answer = connection.authenticate_password("twin", PASSWORD).await.unwrap();
    assert_eq!(remaining(&answer), (signing.clone(), true));
    let answer = connection.authenticate_password("two", PASSWORD).await.unwrap();
    assert_eq!(remaining(&answer), (signing, true), "and going back does not bring it back");
    assert!(sign(&mut connection, "two").await.success());

    let mut connection = Sftp::dial(gateway.sftp).await.unwrap();
    let answer = sign(&mut connection, "keyed").await;
    assert_eq!(remaining(&answer), (MethodSet::from(&[MethodKind::KeyboardInteractive][..]), true));
    assert_eq!(typed(&mut connection, "keyed", &[&code(0)]).await, ["||Verification code: /false", "in"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_tells_who_exists() {
    let gateway = Plan::new(Ledger::Sqlite)
        .tenant(&login("two", "publickey+password", "allow_from = [\"192.0.2.0/24\"]"))
        .tenant(&with_code("keyed", "publickey+totp"))
        .variable("TOTP", TOTP)
        .start()
        .await;
    for name in ["edi01", "two", "keyed", "nobody", "edi01@nowhere", ""] {
        let mut connection = Sftp::dial(gateway.sftp).await.unwrap();
        let said = typed(&mut connection, name, &["wrong"]).await;
        assert_eq!(said, ["||Password: /false", "no false 3"], "{name}");
        // A code before the rest is proven is nothing, right or wrong.
        let said = typed(&mut connection, name, &[&code(0)]).await;
        assert_eq!(said, ["||Password: /false", "no false 3"], "{name}");
    }
    let mut connection = Sftp::dial(gateway.sftp).await.unwrap();
    let answer = sign(&mut connection, "two").await;
    assert!(!remaining(&answer).1, "a right key from the wrong place is as wrong as any");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fails_too_often_is_sent_away() {
    let gateway = Plan::new(Ledger::Sqlite)
        .tenant(&login("two", "publickey+password", ""))
        .tenant(&login("far", "any", "allow_from = [\"192.0.2.0/24\"]"))
        .start()
        .await;
    let mut connection = Sftp::dial(gateway.sftp).await.unwrap();
    // The first question is no failure, and a step that is right is none.
    assert!(!connection.authenticate_none("two").await.unwrap().success());
    assert!(remaining(&sign(&mut connection, "two").await).1);
    for _ in 0..5 {
        assert!(!connection.authenticate_password("two", "wrong").await.unwrap().success());
    }
    assert!(connection.authenticate_password("two", PASSWORD).await.unwrap().success(), "five failures of six");

    let mut connection = Sftp::dial(gateway.sftp).await.unwrap();
    for _ in 0..6 {
        // Offers of keys that are refused count for the connection alone.
        let _ = sign(&mut connection, "far").await;
    }
    eventually("the connection ends", Duration::from_secs(10), || {
        let closed = connection.is_closed();
        async move { closed.then_some(()) }
    })
    .await;
    let rest = gateway.rest("orders");
    assert!(logins(&rest, "far").await.is_empty(), "a key that was only offered is not on record");
    assert!(Sftp::by_password(gateway.sftp, "far", None).await.is_err());
    assert_eq!(logins(&rest, "far").await.len(), 1, "a password is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_key_and_no_weak_one() {
    let gateway = Plan::new(Ledger::Sqlite)
        .tenant(
            "[[tenant.mapping]]\nid = \"keys\"\nusername = \"key-(?<kind>[a-z0-9-]+)\"\nidentity = \"edi-partner\"\n\
             home = \"/inbound\"\nauthorized_keys_file = \"key-${kind}.pub\"\n",
        )
        .start()
        .await;
    for (name, kind, bits, good) in [
        ("key-ed", "ed25519", "256", true),
        ("key-p256", "ecdsa", "256", true),
        ("key-p384", "ecdsa", "384", true),
        ("key-p521", "ecdsa", "521", true),
        ("key-rsa", "rsa", "2048", true),
        ("key-short", "rsa", "1024", false),
    ] {
        let file = gateway.folder().join(name);
        let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"]).arg(&file).status();
        assert!(made.unwrap().success(), "{name}");
        let key = file.display().to_string();
        let arguments = ["-o", "IdentitiesOnly=yes", "-o", "PreferredAuthentications=publickey", "-i", &key];
        let ran = OpenSsh::new(&gateway, name).answering("exit 1", &arguments, "pwd\n").await;
        assert_eq!(ran.success, good, "{name}: {ran:?}");
    }
    // RFC 8332: an RSA key is no reason to sign with SHA-1.
    let key = gateway.folder().join("key-rsa").display().to_string();
    let sha1 = ["-o", "PubkeyAcceptedAlgorithms=ssh-rsa", "-o", "PreferredAuthentications=publickey", "-i", &key];
    let ran = OpenSsh::new(&gateway, "key-rsa").answering("exit 1", &sha1, "pwd\n").await;
    assert!(!ran.success, "{ran:?}");
}

/// A key in hardware (OpenSSH's PROTOCOL.u2f), in software.
struct SecurityKey {
    inside: Ed25519Keypair,
    spoilt: bool,
}

impl russh::Signer for SecurityKey {
    type Error = russh::SendError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, russh::SendError> {
        let presence_and_counter = [1, 0, 0, 0, 7];
        let mut signed = Sha256::digest(b"ssh:").to_vec();
        signed.extend_from_slice(&presence_and_counter);
        signed.extend_from_slice(&Sha256::digest(&to_sign));
        let signature: Signature = self.inside.try_sign(&signed).unwrap();
        let mut bytes = signature.as_bytes().to_vec();
        if self.spoilt {
            bytes[5] ^= 1;
        }
        let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
        let blob = [&string(b"sk-ssh-ed25519@openssh.com")[..], &string(&bytes), &presence_and_counter].concat();
        to_sign.extend_from_slice(&string(&blob));
        Ok(to_sign)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_hardware() {
    let gateway = Plan::new(Ledger::Sqlite)
        .tenant(
            "[[tenant.mapping]]\nid = \"keys\"\nusername = \"sk01\"\nidentity = \"edi-partner\"\nhome = \"/inbound\"\n\
             authorized_keys_file = \"sk01.pub\"\n",
        )
        .start()
        .await;
    let inside = Ed25519Keypair::from_seed(&[9; 32]);
    let key = russh::keys::PublicKey::from(SkEd25519::new(inside.public, "ssh:"));
    fs::write(gateway.folder().join("sk01.pub"), key.to_openssh().unwrap()).unwrap();
    for spoilt in [true, false] {
        let mut connection = Sftp::dial(gateway.sftp).await.unwrap();
        let mut signer = SecurityKey { inside: inside.clone(), spoilt };
        let answer = connection.authenticate_publickey_with("sk01", key.clone(), None, &mut signer).await.unwrap();
        assert_eq!(answer.success(), !spoilt);
    }
}
