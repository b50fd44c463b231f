//! Who is known: the lookup of logins and keys. One never changes; what changes who is known puts another one in its place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::directory_error::DirectoryError;
use super::verify::cost_of;
use super::{ApiKey, CertificateIndex, Factor, Identity, Login, Mapping, Tenant, TenantRecord};

/// A login that was found, and whom it becomes.
#[derive(Clone, Debug)]
pub struct LoginMatch {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The identity that the login acts as.
    pub identity: Arc<Identity>,
    /// The login, as configured.
    pub login: Arc<Login>,
}

/// An API key that was found, and whom it becomes.
#[derive(Clone, Debug)]
pub struct KeyMatch {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The identity that the key acts as.
    pub identity: Arc<Identity>,
    /// The key, as configured. Its expiry and networks are not looked at here.
    pub key: Arc<ApiKey>,
}

/// One tenant with what is looked up inside it.
#[derive(Debug)]
struct Household {
    tenant: Arc<Tenant>,
    identities: HashMap<Arc<str>, Arc<Identity>>,
    logins: HashMap<Arc<str>, LoginMatch>,
    /// In the order of the configuration.
    mappings: Vec<(Mapping, Arc<Identity>)>,
}

impl Household {
    /// What the first rule that knows the name makes of it.
    fn map(&self, name: &str) -> Option<LoginMatch> {
        let made = |(mapping, identity): &(Mapping, Arc<Identity>)| {
            let login = Arc::new(mapping.login(name)?);
            Some(LoginMatch { tenant: self.tenant.clone(), identity: identity.clone(), login })
        };
        self.mappings.iter().find_map(made)
    }
}

/// Everybody who is known, looked up by login or key. A lookup is one or two steps in a hash map, so that requests
/// that authenticate by key cost next to nothing here.
#[derive(Debug, Default)]
pub struct Directory {
    /// The tenants' ids, in the order of the configuration.
    order: Vec<Arc<str>>,
    households: HashMap<Arc<str>, Household>,
    /// Usernames over all tenants. None: more than one tenant has it, and it does not resolve without its tenant.
    usernames: HashMap<Arc<str>, Option<LoginMatch>>,
    /// API keys by the first eight bytes of their hash; see [`Directory::find_api_key`].
    keys: HashMap<[u8; 8], Vec<KeyMatch>>,
    /// The same by their ids.
    keys_by_id: HashMap<Arc<str>, KeyMatch>,
    /// Logins by the client certificates that they take.
    pub(crate) clients: CertificateIndex,
}

