//! What the kinds of objects have in common for who administers them. A new kind is one more `impl` here, its type in
//! [`crate::identity::spec`], and an arm where the directory is made.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::identity::spec::{Fault, IdentitySpec, LimitsSpec, LoginSpec, MappingSpec, TenantSpec, UploadsSpec};
use crate::identity::{Scope, ScopeSet, TenantRecord};
use crate::records::{ObjectKey, ObjectKind};

/// How an object of one kind is declared.
pub trait Spec: Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind.
    const KIND: ObjectKind;

    /// Those that the configuration declares for a tenant, with their ids.
    fn declared(record: &TenantRecord) -> Vec<(String, Self)>;

    /// All that is wrong with it. Whether what it names is there is not looked at.
    fn check(&self, key: &ObjectKey, storages: &BTreeSet<String>) -> Result<(), Vec<Fault>>;

    /// The identity that whoever uses it becomes, where it is a way in.
    fn identity(&self) -> Option<&str>;

    /// The scopes that it gives, where it gives any.
    fn scopes(&self) -> ScopeSet;
}

impl Spec for TenantSpec {
    const KIND: ObjectKind = ObjectKind::Tenant;

    fn declared(record: &TenantRecord) -> Vec<(String, Self)> {
        vec![(record.tenant.id.to_string(), Self::of(&record.tenant))]
    }

    fn check(&self, key: &ObjectKey, storages: &BTreeSet<String>) -> Result<(), Vec<Fault>> {
        self.tenant(&key.id, storages).map(drop)
    }

    fn identity(&self) -> Option<&str> {
        None
    }

    fn scopes(&self) -> ScopeSet {
        ScopeSet::NONE
    }
}

impl Spec for IdentitySpec {
    const KIND: ObjectKind = ObjectKind::Identity;

    fn declared(record: &TenantRecord) -> Vec<(String, Self)> {
        record.identities.iter().map(|identity| (identity.id.to_string(), Self::of(identity))).collect()
    }

    fn check(&self, key: &ObjectKey, _: &BTreeSet<String>) -> Result<(), Vec<Fault>> {
        self.identity(&key.id).map(drop)
    }

    fn identity(&self) -> Option<&str> {
        None
    }

    fn scopes(&self) -> ScopeSet {
        self.scopes.iter().filter_map(|scope| Scope::parse(scope)).collect()
    }
}

impl Spec for LoginSpec {
    const KIND: ObjectKind = ObjectKind::Login;

    fn declared(record: &TenantRecord) -> Vec<(String, Self)> {
        record.logins.iter().map(|login| (login.username.to_string(), Self::of(login))).collect()
    }

    fn check(&self, key: &ObjectKey, _: &BTreeSet<String>) -> Result<(), Vec<Fault>> {
        self.login(&key.tenant, &key.id).map(drop)
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn scopes(&self) -> ScopeSet {
        ScopeSet::NONE
    }
}

impl Spec for MappingSpec {
    const KIND: ObjectKind = ObjectKind::Mapping;

    fn declared(record: &TenantRecord) -> Vec<(String, Self)> {
        record.mappings.iter().map(|mapping| (mapping.id.to_string(), Self::of(mapping))).collect()
    }

    fn check(&self, key: &ObjectKey, _: &BTreeSet<String>) -> Result<(), Vec<Fault>> {
        self.mapping(&key.id).map(drop)
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn scopes(&self) -> ScopeSet {
        ScopeSet::NONE
    }
}

impl Spec for LimitsSpec {
    const KIND: ObjectKind = ObjectKind::Setting;

    /// What the configuration says is no object: it is what counts where none is set.
    fn declared(_: &TenantRecord) -> Vec<(String, Self)> {
        Vec::new()
    }

    fn check(&self, _: &ObjectKey, _: &BTreeSet<String>) -> Result<(), Vec<Fault>> {
        self.faults()
    }

    fn identity(&self) -> Option<&str> {
        None
    }

    fn scopes(&self) -> ScopeSet {
        ScopeSet::NONE
    }
}

impl Spec for UploadsSpec {
    const KIND: ObjectKind = ObjectKind::Setting;

    /// What the configuration says is no object: it is what counts where none is set.
    fn declared(_: &TenantRecord) -> Vec<(String, Self)> {
        Vec::new()
    }

    fn check(&self, _: &ObjectKey, _: &BTreeSet<String>) -> Result<(), Vec<Fault>> {
        self.faults()
    }

    fn identity(&self) -> Option<&str> {
        None
    }

    fn scopes(&self) -> ScopeSet {
        ScopeSet::NONE
    }
}
