//! Blobs on a local disk: `<root>/<prefix…>/<first two digits of the key>/<key in 32 digits>`. Every path is resolved
//! below the root by the kernel (`openat2` with `RESOLVE_BENEATH`, through cap-std), whatever stands in the prefix.
//!
//! What a power cut must not take is written in this order: the file's content (`fdatasync`), the shard folder that
//! names the file, then every folder above it that this process has not yet seen durable. A folder that is already
//! there is no proof that its own name is on the disk: another upload may have made it a moment ago, or a process that
//! ended before it could sync. So the memory of what is durable begins empty at each start.
//!
//! Every call that may wait for the disk runs on Tokio's blocking pool, with these exceptions: reads of what the page cache
//! holds, see [`reader`]; and, where the disk has shown that it syncs in less time than the hop to another thread and back
//! is worth ([`Swiftness`]: memory, mostly), opening a blob and putting a small one. No single buffered write is an exception
//! on other disks: it waits when the kernel throttles dirty pages, for as long as the disk pleases, and ext4 has none that
//! would refuse to.

mod marker;
mod reader;
mod walk;
mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};
use causeway_core::ports::{BlobReader, BlobStore, BlobWriter};
use causeway_core::records::BlobId;
use causeway_core::{Error, ErrorKind, Result};
use uuid::Uuid;

use super::{check_prefix, missing};
use crate::swift::{Swiftness, is_in_memory};

/// Files are the gateway's alone.
const FILE_MODE: u32 = 0o600;
/// So are folders.
const FOLDER_MODE: u32 = 0o700;

/// Below this size a blob is small: made on the spot where the disk is swift.
const SMALL: usize = 64 * 1024;

/// Blobs below one folder of a local disk.
#[derive(Clone, Debug)]
pub struct LocalBlobs {
    root: Arc<Root>,
    storage: Arc<str>,
}

impl LocalBlobs {
    /// Opens the folder, which is made if it is missing (durably, its parents too). It blocks for a moment: call it at
    /// start-up. `Unavailable` where it cannot be made or opened.
    pub fn open(root: &Path) -> Result<Self> {
        let opened = make_root(root).and_then(|()| Dir::open_ambient_dir(root, ambient_authority()));
        let dir = opened.map_err(|error| {
            tracing::error!(%error, root = %root.display(), "cannot open a storage");
            let why = error.kind();
            let message =
                format!("the storage's folder cannot be opened ({why}); check `root` and who may write there");
            Error::new(ErrorKind::Unavailable, message)
        })?;
        let root = Root {
            dir,
            durable: Mutex::default(),
            prefixes: Mutex::default(),
            reads_without_wait: AtomicBool::new(cfg!(target_os = "linux")),
            in_memory: is_in_memory(root),
            swiftness: Swiftness::of(root),
        };
        Ok(Self { root: Arc::new(root), storage: Arc::from("") })
    }

    /// With the name by which the ledger knows the storage: the ids that [`BlobStore::keys`] returns carry it.
    pub fn named(self, storage: &str) -> Self {
        Self { storage: storage.into(), ..self }
    }
}

#[async_trait]
impl BlobStore for LocalBlobs {
    async fn create(&self, id: &BlobId) -> Result<Box<dyn BlobWriter>> {
        let (root, place) = (self.root.clone(), Place::of(id)?);
        let writer = blocking(move || {
            let file = root.create(&place).map_err(|error| Error::from_io("create a blob", &error))?;
            Ok(writer::LocalWriter::new(file, root, place))
        });
        Ok(Box::new(writer.await?))
    }

    /// One step in place of three: on the spot where that is swift, else on the blocking pool.
    async fn put(&self, id: &BlobId, pieces: Vec<Bytes>) -> Result<()> {
        let (root, place) = (self.root.clone(), Place::of(id)?);
        let small = pieces.iter().map(Bytes::len).sum::<usize>() < SMALL;
        let here = small && root.swiftness.is_swift();
        let work = move || {
            let begun = Instant::now();
            let file = root.create(&place).map_err(|error| Error::from_io("create a blob", &error))?;
            writer::write_whole(file, root.clone(), place, &pieces)?;
            if small {
                root.swiftness.note(begun.elapsed());
            }
            Ok(())
        };
        if here { work() } else { blocking(work).await }
    }

    async fn open(&self, id: &BlobId) -> Result<Arc<dyn BlobReader>> {
        let (root, place, key) = (self.root.clone(), Place::of(id)?, id.key);
        let here = root.swiftness.is_swift();
        let work = move || match root.dir.open(place.path()) {
            Ok(file) => reader::LocalReader::new(file.into_std(), root),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(key)),
            Err(error) => Err(Error::from_io("open a blob", &error)),
        };
        Ok(Arc::new(if here { work()? } else { blocking(work).await? }))
    }

    /// Nothing is synced: if a power cut undoes the removal, the sweeper or the search for orphans does it again.
    async fn remove(&self, id: &BlobId) -> Result<()> {
        let (root, place) = (self.root.clone(), Place::of(id)?);
        blocking(move || match root.dir.remove_file(place.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::from_io("remove a blob", &error)),
            _ => Ok(()),
        })
        .await
    }

    async fn claim(&self, gateway: Uuid) -> Result<()> {
        let root = self.root.clone();
        blocking(move || marker::claim(&root, gateway)).await
    }

    async fn keys(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<BlobId>> {
        let (root, storage) = (self.root.clone(), self.storage.clone());
        blocking(move || {
            walk::keys(&root, &storage, after, limit).map_err(|error| Error::from_io("list the blobs", &error))
        })
        .await
    }
}

