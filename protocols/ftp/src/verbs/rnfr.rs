//! RNFR (RFC 959 section 4.1.3).

use causeway_core::ErrorKind;
use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Conversation, Turn, say};
use crate::wire::Verb;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path(Verb::Rnfr, Operation::Rename, argument).await?;
    let session = talk.session()?;
    match talk.gateway().stat(&session, &Target::Path(path.clone())).await {
        // Who may see nothing may rename all the same: RNTO is where that is decided.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
        found => drop(found?),
    }
    talk.inside()?.renaming = Some(path);
    say(350, "send RNTO with the new name")
}
