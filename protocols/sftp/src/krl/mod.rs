//! What is revoked: OpenSSH's key revocation lists (its PROTOCOL.krl), and their text form. Both are pure functions over
//! bytes.

mod binary;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use causeway_core::identity::Revocations;
use causeway_core::{Error, ErrorKind, Result};

/// Bytes that a list may have. One of a million single keys has some sixty million.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Reads a revocation list: a KRL where it begins as one, else text. `InvalidArgument` where it is neither, is too long,
/// or has something whose meaning is not known: a list that is half understood lets in what it revokes.
pub fn parse(bytes: &[u8]) -> Result<Revocations> {
    if bytes.len() > MAX_BYTES {
        return Err(invalid("the revocation list is longer than 64 MiB; split it"));
    }
    if binary::is_krl(bytes) { binary::parse(bytes) } else { text::parse(bytes) }
}

fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}
