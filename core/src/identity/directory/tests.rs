//! What is found by a name, a key.

use super::*;
use crate::identity::mapping::tests::mapping;
use crate::identity::{CertificateRules, Require, ScopeSet, View, hash_key};
use crate::path::VirtualPath;

pub(super) fn record(tenant: &str, logins: &[&str], keys: &[(&str, &str)]) -> TenantRecord {
    TenantRecord {
        tenant: Tenant {
            id: tenant.into(),
            quota: None,
            mounts: Vec::new(),
            certificates: CertificateRules::default(),
            classifications: Tenant::default_classifications(),
        },
        identities: vec![Identity { id: "app".into(), scopes: ScopeSet::all(), quota: None, view: View::default() }],
        logins: logins.iter().map(|name| login(name, "app", None)).collect(),
        mappings: Vec::new(),
        issuers: Vec::new(),
        oauth_clients: Vec::new(),
        webhooks: Vec::new(),
        api_keys: keys.iter().map(|(id, key)| api_key(id, "app", hash_key(key))).collect(),
    }
}

fn login(username: &str, identity: &str, hash: Option<&str>) -> Login {
    Login {
        username: username.into(),
        identity: identity.into(),
        protocols: Vec::new(),
        password_hash: hash.map(SecretString::from),
        totp_secret: None,
        authorized_keys: Vec::new(),
        authorized_keys_file: None,
        client_certificates: Vec::new(),
        require: Require::Any,
        allow_from: Vec::new(),
        home: VirtualPath::parse("/").unwrap(),
    }
}

fn api_key(id: &str, identity: &str, key_hash: [u8; 32]) -> ApiKey {
    ApiKey {
        id: id.into(),
        identity: identity.into(),
        key_hash,
        signing: crate::identity::Signing::default(),
        scopes: ScopeSet::NONE,
        created: None,
        expires: None,
        allow_from: Vec::new(),
        previous: None,
    }
}

fn found(directory: &Directory, name: &str) -> Option<String> {
    directory.find_login(name).map(|m| format!("{}/{}", m.tenant.id, m.login.username))
}

#[test]
fn an_exact_name_wins_and_a_shared_one_needs_its_tenant() {
    let directory = Directory::new(vec![
        record("acme", &["edi01", "shared", "bob@globex"], &[]),
        record("globex", &["shared", "bob", "carol@x"], &[]),
    ])
    .unwrap();
    assert_eq!(found(&directory, "edi01").as_deref(), Some("acme/edi01"));
    assert_eq!(found(&directory, "edi01@acme").as_deref(), Some("acme/edi01"));
    assert_eq!(found(&directory, "edi01@globex"), None);
    assert_eq!(found(&directory, "edi01@nobody"), None);
    assert_eq!(found(&directory, "shared"), None, "two tenants have it");
    assert_eq!(found(&directory, "shared@globex").as_deref(), Some("globex/shared"));
    assert_eq!(found(&directory, "bob@globex").as_deref(), Some("acme/bob@globex"), "exact wins");
    assert_eq!(found(&directory, "carol@x").as_deref(), Some("globex/carol@x"));
    assert_eq!(found(&directory, "carol@x@globex").as_deref(), Some("globex/carol@x"), "the last @ splits");
    assert_eq!(found(&directory, ""), None);
    assert_eq!(found(&directory, "@acme"), None);
    assert_eq!(directory.tenants().map(|t| &*t.id).collect::<Vec<_>>(), ["acme", "globex"]);
    assert!(directory.tenant("acme").is_some() && directory.tenant("x").is_none());
    assert!(directory.identity("acme", "app").is_some() && directory.identity("acme", "x").is_none());
}

#[test]
fn who_claims_a_name() {
    let rule = |id: &str, username: &str| mapping(id, username, "/", "keys/x").unwrap();
    let mut acme = record("acme", &["shared", "edi01"], &[]);
    acme.mappings = vec![rule("branches", "branch-.*")];
    let mut globex = record("globex", &["shared"], &[]);
    globex.mappings = vec![rule("first", "[a-z]+-001"), rule("edi", "edi.*")];
    let directory = Directory::new(vec![acme, globex]).unwrap();
    for (name, tenants) in [
        ("branch-001", &["acme", "globex"][..]),
        ("branch-002", &["acme"]),
        ("branch-001@acme", &["acme"]),
        ("shared", &["acme", "globex"]),
        ("edi01", &["acme"]),
        ("edi02", &["globex"]),
        ("nobody", &[]),
    ] {
        let claimants: Vec<&str> = directory.claimants(name).into_iter().map(|tenant| &**tenant).collect();
        assert_eq!(claimants, tenants, "{name}");
        assert!(tenants.len() < 2 || directory.find_login(name).is_none(), "{name}");
    }
}

