//! The directory of a configuration together with what was declared through the API. What the configuration declares wins;
//! one object that cannot be used is left out and reported, and keeps nobody else from being known.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use time::OffsetDateTime;

use super::{Directory, KeyMatch, LoginMatch, Origin, Rule};
use crate::identity::spec::{ApiKeySpec, Fault, IdentitySpec, LoginSpec, MappingSpec, TenantSpec, WebhookSpec};
use crate::identity::{DirectoryError, Protocol, Scope, ScopeSet, TenantRecord};
use crate::records::{ObjectKey, ObjectKind, StoredObject};

/// An object that is in the ledger and does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Which one.
    pub key: ObjectKey,
    /// Why, and what to do about it.
    pub why: String,
}

/// What was declared through the API, as a directory has it.
#[derive(Debug)]
pub(super) struct Objects {
    /// How many changes there were; -1: they were not read yet.
    generation: i64,
    stored: Arc<[StoredObject]>,
    left_out: Vec<LeftOut>,
}

impl Default for Objects {
    fn default() -> Self {
        Self { generation: -1, stored: Arc::new([]), left_out: Vec::new() }
    }
}

/// Why an object does not count, where the configuration declares one of the same name.
pub(crate) const SHADOWED: &str =
    "the configuration declares one of this name, and that one counts; remove this one, or rename one of them";

impl Directory {
    /// Of what the configuration declares and of the objects that were declared through the API, as they are after so many
    /// changes. Fails for the configuration alone, as [`Directory::new`] does. `storages`: those that there are.
    pub(crate) fn of(
        declared: Arc<[TenantRecord]>,
        generation: i64,
        stored: Arc<[StoredObject]>,
        storages: &BTreeSet<String>,
    ) -> Result<Self, DirectoryError> {
        let mut directory = Self::declared_by(declared)?;
        // What is named comes before what names it; of one kind the oldest first, on every node alike.
        let mut order: Vec<(usize, &StoredObject)> = stored.iter().map(|object| (rank(object), object)).collect();
        order.sort_by(|(a, one), (b, other)| (a, one.created_at, &one.key).cmp(&(b, other.created_at, &other.key)));
        let mut left_out = Vec::new();
        for (_, object) in order {
            if let Err(why) = directory.admit(object, storages) {
                left_out.push(LeftOut { key: object.key.clone(), why });
            }
        }
        directory.objects = Objects { generation, stored, left_out };
        Ok(directory)
    }

    fn admit(&mut self, object: &StoredObject, storages: &BTreeSet<String>) -> Result<(), String> {
        let ObjectKey { tenant, kind, id } = &object.key;
        let added = match ObjectKind::parse(kind) {
            Some(ObjectKind::Tenant) => {
                let made = read::<TenantSpec>(object)?.tenant(id, storages).map_err(listed)?;
                self.add_tenant(made)
            }
            Some(ObjectKind::Identity) => {
                let made = read::<IdentitySpec>(object)?.identity(id).map_err(listed)?;
                self.add_identity(tenant, made)
            }
            Some(ObjectKind::Login) => {
                let made = read::<LoginSpec>(object)?.login(tenant, id).map_err(listed)?;
                self.add_login(tenant, made, Origin::Stored)
            }
            Some(ObjectKind::Mapping) => {
                let made = read::<MappingSpec>(object)?.mapping(id).map_err(listed)?;
                self.add_mapping(tenant, made, Origin::Stored)
            }
            // Settings are nobody who is known.
            Some(ObjectKind::Setting) => Ok(()),
            Some(ObjectKind::ApiKey) => {
                let made = read::<ApiKeySpec>(object)?.api_key(id).map_err(listed)?;
                self.add_api_key(tenant, made)
            }
            Some(ObjectKind::Webhook) => {
                let made = read::<WebhookSpec>(object)?.webhook(tenant, id).map_err(listed)?;
                self.add_webhook(tenant, made)
            }
            None => return Err("is of a kind that this version does not know".to_owned()),
        };
        added.map_err(|error| if self.declares(&object.key) { SHADOWED.to_owned() } else { error.to_string() })
    }

