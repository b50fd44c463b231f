//! PASS (RFC 959 section 4.1.1): lets in, or, where the login needs a code too, asks for it (332, RFC 959 section 4.2.2).

use causeway_core::events::Operation;
use causeway_core::identity::{AuthMethod, Factor};
use causeway_core::{Admission, Credential, Error, ErrorKind};
use secrecy::SecretString;

use crate::session::{Answer, Blame, Conversation, Stage, Turn, say};
use crate::wire::Reply;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let name = match &talk.stage {
        Stage::Named(name) => name,
        // Some clients send a password whatever USER was answered.
        Stage::Inside(inside) if inside.session.auth_method == AuthMethod::one(Factor::Certificate) => {
            return say(202, "the client certificate was enough");
        }
        _ => return Err(Reply::new(503, "send USER first")),
    };
    let login = login_of(talk, name);
    // A password that is no UTF-8 is nobody's.
    let password = SecretString::from(String::from_utf8_lossy(argument).into_owned());
    show(talk, login.clone(), Credential::Password { login, password }).await
}

/// The login that USER named. HOST names the tenant, where there is one of that name and the login does not say otherwise.
pub(super) fn login_of(talk: &Conversation, name: &str) -> String {
    match &talk.parameters.host {
        Some(host) if !name.contains('@') && talk.gateway().has_tenant(host) => format!("{name}@{host}"),
        _ => name.to_owned(),
    }
}

/// Asks for the code of a login that has proven all else.
pub(super) fn ask_for_code(talk: &mut Conversation, login: String) -> Answer {
    talk.stage = Stage::Halfway(login);
    Answer::Reply(Reply::new(332, "send ACCT with the code of the second step"))
}

/// Shows what a login knows; where it does not let in, USER begins again.
pub(super) async fn show(talk: &mut Conversation, login: String, credential: Credential) -> Turn {
    talk.stage = Stage::Nobody;
    let (gateway, peer) = (talk.gateway(), talk.as_peer());
    let before = talk.progress.queue().so_far();
    let outcome = gateway.log_in(&mut talk.progress, credential, &peer).await;
    talk.queued += talk.progress.queue().so_far().saturating_sub(before);
    let error = match outcome {
        Ok(Admission::In(session)) => {
            talk.enter(session);
            return say(230, "logged in");
        }
        Ok(Admission::More(next)) if next.has(Factor::Totp) => return Ok(ask_for_code(talk, login)),
        Ok(Admission::More(next)) => {
            let what = next.as_str();
            let error = Error::new(
                ErrorKind::Unauthenticated,
                format!("this login needs more than FTPS can ask for ({what}); come by SFTP"),
            );
            talk.refuse(Operation::Login, "", &error).await;
            error
        }
        Err(error) => error,
    };
    refuse(talk, &login, error)
}

/// Answers a login that did not come about.
pub(super) fn refuse(talk: &mut Conversation, login: &str, error: Error) -> Turn {
    let (gateway, peer) = (talk.gateway(), talk.as_peer());
    match error.kind() {
        ErrorKind::Unauthenticated => {
            talk.tries += 1;
            talk.blame.add(gateway.offence_of(login, &peer));
            if talk.tries < talk.terms.config.max_auth_tries {
                Err(error.into())
            } else {
                Ok(Answer::Close(Reply::new(421, "too many failed logins; goodbye")))
            }
        }
        ErrorKind::Throttled => {
            // Without a time to wait the credential is right, and there are too many sessions: that is no offence.
            match error.retry_after() {
                Some(_) => talk.blame.add(gateway.offence_of(login, &peer)),
                None => talk.blame = Blame::None,
            }
            Ok(Answer::Close(error.into()))
        }
        // Nobody can tell whether it is right.
        ErrorKind::Unavailable | ErrorKind::Internal => {
            talk.blame = Blame::None;
            Err(error.into())
        }
        _ => Err(error.into()),
    }
}
