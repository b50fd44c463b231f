//! APPE (RFC 959 section 4.1.3): goes on at the end of the incomplete upload of that name, or of the file.

use causeway_core::UploadOptions;
use causeway_core::events::Operation;
use causeway_core::transfer::Disposition;

use super::stor::begin;
use crate::session::{Conversation, Turn};
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8], restart: u64) -> Turn {
    let path = talk.path(Verb::Appe, Operation::Upload, argument).await?;
    begin(talk, &path, UploadOptions::new(Disposition::Modify { create: true }), |upload| async move {
        let size = upload.stat().await?.size;
        // REST may say where the end is; it cannot move it.
        if restart != 0 && restart != size {
            let refusal =
                format!("REST does not name the end, which is at byte {size}; leave REST out, or send REST {size}");
            return Ok((upload, Err(Reply::new(554, refusal))));
        }
        Ok((upload, Ok(size)))
    })
    .await
}
