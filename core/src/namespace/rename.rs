//! Renaming and moving: O(1), whole folders too. A file that leaves a temporary name arrives by it (SEMANTICS,
//! "Temporary names").

use super::arrival::Arrival;
use super::attributes::Change;
use super::change::Marks;
use super::entries::{Viewer, find};
use super::folders::require_unreserved;
use super::relocate::{Relocated, across_storages};
use super::remove::release_version;
use super::stat::session_path;
use super::{Entry, Target, content_type_of};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation};
use crate::gateway::{Inner, Place, locate_place};
use crate::identity::{Permission, Session};
use crate::jobs::settle;
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::{Durability, Lock, Tx};
use crate::records::{EventRecord, Node, UploadRow, UploadState};
use crate::transfer::{TypeCheck, give_up_row, replaced, require_match};

#[derive(Clone)]
struct Renaming {
    from: Place,
    to: Place,
    to_path: VirtualPath,
    overwrite: bool,
    viewer: Viewer,
    facts: Facts,
    from_temporary: bool,
    to_temporary: bool,
    same_storage: bool,
    /// The content, copied to the storage of the new place where that is another one.
    relocated: Option<Relocated>,
    /// The digests one of which the file must have.
    if_match: Option<Vec<[u8; 32]>>,
    /// Whether the content has to be looked at before it gets the new name.
    judges: bool,
    /// What it was found to be.
    arrival: Option<Arrival>,
}

/// What a rename did.
struct Renamed {
    entry: Entry,
    folder: bool,
    /// Uploads that follow the name: id, new folder, new name.
    retargeted: Vec<UploadRow>,
}

impl Renamed {
    /// Notes that an upload's row was changed once more.
    fn bumped(&mut self, id: uuid::Uuid, generation: i64) {
        for row in self.retargeted.iter_mut().filter(|row| row.id == id) {
            row.generation = generation;
        }
    }
}

impl Renaming {
    async fn run(mut self, tx: &mut dyn Tx) -> Result<Renamed> {
        let tenant = self.viewer.tenant.clone();
        let (_, from_name) = self.from.split()?;
        let (_, to_name) = self.to.split()?;
        let seen = find(&mut *tx, &tenant, &self.from).await.map_err(missing_source)?;
        let target = find(&mut *tx, &tenant, &self.to).await?;
        let (from_parent, to_parent) = match (seen.parent, target.parent) {
            (Some(from), Some(to)) => (from.id, to.id),
            _ => return Err(Error::not_found()),
        };
        let mut locks = vec![Lock::Name(from_parent, from_name.clone()), Lock::Name(to_parent, to_name.clone())];
        if seen.node.as_ref().is_some_and(Node::is_folder) && from_parent != to_parent {
            locks.push(Lock::Tree(tenant.to_string()));
        }
        tx.lock(&locks).await?;
        // Under the locks, look again: what was seen before them may have moved.
        let target_folder = tx.hold_folder(to_parent).await?.ok_or_else(Error::no_such_folder)?;
        if tx.ancestry(to_parent).await?.is_empty() {
            // It was removed meanwhile with a folder above it, and is being purged.
            return Err(Error::no_such_folder());
        }
        let source = match tx.child(from_parent, &from_name).await? {
            Some(node) => tx.hold_node(node.id).await?,
            None => None,
        };
        if source.as_ref().map(|n| n.id) != seen.node.as_ref().map(|n| n.id) {
            return Err(Error::new(ErrorKind::Conflict, "the file was changed by somebody else meanwhile; try again"));
        }
        let existing = match tx.child(to_parent, &to_name).await? {
            Some(node) => tx.hold_node(node.id).await?,
            None => None,
        };
        let follows = self.viewer.upload(&mut *tx, from_parent, &from_name).await?;
        policy::require(self.from.permissions, Permission::Rename)?;
        require_match(self.if_match.as_deref(), source.as_ref())?;
        if source.is_none() && follows.is_none() {
            // Before anything is said of the target: what is not there is the client's first problem.
            return Err(Error::not_found());
        }
        if source.as_ref().is_some_and(Node::is_folder) {
            policy::require(self.to.permissions, Permission::Mkdir)?;
        } else {
            policy::require(self.to.permissions, Permission::Upload)?;
            self.require_judged(source.as_ref())?;
        }
        let moved_onto_itself = from_parent == to_parent && from_name == to_name;
        if let (Some(existing), false) = (&existing, moved_onto_itself) {
            self.check_existing(source.as_ref(), existing)?;
        }
        if !self.same_storage && source.as_ref().is_none_or(Node::is_folder) {
            return Err(across_storages());
        }
        require_unreserved(&mut *tx, to_parent, &to_name, follows.as_ref().map(|row| row.id)).await?;
        match source {
            Some(node) if moved_onto_itself => Ok(Renamed {
                folder: node.is_folder(),
                entry: Entry::of_node(&node, self.to_path, false),
                retargeted: Vec::new(),
            }),
            Some(node) => {
                if node.is_folder() {
                    self.check_cycle(&mut *tx, &node, &target_folder).await?;
                }
                let retargeted = if let Some(row) = follows {
                    vec![self.retarget(&mut *tx, row, to_parent, &to_name, true).await?]
                } else {
                    self.discard_target(&mut *tx, to_parent, &to_name).await?;
                    Vec::new()
                };
                let folder = node.is_folder();
                let node = self.switch(&mut *tx, node, existing, to_parent, &to_name).await?;
                let events = self.events(&node);
                tx.append_audit(&self.facts.audit()).await?;
                tx.append_events(&events).await?;
                Ok(Renamed { entry: Entry::of_node(&node, self.to_path, false), folder, retargeted })
            }
            None => {
                let row = follows.ok_or_else(Error::not_found)?;
                if moved_onto_itself {
                    tx.append_audit(&self.facts.audit()).await?;
                    return Ok(Renamed {
                        entry: Entry::of_upload(&row, None, self.to_path),
                        folder: false,
                        retargeted: Vec::new(),
                    });
                }
                let row = self.retarget(&mut *tx, row, to_parent, &to_name, existing.is_some()).await?;
                self.facts.transfer_id = Some(row.id);
                tx.append_audit(&self.facts.audit()).await?;
                let visible = existing.map(|node| Entry::of_node(&node, self.to_path.clone(), false));
                Ok(Renamed {
                    entry: Entry::of_upload(&row, visible.as_ref(), self.to_path),
                    folder: false,
                    retargeted: vec![row],
                })
            }
        }
    }

