//! Who is known: the lookup of logins and keys. One never changes; what changes who is known puts another one in its place.

mod objects;

use std::collections::HashMap;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

pub use self::objects::LeftOut;
use self::objects::Objects;
use super::directory_error::DirectoryError;
use super::verify::cost_of;
use super::{
    ApiKey, CertificateIndex, Factor, Identity, Login, Mapping, OAuthClient, OAuthClientMatch, PreviousKey, Tenant,
    TenantRecord,
};
use crate::events::Webhook;
use crate::tokens::IssuerMatch;

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
    /// SHA-256 of the text that it was found by.
    pub digest: [u8; 32],
    /// Where that is the old key of a rotation: what is said of it.
    pub previous: Option<PreviousKey>,
}

/// Where something was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// In the configuration, whose operator sees all tenants.
    Declared,
    /// Through the API, by somebody who may see one tenant alone.
    Stored,
}

/// Whom a bare name means.
#[derive(Clone, Debug)]
struct Named {
    /// None: more than one tenant has it, and it does not resolve without its tenant.
    login: Option<LoginMatch>,
    origin: Origin,
}

/// A mapping rule, and whom it makes of a name.
#[derive(Clone, Debug)]
struct Rule {
    tenant: Arc<Tenant>,
    mapping: Mapping,
    identity: Arc<Identity>,
}

impl Rule {
    fn map(&self, name: &str) -> Option<LoginMatch> {
        let login = Arc::new(self.mapping.login(name)?);
        Some(LoginMatch { tenant: self.tenant.clone(), identity: self.identity.clone(), login })
    }
}

/// One tenant with what is looked up inside it.
#[derive(Debug)]
struct Household {
    tenant: Arc<Tenant>,
    identities: HashMap<Arc<str>, Arc<Identity>>,
    logins: HashMap<Arc<str>, LoginMatch>,
    /// In the order of the configuration, and behind those the ones that were declared through the API.
    mappings: Vec<Rule>,
    /// How many of them the configuration declares.
    declared: usize,
}

impl Household {
    fn of(tenant: Tenant) -> Self {
        let (identities, logins) = (HashMap::new(), HashMap::new());
        Self { tenant: Arc::new(tenant), identities, logins, mappings: Vec::new(), declared: 0 }
    }

    /// What the first rule that knows the name makes of it.
    fn map(&self, name: &str) -> Option<LoginMatch> {
        self.mappings.iter().find_map(|rule| rule.map(name))
    }

    /// The same of the configuration's alone.
    fn map_declared(&self, name: &str) -> Option<LoginMatch> {
        self.mappings.iter().take(self.declared).find_map(|rule| rule.map(name))
    }
}

/// Everybody who is known, looked up by login or key. A lookup is one or two steps in a hash map, so that requests
/// that authenticate by key cost next to nothing here.
#[derive(Debug, Default)]
pub struct Directory {
    /// The tenants' ids, in the order of the configuration.
    order: Vec<Arc<str>>,
    households: HashMap<Arc<str>, Household>,
    /// Usernames over all tenants.
    usernames: HashMap<Arc<str>, Named>,
    /// API keys by the first eight bytes of their hash; see [`Directory::find_api_key`].
    keys: HashMap<[u8; 8], Vec<KeyMatch>>,
    /// The same by their ids, which are unique over the gateway.
    key_ids: HashMap<Arc<str>, KeyMatch>,
    /// The rules that were declared through the API, of all tenants, the oldest first.
    rules: Vec<Rule>,
    /// Applications that act for people, by id.
    applications: HashMap<Arc<str>, OAuthClientMatch>,
    /// The issuers of tokens by their URLs: tenants may share one.
    issuers: HashMap<Arc<str>, Vec<IssuerMatch>>,
    /// Where the events of all tenants are posted to.
    webhooks: Vec<Webhook>,
    /// Logins by the client certificates that they take.
    pub(crate) clients: CertificateIndex,
    /// What the configuration declares.
    declared: Arc<[TenantRecord]>,
    /// What was declared through the API.
    objects: Objects,
}

impl Directory {
    /// Of these tenants. Fails where an API key (by id or hash), a tenant, an identity of a tenant or a username of a
    /// tenant stands twice, or where a login or key names an identity that its tenant does not have.
    pub fn new(tenants: Vec<TenantRecord>) -> Result<Self, DirectoryError> {
        Self::declared_by(tenants.into())
    }

