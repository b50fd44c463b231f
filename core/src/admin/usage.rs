//! What a tenant and its identities have used of their quotas.

use std::collections::HashMap;

use crate::error::Result;
use crate::gateway::Inner;
use crate::identity::Session;
use crate::ports::Reach;
use crate::records::{ObjectKey, ObjectKind};

/// What a tenant has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The tenant's id.
    pub tenant: String,
    /// Bytes that it may use; none: unlimited.
    pub quota: Option<u64>,
    /// Bytes that it uses: of files, and reserved for uploads.
    pub bytes: u64,
    /// How many files it has.
    pub files: u64,
    /// Its identities, by their ids.
    pub identities: Vec<IdentityUsage>,
}

/// What an identity has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityUsage {
    /// Its id.
    pub id: String,
    /// Bytes that the files that it made may use; none: unlimited.
    pub quota: Option<u64>,
    /// Bytes that they use, with what is reserved for its uploads.
    pub bytes: u64,
    /// How many files it made the current version of.
    pub files: u64,
}

impl Inner {
    /// See [`crate::Gateway::usage`].
    pub(crate) async fn tenant_usage(&self, session: &Session, tenant: Option<&str>) -> Result<Usage> {
        let named = match self.administers(session, ObjectKind::Identity, tenant) {
            Ok(named) => named,
            Err(error) => {
                let key = ObjectKey::new(tenant.unwrap_or_default(), ObjectKind::Tenant, "");
                self.put_refused_change(session, &key, "read", &error).await;
                return Err(error);
            }
        };
        let directory = self.directory();
        let mut query = self.ledger.read(Reach::of(&named)).await?;
        let counts: HashMap<String, u64> = query.file_counts(&named).await?.into_iter().collect();
        let mut identities = Vec::new();
        for identity in directory.identities(&named) {
            let bytes = query.usage(&named, Some(&identity.id)).await?;
            let files = counts.get(&*identity.id).copied().unwrap_or(0);
            identities.push(IdentityUsage { id: identity.id.to_string(), quota: identity.quota, bytes, files });
        }
        let bytes = query.usage(&named, None).await?;
        let quota = directory.tenant(&named).and_then(|tenant| tenant.quota);
        // Of identities that are gone, too.
        let files = counts.values().sum();
        Ok(Usage { tenant: named, quota, bytes, files, identities })
    }
}
