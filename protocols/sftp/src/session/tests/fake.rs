//! Files in memory, with the gateway's promises as far as a session can see them: for tests and the fuzzer.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use causeway_core::events::Operation;
use causeway_core::namespace::Target;
use causeway_core::records::Attributes;
use causeway_core::transfer::Disposition;
use causeway_core::{Entry, Error, ErrorKind, Receipt, Result, Space, UploadOptions, VirtualPath};
use uuid::Uuid;

use crate::files::{Content, Files, Paging, Reading, Writing};

#[derive(Clone, Default)]
struct Node {
    /// None: a folder.
    content: Option<Vec<u8>>,
    attributes: Attributes,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Node>,
    /// Incomplete uploads.
    partials: BTreeMap<String, Vec<u8>>,
    log: Vec<String>,
    reads: usize,
    open: usize,
    limit: Option<usize>,
    sync_fails: bool,
    commit_fails: bool,
    /// Folders that have so many files, made when they are listed.
    endless: BTreeMap<String, usize>,
    /// The most entries that a listing was asked for, and handed out, at a time.
    page: usize,
    pause: Duration,
    /// Whether contents are not read on for now.
    held: tokio::sync::watch::Sender<bool>,
    /// Who waits for that.
    waiting: usize,
}

/// See the module. Clones are the same files.
#[derive(Clone)]
pub(crate) struct FakeFiles(Arc<Mutex<State>>);

fn lock(files: &FakeFiles) -> MutexGuard<'_, State> {
    files.0.lock().unwrap()
}

fn entry(path: &str, node: &Node) -> Entry {
    let path = VirtualPath::parse(path).unwrap();
    Entry {
        id: Uuid::nil(),
        name: path.name().map(|name| name.to_string()).unwrap_or_default(),
        path,
        folder: node.content.is_none(),
        size: node.content.as_ref().map_or(0, |content| content.len() as u64),
        sha256: None,
        content_type: None,
        created_at: 0,
        modified_at: node.attributes.modified_at.unwrap_or(0),
        attributes: Attributes { modified_at: None, ..node.attributes.clone() },
        created_by: None,
        classification: None,
        tags: BTreeMap::new(),
        partial: false,
        mount_point: false,
    }
}

impl FakeFiles {
    pub(crate) fn new() -> Arc<Self> {
        let nodes = BTreeMap::from([("/".to_owned(), Node::default())]);
        Arc::new(Self(Arc::new(Mutex::new(State { nodes, ..State::default() }))))
    }

    /// Puts a file, and the folder it is in.
    pub(crate) fn put(&self, path: &str, content: &[u8]) {
        let mut state = lock(self);
        if let Some(parent) = VirtualPath::parse(path).unwrap().parent() {
            state.nodes.entry(parent.to_string()).or_default();
        }
        state.nodes.insert(path.to_owned(), Node { content: Some(content.to_vec()), ..Node::default() });
    }

    /// Leaves an upload to be resumed.
    pub(crate) fn partial(&self, path: &str, content: &[u8]) {
        lock(self).partials.insert(path.to_owned(), content.to_vec());
    }

    pub(crate) fn content(&self, path: &str) -> Option<Vec<u8>> {
        lock(self).nodes.get(path).and_then(|node| node.content.clone())
    }

    pub(crate) fn log(&self) -> Vec<String> {
        lock(self).log.clone()
    }

    pub(crate) fn reads(&self) -> usize {
        lock(self).reads
    }

    /// Uploads and downloads that are neither ended nor given up.
    pub(crate) fn open(&self) -> usize {
        lock(self).open
    }

    /// Uploads longer than this have no room.
    pub(crate) fn limit(&self, bytes: usize) {
        lock(self).limit = Some(bytes);
    }

    /// Makes the disk fail at syncs, or commits.
    pub(crate) fn fail(&self, syncs: bool, commits: bool) {
        let mut state = lock(self);
        (state.sync_fails, state.commit_fails) = (syncs, commits);
    }

    /// A folder of so many files.
    pub(crate) fn endless(&self, path: &str, count: usize) {
        let mut state = lock(self);
        state.nodes.insert(path.to_owned(), Node::default());
        state.endless.insert(path.to_owned(), count);
    }

    /// The longest page that was asked for.
    pub(crate) fn page(&self) -> usize {
        lock(self).page
    }

    /// Writes and commits take so long.
    pub(crate) fn slow(&self, pause: Duration) {
        lock(self).pause = pause;
    }
}

impl FakeFiles {
    /// Keeps contents (not downloads) from being read on, or lets them go on.
    pub(crate) fn hold(&self, held: bool) {
        lock(self).held.send_replace(held);
    }

