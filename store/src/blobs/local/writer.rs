//! Writing a blob to the disk.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::ports::BlobWriter;
use causeway_core::{Error, ErrorKind, Result};
use tokio::task::JoinHandle;

use super::{Place, Root, broken_off};

/// A blob that is being written. The file is always with whoever works on it: here, or with a task of the blocking
/// pool. So no two operations meet, even where the future of one was dropped while its task went on.
///
/// Where a failure leaves the file is not known, so there is no state to go back to from [`State::Failed`]: after a
/// failed `fsync` in particular the kernel may have dropped the pages and forgotten the failure, and a second, successful
/// one would be a lie.
#[derive(Debug)]
pub(super) struct LocalWriter {
    state: State,
    /// Whether the file system keeps its files in memory, where a write never waits.
    in_memory: bool,
    /// Set while an append is under way. Found set by the next one, the caller gave the former up, and can no longer
    /// know where the blob ends.
    appending: bool,
}

#[derive(Debug)]
enum State {
    Idle(OpenBlob),
    Working(JoinHandle<(OpenBlob, Result<()>)>),
    Failed(Error),
}

/// The file, and what its name still lacks.
#[derive(Debug)]
struct OpenBlob {
    file: File,
    /// Until the first sync: whose folders have to be made durable too.
    unnamed: Option<(Arc<Root>, Place)>,
}

impl LocalWriter {
    pub(super) fn new(file: File, root: Arc<Root>, place: Place) -> Self {
        let in_memory = root.in_memory;
        let blob = OpenBlob { file, unnamed: Some((root, place)) };
        Self { state: State::Idle(blob), in_memory, appending: false }
    }

    /// Waits for the task that has the file, if one has, and takes its result over.
    async fn settle(&mut self) -> Result<()> {
        if let State::Working(task) = &mut self.state {
            let (state, result) = match task.await {
                Ok((blob, Ok(()))) => (State::Idle(blob), Ok(())),
                Ok((_, Err(error))) => (State::Failed(error.clone()), Err(error)),
                Err(error) => {
                    let error = broken_off(&error);
                    (State::Failed(error.clone()), Err(error))
                }
            };
            self.state = state;
            return result;
        }
        Ok(())
    }

    async fn run(&mut self, work: impl FnOnce(&mut OpenBlob) -> Result<()> + Send + 'static) -> Result<()> {
        self.settle().await?;
        let unset = State::Failed(Error::new(ErrorKind::Internal, "the writer is in use"));
        match std::mem::replace(&mut self.state, unset) {
            State::Idle(mut blob) => {
                self.state = State::Working(tokio::task::spawn_blocking(move || {
                    let result = work(&mut blob);
                    (blob, result)
                }));
                self.settle().await
            }
            State::Failed(error) => {
                self.state = State::Failed(error.clone());
                Err(error)
            }
            working @ State::Working(_) => {
                self.state = working;
                Err(Error::internal("a blob writer settled without result"))
            }
        }
    }
}

#[async_trait]
impl BlobWriter for LocalWriter {
    /// Written with `writev`, without copying the pieces together. An append whose future is dropped still happens, in
    /// whole or in part; after it nothing can be appended, but [`BlobWriter::sync`] makes durable what was appended
    /// before, so that the upload can be detached at that point.
    async fn append(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        if self.appending {
            self.settle().await?;
            if let State::Failed(error) = &self.state {
                return Err(error.clone());
            }
            return Err(Error::new(
                ErrorKind::Incomplete,
                "an earlier write was given up before it ended; resume the upload from its last acknowledged byte",
            ));
        }
        let write = move |blob: &mut OpenBlob| {
            write_all(&blob.file, &pieces).map_err(|error| Error::from_io("append to a blob", &error))
        };
        // Copying is all that there is to it, and takes less time than two switches of threads for each piece do.
        if self.in_memory
            && let State::Idle(blob) = &mut self.state
        {
            let result = write(blob);
            if let Err(error) = &result {
                self.state = State::Failed(error.clone());
            }
            return result;
        }
        self.appending = true;
        let written = self.run(write);
        written.await?;
        self.appending = false;
        Ok(())
    }

    async fn sync(&mut self) -> Result<()> {
        self.run(|blob| blob.sync().map_err(|error| Error::from_io("sync a blob", &error))).await
    }
}

/// Writes all of a blob and makes it durable. It blocks.
pub(super) fn write_whole(file: File, root: Arc<Root>, place: Place, pieces: &[Bytes]) -> Result<()> {
    let mut blob = OpenBlob { file, unnamed: Some((root, place)) };
    write_all(&blob.file, pieces).map_err(|error| Error::from_io("append to a blob", &error))?;
    blob.sync().map_err(|error| Error::from_io("sync a blob", &error))
}

impl OpenBlob {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if let Some((root, place)) = &self.unnamed {
            root.sync_folders(place)?;
            self.unnamed = None;
        }
        Ok(())
    }
}

/// Writes all pieces at the file's position, which only appends have moved.
fn write_all(mut file: &File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> =
        pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| IoSlice::new(piece)).collect();
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        // As many as the system takes at once (`IOV_MAX`); the rest comes in the next round.
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
