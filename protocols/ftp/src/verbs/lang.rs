//! LANG (RFC 2640 section 4): English is spoken.

use super::word;
use crate::session::{Turn, say};
use crate::wire::Reply;

pub(super) fn run(argument: &[u8]) -> Turn {
    match word(argument).to_ascii_uppercase().as_str() {
        "" | "EN" => say(200, "English it is"),
        tag if tag.starts_with("EN-") => say(200, "English it is"),
        _ => Err(Reply::new(504, "only LANG EN is known here")),
    }
}
