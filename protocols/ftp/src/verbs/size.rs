//! SIZE (RFC 3659 section 4): the number of bytes that RETR would send, which in TYPE A is not known.

use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Conversation, Turn, Type, say};
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let path = talk.path(Verb::Size, Operation::List, argument).await?;
    if talk.parameters.kind == Type::Ascii {
        return Err(Reply::new(550, "how many bytes TYPE A makes of a file is not known; send TYPE I first"));
    }
    let session = talk.session()?;
    let entry = talk.gateway().stat(&session, &Target::Path(path)).await?;
    if entry.folder {
        return Err(Reply::new(550, "this is a folder; only files have a size"));
    }
    say(213, entry.size.to_string())
}
