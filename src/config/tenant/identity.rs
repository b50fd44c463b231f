//! `[[tenant.identity]]`: what every protocol acts as.

use causeway_core::identity::{Identity, Permission, PermissionSet, Scope, ScopeSet, View, ViewEntry};

use super::Known;
use crate::config::reader::Section;
use crate::config::value;

/// The scopes under a key.
pub fn scopes(section: &Section<'_>, key: &'static str) -> ScopeSet {
    let found = section.texts(key, value::word(Scope::ALL, Scope::as_str, "scope"));
    found.map(|f| f.value.into_iter().map(|scope| scope.value).collect()).unwrap_or_default()
}

/// Reads one table; none where it has an error.
pub fn read(section: &Section<'_>, known: &Known<'_>) -> Option<Identity> {
    let id = section.require("id", section.text("id", value::slug));
    let scopes = scopes(section, "scopes");
    let quota = section.text_or_empty("quota", value::size).map(|f| f.value);
    let scope = format!("{}\0{}", known.tenant, id.as_ref().map_or("", |f| &f.value));
    let entries = section.tables("view").iter().filter_map(|entry| view_entry(entry, &scope)).collect();
    let id = id?;
    section.report().claim("identity", known.tenant, &id.value, &id.spot);
    Some(Identity { id: id.value.into(), scopes, quota, view: View::new(entries) })
}

/// One entry of a view. Two with the same `at` would overlap: one of them could never be seen.
fn view_entry(section: &Section<'_>, scope: &str) -> Option<ViewEntry> {
    let at = section.require("at", section.text("at", value::tree_path));
    let path = section.text("path", value::tree_path);
    let all = |text: &str| {
        if text == "*" {
            return Ok(PermissionSet::all());
        }
        let one = value::word(Permission::ALL, Permission::as_str, "permission")(text)?;
        Ok(PermissionSet::NONE.with(one))
    };
    let permissions = section.require("permissions", section.texts("permissions", all));
    let at = at?;
    section.report().claim("a view's entry at", scope, at.value.as_str(), &at.spot);
    let path = path.map_or_else(|| at.value.clone(), |f| f.value);
    let permissions = permissions?.value.into_iter().flat_map(|set| set.value.words().collect::<Vec<_>>()).collect();
    Some(ViewEntry { at: at.value, path, permissions })
}
