//! PROT (RFC 2228 section 3, RFC 4217 section 9): data connections are private or not at all.

use causeway_core::events::Operation;
use causeway_core::{Error, ErrorKind};

use super::word;
use crate::session::{Conversation, Security, Turn, say};
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let Security::Tls { sized, private, .. } = &mut talk.security else {
        return Err(Reply::new(503, "secure the connection first with AUTH TLS"));
    };
    if !*sized {
        return Err(Reply::new(503, "send PBSZ 0 first"));
    }
    match word(argument).to_ascii_uppercase().as_str() {
        "P" => {
            *private = true;
            say(200, "data connections are secured")
        }
        "C" => {
            let error = Error::new(ErrorKind::PermissionDenied, "data connections must be secured; send PROT P");
            talk.refuse(Operation::Login, "", &error).await;
            Err(Reply::new(534, error.message().to_owned()))
        }
        "S" | "E" => Err(Reply::new(536, "this level does not exist with TLS; send PROT P")),
        _ => Err(Reply::new(504, format!("the level is missing or wrong; send {}", Verb::Prot.usage()))),
    }
}