#[test]
fn logins_win_over_rules_and_then_the_order_counts() {
    let rule = |id: &str, username: &str, home: &str| mapping(id, username, home, "keys/x").unwrap();
    let mut acme = record("acme", &["branch-001", "both"], &[]);
    acme.mappings = vec![
        rule("branches", "branch-(?<nr>[0-9]{3})", "/b/${nr}"),
        rule("wide", "b(?<all>.*)", "/wide/${all}"),
        rule("mail", "(?<who>[a-z]+)@mail", "/mail/${who}"),
    ];
    let mut globex = record("globex", &["both"], &[]);
    globex.mappings = vec![rule("branches", "branch-(?<nr>.*)", "/g/${nr}"), rule("x", "x+", "/x")];
    let directory = Directory::new(vec![acme, globex]).unwrap();
    let home = |name: &str| directory.find_login(name).map(|m| format!("{}{}", m.tenant.id, m.login.home));
    for (name, wanted) in [
        ("branch-001", Some("acme/")),
        ("branch-002", None),
        ("branch-002@acme", Some("acme/b/002")),
        ("branch-002@globex", Some("globex/g/002")),
        ("branch-x@acme", Some("acme/wide/ranch-x")),
        ("bx", Some("acme/wide/x")),
        ("xx", Some("globex/x")),
        ("xx@globex", Some("globex/x")),
        ("xx@acme", None),
        ("bob@mail", Some("acme/wide/ob@mail")),
        ("ann@mail", Some("acme/mail/ann")),
        ("ann@mail@acme", Some("acme/mail/ann")),
        ("both", None),
        ("both@acme", Some("acme/")),
        ("nobody", None),
    ] {
        assert_eq!(home(name).as_deref(), wanted, "{name}");
    }
    let found = directory.find_login("branch-002@acme").unwrap();
    assert_eq!((&*found.login.username, &*found.identity.id), ("branch-002", "app"), "as configured: no tenant in it");
}

#[test]
fn rules_that_cannot_stand_are_refused() {
    let rule = |id: &str| mapping(id, "a", "/", "k").unwrap();
    let wrong = |change: &dyn Fn(&mut TenantRecord)| {
        let mut record = record("acme", &["edi"], &[]);
        change(&mut record);
        Directory::new(vec![record]).unwrap_err().to_string()
    };
    let twice = wrong(&|r| r.mappings = vec![rule("m"), rule("m")]);
    assert_eq!(twice, "tenant `acme` has two mappings `m`; rename one of them");
    let nobody = wrong(&|r| r.mappings = vec![Mapping { identity: "x".into(), ..rule("m") }]);
    assert!(nobody.starts_with("mapping `m` of tenant `acme` names the identity `x`"), "{nobody}");
    let totp = Require::parse("publickey+totp").unwrap();
    for (who, said) in [
        ("m", wrong(&|r| r.mappings = vec![Mapping { require: totp, ..rule("m") }])),
        ("edi", wrong(&|r| r.logins[0].require = totp)),
    ] {
        assert!(said.starts_with(&format!("`{who}` of tenant `acme` requires a code")), "{said}");
    }
}

#[test]
fn a_key_is_found_by_its_whole_hash() {
    let directory =
        Directory::new(vec![record("acme", &[], &[("k1", "cwk_one")]), record("globex", &[], &[("k2", "cwk_two")])])
            .unwrap();
    let one = directory.find_api_key(&hash_key("cwk_one")).unwrap();
    assert_eq!((&*one.tenant.id, &*one.identity.id, &*one.key.id), ("acme", "app", "k1"));
    assert_eq!(&*directory.find_api_key(&hash_key("cwk_two")).unwrap().key.id, "k2");
    assert!(directory.find_api_key(&hash_key("cwk_three")).is_none());
    let mut near = hash_key("cwk_one");
    near[31] ^= 1;
    assert!(directory.find_api_key(&near).is_none(), "the first bytes alone are not enough");
}

