//! MLST (RFC 3659 section 7): the facts of one file or folder, on the control connection.

use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Answer, Conversation, Turn, say};
use crate::transfer::listing::permissions_at;
use crate::wire::Reply;
use crate::wire::facts::{FactSet, line};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path_or_folder(Operation::List, argument).await?;
    let session = talk.session()?;
    let entry = talk.gateway().stat(&session, &Target::Path(path.clone())).await?;
    let shown = line(&entry, path.as_str(), talk.parameters.facts, permissions_at(&session, &path));
    Ok(Answer::Reply(Reply::lines(250, "Listing", vec![shown], "End")))
}

/// OPTS MLST (RFC 3659 section 7.9).
pub(super) fn options(talk: &mut Conversation, wanted: &str) -> Turn {
    talk.parameters.facts = FactSet::parse(wanted);
    say(200, format!("MLST OPTS {}", talk.parameters.facts.names()).trim_end().to_owned())
}
