//! The one map from core's kinds of failure to SFTP's status codes (draft-ietf-secsh-filexfer-02 section 7).
//!
//! Version 3 has few codes. What has none of its own is `SSH_FX_FAILURE` with the sentence of the error; `NO_CONNECTION`
//! and `CONNECTION_LOST` are a client's own findings and are never sent (the draft says so).

use std::borrow::Cow;

use causeway_core::{Error, ErrorKind};

use crate::codec::Reply;

/// `SSH_FX_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// It is done.
    Ok = 0,
    /// The end of the file or listing.
    Eof = 1,
    /// No such file or folder.
    NoSuchFile = 2,
    /// Not allowed.
    PermissionDenied = 3,
    /// Anything else.
    Failure = 4,
    /// The packet is malformed.
    BadMessage = 5,
    /// The operation does not exist here.
    OpUnsupported = 8,
}

impl Code {
    /// The name of the draft.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "SSH_FX_OK",
            Self::Eof => "SSH_FX_EOF",
            Self::NoSuchFile => "SSH_FX_NO_SUCH_FILE",
            Self::PermissionDenied => "SSH_FX_PERMISSION_DENIED",
            Self::Failure => "SSH_FX_FAILURE",
            Self::BadMessage => "SSH_FX_BAD_MESSAGE",
            Self::OpUnsupported => "SSH_FX_OP_UNSUPPORTED",
        }
    }
}

/// The code that a kind of failure is answered with.
pub const fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::NotFound | ErrorKind::NoSuchFolder => Code::NoSuchFile,
        ErrorKind::PermissionDenied | ErrorKind::Unauthenticated => Code::PermissionDenied,
        ErrorKind::Unsupported => Code::OpUnsupported,
        ErrorKind::InvalidName
        | ErrorKind::InvalidArgument
        | ErrorKind::AlreadyExists
        | ErrorKind::IsFolder
        | ErrorKind::NotFolder
        | ErrorKind::NotEmpty
        | ErrorKind::QuotaExceeded
        | ErrorKind::FileTooLarge
        | ErrorKind::NoSpace
        | ErrorKind::Conflict
        | ErrorKind::PreconditionFailed
        | ErrorKind::DigestMismatch
        | ErrorKind::TypeMismatch
        | ErrorKind::Incomplete
        | ErrorKind::TimedOut
        | ErrorKind::Expired
        | ErrorKind::Throttled
        | ErrorKind::Unavailable
        | ErrorKind::Internal => Code::Failure,
    }
}

/// Number and name of the status that a kind of failure is answered with, for the error table of ARCHITECTURE.md.
pub const fn status_of(kind: ErrorKind) -> (u32, &'static str) {
    let code = code_of(kind);
    (code as u32, code.name())
}

/// The reply to a request that failed.
pub(crate) fn failure(error: &Error) -> Reply {
    Reply::Status(code_of(error.kind()), Cow::Owned(error.message().to_owned()))
}

/// The reply to a request that the protocol itself refuses.
pub(crate) const fn refuse(code: Code, sentence: &'static str) -> Reply {
    Reply::Status(code, Cow::Borrowed(sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        for kind in ErrorKind::ALL {
            let (number, name) = status_of(kind);
            assert!(number != 0 && name.starts_with("SSH_FX_"), "{kind:?}");
            assert!(number != 6 && number != 7, "those two are never sent");
        }
        assert_eq!(status_of(ErrorKind::NotFound), (2, "SSH_FX_NO_SUCH_FILE"));
        assert_eq!(status_of(ErrorKind::QuotaExceeded), (4, "SSH_FX_FAILURE"));
    }
}
