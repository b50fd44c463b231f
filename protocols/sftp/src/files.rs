//! What an SFTP session needs of the gateway: a thin seam in front of [`Gateway`], so that the session's state machine
//! can be tested and fuzzed without a ledger and a store. It decides nothing.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use causeway_core::events::Operation;
use causeway_core::namespace::Target;
use causeway_core::records::Attributes;
use causeway_core::{
    Download, Entry, Error, Gateway, Listing, Receipt, Result, Session, Source, Space, Upload, UploadOptions,
    VirtualPath,
};

/// The files of one login. What each method does and how it fails is said at [`Gateway`].
pub(crate) trait Files: Send + Sync + 'static {
    type Upload: Writing<Source = Self::Source>;
    type Download: Reading<Source = Self::Source>;
    type Source: Content;
    type Listing: Paging;

    fn login(&self) -> &str;

    fn stat(&self, path: &VirtualPath) -> impl Future<Output = Result<Entry>> + Send;
    fn list(&self, path: &VirtualPath) -> impl Future<Output = Result<Self::Listing>> + Send;
    fn make_folder(&self, path: &VirtualPath, attributes: Attributes) -> impl Future<Output = Result<Entry>> + Send;
    fn remove_folder(&self, path: &VirtualPath) -> impl Future<Output = Result<()>> + Send;
    fn remove_file(&self, path: &VirtualPath) -> impl Future<Output = Result<()>> + Send;
    fn rename(
        &self,
        from: &VirtualPath,
        to: &VirtualPath,
        overwrite: bool,
    ) -> impl Future<Output = Result<Entry>> + Send;
    fn space(&self, path: &VirtualPath) -> impl Future<Output = Result<Space>> + Send;
    fn examine(&self, path: &VirtualPath) -> impl Future<Output = Result<Self::Source>> + Send;
    fn set_attributes(&self, target: &Target, attributes: Attributes) -> impl Future<Output = Result<Entry>> + Send;
    fn begin_upload(
        &self,
        path: &VirtualPath,
        options: UploadOptions,
    ) -> impl Future<Output = Result<Self::Upload>> + Send;
    fn begin_download(&self, path: &VirtualPath) -> impl Future<Output = Result<Self::Download>> + Send;
    fn refused(&self, operation: Operation, path: &str, error: &Error) -> impl Future<Output = ()> + Send;
    fn failed(&self, operation: Operation, path: &VirtualPath, error: &Error) -> impl Future<Output = ()> + Send;
}

/// See [`Upload`].
pub(crate) trait Writing: Send + Sync + 'static {
    type Source: Content;

    fn is_resumed(&self) -> bool;
    fn write_at(&self, offset: u64, data: Bytes) -> impl Future<Output = Result<()>> + Send;
    fn append(&self, data: Bytes) -> impl Future<Output = Result<()>> + Send;
    fn read_at(&self, offset: u64, len: usize) -> impl Future<Output = Result<Bytes>> + Send;
    fn set_size(&self, size: u64) -> impl Future<Output = Result<()>> + Send;
    fn set_attributes(&self, attributes: Attributes) -> impl Future<Output = Result<()>> + Send;
    fn stat(&self) -> impl Future<Output = Result<Entry>> + Send;
    fn source(&self) -> Result<Self::Source>;
    fn adopt(&self, source: &Self::Source) -> impl Future<Output = Result<bool>> + Send;
    fn copy_at(
        &self,
        to: Option<u64>,
        source: &Self::Source,
        from: u64,
        len: u64,
    ) -> impl Future<Output = Result<u64>> + Send;
    fn sync(&self) -> impl Future<Output = Result<()>> + Send;
    fn commit(self) -> impl Future<Output = Result<Receipt>> + Send;
    fn detach(self, reason: Error) -> impl Future<Output = ()> + Send;
}

/// See [`Download`].
pub(crate) trait Reading: Send + Sync + 'static {
    type Source: Content;

    fn entry(&self) -> &Entry;
    fn source(&self) -> Result<Self::Source>;
    fn read_at(&self, offset: u64, len: usize) -> impl Future<Output = Result<Bytes>> + Send;
    fn finish(self) -> impl Future<Output = Result<()>> + Send;
    fn fail(self, reason: Error) -> impl Future<Output = ()> + Send;
}

/// See [`Source`].
pub(crate) trait Content: Send + Sync + 'static {
    fn size(&self) -> impl Future<Output = u64> + Send;
    fn sha256(&self) -> Option<[u8; 32]>;
    fn read_at(&self, offset: u64, len: usize) -> impl Future<Output = Result<Bytes>> + Send;
}

/// See [`Listing`].
pub(crate) trait Paging: Send + Sync + 'static {
    fn folder(&self) -> &Entry;
    fn next(&mut self, limit: u32) -> impl Future<Output = Result<Vec<Entry>>> + Send;
}

