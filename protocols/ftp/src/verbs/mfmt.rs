//! MFMT (draft-somers-ftp-mfxx section 3): sets the modification time.

use causeway_core::events::Operation;
use causeway_core::namespace::Target;
use causeway_core::records::Attributes;

use crate::session::{Conversation, Turn, say};
use crate::wire::{Reply, Verb, moment};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let malformed = || Reply::new(501, format!("the time is missing or wrong; send {}", Verb::Mfmt.usage()));
    let space = argument.iter().position(|b| *b == b' ').ok_or_else(malformed)?;
    let (time, path) = argument.split_at_checked(space).ok_or_else(malformed)?;
    let at = std::str::from_utf8(time).ok().and_then(moment::parse).ok_or_else(malformed)?;
    let named = path.get(1..).unwrap_or_default();
    let path = talk.path(Verb::Mfmt, Operation::Attributes, named).await?;
    let session = talk.session()?;
    let attributes = Attributes { modified_at: Some(at), ..Attributes::default() };
    talk.gateway().set_attributes(&session, &Target::Path(path), attributes).await?;
    say(213, format!("Modify={}; {}", moment::stamp(at), String::from_utf8_lossy(named)))
}