    fn check_existing(&self, source: Option<&Node>, existing: &Node) -> Result<()> {
        if !self.overwrite {
            return Err(Error::already_exists());
        }
        match (source.is_some_and(Node::is_folder), existing.is_folder()) {
            (false, false) => policy::require(self.to.permissions, Permission::Overwrite),
            (false, true) => {
                Err(Error::new(ErrorKind::IsFolder, "a folder has that name already; choose another name"))
            }
            (true, false) => Err(Error::new(ErrorKind::NotFolder, "a file has that name already; choose another name")),
            (true, true) => Err(Error::already_exists()),
        }
    }

    /// Fails where another content than the one that was looked at would get the name.
    fn require_judged(&self, source: Option<&Node>) -> Result<()> {
        let version = source.and_then(|node| node.content.as_ref()).map(|content| content.version);
        if self.judges && version.is_some() && version != self.arrival.as_ref().map(|arrival| arrival.version) {
            return Err(Error::new(ErrorKind::Conflict, "the file was replaced by somebody else meanwhile; try again"));
        }
        Ok(())
    }

    async fn check_cycle(&self, tx: &mut dyn Tx, node: &Node, target_folder: &Node) -> Result<()> {
        if tx.ancestry(target_folder.id).await?.iter().any(|(id, _)| *id == node.id) {
            return Err(Error::new(ErrorKind::InvalidArgument, "a folder cannot be moved into itself or below itself"));
        }
        Ok(())
    }

