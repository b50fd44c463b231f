//! STRU (RFC 959 section 3.1.2): files have no structure.

use super::word;
use crate::session::{Turn, say};
use crate::wire::{Reply, Verb};

pub(super) fn run(argument: &[u8]) -> Turn {
    match word(argument).to_ascii_uppercase().as_str() {
        "F" => say(200, "the structure is set"),
        "R" | "P" => Err(Reply::new(504, "only STRU F is known here")),
        _ => Err(Reply::new(501, format!("the structure is missing or wrong; send {}", Verb::Stru.usage()))),
    }
}
