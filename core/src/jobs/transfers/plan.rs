//! From what was asked for to the steps: looked for once, when the job first runs, and kept. What comes into the source later
//! is not part of it.

use std::collections::HashSet;
use std::sync::Arc;

use super::pattern::{Source, step};
use super::telling;
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::identity::Session;
use crate::namespace::{Entry, Target};
use crate::path::{Name, VirtualPath};
use crate::records::{ItemKind, ItemState, JobItem, JobOperation, JobOrder};

/// Entries of a folder that are read at a time.
const PAGE: u32 = 500;

/// The steps of a job.
#[derive(Default)]
pub(super) struct Plan {
    pub items: Vec<JobItem>,
    /// The folders that there is a step for.
    folders: HashSet<VirtualPath>,
    files: usize,
    most: usize,
}

impl Plan {
    fn push(
        &mut self,
        kind: ItemKind,
        source: Option<&VirtualPath>,
        to: Option<&VirtualPath>,
        size: u64,
    ) -> Result<()> {
        if kind.counts() {
            self.files += 1;
        }
        if self.files > self.most || self.items.len() > self.most.saturating_mul(2) {
            return Err(self.too_many());
        }
        let text = |path: Option<&VirtualPath>| path.map_or_else(String::new, |path| path.as_str().to_owned());
        self.items.push(JobItem {
            number: self.items.len() as i64,
            kind,
            source: text(source),
            destination: text(to),
            size,
            state: ItemState::Pending,
            error_code: None,
            error_message: None,
        });
        Ok(())
    }

    fn too_many(&self) -> Error {
        let sentence = format!("the transfer has more than {} files; ask for fewer at a time", self.most);
        Error::new(ErrorKind::InvalidArgument, sentence)
    }

    /// Bytes of all its files.
    pub(super) fn size(&self) -> u64 {
        self.items.iter().filter(|item| item.kind.counts()).fold(0, |sum, item| sum.saturating_add(item.size))
    }

    /// How many files.
    pub(super) const fn files(&self) -> u64 {
        self.files as u64
    }
}

/// Whether it only says that nothing is there.
fn is_absence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NoSuchFolder)
}

impl Inner {
    /// The steps of what was asked for. Fails where nothing can be done at all.
    pub(super) async fn plan(self: &Arc<Self>, session: &Arc<Session>, order: &JobOrder) -> Result<Plan> {
        let source = Source::parse(&order.source)?;
        let to = VirtualPath::parse(&order.destination)?;
        let mut plan = Plan { most: self.settings.transfers.max_files, ..Plan::default() };
        if source.is_pattern() {
            self.plan_matches(session, order, &source, &to, &mut plan).await?;
            if plan.files == 0 && plan.items.is_empty() {
                return Err(Error::new(ErrorKind::NotFound, "no file matches the pattern of the source"));
            }
            return Ok(plan);
        }
        let from = source.path();
        let entry = self.existing_source(session, from).await?;
        let into = order.destination.ends_with('/') || self.is_folder(session, &to).await?;
        let to = match from.name() {
            Some(name) if into => to.join(&name)?,
            _ => to,
        };
        if to == *from {
            return Err(Error::new(ErrorKind::InvalidArgument, "the source and the destination are the same"));
        }
        if !entry.folder {
            self.plan_parents(session, &to, &mut plan).await?;
            plan.push(ItemKind::File, Some(from), Some(&to), entry.size)?;
        } else if to.below(from).is_some() {
            return Err(Error::new(ErrorKind::InvalidArgument, "a folder cannot be put into itself or below itself"));
        } else if order.operation == JobOperation::Move && self.moves_whole(session, &entry, &to).await? {
            self.plan_parents(session, &to, &mut plan).await?;
            plan.push(ItemKind::Tree, Some(from), Some(&to), 0)?;
        } else {
            self.plan_parents(session, &to, &mut plan).await?;
            self.plan_folder(session, order, (from, &to), entry.mount_point, &mut plan).await?;
        }
        Ok(plan)
    }

    /// What stands where something is to be taken from: nobody is told to make the folder of that first.
    pub(super) async fn existing_source(&self, session: &Session, path: &VirtualPath) -> Result<Entry> {
        match self.stat(session, &Target::Path(path.clone())).await {
            Err(error) if error.kind() == ErrorKind::NoSuchFolder => Err(Error::not_found()),
            entry => entry,
        }
    }

    async fn is_folder(&self, session: &Session, path: &VirtualPath) -> Result<bool> {
        match self.stat(session, &Target::Path(path.clone())).await {
            Ok(entry) => Ok(entry.folder),
            // Nothing that may be seen; what is done there says what is wrong.
            Err(error) if is_absence(&error) || error.kind() == ErrorKind::NotFolder => Ok(false),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(path.is_root()),
            Err(error) => Err(error),
        }
    }

