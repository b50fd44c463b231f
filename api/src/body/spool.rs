//! Where the file of a form waits until the form has told its destination: up to 256 KiB in memory, then an anonymous
//! file on the gateway's own disk, which vanishes with the request or the process. That disk may be the ledger's, too,
//! so a spool leaves room on it.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use causeway_core::{Error, ErrorKind, Result};

/// Bytes in memory, and bytes of one write or read of the file.
const STEP: usize = 256 * 1024;

/// The place for spools, and how much of it is left.
pub struct SpoolSpace {
    dir: PathBuf,
    limit: u64,
    min_free: u64,
    used: Arc<AtomicU64>,
}

impl SpoolSpace {
    /// A folder, the bytes that all spools together may keep there, and the bytes that they leave free on its disk.
    pub fn new(dir: &Path, limit: u64, min_free: u64) -> Self {
        Self { dir: dir.to_owned(), limit, min_free, used: Arc::default() }
    }

    /// A new, empty spool for at most `max` bytes.
    pub fn open(&self, max: u64) -> Spool {
        Spool {
            dir: self.dir.clone(),
            limit: self.limit,
            min_free: self.min_free,
            used: Arc::clone(&self.used),
            max,
            buffer: BytesMut::new(),
            file: None,
            stored: 0,
        }
    }
}

/// Content that waits. Dropping it frees its space.
pub struct Spool {
    dir: PathBuf,
    limit: u64,
    min_free: u64,
    used: Arc<AtomicU64>,
    max: u64,
    buffer: BytesMut,
    file: Option<Arc<File>>,
    stored: u64,
}

impl Spool {
    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.stored + self.buffer.len() as u64
    }

    /// Adds bytes. `FileTooLarge` beyond the most, `Unavailable` where all spools together are too large, `NoSpace`
    /// where the disk is full, or nearly so.
    pub async fn push(&mut self, mut data: Bytes) -> Result<()> {
        if self.len() + data.len() as u64 > self.max {
            return Err(Error::too_large(self.max));
        }
        while !data.is_empty() {
            if self.buffer.len() == STEP {
                self.store().await?;
            }
            let piece = data.split_to(data.len().min(STEP - self.buffer.len()));
            self.buffer.extend_from_slice(&piece);
        }
        Ok(())
    }

    async fn store(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.buffer).freeze();
        let len = bytes.len() as u64;
        let before = self.used.fetch_add(len, Ordering::AcqRel);
        // Counted at once, so that dropping the spool gives back exactly what it took.
        self.stored += len;
        if before + len > self.limit {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "too many forms wait for their destination; send `destination` before `file`, or try again later",
            ));
        }
        let (dir, file, needed) = (self.dir.clone(), self.file.clone(), self.min_free.saturating_add(len));
        let written = blocking("write to the spool", move || {
            // Looked at for each step: others fill the disk, too, and it costs nothing beside the write.
            let disk = rustix::fs::statvfs(&dir)?;
            if disk.f_bavail.saturating_mul(disk.f_frsize) < needed {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            let file = match file {
                Some(file) => file,
                None => Arc::new(tempfile::tempfile_in(dir)?),
            };
            (&*file).write_all(&bytes)?;
            Ok(file)
        });
        self.file = Some(written.await?);
        Ok(())
    }

    /// Up to 256 KiB from `offset`; none at the end.
    pub async fn read_at(&self, offset: u64) -> Result<Option<Bytes>> {
        if offset >= self.stored {
            let rest = self.buffer.get((offset - self.stored) as usize..).unwrap_or_default();
            return Ok((!rest.is_empty()).then(|| Bytes::copy_from_slice(rest)));
        }
        let Some(file) = self.file.clone() else {
            return Err(Error::internal("a spool lost its file"));
        };
        let len = (self.stored - offset).min(STEP as u64) as usize;
        let read = blocking("read from the spool", move || {
            let mut buffer = vec![0; len];
            file.read_exact_at(&mut buffer, offset)?;
            Ok(Bytes::from(buffer))
        });
        read.await.map(Some)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.used.fetch_sub(self.stored, Ordering::AcqRel);
    }
}

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| Error::from_io(what, &error)),
        Err(error) => Err(Error::internal(format_args!("{what}: {error}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn all(spool: &Spool) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(bytes) = spool.read_at(out.len() as u64).await.unwrap() {
            out.extend_from_slice(&bytes);
        }
        out
    }

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        let dir = tempfile::tempdir().unwrap();
        let space = SpoolSpace::new(dir.path(), 10 << 20, 0);
        for size in [0usize, 1, STEP - 1, STEP, STEP + 1, 3 * STEP + 17] {
            let content: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let mut spool = space.open(10 << 20);
            for piece in content.chunks(10_007) {
                spool.push(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            assert_eq!(spool.len(), size as u64);
            assert_eq!(spool.file.is_some(), size > STEP, "small ones stay in memory");
            assert_eq!(all(&spool).await, content);
        }
        assert_eq!(space.used.load(Ordering::Acquire), 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no file has a name");
    }

    #[tokio::test]
    async fn limits_hold_and_are_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let space = SpoolSpace::new(dir.path(), STEP as u64, 0);
        let mut spool = space.open(10);
        assert_eq!(spool.push(Bytes::from_static(b"0123456789a")).await.unwrap_err().kind(), ErrorKind::FileTooLarge);
        let mut spool = space.open(1 << 30);
        let big = Bytes::from(vec![0; 3 * STEP]);
        assert_eq!(spool.push(big).await.unwrap_err().kind(), ErrorKind::Unavailable);
        drop(spool);
        assert_eq!(space.used.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn room_is_left_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let space = SpoolSpace::new(dir.path(), u64::MAX, u64::MAX);
        let mut spool = space.open(1 << 30);
        spool.push(Bytes::from(vec![0; STEP])).await.unwrap();
        assert_eq!(spool.push(Bytes::from_static(b"x")).await.unwrap_err().kind(), ErrorKind::NoSpace);
        drop(spool);
        assert_eq!(space.used.load(Ordering::Acquire), 0);
    }
}