/// The gateway's files, as a session of its sees them.
pub(crate) struct Account {
    gateway: Arc<Gateway>,
    session: Arc<Session>,
}

impl Account {
    /// Of this login.
    pub(crate) const fn new(gateway: Arc<Gateway>, session: Arc<Session>) -> Self {
        Self { gateway, session }
    }
}

impl Files for Account {
    type Upload = Upload;
    type Download = Download;
    type Source = Source;
    type Listing = Listing;

    fn login(&self) -> &str {
        &self.session.login
    }

    async fn stat(&self, path: &VirtualPath) -> Result<Entry> {
        self.gateway.stat(&self.session, &Target::Path(path.clone())).await
    }

    async fn list(&self, path: &VirtualPath) -> Result<Listing> {
        self.gateway.list(&self.session, path, None).await
    }

    async fn make_folder(&self, path: &VirtualPath, attributes: Attributes) -> Result<Entry> {
        self.gateway.make_folder(&self.session, path, attributes).await
    }

    async fn remove_folder(&self, path: &VirtualPath) -> Result<()> {
        self.gateway.remove_folder(&self.session, path).await
    }

    async fn remove_file(&self, path: &VirtualPath) -> Result<()> {
        self.gateway.remove_file(&self.session, &Target::Path(path.clone())).await
    }

    async fn rename(&self, from: &VirtualPath, to: &VirtualPath, overwrite: bool) -> Result<Entry> {
        self.gateway.rename(&self.session, &Target::Path(from.clone()), to, overwrite).await
    }

    async fn space(&self, path: &VirtualPath) -> Result<Space> {
        self.gateway.space(&self.session, path).await
    }

    async fn examine(&self, path: &VirtualPath) -> Result<Source> {
        self.gateway.examine(&self.session, &Target::Path(path.clone())).await
    }

    async fn set_attributes(&self, target: &Target, attributes: Attributes) -> Result<Entry> {
        self.gateway.set_attributes(&self.session, target, attributes).await
    }

    async fn begin_upload(&self, path: &VirtualPath, options: UploadOptions) -> Result<Upload> {
        self.gateway.begin_upload(&self.session, path, options).await
    }

    async fn begin_download(&self, path: &VirtualPath) -> Result<Download> {
        self.gateway.begin_download(&self.session, &Target::Path(path.clone())).await
    }

    async fn refused(&self, operation: Operation, path: &str, error: &Error) {
        self.gateway.refused(&self.session, operation, path, error).await;
    }

    async fn failed(&self, operation: Operation, path: &VirtualPath, error: &Error) {
        self.gateway.failed(&self.session, operation, &Target::Path(path.clone()), error).await;
    }
}

impl Writing for Upload {
    type Source = Source;

    fn is_resumed(&self) -> bool {
        Self::is_resumed(self)
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<()> {
        Self::write_at(self, offset, data).await
    }

    async fn append(&self, data: Bytes) -> Result<()> {
        Self::append(self, data).await
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        Self::read_at(self, offset, len).await
    }

    async fn set_size(&self, size: u64) -> Result<()> {
        Self::set_size(self, size).await
    }

    async fn set_attributes(&self, attributes: Attributes) -> Result<()> {
        Self::set_attributes(self, attributes).await
    }

    async fn stat(&self) -> Result<Entry> {
        Self::stat(self).await
    }

    fn source(&self) -> Result<Source> {
        Self::source(self)
    }

    async fn adopt(&self, source: &Source) -> Result<bool> {
        Self::adopt(self, source).await
    }

    async fn copy_at(&self, to: Option<u64>, source: &Source, from: u64, len: u64) -> Result<u64> {
        Self::copy_at(self, to, source, from, len).await
    }

    async fn sync(&self) -> Result<()> {
        Self::sync(self).await
    }

    async fn commit(self) -> Result<Receipt> {
        Self::commit(self).await
    }

    async fn detach(self, reason: Error) {
        Self::detach(self, reason).await;
    }
}

impl Reading for Download {
    type Source = Source;

    fn entry(&self) -> &Entry {
        Self::entry(self)
    }

    fn source(&self) -> Result<Source> {
        Self::source(self)
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        Self::read_at(self, offset, len).await
    }

    async fn finish(self) -> Result<()> {
        Self::finish(self).await
    }

    async fn fail(self, reason: Error) {
        Self::fail(self, reason).await;
    }
}

impl Content for Source {
    async fn size(&self) -> u64 {
        Self::size(self).await
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        Self::sha256(self)
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        Self::read_at(self, offset, len).await
    }
}

impl Paging for Listing {
    fn folder(&self) -> &Entry {
        Self::folder(self)
    }

    async fn next(&mut self, limit: u32) -> Result<Vec<Entry>> {
        Self::next(self, limit).await
    }
}
