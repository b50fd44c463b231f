//! REIN (RFC 959 section 4.1.1): logs out. TLS stays: RFC 4217 section 11 would go back to clear, where nothing but AUTH
//! could follow.

use crate::session::{Conversation, Security, Turn, say};

pub(super) async fn run(talk: &mut Conversation) -> Turn {
    talk.leave().await;
    if let Security::Tls { sized, private, .. } = &mut talk.security {
        (*sized, *private) = (false, false);
    }
    say(220, "logged out; send USER")
}
