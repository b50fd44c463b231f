//! LIST, NLST, MLSD and STAT with a path: what is listed, and its lines.

use std::sync::Arc;

use causeway_core::events::Operation;
use causeway_core::identity::{PermissionSet, Resolved};
use causeway_core::namespace::Target;
use causeway_core::records::now;
use causeway_core::{Entry, ErrorKind, Listing, Session, VirtualPath, policy};

use super::Ticket;
use crate::data::outgoing::Parting;
use crate::data::{Broken, Outgoing};
use crate::session::Conversation;
use crate::wire::facts::{self, FactSet};
use crate::wire::{Reply, listing, pattern};

/// Entries that are read at a time.
const PAGE: u32 = 512;

/// How entries are written.
pub(crate) enum Shape {
    /// As `ls -l` does (LIST).
    Long,
    /// Names alone, with what the client named before them (NLST).
    Names(String),
    /// Facts (MLSD).
    Facts(FactSet),
}

/// What is listed.
pub(crate) enum Found {
    /// A folder's entries, those that match a pattern where there is one.
    Folder(Box<Listing>, Option<String>),
    /// One file.
    File(Box<Entry>),
}

/// What a session may do at a path.
pub(crate) fn permissions_at(session: &Session, path: &VirtualPath) -> PermissionSet {
    let Ok(place) = session.home.append(path) else { return PermissionSet::NONE };
    match session.identity.view.resolve(&place) {
        Resolved::Place { permissions, .. } => policy::effective(permissions, session.scopes),
        _ => PermissionSet::NONE,
    }
}

/// The options of `ls` that old clients send before the path are left out.
pub(crate) fn without_options(mut argument: &[u8]) -> &[u8] {
    while let Some(rest) = argument.strip_prefix(b"-") {
        let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
        if !rest.get(..end).is_some_and(|word| word.iter().all(u8::is_ascii_alphanumeric)) {
            break;
        }
        argument = rest.get(end..).unwrap_or_default().trim_ascii_start();
    }
    argument
}

/// Finds what an argument names: a folder, a file, or the entries of a folder that match a pattern.
pub(crate) async fn find(talk: &mut Conversation, argument: &[u8]) -> Result<Found, Reply> {
    let path = talk.path_or_folder(Operation::List, argument).await?;
    let (session, gateway) = (talk.session()?, talk.gateway());
    match gateway.stat(&session, &Target::Path(path.clone())).await {
        Ok(entry) if !entry.folder => return Ok(Found::File(Box::new(entry))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound) => {
            let name = path.name().map(|n| n.as_str().to_owned()).filter(|n| pattern::is_pattern(n));
            if let (Some(name), Some(folder)) = (name, path.parent()) {
                let listing = gateway.list(&session, &folder, None).await?;
                return Ok(Found::Folder(Box::new(listing), Some(name)));
            }
        }
        _ => {}
    }
    Ok(Found::Folder(Box::new(gateway.list(&session, &path, None).await?), None))
}

/// Writes the lines of entries.
pub(crate) struct Lines {
    pub(crate) session: Arc<Session>,
    pub(crate) shape: Shape,
}

impl Lines {
    fn line(&self, entry: &Entry, name: &str, here: PermissionSet) -> String {
        match &self.shape {
            Shape::Long => listing::line(entry, name, now()),
            Shape::Names(before) => format!("{before}{name}"),
            Shape::Facts(wanted) => {
                let here = if entry.mount_point { permissions_at(&self.session, &entry.path) } else { here };
                facts::line(entry, name, *wanted, here)
            }
        }
    }

    /// The next lines; none at the end.
    pub(crate) async fn next(&self, found: &mut Found) -> causeway_core::Result<Option<Vec<String>>> {
        match found {
            Found::File(entry) => {
                let line = self.line(entry, &entry.name, permissions_at(&self.session, &entry.path));
                Ok(Some(vec![line]))
            }
            Found::Folder(listing, wanted) => {
                let here = permissions_at(&self.session, &listing.folder().path);
                let page = listing.next(PAGE).await?;
                if page.is_empty() {
                    return Ok(None);
                }
                let shown = page.iter().filter(|e| wanted.as_ref().is_none_or(|w| pattern::matches(w, &e.name)));
                Ok(Some(shown.map(|entry| self.line(entry, &entry.name, here)).collect()))
            }
        }
    }
}

/// Sends a listing.
pub(crate) async fn send(mut found: Found, lines: Lines, ticket: Ticket) -> (Reply, Option<Parting>) {
    let mut outgoing = match ticket.outgoing().await {
        Ok(outgoing) => outgoing,
        Err(how) => return (how.reply(), None),
    };
    if let Err(how) = pour(&mut found, &lines, &mut outgoing).await {
        return (how.reply(), None);
    }
    match outgoing.finish().await {
        Ok(parting) => (Reply::new(226, "listed"), Some(parting)),
        Err(how) => (how.reply(), None),
    }
}

async fn pour(found: &mut Found, lines: &Lines, outgoing: &mut Outgoing) -> Result<(), Broken> {
    while let Some(page) = lines.next(found).await? {
        let mut text = String::new();
        for line in page {
            text.push_str(&line);
            text.push_str("\r\n");
        }
        outgoing.write(text.as_bytes()).await?;
        if matches!(found, Found::File(_)) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::without_options;

    #[test]
    fn options_of_ls_are_left_out() {
        assert_eq!(without_options(b"-al"), b"");
        assert_eq!(without_options(b"-a -l  /inbound"), b"/inbound");
        assert_eq!(without_options(b"-la a b"), b"a b");
        assert_eq!(without_options(b"a -l"), b"a -l");
        assert_eq!(without_options(b"-.csv"), b"-.csv");
    }
}