    /// Whether the configuration declares one of this name.
    pub(crate) fn declares(&self, key: &ObjectKey) -> bool {
        let id = &*key.id;
        let Some(record) = self.declared.iter().find(|record| *record.tenant.id == *key.tenant) else { return false };
        match ObjectKind::parse(&key.kind) {
            Some(ObjectKind::Tenant) => true,
            Some(ObjectKind::Identity) => record.identities.iter().any(|one| *one.id == *id),
            Some(ObjectKind::Login) => record.logins.iter().any(|one| *one.username == *id),
            Some(ObjectKind::Mapping) => record.mappings.iter().any(|one| *one.id == *id),
            Some(ObjectKind::ApiKey) => record.api_keys.iter().any(|one| *one.id == *id),
            Some(ObjectKind::Webhook) => record.webhooks.iter().any(|one| *one.id == *id),
            Some(ObjectKind::Setting) | None => false,
        }
    }

    /// Whether an administrator of the tenant has a way in: the API is administered over the API alone.
    pub(crate) fn lets_in_an_admin(&self, tenant: &str) -> bool {
        let Some(household) = self.households.get(tenant) else { return false };
        let manages = |scopes: ScopeSet| scopes.allows(Scope::Admin);
        // A password is typed into the page of an application alone.
        let pages = self.applications.values().any(|found| *found.tenant.id == *tenant);
        let comes = |found: &LoginMatch| pages || !found.login.client_certificates.is_empty();
        let login = |found: &LoginMatch| {
            manages(found.identity.scopes) && found.login.protocols.contains(&Protocol::Api) && comes(found)
        };
        let rule = |rule: &Rule| manages(rule.identity.scopes) && rule.mapping.protocols.contains(&Protocol::Api);
        let now = OffsetDateTime::now_utc();
        let key = |found: &KeyMatch| {
            *found.tenant.id == *tenant
                && manages(found.identity.scopes.narrowed(found.key.scopes))
                && found.key.expires.is_none_or(|end| end > now)
        };
        household.logins.values().any(login)
            || household.mappings.iter().any(rule)
            || self.keys.values().flatten().any(key)
    }

    /// What the configuration declares.
    pub(crate) const fn declared(&self) -> &Arc<[TenantRecord]> {
        &self.declared
    }

    /// After how many changes of objects this is how things are; -1: they were not read yet.
    pub(crate) const fn generation(&self) -> i64 {
        self.objects.generation
    }

    /// Everything that was declared through the API, by tenant, kind and id; also what does not count.
    pub(crate) const fn objects(&self) -> &Arc<[StoredObject]> {
        &self.objects.stored
    }

    /// What was declared through the API and does not count.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.objects.left_out
    }

    /// Why an object does not count; none: it does.
    pub(crate) fn why_left_out(&self, key: &ObjectKey) -> Option<&str> {
        self.left_out().iter().find(|left| left.key == *key).map(|left| &*left.why)
    }
}

fn rank(object: &StoredObject) -> usize {
    ObjectKind::ALL.iter().position(|kind| kind.as_str() == object.key.kind).unwrap_or(ObjectKind::ALL.len())
}

/// The body of an object. What is wrong is told without its text, which may hold secrets.
pub(crate) fn read<T: DeserializeOwned>(object: &StoredObject) -> Result<T, String> {
    serde_json::from_str(&object.body)
        .map_err(|error| format!("its body cannot be read (column {}); remove it and declare it anew", error.column()))
}

