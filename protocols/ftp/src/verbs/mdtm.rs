//! MDTM (RFC 3659 section 3).

use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Conversation, Turn, say};
use crate::wire::{Verb, moment};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path(Verb::Mdtm, Operation::List, argument).await?;
    let session = talk.session()?;
    let entry = talk.gateway().stat(&session, &Target::Path(path)).await?;
    say(213, moment::stamp(entry.modified_at))
}
