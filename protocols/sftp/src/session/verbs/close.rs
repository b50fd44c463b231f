//! `SSH_FXP_CLOSE` (draft-ietf-secsh-filexfer-02 section 6.3). For an upload this is the client's word that the content
//! is complete: `SSH_FX_OK` is sent after the commit returned, and only then.

use super::super::handles::UploadHandle;
use super::done;
use crate::codec::Reply;
use crate::files::{Files, Reading, Writing};
use crate::status::failure;

/// Commits an upload. Where a write of it failed, it is left to be resumed instead, and the first error is told once
/// more: a client that overlooked it must not publish a file with a hole.
pub(in crate::session) async fn close_upload<F: Files>(handle: UploadHandle<F>) -> Reply {
    match handle.broken {
        Some(error) => {
            let reply = failure(&error);
            handle.upload.detach(error).await;
            reply
        }
        None => done(handle.upload.commit().await),
    }
}

/// Ends a download.
pub(in crate::session) async fn close_download<F: Files>(download: F::Download) -> Reply {
    done(download.finish().await)
}
