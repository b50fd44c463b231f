//! The signed heads of the trail's chains, and the removal of entries whose time is over, behind a signed cut.
//!
//! A head is in the ledger first, then in the file of its own: whatever stands there was sealed. What a crash keeps out of the file
//! is found in the ledger again. No head is signed over a chain that a former one contradicts, and no cut over entries that
//! are not as they were sealed: evidence stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use tokio::sync::Semaphore;

use crate::audit::{AuditSettings, HeadKey, Trust, Verification, Walker, Worth, verify_chain};
use crate::error::{Error, Result};
use crate::gateway::held;
use crate::ports::{Durability, Ledger, Lock, Reach, Tx, transact};
use crate::records::{AuditHead, HeadKind, Micros, micros, now};

/// Heads that are read at a time.
const PAGE: u32 = 1000;

/// Entries that one transaction removes at most: nobody else writes meanwhile on SQLite.
const BATCH: u32 = 500;

/// What one node holds while it signs or removes, so that another one sees what it has done.
const LOCK: &str = "audit heads";

/// How often it is looked for entries whose time is over.
pub(crate) const REMOVAL: Duration = Duration::from_hours(1);

/// Chains that are verified at the same time for those who ask over the API: a walk is work, and a long one.
const WALKS: usize = 2;

/// The last of each kind that is on the shelf, or would be, by chain.
type Filed = HashMap<(HeadKind, String), AuditHead>;

/// Signs, files and removes.
pub(crate) struct Heads {
    settings: AuditSettings,
    filed: Mutex<Filed>,
    walks: Semaphore,
    /// Those that were told.
    lost_guards: Mutex<Vec<String>>,
}

/// What came of the end of a chain.
enum Signed {
    /// There is nothing to sign, or it must not be signed.
    Nothing,
    /// A head was stored.
    Stored,
    /// Somebody has put a head of his own in this place of the ledger: this one is for the shelf alone.
    Aside(AuditHead),
}

impl Heads {
    pub(crate) fn new(settings: &AuditSettings) -> Self {
        let mut filed = Filed::new();
        let mut unknown = 0_u64;
        for head in &settings.trust.kept {
            match settings.trust.worth(head) {
                Worth::Good => note(&mut filed, head.clone()),
                Worth::Unknown | Worth::Forged => unknown += 1,
            }
        }
        if unknown > 0 {
            tracing::error!(
                heads = unknown,
                "heads of the audit trail that were kept are signed by keys that are not known here, and prove nothing"
            );
        }
        // The last one of each chain is enough from here on.
        let trust = Trust { keys: settings.trust.keys.clone(), kept: Vec::new() };
        Self {
            settings: AuditSettings { trust, ..settings.clone() },
            filed: Mutex::new(filed),
            walks: Semaphore::new(WALKS),
            lost_guards: Mutex::default(),
        }
    }

    /// What a chain is verified against.
    pub(crate) fn trust(&self, chain: &str) -> Trust {
        let filed = held(&self.filed);
        let last = |kind| filed.get(&(kind, chain.to_owned())).cloned();
        let kept = [HeadKind::Cut, HeadKind::Head].into_iter().filter_map(last).collect();
        Trust { keys: self.settings.trust.keys.clone(), kept }
    }

    /// Verifies a chain, when its turn has come.
    pub(crate) async fn verify(&self, ledger: &dyn Ledger, chain: &str) -> Result<Verification> {
        let _turn = self.walks.acquire().await.map_err(Error::internal)?;
        verify_chain(ledger, chain, &self.trust(chain)).await
    }

    /// Says where the ledger would let the trail be changed. Somebody has switched a trigger off, to mend something, say.
    pub(crate) async fn look_at_guards(&self, ledger: &dyn Ledger) -> Result<()> {
        let lost = ledger.read(Reach::Gateway).await?.lost_guards().await?;
        let mut known = held(&self.lost_guards);
        if *known != lost {
            if lost.is_empty() {
                tracing::info!("the triggers that keep the audit trail append-only are there again");
            } else {
                tracing::error!(
                    triggers = lost.join(", "),
                    "the ledger has lost triggers that keep the audit trail append-only: somebody can change it (causeway audit verify)"
                );
            }
            *known = lost;
        }
        Ok(())
    }

