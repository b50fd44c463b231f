//! `require_signature` and what belongs to it: the exact lines that say what is wrong.

#![allow(clippy::unwrap_used)]

use super::Secrets;
use super::bad_test::{GOOD, said};

const KEY: &str = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";

/// The lines for an API key; the first of them is line 18.
fn key(lines: &str) -> Vec<String> {
    let head = "[[tenant.api_key]]\nid = \"orders\"\nidentity = \"app\"";
    said(&format!("{GOOD}{head}\n{lines}\nkey_hash = \"env:H\"\n"), Secrets::Skip)
}

fn api(lines: &str) -> Vec<String> {
    said(&format!("{GOOD}[api]\n{lines}\n"), Secrets::Skip)
}

#[test]
fn what_is_right_says_nothing() {
    for require in ["true", "false", "\"off\"", "\"any\"", "\"message\""] {
        let with =
            key(&format!("require_signature = {require}\nsigning_secret = \"env:S\"\nsignature_keys = [\"{KEY}\"]"));
        assert!(with.is_empty(), "{require}: {with:?}");
    }
    let pem = format!("\"\"\"-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n\"\"\"");
    assert!(key(&format!("signature_keys = [{pem}]")).is_empty());
    let hosts =
        "signature_hosts = [\"10.0.0.5:8443\", \"Files.internal\", \"[2001:db8::1]:8443\"]\nsignature_window = \"30s\"";
    assert_eq!(api(&format!("public_url = \"https://files.example\"\n{hosts}")), Vec::<String>::new());
}

#[test]
fn each_mistake_is_named() {
    let nothing = "tenant.api_key.require_signature: asks for signatures, and there is nothing to check them with; add `signing_secret` or `signature_keys`";
    for (lines, expected) in [
        ("require_signature = true", format!("c.toml:18:1: error: {nothing}")),
        ("require_signature = \"any\"", format!("c.toml:18:1: error: {nothing}")),
        (
            "require_signature = \"yes\"",
            "c.toml:18:1: error: tenant.api_key.require_signature: `yes` is not known here; write \"off\" or \"any\" or \"message\"".to_owned(),
        ),
        (
            "require_signature = 1",
            "c.toml:18:1: error: tenant.api_key.require_signature: expected true or false without quotes, or a word in quotes, found a whole number".to_owned(),
        ),
        (
            "signing_secret = \"hunter2\"",
            "c.toml:18:1: error: tenant.api_key.signing_secret: a secret stands here in clear; put it into the environment or a file and write \"env:NAME\" or \"file:/path\"".to_owned(),
        ),
        (
            "signature_keys = [\"ssh-ed25519 AAAA\"]",
            "c.toml:18:20: error: tenant.api_key.signature_keys: is no public key of Ed25519 or ECDSA on P-256; write what `openssl pkey -pubout` prints".to_owned(),
        ),
        ("signature_keys = []", "c.toml:18:1: error: tenant.api_key.signature_keys: is empty; give a key, or leave it out".to_owned()),
    ] {
        assert_eq!(key(lines), [expected], "{lines}");
    }
    let many = format!("signature_keys = [{}]", vec![format!("\"{KEY}\""); 9].join(", "));
    assert_eq!(
        key(&many),
        ["c.toml:18:1: error: tenant.api_key.signature_keys: has more than 8 keys; remove those that are not used"]
    );
    for (lines, expected) in [
        ("signature_window = \"2h\"", "c.toml:16:1: error: api.signature_window: `2h` is out of range; give 1s to 1h"),
        (
            "signature_hosts = [\"files.example\"]",
            "c.toml:16:1: error: api.signature_hosts: are hosts besides that of `public_url`, which is not set; set it too",
        ),
        (
            "public_url = \"https://a.example\"\nsignature_hosts = [\"https://b.example/\"]",
            "c.toml:17:21: error: api.signature_hosts: `https://b.example/` is no host; write \"files.example.com\" or \"10.0.0.5:8443\"",
        ),
    ] {
        assert_eq!(api(lines), [expected], "{lines}");
    }
}

#[test]
fn a_secret_is_long_enough() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let with = |secret: &str| {
        std::fs::write(file.path(), secret).unwrap();
        let hash = "ab".repeat(32);
        let path = file.path().display();
        said(
            &format!(
                "{GOOD}[[tenant.api_key]]\nid = \"o\"\nidentity = \"app\"\nkey_hash = \"{hash}\"\nsigning_secret = \"file:{path}\"\n"
            ),
            Secrets::Resolve,
        )
    };
    assert_eq!(
        with("too short"),
        [
            "c.toml:19:1: error: tenant.api_key.signing_secret: the secret is too short; give it 32 bytes at least (`openssl rand -hex 32`)"
        ]
    );
    assert_eq!(
        with("base64:!"),
        [
            "c.toml:19:1: error: tenant.api_key.signing_secret: the secret begins with base64:, but base64 does not follow"
        ]
    );
    assert!(with("0123456789abcdef0123456789abcdef").is_empty());
}
