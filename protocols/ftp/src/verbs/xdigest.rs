//! XCRC, XMD5, XSHA1, XSHA256, XSHA512: digests of a file or of a range of it, as many servers and clients have them:
//! `XMD5 "file name" start end` or `XMD5 file name`; the end is the first byte that does not belong to the range any more.

use causeway_core::VirtualPath;
use causeway_core::events::Operation;
use causeway_core::namespace::Target;

use crate::session::{Answer, Conversation, Turn};
use crate::transfer::digest::{Algorithm, Work, digest};
use crate::transfer::run as run_beside;
use crate::wire::{Reply, Verb};

pub(super) async fn run(talk: &mut Conversation, verb: Verb, algorithm: Algorithm, argument: &[u8]) -> Turn {
    let malformed = || Reply::new(501, format!("the argument is wrong; send {}", verb.usage()));
    let (name, from, to) = parse(argument).ok_or_else(malformed)?;
    let path = talk.path(verb, Operation::Download, &name).await?;
    begin(talk, &path, algorithm, from, to, |_, digest| Reply::new(250, digest)).await
}

/// Digests a part of a file beside the control connection, where its digest is not known; `tell` makes the reply of size
/// and digest. It is on record as a read, and no download is told.
pub(super) async fn begin(
    talk: &mut Conversation,
    path: &VirtualPath,
    algorithm: Algorithm,
    from: u64,
    to: Option<u64>,
    tell: impl FnOnce(u64, String) -> Reply + Send + 'static,
) -> Turn {
    let session = talk.session()?;
    let source = talk.gateway().examine(&session, &Target::Path(path.clone())).await?;
    let size = source.size().await;
    let to = to.unwrap_or(size);
    if from > to || to > size {
        return Err(Reply::new(501, format!("the range is not in the file, which has {size} bytes")));
    }
    if let (Algorithm::Sha256, Some(known), true) = (algorithm, source.sha256(), from == 0 && to == size) {
        return Ok(Answer::Reply(tell(size, hex::encode(known))));
    }
    let (moved, abort) = (std::sync::Arc::default(), Conversation::abort_token());
    let work = Work { source, algorithm, from, to, abort: abort.clone(), moved: std::sync::Arc::clone(&moved) };
    let what = format!("a digest of {path}");
    let running = run_beside(what, moved, abort, None, digest(work, move |digest| tell(size, digest)));
    Ok(Answer::Begun(running))
}

/// The name, and the range.
fn parse(argument: &[u8]) -> Option<(Vec<u8>, u64, Option<u64>)> {
    let Some(quoted) = argument.strip_prefix(b"\"") else {
        return Some((argument.to_vec(), 0, None));
    };
    let end = quoted.iter().rposition(|b| *b == b'"')?;
    let (name, rest) = quoted.split_at_checked(end)?;
    let rest = std::str::from_utf8(rest.get(1..)?).ok()?;
    let mut numbers = rest.split_ascii_whitespace().map(|n| n.parse::<u64>().ok());
    let from = match numbers.next() {
        Some(number) => number?,
        None => 0,
    };
    let to = match numbers.next() {
        Some(number) => Some(number?),
        None => None,
    };
    numbers.next().is_none().then(|| (name.to_vec(), from, to))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_may_be_quoted_and_have_a_range() {
        assert_eq!(parse(b"a b"), Some((b"a b".to_vec(), 0, None)));
        assert_eq!(parse(b"\"a b\""), Some((b"a b".to_vec(), 0, None)));
        assert_eq!(parse(b"\"a b\" 5"), Some((b"a b".to_vec(), 5, None)));
        assert_eq!(parse(b"\"a b\" 5 9"), Some((b"a b".to_vec(), 5, Some(9))));
        for wrong in [&b"\"a b"[..], b"\"a\" x", b"\"a\" 1 2 3", b"\"a\" -1"] {
            assert_eq!(parse(wrong), None);
        }
    }
}
