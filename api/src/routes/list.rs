//! `GET /files`: the entries of a folder by name, or, with `recursive=true`, all below it depth first, a folder before
//! its entries. A page is bounded; its cursor is the last path, so that a walk goes on where it was, whatever changed.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use causeway_core::events::Operation as Act;
use causeway_core::identity::Scope;
use causeway_core::{Entry, ErrorKind, Listing, Name, Session, VirtualPath};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::{cursor_of, cursor_text, wrong_cursor};
use crate::auth::Caller;
use crate::json::{EntryJson, json};
use crate::openapi::schemas::{Cursor, flag, path};
use crate::openapi::{Answer, Operation, Parameter, Tag, examples, parameters, problems};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::Shared;

/// Entries that one step of a walk reads ahead at most.
const STEP: usize = 256;

/// The parameters of the query.
const QUERY: [Parameter; 4] = [
    Parameter::query("path", "The folder; without it the root of the view.", path, "/inbound"),
    Parameter::query(
        "recursive",
        "Whether all below it is told too, depth first, a folder before its entries.",
        flag,
        "true",
    ),
    parameters::LIMIT,
    parameters::CURSOR,
];

/// A page of a folder.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EntryPage")]
struct Page<'a> {
    /// Files and folders, by name.
    entries: Vec<EntryJson<'a>>,
    /// The `cursor` of the next page; null where this is the last.
    #[schemars(with = "Option<Cursor>")]
    next_cursor: Option<String>,
}

pub fn operation() -> Operation {
    Operation::new(Tag::Files, "listFiles", "The entries of a folder")
        .text("By name, a page at a time.")
        .scope(Scope::FilesRead)
        .parameters(&QUERY)
        .answer(Answer::json::<Page<'_>>(StatusCode::OK, "A page.", examples::entries()))
        .fails(problems::PLACE)
        .fails([ErrorKind::InvalidArgument])
}

pub async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &QUERY)?;
    let (limit, recursive) = (query.limit()? as usize, query.flag("recursive")?);
    let folder = shared.path(&caller.session, Act::List, query.bytes("path")?.unwrap_or_default(), "path").await?;
    let after = query.text("cursor")?.map(|cursor| Place::parse(cursor, &folder, recursive)).transpose()?;
    let mut walk = Walk::new(folder, after, recursive)?;
    // One more than the page shows whether there is a next one.
    let mut entries = walk.take(&shared, &caller.session, limit + 1).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next_cursor = if more { entries.last().map(|last| cursor_of(&Place::of(last).text())) } else { None };
    Ok(json(StatusCode::OK, &Page { entries: entries.iter().map(EntryJson::of).collect(), next_cursor }))
}

/// Where a page ended: the last entry, and whether it was a folder, whose entries come next in a walk.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    path: VirtualPath,
    folder: bool,
}

impl Place {
    fn of(entry: &Entry) -> Self {
        Self { path: entry.path.clone(), folder: entry.folder }
    }

    fn text(&self) -> String {
        format!("{}{}", self.path, if self.folder { "/" } else { "" })
    }

    /// Fails with 400 where the cursor is none of this list.
    fn parse(cursor: &str, folder: &VirtualPath, recursive: bool) -> Result<Self, Problem> {
        let text = cursor_text(cursor)?;
        let place = Self { path: VirtualPath::parse(&text).map_err(|_| wrong_cursor())?, folder: text.ends_with('/') };
        let depth = place.path.below(folder).map_or(0, |below| below.parts().count());
        if depth == 0 || (depth > 1 && !recursive) { Err(wrong_cursor()) } else { Ok(place) }
    }
}

/// A folder that is being walked; it is opened when its turn comes.
struct Level {
    path: VirtualPath,
    after: Option<Name>,
    listing: Option<Listing>,
    read: VecDeque<Entry>,
}

impl Level {
    fn new(path: VirtualPath, after: Option<Name>) -> Self {
        Self { path, after, listing: None, read: VecDeque::new() }
    }

