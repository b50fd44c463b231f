//! EPSV (RFC 2428 section 3).

use super::word;
use crate::session::{Conversation, Turn, say};
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let own = if talk.local.is_ipv4() { "1" } else { "2" };
    match word(argument).to_ascii_uppercase().as_str() {
        "" => {}
        "ALL" => {
            talk.extended_only = true;
            talk.channel = None;
            return say(200, "from now on only EPSV makes data connections");
        }
        family if family == own => {}
        "1" | "2" => return Err(Reply::new(522, format!("network protocol not supported, use ({own})"))),
        _ => return Err(Reply::new(501, format!("the argument is wrong; send {}", Verb::Epsv.usage()))),
    }
    let port = super::pasv::listen(talk).await?;
    say(229, format!("entering extended passive mode (|||{port}|)"))
}
