//! What a path or an id is.

use uuid::Uuid;

use super::entries::{Viewer, find};
use super::{Entry, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::{Inner, Located, Place, locate, place_of};
use crate::identity::{Permission, Scope, Session};
use crate::path::{Name, VirtualPath};
use crate::policy;
use crate::ports::Query;
use crate::records::Node;

/// Where a node is in its tenant's tree; none where it is not in this session's tenant or not there at all.
pub(crate) async fn path_of(query: &mut dyn Query, session: &Session, id: Uuid) -> Result<Option<VirtualPath>> {
    let chain = query.ancestry(id).await?;
    let mut names = chain.iter().map(|(_, name)| name.as_str());
    if names.next() != Some(&*session.tenant.id) {
        return Ok(None);
    }
    let rest: Vec<&str> = names.collect();
    VirtualPath::parse(&rest.join("/")).map(Some)
}

/// The same with a name in it, for what need not be reached: none, too, where the folder was moved so deep that no path is long
/// enough for it.
pub(crate) async fn path_within(
    query: &mut dyn Query,
    session: &Session,
    folder: Uuid,
    name: &str,
) -> Result<Option<VirtualPath>> {
    let path = match path_of(query, session, folder).await {
        Ok(Some(folder)) => folder.join(&Name::parse(name)?),
        Ok(None) => return Ok(None),
        Err(error) => Err(error),
    };
    match path {
        Err(error) if error.kind() == ErrorKind::InvalidName => Ok(None),
        path => path.map(Some),
    }
}

/// The path, below the session's root, of what a target names; `NotFound` for an id that does not exist for this session.
pub(crate) async fn session_path(query: &mut dyn Query, session: &Session, target: &Target) -> Result<VirtualPath> {
    match target {
        Target::Path(path) => Ok(path.clone()),
        Target::Id(id) => {
            let path = path_of(query, session, *id).await?.ok_or_else(Error::not_found)?;
            let place = place_of(session, &path).ok_or_else(Error::not_found)?;
            place.view_path.below(&session.home).ok_or_else(Error::not_found)
        }
    }
}

/// The node of a file or folder that must be there, with its place.
pub(crate) async fn existing(query: &mut dyn Query, session: &Session, place: &Place) -> Result<Node> {
    find(query, &session.tenant.id, place).await?.node.ok_or_else(Error::not_found)
}

impl Inner {
    /// See [`crate::Gateway::stat`].
    pub(crate) async fn stat(&self, session: &Session, target: &Target) -> Result<Entry> {
        let mut query = self.ledger.read(session.reach()).await?;
        let path = session_path(&mut *query, session, target).await?;
        let place = match locate(session, &path)? {
            Located::Above(_) => {
                policy::require_scope(session, Scope::FilesRead)?;
                return Ok(Entry::of_view(path));
            }
            Located::Place(place) => place,
        };
        let found = find(&mut *query, &session.tenant.id, &place).await?;
        let entry = found.node.map(|node| Entry::of_node(&node, path.clone(), place.mount_point));
        let entry = match (&entry, &found.parent, path.name()) {
            (Some(entry), _, _) if entry.folder => Some(entry.clone()),
            (_, Some(parent), Some(_)) => {
                let (_, name) = place.split()?;
                let upload = Viewer::of(session).upload(&mut *query, parent.id, &name).await?;
                // Its holder may be waited for, and must not wait for this connection.
                drop(query);
                match upload {
                    Some(mut row) => {
                        self.bring_up_to_date(&mut row).await;
                        Some(Entry::of_upload(&row, entry.as_ref(), path.clone()))
                    }
                    None => entry,
                }
            }
            _ => entry,
        };
        let entry = entry.ok_or_else(Error::not_found)?;
        if entry.folder {
            policy::require(place.permissions, Permission::List)?;
        } else {
            policy::require_either(place.permissions, Permission::List, Permission::Download)?;
        }
        Ok(entry)
    }
}