/// The folder of a storage, and what this process knows of it.
#[derive(Debug)]
struct Root {
    dir: Dir,
    /// The shard folders, by prefix, whose names are durable all the way up to the root.
    durable: Mutex<HashMap<Arc<str>, Shards>>,
    /// The prefixes that the last walk found; see [`walk`].
    prefixes: Mutex<Option<Arc<[Arc<str>]>>>,
    /// Whether the file system can read without waiting, as far as known.
    reads_without_wait: AtomicBool,
    /// Whether it is one that never waits for a disk.
    in_memory: bool,
    /// How long it takes to make a small blob durable.
    swiftness: Swiftness,
}

/// A set of the 256 shards of a prefix.
#[derive(Debug, Default)]
struct Shards([u64; 4]);

impl Shards {
    fn has(&self, shard: u8) -> bool {
        self.0.get(usize::from(shard / 64)).is_some_and(|word| word & (1 << (shard % 64)) != 0)
    }

    fn add(&mut self, shard: u8) {
        if let Some(word) = self.0.get_mut(usize::from(shard / 64)) {
            *word |= 1 << (shard % 64);
        }
    }
}

/// Where a blob is below the root.
#[derive(Debug)]
struct Place {
    prefix: Arc<str>,
    key: Uuid,
}

impl Place {
    fn of(id: &BlobId) -> Result<Self> {
        check_prefix(&id.prefix)?;
        Ok(Self { prefix: id.prefix.clone(), key: id.key })
    }

    fn shard(&self) -> u8 {
        let [shard, ..] = *self.key.as_bytes();
        shard
    }

    fn folder(&self) -> String {
        shard_folder(&self.prefix, self.shard())
    }

    fn path(&self) -> String {
        format!("{}/{}", self.folder(), self.key.simple())
    }
}

fn shard_folder(prefix: &str, shard: u8) -> String {
    if prefix.is_empty() { format!("{shard:02x}") } else { format!("{prefix}/{shard:02x}") }
}

impl Root {
    /// Makes the file, and what folders it lacks. A key is random: one that is there is never written again.
    fn create(&self, place: &Place) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        let path = place.path();
        let file = match self.dir.open_with(&path, &options) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folders(&place.folder())?;
                self.dir.open_with(&path, &options)
            }
            opened => opened,
        };
        file.map(cap_std::fs::File::into_std)
    }

    fn make_folders(&self, folder: &str) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.mode(FOLDER_MODE);
        let above = folder.match_indices('/').filter_map(|(end, _)| folder.get(..end));
        for path in above.chain([folder]) {
            match self.dir.create_dir_with(path, &builder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the names of the files in a shard durable, and that of the shard itself.
    fn sync_folders(&self, place: &Place) -> io::Result<()> {
        let shard = place.shard();
        self.sync_folder(&place.folder())?;
        let (prefix_known, shard_known) = {
            let durable = self.durable();
            let shards = durable.get(&place.prefix);
            (shards.is_some(), shards.is_some_and(|shards| shards.has(shard)))
        };
        if shard_known {
            return Ok(());
        }
        // Two uploads may come here at once: both sync, neither relies on the other's unfinished work.
        self.sync_folder(&place.prefix)?;
        if !prefix_known {
            let mut folder: &str = &place.prefix;
            while !folder.is_empty() {
                folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
                self.sync_folder(folder)?;
            }
        }
        self.durable().entry(place.prefix.clone()).or_default().add(shard);
        Ok(())
    }

    /// `fsync` of a folder below the root, or of the root itself for "".
    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        // Opened to read: the handle that cap-std keeps of a folder (`O_PATH`) cannot be synced.
        self.dir.open(if folder.is_empty() { "." } else { folder })?.sync_all()
    }

    fn durable(&self) -> MutexGuard<'_, HashMap<Arc<str>, Shards>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the root and its parents where they are missing, each name durable before the next one is made.
fn make_root(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_root(parent)?;
    }
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, FOLDER_MODE);
    match builder.create(root) {
        // Another process was faster; or it is no folder, which opening it will tell.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Runs what may wait for the disk where waiting harms nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(broken_off(&error)))
}

/// The failure of work that did not come to its end: the runtime is ending, or the work has a defect.
fn broken_off(error: &tokio::task::JoinError) -> Error {
    if error.is_cancelled() {
        Error::new(ErrorKind::Unavailable, "the gateway is closing; try again later")
    } else {
        Error::internal(error)
    }
}

#[cfg(test)]
mod tests;
