//! Bad configurations, and the exact lines that say so.

use std::path::Path;

use super::{Secrets, parse};

/// A small right file. Each case replaces or adds lines.
pub(super) const GOOD: &str = r#"[sftp]
listen = ["127.0.0.1:0"]
[[storage]]
name = "local"
kind = "local"
[[tenant]]
id = "acme"
[[tenant.mount]]
at = "/"
storage = "local"
[[tenant.identity]]
id = "app"
scopes = ["files:read"]
view = [{ at = "/", path = "/", permissions = ["*"] }]
"#;

pub(super) fn said(text: &str, secrets: Secrets) -> Vec<String> {
    let (config, problems) = parse(Path::new("c.toml"), text, secrets);
    let lines: Vec<String> = problems.render(false).lines().map(ToOwned::to_owned).collect();
    assert_eq!(config.is_none(), lines.iter().any(|l| l.contains(" error: ")), "{lines:?}");
    lines
}

/// Adds lines to the small file; the first of them is line 15.
fn added(lines: &str) -> Vec<String> {
    said(&format!("{GOOD}{lines}\n"), Secrets::Skip)
}

#[test]
fn the_small_file_is_right() {
    assert!(said(GOOD, Secrets::Resolve).is_empty());
}

#[test]
fn each_mistake_is_named_with_line_and_key() {
    let cases: &[(&str, &[&str])] = &[
        // Keys and types.
        ("[sftp2]", &["c.toml:15:2: error: sftp2: unknown key `sftp2`; did you mean `sftp`?"]),
        (
            "[limits]\nmax_filesize = \"1 GiB\"",
            &["c.toml:16:1: error: limits.max_filesize: unknown key `max_filesize`; did you mean `max_file_size`?"],
        ),
        ("[limits]\nzzz = 1", &["c.toml:16:1: error: limits.zzz: unknown key `zzz`; remove it"]),
        (
            "[limits]\nmax_file_size = 5",
            &["c.toml:16:1: error: limits.max_file_size: expected a string in quotes, found a whole number"],
        ),
        (
            "[limits]\nfailed_logins = \"5\"",
            &["c.toml:16:1: error: limits.failed_logins: expected a whole number without quotes, found a string"],
        ),
        (
            "[limits]\nfailed_logins = 0",
            &["c.toml:16:1: error: limits.failed_logins: 0 is out of range; give 1 to 1000000"],
        ),
        (
            "[events]\nwebhook_allow_private_addresses = 1",
            &[
                "c.toml:16:1: error: events.webhook_allow_private_addresses: expected true or false without quotes, found a whole number",
            ],
        ),
        (
            "[uploads]\ntemporary_names = \"*.tmp\"",
            &["c.toml:16:1: error: uploads.temporary_names: expected a list of strings in brackets, found a string"],
        ),
        (
            "[uploads]\ntemporary_names = [\"*.a\",\n  7]",
            &["c.toml:17:3: error: uploads.temporary_names: expected strings in the list, found a whole number"],
        ),
        ("[[tls]]\nmin_version = \"1.2\"", &["c.toml:15:3: error: tls: expected a table; write [tls], found a list"]),
        (
            "[tenant.login]\nusername = \"x\"",
            &["c.toml:15:9: error: tenant.login: expected a list of tables; write [[tenant.login]], found a table"],
        ),
        // Values.
        (
            "[uploads]\nincomplete_expiry = \"7 weeks\"",
            &[
                "c.toml:16:1: error: uploads.incomplete_expiry: `7 weeks` is no duration; write it like \"30s\", \"15m\", \"24h\" or \"7d\"",
            ],
        ),
        ("[limits]\nban = \"0s\"", &["c.toml:16:1: error: limits.ban: `0s` is no time at all; write more than 0"]),
        (
            "[limits]\nmax_file_size = \"lots\"",
            &[
                "c.toml:16:1: error: limits.max_file_size: `lots` is not understood; write it like \"512 MiB\" or \"100 GiB\"",
            ],
        ),
        (
            "[limits]\nmax_file_size = \"9 Gib\"",
            &["c.toml:16:1: error: limits.max_file_size: `9 Gib` is no size; write it like \"512 MiB\" or \"100 GiB\""],
        ),
        (
            "[limits]\nmax_file_size = \"9999999999 TiB\"",
            &["c.toml:16:1: error: limits.max_file_size: `9999999999 TiB` is too large; write at most 2^63-1 bytes"],
        ),
        (
            "[limits]\nbandwidth_up = \"50 MiB\"",
            &["c.toml:16:1: error: limits.bandwidth_up: `50 MiB` is no rate; write it like \"50 MiB/s\""],
        ),
        (
            "[ops]\nlisten = [\"localhost:9090\"]",
            &[
                "c.toml:16:12: error: ops.listen: `localhost:9090` is no address; write IP:PORT like \"127.0.0.1:2022\", \"0.0.0.0:22\" or \"[::]:22\"",
            ],
        ),
        (
            "[ops]\nlisten = []",
            &[
                "c.toml:16:1: error: ops.listen: has no address; give one, or remove the whole table to switch the protocol off",
            ],
        ),
        (
            "[ops]\nlisten = [\"127.0.0.1:9\"]\n[api]\nlisten = [\"127.0.0.1:9\"]",
            &["c.toml:16:12: error: ops.listen: address `127.0.0.1:9` stands in line 18, too; change one of them"],
        ),
        (
            "[api]\npublic_url = \"ftp://x\"",
            &[
                "c.toml:16:1: error: api.public_url: `ftp://x` is no URL for this; write one that begins with https:// or http://",
            ],
        ),
        (
            "[tls]\nmin_version = \"1.1\"",
            &["c.toml:16:1: error: tls.min_version: `1.1` is not known here; write \"1.2\" or \"1.3\""],
        ),
        (
            "[tls]\ncertificate = \"/nowhere/x.pem\"",
            &[
                "c.toml:16:1: error: tls.certificate: /nowhere/x.pem cannot be read: entity not found; name a PEM file",
                "c.toml:16:1: error: tls.certificate: stands here without `private_key`; give both or neither",
            ],
        ),
        (
            "[database]\nurl = \"postgres://gw@db/causeway\"\nmin_free = \"1 GiB\"",
            &[
                "c.toml:17:1: warning: database.min_free: has no effect with PostgreSQL, whose disk is its own; remove it",
            ],
        ),
        (
            "[database]\nurl = \"postgres://gw:hunter2@db/causeway\"",
            &[
                "c.toml:16:1: error: database.url: a password stands here in clear; put the URL into the environment and write \"env:DATABASE_URL\"",
            ],
        ),
        (
            "[database]\nurl = \"mysql://db/x\"",
            &[
                "c.toml:16:1: error: database.url: is no URL of a database; write postgres://user@host:5432/database, or sqlite:path, or nothing",
            ],
        ),
        (
            "[uploads]\ntemporary_names = [\"a/*\"]",
            &[
                "c.toml:16:21: error: uploads.temporary_names: `a/*` is matched against the name alone; write a pattern without / like \"*.part\"",
            ],
        ),
        (
            "[uploads]\ntemporary_names = [\"[a\"]",
            &[
                "c.toml:16:21: error: uploads.temporary_names: `[a` is no pattern: unclosed character class; missing ']'; correct it",
            ],
        ),
        // References and duplicates.
        (
            "[[tenant.mount]]\nat = \"/x\"\nstorage = \"locl\"",
            &["c.toml:17:1: error: tenant.mount.storage: there is no storage `locl`; did you mean \"local\"?"],
        ),
        (
            "[[tenant.mount]]\nat = \"/\"\nstorage = \"local\"",
            &["c.toml:16:1: error: tenant.mount.at: mount at `/` stands in line 9, too; change one of them"],
        ),
        (
            "[[tenant.login]]\nusername = \"edi\"\nidentity = \"ap\"\npassword_hash = \"env:X\"",
            &[
                "c.toml:17:1: error: tenant.login.identity: there is no identity of this tenant `ap`; did you mean \"app\"?",
            ],
        ),
        (
            "[[tenant.login]]\nidentity = \"app\"",
            &["c.toml:15:1: error: tenant.login.username: this key is required here; add it"],
        ),
        (
            "[[tenant.login]]\nusername = \"a b\"\nidentity = \"app\"",
            &[
                "c.toml:16:1: error: tenant.login.username: `a b` is no username; use 1 to 128 characters without spaces or slashes",
            ],
        ),
        (
            "[[tenant.login]]\nusername = \"edi\"\nidentity = \"app\"\nauthorized_keys = [\"ssh-ed25519 nope\"]\npassword_hash = \"env:X\"",
            &[
                "c.toml:18:21: error: tenant.login.authorized_keys: is no OpenSSH public key; write the line of the .pub file (`ssh-ed25519 AAAA… comment`)",
            ],
        ),
        (
            "[[tenant.login]]\nusername = \"edi\"\nidentity = \"app\"\nallow_from = [\"10.0.0.0/40\"]\npassword_hash = \"env:X\"",
            &[
                "c.toml:18:16: error: tenant.login.allow_from: `10.0.0.0/40` is no network; write it like \"192.0.2.0/24\" or \"2001:db8::/32\"",
            ],
        ),
        (
            "[[tenant.login]]\nusername = \"edi\"\nidentity = \"app\"\nhome = \"in\"\npassword_hash = \"env:X\"",
            &["c.toml:18:1: error: tenant.login.home: `in` is no path in the tree; begin it with /"],
        ),
        (
            "[[tenant.identity]]\nid = \"Big\"",
            &["c.toml:16:1: error: tenant.identity.id: `Big` is no id; use a-z, 0-9 and inner hyphens, at most 64"],
        ),
        (
            "[[tenant.identity]]\nid = \"app\"",
            &["c.toml:16:1: error: tenant.identity.id: identity `app` stands in line 12, too; change one of them"],
        ),
        (
            "[[tenant.identity]]\nid = \"b\"\nscopes = [\"files:raed\"]",
            &["c.toml:17:12: error: tenant.identity.scopes: `files:raed` is no scope; did you mean \"files:read\"?"],
        ),
        (
            "[[tenant.identity]]\nid = \"b\"\nview = [{ at = \"/\", path = \"/\", permissions = [\"lst\"] }]",
            &["c.toml:17:49: error: tenant.identity.view.permissions: `lst` is no permission; did you mean \"list\"?"],
        ),
        (
            "[[tenant.identity]]\nid = \"b\"\nview = [\n { at = \"/in\", path = \"/a\", permissions = [] },\n { at = \"/in/\", path = \"/b\", permissions = [] },\n]",
            &[
                "c.toml:19:4: error: tenant.identity.view.at: a view's entry at `/in` stands in line 18, too; change one of them",
            ],
        ),
        (
            "[[tenant.identity]]\nid = \"b\"\nview = [{ at = \"/../x\", path = \"/\", permissions = [] }]",
            &[
                "c.toml:17:11: error: tenant.identity.view.at: `/../x`: `.` and `..` are not names here; give the full path",
            ],
        ),
        (
            "[[tenant]]\nid = \"acme\"\n[[tenant.mount]]\nat = \"/\"\nstorage = \"local\"",
            &[
                "c.toml:16:1: error: tenant.id: tenant `acme` stands in line 7, too; change one of them",
                "c.toml:18:1: error: tenant.mount.at: mount at `/` stands in line 9, too; change one of them",
            ],
        ),
        (
            "[[tenant]]\nid = \"beta\"",
            &["c.toml:15:1: error: tenant: this tenant has no mount at \"/\"; add [[tenant.mount]] with at = \"/\""],
        ),
        (
            "[[storage]]\nname = \"local\"\nkind = \"memory\"",
            &["c.toml:16:1: error: storage.name: storage `local` stands in line 4, too; change one of them"],
        ),
        (
            "[[storage]]\nname = \"m\"\nkind = \"memory\"\nbucket = \"b\"",
            &["c.toml:18:1: error: storage.bucket: belongs to kind = \"s3\"; remove it, or change the kind"],
        ),
        (
            "[[storage]]\nname = \"m\"\nkind = \"loca\"",
            &["c.toml:17:1: error: storage.kind: `loca` is not known here; write \"local\" or \"s3\" or \"memory\""],
        ),
        // Keys, webhooks, secrets.
        (
            "[[tenant.api_key]]\nid = \"k\"\nidentity = \"app\"",
            &["c.toml:15:1: error: tenant.api_key.key_hash: this key is required here; add it"],
        ),
        (
            "[[tenant.api_key]]\nid = \"k\"\nidentity = \"app\"\nkey_hash = \"abc\"",
            &[
                "c.toml:18:1: error: tenant.api_key.key_hash: is no SHA-256 in hex; write what `causeway hash-key` prints, or a reference to it",
            ],
        ),
        (
            "[[tenant.api_key]]\nid = \"k\"\nidentity = \"app\"\nkey_hash = \"env:H\"\nexpires = \"2027-12-31\"",
            &[
                "c.toml:19:1: error: tenant.api_key.expires: `2027-12-31` is no RFC 3339 time; write it like \"2027-12-31T00:00:00Z\"",
            ],
        ),
        (
            "[[tenant.webhook]]\nid = \"h\"\nurl = \"https://x.example/\"\nsecret = \"hunter2hunter2\"",
            &[
                "c.toml:18:1: error: tenant.webhook.secret: a secret stands here in clear; put it into the environment or a file and write \"env:NAME\" or \"file:/path\"",
            ],
        ),
        (
            "[[tenant.webhook]]\nid = \"h\"\nurl = \"https://x.example/\"\nsecret = \"env:\"",
            &[
                "c.toml:18:1: error: tenant.webhook.secret: `env:` wants the name of an environment variable; write it like \"env:NAME\"",
            ],
        ),
        (
            "[[tenant.webhook]]\nid = \"h\"\nurl = \"http://127.1/\"\nsecret = \"env:H\"",
            &[
                "c.toml:17:1: error: tenant.webhook.url: 127.0.0.1 is no public address; use a public one, or set events.webhook_allow_private_addresses",
            ],
        ),
        (
            "[[tenant.webhook]]\nid = \"h\"\nurl = \"https://x.example/\"\nsecret = \"env:H\"\nevents = [\"file.uploded\"]",
            &[
                "c.toml:19:12: error: tenant.webhook.events: `file.uploded` is no kind of event; write one like \"file.uploaded\" or \"transfer.*\"",
            ],
        ),
        (
            "[[tenant.webhook]]\nid = \"h\"\nurl = \"https://x.example/\"\nsecret = \"env:H\"\npath = \"in/**\"",
            &[
                "c.toml:19:1: error: tenant.webhook.path: `in/**` is no pattern of paths; begin it with / like \"/inbound/**\"",
            ],
        ),
        // Limits of connections.
        (
            "[limits]\nsessions_per_login = 0\npenalty_exempt = [\"here\", \"::ffff:192.0.2.0/24\"]",
            &[
                "c.toml:16:1: error: limits.sessions_per_login: 0 is out of range; give 1 to 1000000",
                "c.toml:17:20: error: limits.penalty_exempt: `here` is no network; write it like \"192.0.2.0/24\" or \"2001:db8::/32\"",
                "c.toml:17:28: error: limits.penalty_exempt: `::ffff:192.0.2.0/24` goes beyond the IPv4 addresses that it is written with; write it like \"192.0.2.0/24\"",
            ],
        ),
        (
            "[limits]\npenalties = { authfial = \"5s\", overflow = \"some\", netblock6 = 129 }",
            &[
                "c.toml:16:15: error: limits.penalties.authfial: unknown key `authfial`; did you mean `authfail`?",
                "c.toml:16:32: error: limits.penalties.overflow: `some` is not known here; write \"permissive\" or \"deny-all\"",
                "c.toml:16:51: error: limits.penalties.netblock6: 129 is out of range; give 1 to 128",
            ],
        ),
        (
            "[limits]\npenalties = { min = \"1m\", max = \"30s\" }",
            &["c.toml:16:1: error: limits.penalties: min is above max; nobody would ever be refused"],
        ),
        // What is not built yet is read with the same care.
        (
            "[ftps]\npassive_ports = \"50099-50000\"",
            &[
                "c.toml:16:1: error: ftps.passive_ports: `50099-50000` ends before it begins; write the lower port first",
            ],
        ),
        (
            "[[tenant.mapping]]\nid = \"m\"\nidentity = \"app\"\nusername = \"b-(?<nr>[0-9]+)\"\nhome = \"/in/${no}\"\nauthorized_keys_file = \"../x\"",
            &[
                "c.toml:19:1: error: tenant.mapping.home: `${no}` is no named group of `username`; write (?<no>…) there",
                "c.toml:20:1: error: tenant.mapping.authorized_keys_file: `../x` is outside this file's folder; write a path below it",
            ],
        ),
        (
            "[[tenant.mapping]]\nid = \"m\"\nidentity = \"app\"\nusername = \"b-(\"",
            &[
                "c.toml:15:1: warning: tenant.mapping: has no `authorized_keys_file`; nobody can log in by it",
                "c.toml:18:1: error: tenant.mapping.username: `b-(` is no regular expression; correct it, named groups are written (?<name>…)",
            ],
        ),
        (
            "[[tenant.mapping]]\nid = \"m\"\nidentity = \"ap\"\nusername = \"a\"\nhome = \"in\"\nauthorized_keys_file = \"k\"\nrequire = \"publickey+totp\"",
            &[
                "c.toml:17:1: error: tenant.mapping.identity: there is no identity of this tenant `ap`; did you mean \"app\"?",
                "c.toml:19:1: error: tenant.mapping.home: `in` is no path in the tree; begin it with / and give every part a name",
                "c.toml:21:1: error: tenant.mapping.require: asks for a code (totp), and there is no `totp_secret`; add it (`causeway totp-secret`)",
            ],
        ),
        (
            "[[tenant.mapping]]\nid = \"m\"\nidentity = \"app\"\nusername = \"a)|(b\"\nauthorized_keys_file = \"${x}\"\nrequire = \"publickey+password\"",
            &[
                "c.toml:18:1: error: tenant.mapping.username: `a)|(b` is no regular expression; correct it, named groups are written (?<name>…)",
                "c.toml:20:1: warning: tenant.mapping.require: asks for a password, and there is no `password_hash`; nobody can log in by it",
            ],
        ),
        (
            "[[tenant.login]]\nusername = \"edi\"\nidentity = \"app\"\npassword_hash = \"env:X\"\nrequire = \"password+totp\"",
            &[
                "c.toml:19:1: error: tenant.login.require: asks for a code (totp), and there is no `totp_secret`; add it (`causeway totp-secret`)",
            ],
        ),
        (
            "[[tenant.login]]\nusername = \"edi\"\nidentity = \"app\"\npassword_hash = \"env:X\"\ntotp_secret = \"GEZDGNBVGY3TQOJQ\"",
            &[
                "c.toml:19:1: error: tenant.login.totp_secret: a secret stands here in clear; put it into the environment or a file and write \"env:NAME\" or \"file:/path\"",
            ],
        ),
        (
            "[[tenant.login]]\nusername = \"edi\"\nidentity = \"app\"\npassword_hash = \"env:X\"\ntotp_secret = \"env:T\"",
            &[
                "c.toml:19:1: error: tenant.login.totp_secret: is never asked for; write totp into `require`, like \"password+totp\"",
            ],
        ),
        (
            "[[tenant.login]]\nusername = \"edi\"\nidentity = \"app\"\npassword_hash = \"env:X\"\nrequire = \"publickey+password\"",
            &[
                "c.toml:19:1: warning: tenant.login.require: asks for a public key, and there is none; nobody can log in by it",
            ],
        ),
        (
            "[[tenant.login]]\nusername = \"edi\"\nidentity = \"app\"\nauthorized_keys = [\n\"command=\\\"x\\\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\",\n\"from=\\\"*.example\\\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\",\n]",
            &[
                "c.toml:19:2: error: tenant.login.authorized_keys: has the option `command`, which is not honoured here; remove it, or do not use the key",
                "c.toml:20:2: error: tenant.login.authorized_keys: has `*.example` in from=, but names are not looked up; write addresses or networks",
            ],
        ),
        (
            "[[tenant.route]]\nid = \"r\"\nidentity = \"app\"\nto = \"bank:/in/\"",
            &[
                "c.toml:15:1: warning: tenant.route: a route is not built yet; leave it out until it is",
                "c.toml:18:1: error: tenant.route.to: there is no remote of this tenant `bank`; add it under [[tenant.remote]]",
            ],
        ),
        (
            "[[tenant.schedule]]\nid = \"s\"\nidentity = \"app\"\ncron = \"0 25 * * *\"\ntimezone = \"berlin\"",
            &[
                "c.toml:15:1: warning: tenant.schedule: a schedule is not built yet; leave it out until it is",
                "c.toml:18:1: error: tenant.schedule.cron: `25` is no hour of a cron expression; write 0 to 23, *, */n, a-b or a list",
                "c.toml:19:1: error: tenant.schedule.timezone: `berlin` is no time zone; write one like \"Europe/Berlin\" or \"UTC\"",
            ],
        ),
        (
            "[[tenant.remote]]\nname = \"bank\"\nkind = \"sftp\"\npassword = \"clear\"\nhost_key = \"SHA256:abc\"",
            &[
                "c.toml:15:1: warning: tenant.remote: a remote is not built yet; leave it out until it is",
                "c.toml:18:1: error: tenant.remote.password: a secret stands here in clear; put it into the environment or a file and write \"env:NAME\" or \"file:/path\"",
                "c.toml:19:1: error: tenant.remote.host_key: `SHA256:abc` is no fingerprint; write SHA256: and what `ssh-keygen -lf` prints",
            ],
        ),
    ];
    let mut wrong = Vec::new();
    for (lines, expected) in cases {
        let said = added(lines);
        if said != *expected {
            wrong.push((lines, said));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_bare_username_means_one_login_of_the_gateway() {
    let login = |name: &str| {
        format!("[[tenant.login]]\nusername = \"{name}\"\nidentity = \"app\"\npassword_hash = \"env:X\"\n")
    };
    let beta = "[[tenant]]\nid = \"beta\"\n[[tenant.mount]]\nat = \"/\"\nstorage = \"local\"\n[[tenant.identity]]\nid = \"app\"\n";
    let both = |first: &str, second: &str| added(&format!("{}{beta}{}", login(first), login(second)));
    assert_eq!(
        both("edi", "edi"),
        [
            "c.toml:27:1: error: tenant.login.username: tenant `acme` has a login `edi` too; write \"edi@acme\" and \"edi@beta\", or rename one"
        ]
    );
    assert!(both("edi@acme", "edi@beta").is_empty());
    assert_eq!(
        both("edi@beta", "edi"),
        [
            "c.toml:16:1: error: tenant.login.username: `edi@beta` also means the login `edi` of tenant `beta`; rename one of them"
        ]
    );
}

#[test]
fn secrets_that_cannot_be_resolved_are_errors_unless_they_are_skipped() {
    let hook = |secret: &str| {
        let lines = format!("[[tenant.webhook]]\nid = \"h\"\nurl = \"https://x.example/\"\nsecret = \"{secret}\"\n");
        said(&format!("{GOOD}{lines}"), Secrets::Resolve)
    };
    assert_eq!(
        hook("env:CAUSEWAY_TEST_THAT_IS_NEVER_SET"),
        [
            "c.toml:18:1: error: tenant.webhook.secret: the environment variable CAUSEWAY_TEST_THAT_IS_NEVER_SET is not set to a text; set it, or check with --no-secrets"
        ]
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    assert_eq!(
        hook(&format!("file:{path}")),
        ["c.toml:18:1: error: tenant.webhook.secret: the secret that this refers to is empty; give it a value"]
    );
    std::fs::write(file.path(), "whsec_!\n").unwrap();
    assert_eq!(
        hook(&format!("file:{path}")),
        [
            "c.toml:18:1: error: tenant.webhook.secret: begins with whsec_, but base64 does not follow; write whsec_ and standard base64"
        ]
    );
    std::fs::write(file.path(), "whsec_c2VjcmV0\n").unwrap();
    assert!(hook(&format!("file:{path}")).is_empty());
    assert_eq!(
        hook("vault:kv/x#y"),
        ["c.toml:18:1: warning: tenant.webhook.secret: `vault:` is not built yet; leave it out until it is"]
    );
}

#[test]
fn syntax_errors_have_a_line_too() {
    assert_eq!(said("[sftp]\nlisten = [127]\nx = \n", Secrets::Skip).len(), 1);
    assert_eq!(
        said("[sftp]\nbanner = \"a\"\nbanner = \"b\"\n", Secrets::Skip),
        ["c.toml:3:1: error: duplicate key: `banner`; remove one of the two"]
    );
    let missing = super::load(Path::new("/nowhere/c.toml"), Secrets::Skip).1.render(true);
    assert!(missing.starts_with("/nowhere/c.toml: error: cannot be read: "), "{missing}");
}

#[test]
fn what_is_not_built_is_an_error_of_serve() {
    let (config, problems) =
        parse(Path::new("c.toml"), &format!("{GOOD}[events]\nsyslog = \"udp://logs.example:514\"\n"), Secrets::Skip);
    assert!(config.is_some());
    assert_eq!(
        problems.render(true),
        "c.toml:16:1: error: events.syslog: syslog over UDP is not built yet; leave it out until it is\n"
    );
}

#[test]
fn an_empty_file_has_nothing_to_serve() {
    assert_eq!(
        said("", Secrets::Skip),
        [
            "c.toml:1:1: error: no protocol is switched on; add [sftp], [ftps] or [api]",
            "c.toml:1:1: warning: tenant: no tenant is declared, so nobody can log in; add [[tenant]]",
        ]
    );
}

/// Everything at once: all errors of one file, in the order of its lines.
#[test]
fn all_errors_of_a_terrible_file_come_in_one_go() {
    let text = r#"data_dri = "x"
shutdown_grace = 30
[node]
name = ""
[sftp]
listen = ["0.0.0.0"]
host_keys = ["nowhere"]
max_auth_tries = 0
scp = "yes"
legacy_algorithms = true
[api]
listen = "127.0.0.1:8443"
client_certificates = "maybe"
cors_origins = ["https://a.example/path"]
[storage]
name = "x"
[uploads]
content_type_check = "perhaps"
[events]
syslog = "http://x"
[[tenant]]
quota = "1"
[[tenant.mount]]
storage = "x"
[[tenant.identity]]
view = [{ path = "/" }]
[[tenant.login]]
usrname = "edi"
identity = "nobody"
protocols = ["api"]
require = "two"
password_hash = "hunter2"
client_certificates = ["edi"]
[[tenant.oauth_client]]
id = "portal"
redirect_uris = ["portal"]
[[tenant.policy]]
file = "x.cedar"
"#;
    insta::assert_snapshot!(said(text, Secrets::Skip).join("\n"), @r#"
    c.toml:1:1: error: data_dri: unknown key `data_dri`; did you mean `data_dir`?
    c.toml:2:1: error: shutdown_grace: expected a string in quotes, found a whole number
    c.toml:4:1: error: node.name: is empty; write a value
    c.toml:6:12: error: sftp.listen: `0.0.0.0` is no address; write IP:PORT like "127.0.0.1:2022", "0.0.0.0:22" or "[::]:22"
    c.toml:7:15: error: sftp.host_keys: ./nowhere cannot be read: entity not found; name a private key
    c.toml:8:1: error: sftp.max_auth_tries: 0 is out of range; give 1 to 100
    c.toml:9:1: error: sftp.scp: expected true or false without quotes, found a string
    c.toml:10:1: warning: sftp.legacy_algorithms: broken algorithms are offered (aes128-cbc, aes192-cbc, aes256-cbc, diffie-hellman-group-exchange-sha1, diffie-hellman-group14-sha1, hmac-sha1, hmac-sha1-etm@openssh.com, ssh-rsa); switch them off as soon as no partner needs them
    c.toml:12:1: error: api.listen: expected a list of strings in brackets, found a string
    c.toml:13:1: error: api.client_certificates: `maybe` is not known here; write "off" or "optional" or "required"
    c.toml:14:18: error: api.cors_origins: `https://a.example/path` is no origin; write "https://a.example"
    c.toml:15:2: error: storage: expected a list of tables; write [[storage]], found a table
    c.toml:18:1: error: uploads.content_type_check: `perhaps` is not known here; write "off" or "event" or "refuse"
    c.toml:20:1: error: events.syslog: `http://x` is no URL for this; write one that begins with tls:// or tcp:// or udp://
    c.toml:21:1: error: tenant.id: this key is required here; add it
    c.toml:22:1: error: tenant.quota: `1` is no size; write it like "512 MiB" or "100 GiB"
    c.toml:23:1: error: tenant.mount.at: this key is required here; add it
    c.toml:24:1: error: tenant.mount.storage: there is no storage `x`; add it under [[storage]]
    c.toml:25:1: error: tenant.identity.id: this key is required here; add it
    c.toml:26:9: error: tenant.identity.view.at: this key is required here; add it
    c.toml:26:9: error: tenant.identity.view.permissions: this key is required here; add it
    c.toml:27:1: error: tenant.login.username: this key is required here; add it
    c.toml:28:1: error: tenant.login.usrname: unknown key `usrname`; did you mean `username`?
    c.toml:29:1: error: tenant.login.identity: there is no identity of this tenant `nobody`; add it under [[tenant.identity]]
    c.toml:31:1: error: tenant.login.require: `two` is not known here; write "any", or several of publickey or certificate, password and totp with + between them
    c.toml:32:1: error: tenant.login.password_hash: this is no password hash (PHC string `$argon2id$v=19$…`); make one with `causeway hash-password`
    c.toml:33:25: error: tenant.login.client_certificates: `edi` names no certificate; write "sha256:<64 hex digits>" or "san:<name>"
    c.toml:36:19: error: tenant.oauth_client.redirect_uris: `portal` is no absolute URI; write one that begins with https://
    c.toml:38:1: warning: tenant.policy.file: a policy is not built yet; leave it out until it is
    "#);
}
