//! Making and removing folders.

use uuid::Uuid;

use super::entries::{find, new_folder};
use super::{Entry, Target, not_folder};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Operation;
use crate::gateway::{Inner, Place, locate_place};
use crate::identity::{Permission, Session};
use crate::jobs::settle;
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::{Durability, Lock, Query, Tx};
use crate::records::{Actor, Attributes, UploadRow, UploadState};

/// `AlreadyExists` where an open upload of somebody else's reserves the name (create, exclusive).
pub(crate) async fn require_unreserved(
    query: &mut dyn Query,
    parent: Uuid,
    name: &str,
    own: Option<Uuid>,
) -> Result<()> {
    refuse_reserved(&query.uploads_named(parent, name).await?, own)
}

/// The same, of the live uploads of a name.
pub(crate) fn refuse_reserved(named: &[UploadRow], own: Option<Uuid>) -> Result<()> {
    let reserves = |row: &&UploadRow| row.exclusive && matches!(row.state, UploadState::Open | UploadState::Sealed);
    if named.iter().filter(reserves).any(|row| Some(row.id) != own) {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            "the name is reserved by an upload under way; try again when it has ended",
        ));
    }
    Ok(())
}

/// What a folder has under a name, made as a folder where nothing is there: its id, and whether it was made.
pub(crate) async fn ensure_folder(
    tx: &mut dyn Tx,
    tenant: &str,
    parent: Uuid,
    name: &str,
    actor: &Actor,
) -> Result<(Uuid, bool)> {
    tx.lock(&[Lock::Name(parent, name.to_owned())]).await?;
    tx.hold_folder(parent).await?.ok_or_else(Error::no_such_folder)?;
    if let Some(there) = tx.child(parent, name).await? {
        return Ok((there.id, false));
    }
    let folder = new_folder(tenant, parent, name, actor, Attributes::default());
    tx.insert_node(&folder).await?;
    Ok((folder.id, true))
}

/// Fails for a session's own root, its login's home: an empty path of a script that went wrong must not cost a partner
/// everything.
pub(super) fn require_below_root(path: &VirtualPath) -> Result<()> {
    if path.is_root() {
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            "permission denied: this is the root of all that you see; name a folder in it",
        ));
    }
    Ok(())
}

impl Inner {
    /// See [`crate::Gateway::make_folder`].
    pub(crate) async fn make_folder(
        &self,
        session: &Session,
        path: &VirtualPath,
        attributes: Attributes,
    ) -> Result<Entry> {
        let result = match locate_place(session, path) {
            Ok(place) => self.make_folder_at(session, path, &place, attributes).await,
            Err(error) => Err(error),
        };
        self.recorded(session, Operation::Mkdir, &Target::Path(path.clone()), result).await
    }

    async fn make_folder_at(
        &self,
        session: &Session,
        path: &VirtualPath,
        place: &Place,
        attributes: Attributes,
    ) -> Result<Entry> {
        self.require_open()?;
        self.ledger.has_room()?;
        if place.path.is_root() {
            return Err(Error::already_exists());
        }
        policy::require(place.permissions, Permission::Mkdir)?;
        let (parent_path, name) = place.split()?;
        let parent = self.folder_id(session, &parent_path).await?;
        let node = new_folder(&session.tenant.id, parent, &name, &Self::actor(session), attributes);
        let mut facts = self.facts_at(session, Operation::Mkdir, place);
        facts.file_id = Some(node.id);
        let (audit, event) = (facts.audit(), facts.event("folder.created"));
        let (made, errand) = (node.clone(), session.errand.clone());
        self.write(session.reach(), Durability::Disk, move |tx| {
            let (node, audit, event, errand) = (node.clone(), audit.clone(), event.clone(), errand.clone());
            Box::pin(async move {
                tx.lock(&[Lock::Name(node.parent, node.name.clone())]).await?;
                tx.hold_folder(node.parent).await?.ok_or_else(Error::no_such_folder)?;
                if tx.ancestry(node.parent).await?.is_empty() {
                    // Removed meanwhile, with a folder above it, and waiting for its purge.
                    return Err(Error::no_such_folder());
                }
                if tx.child(node.parent, &node.name).await?.is_some() {
                    return Err(Error::already_exists());
                }
                require_unreserved(&mut *tx, node.parent, &node.name, None).await?;
                tx.insert_node(&node).await?;
                tx.append_audit(&audit).await?;
                tx.append_events(&[event]).await?;
                settle(tx, errand.as_deref(), 0).await
            })
        })
        .await?;
        Ok(Entry::of_node(&made, path.clone(), false))
    }

    /// The node of a folder in the tenant's tree, found by its path.
    pub(crate) async fn folder_id(&self, session: &Session, path: &VirtualPath) -> Result<Uuid> {
        let names: Vec<&str> = path.parts().collect();
        let mut query = self.ledger.read(session.reach()).await?;
        let nodes = query.walk(&session.tenant.id, &names).await?;
        match nodes.last() {
            Some(node) if !node.is_folder() => {
                Err(Error::new(ErrorKind::NotFolder, "a part of the path is a file, not a folder; check the path"))
            }
            Some(node) if nodes.len() == names.len() + 1 => Ok(node.id),
            _ => Err(Error::no_such_folder()),
        }
    }

    /// See [`crate::Gateway::remove_folder`].
    pub(crate) async fn remove_folder(&self, session: &Session, path: &VirtualPath) -> Result<()> {
        let result = match locate_place(session, path) {
            Ok(place) => self.remove_folder_at(session, &place, path).await,
            Err(error) => Err(error),
        };
        self.recorded(session, Operation::Rmdir, &Target::Path(path.clone()), result).await
    }

    async fn remove_folder_at(&self, session: &Session, place: &Place, path: &VirtualPath) -> Result<()> {
        self.require_open()?;
        policy::require(place.permissions, Permission::Delete)?;
        place.require_unpinned()?;
        require_below_root(path)?;
        let mut query = self.ledger.read(session.reach()).await?;
        let seen = find(&mut *query, &session.tenant.id, place).await?.node.ok_or_else(Error::not_found)?;
        drop(query);
        let mut facts = self.facts_at(session, Operation::Rmdir, place);
        facts.file_id = Some(seen.id);
        let (audit, event) = (facts.audit(), facts.event("folder.deleted"));
        let errand = session.errand.clone();
        self.write(session.reach(), Durability::Disk, move |tx| {
            let (seen, audit, event, errand) = (seen.clone(), audit.clone(), event.clone(), errand.clone());
            Box::pin(async move {
                tx.lock(&[Lock::Name(seen.parent, seen.name.clone())]).await?;
                let node = tx.hold_node(seen.id).await?.ok_or_else(Error::not_found)?;
                if node.parent != seen.parent || node.name != seen.name {
                    return Err(Error::not_found());
                }
                if !node.is_folder() {
                    return Err(not_folder());
                }
                if tx.has_children(node.id).await? {
                    return Err(Error::new(ErrorKind::NotEmpty, "the folder is not empty; remove what is in it first"));
                }
                tx.delete_node(node.id).await?;
                tx.append_audit(&audit).await?;
                tx.append_events(&[event]).await?;
                settle(tx, errand.as_deref(), 0).await
            })
        })
        .await?;
        self.forget_ensured();
        Ok(())
    }
}
