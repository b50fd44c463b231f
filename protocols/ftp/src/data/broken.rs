//! How a data connection can fail, and what the client is told.

use std::io;

use causeway_core::{Error, ErrorKind};

use crate::wire::Reply;

/// The code of the reply to a data connection that did not resume the control connection's session.
const NOT_RESUMED: u16 = 522;
/// The code of the reply where no data connection came about (RFC 959 section 4.2.2).
const NOT_CONNECTED: u16 = 425;
/// What a client is told whose data connection belongs to another certificate, or to none.
pub(crate) const OTHER_CLIENT: &str = "the data connection must show the client certificate of the control connection";
/// What a client is told whose data connection was not TLS, or none that could be agreed on.
pub(crate) const NO_HANDSHAKE: &str = "the TLS handshake of the data connection failed";

/// Why a transfer did not come to its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// No data connection came about.
    NotConnected(&'static str),
    /// It did not resume the control connection's TLS session.
    NotResumed,
    /// The client aborted it (ABOR), or its control connection ended.
    Aborted,
    /// Nothing moved for too long.
    Stalled,
    /// It ended without close_notify.
    NoNotify,
    /// It broke.
    Lost(io::Error),
    /// The deflated stream is no such thing.
    Garbled,
    /// The gateway could not go on.
    Failed(Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Broken {
    /// What the client is told.
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::NotConnected(why) => Reply::new(NOT_CONNECTED, *why),
            Self::NotResumed => Reply::new(
                NOT_RESUMED,
                "the data connection must resume the TLS session of the control connection; switch on TLS session reuse in the client",
            ),
            Self::Aborted => Reply::new(426, "transfer aborted"),
            Self::Stalled => Reply::new(426, "nothing was transferred for too long; transfer aborted"),
            Self::NoNotify => Reply::new(
                426,
                "the data connection ended without a TLS close_notify, so that the file may be cut off; it is kept as incomplete, go on with REST and STOR",
            ),
            Self::Lost(_) => Reply::new(426, "the data connection broke; transfer aborted"),
            Self::Garbled => Reply::new(426, "the data is not in the format of MODE Z; transfer aborted"),
            Self::Failed(error) => Reply::from(error),
        }
    }

    /// What is to be put on record where a client was told this: somebody who does not have the control connection's TLS
    /// session or certificate, or speaks no TLS, may be a thief, whatever was to be transferred.
    pub(crate) fn refusal_of(reply: &Reply) -> Option<Error> {
        let text = match (reply.code, reply.text()) {
            (NOT_RESUMED, _) => "a data connection did not resume the control connection's TLS session",
            (NOT_CONNECTED, OTHER_CLIENT) => {
                "a data connection did not show the client certificate of the control connection"
            }
            (NOT_CONNECTED, NO_HANDSHAKE) => "the TLS handshake of a data connection failed",
            _ => return None,
        };
        Some(Error::new(ErrorKind::PermissionDenied, text))
    }

    /// The reason that is put on record.
    pub(crate) fn reason(self) -> Error {
        let incomplete = |text: &'static str| Error::new(ErrorKind::Incomplete, text);
        match self {
            Self::NotConnected(why) => incomplete(why),
            Self::NotResumed => incomplete("the data connection did not resume the control connection's TLS session"),
            Self::Aborted => incomplete("the client aborted the transfer"),
            Self::Stalled => incomplete("nothing was transferred for too long"),
            Self::NoNotify => incomplete("the data connection ended without a TLS close_notify"),
            Self::Lost(error) => {
                tracing::debug!(%error, "a data connection broke");
                Error::broken_off()
            }
            Self::Garbled => incomplete("the data was not in the format of MODE Z"),
            Self::Failed(error) => error,
        }
    }
}