    /// An upload follows its name; the owner's other one at the new name gives way.
    async fn retarget(
        &self,
        tx: &mut dyn Tx,
        mut row: UploadRow,
        parent: uuid::Uuid,
        name: &str,
        exists: bool,
    ) -> Result<UploadRow> {
        self.discard_target(&mut *tx, parent, name).await?;
        let (state, generation) = (row.state, row.generation);
        // The generation is bumped: a holder whose copy of the row does not learn of the new name, on another node say,
        // can write no more, instead of bringing back the old one.
        row.generation += 1;
        row.parent = parent;
        name.clone_into(&mut row.name);
        if exists && row.exclusive {
            row.exclusive = false;
        }
        if !tx.update_upload(&row, &[state], generation).await? {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the upload was changed by somebody else meanwhile; try again",
            ));
        }
        Ok(row)
    }

    /// Gives up the owner's detached upload at the new name: the rename replaces what it would have become.
    async fn discard_target(&self, tx: &mut dyn Tx, parent: uuid::Uuid, name: &str) -> Result<()> {
        for row in tx.uploads_named(parent, name).await? {
            if self.viewer.owns(&row) && row.state == UploadState::Detached {
                give_up_row(&mut *tx, row, &self.facts.node, &replaced()).await?;
            }
        }
        Ok(())
    }

    /// The switch of names itself. Returns the node that now has the new name.
    async fn switch(
        &mut self,
        tx: &mut dyn Tx,
        mut node: Node,
        existing: Option<Node>,
        parent: uuid::Uuid,
        name: &str,
    ) -> Result<Node> {
        if !self.same_storage {
            let copy = self.relocated.take().ok_or_else(across_storages)?;
            copy.adopt(&mut *tx, &mut node).await?;
        }
        if let Some(content) = &mut node.content {
            match &self.arrival {
                // What it was taken for was the old name's doing, not the client's.
                Some(arrival) if [&arrival.before, content_type_of(&node.name)].contains(&&*content.content_type) => {
                    content.content_type.clone_from(&arrival.content_type);
                }
                None if content.content_type == content_type_of(&node.name) => {
                    content_type_of(name).clone_into(&mut content.content_type);
                }
                _ => {}
            }
        }
        match existing {
            // An arrival is an overwrite of the final name, whose id consumers know: that one stays. The id under the
            // temporary name was never told to anybody.
            Some(mut existing) if self.from_temporary && !self.to_temporary => {
                release_version(&mut *tx, &existing).await?;
                tx.delete_node(node.id).await?;
                existing.content = node.content;
                existing.modified_at = node.modified_at;
                existing.attributes = node.attributes;
                existing.created_by = node.created_by;
                // Labels that somebody has given what arrives are meant for it.
                existing.classification = node.classification.or(existing.classification);
                if !node.tags.is_empty() {
                    existing.tags = node.tags;
                }
                tx.update_node(&existing).await?;
                Ok(existing)
            }
            other => {
                if let Some(replaced) = other {
                    release_version(&mut *tx, &replaced).await?;
                    tx.delete_node(replaced.id).await?;
                }
                node.parent = parent;
                name.clone_into(&mut node.name);
                tx.update_node(&node).await?;
                Ok(node)
            }
        }
    }

    fn events(&mut self, node: &Node) -> Vec<EventRecord> {
        self.facts.file_id = Some(node.id);
        let Some(content) = &node.content else {
            return vec![self.facts.event("folder.renamed")];
        };
        self.facts.size = Some(content.size);
        self.facts.hash = Some(content.sha256);
        self.facts.content_type = Some(content.content_type.clone());
        let contradiction = self.arrival.as_ref().and_then(|arrival| arrival.contradiction.as_ref());
        let violated = |facts: &Facts| {
            contradiction.map(|error| {
                let mut facts = facts.clone();
                facts.error = Some((error.kind().code().to_owned(), error.message().to_owned()));
                facts.event("policy.violated")
            })
        };
        match (self.from_temporary, self.to_temporary) {
            (true, true) => Vec::new(),
            (true, false) => {
                let mut arrival = self.facts.clone();
                arrival.operation = Operation::Upload;
                arrival.transfer_id = Some(content.version);
                arrival.bytes = Some(content.size);
                arrival.complete = Some(true);
                let mut events = vec![arrival.event("file.uploaded"), arrival.event("transfer.completed")];
                events.extend(violated(&arrival));
                events
            }
            (false, _) => std::iter::once(self.facts.event("file.renamed")).chain(violated(&self.facts)).collect(),
        }
    }
}

/// What the name of a place says of its content.
fn type_by_name(place: &Place) -> &'static str {
    place.path.name().map_or("", |name| content_type_of(name.as_str()))
}

