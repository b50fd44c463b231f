//! CLNT: the client says what it is, which stands in the audit trail then.

use super::word;
use crate::session::{Conversation, Turn, say};
use crate::wire::Verb;

/// Longest name that is kept, in characters.
const MAX_NAME: usize = 255;

pub(super) fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    note(talk, word(argument))?;
    say(200, "noted")
}

/// Keeps the name, printable ASCII only.
pub(super) fn note(talk: &mut Conversation, name: &str) -> Result<(), crate::wire::Reply> {
    let name: String = name.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).take(MAX_NAME).collect();
    if name.is_empty() {
        return Err(crate::wire::Reply::new(501, format!("the name is missing; send {}", Verb::Clnt.usage())));
    }
    talk.parameters.client = Some(name);
    Ok(())
}
