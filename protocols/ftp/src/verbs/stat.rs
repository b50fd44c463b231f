//! STAT (RFC 959 section 4.1.3): how the session and its transfer stand, or a listing on the control connection.

use std::sync::atomic::Ordering;

use crate::data::Broken;
use crate::session::{Answer, Conversation, Mode, Security, Turn, Type};
use crate::transfer::listing::{Found, Lines, Shape, find, without_options};
use crate::transfer::run_quietly;
use crate::wire::Reply;

/// Entries that are shown on the control connection.
const MAX_ENTRIES: usize = 1000;

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let argument = without_options(argument);
    if argument.is_empty() {
        return Ok(Answer::Reply(of_session(talk)));
    }
    let found = find(talk, argument).await?;
    let lines = Lines { session: talk.session()?, shape: Shape::Long };
    let abort = Conversation::abort_token();
    let aborted = abort.clone();
    let work = async move {
        tokio::select! {
            biased;
            () = aborted.cancelled() => Broken::Aborted.reply(),
            shown = show(lines, found) => shown.unwrap_or_else(Reply::from),
        }
    };
    // Few may match the pattern of many.
    Ok(Answer::Begun(run_quietly("a listing".to_owned(), abort, work)))
}

async fn show(lines: Lines, mut found: Found) -> causeway_core::Result<Reply> {
    let code = if matches!(found, Found::File(_)) { 213 } else { 212 };
    let mut shown = Vec::new();
    while shown.len() <= MAX_ENTRIES
        && let Some(page) = lines.next(&mut found).await?
    {
        shown.extend(page);
        if matches!(found, Found::File(_)) {
            break;
        }
    }
    let last = if shown.len() > MAX_ENTRIES { "there are more; use LIST" } else { "End" };
    shown.truncate(MAX_ENTRIES);
    Ok(Reply::lines(code, "Listing:", shown, last))
}

/// How the session stands.
pub(crate) fn of_session(talk: &mut Conversation) -> Reply {
    let mut lines = Vec::new();
    if let Ok(inside) = talk.inside() {
        lines.push(format!("logged in as {}", inside.session.login));
    }
    lines.push(format!("from {}", talk.peer));
    if let Security::Tls { cipher, private, .. } = &talk.security {
        lines.push(format!("control connection: {}", cipher.as_deref().unwrap_or("TLS")));
        lines.push(format!("data connections: PROT {}", if *private { 'P' } else { 'C' }));
    }
    let kind = if talk.parameters.kind == Type::Ascii { 'A' } else { 'I' };
    let mode = if talk.parameters.mode == Mode::Stream { 'S' } else { 'Z' };
    lines.push(format!("TYPE {kind}, MODE {mode}, STRU F"));
    lines.push(match &talk.running {
        Some(running) => {
            format!("{} is under way, {} bytes so far", running.what, running.moved.load(Ordering::Relaxed))
        }
        None => "no transfer is under way".to_owned(),
    });
    Reply::lines(211, "Status:", lines, "End")
}
