//! REST (RFC 3659 section 5): where the next RETR, STOR or APPE begins.

use super::word;
use crate::session::{Conversation, Turn, say};
use crate::wire::{Reply, Verb};

pub(super) fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let text = word(argument);
    let offset =
        text.parse::<u64>().ok().filter(|n| text.bytes().all(|b| b.is_ascii_digit()) && i64::try_from(*n).is_ok());
    let Some(offset) = offset else {
        return Err(Reply::new(501, format!("the offset is missing or wrong; send {}", Verb::Rest.usage())));
    };
    talk.parameters.restart = offset;
    say(350, format!("the next transfer begins at byte {offset}"))
}
