//! `[[tenant]]`: who is there: identities, the logins and keys mapped onto them, and what belongs to the tenant.

pub mod api_key;
pub mod certificates;
pub mod identity;
pub mod issuer;
pub mod login;
pub mod mapping;
pub mod mount;
pub mod oauth_client;
mod overlaps;
pub mod policy;
pub mod remote;
pub mod route;
pub mod schedule;
pub mod webhook;

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::identity::{Login, Protocol, Tenant, TenantRecord};

use super::ftps::LoginRules;
use super::reader::{Parsed, Section, nearest};
use super::report::{Located, Report, Spot};
use super::value;
use crate::client_certificates::handshake::Asked;

/// What the tables of a tenant may refer to.
pub struct Known<'k> {
    /// The tenant's id.
    pub tenant: &'k str,
    /// The names of all storages.
    pub storages: &'k BTreeSet<String>,
    /// The ids of the tenant's identities.
    pub identities: BTreeSet<String>,
    /// The names of the tenant's remotes.
    pub remotes: BTreeSet<String>,
    /// Whether webhooks may go to private addresses.
    pub private_webhooks: bool,
    /// Whether issuers may be at private addresses.
    pub private_issuers: bool,
    /// The API's URL, where it is set.
    pub public_url: Option<&'k str>,
    /// Whether there is no `[api]`.
    pub no_api: bool,
    /// Whether the tenant believes OpenSSH user certificates.
    pub certificates: bool,
    /// Whether the tenant has a CA of client certificates.
    pub client_ca: bool,
    /// Whether clients are asked for one.
    pub asked: Asking,
}

impl Known<'_> {
    /// The storage of that name, or a problem.
    pub fn storage(&self, section: &Section<'_>, name: Located<String>) -> Option<String> {
        missing(section.report(), "storage", "[[storage]]", self.storages, name)
    }

    /// The identity of that id, or a problem.
    pub fn identity(&self, section: &Section<'_>, id: Located<String>) -> Option<String> {
        missing(section.report(), "identity of this tenant", "[[tenant.identity]]", &self.identities, id)
    }

    /// A place that files are moved from or to: `remote:/path`, or a path of this gateway.
    pub fn endpoint(&self, text: &str) -> Parsed<()> {
        let path = match text.split_once(':') {
            None => text,
            Some((remote, path)) => {
                if !self.remotes.contains(remote) {
                    return Err(unknown("remote of this tenant", "[[tenant.remote]]", &self.remotes, remote));
                }
                path
            }
        };
        value::path_glob(path).map(|_| ())
    }
}

fn unknown(what: &str, table: &str, known: &BTreeSet<String>, name: &str) -> String {
    let hint = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("add it under {table}"),
    };
    format!("there is no {what} `{name}`; {hint}")
}

fn missing(
    report: &Report,
    what: &str,
    table: &str,
    known: &BTreeSet<String>,
    name: Located<String>,
) -> Option<String> {
    if known.contains(&name.value) {
        return Some(name.value);
    }
    report.error(&name.spot, unknown(what, table, known, &name.value));
    None
}

/// Whether the listeners that are there ask clients for a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// `[ftps]`.
    pub ftps: Option<Asked>,
    /// `[api]`.
    pub api: Option<Asked>,
}

impl Asking {
    /// By which protocols a login cannot show its certificates, and the key that says so.
    pub fn not_asking(self, protocols: &[Protocol]) -> Option<&'static str> {
        [(Protocol::Ftps, self.ftps, "ftps.client_certificates"), (Protocol::Api, self.api, "api.client_certificates")]
            .into_iter()
            .find(|(protocol, asked, _)| *asked == Some(Asked::Off) && protocols.contains(protocol))
            .map(|(_, _, key)| key)
    }

    fn requires(self) -> bool {
        [self.ftps, self.api].contains(&Some(Asked::Required))
    }
}

/// One tenant as the file declares it.
pub struct Declared {
    /// The tenant with everybody in it.
    pub record: TenantRecord,
    /// The rules of its logins that have some of their own, by username.
    pub ftps: Vec<(String, LoginRules)>,
    /// Where each login stands.
    login_spots: Vec<Spot>,
    /// Where each mapping stands.
    mapping_spots: Vec<Spot>,
}

/// What the rest of the file says that tenants depend on.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The names of all storages.
    pub storages: &'a BTreeSet<String>,
    /// Whether webhooks may go to private addresses.
    pub private_webhooks: bool,
    /// Whether issuers may be at private addresses.
    pub private_issuers: bool,
    /// The API's URL, where it is set.
    pub public_url: Option<&'a str>,
    /// Who asks for certificates.
    pub asked: Asking,
}

/// Reads all tenants.
pub fn read(root: &Section<'_>, around: Around<'_>) -> Vec<Declared> {
    let sections = root.tables("tenant");
    if sections.is_empty() {
        root.report().warning(
            &Spot { key: "tenant".to_owned(), offset: 0 },
            "no tenant is declared, so nobody can log in; add [[tenant]]",
        );
    }
    let tenants: Vec<Declared> = sections.iter().map(|s| read_one(s, around)).collect();
    check_usernames(root.report(), &tenants);
    overlaps::check(root.report(), &tenants);
    tenants
}

