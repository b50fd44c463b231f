//! Open files and folders. Each has a task of its own that works off its requests in the order in which they came
//! (draft-ietf-secsh-filexfer-02 section 3.1); requests of different handles run beside each other.

use std::sync::Arc;

use bytes::Bytes;
use causeway_core::namespace::Target;
use causeway_core::{Error, ErrorKind, Result, VirtualPath};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::Shared;
use super::entries::attributes_of;
use super::replies::Ticket;
use super::verbs::{check_file, close, copy_data, folder::FolderHandle, fsync, read, setstat, stat, statvfs, write};
use crate::codec::{FileAttributes, Hashing, Reply};
use crate::files::{Files, Reading, Writing};
use crate::status::{Code, failure, refuse};

/// What a handle stands for.
pub(super) enum Open<F: Files> {
    /// A file that is being written.
    Upload(UploadHandle<F>),
    /// A file that is being read.
    Download(F::Download),
    /// A folder that is being listed.
    Folder(FolderHandle<F::Listing>),
}

/// A file that is being written.
pub(super) struct UploadHandle<F: Files> {
    /// The upload.
    pub(super) upload: F::Upload,
    /// Its path when it was opened.
    pub(super) path: VirtualPath,
    /// Whether writes go to the end.
    pub(super) append: bool,
    /// Whether it may be read.
    pub(super) readable: bool,
    /// The first error of a write. From then on the upload cannot be committed by this handle.
    pub(super) broken: Option<Error>,
}

impl<F: Files> UploadHandle<F> {
    /// Just opened.
    pub(super) const fn new(upload: F::Upload, path: VirtualPath, append: bool, readable: bool) -> Self {
        Self { upload, path, append, readable, broken: None }
    }

    /// Remembers an error that leaves the content wrong, and answers with it.
    pub(super) fn breaks(&mut self, error: Error) -> Reply {
        let reply = failure(&error);
        self.broken = Some(error);
        reply
    }

    /// The content, for those who may read it here.
    fn source(&self) -> Result<F::Source> {
        match &self.broken {
            Some(error) => Err(error.clone()),
            None if !self.readable => Err(Error::new(ErrorKind::PermissionDenied, "the file is open for writing only")),
            None => self.upload.source(),
        }
    }
}

/// What a handle is asked for.
pub(super) enum Job<F: Files> {
    Read {
        ticket: Ticket,
        offset: u64,
        length: usize,
    },
    Write {
        ticket: Ticket,
        offset: u64,
        data: Bytes,
    },
    Fstat(Ticket),
    Fsetstat(Ticket, FileAttributes),
    Readdir(Ticket),
    Fsync(Ticket),
    Fstatvfs(Ticket),
    Check(Ticket, Hashing),
    /// A copy into this file; the other handle is told when it is over.
    Copy {
        ticket: Ticket,
        extent: copy_data::Extent,
        source: oneshot::Receiver<Result<F::Source>>,
        over: oneshot::Sender<()>,
    },
    /// A copy from this file: it keeps its place in the order here too.
    Lend {
        to: oneshot::Sender<Result<F::Source>>,
        over: oneshot::Receiver<()>,
    },
    Close(Ticket),
    /// An operation on the same path, which keeps its place in the order: it is told when everything before it is done,
    /// and everything after it waits until it is over.
    Meet {
        arrived: oneshot::Sender<()>,
        over: oneshot::Receiver<()>,
    },
}

impl<F: Files> Job<F> {
    /// The ticket of the request, if it is one of the client's own.
    pub(super) fn into_ticket(self) -> Option<Ticket> {
        match self {
            Self::Read { ticket, .. }
            | Self::Write { ticket, .. }
            | Self::Fstat(ticket)
            | Self::Fsetstat(ticket, _)
            | Self::Readdir(ticket)
            | Self::Fsync(ticket)
            | Self::Fstatvfs(ticket)
            | Self::Check(ticket, _)
            | Self::Copy { ticket, .. }
            | Self::Close(ticket) => Some(ticket),
            Self::Lend { .. } | Self::Meet { .. } => None,
        }
    }
}

/// Works off a handle's requests. When there can be no more without a close, an upload is left to be resumed and a
/// download has failed, for the reason that the session then has.
pub(super) async fn serve<F: Files>(
    open: Open<F>,
    jobs: UnboundedReceiver<Job<F>>,
    files: Arc<F>,
    shared: Arc<Shared>,
) {
    match open {
        Open::Upload(handle) => serve_upload(handle, jobs, &*files, &shared).await,
        Open::Download(download) => serve_download(download, jobs, &*files, &shared).await,
        Open::Folder(folder) => serve_folder(folder, jobs, &*files).await,
    }
}

async fn meet(arrived: oneshot::Sender<()>, over: oneshot::Receiver<()>) {
    if arrived.send(()).is_ok() {
        // It ends when the other side is dropped, too.
        let _ = over.await;
    }
}

