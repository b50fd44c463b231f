//! AUTH (RFC 2228 section 3, RFC 4217 section 4).

use super::word;
use crate::session::{Answer, Conversation, Turn};
use crate::wire::Reply;

pub(super) fn run(talk: &Conversation, argument: &[u8]) -> Turn {
    if talk.is_secure() {
        return Err(Reply::new(503, "the connection is secured already"));
    }
    match word(argument).to_ascii_uppercase().as_str() {
        "TLS" | "TLS-C" | "TLS-P" | "SSL" => Ok(Answer::Secure(Reply::new(234, "begin the TLS handshake"))),
        _ => Err(Reply::new(504, "only AUTH TLS is known here")),
    }
}
