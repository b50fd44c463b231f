//! `SSH_FXP_STAT`, `LSTAT` and `FSTAT` (draft-ietf-secsh-filexfer-02 section 6.8). There are no links here, so the first
//! two are one. `FSTAT` of an upload shows what it would be if it were closed now.

use causeway_core::{Entry, Result, VirtualPath};

use super::super::entries::attributes_of;
use super::super::handles::UploadHandle;
use crate::codec::Reply;
use crate::files::{Files, Writing};
use crate::status::failure;

/// What a path is.
pub(in crate::session) async fn stat<F: Files>(files: &F, path: &VirtualPath) -> Reply {
    show(files.stat(path).await)
}

/// What a file that is being written would be.
pub(in crate::session) async fn fstat_upload<F: Files>(handle: &UploadHandle<F>) -> Reply {
    show(handle.upload.stat().await)
}

fn show(result: Result<Entry>) -> Reply {
    match result {
        Ok(entry) => Reply::Attributes(attributes_of(&entry)),
        Err(error) => failure(&error),
    }
}
