//! A file that leaves a temporary name arrives by it (SEMANTICS, "Temporary names"): only now does its name say what it is
//! to be, and only now can that be compared with what it is (`uploads.content_type_check`).

use super::stat::existing;
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::{Inner, Place};
use crate::identity::{Permission, Session};
use crate::policy;
use crate::transfer::{TypeCheck, head_of, judge};

impl Inner {
    /// How the content of the file at `from` contradicts the name that it arrives under; `TypeMismatch` where that is refused.
    /// None where there is no such file: the rename itself says so.
    pub(super) async fn judge_arrival(&self, session: &Session, from: &Place, to: &Place) -> Result<Option<Error>> {
        let check = self.settings.content_type_check;
        let Some(name) = to.path.name().filter(|_| check != TypeCheck::Off) else { return Ok(None) };
        // Who may not rename learns nothing of what is in the file.
        policy::require(from.permissions, Permission::Rename)?;
        policy::require(to.permissions, Permission::Upload)?;
        let node = {
            let mut query = self.ledger.read().await?;
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
        match judge(None, name.as_str(), &head).contradiction {
            Some(error) if check == TypeCheck::Refuse => Err(error),
            contradiction => Ok(contradiction),
        }
    }
}
