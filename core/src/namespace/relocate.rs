//! Moving a file to a place whose mount is kept in another storage: its content is copied there before the switch of
//! names (SEMANTICS, "The tree"). The copy is an upload that belongs to no session; what a crash leaves of it is removed.

use uuid::Uuid;

use super::stat::existing;
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::{Inner, Place};
use crate::identity::{Permission, Protocol, Session};
use crate::path::VirtualPath;
use crate::policy;
use crate::ports::{Durability, Reach, Tx};
use crate::records::{Attributes, BlobId, Content, Node, Segment, UploadRow, UploadState, now};
use crate::transfer::{copy_content, discard_row};

/// A content that was copied to where it is to go.
#[derive(Clone)]
pub(crate) struct Relocated {
    /// The version that was copied.
    version: Uuid,
    segments: Vec<Segment>,
    row: UploadRow,
}

impl Relocated {
    /// Gives the node the copy for its content, in the transaction of the move. `Conflict` where the file was changed
    /// since it was copied.
    pub(crate) async fn adopt(&self, tx: &mut dyn Tx, node: &mut Node) -> Result<()> {
        let changed = || Error::new(ErrorKind::Conflict, "the file was changed while it was moved; try again");
        let content = node.content.as_mut().filter(|content| content.version == self.version).ok_or_else(changed)?;
        let done =
            UploadRow { state: UploadState::Committed, segments: Vec::new(), updated_at: now(), ..self.row.clone() };
        if !tx.update_upload(&done, &[UploadState::Open], self.row.generation).await? {
            return Err(changed());
        }
        tx.release_blobs(self.version, &[], now()).await?;
        content.version = self.row.id;
        content.segments.clone_from(&self.segments);
        Ok(())
    }
}

/// A move that cannot be done by copying one content.
pub(crate) fn across_storages() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the two places are kept in different storages; move the files in the folder one by one",
    )
}

impl Inner {
    /// Copies the content of the file at `from` to the storage of `to`, durably. None where there is no file.
    pub(crate) async fn relocate(&self, session: &Session, from: &Place, to: &Place) -> Result<Option<Relocated>> {
        policy::require(from.permissions, Permission::Rename)?;
        policy::require(to.permissions, Permission::Upload)?;
        let node = {
            let mut query = self.ledger.read(session.reach()).await?;
            match existing(&mut *query, session, from).await {
                Ok(node) => node,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        };
        let content = node.content.ok_or_else(across_storages)?;
        let (folder, name) = to.split()?;
        let parent = self.folder_id(session, &folder).await?;
        let (row, blob) = self.copy_row(session, &to.path, parent, name)?;
        let (begun, named) = (row.clone(), blob.clone());
        self.write(session.reach(), Durability::Disk, move |tx| {
            let (row, blob) = (begun.clone(), named.clone());
            Box::pin(async move {
                tx.insert_blob(&blob, row.id).await?;
                tx.insert_upload(&row).await
            })
        })
        .await?;
        match copy_content(self, &content, &blob, |bytes| session.moved(bytes)).await {
            Ok(()) => Ok(Some(Relocated { version: content.version, segments: whole(&content, blob), row })),
            Err(error) => {
                self.drop_copy(&row).await;
                Err(error)
            }
        }
    }

    fn copy_row(&self, session: &Session, to: &VirtualPath, parent: Uuid, name: String) -> Result<(UploadRow, BlobId)> {
        let mount = session.tenant.mount_of(to).ok_or_else(|| Error::internal("a tenant without a mount at /"))?;
        let key = Uuid::new_v4();
        let blob = BlobId { key, storage: mount.storage.as_str().into(), prefix: mount.path.as_str().into() };
        let row = UploadRow {
            id: Uuid::now_v7(),
            tenant: session.tenant.id.to_string(),
            identity: session.identity.id.to_string(),
            login: session.login.to_string(),
            protocol: Protocol::Transfer.as_str().to_owned(),
            // Nobody's, so that nobody sees it as a partial upload.
            session: Uuid::nil(),
            parent,
            name,
            state: UploadState::Open,
            generation: 1,
            incarnation: self.incarnation,
            exclusive: false,
            base_version: None,
            compare_base: false,
            size: 0,
            prefix: 0,
            reserved: 0,
            segments: Vec::new(),
            hash_state: None,
            hashed: 0,
            attributes: Attributes::default(),
            storage: mount.storage.clone(),
            prefix_path: mount.path.clone(),
            created_at: now(),
            updated_at: now(),
            expires_at: self.expiry(),
            plan: None,
        };
        Ok((row, blob))
    }

    /// Gives a copy up that was not adopted.
    pub(crate) async fn drop_copy(&self, row: &UploadRow) {
        let row = row.clone();
        let dropped = self
            .write(Reach::of(&row.tenant), Durability::Process, move |tx| {
                let row = row.clone();
                Box::pin(async move { discard_row(tx, row).await })
            })
            .await;
        if let Err(error) = dropped {
            tracing::warn!(%error, "the copy of a move could not be given up; recovery will see to it");
        }
    }

    /// The same for one whose move was refused.
    pub(crate) async fn drop_relocated(&self, relocated: Option<Relocated>) {
        if let Some(relocated) = relocated {
            self.drop_copy(&relocated.row).await;
        }
    }
}

/// The map of a content that lies in one blob.
fn whole(content: &Content, blob: BlobId) -> Vec<Segment> {
    if content.size == 0 {
        return Vec::new();
    }
    vec![Segment { start: 0, len: content.size, blob: Some(blob), offset: 0 }]
}