    /// Reads that are kept so.
    pub(crate) fn waiting(&self) -> usize {
        lock(self).waiting
    }
}

async fn pause(files: &FakeFiles) {
    let pause = lock(files).pause;
    if pause.is_zero() {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(pause).await;
    }
}

impl Files for FakeFiles {
    type Upload = FakeUpload;
    type Download = FakeDownload;
    type Source = FakeSource;
    type Listing = FakeListing;

    fn login(&self) -> &'static str {
        "edi01"
    }

    async fn stat(&self, path: &VirtualPath) -> Result<Entry> {
        pause(self).await;
        let state = lock(self);
        state.nodes.get(path.as_str()).map(|node| entry(path.as_str(), node)).ok_or_else(Error::not_found)
    }

    async fn list(&self, path: &VirtualPath) -> Result<FakeListing> {
        let folder = self.stat(path).await?;
        if !folder.folder {
            return Err(Error::new(ErrorKind::NotFolder, "this is a file"));
        }
        let state = lock(self);
        let entries = state
            .nodes
            .iter()
            .filter(|(name, _)| VirtualPath::parse(name).unwrap().parent().as_ref() == Some(path))
            .map(|(name, node)| entry(name, node))
            .collect();
        let endless = 0..state.endless.get(path.as_str()).copied().unwrap_or_default();
        drop(state);
        Ok(FakeListing { files: self.clone(), folder, entries, endless })
    }

    async fn make_folder(&self, path: &VirtualPath, attributes: Attributes) -> Result<Entry> {
        pause(self).await;
        let mut state = lock(self);
        if state.nodes.contains_key(path.as_str()) {
            return Err(Error::already_exists());
        }
        let node = Node { content: None, attributes };
        state.nodes.insert(path.to_string(), node.clone());
        Ok(entry(path.as_str(), &node))
    }

    async fn remove_folder(&self, path: &VirtualPath) -> Result<()> {
        pause(self).await;
        let mut state = lock(self);
        match state.nodes.get(path.as_str()) {
            None => Err(Error::not_found()),
            Some(node) if node.content.is_some() => Err(Error::new(ErrorKind::NotFolder, "this is a file")),
            Some(_) => {
                state.nodes.remove(path.as_str());
                Ok(())
            }
        }
    }

    async fn remove_file(&self, path: &VirtualPath) -> Result<()> {
        pause(self).await;
        let mut state = lock(self);
        match state.nodes.get(path.as_str()) {
            None => Err(Error::not_found()),
            Some(node) if node.content.is_none() => Err(Error::new(ErrorKind::IsFolder, "this is a folder")),
            Some(_) => {
                state.nodes.remove(path.as_str());
                Ok(())
            }
        }
    }

    async fn space(&self, path: &VirtualPath) -> Result<Space> {
        self.stat(path).await?;
        Ok(Space { total: 1 << 30, free: 1 << 20, read_only: false })
    }

    async fn examine(&self, path: &VirtualPath) -> Result<FakeSource> {
        lock(self).log.push(format!("examine {path}"));
        let state = lock(self);
        let node = state.nodes.get(path.as_str()).ok_or_else(Error::not_found)?;
        let content = node.content.clone();
        let content = content.ok_or_else(|| Error::new(ErrorKind::IsFolder, "this is a folder"))?;
        Ok(FakeSource::of(self, content))
    }

    async fn rename(&self, from: &VirtualPath, to: &VirtualPath, overwrite: bool) -> Result<Entry> {
        pause(self).await;
        let mut state = lock(self);
        if state.nodes.contains_key(to.as_str()) && !overwrite {
            return Err(Error::already_exists());
        }
        let node = state.nodes.remove(from.as_str()).ok_or_else(Error::not_found)?;
        state.nodes.insert(to.to_string(), node.clone());
        Ok(entry(to.as_str(), &node))
    }

    async fn set_attributes(&self, target: &Target, attributes: Attributes) -> Result<Entry> {
        pause(self).await;
        let Target::Path(path) = target else { return Err(Error::not_found()) };
        let mut state = lock(self);
        let node = state.nodes.get_mut(path.as_str()).ok_or_else(Error::not_found)?;
        node.attributes = node.attributes.merged(&attributes);
        Ok(entry(path.as_str(), node))
    }

    async fn begin_upload(&self, path: &VirtualPath, options: UploadOptions) -> Result<FakeUpload> {
        pause(self).await;
        let mut state = lock(self);
        let there = state.nodes.get(path.as_str()).cloned();
        if there.as_ref().is_some_and(|node| node.content.is_none()) {
            return Err(Error::new(ErrorKind::IsFolder, "this is a folder"));
        }
        let partial = match options.disposition {
            Disposition::Modify { .. } => state.partials.remove(path.as_str()),
            _ => None,
        };
        let resumed = partial.is_some();
        let content = match options.disposition {
            Disposition::Modify { .. } if resumed => partial.unwrap_or_default(),
            Disposition::Create { .. } if there.is_some() => return Err(Error::already_exists()),
            Disposition::Truncate | Disposition::Modify { create: false } if there.is_none() => {
                return Err(Error::not_found());
            }
            Disposition::Modify { .. } => there.and_then(|node| node.content).unwrap_or_default(),
            Disposition::Replace | Disposition::Create { .. } | Disposition::Truncate => Vec::new(),
        };
        state.open += 1;
        let node = Node { content: Some(content), attributes: options.attributes };
        let (files, path) = (self.clone(), path.to_string());
        Ok(FakeUpload { files, path, resumed, node: Mutex::new(node), ended: false })
    }

    async fn begin_download(&self, path: &VirtualPath) -> Result<FakeDownload> {
        let entry = self.stat(path).await?;
        let mut state = lock(self);
        let content = state.nodes.get(path.as_str()).and_then(|node| node.content.clone());
        let content = content.ok_or_else(|| Error::new(ErrorKind::IsFolder, "this is a folder"))?;
        state.open += 1;
        Ok(FakeDownload { files: self.clone(), entry, content: content.into(), ended: false })
    }

    async fn refused(&self, operation: Operation, path: &str, _error: &Error) {
        lock(self).log.push(format!("refused {} {path}", operation.as_str()));
    }

    async fn failed(&self, operation: Operation, path: &VirtualPath, _error: &Error) {
        lock(self).log.push(format!("failed {} {path}", operation.as_str()));
    }
}

