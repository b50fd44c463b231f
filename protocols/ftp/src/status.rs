//! The one map from core's kinds of failure to FTP's reply codes (RFC 959 section 4.2).

use causeway_core::{Error, ErrorKind};

use crate::wire::Reply;

/// The code that a kind of failure is answered with.
pub const fn code_of(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::Throttled => 421,
        ErrorKind::Incomplete | ErrorKind::TimedOut => 426,
        ErrorKind::Conflict => 450,
        ErrorKind::Unavailable | ErrorKind::Internal => 451,
        ErrorKind::NoSpace => 452,
        ErrorKind::InvalidArgument => 501,
        ErrorKind::Unsupported => 502,
        ErrorKind::Unauthenticated => 530,
        ErrorKind::NotFound
        | ErrorKind::NoSuchFolder
        | ErrorKind::AlreadyExists
        | ErrorKind::IsFolder
        | ErrorKind::NotFolder
        | ErrorKind::NotEmpty
        | ErrorKind::PermissionDenied
        | ErrorKind::Expired
        | ErrorKind::PreconditionFailed => 550,
        ErrorKind::DigestMismatch | ErrorKind::TypeMismatch => 551,
        ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => 552,
        ErrorKind::InvalidName => 553,
    }
}

/// The code, and what RFC 959 calls it, for the error table of ARCHITECTURE.md.
pub const fn status_of(kind: ErrorKind) -> (u16, &'static str) {
    let code = code_of(kind);
    let name = match code {
        421 => "Service not available",
        426 => "Transfer aborted",
        450 => "File busy",
        451 => "Local error",
        452 => "Insufficient storage",
        501 => "Syntax error in arguments",
        502 => "Command not implemented",
        530 => "Not logged in",
        550 => "File unavailable",
        551 => "Action aborted",
        552 => "Exceeded allocation",
        _ => "File name not allowed",
    };
    (code, name)
}

impl From<Error> for Reply {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Reply {
    fn from(error: &Error) -> Self {
        Self::new(code_of(error.kind()), error.message().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_a_failure_with_its_name() {
        for kind in ErrorKind::ALL {
            let (code, name) = status_of(kind);
            assert!((400..600).contains(&code) && !name.is_empty(), "{kind:?}");
        }
        assert_eq!(status_of(ErrorKind::InvalidName), (553, "File name not allowed"));
        assert_eq!(Reply::from(Error::not_found()).encode(), b"550 no such file or folder\r\n");
    }
}
