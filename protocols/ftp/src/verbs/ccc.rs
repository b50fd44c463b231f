//! CCC (RFC 2228 section 3, RFC 4217 section 6): the control connection never goes back to clear.

use causeway_core::events::Operation;
use causeway_core::{Error, ErrorKind};

use crate::session::{Conversation, Turn};
use crate::wire::Reply;

pub(super) async fn run(talk: &mut Conversation) -> Turn {
    let error = Error::new(ErrorKind::PermissionDenied, "CCC is refused: the control connection stays secured");
    talk.refuse(Operation::Login, "", &error).await;
    Err(Reply::new(534, error.message().to_owned()))
}