pub(crate) struct FakeUpload {
    files: FakeFiles,
    path: String,
    resumed: bool,
    node: Mutex<Node>,
    ended: bool,
}

impl FakeUpload {
    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let limit = lock(&self.files).limit;
        let mut node = self.node.lock().unwrap();
        let content = node.content.get_or_insert_default();
        let before = content.len();
        change(content);
        if limit.is_some_and(|limit| content.len() > limit) {
            content.truncate(before);
            return Err(Error::new(ErrorKind::QuotaExceeded, "the quota is used up"));
        }
        Ok(())
    }

    fn end(&mut self, line: String) {
        self.ended = true;
        let mut state = lock(&self.files);
        state.open -= 1;
        state.log.push(line);
    }
}

impl Drop for FakeUpload {
    fn drop(&mut self) {
        if !self.ended {
            let line = format!("dropped {}", self.path);
            self.end(line);
        }
    }
}

impl Writing for FakeUpload {
    type Source = FakeSource;

    fn source(&self) -> Result<FakeSource> {
        Ok(FakeSource::of(&self.files, self.node.lock().unwrap().content.clone().unwrap_or_default()))
    }

    async fn adopt(&self, source: &FakeSource) -> Result<bool> {
        pause(&self.files).await;
        if !self.node.lock().unwrap().content.as_ref().is_none_or(Vec::is_empty) {
            return Ok(false);
        }
        lock(&self.files).log.push(format!("adopt {}", self.path));
        self.change(|content| content.extend_from_slice(&source.content))?;
        Ok(true)
    }

    async fn copy_at(&self, to: Option<u64>, source: &FakeSource, from: u64, len: u64) -> Result<u64> {
        // In small steps, so that a copy takes several.
        let data = source.read_at(from, len.min(1000) as usize).await?;
        let copied = data.len() as u64;
        match to {
            Some(to) => self.write_at(to, data).await?,
            None => self.append(data).await?,
        }
        Ok(copied)
    }

    async fn sync(&self) -> Result<()> {
        pause(&self.files).await;
        let mut state = lock(&self.files);
        if state.sync_fails {
            return Err(Error::new(ErrorKind::Unavailable, "the disk is away"));
        }
        state.log.push(format!("sync {}", self.path));
        Ok(())
    }

