//! STOR (RFC 959 section 4.1.3), with REST also on what is there of an incomplete upload (RFC 3659 section 5).

use causeway_core::events::Operation;
use causeway_core::transfer::Disposition;
use causeway_core::{Error, ErrorKind, Result, Upload, UploadOptions, VirtualPath};

use crate::session::{Answer, Conversation, Turn, Type};
use crate::transfer::upload::{Begun, receive};
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8], restart: u64) -> Turn {
    let path = talk.path(Verb::Stor, Operation::Upload, argument).await?;
    if restart == 0 {
        let options = UploadOptions::new(Disposition::Replace);
        return begin(talk, &path, options, |upload| async { Ok((upload, Ok(0))) }).await;
    }
    if talk.parameters.kind == Type::Ascii {
        return Err(Reply::new(554, "REST counts bytes of the file, which TYPE A changes; send TYPE I first"));
    }
    // What is here beyond that offset is cut off when the first byte comes.
    begin(talk, &path, UploadOptions::new(Disposition::Modify { create: false }), |upload| async move {
        let size = upload.stat().await?.size;
        if restart > size {
            let refusal = format!("REST goes beyond the end of what is here, which has {size} bytes; SIZE tells it");
            return Ok((upload, Err(Reply::new(554, refusal))));
        }
        Ok((upload, Ok(restart)))
    })
    .await
}

/// Begins an upload and its transfer. `place` tells where the first byte goes, or refuses.
pub(super) async fn begin<W>(
    talk: &mut Conversation,
    path: &VirtualPath,
    options: UploadOptions,
    place: impl FnOnce(Upload) -> W,
) -> Turn
where
    W: Future<Output = Result<(Upload, std::result::Result<u64, Reply>)>>,
{
    let replaces = !matches!(options.disposition, Disposition::Modify { .. });
    // Looked at before an older incomplete upload is given up for this one.
    let ticket = talk.ticket(false)?;
    let session = talk.session()?;
    let upload = talk.gateway().begin_upload(&session, path, options).await?;
    let fresh = replaces && !upload.is_resumed();
    let (upload, at) = place(upload).await?;
    let at = match at {
        Ok(at) => at,
        Err(refusal) => {
            upload.detach(Error::new(ErrorKind::Incomplete, refusal.text().to_owned())).await;
            return Err(refusal);
        }
    };
    let what = format!("an upload of {path}");
    let said = Reply::new(150, "send the data");
    let running = ticket.begin(what, said, |ticket| receive(Begun { upload, at, fresh }, ticket));
    Ok(Answer::Begun(running))
}
