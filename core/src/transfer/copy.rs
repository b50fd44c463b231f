//! Copying on this side of the wire. A whole version into an empty upload of the same storage is copied by reference: the
//! copy names the same blobs, and its digest is known. Anything else is copied piece by piece. Either way the copy is
//! charged to the quota in full (SEMANTICS, "Quota"), and becomes visible by its commit alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::source::Source;
use super::work::{Work, taken_over};
use super::{Disposition, Receipt, Upload, UploadOptions};
use crate::error::{ErrorKind, Result};
use crate::events::Operation;
use crate::gateway::Inner;
use crate::identity::Session;
use crate::namespace::{Labels, Target};
use crate::path::VirtualPath;
use crate::ports::Durability;
use crate::records::{BlobId, UploadState, now};

/// The most that is copied at a time.
const PIECE: usize = 1024 * 1024;

/// Where the content of an upload comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing was written yet.
    #[default]
    Nothing,
    /// All of it from one file of the gateway's, by its path in the tenant's tree.
    Copied(String),
    /// A client sent some of it, or several files went into it.
    Sent,
}

impl Origin {
    /// Some of it is copied from this path.
    fn copied_from(&mut self, path: &str) {
        match self {
            Self::Nothing => *self = Self::Copied(path.to_owned()),
            Self::Copied(from) if from == path => {}
            Self::Copied(_) | Self::Sent => *self = Self::Sent,
        }
    }
}

impl Upload {
    /// Takes a whole version over by reference, where this upload is empty and of the same storage; false where that
    /// cannot be, and nothing has changed then: copy it piece by piece.
    pub async fn adopt(&self, source: &Source) -> Result<bool> {
        let core = self.core()?;
        let Some((segments, sha256)) = source.version() else { return Ok(false) };
        let size = segments.end();
        let mut work = core.work.lock().await;
        work.check()?;
        let blobs = segments.blobs();
        let near = |blob: &BlobId| blob.storage == work.blob.storage;
        if !work.is_empty() || core.options.declared_size.is_some() || !blobs.iter().all(near) {
            return Ok(false);
        }
        // From here on it is a copy: where it fails, that is what is told of it.
        work.origin.copied_from(source.path());
        let end = match core.check_range(&work, 0, size) {
            Ok(end) => end,
            Err(error) => return work.fail(error),
        };
        core.touched.store(now(), Ordering::Relaxed);
        work.reattach(&core.inner).await?;
        core.reserve(&mut work, end).await?;
        let (holder, row) = (core.id, work.row.clone());
        let referenced = core
            .inner
            .write(core.session.reach(), Durability::Process, move |tx| {
                let (blobs, row) = (blobs.clone(), row.clone());
                Box::pin(async move {
                    // References of an upload that is gone would be nobody's to give back.
                    if !tx.update_upload(&row, &[UploadState::Open], row.generation).await? {
                        return Ok(false);
                    }
                    for blob in &blobs {
                        tx.reference_blob(blob.key, holder).await?;
                    }
                    Ok(true)
                })
            })
            .await;
        match referenced {
            Ok(true) => {}
            Ok(false) => return work.fail(taken_over()),
            // The version has been replaced or removed since it was opened: its bytes can still be read.
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(false),
            Err(error) => return Err(error),
        }
        work.adopt(segments.clone(), sha256);
        Ok(true)
    }

    /// Copies some of a content, at most 1 MiB and at most `len` bytes, to an offset (none: to the end). How many bytes;
    /// none at the end of the source. An error leaves the upload as a failed write does.
    pub async fn copy_at(&self, to: Option<u64>, source: &Source, from: u64, len: u64) -> Result<u64> {
        let core = self.core()?;
        let data = match source.read_at(from, usize::try_from(len).unwrap_or(PIECE).min(PIECE)).await {
            Ok(data) if data.is_empty() => return Ok(0),
            Ok(data) => data,
            Err(error) => return core.work.lock().await.fail(error),
        };
        let copied = data.len() as u64;
        let mut work = core.work.lock().await;
        let received = work.received;
        let mut origin = std::mem::take(&mut work.origin);
        origin.copied_from(source.path());
        let written = core.write(&mut work, to, data).await;
        // Nobody sent it.
        work.received = received;
        work.origin = origin;
        written.map(|()| copied)
    }

    /// Copies the whole of a content into this upload, which is empty.
    async fn copy_whole(&self, source: &Source) -> Result<()> {
        if self.adopt(source).await? {
            return Ok(());
        }
        let mut at = 0;
        loop {
            match self.copy_at(Some(at), source, at, PIECE as u64).await? {
                0 => return Ok(()),
                copied => at += copied,
            }
            self.core()?.session.moved(at)?;
        }
    }

    /// The content as it is being written, to be read on this side.
    pub fn source(&self) -> Result<Source> {
        Ok(Source(super::source::Kind::Upload(self.core()?.clone())))
    }
}

impl Work {
    /// What the content is a copy of, if it is all of it a copy of one file.
    pub(crate) fn copied_from(&self) -> Option<&str> {
        match &self.origin {
            Origin::Copied(path) if !self.row.compare_base && self.row.generation == 1 => Some(path),
            _ => None,
        }
    }
}

impl Inner {
    /// See [`crate::Gateway::copy`].
    pub(crate) async fn copy(
        self: &Arc<Self>,
        session: &Arc<Session>,
        from: &Target,
        to: &VirtualPath,
        overwrite: bool,
    ) -> Result<Receipt> {
        let opened = self.open_download(session, from).await;
        let core = self.recorded_to(session, Operation::Copy, (from, Some(to)), opened).await?;
        // What is confidential stays so under another name.
        let labels = Labels::of(&core.entry);
        let source = Source(super::source::Kind::Version(core));
        let disposition = if overwrite { Disposition::Replace } else { Disposition::Create { reserve: false } };
        let options = UploadOptions {
            content_type: source.content_type().map(str::to_owned),
            // Whoever wants the copy asks for it again.
            resumable: false,
            labels,
            ..UploadOptions::new(disposition)
        };
        let begun = self.begin_unrecorded(session, to, options).await;
        let upload = self.recorded_to(session, Operation::Copy, (from, Some(to)), begun).await?;
        match upload.copy_whole(&source).await {
            Ok(()) => upload.commit().await,
            Err(error) => {
                if let Err(failure) = upload.discard_for(&error).await {
                    tracing::warn!(error = %failure, "a copy that failed could not be given up; recovery will see to it");
                }
                Err(error)
            }
        }
    }
}
