use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use uuid::Uuid;

use super::*;
use crate::audit::Breach;
use crate::error::ErrorKind;
use crate::events::{Facts, Operation};
use crate::jobs::fake_ledger::FakeLedger;
use crate::jobs::sequencer;
use crate::ports::HeadShelf;

#[derive(Debug, Default)]
struct Shelf {
    heads: Mutex<Vec<AuditHead>>,
    is_full: AtomicBool,
}

#[async_trait]
impl HeadShelf for Shelf {
    async fn put(&self, heads: &[AuditHead]) -> Result<()> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::NoSpace, "full"));
        }
        self.heads.lock().unwrap().extend_from_slice(heads);
        Ok(())
    }
}

impl Shelf {
    fn places(&self) -> Vec<(HeadKind, i64)> {
        self.heads.lock().unwrap().iter().map(|head| (head.kind, head.seq)).collect()
    }
}

fn signer(shelf: &Arc<Shelf>, retention: Option<Duration>) -> Heads {
    let key = Arc::new(HeadKey::from_seed(&[7; 32]).unwrap());
    let kept = shelf.heads.lock().unwrap().clone();
    let settings = AuditSettings {
        trust: Trust { keys: vec![key.public()], kept },
        key: Some(key),
        shelf: Some(shelf.clone()),
        retention,
        ..AuditSettings::default()
    };
    Heads::new(&settings)
}

/// Appends entries of these moments and seals them.
async fn append(ledger: &FakeLedger, moments: impl IntoIterator<Item = Micros>) {
    let moments: Vec<Micros> = moments.into_iter().collect();
    transact(ledger, Reach::Gateway, Durability::Disk, move |tx| {
        let moments = moments.clone();
        async move {
            for at in moments {
                let mut facts = Facts::of_gateway_in(&"acme".into(), "gw-1", Operation::Upload);
                facts.at = at;
                tx.append_audit(&facts.audit()).await?;
            }
            Ok(())
        }
        .boxed()
    })
    .await
    .unwrap();
    while sequencer::run_once(ledger, &Arc::from([])).await.unwrap().sealed > 0 {}
}

async fn verified(ledger: &FakeLedger, heads: &Heads) -> Verification {
    verify_chain(ledger, "acme", &heads.trust("acme")).await.unwrap()
}

#[tokio::test]
async fn heads_are_signed_of_what_has_grown_and_filed() {
    let (ledger, shelf) = (FakeLedger::default(), Arc::default());
    let heads = signer(&shelf, None);
    assert_eq!(heads.sign(&ledger).await.unwrap(), 0);
    append(&ledger, 1..=3).await;
    assert_eq!(heads.sign(&ledger).await.unwrap(), 1);
    assert_eq!(heads.sign(&ledger).await.unwrap(), 0, "nothing has come");
    append(&ledger, 4..=5).await;
    let found = verified(&ledger, &heads).await;
    assert_eq!((found.valid, found.last, found.signed), (true, 5, 3));
    assert_eq!(heads.sign(&ledger).await.unwrap(), 1);
    assert_eq!(shelf.places(), [(HeadKind::Head, 3), (HeadKind::Head, 5)]);
    assert!(shelf.heads.lock().unwrap().iter().all(AuditHead::is_signed));
    assert_eq!(verified(&ledger, &heads).await.signed, 5);
    assert_eq!(heads.remove_old(&ledger).await.unwrap(), 0, "they are kept for ever");

    // Without a key nothing is signed.
    let none = Heads::new(&AuditSettings::default());
    append(&ledger, 6..=6).await;
    assert_eq!(none.sign(&ledger).await.unwrap(), 0);
    let found = verified(&ledger, &none).await;
    assert_eq!((found.valid, found.signed, found.unknown_heads), (true, 0, 2));
}

#[tokio::test]
async fn what_could_not_be_filed_is_filed_later_by_whoever_comes() {
    let (ledger, shelf): (_, Arc<Shelf>) = (FakeLedger::default(), Arc::default());
    append(&ledger, 1..=3).await;
    shelf.is_full.store(true, Ordering::SeqCst);
    assert!(signer(&shelf, None).sign(&ledger).await.is_err());
    shelf.is_full.store(false, Ordering::SeqCst);
    let next = signer(&shelf, None);
    assert_eq!(next.sign(&ledger).await.unwrap(), 0);
    assert_eq!(shelf.places(), [(HeadKind::Head, 3)]);
    assert_eq!(next.sign(&ledger).await.unwrap(), 0);
    assert_eq!(shelf.places().len(), 1, "once");
}

