//! `[oauth]` and `[[tenant.issuer]]`: what is read, and the exact lines that say what is wrong.

use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::bad_test::{GOOD, said};
use super::{Secrets, parse};

/// The small file with an API, and with these lines; the first of them is line 18.
fn text(lines: &str) -> String {
    format!("{GOOD}[api]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"https://gw.example\"\n{lines}\n")
}

fn wrong(lines: &str) -> Vec<String> {
    said(&text(lines), Secrets::Skip)
}

#[test]
fn everything_has_a_meaning() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("key"), "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n").unwrap();
    let lines = r#"[oauth]
token_key_rotation = "7d"
token_encryption_key = "file:key"
issuer_allow_private_addresses = true
[[tenant.issuer]]
url = "https://login.acme.example/"
audience = "causeway"
[[tenant.issuer]]
url = "http://localhost:8080/realms/a"
audience = "gw"
identity_claim = "email"
identities = { "a@acme.example" = "app" }
scope_claim = "roles"
authorized_parties = ["portal"]
[[tenant.issuer]]
url = "https://10.0.0.1"
audience = "causeway"
scope_claim = """#;
    let (config, problems) = parse(&root.path().join("c.toml"), &text(lines), Secrets::Resolve);
    let config = config.unwrap_or_else(|| panic!("{}", problems.render(false)));
    assert_eq!(problems.render(false), "");
    assert_eq!(config.tokens.key_rotation, Duration::from_hours(7 * 24));
    assert_eq!(config.tokens.encryption_key.unwrap().expose_secret(), b"01234567890123456789012345678901");
    assert!(config.tokens.private_issuers);
    let issuers = &config.tenants[0].issuers;
    // As it is written: it has to be the same in the tokens.
    assert_eq!((&*issuers[0].url, &*issuers[0].identity_claim), ("https://login.acme.example/", "sub"));
    assert_eq!(issuers[0].scope_claim.as_deref(), Some("scope"));
    assert_eq!((&*issuers[1].url, &*issuers[1].identity_claim), ("http://localhost:8080/realms/a", "email"));
    assert_eq!(issuers[1].identities.get("a@acme.example").map(|id| &**id), Some("app"));
    assert_eq!(
        (issuers[1].scope_claim.as_deref(), &issuers[1].authorized_parties[..]),
        (Some("roles"), &["portal".to_owned()][..])
    );
    assert_eq!(issuers[2].scope_claim, None);
}

#[test]
fn without_the_table_nothing_is_encrypted_and_nothing_private_is_asked() {
    let (config, _) = parse(Path::new("c.toml"), &text(""), Secrets::Resolve);
    let tokens = config.unwrap().tokens;
    assert_eq!(tokens.key_rotation, Duration::from_hours(30 * 24));
    assert!(tokens.encryption_key.is_none() && !tokens.private_issuers);
}

#[test]
fn each_mistake_is_named_with_line_and_key() {
    let issuer = |lines: &str| format!("[[tenant.issuer]]\n{lines}");
    let whole = "url = \"https://login.example\"\naudience = \"a\"";
    for (lines, wanted) in [
        (
            "[oauth]\ntoken_rotation = \"7d\"".to_owned(),
            "c.toml:19:1: error: oauth.token_rotation: unknown key `token_rotation`; did you mean `token_key_rotation`?",
        ),
        (
            "[oauth]\ntoken_encryption_key = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"".to_owned(),
            "c.toml:19:1: error: oauth.token_encryption_key: a secret stands here in clear; put it into the environment or a file and write \"env:NAME\" or \"file:/path\"",
        ),
        (
            "[oauth]\ntoken_key_rotation = \"1h\"".to_owned(),
            "c.toml:19:1: warning: oauth.token_key_rotation: is shorter than a day; clients that keep the published keys may meet ones that they do not know",
        ),
        (issuer("audience = \"a\""), "c.toml:18:1: error: tenant.issuer.url: this key is required here; add it"),
        (
            issuer("url = \"https://login.example\""),
            "c.toml:18:1: error: tenant.issuer.audience: this key is required here; add it",
        ),
        (
            issuer("url = \"http://login.example\"\naudience = \"a\""),
            "c.toml:19:1: error: tenant.issuer.url: `http://login.example` is not https; only loopback addresses may be without, and only with `oauth.issuer_allow_private_addresses`",
        ),
        (
            issuer("url = \"http://localhost:8080\"\naudience = \"a\""),
            "c.toml:19:1: error: tenant.issuer.url: `http://localhost:8080` is not https; only loopback addresses may be without, and only with `oauth.issuer_allow_private_addresses`",
        ),
        (
            issuer("url = \"https://login.example/?a=b\"\naudience = \"a\""),
            "c.toml:19:1: error: tenant.issuer.url: `https://login.example/?a=b` has more than a path behind the host; remove what follows ? or #",
        ),
        (
            issuer("url = \"https://gw.example\"\naudience = \"a\""),
            "c.toml:19:1: error: tenant.issuer.url: is this gateway's own `api.public_url`; its own tokens need no issuer",
        ),
        (
            issuer(&format!("{whole}\nidentities = {{ \"x\" = \"nobody\" }}")),
            "c.toml:21:17: error: tenant.issuer.identities.x: there is no identity of this tenant `nobody`; add it under [[tenant.identity]]",
        ),
        (
            issuer(&format!("{whole}\nalgorithms = [\"none\"]")),
            "c.toml:21:1: error: tenant.issuer.algorithms: unknown key `algorithms`; remove it",
        ),
        (
            issuer(&format!("{whole}\n[[tenant.issuer]]\n{whole}")).replacen("audience = \"a\"", "audience = \"b\"", 1),
            "c.toml:22:1: error: tenant.issuer.url: issuer `https://login.example` stands in line 19, too; change one of them",
        ),
        (
            issuer(&format!(
                "{whole}\n[[tenant]]\nid = \"b\"\n[[tenant.mount]]\nat = \"/\"\nstorage = \"local\"\n[[tenant.issuer]]\n{whole}"
            )),
            "c.toml:28:1: error: tenant.issuer.audience: is the audience of another tenant at this issuer, too; give each tenant an audience of its own",
        ),
    ] {
        assert_eq!(wrong(&lines), [wanted], "{lines}");
    }
    let alone = said(&format!("{GOOD}[[tenant.issuer]]\n{whole}\n"), Secrets::Skip);
    assert_eq!(
        alone,
        ["c.toml:15:1: warning: tenant.issuer: has no effect without [api], which is where tokens are taken"]
    );
}
