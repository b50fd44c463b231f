//! A tenant, as it is declared.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::{Fault, Faults};
use crate::identity::texts;
use crate::identity::{CertificateRules, Mount, Tenant};

/// Mounts or classifications of a tenant at most.
const MAX_LIST: usize = 100;

/// A tenant: its own tree, its own audit chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    /// Bytes that its files may take together; none: unlimited.
    #[serde(default)]
    pub quota: Option<u64>,
    /// Where its content is placed; one of them at `/`.
    pub mounts: Vec<MountSpec>,
    /// The words by which its files may be classified; none: the usual ones.
    #[serde(default)]
    pub classifications: Option<Vec<String>>,
}

/// Where content below a path is placed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountSpec {
    /// The path in the tenant's tree.
    pub at: String,
    /// The name of a storage of the configuration.
    pub storage: String,
    /// Folder or key prefix inside the storage; none: the tenant's id.
    #[serde(default)]
    pub path: Option<String>,
}

impl TenantSpec {
    /// The tenant with this id, or all that is wrong with it. `storages`: the names of those that the gateway has.
    pub fn tenant(&self, id: &str, storages: &BTreeSet<String>) -> Result<Tenant, Vec<Fault>> {
        let mut faults = Faults::default();
        let slug = faults.take("id", texts::slug(id));
        let quota = faults.bytes("quota", self.quota);
        if self.mounts.len() > MAX_LIST {
            faults.note("mounts", format!("has more than {MAX_LIST} entries"));
        }
        let (mut seen, mut mounts, mut right) = (HashSet::new(), Vec::new(), true);
        for (place, mount) in self.mounts.iter().take(MAX_LIST).enumerate() {
            let field = |name: &str| format!("mounts[{place}].{name}");
            let at = faults.take(&field("at"), texts::tree_path(&mount.at));
            let path = match mount.path.as_deref().filter(|path| !path.is_empty()) {
                Some(path) => faults.take(&field("path"), texts::storage_path(path)),
                None => Some(id.to_owned()),
            };
            if !storages.contains(&mount.storage) {
                faults.note(field("storage"), "there is no storage of this name; take one of the configuration's");
            }
            right &= at.is_some();
            if let (Some(at), Some(path)) = (at, path) {
                if !seen.insert(at.as_str().to_owned()) {
                    faults.note(field("at"), format!("`{}` stands twice among the mounts", at.as_str()));
                }
                mounts.push(Mount { at, storage: mount.storage.clone(), path });
            }
        }
        // One with an error of its own may have been the one at `/`: then its error is enough.
        if right && !seen.contains("/") {
            faults.note("mounts", "there is no mount at \"/\"; add one");
        }
        let classifications = match &self.classifications {
            None => Tenant::default_classifications(),
            Some(words) if words.len() > MAX_LIST => {
                faults.note("classifications", format!("has more than {MAX_LIST} entries"));
                Vec::new()
            }
            Some(words) => faults.list("classifications", words, texts::slug),
        };
        faults.finish(slug.map(|id| Tenant {
            id: id.into(),
            quota,
            mounts,
            certificates: CertificateRules::default(),
            classifications,
        }))
    }

    /// How a tenant would be declared, but for its certificates.
    pub fn of(tenant: &Tenant) -> Self {
        let mount = |mount: &Mount| MountSpec {
            at: mount.at.as_str().to_owned(),
            storage: mount.storage.clone(),
            path: Some(mount.path.clone()),
        };
        Self {
            quota: tenant.quota,
            mounts: tenant.mounts.iter().map(mount).collect(),
            classifications: Some(tenant.classifications.clone()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fields(json: serde_json::Value) -> Vec<String> {
        let spec: TenantSpec = serde_json::from_value(json).unwrap();
        let storages = BTreeSet::from(["local".to_owned()]);
        let faults = spec.tenant("acme", &storages).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_tenant_has_a_mount_at_its_root_in_a_storage_that_is_there() {
        let mount = |at: &str| serde_json::json!({ "at": at, "storage": "local" });
        assert!(fields(serde_json::json!({ "mounts": [mount("/"), mount("/far")] })).is_empty());
        assert_eq!(fields(serde_json::json!({ "mounts": [] })), ["mounts"]);
        assert_eq!(fields(serde_json::json!({ "mounts": [mount("/far")] })), ["mounts"]);
        assert_eq!(fields(serde_json::json!({ "mounts": [mount("/"), mount("/")] })), ["mounts[1].at"]);
        let wrong = serde_json::json!({ "quota": 0, "mounts": [
            { "at": "x", "storage": "far" }, { "at": "/", "storage": "local", "path": "../x" },
        ], "classifications": ["Top Secret"] });
        let expected = ["quota", "mounts[0].at", "mounts[0].storage", "mounts[1].path", "classifications[0]"];
        assert_eq!(fields(wrong), expected);
    }
}