#[tokio::test]
async fn a_truncated_tail_is_found_and_nothing_is_signed_over_it() {
    let (ledger, shelf) = (FakeLedger::default(), Arc::default());
    let heads = signer(&shelf, None);
    append(&ledger, 1..=6).await;
    heads.sign(&ledger).await.unwrap();
    // The last two, with their entries and all heads.
    ledger.look(|state| {
        let gone: Vec<Uuid> = state.seals.drain(4..).map(|seal| seal.entry).collect();
        state.entries.retain(|entry| !gone.contains(&entry.id));
        state.heads.clear();
    });
    let found = verified(&ledger, &heads).await;
    assert_eq!((found.broken_at, found.breach), (Some(5), Some(Breach::Truncated)));
    let again = signer(&shelf, None);
    assert_eq!(verified(&ledger, &again).await.broken_at, Some(5), "a new process knows it from the file");
    assert!(verify_chain(&ledger, "acme", &Trust::default()).await.unwrap().valid, "the ledger alone does not show it");
    assert_eq!(heads.sign(&ledger).await.unwrap(), 0);

    // The gateway goes on: the places are taken by others.
    append(&ledger, 7..=9).await;
    let found = verified(&ledger, &heads).await;
    assert_eq!((found.broken_at, found.breach), (Some(6), Some(Breach::Rewritten)));
    assert_eq!(heads.sign(&ledger).await.unwrap(), 0);
    // Another chain is another one.
    let mut facts = Facts::of_gateway("gw-1", Operation::Admin);
    facts.at = 1;
    let record = facts.audit();
    ledger.look(|state| {
        state.waiting.push(record.id);
        state.entries.push(record);
    });
    sequencer::run_once(&ledger, &Arc::from([])).await.unwrap();
    assert_eq!(heads.sign(&ledger).await.unwrap(), 1);
}

#[tokio::test]
async fn a_column_that_says_something_else_is_found() {
    let (ledger, shelf) = (FakeLedger::default(), Arc::default());
    let heads = signer(&shelf, None);
    append(&ledger, 1..=4).await;
    assert!(verified(&ledger, &heads).await.valid);
    ledger.look(|state| state.entries[2].outcome = "denied".into());
    let found = verified(&ledger, &heads).await;
    assert_eq!((found.broken_at, found.breach), (Some(3), Some(Breach::Changed)));
    ledger.look(|state| state.entries[1].at += 1);
    assert_eq!(verified(&ledger, &heads).await.broken_at, Some(2));
}

#[tokio::test]
async fn old_entries_go_and_the_chain_holds() {
    let (ledger, shelf) = (FakeLedger::default(), Arc::default());
    let heads = signer(&shelf, Some(Duration::from_hours(24)));
    let old = i64::from(BATCH) + 20;
    append(&ledger, 1..=old).await;
    heads.sign(&ledger).await.unwrap();
    append(&ledger, [now(), 5, now()]).await;
    assert_eq!(heads.remove_old(&ledger).await.unwrap(), old as u64);
    assert_eq!(heads.remove_old(&ledger).await.unwrap(), 0);
    let found = verified(&ledger, &heads).await;
    assert_eq!((found.valid, found.first, found.last, found.sealed), (true, old + 1, old + 3, 3));
    let cuts: Vec<i64> = shelf.places().iter().filter(|(kind, _)| *kind == HeadKind::Cut).map(|one| one.1).collect();
    assert_eq!(cuts, [i64::from(BATCH), old]);
    append(&ledger, [now()]).await;
    assert_eq!(heads.sign(&ledger).await.unwrap(), 1, "though the head before it was removed");
    assert_eq!(verified(&ledger, &heads).await.signed, old + 4);

    // Somebody removes more.
    ledger.look(|state| drop(state.seals.remove(0)));
    let found = verified(&ledger, &heads).await;
    assert_eq!((found.broken_at, found.breach), (Some(old + 1), Some(Breach::Missing)));
}

#[tokio::test]
async fn the_last_entry_stays_and_the_next_one_follows_it() {
    let (ledger, shelf) = (FakeLedger::default(), Arc::default());
    let heads = signer(&shelf, Some(Duration::from_hours(1)));
    append(&ledger, 1..=3).await;
    assert_eq!(heads.remove_old(&ledger).await.unwrap(), 2);
    append(&ledger, [now()]).await;
    let found = verified(&ledger, &heads).await;
    assert_eq!((found.valid, found.first, found.last), (true, 3, 4));
}

#[tokio::test]
async fn evidence_is_not_removed() {
    let (ledger, shelf) = (FakeLedger::default(), Arc::default());
    let heads = signer(&shelf, Some(Duration::from_hours(1)));
    append(&ledger, 1..=8).await;
    ledger.look(|state| state.entries[4].body.push(b' '));
    assert_eq!(heads.remove_old(&ledger).await.unwrap(), 4, "what stands before it was looked at");
    assert_eq!(heads.remove_old(&ledger).await.unwrap(), 0);
    let found = verified(&ledger, &heads).await;
    assert_eq!((found.first, found.broken_at, found.breach), (5, Some(5), Some(Breach::Changed)));
}

