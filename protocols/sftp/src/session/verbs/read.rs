//! `SSH_FXP_READ` (draft-ietf-secsh-filexfer-02 section 6.4). A reply may be shorter than what was asked for; beyond the
//! end it is `SSH_FX_EOF`.
//!
//! Clients send many reads of 32 KiB ahead. Those of them that are already here and follow one another are read from the
//! store at once. Nothing is read that was not asked for, so that what a download counts as read is what the client got.

use causeway_core::{Error, ErrorKind};

use super::super::handles::UploadHandle;
use super::super::replies::Ticket;
use crate::codec::Reply;
use crate::files::{Files, Reading, Writing};
use crate::status::failure;

/// The most that one reply carries, as in OpenSSH's server: 256 KiB with room for the fields.
pub(in crate::session) const MAX_READ: usize = 255 * 1024;
/// The most that is read from the store at once.
const MAX_RUN: usize = 1024 * 1024;

/// Reads that follow one another, to be answered from one piece of the file.
#[derive(Debug)]
pub(in crate::session) struct Run {
    offset: u64,
    length: usize,
    parts: Vec<(Ticket, usize)>,
}

impl Run {
    /// Begins with one read.
    pub(in crate::session) fn new(ticket: Ticket, offset: u64, length: usize) -> Self {
        Self { offset, length, parts: vec![(ticket, length)] }
    }

    /// Whether a read at this offset goes on where this run ends.
    pub(in crate::session) fn takes(&self, offset: u64, length: usize) -> bool {
        self.length + length <= MAX_RUN && self.offset.checked_add(self.length as u64) == Some(offset)
    }

    /// Adds a read that follows.
    pub(in crate::session) fn add(&mut self, ticket: Ticket, length: usize) {
        self.length += length;
        self.parts.push((ticket, length));
    }

    /// Reads and answers.
    pub(in crate::session) async fn serve(self, download: &impl Reading) {
        match download.read_at(self.offset, self.length).await {
            Ok(mut data) => {
                for (ticket, length) in self.parts {
                    let part = data.split_to(length.min(data.len()));
                    ticket.answer(if part.is_empty() { Reply::eof() } else { Reply::Data(part) });
                }
            }
            Err(error) => {
                for (ticket, _) in self.parts {
                    ticket.answer(failure(&error));
                }
            }
        }
    }
}

/// Reads from a file that is being written.
pub(in crate::session) async fn read_upload<F: Files>(handle: &UploadHandle<F>, offset: u64, length: usize) -> Reply {
    if !handle.readable {
        return failure(&Error::new(ErrorKind::PermissionDenied, "the file is open for writing only"));
    }
    match handle.upload.read_at(offset, length).await {
        Ok(data) if data.is_empty() => Reply::eof(),
        Ok(data) => Reply::Data(data),
        Err(error) => failure(&error),
    }
}
