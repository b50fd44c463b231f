//! Removing files. The owner's incomplete upload of that name goes with it (SEMANTICS, "What each sees").

use super::Target;
use super::entries::{Viewer, find};
use super::stat::session_path;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation};
use crate::gateway::{Inner, Place, locate_place};
use crate::identity::{Permission, Session};
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::{Durability, Lock, Tx};
use crate::records::{Node, now};
use crate::transfer::{give_up_row, require_match};

/// Takes a file's version away: its quota and its blobs.
pub(crate) async fn release_version(tx: &mut dyn Tx, node: &Node) -> Result<()> {
    if let Some(content) = &node.content {
        tx.add_usage(&node.tenant, &node.created_by.identity, -(content.size as i64)).await?;
        tx.release_blobs(content.version, &[], now()).await?;
    }
    Ok(())
}

#[derive(Clone)]
struct Removal {
    place: Place,
    viewer: Viewer,
    facts: Facts,
    if_match: Option<Vec<[u8; 32]>>,
}

impl Removal {
    async fn run(mut self, tx: &mut dyn Tx) -> Result<()> {
        let found = find(&mut *tx, &self.viewer.tenant, &self.place).await?;
        let (_, name) = self.place.split()?;
        let parent = found.parent.ok_or_else(Error::not_found)?;
        tx.lock(&[Lock::Name(parent.id, name.clone())]).await?;
        let node = match tx.child(parent.id, &name).await? {
            Some(node) => tx.hold_node(node.id).await?,
            None => None,
        };
        if node.as_ref().is_some_and(Node::is_folder) {
            return Err(Error::new(ErrorKind::IsFolder, "this is a folder; remove it as a folder"));
        }
        require_match(self.if_match.as_deref(), node.as_ref())?;
        let upload = self.viewer.upload(&mut *tx, parent.id, &name).await?;
        if node.is_none() && upload.is_none() {
            return Err(Error::not_found());
        }
        if let Some(row) = upload {
            let removed = Error::new(ErrorKind::Incomplete, "the incomplete upload was removed by its owner");
            give_up_row(&mut *tx, row, &self.facts.node, &removed).await?;
        }
        let mut events = Vec::new();
        if let Some(node) = &node {
            release_version(&mut *tx, node).await?;
            tx.delete_node(node.id).await?;
            self.facts.file_id = Some(node.id);
            self.facts.size = Some(node.size());
            self.facts.hash = node.content.as_ref().map(|c| c.sha256);
            self.facts.content_type = node.content.as_ref().map(|c| c.content_type.clone());
            events.push(self.facts.event("file.deleted"));
        }
        tx.append_audit(&self.facts.audit()).await?;
        tx.append_events(&events).await
    }
}

impl Inner {
    /// See [`crate::Gateway::remove_file`].
    pub(crate) async fn remove_file(
        &self,
        session: &Session,
        target: &Target,
        if_match: Option<Vec<[u8; 32]>>,
    ) -> Result<()> {
        let result = self.remove_target(session, target, if_match).await;
        self.recorded(session, Operation::Delete, target, result).await
    }

    async fn remove_target(&self, session: &Session, target: &Target, if_match: Option<Vec<[u8; 32]>>) -> Result<()> {
        self.require_open()?;
        let path: VirtualPath = {
            let mut query = self.ledger.read(session.reach()).await?;
            session_path(&mut *query, session, target).await?
        };
        let place = locate_place(session, &path)?;
        policy::require(place.permissions, Permission::Delete)?;
        place.split()?;
        if place.mount_point {
            return Err(Error::new(ErrorKind::IsFolder, "this is a fixed folder of your view; it cannot be removed"));
        }
        let facts = self.facts_at(session, Operation::Delete, &place);
        let removal = Removal { place, viewer: Viewer::of(session), facts, if_match };
        self.write(session.reach(), Durability::Disk, move |tx| {
            let removal = removal.clone();
            Box::pin(async move { removal.run(tx).await })
        })
        .await
    }
}
