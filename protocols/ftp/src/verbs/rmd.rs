//! RMD (RFC 959 section 4.1.3): removes an empty folder.

use causeway_core::events::Operation;

use crate::session::{Conversation, Turn, say};
use crate::wire::Verb;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path(Verb::Rmd, Operation::Rmdir, argument).await?;
    let session = talk.session()?;
    talk.gateway().remove_folder(&session, &path).await?;
    say(250, "removed")
}
