//! `fsync@openssh.com` (OpenSSH's PROTOCOL, section 4.6): what was written so far outlives a crash and a power cut. It is
//! visible, as ever, from the close on.

use super::super::handles::UploadHandle;
use crate::codec::Reply;
use crate::files::{Files, Writing};
use crate::status::failure;

/// Makes an upload durable up to here. A failed sync is for good: what it lost nobody knows.
pub(in crate::session) async fn fsync<F: Files>(handle: &mut UploadHandle<F>) -> Reply {
    if let Some(error) = &handle.broken {
        return failure(error);
    }
    match handle.upload.sync().await {
        Ok(()) => Reply::ok(),
        Err(error) => handle.breaks(error),
    }
}
