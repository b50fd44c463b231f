//! `SSH_FXP_OPEN` (draft-ietf-secsh-filexfer-02 section 6.3).
//!
//! | flags | what it is here |
//! |---|---|
//! | `READ` | a download: the version that is visible now, whatever happens to the name |
//! | `WRITE CREAT TRUNC` | makes the file or replaces it whole |
//! | `WRITE CREAT EXCL` (`TRUNC` or not) | makes the file and reserves its name from now on |
//! | `WRITE TRUNC` | replaces a file that is there |
//! | `WRITE CREAT` | goes on with the own incomplete upload, or changes the file in place, or makes it |
//! | `WRITE` | the same, but the file has to be there |
//! | and `APPEND` | every write goes to the end, whatever its offset |
//! | and `READ` | reads come from the content as it is being written |
//!
//! Refused with `SSH_FX_FAILURE` and a sentence: neither `READ` nor `WRITE` (`APPEND` alone opens nothing, and `CREAT`
//! without `WRITE` would make a file that nobody declared complete), `TRUNC` without `WRITE`, `EXCL` without `CREAT`.

use causeway_core::transfer::Disposition;
use causeway_core::{Error, ErrorKind, Result, UploadOptions, VirtualPath};

use super::super::entries::to_be_made;
use super::super::handles::{Open, UploadHandle};
use crate::codec::{FileAttributes, OpenFlags};
use crate::files::Files;

/// What an open comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Plan {
    /// A download.
    Read,
    /// An upload.
    Write {
        /// What it does with what is there.
        disposition: Disposition,
        /// Whether all writes go to the end.
        append: bool,
        /// Whether it may be read too.
        readable: bool,
    },
}

/// What the flags ask for. Fails with `InvalidArgument`.
pub(in crate::session) fn plan(flags: OpenFlags) -> Result<Plan> {
    let refuse = |sentence: &'static str| Err(Error::new(ErrorKind::InvalidArgument, sentence));
    let [read, write, append, create, truncate, exclusive] =
        [OpenFlags::READ, OpenFlags::WRITE, OpenFlags::APPEND, OpenFlags::CREAT, OpenFlags::TRUNC, OpenFlags::EXCL]
            .map(|flag| flags.has(flag));
    if exclusive && !create {
        return refuse("EXCL needs CREAT; open the file with both");
    }
    if !write {
        if create || truncate || append {
            return refuse("CREAT, TRUNC and APPEND need WRITE; open the file for writing");
        }
        return if read { Ok(Plan::Read) } else { refuse("the file is opened neither for reading nor for writing") };
    }
    let disposition = match (create, truncate, exclusive) {
        (true, _, true) => Disposition::Create { reserve: true },
        (true, true, false) => Disposition::Replace,
        (false, true, _) => Disposition::Truncate,
        (create, false, _) => Disposition::Modify { create },
    };
    Ok(Plan::Write { disposition, append, readable: read })
}

/// Opens the file.
pub(in crate::session) async fn open<F: Files>(
    files: &F,
    path: VirtualPath,
    plan: Plan,
    attributes: &FileAttributes,
) -> Result<Open<F>> {
    match plan {
        Plan::Read => Ok(Open::Download(files.begin_download(&path).await?)),
        Plan::Write { disposition, append, readable } => {
            let mut options = UploadOptions::new(disposition);
            options.attributes = to_be_made(attributes);
            let upload = files.begin_upload(&path, options).await?;
            Ok(Open::Upload(UploadHandle::new(upload, path, append, readable)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_flags_has_one_meaning() {
        for bits in 0..64 {
            let flags = OpenFlags(bits);
            let has = |flag| flags.has(flag);
            let planned = plan(flags);
            match planned {
                Ok(Plan::Read) => assert_eq!(bits, OpenFlags::READ),
                Ok(Plan::Write { disposition, append, readable }) => {
                    assert!(has(OpenFlags::WRITE));
                    assert_eq!(append, has(OpenFlags::APPEND));
                    assert_eq!(readable, has(OpenFlags::READ));
                    let makes = matches!(
                        disposition,
                        Disposition::Replace
                            | Disposition::Create { reserve: true }
                            | Disposition::Modify { create: true }
                    );
                    assert_eq!(makes, has(OpenFlags::CREAT));
                    assert_eq!(matches!(disposition, Disposition::Create { .. }), has(OpenFlags::EXCL));
                    if !has(OpenFlags::EXCL) {
                        let cuts = matches!(disposition, Disposition::Replace | Disposition::Truncate);
                        assert_eq!(cuts, has(OpenFlags::TRUNC));
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
                    assert!(!has(OpenFlags::WRITE) || (has(OpenFlags::EXCL) && !has(OpenFlags::CREAT)));
                }
            }
        }
    }
}