    /// The next entry, reading up to `most` ahead.
    async fn next(
        &mut self,
        shared: &Shared,
        session: &Arc<Session>,
        most: usize,
    ) -> causeway_core::Result<Option<Entry>> {
        if self.read.is_empty() {
            let listing = match &mut self.listing {
                Some(listing) => listing,
                None => self.listing.insert(shared.gateway.list(session, &self.path, self.after.take()).await?),
            };
            self.read.extend(listing.next(most.clamp(1, STEP) as u32).await?);
        }
        Ok(self.read.pop_front())
    }
}

struct Walk {
    /// The folders on the way, the one whose turn it is last.
    levels: Vec<Level>,
    top: VirtualPath,
    recursive: bool,
}

impl Walk {
    fn new(top: VirtualPath, after: Option<Place>, recursive: bool) -> Result<Self, Problem> {
        let mut levels = Vec::new();
        let mut path = top.clone();
        if let Some(place) = &after {
            for part in place.path.below(&top).ok_or_else(wrong_cursor)?.parts() {
                let name = Name::parse(part)?;
                let below = path.join(&name)?;
                levels.push(Level::new(path, Some(name)));
                path = below;
            }
        }
        if after.is_none_or(|place| recursive && place.folder) {
            levels.push(Level::new(path, None));
        }
        Ok(Self { levels, top, recursive })
    }

    /// The next entries, `most` of them where there are so many.
    async fn take(&mut self, shared: &Shared, session: &Arc<Session>, most: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        while entries.len() < most {
            let Some(level) = self.levels.last_mut() else { break };
            match level.next(shared, session, most - entries.len()).await {
                Ok(Some(entry)) => {
                    // What is not whole does not exist here, for its owner neither (SEMANTICS, "Uploads").
                    if entry.partial {
                        continue;
                    }
                    if self.recursive && entry.folder {
                        self.levels.push(Level::new(entry.path.clone(), None));
                    }
                    entries.push(entry);
                }
                Ok(None) => {
                    self.levels.pop();
                }
                // A folder below that went away meanwhile, or that this caller may not list, has no entries for it.
                Err(error) if level.path != self.top && hides(error.kind()) => {
                    self.levels.pop();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(entries)
    }
}

fn hides(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NoSuchFolder | ErrorKind::NotFolder | ErrorKind::PermissionDenied)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn p(path: &str) -> VirtualPath {
        VirtualPath::parse(path).unwrap()
    }

    fn levels(top: &str, last: &str, recursive: bool) -> Vec<(String, Option<String>)> {
        let place = Place::parse(&cursor_of(last), &p(top), recursive).unwrap();
        let walk = Walk::new(p(top), Some(place), recursive).unwrap();
        walk.levels
            .into_iter()
            .map(|level| (level.path.to_string(), level.after.map(|name| name.to_string())))
            .collect()
    }

    #[test]
    fn a_walk_goes_on_where_it_was() {
        let at = |path: &str, after: Option<&str>| (path.to_owned(), after.map(str::to_owned));
        assert_eq!(levels("/", "/a", false), [at("/", Some("a"))]);
        assert_eq!(levels("/", "/a/", false), [at("/", Some("a"))], "a plain list does not descend");
        assert_eq!(levels("/x", "/x/a/b", true), [at("/x", Some("a")), at("/x/a", Some("b"))]);
        assert_eq!(levels("/x", "/x/a/", true), [at("/x", Some("a")), at("/x/a", None)]);
    }

    #[test]
    fn cursors_of_other_lists_are_refused() {
        for (cursor, folder, recursive) in
            [("/a", "/x", true), ("/x", "/x", true), ("/x/a/b", "/x", false), ("/../a", "/", true), ("/", "/", true)]
        {
            assert!(Place::parse(&cursor_of(cursor), &p(folder), recursive).is_err(), "{cursor} of {folder}");
        }
        assert!(Place::parse("***", &p("/"), false).is_err());
    }
}
