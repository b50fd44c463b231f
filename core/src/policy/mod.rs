//! The one decision: may this session do this here? Scope AND view permission (AND, later, the tenant's policies), for
//! every protocol alike. SEMANTICS, "Permissions", says which operation needs what.

use crate::error::{Error, Result};
use crate::identity::{Permission, PermissionSet, Scope, ScopeSet, Session};

/// What the scopes leave of the permissions of a view: `files:read` is needed to see, `files:write` to change.
pub fn effective(permissions: PermissionSet, scopes: ScopeSet) -> PermissionSet {
    permissions
        .words()
        .filter(|permission| match permission {
            Permission::List | Permission::Download => scopes.has(Scope::FilesRead),
            Permission::Upload
            | Permission::Overwrite
            | Permission::Rename
            | Permission::Delete
            | Permission::Mkdir
            | Permission::Attributes => scopes.has(Scope::FilesWrite),
        })
        .collect()
}

/// Fails with `PermissionDenied` unless the permission is among them.
pub fn require(permissions: PermissionSet, needed: Permission) -> Result<()> {
    if permissions.has(needed) { Ok(()) } else { Err(Error::permission_denied(needed.as_str())) }
}

/// Fails with `PermissionDenied` unless one of the two is among them.
pub fn require_either(permissions: PermissionSet, one: Permission, other: Permission) -> Result<()> {
    if permissions.has(other) { Ok(()) } else { require(permissions, one) }
}

/// Fails with `PermissionDenied` unless the session has the scope.
pub fn require_scope(session: &Session, scope: Scope) -> Result<()> {
    if session.scopes.allows(scope) {
        Ok(())
    } else {
        Err(Error::new(
            crate::ErrorKind::PermissionDenied,
            format!("permission denied: this needs the scope `{}`", scope.as_str()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_narrow_permissions() {
        let read = ScopeSet::NONE.with(Scope::FilesRead);
        let left = effective(PermissionSet::all(), read);
        assert!(left.has(Permission::List) && left.has(Permission::Download));
        assert!(require(left, Permission::Upload).is_err());
        assert!(require_either(left, Permission::Upload, Permission::List).is_ok());
        assert!(effective(PermissionSet::all(), ScopeSet::NONE.with(Scope::Admin)).is_empty(), "admin sees no content");
    }
}
