//! `limits@openssh.com` (OpenSSH's PROTOCOL, section 4.8): the numbers of OpenSSH's own server.

use super::read::MAX_READ;
use crate::codec::{Limits, Reply};

/// The longest packet that is told of; somewhat longer ones are taken.
const MAX_PACKET: u64 = 256 * 1024;

/// What a client may ask for at a time, and how many handles it may have.
pub(in crate::session) const fn limits(handles: usize) -> Reply {
    let most = MAX_READ as u64;
    Reply::Limits(Limits { packet: MAX_PACKET, read: most, write: most, handles: handles as u64 })
}
