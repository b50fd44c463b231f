//! SITE (RFC 959 section 4.1.3): CHMOD, UTIME, HELP.

use causeway_core::events::Operation;
use causeway_core::namespace::Target;
use causeway_core::records::Attributes;

use super::word;
use crate::session::{Answer, Conversation, Turn, say};
use crate::wire::{Reply, Verb, moment};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let (name, rest) = split(argument);
    match word(name).to_ascii_uppercase().as_str() {
        "CHMOD" => chmod(talk, rest).await,
        "UTIME" => utime(talk, rest).await,
        "HELP" => Ok(help()),
        _ => Err(Reply::new(504, "SITE knows CHMOD, UTIME and HELP")),
    }
}

/// The forms.
pub(super) fn help() -> Answer {
    let lines = [
        "SITE CHMOD <mode> <path>",
        "SITE UTIME <YYYYMMDDhhmm[ss]> <path>",
        "SITE UTIME <path> <atime> <mtime> <ctime> UTC",
    ];
    Answer::Reply(Reply::lines(214, "SITE knows:", lines.map(str::to_owned).to_vec(), "End"))
}

async fn chmod(talk: &mut Conversation, rest: &[u8]) -> Turn {
    let (mode, path) = split(rest);
    let mode = super::mff::mode(word(mode)).filter(|_| !path.is_empty());
    let mode = mode.ok_or_else(|| Reply::new(501, "send SITE CHMOD <octal mode> <path>"))?;
    set(talk, path, Attributes { mode: Some(mode), ..Attributes::default() }).await?;
    say(200, "the mode is set")
}

async fn utime(talk: &mut Conversation, rest: &[u8]) -> Turn {
    let malformed = || Reply::new(501, "send SITE UTIME <YYYYMMDDhhmm[ss]> <path>");
    let (first, behind) = split(rest);
    let (path, attributes) = match moment::parse(word(first)).filter(|_| !behind.is_empty()) {
        Some(at) => (behind, Attributes { modified_at: Some(at), ..Attributes::default() }),
        None => long_form(rest).ok_or_else(malformed)?,
    };
    set(talk, path, attributes).await?;
    say(200, "the time is set")
}

/// `path atime mtime ctime UTC`: the path may have spaces.
fn long_form(rest: &[u8]) -> Option<(&[u8], Attributes)> {
    let mut from_behind = rest.trim_ascii_end().rsplitn(5, |b| *b == b' ');
    if !from_behind.next()?.eq_ignore_ascii_case(b"UTC") {
        return None;
    }
    let mut time = || moment::parse(std::str::from_utf8(from_behind.next()?).ok()?);
    let (_changed, modified, accessed) = (time()?, time()?, time()?);
    let path = from_behind.next().filter(|path| !path.is_empty())?;
    Some((path, Attributes { modified_at: Some(modified), accessed_at: Some(accessed), ..Attributes::default() }))
}

async fn set(talk: &mut Conversation, path: &[u8], attributes: Attributes) -> Result<(), Reply> {
    let path = talk.path(Verb::Site, Operation::Attributes, path).await?;
    let session = talk.session()?;
    talk.gateway().set_attributes(&session, &Target::Path(path), attributes).await?;
    Ok(())
}

/// The first word, and what stands behind its space.
fn split(argument: &[u8]) -> (&[u8], &[u8]) {
    match argument.iter().position(|b| *b == b' ') {
        Some(at) => (argument.get(..at).unwrap_or_default(), argument.get(at + 1..).unwrap_or_default()),
        None => (argument, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_form_of_utime_is_read() {
        let (path, attributes) = long_form(b"/a b.csv 20200101000000 20200102000000 20200103000000 UTC").unwrap();
        assert_eq!(path, b"/a b.csv");
        assert_eq!(attributes.modified_at.map(moment::stamp).as_deref(), Some("20200102000000"));
        assert_eq!(attributes.accessed_at.map(moment::stamp).as_deref(), Some("20200101000000"));
        assert!(long_form(b"20200101000000 20200102000000 20200103000000 UTC").is_none());
        assert!(long_form(b"x").is_none());
    }
}
