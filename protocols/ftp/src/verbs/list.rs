//! LIST (RFC 959 section 4.1.3), as `ls -l` writes it.

use crate::session::{Answer, Conversation, Turn};
use crate::transfer::listing::{Found, Lines, Shape, find, send, without_options};
use crate::wire::Reply;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let found = find(talk, without_options(argument)).await?;
    begin(talk, found, Shape::Long)
}

/// Begins to send what was found.
pub(super) fn begin(talk: &mut Conversation, found: Found, shape: Shape) -> Turn {
    let session = talk.session()?;
    let ticket = talk.ticket(true)?;
    let lines = Lines { session, shape };
    let running = ticket
        .begin("a listing".to_owned(), Reply::new(150, "here comes the listing"), |ticket| send(found, lines, ticket));
    Ok(Answer::Begun(running))
}
