//! AVBL (draft-peterson-streamlined-ftp-command-extensions section 4): how many bytes there is room for.

use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Conversation, Turn, say};
use crate::wire::Reply;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path_or_folder(Operation::List, argument).await?;
    let (session, gateway) = (talk.session()?, talk.gateway());
    if !gateway.stat(&session, &Target::Path(path)).await?.folder {
        return Err(Reply::new(550, "this is a file, not a folder"));
    }
    match gateway.room(&session).await? {
        Some(room) => say(213, room.to_string()),
        None => Err(Reply::new(550, "there is no quota here; what is available is not known")),
    }
}
