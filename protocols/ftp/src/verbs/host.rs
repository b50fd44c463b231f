//! HOST (RFC 7151): before the login; it may name the tenant. Whether there is such a tenant is not told, so that nobody
//! can find out their names by asking.

use super::word;
use crate::session::{Conversation, Turn, say};
use crate::wire::{Reply, Verb};

/// Longest host name (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 255;

pub(super) fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    if talk.is_inside() {
        return Err(Reply::new(503, "HOST comes before the login"));
    }
    let host = word(argument);
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '%');
    if host.is_empty() || host.len() > MAX_HOST || !host.chars().all(fine) {
        return Err(Reply::new(501, format!("the name is missing or wrong; send {}", Verb::Host.usage())));
    }
    talk.parameters.host = Some(host.to_ascii_lowercase());
    say(220, "noted")
}
