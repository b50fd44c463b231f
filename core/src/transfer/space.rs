//! How much room there is: what the quotas leave. Of the identity's and the tenant's the one counts that leaves less.

use crate::error::Result;
use crate::gateway::{Inner, Located, locate};
use crate::identity::{Permission, Session};
use crate::namespace::Target;
use crate::path::VirtualPath;

/// What stands for the size where there is no quota: 1 PiB. The storage's own room is not known here.
const UNLIMITED: u64 = 1 << 50;

/// The room at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may be taken in all: the quota, or 1 PiB where there is none.
    pub total: u64,
    /// Bytes that are left of it. What uploads under way have reserved is not.
    pub free: u64,
    /// Whether this session can make or change no file there.
    pub read_only: bool,
}

impl Inner {
    /// See [`crate::Gateway::space`].
    pub(crate) async fn space(&self, session: &Session, path: &VirtualPath) -> Result<Space> {
        self.stat(session, &Target::Path(path.clone())).await?;
        let read_only = match locate(session, path)? {
            Located::Place(place) => {
                !place.permissions.has(Permission::Upload) && !place.permissions.has(Permission::Overwrite)
            }
            Located::Above(_) => true,
        };
        let (tenant, identity) = (&session.tenant, &session.identity);
        let mut query = self.ledger.read(session.reach()).await?;
        let mut tightest: Option<(u64, u64)> = None;
        let (tenant_quota, identity_quota) = session.quotas();
        for (quota, of) in [(tenant_quota, None), (identity_quota, Some(&*identity.id))] {
            let Some(total) = quota else { continue };
            let free = total.saturating_sub(query.usage(&tenant.id, of).await?);
            if tightest.is_none_or(|(_, least)| free < least) {
                tightest = Some((total, free));
            }
        }
        let (total, free) = match tightest {
            Some(room) => room,
            None => (UNLIMITED, UNLIMITED.saturating_sub(query.usage(&tenant.id, None).await?)),
        };
        Ok(Space { total, free, read_only })
    }
}
