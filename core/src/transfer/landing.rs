//! The end of a part: its bytes are durable, and the upload's row names them, under the lock of the upload's name.

use std::sync::Arc;

use super::incomplete::{no_such_upload, offset_of, require_free};
use super::part::Plan;
use super::segments::Segments;
use super::taking::{gap, reserve_received};
use super::work::taken_over;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Session;
use crate::ports::{Lock, Tx};
use crate::records::{BlobId, UploadRow, UploadState, now};

/// The transaction in which a part becomes one of its upload.
#[derive(Clone)]
pub(super) struct Landing {
    pub(super) plan: Plan,
    pub(super) blob: BlobId,
    pub(super) lane_start: u64,
    pub(super) len: u64,
    pub(super) hash_state: Option<Vec<u8>>,
    /// Whether nothing more comes of the part.
    pub(super) last: bool,
    pub(super) expires_at: i64,
    pub(super) session: Arc<Session>,
}

impl Landing {
    /// The row as it is then, and how many bytes of the part were there already.
    pub(super) async fn run(self, tx: &mut dyn Tx) -> Result<(UploadRow, u64)> {
        let quotas = self.session.quotas();
        let counts = self.plan.unsized_yet && quotas != (None, None);
        let mut locks = vec![Lock::Name(self.plan.parent, self.plan.name.clone())];
        if counts {
            locks.push(Lock::Quota(self.session.tenant.id.to_string()));
        }
        tx.lock(&locks).await?;
        let mut row = tx.upload(self.plan.id).await?.ok_or_else(no_such_upload)?;
        if row.state != UploadState::Detached || row.generation != self.plan.generation {
            require_free(&row)?;
            return Err(taken_over());
        }
        let end = self.plan.start + self.len;
        if row.announced_size().is_some_and(|size| end > size) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the size of the whole was announced meanwhile, and this part lies beyond it; ask where to go on",
            ));
        }
        let mut segments = Segments::new(row.segments.clone());
        let before = segments.held();
        let skip = if self.plan.whole {
            0
        } else {
            let there = offset_of(&row).checked_sub(self.plan.start).ok_or_else(|| gap(offset_of(&row)))?;
            if there > 0 && self.plan.strict {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("other bytes came to this place meanwhile; go on at byte {}", offset_of(&row)),
                ));
            }
            there.min(self.len)
        };
        let (start, len) = (self.plan.start + skip, self.len - skip);
        if len > 0 {
            tx.reference_blob(self.blob.key, row.id).await?;
            segments.put(start, len, Some(&self.blob), self.lane_start + skip);
            // What the hash has followed must still be what the map names: not sent again meanwhile, nor there already.
            let follows = skip == 0 && row.hashed == self.plan.start && row.hash_state == self.plan.hash_before;
            if let (Some(state), true) = (self.hash_state, follows) {
                row.hash_state = Some(state);
                row.hashed = end;
            } else if start < row.hashed {
                row.hash_state = None;
                row.hashed = 0;
            }
        }
        let over = self.len - (segments.held() - before).min(self.len);
        row.size = row.size.max(end);
        row.prefix = segments.prefix();
        row.segments = segments.runs().to_vec();
        if counts && row.announced_size().is_none() {
            // What this part has reserved may have been given back with another one that ended.
            reserve_received(&mut *tx, &mut row, quotas).await?;
        }
        if self.last && row.announced_size().is_none() {
            // What nobody sends to keeps no more of the quota than it takes.
            row.reserved = row.reserved.min(row.size);
        }
        row.updated_at = now();
        row.expires_at = self.expires_at;
        if !tx.update_upload(&row, &[UploadState::Detached], self.plan.generation).await? {
            return Err(taken_over());
        }
        Ok((row, over))
    }
}
