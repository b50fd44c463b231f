//! USER (RFC 959 section 4.1.1). A client certificate of the TLS handshake that is enough for the login lets in at once (232, RFC
//! 2228 section 5.2); else the password is asked for, whatever became of the certificate: whether there is such a login is not
//! told.

use causeway_core::identity::{Factor, Progress};
use causeway_core::{Admission, ErrorKind};

use super::pass;
use crate::session::{Conversation, Stage, Turn, say};
use crate::wire::{Reply, Verb};

/// Longest login that is looked at, in bytes: a username, `@`, and a tenant.
const MAX_LOGIN: usize = 512;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let name = std::str::from_utf8(argument).unwrap_or_default();
    if name.is_empty() || name.len() > MAX_LOGIN || name.chars().any(char::is_control) {
        return Err(Reply::new(501, format!("the login is missing or wrong; send {}", Verb::User.usage())));
    }
    if talk.is_inside() {
        // RFC 959: a new login from here on; what was set before stays no longer than the old one.
        talk.leave().await;
    }
    talk.progress = Progress::new();
    talk.stage = Stage::Named(name.to_owned());
    // Examining one is work: of a client that names login after login it is done no more often than passwords are taken.
    let allowed = talk.shown < talk.terms.config.max_auth_tries;
    if let Some(certificate) = talk.certificate().cloned().filter(|_| allowed) {
        talk.shown += 1;
        let (login, gateway, peer) = (pass::login_of(talk, name), talk.gateway(), talk.as_peer());
        match gateway.show_certificate(&mut talk.progress, &login, &certificate, &peer).await {
            Ok(Admission::In(session)) => {
                talk.shown = 0;
                talk.enter(session);
                return say(232, "logged in by the client certificate");
            }
            Ok(Admission::More(next)) if next.has(Factor::Totp) => return Ok(pass::ask_for_code(talk, login)),
            Ok(Admission::More(_)) => {}
            // It may be for something else, and the password is still to come.
            Err(error) if error.kind() == ErrorKind::Unauthenticated => {
                talk.blame.add(gateway.offence_of(&login, &peer));
            }
            Err(error) => {
                talk.stage = Stage::Nobody;
                return pass::refuse(talk, &login, error);
            }
        }
    }
    say(331, "send PASS with the password")
}
