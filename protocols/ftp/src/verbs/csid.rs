//! CSID (draft-peterson-streamlined-ftp-command-extensions section 5): client and server say what they are. The version of
//! this server is nobody's business.

use super::word;
use crate::session::{Conversation, Turn, say};

pub(super) fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let text = word(argument);
    let field = |wanted: &str| {
        text.split(';')
            .filter_map(|part| part.trim().split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim())
    };
    let name = [field("Name"), field("Version")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    super::clnt::note(talk, &name)?;
    say(200, "Name=causeway;")
}
