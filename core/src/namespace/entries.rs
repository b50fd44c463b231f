//! From rows to what a session sees.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Entry;
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Place;
use crate::identity::{Protocol, Session};
use crate::path::VirtualPath;
use crate::ports::Query;
use crate::records::{Actor, Attributes, Node, UploadRow, UploadState, now};

/// A folder that is to be made.
pub(crate) fn new_folder(tenant: &str, parent: Uuid, name: &str, actor: &Actor, attributes: Attributes) -> Node {
    let modified_at = attributes.modified_at.unwrap_or_else(now);
    Node {
        id: Uuid::now_v7(),
        tenant: tenant.to_owned(),
        parent,
        name: name.to_owned(),
        content: None,
        created_at: now(),
        modified_at,
        attributes: Attributes { modified_at: None, ..attributes },
        created_by: actor.clone(),
        classification: None,
        tags: BTreeMap::new(),
    }
}

impl Entry {
    /// A node at a path of the session's.
    pub(crate) fn of_node(node: &Node, path: VirtualPath, mount_point: bool) -> Self {
        Self {
            id: node.id,
            name: last_name(&path),
            path,
            folder: node.is_folder(),
            size: node.size(),
            sha256: node.content.as_ref().map(|c| c.sha256),
            content_type: node.content.as_ref().map(|c| c.content_type.clone()),
            created_at: node.created_at,
            modified_at: node.modified_at,
            attributes: node.attributes.clone(),
            created_by: Some(node.created_by.clone()),
            classification: node.classification.clone(),
            tags: node.tags.clone(),
            partial: false,
            mount_point,
        }
    }

    /// A folder that exists only in the view.
    pub(crate) fn of_view(path: VirtualPath) -> Self {
        Self {
            id: Uuid::nil(),
            name: last_name(&path),
            path,
            folder: true,
            size: 0,
            sha256: None,
            content_type: None,
            created_at: 0,
            modified_at: 0,
            attributes: Attributes::default(),
            created_by: None,
            classification: None,
            tags: BTreeMap::new(),
            partial: false,
            mount_point: true,
        }
    }

    /// The owner's incomplete upload under its name (SEMANTICS, "What each sees"): the partial's size, and beside a
    /// visible version everything else of that version.
    pub(crate) fn of_upload(row: &UploadRow, visible: Option<&Self>, path: VirtualPath) -> Self {
        // A change in place shows its whole size; what was cut off shows what a resume can go on from.
        let size = if row.compare_base { row.size } else { row.prefix };
        if let Some(visible) = visible {
            return Self { size, partial: true, ..visible.clone() };
        }
        Self {
            id: row.id,
            name: last_name(&path),
            path,
            folder: false,
            size,
            sha256: None,
            content_type: Some(super::content_type_of(&row.name).to_owned()),
            created_at: row.created_at,
            modified_at: row.attributes.modified_at.unwrap_or(row.updated_at),
            attributes: Attributes { modified_at: None, ..row.attributes.clone() },
            created_by: Some(Actor {
                identity: row.identity.clone(),
                login: row.login.clone(),
                protocol: row.protocol.clone(),
            }),
            classification: None,
            tags: BTreeMap::new(),
            partial: true,
            mount_point: false,
        }
    }
}

fn last_name(path: &VirtualPath) -> String {
    path.name().map(|n| n.as_str().to_owned()).unwrap_or_default()
}

/// Who looks: decides which incomplete uploads show under their names (SEMANTICS, "What each sees").
#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    /// The tenant's id.
    pub tenant: Arc<str>,
    /// The identity's id.
    pub identity: Arc<str>,
    /// The session's id.
    pub session: Uuid,
    /// Whether incomplete uploads show at all: in REST's `/files` they do not.
    pub partials: bool,
}

impl Viewer {
    /// A session's.
    pub(crate) fn of(session: &Session) -> Self {
        Self {
            tenant: session.tenant.id.clone(),
            identity: session.identity.id.clone(),
            session: session.id,
            partials: !matches!(session.protocol, Protocol::Api | Protocol::Transfer),
        }
    }

    /// Whether it owns an upload.
    pub(crate) fn owns(&self, row: &UploadRow) -> bool {
        row.tenant == *self.tenant && row.identity == *self.identity
    }

    /// Whether an upload shows: a detached one to its owner, an open one to the session that holds it.
    pub(crate) fn sees(&self, row: &UploadRow) -> bool {
        self.partials
            && self.owns(row)
            && match row.state {
                UploadState::Detached => true,
                UploadState::Open | UploadState::Sealed => row.session == self.session,
                UploadState::Committed | UploadState::Discarded => false,
            }
    }

    /// The upload that shows under a name, if any.
    pub(crate) async fn upload(&self, query: &mut dyn Query, parent: Uuid, name: &str) -> Result<Option<UploadRow>> {
        if !self.partials {
            return Ok(None);
        }
        Ok(query.uploads_named(parent, name).await?.into_iter().find(|row| self.sees(row)))
    }
}

/// What stands at a place: the folder that it is in, and the node itself, if they exist.
#[derive(Debug)]
pub(crate) struct Found {
    /// The folder; none where the place is the tenant's root.
    pub parent: Option<Node>,
    /// The node.
    pub node: Option<Node>,
}

/// Looks a place up. `NoSuchFolder` where a folder on the way is missing, `NotFolder` where a file is in the way.
pub(crate) async fn find(query: &mut dyn Query, tenant: &str, place: &Place) -> Result<Found> {
    let names = place.names();
    let mut nodes = query.walk(tenant, &names).await?;
    if nodes.len() == names.len() + 1 {
        let node = nodes.pop();
        return Ok(Found { parent: nodes.pop(), node });
    }
    match nodes.pop() {
        Some(last) if !last.is_folder() => {
            Err(Error::new(ErrorKind::NotFolder, "a part of the path is a file, not a folder; check the path"))
        }
        Some(parent) if nodes.len() + 1 == names.len() => Ok(Found { parent: Some(parent), node: None }),
        _ => Err(Error::no_such_folder()),
    }
}
