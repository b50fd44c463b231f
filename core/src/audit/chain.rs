//! The walk along a chain of the ledger.

use super::{Breach, Trust, Verification, Walker, Worth};
use crate::error::Result;
use crate::events::timestamp;
use crate::ports::{Ledger, Reach};
use crate::records::{AuditHead, AuditRecord, HeadKind};

/// Rows that are read at a time.
const PAGE: u32 = 1000;

/// How often a walk looks again for what was sealed while it went; a busy chain is never quite done.
const ROUNDS: u32 = 8;

/// How often a walk begins anew because old entries were removed under it.
const TRIES: u32 = 3;

impl AuditRecord {
    /// Whether the columns, by which entries are found, say what the sealed bytes say. The chain covers the bytes alone:
    /// whoever changes a column hides an entry from a filter.
    pub(crate) fn tells_what_is_sealed(&self) -> bool {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(&self.body) else { return false };
        let text = |name: &str| body.get(name).and_then(serde_json::Value::as_str);
        text("id") == Some(self.id.to_string().as_str())
            && text("tenant_id").unwrap_or_default() == self.chain
            && text("timestamp") == Some(timestamp(self.at).as_str())
            && text("identity") == self.identity.as_deref()
            && text("login") == self.login.as_deref()
            && text("operation") == Some(self.operation.as_str())
            && text("outcome") == Some(self.outcome.as_str())
            && text("path") == self.path.as_deref()
            && text("protocol") == Some(self.protocol.as_str())
    }
}

/// Walks a chain from its beginning, or from behind its cut, and tells whether it holds, and where it first does not.
/// Entries that are sealed while it goes are walked too. Fails only where the ledger cannot be read.
pub async fn verify_chain(ledger: &dyn Ledger, chain: &str, trust: &Trust) -> Result<Verification> {
    let mut tries = 1;
    loop {
        let cuts = ledger.read(Reach::of(chain)).await?.audit_cuts(chain).await?;
        let found = walk(ledger, chain, trust, &cuts).await?;
        // What was removed under the walk looks as if it were missing.
        if found.valid || tries == TRIES || ledger.read(Reach::of(chain)).await?.audit_cuts(chain).await? == cuts {
            return Ok(found);
        }
        tries += 1;
    }
}

async fn walk(ledger: &dyn Ledger, chain: &str, trust: &Trust, cuts: &[AuditHead]) -> Result<Verification> {
    let mut walker = Walker::new();
    for mark in cuts.iter().chain(trust.kept.iter().filter(|mark| mark.chain == chain)) {
        take(&mut walker, trust, mark);
    }
    let (mut counts, mut known) = ((0, 0), 0);
    for round in 0..ROUNDS {
        // Before the seals: so each head names a place that the walk comes to.
        loop {
            let page = ledger.read(Reach::of(chain)).await?.audit_heads(chain, known, PAGE).await?;
            for head in &page {
                take(&mut walker, trust, head);
                known = head.seq;
            }
            if page.len() < PAGE as usize {
                break;
            }
        }
        let before = walker.sealed();
        loop {
            // A connection for each page only: a long walk must not keep one from those who serve clients.
            let page = ledger.read(Reach::of(chain)).await?.seals(chain, walker.last(), PAGE).await?;
            for (seal, record) in &page {
                if record.as_ref().is_some_and(|record| !record.tells_what_is_sealed()) {
                    walker.breach(seal.seq, Breach::Changed);
                }
                walker.step(seal, record.as_ref().map(|record| &*record.body));
            }
            if page.len() < PAGE as usize {
                break;
            }
        }
        if round > 0 && walker.sealed() == before {
            break;
        }
        counts = ledger.read(Reach::of(chain)).await?.unsealed_counts(chain).await?;
    }
    Ok(walker.finish(counts.0, counts.1))
}

/// Takes over what a signature says, as far as it is believed.
fn take(walker: &mut Walker, trust: &Trust, mark: &AuditHead) {
    match (trust.worth(mark), mark.kind) {
        (Worth::Good, HeadKind::Head) => walker.expect(mark.seq, mark.hash),
        (Worth::Good, HeadKind::Cut) => {
            walker.expect(mark.seq, mark.hash);
            walker.may_begin_behind(mark.seq, mark.hash);
        }
        (Worth::Unknown, _) => walker.note_unknown(),
        (Worth::Forged, _) => walker.breach(mark.seq, Breach::Forged),
    }
}
