//! From a packet to the queue of whoever works on it. Nothing here waits.

use bytes::Bytes;
use causeway_core::events::Operation;
use causeway_core::{Error, ErrorKind, Result, VirtualPath};
use tokio::sync::oneshot;

use super::handles::Job;
use super::paths::{Meeting, PathJob, PathRequest};
use super::replies::{Outgoing, Ticket};
use super::verbs::{open, read, realpath};
use super::{Ended, Session};
use crate::codec::{Malformed, Request, decode, decode_init};
use crate::files::Files;
use crate::status::{Code, refuse};

/// What a request holds of the allowance beside its content: the packet's fields, its queue's place, its reply.
const BASE_COST: usize = 512;
/// What the reply to a READDIR may hold.
const LISTING_COST: usize = 48 * 1024;
/// The longest path that is put on record as it was sent.
const RECORDED: usize = 4096;

impl<F: Files> Session<F> {
    /// Takes up one packet.
    pub(super) fn packet(&mut self, packet: Bytes) {
        if !self.greeted {
            match decode_init(packet) {
                Ok(version) => {
                    tracing::debug!(version, "the client speaks this version of SFTP");
                    self.greeted = true;
                    // The writer is there until the session's task drops its end.
                    let _ = self.replies.send(Outgoing::Version);
                }
                Err(Malformed { reason, .. }) => self.end(Ended::Broken(reason)),
            }
            return;
        }
        match decode(packet) {
            Ok((id, request)) => self.request(id, request),
            Err(Malformed { id: Some(id), reason }) => {
                tracing::debug!(id, reason, "a malformed packet");
                self.ticket(id, 0).answer(refuse(Code::BadMessage, reason));
            }
            Err(Malformed { id: None, reason }) => self.end(Ended::Broken(reason)),
        }
    }

    fn ticket(&mut self, id: u32, content: usize) -> Ticket {
        let cost = BASE_COST + content;
        self.requests += 1;
        self.bytes += cost;
        Ticket::new(id, cost, self.replies.clone(), self.flow.clone())
    }

    fn request(&mut self, id: u32, request: Request) {
        match request {
            Request::Read { handle, offset, length } => {
                let length = (length as usize).min(read::MAX_READ);
                let ticket = self.ticket(id, length);
                self.job(&handle, Job::Read { ticket, offset, length });
            }
            Request::Write { handle, offset, data } => {
                let ticket = self.ticket(id, data.len());
                self.job(&handle, Job::Write { ticket, offset, data });
            }
            Request::Close(handle) => {
                let ticket = self.ticket(id, 0);
                self.job(&handle, Job::Close(ticket));
            }
            Request::Fstat(handle) => {
                let ticket = self.ticket(id, 0);
                self.job(&handle, Job::Fstat(ticket));
            }
            Request::Fsetstat(handle, attributes) => {
                let ticket = self.ticket(id, 0);
                self.job(&handle, Job::Fsetstat(ticket, attributes));
            }
            Request::Readdir(handle) => {
                let ticket = self.ticket(id, LISTING_COST);
                self.job(&handle, Job::Readdir(ticket));
            }
            Request::Open { path, flags, attributes } => {
                let plan = open::plan(flags);
                let operation = if let Ok(open::Plan::Read) = plan { Operation::Download } else { Operation::Upload };
                let asked = plan.and_then(|plan| Ok(PathRequest::Open { path: resolve(&path)?, plan, attributes }));
                self.open(id, operation, &path, asked);
            }
            Request::Opendir(path) => self.open(id, Operation::List, &path, resolve(&path).map(PathRequest::Opendir)),
            Request::Stat(path) | Request::Lstat(path) => {
                self.path(id, Operation::List, &path, resolve(&path).map(PathRequest::Stat));
            }
            Request::Setstat(path, attributes) => {
                let asked = resolve(&path).map(|path| PathRequest::Setstat(path, attributes));
                self.path(id, Operation::Attributes, &path, asked);
            }
            Request::Mkdir(path, attributes) => {
                let asked = resolve(&path).map(|path| PathRequest::Mkdir(path, attributes));
                self.path(id, Operation::Mkdir, &path, asked);
            }
            Request::Rmdir(path) => self.path(id, Operation::Rmdir, &path, resolve(&path).map(PathRequest::Rmdir)),
            Request::Remove(path) => self.path(id, Operation::Delete, &path, resolve(&path).map(PathRequest::Remove)),
            Request::Rename(from, to) => {
                let asked = resolve(&from).and_then(|from| Ok(PathRequest::Rename { from, to: resolve(&to)? }));
                self.path(id, Operation::Rename, &from, asked);
            }
            Request::Realpath(path) => match resolve(&path) {
                Ok(resolved) => {
                    let ticket = self.ticket(id, 2 * path.len());
                    ticket.answer(realpath::realpath(&resolved));
                }
                Err(error) => self.path(id, Operation::List, &path, Err(error)),
            },
            Request::Readlink(path) => self.path(id, Operation::List, &path, Err(no_links())),
            Request::Symlink(path, _) => self.path(id, Operation::Upload, &path, Err(no_links())),
            Request::Extended(_) => {
                self.ticket(id, 0).answer(refuse(Code::OpUnsupported, "this extension is not known here"));
            }
            Request::Unknown(kind) => {
                tracing::debug!(kind, "a request that version 3 does not know");
                self.ticket(id, 0).answer(refuse(Code::OpUnsupported, "this request is not known here"));
            }
        }
    }