impl Directory {
    /// Of these tenants. Fails where an API key (by id or hash), a tenant, an identity of a tenant or a username of a
    /// tenant stands twice, or where a login or key names an identity that its tenant does not have.
    pub fn new(tenants: Vec<TenantRecord>) -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        let mut key_ids: HashSet<Arc<str>> = HashSet::new();
        for record in tenants {
            directory.add(record, &mut key_ids)?;
        }
        Ok(directory)
    }

    fn add(&mut self, record: TenantRecord, key_ids: &mut HashSet<Arc<str>>) -> Result<(), DirectoryError> {
        let tenant = Arc::new(record.tenant);
        let id = tenant.id.clone();
        if self.households.contains_key(&id) {
            return Err(DirectoryError::DuplicateTenant { tenant: id.to_string() });
        }

        let mut identities = HashMap::with_capacity(record.identities.len());
        for identity in record.identities {
            let identity = Arc::new(identity);
            if identities.insert(identity.id.clone(), identity.clone()).is_some() {
                let identity = identity.id.to_string();
                return Err(DirectoryError::DuplicateIdentity { tenant: id.to_string(), identity });
            }
        }

        let mut logins = HashMap::with_capacity(record.logins.len());
        for login in record.logins {
            let login = Arc::new(login);
            let Some(identity) = identities.get(&login.identity).cloned() else {
                return Err(DirectoryError::LoginWithoutIdentity {
                    tenant: id.to_string(),
                    username: login.username.to_string(),
                    identity: login.identity.to_string(),
                });
            };
            if login.require.names(Factor::Totp) && login.totp_secret.is_none() {
                let login = login.username.to_string();
                return Err(DirectoryError::CodeWithoutSecret { tenant: id.to_string(), login });
            }
            let found = LoginMatch { tenant: tenant.clone(), identity, login: login.clone() };
            if logins.insert(login.username.clone(), found.clone()).is_some() {
                let username = login.username.to_string();
                return Err(DirectoryError::DuplicateLogin { tenant: id.to_string(), username });
            }
            self.clients.add(&found);
            // The second tenant with a name makes it ambiguous, for both.
            self.usernames.entry(login.username.clone()).and_modify(|one| *one = None).or_insert(Some(found));
        }

        let mut mappings: Vec<(Mapping, Arc<Identity>)> = Vec::with_capacity(record.mappings.len());
        for mapping in record.mappings {
            let (tenant, name) = (id.to_string(), mapping.id.to_string());
            let Some(identity) = identities.get(&mapping.identity).cloned() else {
                let identity = mapping.identity.to_string();
                return Err(DirectoryError::MappingWithoutIdentity { tenant, mapping: name, identity });
            };
            if mapping.require.names(Factor::Totp) {
                return Err(DirectoryError::CodeWithoutSecret { tenant, login: name });
            }
            if mappings.iter().any(|(other, _)| other.id == mapping.id) {
                return Err(DirectoryError::DuplicateMapping { tenant, mapping: name });
            }
            mappings.push((mapping, identity));
        }

        for key in record.api_keys {
            let key = Arc::new(key);
            let Some(identity) = identities.get(&key.identity).cloned() else {
                return Err(DirectoryError::ApiKeyWithoutIdentity {
                    tenant: id.to_string(),
                    key: key.id.to_string(),
                    identity: key.identity.to_string(),
                });
            };
            if !key_ids.insert(key.id.clone()) {
                return Err(DirectoryError::DuplicateApiKey { key: key.id.to_string() });
            }
            if let Some(other) = self.find_api_key(&key.key_hash) {
                let other = other.key.id.to_string();
                return Err(DirectoryError::SharedKeyHash { key: key.id.to_string(), other });
            }
            let found = KeyMatch { tenant: tenant.clone(), identity, key: key.clone() };
            self.keys_by_id.insert(key.id.clone(), found.clone());
            self.keys.entry(index_of(&key.key_hash)).or_default().push(found);
        }

        self.order.push(id.clone());
        self.households.insert(id, Household { tenant, identities, logins, mappings });
        Ok(())
    }

    /// The login of this name: an exact username of one tenant wins, else `name@tenant`, split at the last `@`
    /// (SEMANTICS, "Names and views"). A bare name that several tenants have does not resolve. Where there is no such
    /// login the rules are asked, in the same order: a tenant that is named comes first, and a whole name that rules of
    /// several tenants know does not resolve.
    pub fn find_login(&self, name: &str) -> Option<LoginMatch> {
        let exact = self.usernames.get(name);
        if let Some(Some(exact)) = exact {
            return Some(exact.clone());
        }
        let named = name.rsplit_once('@').and_then(|(bare, tenant)| Some((bare, self.households.get(tenant)?)));
        if let Some((bare, household)) = named {
            let found = household.logins.get(bare).cloned().or_else(|| household.map(bare));
            if found.is_some() {
                return found;
            }
        }
        // Several tenants have a login of this name; no rule decides between them.
        if exact.is_some() {
            return None;
        }
        let mut made = self.order.iter().filter_map(|id| self.households.get(id)?.map(name));
        made.next().filter(|_| made.next().is_none())
    }

    /// The tenants that have a login of this bare name, or a rule that knows it, in the order of the configuration. Where
    /// [`Directory::find_login`] finds none and these are several, the name says too little: it needs `@` and the tenant.
    pub fn claimants(&self, name: &str) -> Vec<&Arc<str>> {
        let of_logins = self.usernames.contains_key(name);
        let claims = |household: &Household| {
            if of_logins { household.logins.contains_key(name) } else { household.map(name).is_some() }
        };
        self.order.iter().filter(|id| self.households.get(*id).is_some_and(claims)).collect()
    }

    /// The API key with this SHA-256.
    ///
    /// A hash map compares what it finds byte by byte and stops at the first difference. So that no more than eight
    /// bytes of a stored hash are ever compared in that way, the map is keyed by the first eight alone, and the whole
    /// hash is then compared in constant time. (Even those eight are digest, not key: knowing them takes nobody nearer
    /// to a key of 256 random bits.)
    pub fn find_api_key(&self, hash: &[u8; 32]) -> Option<KeyMatch> {
        let candidates = self.keys.get(&index_of(hash))?;
        candidates.iter().find(|found| bool::from(found.key.key_hash.ct_eq(hash))).cloned()
    }

    /// The API key of a tenant with this id. Its expiry is not looked at here.
    pub fn api_key(&self, tenant: &str, id: &str) -> Option<KeyMatch> {
        self.keys_by_id.get(id).filter(|found| *found.tenant.id == *tenant).cloned()
    }

    /// The login of a tenant with this username, or what its rules make of it.
    pub fn login_of(&self, tenant: &str, username: &str) -> Option<LoginMatch> {
        let household = self.households.get(tenant)?;
        household.logins.get(username).cloned().or_else(|| household.map(username))
    }

    /// Whether any tenant has a CA of user certificates.
    pub fn believes_certificates(&self) -> bool {
        self.tenants().any(|tenant| !tenant.certificates.authorities.is_empty())
    }

    /// All tenants, in the order of the configuration.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.order.iter().filter_map(|id| self.tenant(id))
    }

    /// The tenant with this id.
    pub fn tenant(&self, id: &str) -> Option<&Arc<Tenant>> {
        self.households.get(id).map(|household| &household.tenant)
    }

    /// An identity of a tenant.
    pub fn identity(&self, tenant: &str, id: &str) -> Option<&Arc<Identity>> {
        self.households.get(tenant)?.identities.get(id)
    }

    /// A configured password hash with the parameters that most logins have (of equally common ones, the most
    /// expensive). [`super::PasswordVerifier::new`] takes it as its sample, so that an unknown login costs what most
    /// known ones cost.
    pub fn sample_hash(&self) -> Option<&SecretString> {
        // By work (memory times passes), then parameters: how many have them, and one that has.
        let mut kinds: HashMap<(u64, [u32; 3]), (usize, &SecretString)> = HashMap::new();
        for login in self.households.values().flat_map(|household| household.logins.values()) {
            let Some(hash) = &login.login.password_hash else { continue };
            let Some(parameters @ [memory, passes, _]) = cost_of(hash.expose_secret()) else { continue };
            let work = u64::from(memory) * u64::from(passes);
            kinds.entry((work, parameters)).or_insert((0, hash)).0 += 1;
        }
        kinds.into_iter().max_by_key(|(kind, (count, _))| (*count, *kind)).map(|(_, (_, hash))| hash)
    }
}