fn read_one(section: &Section<'_>, around: Around<'_>) -> Declared {
    let Around { storages, private_webhooks, private_issuers, public_url, asked } = around;
    let report = section.report();
    let id = section.require("id", section.text("id", value::slug));
    if let Some(id) = &id {
        report.claim("tenant", "", &id.value, &id.spot);
    }
    let id = id.map(|f| f.value).unwrap_or_default();
    let quota = section.text_or_empty("quota", value::size).map(|f| f.value);
    let (certificates, has_client_ca) = certificates::read(section);
    let mut known = Known {
        tenant: &id,
        storages,
        identities: BTreeSet::new(),
        remotes: BTreeSet::new(),
        private_webhooks,
        private_issuers,
        public_url,
        no_api: asked.api.is_none(),
        certificates: !certificates.authorities.is_empty(),
        client_ca: has_client_ca,
        asked,
    };
    let mount_tables = section.tables("mount");
    let mounts: Vec<_> = mount_tables.iter().filter_map(|s| mount::read(s, &known)).collect();
    // A mount with an error of its own may have been the one at `/`: then its error is enough.
    if mounts.len() == mount_tables.len() && !mounts.iter().any(|m| m.at.is_root()) {
        report.error(&section.spot(), "this tenant has no mount at \"/\"; add [[tenant.mount]] with at = \"/\"");
    }
    let mut identities = Vec::new();
    for table in section.tables("identity") {
        if let Some(identity) = identity::read(&table, &known) {
            known.identities.insert(identity.id.to_string());
            identities.push(identity);
        } else if let Some(found) = table.text("id", |text| Ok(text.to_owned())) {
            known.identities.insert(found.value);
        }
    }
    for table in section.tables("remote") {
        let name = remote::read(&table, &known);
        known.remotes.extend(name);
    }
    let known = known;
    let (mut logins, mut login_spots, mut ftps) = (Vec::new(), Vec::new(), Vec::new());
    for (login, spot, rules) in section.tables("login").iter().filter_map(|s| login::read(s, &known)) {
        ftps.extend(rules.map(|rules| (login.username.to_string(), rules)));
        logins.push(login);
        login_spots.push(spot);
    }
    if asked.requires() && !known.client_ca && logins.iter().all(|login: &Login| login.client_certificates.is_empty()) {
        report.warning(
            &section.spot(),
            "knows no client certificates, and a listener requires them; nobody of this tenant can come there; add `client_ca`",
        );
    }
    let (mappings, mapping_spots) =
        section.tables("mapping").iter().filter_map(|s| Some((mapping::read(s, &known)?, s.spot()))).unzip();
    let api_keys = section.tables("api_key").iter().filter_map(|s| api_key::read(s, &known)).collect();
    let issuers = section.tables("issuer").iter().filter_map(|s| issuer::read(s, &known)).collect();
    let oauth_clients = section.tables("oauth_client").iter().filter_map(oauth_client::read).collect();
    let webhooks = section.tables("webhook").iter().filter_map(|s| webhook::read(s, &known)).collect();
    section.tables("route").iter().for_each(|s| route::read(s, &known));
    section.tables("schedule").iter().for_each(|s| schedule::read(s, &known));
    section.tables("policy").iter().for_each(policy::read);
    let classifications = section
        .texts("classifications", value::slug)
        .map_or_else(Tenant::default_classifications, |f| f.value.into_iter().map(|word| word.value).collect());
    let tenant = Tenant { id: id.as_str().into(), quota, mounts, certificates, classifications };
    let record = TenantRecord { tenant, identities, logins, mappings, api_keys, issuers, oauth_clients, webhooks };
    Declared { record, ftps, login_spots, mapping_spots }
}

/// A bare username must mean one login of the whole gateway (SEMANTICS, "Names and views"), and a username that ends
/// in `@` and another tenant's id must not hide that tenant's login.
fn check_usernames(report: &Report, tenants: &[Declared]) {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    let names =
        |declared: &Declared| declared.record.logins.iter().map(|l| l.username.to_string()).collect::<BTreeSet<_>>();
    let by_tenant: BTreeMap<&str, BTreeSet<String>> =
        tenants.iter().map(|t| (&*t.record.tenant.id, names(t))).collect();
    for declared in tenants {
        let tenant = &*declared.record.tenant.id;
        for (login, spot) in declared.record.logins.iter().zip(&declared.login_spots) {
            let name = &*login.username;
            match first.get(name) {
                Some(other) if *other != tenant => report.error(
                    spot,
                    format!("tenant `{other}` has a login `{name}` too; write \"{name}@{other}\" and \"{name}@{tenant}\", or rename one"),
                ),
                _ => {
                    first.insert(name, tenant);
                }
            }
            if let Some((bare, other)) = name.rsplit_once('@')
                && other != tenant
                && by_tenant.get(other).is_some_and(|names| names.contains(bare))
            {
                report.error(
                    spot,
                    format!("`{name}` also means the login `{bare}` of tenant `{other}`; rename one of them"),
                );
            }
        }
    }
}
