//! PWD (RFC 959 section 4.1.3).

use crate::session::{Conversation, Turn, say};
use crate::wire::reply::quoted;

pub(super) fn run(talk: &mut Conversation) -> Turn {
    let folder = quoted(talk.inside()?.folder.as_str());
    say(257, format!("{folder} is the current folder"))
}
