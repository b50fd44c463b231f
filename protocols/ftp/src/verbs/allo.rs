//! ALLO (RFC 959 section 4.1.3): room is reserved as bytes come, so this only tells whether so much would be accepted now.

use super::word;
use crate::session::{Conversation, Turn, say};
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let size = word(argument).split(' ').next().unwrap_or_default();
    let Ok(size) = size.parse::<u64>() else {
        return Err(Reply::new(501, format!("the size is missing or wrong; send {}", Verb::Allo.usage())));
    };
    if size > talk.gateway().limits().max_file_size {
        return Err(Reply::new(552, "a file of this size is larger than the limit"));
    }
    let inside = talk.inside()?;
    let (session, folder) = (inside.session.clone(), inside.folder.clone());
    if size > talk.gateway().space(&session, &folder).await?.free {
        return Err(Reply::new(552, "the quota has no room for so much; remove files or ask for more room"));
    }
    say(200, "there is room")
}