    /// Signs heads of the chains that have grown, and puts on the shelf what is not there yet. How many were signed.
    pub(crate) async fn sign(&self, ledger: &dyn Ledger) -> Result<usize> {
        let Some(key) = self.settings.key.clone() else { return Ok(0) };
        let trust = self.settings.trust.clone();
        let known = held(&self.filed).clone();
        let (signed, aside) = transact(ledger, Reach::Gateway, Durability::Disk, move |tx| {
            let (key, trust, known) = (key.clone(), trust.clone(), known.clone());
            async move {
                tx.lock(&[Lock::Other(LOCK.to_owned())]).await?;
                let (mut signed, mut aside) = (0, Vec::new());
                for chain in tx.chains().await? {
                    let known = known.get(&(HeadKind::Head, chain.clone()));
                    let last = newest(tx, &chain, &trust, known).await?;
                    match sign_one(tx, &key, &trust, &chain, last.as_ref()).await? {
                        Signed::Nothing => continue,
                        Signed::Stored => {}
                        Signed::Aside(head) => aside.push(head),
                    }
                    signed += 1;
                }
                Ok((signed, aside))
            }
            .boxed()
        })
        .await?;
        self.file(ledger).await?;
        self.put(aside).await?;
        Ok(signed)
    }

    /// Puts on the shelf what was signed since, by whatever node: heads, and the cut that a chain begins behind.
    async fn file(&self, ledger: &dyn Ledger) -> Result<()> {
        let chains = ledger.read(Reach::Gateway).await?.chains().await?;
        for chain in chains {
            let mut after = self.filed_to(HeadKind::Head, &chain);
            loop {
                let page = ledger.read(Reach::Gateway).await?.audit_heads(&chain, after, PAGE).await?;
                after = page.last().map_or(after, |head| head.seq);
                let is_full = page.len() == PAGE as usize;
                self.put(page).await?;
                if !is_full {
                    break;
                }
            }
            let known = self.filed_to(HeadKind::Cut, &chain);
            let mut cuts = ledger.read(Reach::Gateway).await?.audit_cuts(&chain).await?;
            cuts.retain(|cut| cut.seq > known);
            self.put(cuts).await?;
        }
        Ok(())
    }

    fn filed_to(&self, kind: HeadKind, chain: &str) -> i64 {
        held(&self.filed).get(&(kind, chain.to_owned())).map_or(0, |head| head.seq)
    }

    /// Puts those on the shelf that are believed.
    async fn put(&self, mut heads: Vec<AuditHead>) -> Result<()> {
        heads.retain(|head| self.settings.trust.worth(head) == Worth::Good);
        if heads.is_empty() {
            return Ok(());
        }
        if let Some(shelf) = &self.settings.shelf {
            shelf.put(&heads).await?;
        }
        let mut filed = held(&self.filed);
        for head in heads {
            note(&mut filed, head);
        }
        Ok(())
    }

    /// Removes the entries whose time is over, of all chains. How many.
    pub(crate) async fn remove_old(&self, ledger: &dyn Ledger) -> Result<u64> {
        let (Some(key), Some(retention)) = (self.settings.key.clone(), self.settings.retention) else { return Ok(0) };
        let before = now().saturating_sub(micros(retention));
        let mut removed = 0;
        let chains = ledger.read(Reach::Gateway).await?.chains().await?;
        for chain in chains {
            while let Some((cut, entries)) = self.cut(ledger, &key, &chain, before).await? {
                removed += entries;
                // Where that fails, it is filed with the next heads.
                self.put(vec![cut]).await?;
            }
        }
        Ok(removed)
    }

    async fn cut(
        &self,
        ledger: &dyn Ledger,
        key: &Arc<HeadKey>,
        chain: &str,
        before: Micros,
    ) -> Result<Option<(AuditHead, u64)>> {
        let (key, trust, chain) = (key.clone(), self.trust(chain), chain.to_owned());
        transact(ledger, Reach::Gateway, Durability::Disk, move |tx| {
            let (key, trust, chain) = (key.clone(), trust.clone(), chain.clone());
            async move {
                tx.lock(&[Lock::Other(LOCK.to_owned())]).await?;
                cut_one(tx, &key, &trust, &chain, before).await
            }
            .boxed()
        })
        .await
    }
}

/// Notes what is filed, where it is the last of its kind.
fn note(filed: &mut Filed, head: AuditHead) {
    let place = (head.kind, head.chain.clone());
    if filed.get(&place).is_none_or(|other| other.seq < head.seq) {
        filed.insert(place, head);
    }
}