    fn is_resumed(&self) -> bool {
        self.resumed
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<()> {
        pause(&self.files).await;
        let end = offset.checked_add(data.len() as u64).filter(|end| *end < 1 << 28);
        let end = end.ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "too far"))? as usize;
        self.change(|content| {
            if content.len() < end {
                content.resize(end, 0);
            }
            content[offset as usize..end].copy_from_slice(&data);
        })
    }

    async fn append(&self, data: Bytes) -> Result<()> {
        pause(&self.files).await;
        self.change(|content| content.extend_from_slice(&data))
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        pause(&self.files).await;
        let content: Bytes = self.node.lock().unwrap().content.clone().unwrap_or_default().into();
        Ok(part(&content, offset, len))
    }

    async fn set_size(&self, size: u64) -> Result<()> {
        pause(&self.files).await;
        // What is kept here is kept whole, in memory.
        if size >= 1 << 24 {
            return Err(Error::new(ErrorKind::FileTooLarge, "the file is larger than the limit"));
        }
        self.change(|content| content.resize(size as usize, 0))
    }

    async fn set_attributes(&self, attributes: Attributes) -> Result<()> {
        let mut node = self.node.lock().unwrap();
        node.attributes = node.attributes.merged(&attributes);
        Ok(())
    }

    async fn stat(&self) -> Result<Entry> {
        Ok(entry(&self.path, &self.node.lock().unwrap()))
    }

    async fn commit(mut self) -> Result<Receipt> {
        pause(&self.files).await;
        if lock(&self.files).commit_fails {
            let line = format!("incomplete {}", self.path);
            self.end(line);
            return Err(Error::new(ErrorKind::NoSpace, "the storage is full"));
        }
        let node = self.node.lock().unwrap().clone();
        let entry = entry(&self.path, &node);
        lock(&self.files).nodes.insert(self.path.clone(), node);
        let line = format!("commit {}", self.path);
        self.end(line);
        Ok(Receipt { entry, created: true, transfer_id: Uuid::nil() })
    }

    async fn detach(mut self, reason: Error) {
        let size = self.node.lock().unwrap().content.as_ref().map_or(0, Vec::len);
        let line = format!("detach {} {size} {}", self.path, reason.kind().code());
        self.end(line);
    }
}

fn part(content: &Bytes, offset: u64, len: usize) -> Bytes {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
    content.slice(start..start.saturating_add(len).min(content.len()))
}

pub(crate) struct FakeDownload {
    files: FakeFiles,
    entry: Entry,
    content: Bytes,
    ended: bool,
}

impl FakeDownload {
    fn end(&mut self, word: &str) {
        self.ended = true;
        let mut state = lock(&self.files);
        state.open -= 1;
        state.log.push(format!("{word} {}", self.entry.path));
    }
}

impl Drop for FakeDownload {
    fn drop(&mut self) {
        if !self.ended {
            self.end("dropped");
        }
    }
}

/// Content, as it was when it was asked for.
pub(crate) struct FakeSource {
    files: FakeFiles,
    content: Bytes,
}

impl FakeSource {
    fn of(files: &FakeFiles, content: Vec<u8>) -> Self {
        Self { files: files.clone(), content: content.into() }
    }
}

impl Content for FakeSource {
    async fn size(&self) -> u64 {
        self.content.len() as u64
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        // None that any content has: what shows it read nothing.
        Some([7; 32])
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        pause(&self.files).await;
        let mut held = lock(&self.files).held.subscribe();
        lock(&self.files).waiting += 1;
        let _ = held.wait_for(|held| !held).await;
        lock(&self.files).waiting -= 1;
        lock(&self.files).reads += 1;
        Ok(part(&self.content, offset, len))
    }
}

impl Reading for FakeDownload {
    type Source = FakeSource;

    fn source(&self) -> Result<FakeSource> {
        Ok(FakeSource { files: self.files.clone(), content: self.content.clone() })
    }

    fn entry(&self) -> &Entry {
        &self.entry
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        pause(&self.files).await;
        lock(&self.files).reads += 1;
        Ok(part(&self.content, offset, len))
    }

    async fn finish(mut self) -> Result<()> {
        self.end("finish");
        Ok(())
    }

    async fn fail(mut self, _reason: Error) {
        self.end("fail");
    }
}

pub(crate) struct FakeListing {
    files: FakeFiles,
    folder: Entry,
    entries: Vec<Entry>,
    endless: std::ops::Range<usize>,
}

impl Paging for FakeListing {
    fn folder(&self) -> &Entry {
        &self.folder
    }

    async fn next(&mut self, limit: u32) -> Result<Vec<Entry>> {
        tokio::task::yield_now().await;
        {
            let mut state = lock(&self.files);
            state.page = state.page.max(limit as usize);
        }
        if !self.endless.is_empty() {
            let node = Node { content: Some(Vec::new()), ..Node::default() };
            let folder = self.folder.path.clone();
            return Ok(self
                .endless
                .by_ref()
                .take(limit as usize)
                .map(|n| entry(&format!("{folder}/{n:07}"), &node))
                .collect());
        }
        let count = self.entries.len().min(limit as usize);
        Ok(self.entries.drain(..count).collect())
    }
}
