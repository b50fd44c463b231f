//! RETR: from a download of core into the data connection.

use causeway_core::Download;

use super::Ticket;
use crate::data::outgoing::Parting;
use crate::data::{Broken, Outgoing};
use crate::wire::Reply;

/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// Sends it, from an offset.
pub(crate) async fn send(download: Download, from: u64, ticket: Ticket) -> (Reply, Option<Parting>) {
    let mut outgoing = match ticket.outgoing().await {
        Ok(outgoing) => outgoing,
        Err(how) => return (fail(download, how).await, None),
    };
    if let Err(how) = pour(&download, from, &mut outgoing).await {
        return (fail(download, how).await, None);
    }
    match outgoing.finish().await {
        Ok(parting) => match download.finish().await {
            Ok(()) => (Reply::new(226, "sent"), Some(parting)),
            Err(error) => (error.into(), Some(parting)),
        },
        Err(how) => (fail(download, how).await, None),
    }
}

/// The next piece is read while one is being written.
async fn pour(download: &Download, from: u64, outgoing: &mut Outgoing) -> Result<(), Broken> {
    let mut offset = from;
    let mut piece = download.read_at(offset, PIECE).await?;
    while !piece.is_empty() {
        offset = offset.saturating_add(piece.len() as u64);
        let (written, read) = tokio::join!(outgoing.write(&piece), download.read_at(offset, PIECE));
        written?;
        piece = read?;
    }
    Ok(())
}

async fn fail(download: Download, how: Broken) -> Reply {
    let reply = how.reply();
    download.fail(how.reason()).await;
    reply
}
