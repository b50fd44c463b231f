//! `SSH_FXP_SETSTAT` and `FSETSTAT` (draft-ietf-secsh-filexfer-02 section 6.9). The size is content: on a path it is an
//! upload of its own that cuts or extends the file (or the owner's incomplete upload, which stays incomplete); on an open
//! file it belongs to the upload, and so do times and modes (`put -p`).

use causeway_core::namespace::Target;
use causeway_core::transfer::Disposition;
use causeway_core::{Entry, Error, ErrorKind, Result, UploadOptions, VirtualPath};

use super::super::entries::{attributes_of, to_be_set};
use super::super::handles::UploadHandle;
use super::done;
use crate::codec::{FileAttributes, Reply};
use crate::files::{Files, Writing};
use crate::status::failure;

/// Sets attributes of a path.
pub(in crate::session) async fn setstat<F: Files>(files: &F, path: VirtualPath, attributes: &FileAttributes) -> Reply {
    let work = async {
        let attributes = changes(files, &path, attributes).await;
        if let Some(size) = attributes.size {
            resize(files, &path, size).await?;
        }
        set(files, &Target::Path(path), &attributes).await
    };
    done(work.await)
}

/// What of the attributes differs from what the client is shown: many set, after each upload, what is so already, also
/// where they may change nothing.
async fn changes<F: Files>(files: &F, path: &VirtualPath, asked: &FileAttributes) -> FileAttributes {
    // Whoever may not look may still be allowed to set.
    let Ok(entry) = files.stat(path).await else { return *asked };
    let shown = attributes_of(&entry);
    FileAttributes {
        size: asked.size.filter(|size| entry.folder || Some(*size) != shown.size),
        owner: asked.owner.filter(|owner| Some(*owner) != shown.owner),
        permissions: asked
            .permissions
            .filter(|mode| shown.permissions.is_none_or(|shown| (shown ^ mode) & 0o7777 != 0)),
        times: asked.times.filter(|times| Some(*times) != shown.times),
    }
}

/// Sets attributes of an upload. A size that could not be set leaves the content wrong, and is kept as a failed write is.
pub(in crate::session) async fn fsetstat_upload<F: Files>(
    handle: &mut UploadHandle<F>,
    attributes: &FileAttributes,
) -> Reply {
    if let Some(error) = &handle.broken {
        return failure(error);
    }
    if let Some(size) = attributes.size
        && let Err(error) = handle.upload.set_size(size).await
    {
        return handle.breaks(error);
    }
    let rest = to_be_set(attributes);
    if rest.is_empty() { Reply::ok() } else { done(handle.upload.set_attributes(rest).await) }
}

/// Sets attributes of what is open for reading, file or folder. The size can only be what it is.
pub(in crate::session) async fn fsetstat<F: Files>(
    files: &F,
    target: &Target,
    entry: &Entry,
    attributes: &FileAttributes,
) -> Reply {
    if attributes.size.is_some_and(|size| entry.folder || size != entry.size) {
        return failure(&Error::new(ErrorKind::PermissionDenied, "the file is open for reading only"));
    }
    done(set(files, target, attributes).await)
}

async fn set<F: Files>(files: &F, target: &Target, attributes: &FileAttributes) -> Result<()> {
    let rest = to_be_set(attributes);
    if !rest.is_empty() {
        files.set_attributes(target, rest).await?;
    }
    Ok(())
}

async fn resize<F: Files>(files: &F, path: &VirtualPath, size: u64) -> Result<()> {
    let upload = files.begin_upload(path, UploadOptions::new(Disposition::Modify { create: false })).await?;
    match upload.set_size(size).await {
        // An incomplete upload goes on being one: nobody has said that it is complete, and the cut may have left a hole.
        Ok(()) if upload.is_resumed() => {
            upload.detach(Error::new(ErrorKind::Incomplete, "only the size of an incomplete upload was set")).await;
            Ok(())
        }
        Ok(()) => upload.commit().await.map(drop),
        Err(error) => {
            upload.detach(error.clone()).await;
            Err(error)
        }
    }
}