fn index_of(hash: &[u8; 32]) -> [u8; 8] {
    let mut index = [0; 8];
    for (to, from) in index.iter_mut().zip(hash) {
        *to = *from;
    }
    index
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::identity::mapping::tests::mapping;
    use crate::identity::{CertificateRules, Require, ScopeSet, Signing, View, hash_key};
    use crate::path::VirtualPath;

    fn record(tenant: &str, logins: &[&str], keys: &[(&str, &str)]) -> TenantRecord {
        TenantRecord {
            tenant: Tenant {
                id: tenant.into(),
                quota: None,
                mounts: Vec::new(),
                certificates: CertificateRules::default(),
                classifications: Tenant::default_classifications(),
            },
            identities: vec![Identity {
                id: "app".into(),
                scopes: ScopeSet::all(),
                quota: None,
                view: View::default(),
            }],
            logins: logins.iter().map(|name| login(name, "app", None)).collect(),
            mappings: Vec::new(),
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
            signing: Signing::default(),
            scopes: ScopeSet::NONE,
            expires: None,
            allow_from: Vec::new(),
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
        assert_eq!(
            (&*found.login.username, &*found.identity.id),
            ("branch-002", "app"),
            "as configured: no tenant in it"
        );
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
        let directory = Directory::new(vec![
            record("acme", &[], &[("k1", "cwk_one")]),
            record("globex", &[], &[("k2", "cwk_two")]),
        ])
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
}
