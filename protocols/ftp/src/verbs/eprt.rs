//! EPRT (RFC 2428 section 2).

use super::word;
use crate::session::{Conversation, Turn};
use crate::wire::address::{Eprt, parse_eprt};
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    super::port::require_active(talk)?;
    match parse_eprt(word(argument)) {
        Ok(to) => super::port::agree(talk, to).await,
        Err(Eprt::Protocol) => Err(Reply::new(522, "network protocol not supported, use (1,2)")),
        Err(Eprt::Malformed) => {
            Err(Reply::new(501, format!("the address is missing or wrong; send {}", Verb::Eprt.usage())))
        }
    }
}
