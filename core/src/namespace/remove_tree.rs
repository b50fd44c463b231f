//! Removing a folder with everything below it: one switch takes the whole subtree out of the tenant's tree, whatever its
//! size (SEMANTICS, "The tree"). What is in it is purged in the background (`jobs/purge.rs`).

use super::entries::find;
use super::folders::require_below_root;
use super::{Target, not_folder};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Operation;
use crate::gateway::{Inner, Place, locate_place};
use crate::identity::{Permission, ScopeSet, Session, View};
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::{Durability, Lock};
use crate::records::DETACHED;

/// Fails with `PermissionDenied` where an entry of the session's view shows something below the place, and does not allow
/// to delete it there. (A mount point of the view below it has pinned the place already.)
fn require_delete_below(view: &View, scopes: ScopeSet, removed: &VirtualPath) -> Result<()> {
    let below = view.entries().iter().filter(|entry| {
        entry.path.below(removed).is_some_and(|below| !below.is_root())
            && !policy::effective(entry.permissions, scopes).has(Permission::Delete)
    });
    match below.map(|entry| entry.at.as_str()).min() {
        None => Ok(()),
        Some(at) => Err(Error::new(
            ErrorKind::PermissionDenied,
            format!("permission denied: what your view shows at `{at}` is in this folder, and needs `delete` there"),
        )),
    }
}

impl Inner {
    /// See [`crate::Gateway::remove_tree`].
    pub(crate) async fn remove_tree(&self, session: &Session, path: &VirtualPath) -> Result<()> {
        let result = match locate_place(session, path) {
            Ok(place) => self.remove_tree_at(session, &place, path).await,
            Err(error) => Err(error),
        };
        self.recorded(session, Operation::Rmdir, &Target::Path(path.clone()), result).await
    }

    async fn remove_tree_at(&self, session: &Session, place: &Place, path: &VirtualPath) -> Result<()> {
        self.require_open()?;
        policy::require(place.permissions, Permission::Delete)?;
        place.require_unpinned()?;
        require_below_root(path)?;
        require_delete_below(&session.identity.view, session.scopes, &place.path)?;
        let mut query = self.ledger.read(session.reach()).await?;
        let seen = find(&mut *query, &session.tenant.id, place).await?.node.ok_or_else(Error::not_found)?;
        drop(query);
        if !seen.is_folder() {
            return Err(not_folder());
        }
        let mut facts = self.facts_at(session, Operation::Rmdir, place);
        facts.file_id = Some(seen.id);
        let (audit, event) = (facts.audit(), facts.event("folder.deleted"));
        self.write(session.reach(), Durability::Disk, move |tx| {
            let (seen, audit, event) = (seen.clone(), audit.clone(), event.clone());
            Box::pin(async move {
                tx.lock(&[Lock::Tree(seen.tenant.clone()), Lock::Name(seen.parent, seen.name.clone())]).await?;
                let mut node = tx.hold_node(seen.id).await?.ok_or_else(Error::not_found)?;
                if node.parent != seen.parent || node.name != seen.name {
                    return Err(Error::not_found());
                }
                node.parent = DETACHED;
                node.name = node.id.to_string();
                tx.update_node(&node).await?;
                tx.append_audit(&audit).await?;
                tx.append_events(&[event]).await
            })
        })
        .await?;
        self.forget_ensured();
        self.purge_wake.notify_one();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::{PermissionSet, Scope, ViewEntry};

    fn p(path: &str) -> VirtualPath {
        VirtualPath::parse(path).unwrap()
    }

    #[test]
    fn a_rule_below_without_delete_keeps_the_folder() {
        let list = PermissionSet::NONE.with(Permission::List);
        let entry = |at: &str, path: &str, permissions| ViewEntry { at: p(at), path: p(path), permissions };
        let view = View::new(vec![
            entry("/", "/", PermissionSet::all()),
            entry("/kept", "/data/kept", list),
            entry("/mine", "/data/mine", PermissionSet::all()),
            entry("/read", "/read", list),
        ]);
        let denied = |path: &str, scopes| require_delete_below(&view, scopes, &p(path)).is_err();
        let all = ScopeSet::all();
        assert!(denied("/data", all), "what is seen at /kept may not be deleted");
        assert!(!denied("/data/mine", all) && !denied("/data/kept/below", all) && !denied("/other", all));
        assert!(!denied("/read", all), "the rule of the place itself is looked at where it is");
        assert!(denied("/data", ScopeSet::NONE.with(Scope::FilesRead)), "scopes narrow what is allowed below, too");
        assert_eq!(
            require_delete_below(&view, all, &p("/data")).unwrap_err().message(),
            "permission denied: what your view shows at `/kept` is in this folder, and needs `delete` there"
        );
    }
}
