//! MFF (draft-somers-ftp-mfxx section 5): sets facts of a file or folder: `modify` and `UNIX.mode`.

use causeway_core::events::Operation;
use causeway_core::namespace::Target;
use causeway_core::records::Attributes;

use crate::session::{Conversation, Turn, say};
use crate::wire::{Reply, Verb, moment};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let malformed = || Reply::new(501, format!("the facts are missing or wrong; send {}", Verb::Mff.usage()));
    let space = argument.iter().position(|b| *b == b' ').ok_or_else(malformed)?;
    let (facts, path) = argument.split_at_checked(space).ok_or_else(malformed)?;
    let facts = std::str::from_utf8(facts).ok().and_then(|f| f.strip_suffix(';')).ok_or_else(malformed)?;
    let (mut attributes, mut said) = (Attributes::default(), String::new());
    for fact in facts.split(';') {
        let (name, value) = fact.split_once('=').ok_or_else(malformed)?;
        match name.to_ascii_lowercase().as_str() {
            "modify" => attributes.modified_at = Some(moment::parse(value).ok_or_else(malformed)?),
            "unix.mode" => attributes.mode = Some(mode(value).ok_or_else(malformed)?),
            _ => return Err(Reply::new(504, format!("the fact {name} cannot be set; FEAT lists those that can"))),
        }
        said.push_str(fact);
        said.push(';');
    }
    let named = path.get(1..).unwrap_or_default();
    let path = talk.path(Verb::Mff, Operation::Attributes, named).await?;
    let session = talk.session()?;
    talk.gateway().set_attributes(&session, &Target::Path(path), attributes).await?;
    say(213, format!("{said} {}", String::from_utf8_lossy(named)))
}

/// Reads an octal mode.
pub(super) fn mode(text: &str) -> Option<u32> {
    let fine = (1..=5).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    u32::from_str_radix(text, 8).ok().filter(|mode| fine && *mode <= 0o7777)
}
