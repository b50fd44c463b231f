//! Listing a folder page by page: the tree's entries, the view's mount points among them, and the owner's incomplete
//! uploads, all in the order of their names' bytes. Nothing is held between two pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::entries::{Viewer, find};
use super::{Entry, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Operation;
use crate::gateway::{Inner, Located, locate, view_path};
use crate::identity::{Permission, Scope, Session};
use crate::path::{Name, VirtualPath};
use crate::policy;
use crate::ports::{Durability, Query, Reach};
use crate::records::UploadRow;

/// A folder being listed, page by page.
pub struct Listing {
    inner: Arc<Inner>,
    reach: Reach,
    folder: Entry,
    path: VirtualPath,
    /// The folder's node; none where it exists only in the view.
    node: Option<Uuid>,
    /// Entries that do not come from the tree, by name, those already passed removed.
    extra: BTreeMap<String, Entry>,
    /// The owner's uploads in this folder, by name.
    partials: BTreeMap<String, UploadRow>,
    /// Names of the tree that mount points of the view shadow.
    shadowed: BTreeSet<String>,
    after: Option<String>,
    tree_done: bool,
}

impl Inner {
    /// See [`crate::Gateway::list`].
    pub(crate) async fn list(
        self: &Arc<Self>,
        session: &Arc<Session>,
        path: &VirtualPath,
        after: Option<Name>,
    ) -> Result<Listing> {
        let result = self.begin_list(session, path, after).await;
        self.recorded(session, Operation::List, &Target::Path(path.clone()), result).await
    }

    async fn begin_list(
        self: &Arc<Self>,
        session: &Arc<Session>,
        path: &VirtualPath,
        after: Option<Name>,
    ) -> Result<Listing> {
        self.require_open()?;
        let mut facts = self.facts(session, Operation::List);
        let mut query = self.ledger.read(session.reach()).await?;
        let (folder, node) = match locate(session, path)? {
            Located::Above(view_path) => {
                policy::require_scope(session, Scope::FilesRead)?;
                facts.view_path = Some(view_path.as_str().to_owned());
                (Entry::of_view(path.clone()), None)
            }
            Located::Place(place) => {
                policy::require(place.permissions, Permission::List)?;
                let node = find(&mut *query, &session.tenant.id, &place).await?.node.ok_or_else(Error::not_found)?;
                if !node.is_folder() {
                    return Err(Error::new(ErrorKind::NotFolder, "this is a file, not a folder"));
                }
                facts.path = Some(place.path.as_str().to_owned());
                facts.view_path = Some(place.view_path.as_str().to_owned());
                facts.file_id = Some(node.id);
                (Entry::of_node(&node, path.clone(), place.mount_point), Some(node.id))
            }
        };
        let mount_points = session.identity.view.mount_points_in(&view_path(session, path)?);
        let mut extra = BTreeMap::new();
        let mut shadowed = BTreeSet::new();
        for name in mount_points {
            shadowed.insert(name.as_str().to_owned());
            let below = path.join(&name)?;
            if let Some(entry) = mount_point_entry(&mut *query, session, &below).await? {
                extra.insert(name.as_str().to_owned(), entry);
            }
        }
        let viewer = Viewer::of(session);
        let uploads = match node {
            Some(id) if viewer.partials => query.uploads_within(id, &session.tenant.id, &session.identity.id).await?,
            _ => Vec::new(),
        };
        // The holders of uploads may be waited for, and must not wait for this connection.
        drop(query);
        let mut partials = BTreeMap::new();
        for mut row in uploads {
            if viewer.sees(&row) && !shadowed.contains(&row.name) {
                self.bring_up_to_date(&mut row).await;
                partials.entry(row.name.clone()).or_insert(row);
            }
        }
        self.put(Durability::Process, facts.audit(), Vec::new()).await?;
        let mut listing = Listing {
            inner: self.clone(),
            reach: session.reach(),
            folder,
            path: path.clone(),
            tree_done: node.is_none(),
            node,
            extra,
            partials,
            shadowed,
            after: None,
        };
        if let Some(name) = after {
            listing.extra = listing.extra.split_off(name.as_str());
            listing.extra.remove(name.as_str());
            listing.partials = listing.partials.split_off(name.as_str());
            listing.partials.remove(name.as_str());
            listing.after = Some(name.as_str().to_owned());
        }
        Ok(listing)
    }
}

/// How a mount point of the view appears in its parent's listing.
async fn mount_point_entry(query: &mut dyn Query, session: &Session, path: &VirtualPath) -> Result<Option<Entry>> {
    match locate(session, path) {
        Ok(Located::Place(place)) => match find(query, &session.tenant.id, &place).await {
            Ok(found) => Ok(found.node.map(|node| Entry::of_node(&node, path.clone(), true))),
            Err(error) if matches!(error.kind(), ErrorKind::NoSuchFolder | ErrorKind::NotFolder) => Ok(None),
            Err(error) => Err(error),
        },
        Ok(Located::Above(_)) => Ok(Some(Entry::of_view(path.clone()))),
        Err(_) => Ok(None),
    }
}

impl Listing {
    /// The folder itself.
    pub fn folder(&self) -> &Entry {
        &self.folder
    }

    /// The next entries in the order of their names' bytes; empty at the end. At most `limit` of them.
    pub async fn next(&mut self, limit: u32) -> Result<Vec<Entry>> {
        let limit = limit.max(1);
        let mut out = Vec::new();
        loop {
            let nodes = match (self.node, self.tree_done) {
                (Some(id), false) => {
                    let mut query = self.inner.ledger.read(self.reach.clone()).await?;
                    query.children(id, self.after.as_deref(), limit).await?
                }
                _ => Vec::new(),
            };
            self.tree_done |= nodes.len() < limit as usize;
            let last = nodes.last().map(|n| n.name.clone());
            for node in nodes {
                if self.shadowed.contains(&node.name) {
                    continue;
                }
                let path = self.path.join(&Name::parse(&node.name)?)?;
                let entry = Entry::of_node(&node, path.clone(), false);
                let entry = match self.partials.remove(&node.name) {
                    Some(row) if !node.is_folder() => Entry::of_upload(&row, Some(&entry), path),
                    _ => entry,
                };
                self.take_before(&node.name, &mut out)?;
                out.push(entry);
            }
            match last {
                Some(last) => self.after = Some(last),
                None => self.tree_done = true,
            }
            if self.tree_done {
                self.take_rest(&mut out)?;
            }
            if !out.is_empty() || self.tree_done {
                return Ok(out);
            }
        }
    }

    /// Moves what stands before a name among the entries that are not the tree's.
    fn take_before(&mut self, name: &str, out: &mut Vec<Entry>) -> Result<()> {
        self.take_partials(Some(name))?;
        while let Some(first) = self.extra.first_entry() {
            if first.key().as_str() >= name {
                break;
            }
            out.push(first.remove());
        }
        Ok(())
    }

    fn take_rest(&mut self, out: &mut Vec<Entry>) -> Result<()> {
        self.take_partials(None)?;
        out.extend(std::mem::take(&mut self.extra).into_values());
        Ok(())
    }

    /// Partials without a visible version become entries of their own.
    fn take_partials(&mut self, before: Option<&str>) -> Result<()> {
        while let Some(first) = self.partials.first_entry() {
            if before.is_some_and(|name| first.key().as_str() >= name) {
                break;
            }
            let (name, row) = first.remove_entry();
            let path = self.path.join(&Name::parse(&name)?)?;
            self.extra.insert(name, Entry::of_upload(&row, None, path));
        }
        Ok(())
    }
}
