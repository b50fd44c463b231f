//! The files of revoked keys and certificates (`revoked_keys` of a tenant), as they are at each login: a list that was
//! replaced counts from the next login on, without a restart.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use causeway_core::identity::Revocations;
use causeway_core::ports::RevocationSource;
use causeway_core::{Error, ErrorKind, Result};
use causeway_sftp::krl;

/// A file that was changed less than this before it was read may be changed again within the same tick of its clock.
const TICK: Duration = Duration::from_secs(2);
/// How long it is remembered that the lists cannot be used, as long as they look the same: whoever offers key after key must
/// not make the gateway read a large broken list for each of them.
const BROKEN: Duration = Duration::from_secs(1);

/// The lists of one tenant.
#[derive(Clone, Debug)]
pub struct RevokedKeys(Arc<Lists>);

#[derive(Debug)]
struct Lists {
    files: Vec<PathBuf>,
    read: Mutex<Option<Read>>,
}

/// What was read last.
#[derive(Debug)]
struct Read {
    stamps: Vec<Stamp>,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// All lists together.
    Whole(Arc<Revocations>),
    /// One of them cannot be used, as was found at this moment.
    Broken(Error, Instant),
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

impl RevokedKeys {
    /// Of these files.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self(Arc::new(Lists { files, read: Mutex::default() }))
    }
}

#[async_trait]
impl RevocationSource for RevokedKeys {
    async fn current(&self) -> Result<Arc<Revocations>> {
        let lists = self.0.clone();
        tokio::task::spawn_blocking(move || lists.current()).await.map_err(Error::internal)?
    }
}

impl Lists {
    fn current(&self) -> Result<Arc<Revocations>> {
        self.current_by(read_list, Instant::now())
    }

    fn current_by(&self, read_list: impl Fn(&Path) -> Result<Revocations>, at: Instant) -> Result<Arc<Revocations>> {
        // Held while reading, so that many logins at once read a new list once.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.files.iter().map(|path| Stamp::of(path)).collect::<Result<Vec<_>>>()?;
        match read.as_ref().filter(|read| read.stamps == stamps).map(|read| &read.outcome) {
            Some(Outcome::Whole(revoked)) => return Ok(revoked.clone()),
            Some(Outcome::Broken(error, since)) if at.saturating_duration_since(*since) < BROKEN => {
                return Err(error.clone());
            }
            Some(Outcome::Broken(..)) | None => {}
        }
        let now = SystemTime::now();
        let mut revoked = Revocations::default();
        for path in &self.files {
            match read_list(path) {
                Ok(more) => revoked.extend(more),
                Err(error) => {
                    *read = Some(Read { stamps, outcome: Outcome::Broken(error.clone(), at) });
                    return Err(error);
                }
            }
        }
        let revoked = Arc::new(revoked);
        // The stamps are older than what was read: a change in between is found the next time.
        let settled = stamps.iter().all(|stamp| stamp.is_settled(now));
        *read = settled.then(|| Read { stamps, outcome: Outcome::Whole(revoked.clone()) });
        Ok(revoked)
    }
}

/// Reads one list. `InvalidArgument` names the file and what to do.
pub fn read_list(path: &Path) -> Result<Revocations> {
    let mut bytes = Vec::new();
    let limit = krl::MAX_BYTES as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    krl::parse(&bytes)
        .map_err(|error| Error::new(ErrorKind::InvalidArgument, format!("{}: {}", path.display(), error.message())))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{} cannot be read: {}", path.display(), error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::identity::PublicKey;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtm7BgJU+yzE7+Amkoa9mmk9osBbrnMf52OanGYPXX3";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIPMHI260s02cqkYvv6ppRqCPVLc9dSg7RsP+59WsCvo";

    async fn revokes(lists: &RevokedKeys) -> [bool; 2] {
        let current = lists.current().await.unwrap();
        [ONE, TWO].map(|line| current.revokes_key(&PublicKey::from_line(line).unwrap()))
    }

    #[tokio::test]
    async fn a_changed_list_counts_at_once_and_a_broken_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        std::fs::write(&one, ONE).unwrap();
        std::fs::write(&two, "# nobody\n").unwrap();
        let lists = RevokedKeys::new(vec![one.clone(), two.clone()]);
        assert_eq!(revokes(&lists).await, [true, false]);
        std::fs::write(&one, TWO).unwrap();
        assert_eq!(revokes(&lists).await, [false, true], "of the same length, in the same tick");
        std::fs::write(&two, ONE).unwrap();
        assert_eq!(revokes(&lists).await, [true, true]);
        std::fs::write(&two, "broken").unwrap();
        assert!(lists.current().await.unwrap_err().message().contains("two: line 1 "));
        std::fs::remove_file(&two).unwrap();
        assert!(lists.current().await.is_err());
        std::fs::write(&two, "").unwrap();
        assert_eq!(revokes(&lists).await, [false, true]);
    }

    #[test]
    fn a_broken_list_is_not_read_for_every_key() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        std::fs::write(&one, ONE).unwrap();
        std::fs::write(&two, "broken").unwrap();
        let lists = Lists { files: vec![one, two.clone()], read: Mutex::default() };
        let reads = std::cell::Cell::new(0);
        let start = Instant::now();
        let current = |milliseconds| {
            let counted = |path: &Path| {
                reads.set(reads.get() + 1);
                read_list(path)
            };
            lists.current_by(counted, start + Duration::from_millis(milliseconds)).map_err(|error| error.to_string())
        };
        let why = current(0).unwrap_err();
        assert!(why.contains("two: line 1 "), "{why}");
        for key in 1..1000 {
            assert_eq!(current(key).unwrap_err(), why, "closed, and for the same reason");
        }
        assert_eq!(reads.get(), 2, "each list once in the second");
        assert_eq!(current(1000).unwrap_err(), why);
        assert_eq!(reads.get(), 4, "and once more after it");
        std::fs::write(&two, "# mended\n").unwrap();
        assert!(current(1001).unwrap().revokes_key(&PublicKey::from_line(ONE).unwrap()), "a mended one counts at once");
    }

    #[tokio::test]
    async fn a_list_that_is_left_alone_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, ONE).unwrap();
        tokio::time::sleep(TICK + Duration::from_secs(2)).await;
        let lists = RevokedKeys::new(vec![path.clone()]);
        let first = lists.current().await.unwrap();
        assert!(Arc::ptr_eq(&first, &lists.current().await.unwrap()));
        std::fs::write(&path, TWO).unwrap();
        assert_eq!(revokes(&lists).await, [false, true]);
    }
}
