//! `SSH_FXP_READ` (draft-ietf-secsh-filexfer-02 section 6.4). A reply may be shorter than what was asked for; beyond the
//! end it is `SSH_FX_EOF`.
//!
//! Clients send many reads of 32 KiB ahead. They are answered one by one: the download reads ahead where they follow one
//! another, and what it counts as read is what the client got.

use causeway_core::{Error, ErrorKind};

use super::super::handles::UploadHandle;
use crate::codec::Reply;
use crate::files::{Files, Reading, Writing};
use crate::status::failure;

/// The most that one reply carries, as in OpenSSH's server: 256 KiB with room for the fields.
pub(in crate::session) const MAX_READ: usize = 255 * 1024;

/// Reads from a version.
pub(in crate::session) async fn read_download(download: &impl Reading, offset: u64, length: usize) -> Reply {
    match download.read_at(offset, length).await {
        Ok(data) if data.is_empty() => Reply::eof(),
        Ok(data) => Reply::Data(data),
        Err(error) => failure(&error),
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