    /// Whether a folder can be moved by one switch of names: within a storage, to a name that is free.
    async fn moves_whole(&self, session: &Session, entry: &Entry, to: &VirtualPath) -> Result<bool> {
        let storage = |path: &VirtualPath| {
            let place = crate::gateway::locate_place(session, path).ok()?;
            session.tenant.mount_of(&place.path).map(|mount| mount.storage.clone())
        };
        if entry.mount_point || entry.path.is_root() || storage(&entry.path) != storage(to) {
            return Ok(false);
        }
        match self.stat(session, &Target::Path(to.clone())).await {
            Ok(_) => Ok(false),
            Err(error) if is_absence(&error) => Ok(true),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Steps for the folders above a place that are missing.
    async fn plan_parents(&self, session: &Session, to: &VirtualPath, plan: &mut Plan) -> Result<()> {
        let mut above = Vec::new();
        let mut at = to.parent();
        while let Some(folder) = at.filter(|folder| !folder.is_root() && !plan.folders.contains(folder)) {
            match self.stat(session, &Target::Path(folder.clone())).await {
                Err(error) if is_absence(&error) => {}
                _ => break,
            }
            at = folder.parent();
            above.push(folder);
        }
        for folder in above.into_iter().rev() {
            plan.push(ItemKind::Folder, None, Some(&folder), 0)?;
            plan.folders.insert(folder);
        }
        Ok(())
    }

    /// The entries of a folder that are wanted; none where it may not be listed, which is then a step that has failed.
    async fn entries_of(
        self: &Arc<Self>,
        session: &Arc<Session>,
        order: &JobOrder,
        folder: &VirtualPath,
        top: bool,
        wanted: impl Fn(&Entry) -> bool + Send,
        plan: &mut Plan,
    ) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut listing = match self.list(session, folder, None).await {
            Ok(listing) => listing,
            Err(error) if !top && error.kind() == ErrorKind::PermissionDenied => {
                plan.push(ItemKind::Folder, Some(folder), None, 0)?;
                if let Some(last) = plan.items.last_mut() {
                    *last = telling::failed(last, &error);
                    let facts = self.facts_of_step(session, order.operation, last);
                    self.put_failure(facts, &error).await;
                }
                return Ok(entries);
            }
            // It went away meanwhile.
            Err(error) if !top && is_absence(&error) => return Ok(entries),
            Err(error) => return Err(error),
        };
        loop {
            session.moved(0)?;
            let page = listing.next(PAGE).await?;
            if page.is_empty() {
                return Ok(entries);
            }
            entries.extend(page.into_iter().filter(|entry| !entry.partial && wanted(entry)));
            if entries.len() > plan.most.saturating_mul(2) {
                return Err(plan.too_many());
            }
        }
    }

    /// Steps for a folder with everything in it.
    async fn plan_folder(
        self: &Arc<Self>,
        session: &Arc<Session>,
        order: &JobOrder,
        (from, to): (&VirtualPath, &VirtualPath),
        mount_point: bool,
        plan: &mut Plan,
    ) -> Result<()> {
        let mut left = vec![(from.clone(), to.clone(), mount_point)];
        let mut emptied = Vec::new();
        while let Some((folder, goal, pinned)) = left.pop() {
            if !goal.is_root() && plan.folders.insert(goal.clone()) {
                plan.push(ItemKind::Folder, None, Some(&goal), 0)?;
            }
            if !pinned && !folder.is_root() {
                emptied.push(folder.clone());
            }
            for entry in self.entries_of(session, order, &folder, folder == *from, |_| true, plan).await? {
                let below = goal.join(&Name::parse(&entry.name)?)?;
                if !entry.folder {
                    plan.push(ItemKind::File, Some(&entry.path), Some(&below), entry.size)?;
                } else if entry.path != *to {
                    left.push((entry.path, below, entry.mount_point));
                }
            }
        }
        if order.operation == JobOperation::Move {
            for folder in emptied.iter().rev() {
                plan.push(ItemKind::Prune, Some(folder), None, 0)?;
            }
        }
        Ok(())
    }

    /// Steps for the files that match a pattern; what lies in the destination itself is left out.
    async fn plan_matches(
        self: &Arc<Self>,
        session: &Arc<Session>,
        order: &JobOrder,
        source: &Source,
        to: &VirtualPath,
        plan: &mut Plan,
    ) -> Result<()> {
        let mut left = vec![(source.base().clone(), vec![0])];
        while let Some((folder, places)) = left.pop() {
            let top = folder == *source.base();
            let wanted = |entry: &Entry| {
                let (below, whole) = step(source.parts(), &places, &entry.name);
                if entry.folder { !below.is_empty() } else { whole }
            };
            for entry in self.entries_of(session, order, &folder, top, wanted, plan).await? {
                let (below, whole) = step(source.parts(), &places, &entry.name);
                if entry.folder {
                    if !below.is_empty() && entry.path != *to {
                        left.push((entry.path, below));
                    }
                } else if whole {
                    let relative = entry.path.below(source.base()).unwrap_or_else(VirtualPath::root);
                    let goal = to.append(&relative)?;
                    if goal == entry.path {
                        continue;
                    }
                    self.plan_parents(session, &goal, plan).await?;
                    plan.push(ItemKind::File, Some(&entry.path), Some(&goal), entry.size)?;
                }
            }
        }
        Ok(())
    }
}
