//! AVBL (draft-peterson-streamlined-ftp-command-extensions section 4): how many bytes may be
//! stored in a folder.

use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Conversation, Turn, say};
use crate::wire::Reply;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path_or_folder(Operation::List, argument).await?;
    let (session, gateway) = (talk.session()?, talk.gateway());
    if !gateway.stat(&session, &Target::Path(path.clone())).await?.folder {
        return Err(Reply::new(550, "this is a file, not a folder"));
    }
    let space = gateway.space(&session, &path).await?;
    say(213, if space.read_only { 0 } else { space.free }.to_string())
}