    fn declared_by(tenants: Arc<[TenantRecord]>) -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        for record in tenants.iter() {
            directory.add(record.clone())?;
        }
        directory.declared = tenants;
        Ok(directory)
    }

    fn add(&mut self, record: TenantRecord) -> Result<(), DirectoryError> {
        let id = record.tenant.id.clone();
        self.add_tenant(record.tenant)?;
        for identity in record.identities {
            self.add_identity(&id, identity)?;
        }
        for login in record.logins {
            self.add_login(&id, login, Origin::Declared)?;
        }
        for mapping in record.mappings {
            self.add_mapping(&id, mapping, Origin::Declared)?;
        }
        for key in record.api_keys {
            self.add_api_key(&id, key)?;
        }
        for client in record.oauth_clients {
            self.add_application(&id, client)?;
        }
        for issuer in record.issuers {
            let found = IssuerMatch { tenant: self.household(&id)?.tenant.clone(), issuer: Arc::new(issuer) };
            self.issuers.entry(found.issuer.url.clone()).or_default().push(found);
        }
        for webhook in record.webhooks {
            self.add_webhook(&id, webhook)?;
        }
        Ok(())
    }

    fn add_webhook(&mut self, tenant: &str, webhook: Webhook) -> Result<(), DirectoryError> {
        self.household(tenant)?;
        if self.webhooks.iter().any(|one| *one.tenant == *tenant && one.id == webhook.id) {
            let webhook = webhook.id.to_string();
            return Err(DirectoryError::DuplicateWebhook { tenant: tenant.to_owned(), webhook });
        }
        self.webhooks.push(webhook);
        Ok(())
    }

    /// Where the events of all tenants are posted to.
    pub(crate) fn webhooks(&self) -> &[Webhook] {
        &self.webhooks
    }

    fn add_tenant(&mut self, tenant: Tenant) -> Result<(), DirectoryError> {
        let id = tenant.id.clone();
        if self.households.contains_key(&id) {
            return Err(DirectoryError::DuplicateTenant { tenant: id.to_string() });
        }
        self.order.push(id.clone());
        self.households.insert(id, Household::of(tenant));
        Ok(())
    }

    fn household(&mut self, tenant: &str) -> Result<&mut Household, DirectoryError> {
        let missing = || DirectoryError::NoTenant { tenant: tenant.to_owned() };
        self.households.get_mut(tenant).ok_or_else(missing)
    }

    fn add_identity(&mut self, tenant: &str, identity: Identity) -> Result<(), DirectoryError> {
        let identities = &mut self.household(tenant)?.identities;
        if identities.contains_key(&identity.id) {
            let identity = identity.id.to_string();
            return Err(DirectoryError::DuplicateIdentity { tenant: tenant.to_owned(), identity });
        }
        identities.insert(identity.id.clone(), Arc::new(identity));
        Ok(())
    }

    fn add_login(&mut self, tenant: &str, login: Login, origin: Origin) -> Result<(), DirectoryError> {
        let household = self.household(tenant)?;
        let (tenant, login) = (household.tenant.clone(), Arc::new(login));
        let Some(identity) = household.identities.get(&login.identity).cloned() else {
            return Err(DirectoryError::LoginWithoutIdentity {
                tenant: tenant.id.to_string(),
                username: login.username.to_string(),
                identity: login.identity.to_string(),
            });
        };
        if login.require.names(Factor::Totp) && login.totp_secret.is_none() {
            let login = login.username.to_string();
            return Err(DirectoryError::CodeWithoutSecret { tenant: tenant.id.to_string(), login });
        }
        if household.logins.contains_key(&login.username) {
            let username = login.username.to_string();
            return Err(DirectoryError::DuplicateLogin { tenant: tenant.id.to_string(), username });
        }
        let found = LoginMatch { tenant, identity, login: login.clone() };
        household.logins.insert(login.username.clone(), found.clone());
        let name = self.usernames.entry(login.username.clone());
        match origin {
            // The second tenant with a name makes it ambiguous, for both.
            Origin::Declared => {
                name.and_modify(|one| one.login = None).or_insert_with(|| Named { login: Some(found.clone()), origin })
            }
            // Nobody takes another tenant's name away by declaring it, too: who came first keeps it.
            Origin::Stored => name.or_insert_with(|| Named { login: Some(found.clone()), origin }),
        };
        self.clients.add(&found, origin != Origin::Declared);
        Ok(())
    }

    fn add_mapping(&mut self, tenant: &str, mapping: Mapping, origin: Origin) -> Result<(), DirectoryError> {
        let household = self.household(tenant)?;
        let (tenant, name) = (tenant.to_owned(), mapping.id.to_string());
        let Some(identity) = household.identities.get(&mapping.identity).cloned() else {
            let identity = mapping.identity.to_string();
            return Err(DirectoryError::MappingWithoutIdentity { tenant, mapping: name, identity });
        };
        if mapping.require.names(Factor::Totp) {
            return Err(DirectoryError::CodeWithoutSecret { tenant, login: name });
        }
        if household.mappings.iter().any(|rule| rule.mapping.id == mapping.id) {
            return Err(DirectoryError::DuplicateMapping { tenant, mapping: name });
        }
        let rule = Rule { tenant: household.tenant.clone(), mapping, identity };
        household.mappings.push(rule.clone());
        match origin {
            Origin::Declared => household.declared += 1,
            Origin::Stored => self.rules.push(rule),
        }
        Ok(())
    }

    /// One name space with the keys, whose ids are client ids, too.
    fn add_application(&mut self, tenant: &str, client: OAuthClient) -> Result<(), DirectoryError> {
        if self.takes_key_id(&client.id) {
            return Err(DirectoryError::DuplicateApiKey { key: client.id.to_string() });
        }
        let found = OAuthClientMatch { tenant: self.household(tenant)?.tenant.clone(), client: Arc::new(client) };
        self.applications.insert(found.client.id.clone(), found);
        Ok(())
    }

    /// Whether an API key or an application of any tenant has this id.
    pub fn takes_key_id(&self, id: &str) -> bool {
        self.key_ids.contains_key(id) || self.applications.contains_key(id)
    }

    fn add_api_key(&mut self, tenant: &str, key: ApiKey) -> Result<(), DirectoryError> {
        let household = self.household(tenant)?;
        let (tenant, key) = (household.tenant.clone(), Arc::new(key));
        let Some(identity) = household.identities.get(&key.identity).cloned() else {
            return Err(DirectoryError::ApiKeyWithoutIdentity {
                tenant: tenant.id.to_string(),
                key: key.id.to_string(),
                identity: key.identity.to_string(),
            });
        };
        if self.takes_key_id(&key.id) {
            return Err(DirectoryError::DuplicateApiKey { key: key.id.to_string() });
        }
        let found = KeyMatch { tenant, identity, key: key.clone(), digest: key.key_hash, previous: None };
        let old = key.previous.clone();
        let old = old.map(|old| KeyMatch { digest: old.key_hash, previous: Some(old), ..found.clone() });
        // The newest first: the old one of a rotation is found, too, while it counts.
        let all: Vec<KeyMatch> = [Some(found.clone()), old].into_iter().flatten().collect();
        if let Some(other) = all.iter().find_map(|one| self.find_api_key(&one.digest)) {
            let other = other.key.id.to_string();
            return Err(DirectoryError::SharedKeyHash { key: key.id.to_string(), other });
        }
        self.key_ids.insert(key.id.clone(), found);
        for one in all {
            self.keys.entry(index_of(&one.digest)).or_default().push(one);
        }
        Ok(())
    }

    /// The login of this name: an exact username of one tenant wins, else `name@tenant`, split at the last `@`
    /// (SEMANTICS, "Names and views"). A bare name that several tenants have does not resolve. Where there is no such
    /// login the rules are asked, in the same order: a tenant that is named comes first, and a whole name that rules of
    /// several tenants know does not resolve. What was declared through the API takes no bare name away from anybody: there
    /// the configuration comes first, then what is older.
    pub fn find_login(&self, name: &str) -> Option<LoginMatch> {
        let exact = self.usernames.get(name);
        if let Some(Named { login: Some(exact), origin }) = exact {
            return match origin {
                Origin::Declared => Some(exact.clone()),
                Origin::Stored => self.unless_declared(name, exact),
            };
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
        let mut made = self.order.iter().filter_map(|id| self.households.get(id)?.map_declared(name));
        match (made.next(), made.next()) {
            (one, None) => one.or_else(|| self.rules.iter().find_map(|rule| rule.map(name))),
            // Several know it; nobody can say which of them is meant.
            (_, Some(_)) => None,
        }
    }

    /// A login that was declared through the API, where no rule of another tenant's that the configuration declares knows its name.
    fn unless_declared(&self, name: &str, exact: &LoginMatch) -> Option<LoginMatch> {
        let others = self.order.iter().filter(|id| **id != exact.tenant.id);
        let mut declared = others.filter_map(|id| self.households.get(id)?.map_declared(name));
        match (declared.next(), declared.next()) {
            (one, None) => one.or_else(|| Some(exact.clone())),
            (_, Some(_)) => None,
        }
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
        candidates.iter().find(|found| bool::from(found.digest.ct_eq(hash))).cloned()
    }

    /// The application that acts for people, of this id.
    pub fn find_oauth_client(&self, id: &str) -> Option<OAuthClientMatch> {
        self.applications.get(id).cloned()
    }

    /// The issuers of this URL, each of a tenant.
    pub fn issuers(&self, url: &str) -> &[IssuerMatch] {
        self.issuers.get(url).map_or(&[], Vec::as_slice)
    }

    /// The API key of a tenant with this id, by its newest text. Its expiry is not looked at here.
    pub fn api_key(&self, tenant: &str, id: &str) -> Option<KeyMatch> {
        self.key_ids.get(id).filter(|found| *found.tenant.id == *tenant).cloned()
    }

    /// All API keys, in no order; one that was rotated stands here twice while its old text counts.
    pub fn api_keys(&self) -> impl Iterator<Item = &KeyMatch> {
        self.keys.values().flatten()
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

    /// All logins, in no order.
    pub fn logins(&self) -> impl Iterator<Item = &LoginMatch> {
        self.households.values().flat_map(|household| household.logins.values())
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

    /// All identities of a tenant, by their ids.
    pub fn identities(&self, tenant: &str) -> Vec<&Arc<Identity>> {
        let household = self.households.get(tenant);
        let mut all: Vec<_> = household.into_iter().flat_map(|household| household.identities.values()).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
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
mod tests;