/// The last head of a chain that is believed, from a known one on.
async fn newest(tx: &mut dyn Tx, chain: &str, trust: &Trust, known: Option<&AuditHead>) -> Result<Option<AuditHead>> {
    let (mut last, mut after) = (known.cloned(), known.map_or(0, |head| head.seq));
    loop {
        let page = tx.audit_heads(chain, after, PAGE).await?;
        let is_full = page.len() == PAGE as usize;
        after = page.last().map_or(after, |head| head.seq);
        last = page.into_iter().rfind(|head| trust.worth(head) == Worth::Good).or(last);
        if !is_full {
            return Ok(last);
        }
    }
}

/// Signs the head of a chain, unless there is one for it, or the chain is not what the last one says. A head that somebody else
/// has put where it belongs keeps it from nothing: heads in advance of every place to come would end the signing in silence.
async fn sign_one(
    tx: &mut dyn Tx,
    key: &HeadKey,
    trust: &Trust,
    chain: &str,
    last: Option<&AuditHead>,
) -> Result<Signed> {
    let Some(seal) = tx.last_seal(chain).await? else { return Ok(Signed::Nothing) };
    if let Some(last) = last {
        if last.seq == seal.seq && last.hash == seal.hash {
            return Ok(Signed::Nothing);
        }
        let there = tx.seals(chain, last.seq - 1, 1).await?.pop();
        let holds = match there {
            Some((there, _)) if there.seq == last.seq => there.hash == last.hash,
            // Removed in its time.
            Some(_) => {
                tx.audit_cuts(chain).await?.iter().any(|cut| cut.seq >= last.seq && trust.worth(cut) == Worth::Good)
            }
            None => false,
        };
        if !holds {
            tracing::error!(
                chain,
                seq = last.seq,
                "the audit trail is not what was signed: somebody has changed or cut it, or an older database was restored; no \
                 further head is signed for it (causeway audit verify)"
            );
            return Ok(Signed::Nothing);
        }
    }
    let head = key.sign(HeadKind::Head, (chain, seal.seq), seal.hash, now())?;
    let there = tx.audit_heads(chain, seal.seq - 1, 1).await?.pop().filter(|there| there.seq == seal.seq);
    if let Some(there) = there {
        tracing::error!(
            chain,
            seq = seal.seq,
            key = STANDARD.encode(there.key),
            "the ledger holds a head of the audit trail here that is not signed by a key of this gateway; its own is kept beside the \
             ledger alone (nodes of a cluster need one audit_key)"
        );
        return Ok(Signed::Aside(head));
    }
    tx.insert_audit_head(&head).await?;
    Ok(Signed::Stored)
}

/// Removes the first entries of a chain, as far as all of them are from before that moment and as they were sealed. The last
/// entry stays, so that the chain goes on from it.
async fn cut_one(
    tx: &mut dyn Tx,
    key: &HeadKey,
    trust: &Trust,
    chain: &str,
    before: Micros,
) -> Result<Option<(AuditHead, u64)>> {
    let Some(last) = tx.last_seal(chain).await? else { return Ok(None) };
    let mut walker = Walker::new();
    for cut in tx.audit_cuts(chain).await?.iter().filter(|cut| trust.worth(cut) == Worth::Good) {
        walker.may_begin_behind(cut.seq, cut.hash);
    }
    let mut upto = None;
    for (seal, record) in tx.seals(chain, 0, BATCH).await? {
        if seal.seq >= last.seq || record.as_ref().is_some_and(|record| record.at >= before) {
            break;
        }
        walker.step(&seal, record.as_ref().filter(|one| one.tells_what_is_sealed()).map(|one| &*one.body));
        if walker.is_broken() {
            tracing::error!(
                chain,
                seq = seal.seq,
                "old audit entries are not as they were sealed; they are kept (causeway audit verify)"
            );
            break;
        }
        upto = Some(seal);
    }
    let Some(seal) = upto else { return Ok(None) };
    let cut = key.sign(HeadKind::Cut, (chain, seal.seq), seal.hash, now())?;
    tx.insert_audit_head(&cut).await?;
    let entries = tx.cut_audit(chain, seal.seq).await?;
    Ok(Some((cut, entries)))
}

#[cfg(test)]
#[path = "heads_test.rs"]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
