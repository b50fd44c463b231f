//! STOR, APPE and STOU: from the data connection into an upload of core.

use causeway_core::Upload;

use super::Ticket;
use crate::data::outgoing::Parting;
use crate::data::{Broken, Incoming};
use crate::wire::Reply;

/// An upload that was begun.
pub(crate) struct Begun {
    pub(crate) upload: Upload,
    /// Where the first byte goes.
    pub(crate) at: u64,
    /// Nothing of it is worth keeping until a byte has come: it is new, not resumed.
    pub(crate) fresh: bool,
}

/// Receives it; 226 is sent for what is durable and visible, and for nothing else.
pub(crate) async fn receive(begun: Begun, ticket: Ticket) -> (Reply, Option<Parting>) {
    let Begun { upload, at, fresh } = begun;
    let (mut incoming, question) = match ticket.incoming().await {
        Ok(incoming) => incoming,
        Err(how) => return (give_up(upload, fresh, how).await, None),
    };
    let mut offset = at;
    if let Err(how) = pour(&upload, &mut incoming, &mut offset).await {
        let refused = matches!(how, Broken::Failed(_));
        let reply = give_up(upload, fresh && offset == at, how).await;
        // Who is still sending is to hear the reply, and not that its data connection was reset.
        return (reply, if refused { incoming.finish().await } else { None });
    }
    if !question.may_finish(&incoming.abort).await {
        return (give_up(upload, fresh && offset == at, Broken::Aborted).await, None);
    }
    let parting = incoming.finish().await;
    let reply = match upload.commit().await {
        Ok(receipt) => Reply::new(226, format!("stored; the file has {} bytes", receipt.entry.size)),
        Err(error) => error.into(),
    };
    (reply, parting)
}

async fn pour(upload: &Upload, incoming: &mut Incoming, offset: &mut u64) -> Result<(), Broken> {
    let at = *offset;
    let mut piece = incoming.next().await?;
    // What the client sends is the rest of its file: what was here beyond is not part of it. It is cut off only now that there
    // is something in its place, and before that is written, so that a break leaves no mixture of the two.
    if upload.stat().await?.size > at {
        upload.set_size(at).await?;
    }
    while let Some(bytes) = piece {
        let length = bytes.len() as u64;
        upload.write_at(*offset, bytes).await?;
        *offset = offset.saturating_add(length);
        piece = incoming.next().await?;
    }
    Ok(())
}

/// Leaves the upload to be resumed. One of which nothing has come would only hide the version that is there.
async fn give_up(upload: Upload, empty: bool, how: Broken) -> Reply {
    let (reply, reason) = (how.reply(), how.reason());
    if empty {
        if let Err(error) = upload.discard_for(&reason).await {
            tracing::warn!(%error, %reason, "an empty upload could not be discarded");
        }
    } else {
        upload.detach(reason).await;
    }
    reply
}
