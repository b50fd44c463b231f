//! Recovery: what a dead process left open becomes a detached upload, cut to its last checkpoint. It touches only
//! processes that are certainly dead: this data folder's earlier ones (which the lock proves), and those of other nodes
//! that have given no sign of life for a minute.

use std::net::IpAddr;

use super::liveness::DEAD_AFTER;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Status};
use crate::gateway::Inner;
use crate::identity::Protocol;
use crate::ports::{Durability, Tx};
use crate::records::{Incarnation, UploadRow, UploadState, now};
use crate::transfer::replace_other_detached;

/// Uploads that are recovered in one look.
const BATCH: u32 = 200;

impl Inner {
    fn is_dead(&self, other: &Incarnation) -> bool {
        other.id != self.incarnation
            && (self.settings.sole_owner
                || other.installation == self.settings.installation
                || now() - other.heartbeat > DEAD_AFTER)
    }

    /// Recovers what dead processes left.
    pub(crate) async fn recover(&self) -> Result<()> {
        let all = self.ledger.read().await?.incarnations().await?;
        for dead in all.into_iter().filter(|other| self.is_dead(other)) {
            let mut count = 0;
            loop {
                let left = self.ledger.read().await?.uploads_held_by(dead.id, BATCH).await?;
                if left.is_empty() {
                    break;
                }
                for row in left {
                    count += 1;
                    let (node, own) = (self.settings.node.clone(), self.incarnation);
                    self.write(Durability::Disk, move |tx| {
                        let (row, node) = (row.clone(), node.clone());
                        Box::pin(async move { detach_left(tx, row, own, &node).await })
                    })
                    .await?;
                }
            }
            let id = dead.id;
            self.write(Durability::Process, move |tx| Box::pin(async move { tx.delete_incarnation(id).await })).await?;
            tracing::info!(node = dead.node, uploads = count, "recovered what an ended process left");
        }
        Ok(())
    }
}

/// Detaches one upload of a dead process. The row is then held by this one, so that it is not found again.
async fn detach_left(tx: &mut dyn Tx, mut row: UploadRow, own: uuid::Uuid, node: &str) -> Result<()> {
    let (state, generation) = (row.state, row.generation);
    row.state = UploadState::Detached;
    row.generation += 1;
    row.incarnation = own;
    row.updated_at = now();
    if !tx.update_upload(&row, &[state], generation).await? || state == UploadState::Detached {
        return Ok(());
    }
    replace_other_detached(&mut *tx, &row).await?;
    let folder: Vec<String> = tx.ancestry(row.parent).await?.into_iter().skip(1).map(|(_, name)| name).collect();
    let error = Error::new(ErrorKind::Incomplete, "the gateway was stopped before the upload was complete");
    let mut path = String::new();
    for name in folder.iter().chain(std::iter::once(&row.name)) {
        path.push('/');
        path.push_str(name);
    }
    let facts = Facts {
        tenant: Some(row.tenant.as_str().into()),
        identity: Some(row.identity.clone()),
        login: Some(row.login.clone()),
        protocol: Protocol::parse(&row.protocol).unwrap_or(Protocol::Transfer),
        session: Some(row.session),
        client_ip: None::<IpAddr>,
        node: node.to_owned(),
        auth_method: None,
        cipher: None,
        client_version: None,
        operation: Operation::Upload,
        status: Status::Failed,
        at: now(),
        transfer_id: Some(row.id),
        file_id: None,
        path: Some(path),
        view_path: None,
        previous_path: None,
        size: Some(row.size),
        bytes: Some(row.prefix),
        complete: Some(false),
        hash: None,
        content_type: None,
        duration_ms: None,
        error: None,
    }
    .failed(&error);
    tx.append_audit(&facts.audit()).await?;
    tx.append_events(&[facts.event("upload.incomplete"), facts.event("transfer.failed")]).await
}
