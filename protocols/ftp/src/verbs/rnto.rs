//! RNTO (RFC 959 section 4.1.3): a file that has the new name is replaced, as partners that upload under a temporary name
//! rely on (and it needs `overwrite`).

use causeway_core::VirtualPath;
use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Conversation, Turn, say};
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8], renaming: Option<VirtualPath>) -> Turn {
    let from = renaming.ok_or_else(|| Reply::new(503, "send RNFR first"))?;
    let to = talk.path(Verb::Rnto, Operation::Rename, argument).await?;
    let session = talk.session()?;
    talk.gateway().rename(&session, &Target::Path(from), &to, true).await?;
    say(250, "renamed")
}
