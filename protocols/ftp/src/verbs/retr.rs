//! RETR (RFC 959 section 4.1.3).

use causeway_core::events::Operation;
use causeway_core::namespace::Target;
use causeway_core::{Error, ErrorKind};

use crate::session::{Answer, Conversation, Turn, Type};
use crate::transfer::download::send;
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8], restart: u64) -> Turn {
    let path = talk.path(Verb::Retr, Operation::Download, argument).await?;
    if restart != 0 && talk.parameters.kind == Type::Ascii {
        return Err(Reply::new(554, "REST counts bytes of the file, which TYPE A changes; send TYPE I first"));
    }
    // Before the download is begun, and on record.
    let ticket = talk.ticket(false)?;
    let session = talk.session()?;
    let download = talk.gateway().begin_download(&session, &Target::Path(path.clone())).await?;
    let size = download.entry().size;
    if restart > size {
        let why = format!("REST goes beyond the end of the file, which has {size} bytes");
        download.fail(Error::new(ErrorKind::InvalidArgument, why.clone())).await;
        return Err(Reply::new(554, why));
    }
    let said = Reply::new(150, format!("here come {} bytes", size.saturating_sub(restart)));
    let running = ticket.begin(format!("a download of {path}"), said, |ticket| send(download, restart, ticket));
    Ok(Answer::Begun(running))
}
