//! Reading a blob from the disk.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::piece::{PIECE, Piece};
use causeway_core::ports::BlobReader;
use causeway_core::{Error, Result};

use super::{Root, blocking};

/// Up to here a read is first tried where it is asked for, without waiting (`preadv2` with `RWF_NOWAIT`): it succeeds
/// where the page cache holds the content, and then takes less time than handing it to another thread would. A file system
/// in memory has no such call on every kernel, and needs none: all of it is in the page cache. Beyond, the
/// copying alone would keep the other tasks of the thread waiting for too long.
const INLINE: usize = PIECE;
/// Larger reads, up to a piece, take one.
const LITTLE: usize = PIECE / 2;

/// A blob that is being read. It holds the file, which stays readable when its name is removed.
#[derive(Debug)]
pub(super) struct LocalReader {
    file: Arc<File>,
    root: Arc<Root>,
    /// The file's size as last seen. It only grows.
    size: AtomicU64,
}

impl LocalReader {
    pub(super) fn new(file: File, root: Arc<Root>) -> Result<Self> {
        let size = size_of(&file)?;
        Ok(Self { file: Arc::new(file), root, size: AtomicU64::new(size) })
    }

    /// How much of this range is there, so that no buffer is larger than what will be in it.
    fn available(&self, offset: u64, len: usize) -> Result<usize> {
        let wanted = u64::try_from(len).unwrap_or(u64::MAX);
        let end = offset.saturating_add(wanted);
        let mut size = self.size.load(Ordering::Relaxed);
        if end > size {
            // Somebody may still be appending: an upload reads what it has written itself.
            size = size_of(&self.file)?;
            self.size.fetch_max(size, Ordering::Relaxed);
        }
        Ok(usize::try_from(size.saturating_sub(offset).min(wanted)).unwrap_or(len))
    }
}

#[async_trait]
impl BlobReader for LocalReader {
    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let len = self.available(offset, len)?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        if len > LITTLE && len <= PIECE {
            return self.read_piece(offset, len).await;
        }
        let mut buffer = Vec::new();
        if len <= INLINE && self.root.in_memory {
            buffer = fill(&self.file, buffer, offset, len)?;
        } else if len <= INLINE && self.root.reads_without_wait.load(Ordering::Relaxed) {
            buffer = vec![0; len];
            let read = cached(&self.file, &self.root, &mut buffer, offset)?;
            buffer.truncate(read);
        }
        if buffer.len() < len {
            let file = self.file.clone();
            buffer = blocking(move || fill(&file, buffer, offset, len)).await?;
        }
        Ok(Bytes::from(buffer))
    }
}

impl LocalReader {
    /// The same into a buffer that is used again.
    async fn read_piece(&self, offset: u64, len: usize) -> Result<Bytes> {
        let mut piece = Piece::new();
        if self.root.in_memory {
            fill_piece(&self.file, &mut piece, offset, len)?;
        } else {
            let read = cached(&self.file, &self.root, piece.room(len), offset)?;
            piece.fill(read);
        }
        if piece.len() < len {
            let file = self.file.clone();
            piece = blocking(move || fill_piece(&file, &mut piece, offset, len).map(|()| piece)).await?;
        }
        Ok(piece.freeze())
    }
}

fn size_of(file: &File) -> Result<u64> {
    file.metadata().map(|metadata| metadata.len()).map_err(|error| Error::from_io("look at a blob", &error))
}

/// Reads until the buffer holds `len` bytes or the file ends, into memory that nobody has filled with zeros first.
fn fill(file: &File, mut buffer: Vec<u8>, offset: u64, len: usize) -> Result<Vec<u8>> {
    buffer.reserve_exact(len.saturating_sub(buffer.len()));
    while buffer.len() < len {
        let at = offset.saturating_add(buffer.len() as u64);
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut buffer), at) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::from_io("read a blob", &io::Error::from(error))),
        }
    }
    // An allocation may be larger than was asked for.
    buffer.truncate(len);
    Ok(buffer)
}

/// The same into a piece.
fn fill_piece(file: &File, piece: &mut Piece, offset: u64, len: usize) -> Result<()> {
    while piece.len() < len {
        let (at, left) = (offset.saturating_add(piece.len() as u64), len - piece.len());
        match rustix::io::pread(file, piece.room(left), at) {
            Ok(0) => break,
            Ok(read) => piece.fill(read),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::from_io("read a blob", &io::Error::from(error))),
        }
    }
    Ok(())
}

/// How much of the buffer could be filled without waiting. 0: nothing, or the file system has no such read.
#[cfg(target_os = "linux")]
fn cached(file: &File, root: &Root, buffer: &mut [u8], offset: u64) -> Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags};

    if !root.reads_without_wait.load(Ordering::Relaxed) {
        return Ok(0);
    }
    match rustix::io::preadv2(file, &mut [io::IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
        Ok(read) => Ok(read),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        // Linux before 4.14, file systems without it, and sandboxes that do not know it.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
            root.reads_without_wait.store(false, Ordering::Relaxed);
            Ok(0)
        }
        Err(error) => Err(Error::from_io("read a blob", &io::Error::from(error))),
    }
}

#[cfg(not(target_os = "linux"))]
fn cached(_: &File, root: &Root, _: &mut [u8], _: u64) -> Result<usize> {
    debug_assert!(!root.reads_without_wait.load(Ordering::Relaxed));
    Ok(0)
}
