//! An identity, as it is declared.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Fault, Faults};
use crate::identity::texts::{self, Parsed};
use crate::identity::{Identity, Permission, PermissionSet, Scope, View, ViewEntry};

/// Entries of a view at most.
const MAX_VIEW: usize = 1_000;

/// What every protocol acts as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySpec {
    /// What it may do at all.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Bytes that the files it created may take; none: unlimited.
    #[serde(default)]
    pub quota: Option<u64>,
    /// What it sees of the tenant's tree; nothing else exists for it.
    #[serde(default)]
    pub view: Vec<ViewSpec>,
}

/// One entry of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewSpec {
    /// Where the identity sees it.
    pub at: String,
    /// Where it is in the tenant's tree; none: at the same path.
    #[serde(default)]
    pub path: Option<String>,
    /// What may be done at and below it; `*`: everything.
    pub permissions: Vec<String>,
}

/// The permissions of one word.
fn permission(text: &str) -> Parsed<PermissionSet> {
    if text == "*" {
        return Ok(PermissionSet::all());
    }
    let one = texts::word(Permission::ALL, Permission::as_str, "permission", text)?;
    Ok(PermissionSet::NONE.with(one))
}

impl IdentitySpec {
    /// The identity with this id, or all that is wrong with it.
    pub fn identity(&self, id: &str) -> Result<Identity, Vec<Fault>> {
        let mut faults = Faults::default();
        let id = faults.take("id", texts::slug(id));
        let scope = |text: &str| texts::word(Scope::ALL, Scope::as_str, "scope", text);
        let scopes = faults.list("scopes", &self.scopes, scope).into_iter().collect();
        let quota = faults.bytes("quota", self.quota);
        if self.view.len() > MAX_VIEW {
            faults.note("view", format!("has more than {MAX_VIEW} entries"));
        }
        let mut seen = HashSet::new();
        let mut entries = Vec::with_capacity(self.view.len());
        for (place, entry) in self.view.iter().take(MAX_VIEW).enumerate() {
            let field = |name: &str| format!("view[{place}].{name}");
            let at = faults.take(&field("at"), texts::tree_path(&entry.at));
            let path = faults.take(&field("path"), texts::tree_path(entry.path.as_deref().unwrap_or(&entry.at)));
            let sets = faults.list(&field("permissions"), &entry.permissions, permission);
            let permissions = sets.into_iter().flat_map(PermissionSet::words).collect();
            if let (Some(at), Some(path)) = (at, path) {
                // Of two, one could never be seen.
                if !seen.insert(at.as_str().to_owned()) {
                    faults.note(field("at"), format!("`{}` stands twice in this view", at.as_str()));
                }
                entries.push(ViewEntry { at, path, permissions });
            }
        }
        let view = View::new(entries);
        faults.finish(id.map(|id| Identity { id: id.into(), scopes, quota, view }))
    }

    /// How an identity would be declared.
    pub fn of(identity: &Identity) -> Self {
        let entry = |entry: &ViewEntry| ViewSpec {
            at: entry.at.as_str().to_owned(),
            path: Some(entry.path.as_str().to_owned()),
            permissions: entry.permissions.words().map(|word| word.as_str().to_owned()).collect(),
        };
        let mut view: Vec<ViewSpec> = identity.view.entries().iter().map(entry).collect();
        view.sort_by(|a, b| a.at.cmp(&b.at));
        Self {
            scopes: identity.scopes.words().map(|scope| scope.as_str().to_owned()).collect(),
            quota: identity.quota,
            view,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> IdentitySpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_right_is_shown_as_it_was_declared() {
        let declared = spec(serde_json::json!({
            "scopes": ["files:read", "admin"], "quota": 7,
            "view": [{ "at": "/", "path": "/partners", "permissions": ["list", "download"] }],
        }));
        assert_eq!(IdentitySpec::of(&declared.identity("edi").unwrap()), declared);
        let short = spec(serde_json::json!({ "view": [{ "at": "/in", "permissions": ["*"] }] }));
        let made = short.identity("edi").unwrap();
        let entry = &made.view.entries()[0];
        assert_eq!((entry.path.as_str(), entry.permissions), ("/in", PermissionSet::all()));
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let wrong = spec(serde_json::json!({
            "scopes": ["files:read", "root"], "quota": 0,
            "view": [
                { "at": "/", "permissions": ["list"] },
                { "at": "/", "path": "x", "permissions": ["lst"] },
                { "at": "/../x", "permissions": [] },
                { "at": "/", "permissions": [] },
            ],
        }));
        let faults = wrong.identity("No Id").unwrap_err();
        let fields: Vec<&str> = faults.iter().map(|fault| &*fault.field).collect();
        let expected = [
            "id",
            "scopes[1]",
            "quota",
            "view[1].path",
            "view[1].permissions[0]",
            "view[2].at",
            "view[2].path",
            "view[3].at",
        ];
        assert_eq!(fields, expected);
    }
}
