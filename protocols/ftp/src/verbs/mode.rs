//! MODE (RFC 959 section 3.4): stream, and deflate (draft-preston-ftpext-deflate).

use super::word;
use crate::session::{Conversation, Mode, Turn, say};
use crate::wire::{Reply, Verb};

/// Refuses MODE Z where the operator has not switched it on (504, RFC 959 section 4.2.2: not for that parameter).
fn require_packing(talk: &Conversation) -> Result<(), Reply> {
    if talk.terms.config.mode_z {
        Ok(())
    } else {
        Err(Reply::new(504, "MODE Z is switched off here; go on with MODE S"))
    }
}

pub(super) fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    talk.parameters.mode = match word(argument).to_ascii_uppercase().as_str() {
        "S" => Mode::Stream,
        "Z" => {
            require_packing(talk)?;
            Mode::Deflate
        }
        "B" | "C" => {
            let known = if talk.terms.config.mode_z { "MODE S and MODE Z are" } else { "MODE S is" };
            return Err(Reply::new(504, format!("only {known} known here")));
        }
        _ => return Err(Reply::new(501, format!("the mode is missing or wrong; send {}", Verb::Mode.usage()))),
    };
    say(200, "the mode is set")
}

/// OPTS MODE Z LEVEL <0 to 9>.
pub(super) fn options(talk: &mut Conversation, wanted: &str) -> Turn {
    require_packing(talk)?;
    let wanted = wanted.to_ascii_uppercase();
    let words: Vec<&str> = wanted.split_ascii_whitespace().collect();
    let level = match words.as_slice() {
        ["Z"] => Some(6),
        ["Z", "LEVEL", level] => level.parse().ok().filter(|level| *level <= 9),
        _ => None,
    };
    talk.parameters.level = level.ok_or_else(|| Reply::new(501, "send OPTS MODE Z LEVEL <0 to 9>"))?;
    say(200, format!("MODE Z LEVEL set to {}", talk.parameters.level))
}
