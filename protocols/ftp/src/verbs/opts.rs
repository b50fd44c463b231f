//! OPTS (RFC 2389 section 4).

use super::word;
use crate::session::{Conversation, Turn, say};
use crate::wire::Reply;

pub(super) fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let text = word(argument);
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    match (name.to_ascii_uppercase().as_str(), rest.trim()) {
        ("UTF8" | "UTF-8", on) if on.is_empty() || on.eq_ignore_ascii_case("ON") => say(200, "UTF8 is always on"),
        ("UTF8" | "UTF-8", _) => Err(Reply::new(504, "names are UTF-8 here and nothing else")),
        ("MLST", facts) => super::mlst::options(talk, facts),
        ("HASH", algorithm) => super::hash::options(talk, algorithm),
        ("MODE", mode) => super::mode::options(talk, mode),
        _ if talk.terms.config.mode_z => Err(Reply::new(501, "options are known for UTF8, MLST, HASH and MODE Z")),
        _ => Err(Reply::new(501, "options are known for UTF8, MLST and HASH")),
    }
}
