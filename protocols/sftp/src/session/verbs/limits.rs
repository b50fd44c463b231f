//! `limits@openssh.com` (OpenSSH's PROTOCOL, section 4.8): the numbers of OpenSSH's own server.

use super::read::MAX_READ;
use crate::codec::{Limits, Reply};
use crate::session::HANDLES;

/// The longest packet that is told of; somewhat longer ones are taken.
const MAX_PACKET: u64 = 256 * 1024;

/// What a client may ask for at a time.
pub(in crate::session) const fn limits() -> Reply {
    let most = MAX_READ as u64;
    Reply::Limits(Limits { packet: MAX_PACKET, read: most, write: most, handles: HANDLES as u64 })
}
