//! Several changes of one file at once: its path, its labels, its times. One transaction does them all, or nothing.

use super::labels::Labels;
use super::{Entry, Target};
use crate::error::Result;
use crate::events::Operation;
use crate::gateway::Inner;
use crate::identity::Session;
use crate::path::VirtualPath;
use crate::records::Attributes;
use crate::transfer::require_digest;

/// What is to be changed of a file or folder.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Its new path, below the session's root: needs what [`crate::Gateway::rename`] needs.
    pub path: Option<VirtualPath>,
    /// Whether a file at the new path is replaced.
    pub overwrite: bool,
    /// Classification and tags: they need `attributes` where the file is before it is moved.
    pub labels: Labels,
    /// Times and modes: the same.
    pub attributes: Attributes,
    /// The digests one of which the content must have; `PreconditionFailed` otherwise.
    pub if_match: Option<Vec<[u8; 32]>>,
}

/// What is changed beside a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub labels: Labels,
    pub attributes: Attributes,
    pub if_match: Option<Vec<[u8; 32]>>,
}

impl Marks {
    /// Whether anything is set by them.
    pub(super) fn set_nothing(&self) -> bool {
        self.labels.is_empty() && self.attributes.is_empty()
    }
}

impl Inner {
    /// See [`crate::Gateway::change`].
    pub(crate) async fn change(&self, session: &Session, target: &Target, changes: Changes) -> Result<Entry> {
        let to = changes.path.clone();
        let operation = if to.is_some() { Operation::Rename } else { Operation::Attributes };
        let result = self.change_target(session, target, changes).await;
        self.recorded_to(session, operation, (target, to.as_ref()), result).await
    }

    async fn change_target(&self, session: &Session, target: &Target, changes: Changes) -> Result<Entry> {
        let Changes { path, overwrite, labels, attributes, if_match } = changes;
        labels.check(&session.tenant)?;
        let marks = Marks { labels, attributes, if_match };
        match path {
            Some(path) => Box::pin(self.rename_target(session, target, &path, overwrite, marks)).await,
            None if marks.set_nothing() => {
                let entry = self.stat(session, target).await?;
                require_digest(marks.if_match.as_deref(), entry.sha256)?;
                Ok(entry)
            }
            None => self.change_attributes(session, target, marks).await,
        }
    }
}
