//! MLSD (RFC 3659 section 7): the entries of a folder, with facts.

use causeway_core::events::Operation;

use crate::session::{Conversation, Turn};
use crate::transfer::listing::{Found, Shape};
use crate::wire::Reply;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path_or_folder(Operation::List, argument).await?;
    let session = talk.session()?;
    let listing = talk.gateway().list(&session, &path, None).await.map_err(|error| match error.kind() {
        // RFC 3659 section 7.2.1.
        causeway_core::ErrorKind::NotFolder => Reply::new(501, "this is a file, not a folder; use MLST"),
        _ => error.into(),
    })?;
    let facts = talk.parameters.facts;
    super::list::begin(talk, Found::Folder(Box::new(listing), None), Shape::Facts(facts))
}
