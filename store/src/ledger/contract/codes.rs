//! Time-based codes that logins have used.

use super::{Subject, T0, at_once, write};

async fn take(ledger: &Subject, tenant: &'static str, login: &'static str, step: i64, now: i64) -> bool {
    write!(ledger, [], |tx| tx.use_code(tenant, login, step, now).await).unwrap()
}

pub async fn codes_count_once(ledger: Subject) {
    assert!(take(&ledger, "acme", "a", 1_000, T0).await);
    assert!(!take(&ledger, "acme", "a", 1_000, T0 + 1).await, "once");
    assert!(!take(&ledger, "acme", "a", 999, T0 + 1).await, "no older one after it");
    assert!(take(&ledger, "acme", "a", 1_001, T0 + 2).await);
    assert!(take(&ledger, "acme", "b", 1_000, T0 + 2).await, "another login has its own");
    assert!(take(&ledger, "other", "a", 1_000, T0 + 2).await, "and so has the same name in another tenant");
    let purge = async |before| write!(ledger, [], |tx| tx.purge_codes(before).await).unwrap();
    assert_eq!(purge(T0).await, 0, "before means before");
    assert_eq!(purge(T0 + 2).await, 1);
    assert!(!take(&ledger, "acme", "a", 1_000, T0 + 3).await, "the later one still stands");
    assert_eq!(purge(T0 + 3).await, 3);
    assert!(take(&ledger, "acme", "a", 1_000, T0 + 4).await, "nothing is left of any of them");
}

pub async fn one_of_two_uses_a_code(ledger: Subject) {
    for step in 0..20 {
        let all = at_once(&ledger, |ledger| async move { take(&ledger, "acme", "a", step, T0).await }).await;
        let used = all.into_iter().filter(|used| *used).count();
        assert_eq!(used, 1, "step {step}");
    }
}
