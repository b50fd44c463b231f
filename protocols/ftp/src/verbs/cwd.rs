//! CWD (RFC 959 section 4.1.1).

use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Conversation, Turn, say};
use crate::wire::reply::quoted;
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    if argument.is_empty() {
        return Err(Reply::new(501, format!("the folder is missing; send {}", Verb::Cwd.usage())));
    }
    // `~` is what some clients call the folder that they began in.
    change(talk, if argument == b"~" { b"/" } else { argument }, 250).await
}

/// Changes the folder.
pub(super) async fn change(talk: &mut Conversation, argument: &[u8], code: u16) -> Turn {
    let path = talk.path_or_folder(Operation::List, argument).await?;
    let (session, gateway) = (talk.session()?, talk.gateway());
    if !gateway.stat(&session, &Target::Path(path.clone())).await?.folder {
        return Err(Reply::new(550, "this is a file, not a folder"));
    }
    let said = format!("{} is the current folder", quoted(path.as_str()));
    talk.inside()?.folder = path;
    say(code, said)
}
