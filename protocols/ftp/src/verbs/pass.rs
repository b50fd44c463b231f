//! PASS (RFC 959 section 4.1.1).

use causeway_core::path::VirtualPath;
use causeway_core::{Credential, ErrorKind};
use secrecy::SecretString;

use crate::session::{Answer, Conversation, Inside, Stage, Turn, say};
use crate::wire::Reply;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let Stage::Named(name) = &talk.stage else {
        return Err(Reply::new(503, "send USER first"));
    };
    let login = match &talk.parameters.host {
        // HOST names the tenant, where there is one of that name and the login does not say otherwise.
        Some(host) if !name.contains('@') && talk.gateway().has_tenant(host) => format!("{name}@{host}"),
        _ => name.clone(),
    };
    talk.stage = Stage::Nobody;
    // A password that is no UTF-8 is nobody's.
    let password = SecretString::from(String::from_utf8_lossy(argument).into_owned());
    let peer = talk.as_peer();
    match talk.gateway().login(Credential::Password { login, password }, &peer).await {
        Ok(session) => {
            let rules = talk.terms.config.rules(&session.tenant.id, &session.login);
            talk.stage = Stage::Inside(Inside { session, rules, folder: VirtualPath::root(), renaming: None });
            say(230, "logged in")
        }
        Err(error) => {
            talk.tries += 1;
            match error.kind() {
                ErrorKind::Unauthenticated if talk.tries < talk.terms.config.max_auth_tries => Err(error.into()),
                ErrorKind::Unauthenticated => Ok(Answer::Close(Reply::new(421, "too many failed logins; goodbye"))),
                ErrorKind::Throttled => Ok(Answer::Close(error.into())),
                _ => Err(error.into()),
            }
        }
    }
}
