//! Signatures of requests that were used.

use super::{Subject, T0, at_once, write};

async fn take(ledger: &Subject, tenant: &'static str, key: &'static str, digest: u8, lapses: i64) -> bool {
    write!(ledger, [], |tx| tx.use_signature((tenant, key), &[digest; 32], lapses).await).unwrap()
}

pub async fn signatures_count_once(ledger: Subject) {
    assert!(take(&ledger, "acme", "a", 1, T0).await);
    assert!(!take(&ledger, "acme", "a", 1, T0 + 1).await, "once, whatever else is said of it");
    assert!(take(&ledger, "acme", "a", 2, T0 + 2).await);
    assert!(take(&ledger, "acme", "b", 1, T0 + 2).await, "another key has its own");
    assert!(take(&ledger, "other", "a", 1, T0 + 2).await, "and so has the same name in another tenant");
    let purge = async |before| write!(ledger, [], |tx| tx.purge_signatures(before).await).unwrap();
    assert_eq!(purge(T0).await, 0, "before means before");
    assert_eq!(purge(T0 + 1).await, 1, "its moment is the one that came with it first");
    assert!(!take(&ledger, "acme", "a", 2, T0 + 3).await);
    assert_eq!(purge(T0 + 3).await, 3);
    assert!(take(&ledger, "acme", "a", 2, T0 + 3).await, "nothing is left of any of them");
}

pub async fn one_of_two_uses_a_signature(ledger: Subject) {
    for digest in 0..20 {
        let all = at_once(&ledger, |ledger| async move { take(&ledger, "acme", "a", digest, T0).await }).await;
        let used = all.into_iter().filter(|used| *used).count();
        assert_eq!(used, 1, "digest {digest}");
    }
}
