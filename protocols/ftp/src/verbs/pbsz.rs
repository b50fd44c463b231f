//! PBSZ (RFC 2228 section 3; RFC 4217 section 9: always 0 with TLS).

use super::word;
use crate::session::{Conversation, Security, Turn, say};
use crate::wire::{Reply, Verb};

pub(super) fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let Security::Tls { sized, .. } = &mut talk.security else {
        return Err(Reply::new(503, "secure the connection first with AUTH TLS"));
    };
    if word(argument).parse::<u32>().is_err() {
        return Err(Reply::new(501, format!("the size is missing or wrong; send {}", Verb::Pbsz.usage())));
    }
    *sized = true;
    say(200, "PBSZ=0")
}
