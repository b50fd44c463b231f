//! DELE (RFC 959 section 4.1.3).

use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Conversation, Turn, say};
use crate::wire::Verb;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path(Verb::Dele, Operation::Delete, argument).await?;
    let session = talk.session()?;
    talk.gateway().remove_file(&session, &Target::Path(path)).await?;
    say(250, "removed")
}