#[test]
fn the_old_key_of_a_rotation_is_found_too_and_the_id_means_the_new_one() {
    let ends = time::OffsetDateTime::UNIX_EPOCH;
    let mut one = record("acme", &[], &[("other", "cwk_other")]);
    let previous = crate::identity::PreviousKey { key_hash: hash_key("cwk_old"), created: None, ends };
    one.api_keys.push(ApiKey { previous: Some(previous), ..api_key("k", "app", hash_key("cwk_new")) });
    let directory = Directory::new(vec![one.clone()]).unwrap();
    let found =
        |key: &str| directory.find_api_key(&hash_key(key)).map(|found| (found.key.id.to_string(), found.previous));
    assert!(matches!(found("cwk_new"), Some((id, None)) if id == "k"));
    assert!(matches!(found("cwk_old"), Some((id, Some(old))) if id == "k" && old.ends == ends));
    assert_eq!(directory.api_key("acme", "k").unwrap().digest, hash_key("cwk_new"));
    assert!(directory.api_key("globex", "k").is_none() && directory.takes_key_id("k"));
    // Nobody brings the old text of another's key.
    one.api_keys.push(api_key("thief", "app", hash_key("cwk_old")));
    assert!(matches!(Directory::new(vec![one]).unwrap_err(), DirectoryError::SharedKeyHash { .. }));
}

#[test]
fn two_hashes_with_the_same_beginning_are_two_keys() {
    let (mut a, mut b) = ([7u8; 32], [7u8; 32]);
    (a[31], b[31]) = (1, 2);
    let mut one = record("acme", &[], &[]);
    one.api_keys = vec![api_key("a", "app", a), api_key("b", "app", b)];
    let directory = Directory::new(vec![one]).unwrap();
    assert_eq!(&*directory.find_api_key(&a).unwrap().key.id, "a");
    assert_eq!(&*directory.find_api_key(&b).unwrap().key.id, "b");
}

#[test]
fn what_stands_twice_or_names_nobody_is_refused() {
    let refused = |records: Vec<TenantRecord>| Directory::new(records).unwrap_err();
    assert!(matches!(
        refused(vec![record("a", &[], &[]), record("a", &[], &[])]),
        DirectoryError::DuplicateTenant { .. }
    ));
    assert!(matches!(refused(vec![record("a", &["x", "x"], &[])]), DirectoryError::DuplicateLogin { .. }));
    let twice = vec![record("a", &[], &[("k", "1")]), record("b", &[], &[("k", "2")])];
    assert!(matches!(refused(twice), DirectoryError::DuplicateApiKey { .. }));
    let shared = vec![record("a", &[], &[("k", "1")]), record("b", &[], &[("l", "1")])];
    assert_eq!(refused(shared), DirectoryError::SharedKeyHash { key: "l".into(), other: "k".into() });

    let mut one = record("a", &[], &[]);
    one.identities.push(one.identities[0].clone());
    assert!(matches!(refused(vec![one]), DirectoryError::DuplicateIdentity { .. }));
    let mut one = record("a", &[], &[]);
    one.logins.push(login("x", "ghost", None));
    let error = refused(vec![one]);
    assert!(matches!(error, DirectoryError::LoginWithoutIdentity { .. }));
    assert!(error.to_string().contains("`ghost`"));
    let mut one = record("a", &[], &[]);
    one.api_keys.push(api_key("k", "ghost", [0; 32]));
    assert!(matches!(refused(vec![one]), DirectoryError::ApiKeyWithoutIdentity { .. }));
}

#[test]
fn the_sample_has_the_commonest_parameters() {
    let phc = |m: u32, t: u32| {
        format!("$argon2id$v=19$m={m},t={t},p=1$c2FsdHNhbHRzYWx0$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI")
    };
    let mut one = record("a", &["none"], &[]);
    assert!(Directory::new(vec![one.clone()]).unwrap().sample_hash().is_none());
    one.logins.push(login("l1", "app", Some(&phc(65536, 3))));
    one.logins.push(login("l2", "app", Some(&phc(19456, 2))));
    let tie = Directory::new(vec![one.clone()]).unwrap();
    assert_eq!(tie.sample_hash().unwrap().expose_secret(), phc(65536, 3), "of two equally common, the dearer");
    one.logins.push(login("l3", "app", Some(&phc(19456, 2))));
    let common = Directory::new(vec![one]).unwrap();
    assert_eq!(common.sample_hash().unwrap().expose_secret(), phc(19456, 2));
}
