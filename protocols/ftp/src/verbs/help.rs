//! HELP (RFC 959 section 4.1.3).

use super::word;
use crate::session::{Answer, Turn, say};
use crate::wire::{Reply, Verb};

pub(super) fn run(argument: &[u8]) -> Turn {
    let wanted = word(argument).to_ascii_uppercase();
    if wanted.is_empty() {
        let words: Vec<&str> = Verb::ALL.iter().map(|verb| verb.word()).collect();
        let lines = words.chunks(8).map(|row| row.join(" ")).collect();
        return Ok(Answer::Reply(Reply::lines(
            214,
            "These commands are known:",
            lines,
            "HELP <command> tells its form",
        )));
    }
    if wanted == "SITE" || wanted.starts_with("SITE ") {
        return Ok(super::site::help());
    }
    match Verb::parse(&wanted) {
        Some(verb) => say(214, verb.usage()),
        None => Err(Reply::new(502, "this command does not exist here")),
    }
}
