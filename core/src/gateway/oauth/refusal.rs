//! Why an application does not get what it asks for, in the words of RFC 6749.

use std::borrow::Cow;

use crate::error::Error;

/// The words of RFC 6749 sections 4.1.2.1 and 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuthFault {
    /// Something is missing, malformed or there twice.
    InvalidRequest,
    /// The client is not who it says that it is.
    InvalidClient,
    /// The code or refresh token does not count, or is another's.
    InvalidGrant,
    /// This client may not ask in this way.
    UnauthorizedClient,
    /// There is no such way to ask.
    UnsupportedGrantType,
    /// There is no such way to be answered.
    UnsupportedResponseType,
    /// A scope is unknown, or more than may be had.
    InvalidScope,
    /// The person said no.
    AccessDenied,
}

impl OAuthFault {
    /// Every fault.
    pub const ALL: [Self; 8] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::UnsupportedResponseType,
        Self::InvalidScope,
        Self::AccessDenied,
    ];

    /// The value of `error`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
        }
    }
}

/// Why an application does not get what it asks for.
#[derive(Clone, Debug)]
pub enum OAuthRefusal {
    /// In the words of RFC 6749, with a sentence for its developer: ASCII without `"` and `\` (section 5.2).
    Refused(OAuthFault, Cow<'static, str>),
    /// For a reason of the gateway's own: it is throttled, or something is away.
    Gateway(Error),
}

impl OAuthRefusal {
    /// With a sentence.
    pub fn new(fault: OAuthFault, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused(fault, sentence.into())
    }

    /// The word, where it is one of RFC 6749.
    pub const fn fault(&self) -> Option<OAuthFault> {
        match self {
            Self::Refused(fault, _) => Some(*fault),
            Self::Gateway(_) => None,
        }
    }
}

impl From<Error> for OAuthRefusal {
    fn from(error: Error) -> Self {
        Self::Gateway(error)
    }
}
