//! USER (RFC 959 section 4.1.1). Whether there is such a login is not told.

use causeway_core::identity::Progress;

use crate::session::{Conversation, Stage, Turn, say};
use crate::wire::{Reply, Verb};

/// Longest login that is looked at, in bytes: a username, `@`, and a tenant.
const MAX_LOGIN: usize = 512;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let name = std::str::from_utf8(argument).unwrap_or_default();
    if name.is_empty() || name.len() > MAX_LOGIN || name.chars().any(char::is_control) {
        return Err(Reply::new(501, format!("the login is missing or wrong; send {}", Verb::User.usage())));
    }
    if talk.is_inside() {
        // RFC 959: a new login from here on; what was set before stays no longer than the old one.
        talk.leave().await;
    }
    talk.progress = Progress::new();
    talk.stage = Stage::Named(name.to_owned());
    say(331, "send PASS with the password")
}
