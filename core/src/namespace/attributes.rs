//! Setting times, modes, owners and labels. Beside a visible version, the owner's incomplete upload of that name keeps them too.

use uuid::Uuid;

use super::change::Marks;
use super::entries::{Viewer, find};
use super::stat::session_path;
use super::{Entry, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation};
use crate::gateway::{Inner, Place, locate_place};
use crate::identity::{Permission, Session};
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::{Durability, Lock, Tx};
use crate::records::Attributes;
use crate::transfer::require_match;

/// The change itself, as a part of a transaction.
#[derive(Clone)]
pub(super) struct Change {
    pub place: Place,
    pub path: VirtualPath,
    pub viewer: Viewer,
    pub marks: Marks,
    pub facts: Facts,
}

impl Change {
    /// The entry as it is now, and the upload whose row was changed, with its new generation.
    pub(super) async fn run(mut self, tx: &mut dyn Tx) -> Result<(Entry, Option<(Uuid, i64)>)> {
        let attributes = &self.marks.attributes;
        let found = find(&mut *tx, &self.viewer.tenant, &self.place).await?;
        if let (Some(parent), Some(name)) = (&found.parent, self.place.path.name()) {
            tx.lock(&[Lock::Name(parent.id, name.as_str().to_owned())]).await?;
        }
        let upload = match (&found.parent, self.place.path.name()) {
            (Some(parent), Some(name)) => self.viewer.upload(&mut *tx, parent.id, name.as_str()).await?,
            _ => None,
        };
        let node = match found.node {
            Some(node) => tx.hold_node(node.id).await?,
            None => None,
        };
        require_match(self.marks.if_match.as_deref(), node.as_ref())?;
        let mut entry = None;
        let mut changed = None;
        let mut events = Vec::new();
        if let Some(mut node) = node {
            if let Some(modified_at) = attributes.modified_at {
                node.modified_at = modified_at;
            }
            node.attributes = node.attributes.merged(&Attributes { modified_at: None, ..attributes.clone() });
            self.marks.labels.apply(&mut node)?;
            tx.update_node(&node).await?;
            self.facts.file_id = Some(node.id);
            if let Some(content) = &node.content {
                self.facts.size = Some(content.size);
                self.facts.hash = Some(content.sha256);
                self.facts.content_type = Some(content.content_type.clone());
                events.push(self.facts.event("file.attributes_changed"));
            }
            entry = Some(Entry::of_node(&node, self.path.clone(), self.place.mount_point));
        }
        if let Some(mut row) = upload {
            let (state, generation) = (row.state, row.generation);
            row.attributes = row.attributes.merged(attributes);
            // See the rename: a holder that does not learn of the change must not undo it.
            row.generation += 1;
            if !tx.update_upload(&row, &[state], generation).await? {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "the upload was changed by somebody else meanwhile; try again",
                ));
            }
            entry = Some(Entry::of_upload(&row, entry.as_ref(), self.path.clone()));
            changed = Some((row.id, row.generation));
        }
        let entry = entry.ok_or_else(Error::not_found)?;
        tx.append_audit(&self.facts.audit()).await?;
        tx.append_events(&events).await?;
        Ok((entry, changed))
    }
}

impl Inner {
    /// See [`crate::Gateway::set_attributes`].
    pub(crate) async fn set_attributes(
        &self,
        session: &Session,
        target: &Target,
        attributes: Attributes,
    ) -> Result<Entry> {
        let marks = Marks { attributes, ..Marks::default() };
        let result = self.change_attributes(session, target, marks).await;
        self.recorded(session, Operation::Attributes, target, result).await
    }

    pub(super) async fn change_attributes(&self, session: &Session, target: &Target, marks: Marks) -> Result<Entry> {
        self.require_open()?;
        let path = {
            let mut query = self.ledger.read(session.reach()).await?;
            session_path(&mut *query, session, target).await?
        };
        let place = locate_place(session, &path)?;
        policy::require(place.permissions, Permission::Attributes)?;
        if marks.set_nothing() {
            return self.stat(session, &Target::Path(path)).await;
        }
        let viewer = Viewer::of(session);
        let held = self.hold_uploads(&viewer, &place).await?;
        let facts = self.facts_at(session, Operation::Attributes, &place);
        let attributes = marks.attributes.clone();
        let change = Change { place, path, viewer, marks, facts };
        let (entry, changed) = self
            .write(session.reach(), Durability::Disk, move |tx| {
                let change = change.clone();
                Box::pin(async move { change.run(tx).await })
            })
            .await?;
        for mut work in held {
            if let Some((_, generation)) = changed.filter(|(id, _)| *id == work.row.id) {
                work.row.attributes = work.row.attributes.merged(&attributes);
                work.row.generation = generation;
            }
        }
        Ok(entry)
    }
}
