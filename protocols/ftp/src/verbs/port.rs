//! PORT (RFC 959 section 4.1.2): only where the operator has switched it on, and only to the client's own address and to a
//! port above 1023 (RFC 2577 section 3, against the bounce attack).

use std::net::SocketAddr;

use causeway_core::events::Operation;
use causeway_core::{Error, ErrorKind};

use super::word;
use crate::data::Channel;
use crate::session::{Conversation, Turn, say};
use crate::wire::address::parse_port;
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    super::pasv::require_not_extended(talk)?;
    require_active(talk)?;
    match parse_port(word(argument)) {
        Some(to) => agree(talk, to).await,
        None => Err(Reply::new(501, format!("the address is missing or wrong; send {}", Verb::Port.usage()))),
    }
}

/// Refuses where active mode is off, or EPSV ALL came.
pub(super) fn require_active(talk: &Conversation) -> Result<(), Reply> {
    super::pasv::require_not_extended(talk)?;
    if talk.terms.config.active_mode {
        Ok(())
    } else {
        Err(Reply::new(502, "active mode is switched off here; send PASV or EPSV"))
    }
}

/// Agrees on the address, where it may be one.
pub(super) async fn agree(talk: &mut Conversation, to: SocketAddr) -> Turn {
    let refusal = if !talk.is_own_address(to) {
        Some("a data connection goes to the control connection's own address and nowhere else")
    } else if to.port() < 1024 {
        Some("a data connection goes to a port above 1023")
    } else {
        None
    };
    if let Some(why) = refusal {
        talk.refuse(Operation::Transfer, &to.to_string(), &Error::new(ErrorKind::PermissionDenied, why)).await;
        return Err(Reply::new(501, why));
    }
    talk.channel = Some(Channel::Active(talk.local, SocketAddr::new(talk.peer, to.port())));
    say(200, "agreed")
}
