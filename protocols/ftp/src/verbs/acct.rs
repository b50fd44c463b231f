//! ACCT (RFC 959 section 4.1.1): the code of a login's second step (RFC 6238), where PASS asked for it with 332. There are no
//! accounts beside logins.

use causeway_core::Credential;
use secrecy::SecretString;

use super::pass;
use crate::session::{Conversation, Stage, Turn, say};
use crate::wire::Reply;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    match &talk.stage {
        Stage::Inside(_) => say(202, "no account is needed"),
        Stage::Halfway(login) => {
            let login = login.clone();
            let code = SecretString::from(String::from_utf8_lossy(argument.trim_ascii()).into_owned());
            pass::show(talk, login.clone(), Credential::Code { login, code }).await
        }
        Stage::Nobody | Stage::Named(_) => Err(Reply::new(503, "log in first with USER and PASS")),
    }
}
