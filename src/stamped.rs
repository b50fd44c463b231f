//! What is read from files and read again when they change: lists that an administrator replaces while the gateway serves.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use causeway_core::{Error, ErrorKind, Result};

/// A file that was changed less than this before it was read may be changed again within the same tick of its clock.
pub const TICK: Duration = Duration::from_secs(2);

/// Some files, and what was read of them last.
#[derive(Debug)]
pub struct Stamped<T> {
    files: Vec<PathBuf>,
    read: Mutex<Option<Read<T>>>,
}

#[derive(Debug)]
struct Read<T> {
    stamps: Vec<Stamp>,
    content: Arc<T>,
}

/// What tells that a file is the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether the file was left alone for long enough before `now` that a change after it shows.
    fn is_settled(self, now: SystemTime) -> bool {
        let changed = u64::try_from(self.changed.0).unwrap_or(0);
        now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(changed)).is_ok_and(|age| age > TICK)
    }
}

impl<T> Stamped<T> {
    /// Of these files. Nothing is read yet.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { files, read: Mutex::default() }
    }

    /// What the files hold now: what was read before where they are the same, else what `read` makes of them. Fails where
    /// one is not there, and as `read` does; then what was read before is not asked for any more. It blocks.
    pub fn current(&self, read: impl FnOnce(&[PathBuf]) -> Result<T>) -> Result<Arc<T>> {
        // Held while reading, so that many logins at once read a new file once.
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.files.iter().map(|path| Stamp::of(path)).collect::<Result<Vec<_>>>()?;
        if let Some(last) = last.as_ref().filter(|last| last.stamps == stamps) {
            return Ok(last.content.clone());
        }
        let now = SystemTime::now();
        let content = Arc::new(read(&self.files)?);
        // The stamps are older than what was read: a change in between is found the next time.
        *last = stamps.iter().all(|stamp| stamp.is_settled(now)).then(|| Read { stamps, content: content.clone() });
        Ok(content)
    }
}

/// `InvalidArgument` that names the file.
pub fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{} cannot be read: {}", path.display(), error.kind()))
}
