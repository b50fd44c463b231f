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
use causeway_core::{Entry, Error, ErrorKind, Receipt, Result, UploadOptions, VirtualPath};
use uuid::Uuid;

use crate::files::{Files, Paging, Reading, Writing};

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
    pause: Duration,
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

    /// Writes and commits take so long.
    pub(crate) fn slow(&self, pause: Duration) {
        lock(self).pause = pause;
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
    type Listing = FakeListing;

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
        Ok(FakeListing { folder, entries })
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

    async fn rename(&self, from: &VirtualPath, to: &VirtualPath) -> Result<Entry> {
        pause(self).await;
        let mut state = lock(self);
        if state.nodes.contains_key(to.as_str()) {
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

impl Reading for FakeDownload {
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
    folder: Entry,
    entries: Vec<Entry>,
}

impl Paging for FakeListing {
    fn folder(&self) -> &Entry {
        &self.folder
    }

    async fn next(&mut self, limit: u32) -> Result<Vec<Entry>> {
        tokio::task::yield_now().await;
        let count = self.entries.len().min(limit as usize);
        Ok(self.entries.drain(..count).collect())
    }
}
