//! Who is known, kept up to date: the configuration's tenants together with the objects of the ledger. Whoever changes one of the
//! two puts another directory in place of the one that is there; requests that run go on with the one that they began with.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::inner::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Directory, TenantRecord};
use crate::ports::Reach;
use crate::records::StoredObject;

impl Inner {
    /// Reads the objects of the ledger where they have changed, and knows them when it returns.
    pub(crate) async fn follow_objects(&self) -> Result<()> {
        let _one = self.changing.lock().await;
        self.follow().await
    }

    /// The same from time to time: the ledger may be away, and everybody stays who was known.
    pub(crate) async fn follow_objects_again(&self) {
        if let Err(error) = self.follow_objects().await {
            tracing::warn!(%error, "whether objects have changed cannot be seen; who was known stays known");
        }
    }

    /// The same for who holds [`Inner::changing`].
    pub(crate) async fn follow(&self) -> Result<()> {
        let mut query = self.ledger.read(Reach::Gateway).await?;
        // The generation first: what changes between the two is read again.
        let generation = query.object_generation().await?;
        let directory = self.directory();
        if directory.generation() == generation {
            return Ok(());
        }
        let stored: Arc<[StoredObject]> = query.objects().await?.into();
        drop(query);
        let next = self.directory_of(directory.declared().clone(), generation, stored).await?;
        self.put_in_place(next);
        Ok(())
    }

    /// See [`super::Gateway::declare`].
    pub(crate) async fn declare(&self, records: Vec<TenantRecord>) -> Result<()> {
        let _one = self.changing.lock().await;
        let now = self.directory();
        let next = self.directory_of(records.into(), now.generation(), now.objects().clone()).await?;
        self.put_in_place(next);
        Ok(())
    }

    /// The one way in which a directory is made of both. It reads every object, so it is done beside the requests.
    pub(crate) async fn directory_of(
        &self,
        declared: Arc<[TenantRecord]>,
        generation: i64,
        stored: Arc<[StoredObject]>,
    ) -> Result<Directory> {
        let storages = self.storage_names();
        let work = move || Directory::of(declared, generation, stored, &storages);
        let made = tokio::task::spawn_blocking(work).await.map_err(Error::internal)?;
        made.map_err(|error| Error::new(ErrorKind::InvalidArgument, error.to_string()))
    }

    /// The names of the storages.
    pub(crate) fn storage_names(&self) -> BTreeSet<String> {
        self.storages.keys().cloned().collect()
    }

    /// Makes this the directory of now. Who does it holds [`Inner::changing`].
    pub(crate) fn put_in_place(&self, next: Directory) {
        let before = self.directory();
        for left in next.left_out().iter().filter(|left| !before.left_out().contains(left)) {
            let (tenant, kind, id) = (&left.key.tenant, &left.key.kind, &left.key.id);
            tracing::error!(tenant, kind, id, why = left.why, "what was declared through the API is left out");
        }
        self.follow_limits(next.objects());
        self.hooks.send_replace(next.webhooks().to_vec().into());
        self.known.send_replace(Arc::new(next));
        // Views may show other folders now.
        self.forget_ensured();
    }
}