fn listed(faults: Vec<Fault>) -> String {
    faults.into_iter().map(|fault| format!("{}: {}", fault.field, fault.detail)).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::record;
    use super::*;
    use crate::identity::hash_key;

    fn object(tenant: &str, kind: &str, id: &str, age: i64, body: &str) -> StoredObject {
        let key = ObjectKey { tenant: tenant.into(), kind: kind.into(), id: id.into() };
        StoredObject { key, version: 1, body: body.into(), created_at: age, changed_at: age }
    }

    fn directory(declared: Vec<TenantRecord>, objects: Vec<StoredObject>) -> Directory {
        let storages = BTreeSet::from(["local".to_owned()]);
        Directory::of(declared.into(), 1, objects.into(), &storages).unwrap()
    }

    fn found(directory: &Directory, name: &str) -> Option<String> {
        directory.find_login(name).map(|m| format!("{}/{}/{}", m.tenant.id, m.login.username, m.identity.id))
    }

    fn left(directory: &Directory) -> Vec<&str> {
        directory.left_out().iter().map(|left| &*left.key.id).collect()
    }

    const APP: &str = r#"{"identity":"app"}"#;

    #[test]
    fn what_is_declared_through_the_api_is_known() {
        let objects = vec![
            object("acme", "identity", "new", 9, r#"{"scopes":["files:read"],"view":[]}"#),
            object("acme", "login", "edi09", 1, r#"{"identity":"new"}"#),
            object("acme", "mapping", "branches", 1, r#"{"identity":"app","username":"branch-[0-9]+"}"#),
            object("newco", "tenant", "newco", 9, r#"{"mounts":[{"at":"/","storage":"local"}]}"#),
            object("newco", "identity", "app", 9, "{}"),
            object("newco", "login", "edi09", 2, APP),
            object("", "setting", "limits", 1, "{}"),
        ];
        let directory = directory(vec![record("acme", &["edi01"], &[("k", "cwk_a")])], objects);
        assert_eq!(directory.left_out(), []);
        assert_eq!(found(&directory, "edi01").as_deref(), Some("acme/edi01/app"));
        assert_eq!(found(&directory, "edi09").as_deref(), Some("acme/edi09/new"), "the older one");
        assert_eq!(found(&directory, "edi09@newco").as_deref(), Some("newco/edi09/app"));
        assert_eq!(found(&directory, "branch-1").as_deref(), Some("acme/branch-1/app"));
        assert!(directory.find_api_key(&hash_key("cwk_a")).is_some());
        assert_eq!(directory.tenants().map(|t| &*t.id).collect::<Vec<_>>(), ["acme", "newco"]);
    }

    #[test]
    fn the_configuration_wins_and_nobody_loses_a_name() {
        let rule = |id: &str| crate::identity::mapping::tests::mapping(id, "branch-.*", "/", "keys/x").unwrap();
        let mut acme = record("acme", &["edi01"], &[]);
        acme.mappings = vec![rule("branches")];
        let objects = vec![
            object("acme", "login", "edi01", 1, r#"{"identity":"other"}"#),
            object("acme", "identity", "app", 1, "{}"),
            object("globex", "login", "edi01", 1, APP),
            object("globex", "mapping", "all", 1, r#"{"identity":"app","username":".*"}"#),
            object("globex", "login", "branch-9", 1, APP),
            object("acme", "login", "late", 2, APP),
            object("globex", "login", "own", 2, APP),
        ];
        let directory = directory(vec![acme, record("globex", &[], &[])], objects);
        assert_eq!(left(&directory), ["app", "edi01"]);
        assert!(directory.left_out().iter().all(|left| left.why == SHADOWED));
        assert_eq!(found(&directory, "edi01").as_deref(), Some("acme/edi01/app"), "not made ambiguous");
        assert_eq!(found(&directory, "edi01@globex").as_deref(), Some("globex/edi01/app"));
        assert_eq!(found(&directory, "branch-7").as_deref(), Some("acme/branch-7/app"), "nor is a rule's name");
        assert_eq!(found(&directory, "x").as_deref(), Some("globex/x/app"));
        assert_eq!(found(&directory, "branch-9").as_deref(), Some("acme/branch-9/app"), "nor by a login");
        assert_eq!(found(&directory, "branch-9@globex").as_deref(), Some("globex/branch-9/app"));
        assert_eq!(
            found(&directory, "late").as_deref(),
            Some("acme/late/app"),
            "no rule that came through the API takes it"
        );
        assert_eq!(found(&directory, "late@acme").as_deref(), Some("acme/late/app"));
        assert_eq!(found(&directory, "own").as_deref(), Some("globex/own/app"), "its own tenant's rule takes nothing");
        assert_eq!(found(&directory, "edi01@acme").as_deref(), Some("acme/edi01/app"));
    }

    #[test]
    fn what_cannot_be_used_is_left_out_alone() {
        let objects = vec![
            object("acme", "identity", "broken", 1, "{"),
            object("acme", "identity", "newer", 1, r#"{"only_on_sundays":true}"#),
            object("acme", "identity", "wrong", 1, r#"{"scopes":["root"]}"#),
            object("acme", "login", "orphan", 1, r#"{"identity":"broken"}"#),
            object("acme", "login", "good", 1, APP),
            object("nobody", "login", "lost", 1, APP),
            object("acme", "hologram", "x", 1, "{}"),
            object("far", "tenant", "far", 1, r#"{"mounts":[{"at":"/","storage":"far"}]}"#),
        ];
        let directory = directory(vec![record("acme", &["edi01"], &[])], objects);
        assert_eq!(left(&directory), ["far", "broken", "newer", "wrong", "orphan", "lost", "x"]);
        assert!(directory.left_out().iter().all(|left| !left.why.is_empty()));
        assert!(found(&directory, "good").is_some() && found(&directory, "edi01").is_some());
        let key = ObjectKey::new("nobody", ObjectKind::Login, "lost");
        assert!(directory.why_left_out(&key).unwrap().contains("no tenant"));
    }
}
