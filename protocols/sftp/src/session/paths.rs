//! Requests that name a path. They are worked off one after the other, in the order in which they came; where one names a
//! file that this session is writing, it keeps its place among the requests of that handle, too. Only the hashing of a
//! `check-file-name` goes on beside them: its file is opened in its turn, and is then what it was, whatever comes next.

use std::sync::Arc;

use causeway_core::events::Operation;
use causeway_core::{Error, VirtualPath};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::Shared;
use super::handles::Open;
use super::replies::Ticket;
use super::verbs::folder::FolderHandle;
use super::verbs::{check_file, mkdir, open, posix_rename, remove, rename, rmdir, setstat, stat, statvfs};
use crate::codec::{FileAttributes, Hashing};
use crate::files::Files;
use crate::status::failure;

/// What is asked.
#[derive(Debug)]
pub(super) enum PathRequest {
    Open {
        path: VirtualPath,
        plan: open::Plan,
        attributes: FileAttributes,
    },
    Opendir(VirtualPath),
    Stat(VirtualPath),
    Setstat(VirtualPath, FileAttributes),
    Mkdir(VirtualPath, FileAttributes),
    Rmdir(VirtualPath),
    Remove(VirtualPath),
    Rename {
        from: VirtualPath,
        to: VirtualPath,
        overwrite: bool,
    },
    Statvfs(VirtualPath),
    Check(VirtualPath, Hashing),
    /// What this protocol refused itself; it is put on record.
    Refused {
        operation: Operation,
        path: String,
        error: Error,
    },
}

impl PathRequest {
    /// Whether it concerns what is being written at this path.
    pub(super) fn concerns(&self, written: &VirtualPath) -> bool {
        match self {
            Self::Open { path, .. }
            | Self::Stat(path)
            | Self::Setstat(path, _)
            | Self::Remove(path)
            | Self::Check(path, _) => path == written,
            Self::Rmdir(path) => written.below(path).is_some(),
            Self::Rename { from, to, .. } => written.below(from).is_some() || to == written,
            Self::Opendir(_) | Self::Mkdir(..) | Self::Statvfs(_) | Self::Refused { .. } => false,
        }
    }
}

/// One side of a meeting with a handle (see [`super::handles::Job::Meet`]).
#[derive(Debug)]
pub(super) struct Meeting {
    pub(super) arrived: oneshot::Receiver<()>,
    pub(super) over: oneshot::Sender<()>,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct PathJob {
    pub(super) ticket: Ticket,
    pub(super) request: PathRequest,
    pub(super) meetings: Vec<Meeting>,
}

/// Something was opened: the session gives it its handle.
pub(super) struct Opened<F: Files> {
    pub(super) ticket: Ticket,
    pub(super) open: Open<F>,
}

/// Works off requests until there can be no more. `opened` takes what was opened, and the ticket to answer with it;
/// nothing for an open that failed and was answered already. `beside` takes work that is to go on beside the requests.
pub(super) async fn serve<F: Files>(
    files: Arc<F>,
    shared: Arc<Shared>,
    mut jobs: UnboundedReceiver<PathJob>,
    opened: impl Fn(Option<Opened<F>>) + Send,
    beside: impl Fn(BoxFuture<'static, ()>) + Send,
) {
    while let Some(PathJob { ticket, request, meetings }) = jobs.recv().await {
        let mut ends = Vec::with_capacity(meetings.len());
        for Meeting { arrived, over } in meetings {
            // An error means that the handle is gone, and everything before this with it.
            let _ = arrived.await;
            ends.push(over);
        }
        match request {
            PathRequest::Open { path, plan, attributes } => {
                opened(match open::open(&*files, path, plan, &attributes).await {
                    Ok(open) => Some(Opened { ticket, open }),
                    Err(error) => {
                        ticket.answer(failure(&error));
                        None
                    }
                });
            }
            PathRequest::Opendir(path) => {
                opened(match files.list(&path).await {
                    Ok(listing) => Some(Opened { ticket, open: Open::Folder(FolderHandle::new(listing)) }),
                    Err(error) => {
                        ticket.answer(failure(&error));
                        None
                    }
                });
            }
            PathRequest::Stat(path) => ticket.answer(stat::stat(&*files, &path).await),
            PathRequest::Setstat(path, attributes) => {
                ticket.answer(setstat::setstat(&*files, path, &attributes).await);
            }
            PathRequest::Mkdir(path, attributes) => ticket.answer(mkdir::mkdir(&*files, &path, &attributes).await),
            PathRequest::Rmdir(path) => ticket.answer(rmdir::rmdir(&*files, &path).await),
            PathRequest::Remove(path) => ticket.answer(remove::remove(&*files, &path).await),
            PathRequest::Rename { from, to, overwrite: false } => {
                ticket.answer(rename::rename(&*files, &from, &to).await);
            }
            PathRequest::Rename { from, to, overwrite: true } => {
                ticket.answer(posix_rename::posix_rename(&*files, &from, &to).await);
            }
            PathRequest::Statvfs(path) => ticket.answer(statvfs::statvfs(&*files, &path).await),
            PathRequest::Check(path, asked) => match files.examine(&path).await {
                Ok(source) => {
                    let shared = shared.clone();
                    let check = async move { ticket.answer(check_file::check_file(&source, &asked, &shared).await) };
                    beside(check.boxed());
                }
                Err(error) => ticket.answer(failure(&error)),
            },
            PathRequest::Refused { operation, path, error } => {
                files.refused(operation, &path, &error).await;
                ticket.answer(failure(&error));
            }
        }
        drop(ends);
    }
}
