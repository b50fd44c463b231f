//! PASV (RFC 959 section 4.1.2).

use std::io::ErrorKind;
use std::net::IpAddr;

use crate::data::Channel;
use crate::data::passive::{DataEnds, Passive};
use crate::session::{Conversation, Turn, say};
use crate::wire::Reply;
use crate::wire::address::format_pasv;

pub(super) async fn run(talk: &mut Conversation) -> Turn {
    require_not_extended(talk)?;
    let announced = talk.terms.config.announced(talk.peer).unwrap_or(talk.reached);
    // Whatever is announced: a client that came by IPv6 is listened to there (RFC 2428 section 1).
    let (IpAddr::V4(address), true) = (announced, talk.local.is_ipv4()) else {
        return Err(Reply::new(425, "PASV is for IPv4 alone; send EPSV"));
    };
    let port = listen(talk).await?;
    say(227, format!("entering passive mode ({})", format_pasv(address, port)))
}

/// Refuses after EPSV ALL.
pub(super) fn require_not_extended(talk: &Conversation) -> Result<(), Reply> {
    if talk.extended_only {
        return Err(Reply::new(503, "after EPSV ALL only EPSV makes data connections"));
    }
    Ok(())
}

/// Listens for the next data connection, at the address that the control connection came to.
pub(super) async fn listen(talk: &mut Conversation) -> Result<u16, Reply> {
    // The port of before is free first: a session has one at most.
    if let Some(Channel::Passive(passive)) = talk.channel.take() {
        passive.close().await;
    }
    #[cfg(feature = "fuzz")]
    if let Some(connect) = &mut talk.memory {
        talk.channel = Some(Channel::Memory(connect()));
        return Ok(1);
    }
    let limit = talk.terms.config.data_timeout.saturating_mul(2);
    let ends = DataEnds { local: talk.local, peer: talk.peer, forwarders: talk.terms.config.forwarders.clone() };
    match Passive::listen(&talk.terms.ports, ends, limit, talk.strangers(), &talk.lingering) {
        Ok(passive) => {
            let port = passive.port();
            talk.channel = Some(Channel::Passive(passive));
            Ok(port)
        }
        Err(error) => {
            talk.warn_of_no_port(&error);
            Err(match error.kind() {
                ErrorKind::AddrInUse => {
                    Reply::new(425, "no port is free for a data connection; end other transfers, or try again later")
                }
                _ => Reply::new(451, "no data connection can be awaited; try again, or tell the operator"),
            })
        }
    }
}
