//! What is read from files and read again when they change: lists that an administrator replaces while the gateway serves.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use causeway_core::{Error, ErrorKind, Result};

/// A file that was changed less than this before it was read may be changed again within the same tick of its clock.
pub const TICK: Duration = Duration::from_secs(2);

/// How long it is remembered that the files cannot be used, as long as they look the same: who tries again and again must not
/// make the gateway read a large broken file each time.
const BROKEN: Duration = Duration::from_secs(1);

/// Some files, and what was read of them last.
#[derive(Debug)]
pub struct Stamped<T> {
    files: Vec<PathBuf>,
    read: Mutex<Option<Read<T>>>,
}

#[derive(Debug)]
struct Read<T> {
    stamps: Vec<Stamp>,
    outcome: Outcome<T>,
}

#[derive(Debug)]
enum Outcome<T> {
    /// All files together.
    Whole(Arc<T>),
    /// They cannot be used, as was found at this moment.
    Broken(Error, Instant),
}

/// What tells that a file is the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of the file as it is now. `InvalidArgument` where there is none.
    pub fn of(path: &Path) -> Result<Self> {
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
        self.current_at(read, Instant::now())
    }

    fn current_at(&self, read: impl FnOnce(&[PathBuf]) -> Result<T>, at: Instant) -> Result<Arc<T>> {
        // Held while reading, so that many logins at once read a new file once.
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.files.iter().map(|path| Stamp::of(path)).collect::<Result<Vec<_>>>()?;
        match last.as_ref().filter(|last| last.stamps == stamps).map(|last| &last.outcome) {
            Some(Outcome::Whole(content)) => return Ok(content.clone()),
            Some(Outcome::Broken(error, since)) if at.saturating_duration_since(*since) < BROKEN => {
                return Err(error.clone());
            }
            Some(Outcome::Broken(..)) | None => {}
        }
        let now = SystemTime::now();
        let content = match read(&self.files) {
            Ok(content) => Arc::new(content),
            Err(error) => {
                *last = Some(Read { stamps, outcome: Outcome::Broken(error.clone(), at) });
                return Err(error);
            }
        };
        // The stamps are older than what was read: a change in between is found the next time.
        let settled = stamps.iter().all(|stamp| stamp.is_settled(now));
        *last = settled.then(|| Read { stamps, outcome: Outcome::Whole(content.clone()) });
        Ok(content)
    }
}

/// `InvalidArgument` that names the file.
pub fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{} cannot be read: {}", path.display(), error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_files_are_not_read_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::write(&path, "broken").unwrap();
        let stamped = Stamped::<u32>::new(vec![path.clone()]);
        let (reads, start) = (std::cell::Cell::new(0), Instant::now());
        let current = |milliseconds| {
            let read = |files: &[PathBuf]| {
                reads.set(reads.get() + 1);
                let text = std::fs::read_to_string(&files[0]).unwrap();
                text.parse().map_err(|_| Error::new(ErrorKind::InvalidArgument, "it is no number"))
            };
            stamped.current_at(read, start + Duration::from_millis(milliseconds)).map(|number| *number)
        };
        for at in 0..1000 {
            assert_eq!(current(at).unwrap_err().message(), "it is no number");
        }
        assert_eq!(reads.get(), 1, "once in the second");
        assert!(current(1000).is_err());
        assert_eq!(reads.get(), 2, "and once more after it");
        std::fs::write(&path, "17").unwrap();
        assert_eq!(current(1001).unwrap(), 17, "a mended one counts at once");
        std::fs::remove_file(&path).unwrap();
        assert!(current(1002).is_err());
        std::fs::write(&path, "18").unwrap();
        assert_eq!(current(1003).unwrap(), 18);
    }
}
