//! Open files and folders. Each has a task of its own that works off its requests in the order in which they came
//! (draft-ietf-secsh-filexfer-02 section 3.1); requests of different handles run beside each other.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use causeway_core::namespace::Target;
use causeway_core::{Error, ErrorKind, VirtualPath};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::entries::attributes_of;
use super::replies::Ticket;
use super::verbs::{close, folder::FolderHandle, read, setstat, stat, write};
use crate::codec::{FileAttributes, Reply};
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
}

/// What a handle is asked for.
#[derive(Debug)]
pub(super) enum Job {
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
    Close(Ticket),
    /// An operation on the same path, which keeps its place in the order: it is told when everything before it is done,
    /// and everything after it waits until it is over.
    Meet {
        arrived: oneshot::Sender<()>,
        over: oneshot::Receiver<()>,
    },
}

/// Works off a handle's requests. When there can be no more without a close, an upload is left to be resumed and a
/// download has failed, for the reason that the session then has.
pub(super) async fn serve<F: Files>(
    open: Open<F>,
    jobs: UnboundedReceiver<Job>,
    files: Arc<F>,
    reason: Arc<OnceLock<Error>>,
) {
    let reason = || reason.get().cloned().unwrap_or_else(|| Error::new(ErrorKind::Incomplete, "the session ended"));
    match open {
        Open::Upload(handle) => serve_upload(handle, jobs, reason).await,
        Open::Download(download) => serve_download(download, jobs, &*files, reason).await,
        Open::Folder(folder) => serve_folder(folder, jobs, &*files).await,
    }
}

async fn meet(arrived: oneshot::Sender<()>, over: oneshot::Receiver<()>) {
    if arrived.send(()).is_ok() {
        // It ends when the other side is dropped, too.
        let _ = over.await;
    }
}

async fn serve_upload<F: Files>(
    mut handle: UploadHandle<F>,
    mut jobs: UnboundedReceiver<Job>,
    reason: impl Fn() -> Error + Send,
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
            Job::Close(ticket) => {
                ticket.answer(close::close_upload(handle).await);
                return;
            }
            Job::Meet { arrived, over } => meet(arrived, over).await,
        }
    }
    let error = handle.broken.take().unwrap_or_else(reason);
    tracing::debug!(path = %handle.path, %error, "an upload is left to be resumed");
    handle.upload.detach(error).await;
}

async fn serve_download<F: Files>(
    download: F::Download,
    mut jobs: UnboundedReceiver<Job>,
    files: &F,
    reason: impl Fn() -> Error + Send,
) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Read { ticket, offset, length } => {
                ticket.answer(read::read_download(&download, offset, length).await);
            }
            Job::Write { ticket, .. } => {
                let error = Error::new(ErrorKind::PermissionDenied, "the file is open for reading only");
                ticket.answer(failure(&error));
            }
            Job::Fstat(ticket) => ticket.answer(Reply::Attributes(attributes_of(download.entry()))),
            Job::Fsetstat(ticket, attributes) => {
                // By its id: the file that is open, whatever has its name by now.
                let target = Target::Id(download.entry().id);
                ticket.answer(setstat::fsetstat(files, &target, &attributes).await);
            }
            Job::Readdir(ticket) => ticket.answer(not_a_folder()),
            Job::Close(ticket) => {
                ticket.answer(close::close_download::<F>(download).await);
                return;
            }
            Job::Meet { arrived, over } => meet(arrived, over).await,
        }
    }
    download.fail(reason()).await;
}

async fn serve_folder<F: Files>(mut folder: FolderHandle<F::Listing>, mut jobs: UnboundedReceiver<Job>, files: &F) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Readdir(ticket) => ticket.answer(folder.readdir().await),
            Job::Fstat(ticket) => ticket.answer(Reply::Attributes(attributes_of(folder.folder()))),
            Job::Fsetstat(ticket, attributes) => {
                let target = Target::Path(folder.folder().path.clone());
                ticket.answer(setstat::fsetstat(files, &target, &attributes).await);
            }
            Job::Read { ticket, .. } | Job::Write { ticket, .. } => {
                ticket.answer(failure(&Error::new(ErrorKind::IsFolder, "this handle is a folder; list it")));
            }
            Job::Close(ticket) => {
                ticket.answer(Reply::ok());
                return;
            }
            Job::Meet { arrived, over } => meet(arrived, over).await,
        }
    }
}

fn not_a_folder() -> Reply {
    refuse(Code::Failure, "this handle is a file; open the folder to list it")
}
