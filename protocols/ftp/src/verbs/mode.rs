//! MODE (RFC 959 section 3.4): stream, and deflate (draft-preston-ftpext-deflate).

use super::word;
use crate::session::{Conversation, Mode, Turn, say};
use crate::wire::{Reply, Verb};

pub(super) fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    talk.parameters.mode = match word(argument).to_ascii_uppercase().as_str() {
        "S" => Mode::Stream,
        "Z" => Mode::Deflate,
        "B" | "C" => return Err(Reply::new(504, "only MODE S and MODE Z are known here")),
        _ => return Err(Reply::new(501, format!("the mode is missing or wrong; send {}", Verb::Mode.usage()))),
    };
    say(200, "the mode is set")
}

/// OPTS MODE Z LEVEL <0 to 9>.
pub(super) fn options(talk: &mut Conversation, wanted: &str) -> Turn {
    let wanted = wanted.to_ascii_uppercase();
    let words: Vec<&str> = wanted.split_ascii_whitespace().collect();
    let level = match words.as_slice() {
        ["Z"] => Some(6),
        ["Z", "LEVEL", level] => level.parse().ok().filter(|level| *level <= 9),
        _ => None,
    };
    talk.parameters.level = level.ok_or_else(|| Reply::new(501, "send OPTS MODE Z LEVEL <0 to 9>"))?;
    say(200, format!("MODE Z LEVEL set to {}", talk.parameters.level))
}
