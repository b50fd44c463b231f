//! From what a session calls a place to the place in its tenant's tree.

use crate::error::{Error, ErrorKind, Result};
use crate::identity::{PermissionSet, Resolved, Session};
use crate::path::VirtualPath;
use crate::policy;

/// A place in the tenant's tree, as a session reaches it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// What the identity calls it.
    pub view_path: VirtualPath,
    /// Where it is in the tenant's tree.
    pub path: VirtualPath,
    /// What the session may do there, scopes included.
    pub permissions: PermissionSet,
    /// Whether the view pins it.
    pub mount_point: bool,
}

impl Place {
    /// The names from the tenant's root.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.path.parts().collect()
    }

    /// The path of its folder and its name there. `IsFolder` for a root.
    pub(crate) fn split(&self) -> Result<(VirtualPath, String)> {
        match (self.path.parent(), self.path.name()) {
            (Some(parent), Some(name)) => Ok((parent, name.as_str().to_owned())),
            _ => Err(Error::new(ErrorKind::IsFolder, "this is the root folder; give a name in it")),
        }
    }

    /// Fails with `PermissionDenied` where the view pins it.
    pub(crate) fn require_unpinned(&self) -> Result<()> {
        if self.mount_point || self.path.is_root() {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "permission denied: this folder is a fixed part of your view and cannot be renamed or removed",
            ));
        }
        Ok(())
    }
}

/// What a session's path means.
#[derive(Clone, Debug)]
pub(crate) enum Located {
    /// A place in the tree.
    Place(Place),
    /// A folder that exists only in the view, above a mount point.
    Above(VirtualPath),
}

/// What the identity calls a session's path.
pub(crate) fn view_path(session: &Session, path: &VirtualPath) -> Result<VirtualPath> {
    session.home.append(path)
}

/// What a session's path means; `NotFound` where nothing exists there for it.
pub(crate) fn locate(session: &Session, path: &VirtualPath) -> Result<Located> {
    let view_path = view_path(session, path)?;
    match session.identity.view.resolve(&view_path) {
        Resolved::Place { path, permissions, mount_point } => Ok(Located::Place(Place {
            view_path,
            path,
            permissions: policy::effective(permissions, session.scopes),
            mount_point,
        })),
        Resolved::Above => Ok(Located::Above(view_path)),
        Resolved::Nothing => Err(Error::not_found()),
    }
}

/// The same where only a place in the tree will do; a folder of the view alone is `PermissionDenied`.
pub(crate) fn locate_place(session: &Session, path: &VirtualPath) -> Result<Place> {
    match locate(session, path)? {
        Located::Place(place) => Ok(place),
        Located::Above(_) => Err(Error::new(
            ErrorKind::PermissionDenied,
            "permission denied: this folder is a fixed part of your view; work in the folders below it",
        )),
    }
}

/// How a session reaches a place of the tree, if it does: what is outside its view, shadowed, or above its home does
/// not exist for it.
pub(crate) fn place_of(session: &Session, path: &VirtualPath) -> Option<Place> {
    session.identity.view.reverse(path).find_map(|(view_path, _)| {
        let below_home = view_path.below(&session.home)?;
        match locate(session, &below_home).ok()? {
            Located::Place(place) => Some(place),
            Located::Above(_) => None,
        }
    })
}
