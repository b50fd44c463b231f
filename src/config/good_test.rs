//! The two good files: the contract's own, and the example of this repository.

use std::path::Path;
use std::time::Duration;

use causeway_core::identity::Protocol;

use super::database::Place;
use super::report::Severity;
use super::{Secrets, load, parse};

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_contract_is_right_but_not_all_built() {
    let (config, problems) = load(&repository("tests/fixtures/contract.toml"), Secrets::Skip);
    let text = problems.render(false);
    let config = config.unwrap_or_else(|| panic!("{text}"));
    assert!(!problems.has(Severity::Error) && problems.has(Severity::NotBuilt), "{text}");
    let lines: Vec<&str> = text.lines().filter_map(|l| l.split_once(" warning: ")).map(|(_, l)| l).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    tenant.remote: a remote is not built yet; leave it out until it is
    tenant.route: a route is not built yet; leave it out until it is
    tenant.schedule: a schedule is not built yet; leave it out until it is
    "#);

    assert_eq!(config.shutdown_grace, Duration::from_secs(30));
    assert_eq!(config.node.name, "gw-1");
    assert_eq!(config.limits.max_file_size, 100 << 30);
    assert!(matches!(&config.database.place, Place::Sqlite(path) if path.ends_with("causeway-data/causeway.db")));
    let tenant = &config.tenants[0];
    assert_eq!(tenant.tenant.quota, Some(1 << 40));
    assert_eq!(tenant.tenant.mounts[0].path, "acme");
    assert_eq!(tenant.identities.len(), 3);
    let portal = &tenant.oauth_clients[0];
    assert_eq!((&*portal.id, &*portal.name, portal.secret_hash), ("portal", "portal", None));
    assert!(portal.redirects_to("https://portal.acme.example/callback") && portal.scopes.is_empty());
    assert_eq!(tenant.identities[0].view.entries().len(), 2);
    assert_eq!(tenant.logins[0].protocols, [Protocol::Sftp, Protocol::Ftps]);
    let branch = tenant.mappings[0].login("branch-017").unwrap();
    assert_eq!(branch.home.as_str(), "/inbound/branch-017");
    assert_eq!(branch.authorized_keys_file.as_deref(), Some("keys/branch-017.pub"));
    assert!(config.uploads.temporary_names.is_match("a.filepart") && !config.uploads.temporary_names.is_match("a.csv"));
}

#[test]
fn the_contract_resolves_its_secrets() {
    // References to the environment become references to files: a test cannot set its own environment safely.
    let root = tempfile::tempdir().unwrap();
    let hash = causeway_core::identity::hash_password(&"secret".to_owned().into()).unwrap();
    let digest = "ab".repeat(32);
    let mut text = std::fs::read_to_string(repository("tests/fixtures/contract.toml")).unwrap();
    for (name, value) in [
        ("EDI01_HASH", hash.as_str()),
        ("ORDERS_KEY_HASH", &digest),
        ("ORDERS_HOOK_SECRET", "whsec_c2VjcmV0"),
        ("BANK_PASSWORD", "x"),
    ] {
        std::fs::write(root.path().join(name), value).unwrap();
        text = text.replace(&format!("env:{name}"), &format!("file:{name}"));
    }
    let (config, problems) = parse(&root.path().join("causeway.toml"), &text, Secrets::Resolve);
    let config = config.unwrap_or_else(|| panic!("{}", problems.render(false)));
    let tenant = &config.tenants[0];
    assert!(tenant.logins[0].password_hash.is_some());
    assert_eq!(tenant.api_keys[0].key_hash, [0xab; 32]);
    assert!(tenant.api_keys[0].expires.is_some());
    let hook = &tenant.webhooks[0];
    assert_eq!(hook.url, "https://orders.acme.example/hooks/causeway");
    assert!(hook.events.is_match("transfer.failed") && !hook.events.is_match("file.deleted"));
    let path = hook.path.as_ref().unwrap();
    assert!(path.is_match("/inbound/a/b.csv") && !path.is_match("/outbound/a"));
}

#[test]
fn the_example_is_right_and_all_built() {
    let (config, problems) = load(&repository("causeway.example.toml"), Secrets::Skip);
    assert_eq!(problems.render(true), "");
    assert!(config.is_some());
}

#[test]
fn defaults_are_those_of_the_contract() {
    let text = std::fs::read_to_string(repository("tests/fixtures/contract.toml")).unwrap();
    let (contract, _) = parse(Path::new("c.toml"), &text, Secrets::Skip);
    let (bare, problems) = parse(Path::new("c.toml"), "[sftp]\n[ftps]\n[api]\n[ops]\n", Secrets::Skip);
    let (contract, bare) = (contract.unwrap(), bare.unwrap());
    assert_eq!(problems.count(Severity::Warning), 1, "{}", problems.render(false));
    assert_eq!(format!("{:?}", contract.sftp), format!("{:?}", bare.sftp));
    assert_eq!(format!("{:?}", contract.ftps), format!("{:?}", bare.ftps));
    assert_eq!(format!("{:?}", contract.ops), format!("{:?}", bare.ops));
    assert_eq!(contract.api.unwrap().listen, bare.api.unwrap().listen);
    assert_eq!(format!("{:?}", contract.limits), format!("{:?}", bare.limits));
    assert_eq!(format!("{:?}", contract.events), format!("{:?}", bare.events));
    assert_eq!(contract.data_dir, bare.data_dir);
    assert_eq!(contract.uploads.incomplete_expiry, bare.uploads.incomplete_expiry);
    assert_eq!(contract.uploads.temporary_names.len(), bare.uploads.temporary_names.len());
}
