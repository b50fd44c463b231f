//! Content that is read on this side of the wire: to be copied, or for a checksum. Nothing of it counts as sent, and no
//! bandwidth is taken for it.

use std::sync::Arc;

use bytes::Bytes;

use super::download::DownloadCore;
use super::segments::Segments;
use super::upload::UploadCore;
use crate::error::Result;
use crate::events::Operation;
use crate::gateway::Inner;
use crate::identity::Session;
use crate::namespace::Target;
use crate::ports::Durability;

/// The content of an open file. It goes on being readable when the file's handle is closed or its name changes.
#[derive(Clone)]
pub struct Source(pub(super) Kind);

/// What it is the content of.
#[derive(Clone)]
pub(super) enum Kind {
    /// A version: it does not change.
    Version(Arc<DownloadCore>),
    /// An upload, as it is when it is read.
    Upload(Arc<UploadCore>),
}

impl Source {
    /// Bytes.
    pub async fn size(&self) -> u64 {
        match &self.0 {
            Kind::Version(core) => core.entry.size,
            Kind::Upload(core) => core.work.lock().await.size,
        }
    }

    /// SHA-256 of the whole, where it is known without reading it.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        match &self.0 {
            Kind::Version(core) => core.entry.sha256,
            Kind::Upload(_) => None,
        }
    }

    /// Up to `len` bytes from `offset` (4 MiB at most at a time); fewer only at the end, none beyond it. Of an upload,
    /// content that was there before it needs `download`.
    pub async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        match &self.0 {
            Kind::Version(core) => core.reader.read_at(offset, len).await,
            Kind::Upload(core) => core.read_at(offset, len).await,
        }
    }

    /// The path of what it was opened as, in the tenant's tree.
    pub(super) fn path(&self) -> &str {
        match &self.0 {
            Kind::Version(core) => core.place.path.as_str(),
            Kind::Upload(core) => core.place.path.as_str(),
        }
    }

    /// The media type.
    pub(super) fn content_type(&self) -> Option<&str> {
        match &self.0 {
            Kind::Version(core) => core.entry.content_type.as_deref(),
            Kind::Upload(_) => None,
        }
    }

    /// The runs and the digest of a version.
    pub(super) fn version(&self) -> Option<(&Segments, [u8; 32])> {
        match &self.0 {
            Kind::Version(core) => Some((core.reader.segments(), core.entry.sha256?)),
            Kind::Upload(_) => None,
        }
    }
}

impl Inner {
    /// See [`crate::Gateway::examine`].
    pub(crate) async fn examine(self: &Arc<Self>, session: &Arc<Session>, target: &Target) -> Result<Source> {
        let opened = async {
            let core = self.open_download(session, target).await?;
            // On record before its first byte is read, as any read is.
            self.put(Durability::Process, core.facts().audit(), Vec::new()).await?;
            Ok(Source(Kind::Version(core)))
        };
        self.recorded(session, Operation::Download, target, opened.await).await
    }
}
