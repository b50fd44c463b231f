//! `copy-data` (OpenSSH's PROTOCOL, section 4.10; draft-ietf-secsh-filexfer-extensions-00 section 7): from one open file
//! to another one, on this side. A whole version into a file that is still empty is copied by reference; anything else
//! piece by piece, in the place that the request has among those of both handles.

use causeway_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot::Receiver;

use super::super::Shared;
use super::super::handles::UploadHandle;
use crate::codec::Reply;
use crate::files::{Content, Files, Writing};
use crate::status::failure;

/// What is to be copied.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Extent {
    /// From where.
    pub(in crate::session) offset: u64,
    /// How many bytes; 0: to the end.
    pub(in crate::session) length: u64,
    /// To where.
    pub(in crate::session) at: u64,
}

/// Copies. `SSH_FX_EOF` where the source ends before the length that was asked for.
pub(in crate::session) async fn copy_data<F: Files>(
    handle: &mut UploadHandle<F>,
    extent: Extent,
    source: Receiver<Result<F::Source>>,
    shared: &Shared,
) -> Reply {
    if let Some(error) = &handle.broken {
        return failure(error);
    }
    let source = match source.await {
        Ok(Ok(source)) => source,
        Ok(Err(error)) => return handle.breaks(error),
        Err(_) => return handle.breaks(not_open()),
    };
    match copy(handle, extent, &source, shared).await {
        Ok(true) => Reply::ok(),
        Ok(false) => Reply::eof(),
        Err(error) => handle.breaks(error),
    }
}

/// As with a write that fails: a client that overlooks it must not publish a file with a hole.
fn not_open() -> Error {
    Error::new(ErrorKind::InvalidArgument, "the file to copy from is not open any more; open it again")
}

/// Whether all that was asked for was there.
async fn copy<F: Files>(
    handle: &UploadHandle<F>,
    Extent { offset, length, at }: Extent,
    source: &F::Source,
    shared: &Shared,
) -> Result<bool> {
    let upload = &handle.upload;
    let size = source.size().await;
    let whole = offset == 0 && (length == 0 || length >= size) && (handle.append || at == 0);
    if whole && upload.adopt(source).await? {
        return Ok(length <= size);
    }
    // Not beyond where the source ends now: it may be an upload that grows by what is copied.
    let wanted = if length == 0 { size.saturating_sub(offset) } else { length };
    let end = size.saturating_sub(offset).min(wanted);
    let mut copied = 0;
    while copied < end {
        if let Some(ended) = shared.ended() {
            return Err(ended);
        }
        let to = if handle.append { None } else { Some(at.checked_add(copied).ok_or_else(too_far)?) };
        match upload.copy_at(to, source, offset + copied, end - copied).await? {
            0 => break,
            count => copied += count,
        }
    }
    Ok(copied >= wanted)
}

fn too_far() -> Error {
    Error::new(causeway_core::ErrorKind::InvalidArgument, "the offset is beyond what a file can hold (2^63 - 1 bytes)")
}
