//! RNFR (RFC 959 section 4.1.3).

use causeway_core::ErrorKind;
use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Conversation, Turn, say};
use crate::wire::Verb;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path(Verb::Rnfr, Operation::Rename, argument).await?;
    let session = talk.session()?;
    let (gateway, target) = (talk.gateway(), Target::Path(path.clone()));
    if let Err(error) = gateway.stat(&session, &target).await
        // Who may see nothing may rename all the same: RNTO is where that is decided.
        && error.kind() != ErrorKind::PermissionDenied
    {
        gateway.failed(&session, Operation::Rename, &target, &error).await;
        return Err(error.into());
    }
    talk.inside()?.renaming = Some(path);
    say(350, "send RNTO with the new name")
}
