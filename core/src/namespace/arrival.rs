//! A file that leaves a temporary name arrives by it (SEMANTICS, "Temporary names"): only now does its name say what it is
//! to be, and only now can that be compared with what it is (`uploads.content_type_check`). So it is where a name says
//! something else than the one before.

use super::stat::existing;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::gateway::{Inner, Place};
use crate::identity::{Permission, Session};
use crate::policy;
use crate::transfer::{TypeCheck, head_of, judge};

/// What a content is under its new name.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// The version that was looked at.
    pub version: Uuid,
    /// The type that it had by its old name.
    pub before: String,
    /// The type that it has by the new one.
    pub content_type: String,
    /// How it contradicts the new name.
    pub contradiction: Option<Error>,
}

impl Inner {
    /// What the content of the file at `from` is under the name that it gets; `TypeMismatch` where that is refused. None where there is no such file: the rename itself says so.
    pub(super) async fn judge_arrival(&self, session: &Session, from: &Place, to: &Place) -> Result<Option<Arrival>> {
        let check = self.rules().content_type_check;
        let Some(name) = to.path.name().filter(|_| check != TypeCheck::Off) else { return Ok(None) };
        // Who may not rename learns nothing of what is in the file; the rename itself says why.
        let may = |place: &Place, needed| policy::require(place.permissions, needed).is_ok();
        if !may(from, Permission::Rename) || !may(to, Permission::Upload) {
            return Ok(None);
        }
        let node = {
            let mut query = self.ledger.read(session.reach()).await?;
            match existing(&mut *query, session, from).await {
                Ok(node) => node,
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NoSuchFolder | ErrorKind::NotFolder) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        };
        let Some(content) = node.content else { return Ok(None) };
        let head = head_of(self, &content).await?;
        let judged = judge(None, name.as_str(), &head);
        match judged.contradiction {
            Some(error) if check == TypeCheck::Refuse => Err(error),
            contradiction => Ok(Some(Arrival {
                version: content.version,
                before: judge(None, &node.name, &head).content_type,
                content_type: judged.content_type,
                contradiction,
            })),
        }
    }
}