/// A source whose folder is missing is simply not there.
fn missing_source(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NoSuchFolder | ErrorKind::NotFolder => Error::not_found(),
        _ => error,
    }
}

impl Inner {
    /// See [`crate::Gateway::rename`].
    pub(crate) async fn rename(
        &self,
        session: &Session,
        from: &Target,
        to: &VirtualPath,
        overwrite: bool,
    ) -> Result<Entry> {
        // Boxed: it is large, and would make every future that it is part of as large.
        let result = Box::pin(self.rename_target(session, from, to, overwrite, Marks::default())).await;
        self.recorded_to(session, Operation::Rename, (from, Some(to)), result).await
    }

    /// Renames, and sets what else is to be set, in one transaction.
    pub(super) async fn rename_target(
        &self,
        session: &Session,
        from: &Target,
        to: &VirtualPath,
        overwrite: bool,
        mut marks: Marks,
    ) -> Result<Entry> {
        self.require_open()?;
        self.ledger.has_room()?;
        let from_path = {
            let mut query = self.ledger.read(session.reach()).await?;
            session_path(&mut *query, session, from).await?
        };
        let from = locate_place(session, &from_path)?;
        let to_place = locate_place(session, to)?;
        from.require_unpinned()?;
        if to_place.path.is_root() || to_place.mount_point {
            return Err(Error::already_exists());
        }
        let viewer = Viewer::of(session);
        let if_match = marks.if_match.take();
        let marking = if marks.set_nothing() {
            None
        } else {
            policy::require(from.permissions, Permission::Attributes)?;
            let facts = self.facts_at(session, Operation::Attributes, &to_place);
            let (place, path) = (to_place.clone(), to.clone());
            Some(Change { place, path, viewer: viewer.clone(), marks: marks.clone(), facts })
        };
        let mut facts = self.facts_at(session, Operation::Rename, &to_place);
        facts.previous_path = Some(from.path.as_str().to_owned());
        let temporary = |place: &Place| place.path.name().is_some_and(|name| self.is_temporary(name.as_str()));
        let (from_temporary, to_temporary) = (temporary(&from), temporary(&to_place));
        let judges = self.rules().content_type_check != TypeCheck::Off
            && !to_temporary
            && (from_temporary || type_by_name(&from) != type_by_name(&to_place));
        let arrival = if judges { self.judge_arrival(session, &from, &to_place).await? } else { None };
        let storage = |place: &Place| session.tenant.mount_of(&place.path).map(|mount| mount.storage.clone());
        let same_storage = storage(&from) == storage(&to_place);
        let relocated = if same_storage { None } else { self.relocate(session, &from, &to_place).await? };
        let copy = relocated.clone();
        let held = self.hold_uploads(&viewer, &from).await?;
        let renaming = Renaming {
            from_temporary,
            to_temporary,
            judges,
            arrival,
            same_storage,
            relocated,
            if_match,
            to: to_place,
            to_path: to.clone(),
            overwrite,
            viewer,
            facts,
            from,
        };
        let errand = session.errand.clone();
        let renamed = self
            .write(session.reach(), Durability::Disk, move |tx| {
                let (renaming, marking, errand) = (renaming.clone(), marking.clone(), errand.clone());
                Box::pin(async move {
                    let mut renamed = renaming.run(&mut *tx).await?;
                    if let Some(marking) = marking {
                        let (entry, changed) = marking.run(&mut *tx).await?;
                        renamed.entry = entry;
                        if let Some((id, generation)) = changed {
                            renamed.bumped(id, generation);
                        }
                    }
                    settle(tx, errand.as_deref(), renamed.entry.size).await?;
                    Ok(renamed)
                })
            })
            .await;
        let renamed = match renamed {
            Ok(renamed) => renamed,
            Err(error) => {
                // Where it is not known whether the move was committed, the row tells: a committed one is not given up.
                self.drop_relocated(copy).await;
                return Err(error);
            }
        };
        for mut work in held {
            if let Some(row) = renamed.retargeted.iter().find(|row| row.id == work.row.id) {
                work.row.generation = row.generation;
                work.row.parent = row.parent;
                work.row.name.clone_from(&row.name);
                work.row.exclusive = row.exclusive;
            }
        }
        if renamed.folder {
            self.forget_ensured();
        }
        Ok(renamed.entry)
    }
}
