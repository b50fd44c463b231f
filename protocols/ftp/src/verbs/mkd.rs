//! MKD (RFC 959 section 4.1.3).

use causeway_core::events::Operation;
use causeway_core::records::Attributes;

use crate::session::{Conversation, Turn, say};
use crate::wire::Verb;
use crate::wire::reply::quoted;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path(Verb::Mkd, Operation::Mkdir, argument).await?;
    let session = talk.session()?;
    talk.gateway().make_folder(&session, &path, Attributes::default()).await?;
    say(257, format!("{} is made", quoted(path.as_str())))
}
