//! ACCT (RFC 959 section 4.1.1): there are no accounts beside logins.

use crate::session::{Conversation, Turn, say};
use crate::wire::Reply;

pub(super) fn run(talk: &Conversation) -> Turn {
    if talk.is_inside() {
        say(202, "no account is needed")
    } else {
        Err(Reply::new(503, "log in first with USER and PASS"))
    }
}
