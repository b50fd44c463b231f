//! RNTO (RFC 959 section 4.1.3): a file that has the new name is replaced, as partners that upload under a temporary name
//! rely on (and it needs `overwrite`). A file that goes to another storage is copied there, which takes its time: it
//! runs beside the control connection, and comes to its end even where the client goes away, so that no half of it is left.

use causeway_core::VirtualPath;
use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Answer, Conversation, Running, Turn};
use crate::transfer::run_quietly;
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8], renaming: Option<VirtualPath>) -> Turn {
    let from = renaming.ok_or_else(|| Reply::new(503, "send RNFR first"))?;
    let to = talk.path(Verb::Rnto, Operation::Rename, argument).await?;
    let session = talk.session()?;
    let (gateway, what) = (talk.gateway(), format!("a move to {to}"));
    let work = async move {
        match gateway.rename(&session, &Target::Path(from), &to, true).await {
            Ok(_) => Reply::new(250, "renamed"),
            Err(error) => error.into(),
        }
    };
    let running = run_quietly(what, Conversation::abort_token(), work);
    Ok(Answer::Begun(Running { endures: true, ..running }))
}