#[tokio::test]
async fn a_cut_of_somebody_else_is_not_believed() {
    let (ledger, shelf) = (FakeLedger::default(), Arc::default());
    let heads = signer(&shelf, None);
    append(&ledger, 1..=6).await;
    let hash = ledger.look(|state| state.seals[2].hash);
    let other = HeadKey::from_seed(&[8; 32]).unwrap().sign(HeadKind::Cut, ("acme", 3), hash, 1).unwrap();
    ledger.look(|state| {
        state.seals.drain(..3);
        state.heads.push(other.clone());
    });
    let found = verified(&ledger, &heads).await;
    assert_eq!((found.broken_at, found.breach, found.unknown_heads), (Some(1), Some(Breach::Missing), 1));
    // Under the name of the gateway's key.
    let key = HeadKey::from_seed(&[7; 32]).unwrap().public();
    ledger.look(|state| state.heads = vec![AuditHead { key, ..other.clone() }]);
    assert_eq!(verified(&ledger, &heads).await.broken_at, Some(1));
    // With the true one the rest would hold.
    let signed = HeadKey::from_seed(&[7; 32]).unwrap().sign(HeadKind::Cut, ("acme", 3), hash, 1).unwrap();
    ledger.look(|state| state.heads = vec![signed]);
    assert!(verified(&ledger, &heads).await.valid);
}

#[tokio::test]
async fn a_forged_head_in_the_ledger_is_told() {
    let (ledger, shelf) = (FakeLedger::default(), Arc::default());
    let heads = signer(&shelf, None);
    append(&ledger, 1..=4).await;
    heads.sign(&ledger).await.unwrap();
    ledger.look(|state| state.heads[0].hash[0] ^= 1);
    let found = verified(&ledger, &signer(&Arc::default(), None)).await;
    assert_eq!((found.broken_at, found.breach), (Some(4), Some(Breach::Forged)));
}

#[tokio::test]
async fn heads_of_a_stranger_keep_none_from_being_signed() {
    let (ledger, shelf): (_, Arc<Shelf>) = (FakeLedger::default(), Arc::default());
    let heads = signer(&shelf, None);
    append(&ledger, 1..=3).await;
    // In every place to come.
    let stranger = HeadKey::from_seed(&[8; 32]).unwrap();
    let theirs = (1..=9).map(|seq| stranger.sign(HeadKind::Head, ("acme", seq), [0; 32], 1).unwrap());
    ledger.look(|state| state.heads.extend(theirs));
    assert_eq!(heads.sign(&ledger).await.unwrap(), 1);
    assert_eq!(heads.sign(&ledger).await.unwrap(), 0);
    append(&ledger, 4..=5).await;
    assert_eq!(heads.sign(&ledger).await.unwrap(), 1);
    assert_eq!(shelf.places(), [(HeadKind::Head, 3), (HeadKind::Head, 5)]);
    let found = verified(&ledger, &heads).await;
    assert_eq!((found.valid, found.signed, found.unknown_heads), (true, 5, 9));
    ledger.look(|state| drop(state.seals.pop()));
    assert_eq!(verified(&ledger, &heads).await.breach, Some(Breach::Truncated));
}

#[tokio::test]
async fn a_cut_that_could_not_be_filed_is_filed_with_the_next_heads() {
    let (ledger, shelf): (_, Arc<Shelf>) = (FakeLedger::default(), Arc::default());
    append(&ledger, 1..=3).await;
    shelf.is_full.store(true, Ordering::SeqCst);
    assert!(signer(&shelf, Some(Duration::from_hours(1))).remove_old(&ledger).await.is_err());
    shelf.is_full.store(false, Ordering::SeqCst);
    let next = signer(&shelf, None);
    next.sign(&ledger).await.unwrap();
    assert_eq!(shelf.places(), [(HeadKind::Head, 3), (HeadKind::Cut, 2)]);
    next.sign(&ledger).await.unwrap();
    assert_eq!(shelf.places().len(), 2, "once");
    // The ledger's is removed: the one on the shelf is as good.
    ledger.look(|state| state.heads.clear());
    let again = signer(&shelf, None);
    let found = verified(&ledger, &again).await;
    assert_eq!((found.valid, found.first, found.signed), (true, 3, 3));
}

#[tokio::test]
async fn a_trigger_that_is_gone_is_noticed() {
    let ledger = FakeLedger::default();
    let heads = signer(&Arc::default(), None);
    let mut seen = Vec::new();
    for lost in [vec![], vec!["audit_seals_no_delete".to_owned()], vec![]] {
        ledger.look(|state| state.lost_guards.clone_from(&lost));
        heads.look_at_guards(&ledger).await.unwrap();
        seen.push(held(&heads.lost_guards).len());
    }
    assert_eq!(seen, [0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_walk_waits_for_its_turn() {
    let (ledger, shelf) = (FakeLedger::default(), Arc::default());
    let heads = signer(&shelf, None);
    append(&ledger, 1..=3).await;
    let others = heads.walks.acquire_many(u32::try_from(WALKS).unwrap()).await.unwrap();
    let second = Duration::from_secs(1);
    assert!(tokio::time::timeout(second, heads.verify(&ledger, "acme")).await.is_err());
    drop(others);
    assert!(heads.verify(&ledger, "acme").await.unwrap().valid);
}