    /// Hands a request to its handle.
    fn job(&mut self, handle: &Bytes, job: Job) {
        let number = <[u8; 4]>::try_from(&handle[..]).ok().map(u32::from_be_bytes);
        let entry = number.and_then(|number| self.handles.get_mut(&number)).filter(|entry| !entry.closing);
        let Some(entry) = entry else {
            let (Job::Read { ticket, .. }
            | Job::Write { ticket, .. }
            | Job::Fstat(ticket)
            | Job::Fsetstat(ticket, _)
            | Job::Readdir(ticket)
            | Job::Close(ticket)) = job
            else {
                return;
            };
            ticket.answer(refuse(Code::Failure, "there is no such handle; open the file again"));
            return;
        };
        entry.closing = matches!(job, Job::Close(_));
        // Where the handle's task is gone, the ticket in what could not be sent answers for it.
        let _ = entry.jobs.send(job);
    }

    /// Hands on an open, if there is room for one more handle, and the gateway is not about to go.
    fn open(&mut self, id: u32, operation: Operation, raw: &Bytes, asked: Result<PathRequest>) {
        if asked.is_ok() {
            if self.closing {
                self.ticket(id, 0).answer(refuse(Code::Failure, "the gateway is shutting down; try again later"));
                return;
            }
            let Some(place) = self.flow.handle() else {
                let text = "too many files are open on this connection; close some";
                self.ticket(id, 0).answer(refuse(Code::Failure, text));
                return;
            };
            self.places.push(place);
            self.opening += 1;
        }
        self.path(id, operation, raw, asked);
    }

    /// Hands on a request that names a path, or puts on record why it is refused.
    fn path(&mut self, id: u32, operation: Operation, raw: &Bytes, asked: Result<PathRequest>) {
        let request = asked.unwrap_or_else(|error| PathRequest::Refused { operation, path: recorded(raw), error });
        let ticket = self.ticket(id, raw.len());
        let mut meetings = Vec::new();
        for handle in self.handles.values() {
            if handle.written.as_ref().is_some_and(|written| request.concerns(written)) {
                let (arrive, arrived) = oneshot::channel();
                let (over, ends) = oneshot::channel();
                if handle.jobs.send(Job::Meet { arrived: arrive, over: ends }).is_ok() {
                    meetings.push(Meeting { arrived, over });
                }
            }
        }
        if let Some(paths) = &self.paths {
            // Where it cannot be sent, the ticket answers for it.
            let _ = paths.send(PathJob { ticket, request, meetings });
        }
    }
}

fn resolve(path: &[u8]) -> Result<VirtualPath> {
    VirtualPath::resolve(&VirtualPath::root(), path)
}

fn recorded(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw.get(..RECORDED).unwrap_or(raw)).into_owned()
}

fn no_links() -> Error {
    Error::new(ErrorKind::Unsupported, "links do not exist here; copy the file instead")
}
