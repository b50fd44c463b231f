//! STOU (RFC 959 section 4.1.3): under a name that nobody has, told in 150 as RFC 1123 section 4.1.2.9 wants it.

use causeway_core::events::Operation;
use causeway_core::transfer::Disposition;
use causeway_core::{ErrorKind, UploadOptions, VirtualPath};
use uuid::Uuid;

use crate::session::{Answer, Conversation, Turn};
use crate::transfer::upload::{Begun, receive};
use crate::wire::Reply;

/// Names that are tried.
const TRIES: usize = 5;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8], restart: u64) -> Turn {
    if restart != 0 {
        return Err(Reply::new(554, "REST does not go with STOU: the file is a new one"));
    }
    let ticket = talk.ticket(false)?;
    let session = talk.session()?;
    for _ in 0..TRIES {
        let unique = Uuid::new_v4().simple().to_string();
        let mut name = if argument.is_empty() { b"upload".to_vec() } else { argument.to_vec() };
        name.push(b'.');
        name.extend(unique.bytes().take(12));
        let path: VirtualPath = talk.path_or_folder(Operation::Upload, &name).await?;
        let options = UploadOptions::new(Disposition::Create { reserve: true });
        match talk.gateway().begin_upload(&session, &path, options).await {
            Ok(upload) => {
                let said = Reply::new(150, format!("FILE: {}", String::from_utf8_lossy(&name)));
                let what = format!("an upload of {path}");
                let running = ticket.begin(what, said, |ticket| receive(Begun { upload, at: 0, fresh: true }, ticket));
                return Ok(Answer::Begun(running));
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Reply::new(450, "no unique name was found; try again"))
}
