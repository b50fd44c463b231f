//! TYPE (RFC 959 section 3.1.1): text and image.

use super::word;
use crate::session::{Conversation, Turn, Type, say};
use crate::wire::{Reply, Verb};

pub(super) fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let wanted = word(argument).to_ascii_uppercase();
    let words: Vec<&str> = wanted.split_ascii_whitespace().collect();
    let (kind, said) = match words.as_slice() {
        ["A"] | ["A", "N"] => (Type::Ascii, "the type is text"),
        ["I"] | ["L", "8"] => (Type::Image, "the type is image"),
        ["A" | "E" | "L", ..] => return Err(Reply::new(504, "only TYPE A and TYPE I are known here")),
        _ => return Err(Reply::new(501, format!("the type is missing or wrong; send {}", Verb::Type.usage()))),
    };
    talk.parameters.kind = kind;
    say(200, said)
}
