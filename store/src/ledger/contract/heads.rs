//! Signed heads of the trail, cuts, and what they let go.

use causeway_core::audit::{GENESIS, HeadKey, Trust, link, verify_chain};
use causeway_core::events::{Facts, Operation};
use causeway_core::ports::Reach;
use causeway_core::records::{AuditHead, AuditRecord, HeadKind, Seal};

use super::{Subject, T0, write};

/// A statement about a chain, signed by the key of these tests.
pub(in crate::ledger) fn head(kind: HeadKind, chain: &str, seq: i64, hash: [u8; 32]) -> AuditHead {
    HeadKey::from_seed(&[7; 32]).unwrap().sign(kind, (chain, seq), hash, T0 + seq).unwrap()
}

/// Appends entries as the gateway makes them, and seals them. The hashes, from `GENESIS` on.
pub(in crate::ledger) async fn sealed(ledger: &Subject, chain: &str, length: i64) -> Vec<[u8; 32]> {
    let mut hashes = vec![GENESIS];
    for seq in 1..=length {
        let mut facts = Facts::of_gateway_in(&chain.into(), "gw-1", Operation::Upload);
        facts.path = Some(format!("/in/{seq}"));
        let record: AuditRecord = facts.audit();
        let hash = link(&hashes[hashes.len() - 1], &record.body);
        hashes.push(hash);
        let seals = vec![Seal { chain: chain.into(), seq, entry: record.id, hash }];
        write!(ledger, [record, seals], |tx| {
            tx.append_audit(&record).await?;
            tx.insert_seals(&seals).await
        })
        .unwrap();
    }
    hashes
}

async fn put(ledger: &Subject, head: &AuditHead) {
    write!(ledger, [head], |tx| tx.insert_audit_head(&head).await).unwrap();
}

pub async fn audit_heads_are_kept(ledger: Subject) {
    let (first, second) = (head(HeadKind::Head, "acme", 3, [3; 32]), head(HeadKind::Head, "acme", 9, [9; 32]));
    let (cut, other) = (head(HeadKind::Cut, "acme", 3, [3; 32]), head(HeadKind::Head, "", 5, [5; 32]));
    for one in [&second, &first, &cut, &other] {
        put(&ledger, one).await;
    }
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.audit_heads("acme", 0, 10).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(query.audit_heads("acme", 3, 10).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(query.audit_heads("acme", 0, 1).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(query.audit_heads("", 0, 10).await.unwrap(), [other]);
    assert_eq!(query.audit_cuts("acme").await.unwrap(), std::slice::from_ref(&cut));
    assert!(query.audit_cuts("").await.unwrap().is_empty());
    assert!(query.audit_heads("acme", 0, 10).await.unwrap().iter().all(AuditHead::is_signed), "byte by byte");
    for twice in [first, cut] {
        let twice = AuditHead { hash: [1; 32], ..twice };
        assert!(write!(ledger, [twice], |tx| tx.insert_audit_head(&twice).await).is_err(), "one in a place");
    }
}

pub async fn a_cut_lets_go_what_it_covers(ledger: Subject) {
    let hashes = sealed(&ledger, "acme", 6).await;
    sealed(&ledger, "other", 2).await;
    for seq in [2usize, 4, 6] {
        put(&ledger, &head(HeadKind::Head, "acme", seq as i64, hashes[seq])).await;
    }
    assert!(write!(ledger, [], |tx| tx.cut_audit("acme", 4).await).is_err(), "no cut is stored");
    put(&ledger, &head(HeadKind::Cut, "acme", 2, hashes[2])).await;
    assert!(write!(ledger, [], |tx| tx.cut_audit("acme", 4).await).is_err(), "it covers two alone");
    assert_eq!(write!(ledger, [], |tx| tx.cut_audit("acme", 2).await).unwrap(), 2);
    let cut = head(HeadKind::Cut, "acme", 4, hashes[4]);
    put(&ledger, &cut).await;
    assert_eq!(write!(ledger, [], |tx| tx.cut_audit("acme", 4).await).unwrap(), 2);
    assert_eq!(write!(ledger, [], |tx| tx.cut_audit("acme", 4).await).unwrap(), 0);

    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let left = query.seals("acme", 0, 10).await.unwrap();
    assert_eq!(
        left.iter().map(|(seal, entry)| (seal.seq, entry.is_some())).collect::<Vec<_>>(),
        [(5, true), (6, true)]
    );
    let heads = query.audit_heads("acme", 0, 10).await.unwrap();
    assert_eq!(heads.iter().map(|head| head.seq).collect::<Vec<_>>(), [4, 6], "what was signed before it went, too");
    assert_eq!(query.audit_cuts("acme").await.unwrap(), [cut]);
    assert_eq!(query.unsealed_counts("acme").await.unwrap(), (0, 0));
    assert_eq!(query.seals("other", 0, 10).await.unwrap().len(), 2);
    drop(query);

    let trust = Trust { keys: vec![head(HeadKind::Head, "", 1, [0; 32]).key], kept: Vec::new() };
    let found = verify_chain(ledger.as_ref(), "acme", &trust).await.unwrap();
    assert_eq!((found.valid, found.first, found.last, found.signed), (true, 5, 6, 6));
    let found = verify_chain(ledger.as_ref(), "acme", &Trust::default()).await.unwrap();
    assert_eq!(found.broken_at, Some(1), "a cut that nobody believes");
}

pub async fn the_guards_of_the_trail_are_there(ledger: Subject) {
    assert!(ledger.read(Reach::Gateway).await.unwrap().lost_guards().await.unwrap().is_empty());
}

pub async fn sinks_have_their_places(ledger: Subject) {
    for (sink, chain, seq) in [("a", "acme", 3), ("b", "acme", 4), ("a", "", 5), ("a", "acme", 9)] {
        write!(ledger, [], |tx| tx.put_sink_place(sink, chain, seq).await).unwrap();
    }
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let mut places = query.sink_places("a").await.unwrap();
    places.sort();
    assert_eq!(places, [(String::new(), 5), ("acme".to_owned(), 9)]);
    assert_eq!(query.sink_places("b").await.unwrap(), [("acme".to_owned(), 4)]);
    assert!(query.sink_places("c").await.unwrap().is_empty());
}