/// Lends content to a copy, and waits until that is over.
async fn lend<S>(source: Result<S>, to: oneshot::Sender<Result<S>>, over: oneshot::Receiver<()>) {
    if to.send(source).is_ok() {
        let _ = over.await;
    }
}

async fn serve_upload<F: Files>(
    mut handle: UploadHandle<F>,
    mut jobs: UnboundedReceiver<Job<F>>,
    files: &F,
    shared: &Shared,
) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Write { ticket, offset, data } => ticket.answer(write::write(&mut handle, offset, data).await),
            Job::Read { ticket, offset, length } => ticket.answer(read::read_upload(&handle, offset, length).await),
            Job::Fstat(ticket) => ticket.answer(stat::fstat_upload(&handle).await),
            Job::Fsetstat(ticket, attributes) => {
                ticket.answer(setstat::fsetstat_upload(&mut handle, &attributes).await);
            }
            Job::Readdir(ticket) => ticket.answer(not_a_folder()),
            Job::Fsync(ticket) => ticket.answer(fsync::fsync(&mut handle).await),
            Job::Fstatvfs(ticket) => ticket.answer(statvfs::statvfs(files, &handle.path).await),
            Job::Check(ticket, asked) => ticket.answer(match handle.source() {
                Ok(source) => check_file::check_file(&source, &asked, shared).await,
                Err(error) => failure(&error),
            }),
            Job::Copy { ticket, extent, source, over } => {
                ticket.answer(copy_data::copy_data(&mut handle, extent, source, shared).await);
                drop(over);
            }
            Job::Lend { to, over } => lend(handle.source(), to, over).await,
            Job::Close(ticket) => {
                ticket.answer(close::close_upload(handle).await);
                return;
            }
            Job::Meet { arrived, over } => meet(arrived, over).await,
        }
    }
    let error = handle.broken.take().unwrap_or_else(|| shared.reason());
    tracing::debug!(path = %handle.path, %error, "an upload is left to be resumed");
    handle.upload.detach(error).await;
}

async fn serve_download<F: Files>(
    download: F::Download,
    mut jobs: UnboundedReceiver<Job<F>>,
    files: &F,
    shared: &Shared,
) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Read { ticket, offset, length } => {
                ticket.answer(read::read_download(&download, offset, length).await);
            }
            Job::Write { ticket, .. } | Job::Copy { ticket, .. } => {
                let error = Error::new(ErrorKind::PermissionDenied, "the file is open for reading only");
                ticket.answer(failure(&error));
            }
            // What is read is durable: it is a version.
            Job::Fsync(ticket) => ticket.answer(Reply::ok()),
            Job::Fstatvfs(ticket) => ticket.answer(statvfs::statvfs(files, &download.entry().path).await),
            Job::Check(ticket, asked) => ticket.answer(match download.source() {
                Ok(source) => check_file::check_file(&source, &asked, shared).await,
                Err(error) => failure(&error),
            }),
            Job::Lend { to, over } => lend(download.source(), to, over).await,
            Job::Fstat(ticket) => ticket.answer(Reply::Attributes(attributes_of(download.entry()))),
            Job::Fsetstat(ticket, attributes) => {
                // By its id: the file that is open, whatever has its name by now.
                let target = Target::Id(download.entry().id);
                ticket.answer(setstat::fsetstat(files, &target, download.entry(), &attributes).await);
            }
            Job::Readdir(ticket) => ticket.answer(not_a_folder()),
            Job::Close(ticket) => {
                ticket.answer(close::close_download::<F>(download).await);
                return;
            }
            Job::Meet { arrived, over } => meet(arrived, over).await,
        }
    }
    download.fail(shared.reason()).await;
}

async fn serve_folder<F: Files>(mut folder: FolderHandle<F::Listing>, mut jobs: UnboundedReceiver<Job<F>>, files: &F) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Readdir(ticket) => ticket.answer(folder.readdir().await),
            Job::Fstat(ticket) => ticket.answer(Reply::Attributes(attributes_of(folder.folder()))),
            Job::Fsetstat(ticket, attributes) => {
                let target = Target::Path(folder.folder().path.clone());
                ticket.answer(setstat::fsetstat(files, &target, folder.folder(), &attributes).await);
            }
            Job::Fsync(ticket) => ticket.answer(Reply::ok()),
            Job::Fstatvfs(ticket) => ticket.answer(statvfs::statvfs(files, &folder.folder().path).await),
            Job::Read { ticket, .. } | Job::Write { ticket, .. } | Job::Check(ticket, _) | Job::Copy { ticket, .. } => {
                ticket.answer(failure(&is_folder()));
            }
            Job::Lend { to, over } => lend(Err(is_folder()), to, over).await,
            Job::Close(ticket) => {
                ticket.answer(Reply::ok());
                return;
            }
            Job::Meet { arrived, over } => meet(arrived, over).await,
        }
    }
}

fn is_folder() -> Error {
    Error::new(ErrorKind::IsFolder, "this handle is a folder; list it")
}

fn not_a_folder() -> Reply {
    refuse(Code::Failure, "this handle is a file; open the folder to list it")
}
