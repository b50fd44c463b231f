//! `SSH_FXP_WRITE` (draft-ietf-secsh-filexfer-02 section 6.4). `SSH_FX_OK` means that the bytes were taken over; an error
//! that writing behind met is told at the next write, or at the close.

use bytes::Bytes;

use super::super::handles::UploadHandle;
use crate::codec::Reply;
use crate::files::{Files, Writing};
use crate::status::failure;

/// Writes. After the first error every further write fails with it too.
pub(in crate::session) async fn write<F: Files>(handle: &mut UploadHandle<F>, offset: u64, data: Bytes) -> Reply {
    if let Some(error) = &handle.broken {
        return failure(error);
    }
    let result =
        if handle.append { handle.upload.append(data).await } else { handle.upload.write_at(offset, data).await };
    match result {
        Ok(()) => Reply::ok(),
        Err(error) => handle.breaks(error),
    }
}
