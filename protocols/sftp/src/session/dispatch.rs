//! From a packet to the queue of whoever works on it. Nothing here waits.

use bytes::Bytes;
use causeway_core::events::Operation;
use causeway_core::{Error, ErrorKind, Result, VirtualPath};
use tokio::sync::oneshot;

use super::handles::Job;
use super::paths::{Meeting, PathJob, PathRequest};
use super::replies::{Outgoing, Ticket};
use super::verbs::{check_file, copy_data, expand_path, limits, open, owners, read, realpath};
use super::{Ended, Handle, Session};
use crate::codec::{Copying, Extended, Malformed, Reply, Request, decode, decode_init};
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
            Request::Rename(from, to) => self.rename(id, &from, &to, false),
            Request::Realpath(path) => self.name(id, &path, resolve(&path)),
            Request::Readlink(path) => self.path(id, Operation::List, &path, Err(no_links())),
            Request::Symlink(path, _) => self.path(id, Operation::Upload, &path, Err(no_links())),
            Request::Extended(extended) => self.extended(id, extended),
            Request::Unknown(kind) => {
                tracing::debug!(kind, "a request that version 3 does not know");
                self.ticket(id, 0).answer(refuse(Code::OpUnsupported, "this request is not known here"));
            }
        }
    }

    fn extended(&mut self, id: u32, extended: Extended) {
        match extended {
            Extended::PosixRename(from, to) => self.rename(id, &from, &to, true),
            Extended::Statvfs(path) => self.path(id, Operation::List, &path, resolve(&path).map(PathRequest::Statvfs)),
            Extended::Fstatvfs(handle) => {
                let ticket = self.ticket(id, 0);
                self.job(&handle, Job::Fstatvfs(ticket));
            }
            Extended::Hardlink(path, _) => self.path(id, Operation::Upload, &path, Err(no_links())),
            Extended::Fsync(handle) => {
                let ticket = self.ticket(id, 0);
                self.job(&handle, Job::Fsync(ticket));
            }
            // There are no links, so it is SETSTAT.
            Extended::Lsetstat(path, attributes) => self.request(id, Request::Setstat(path, attributes)),
            Extended::Limits => self.ticket(id, 0).answer(limits::limits(self.flow.most_handles())),
            Extended::ExpandPath(path) => {
                let expanded = expand_path::expand(&path, self.files.login());
                self.name(id, &path, expanded);
            }
            Extended::HomeDirectory(user) => {
                let home = expand_path::home_of(&user, self.files.login());
                self.name(id, &user, home);
            }
            Extended::OwnersById(users, groups) => {
                let reply = owners::owners(&users, &groups);
                self.ticket(id, 24 * (users.len() + groups.len())).answer(reply);
            }
            Extended::CopyData(copying) => self.copy(id, &copying),
            Extended::CheckHandle(handle, asked) => {
                let ticket = self.ticket(id, check_file::cost(&asked));
                self.job(&handle, Job::Check(ticket, asked));
            }
            Extended::CheckName(path, asked) => {
                let cost = check_file::cost(&asked);
                let asked = resolve(&path).map(|path| PathRequest::Check(path, asked));
                self.path_at(id, cost, Operation::Download, &path, asked);
            }
            Extended::Unknown(name) => {
                tracing::debug!(name = %recorded(&name), "an extension that is not known");
                self.ticket(id, 0).answer(refuse(Code::OpUnsupported, "this extension is not known here"));
            }
        }
    }

    /// Answers with a path, or puts on record why there is none.
    fn name(&mut self, id: u32, raw: &Bytes, resolved: Result<VirtualPath>) {
        match resolved {
            Ok(resolved) => {
                let ticket = self.ticket(id, 2 * raw.len());
                ticket.answer(realpath::realpath(&resolved));
            }
            Err(error) => self.path(id, Operation::List, raw, Err(error)),
        }
    }

    /// An open handle that takes requests.
    fn handle(&mut self, handle: &Bytes) -> Option<&mut Handle<F>> {
        let number = <[u8; 4]>::try_from(&handle[..]).ok().map(u32::from_be_bytes)?;
        self.handles.get_mut(&number).filter(|entry| !entry.closing)
    }

    /// Hands a request to its handle.
    fn job(&mut self, handle: &Bytes, job: Job<F>) {
        let Some(entry) = self.handle(handle) else {
            if let Some(ticket) = job.into_ticket() {
                ticket.answer(no_handle());
            }
            return;
        };
        entry.closing = matches!(job, Job::Close(_));
        // Where the handle's task is gone, the ticket in what could not be sent answers for it.
        let _ = entry.jobs.send(job);
    }

    /// Hands a copy to both of its handles.
    fn copy(&mut self, id: u32, Copying { from, offset, length, to, at }: &Copying) {
        let ticket = self.ticket(id, 0);
        if from == to {
            let sentence = "a file cannot be copied by one handle; open it a second time";
            ticket.answer(refuse(Code::Failure, sentence));
            return;
        }
        if self.handle(to).is_none() {
            ticket.answer(no_handle());
            return;
        }
        let (lend, source) = oneshot::channel();
        let (done, over) = oneshot::channel();
        // Where it is no handle, or its part is gone, the copy finds nothing lent, and fails as a write does.
        if let Some(lender) = self.handle(from) {
            let _ = lender.jobs.send(Job::Lend { to: lend, over });
        }
        let extent = copy_data::Extent { offset: *offset, length: *length, at: *at };
        self.job(to, Job::Copy { ticket, extent, source, over: done });
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

    /// Hands on a rename; where it is refused, the name that cannot be one is put on record.
    fn rename(&mut self, id: u32, from: &Bytes, to: &Bytes, overwrite: bool) {
        let (named, asked) = match (resolve(from), resolve(to)) {
            (Err(error), _) => (from, Err(error)),
            (Ok(_), Err(error)) => (to, Err(error)),
            (Ok(old), Ok(new)) => (from, Ok(PathRequest::Rename { from: old, to: new, overwrite })),
        };
        self.path(id, Operation::Rename, named, asked);
    }

    /// Hands on a request that names a path, or puts on record why it is refused.
    fn path(&mut self, id: u32, operation: Operation, raw: &Bytes, asked: Result<PathRequest>) {
        self.path_at(id, raw.len(), operation, raw, asked);
    }

    /// The same, for a request that holds so many bytes.
    fn path_at(&mut self, id: u32, cost: usize, operation: Operation, raw: &Bytes, asked: Result<PathRequest>) {
        let request = asked.unwrap_or_else(|error| PathRequest::Refused { operation, path: recorded(raw), error });
        let ticket = self.ticket(id, cost);
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

fn no_handle() -> Reply {
    refuse(Code::Failure, "there is no such handle; open the file again")
}

fn no_links() -> Error {
    Error::new(ErrorKind::Unsupported, "links do not exist here; copy the file instead")
}
