//! When API keys were first seen and last used, and which of their ends were told.

use causeway_core::ports::Reach;
use causeway_core::records::KeyUse;

use super::{Subject, T0, at_once, write};

async fn meet(ledger: &Subject, tenant: &'static str, key: &'static str, digest: [u8; 32], now: i64) {
    write!(ledger, [], |tx| tx.meet_key(tenant, key, &digest, now).await).unwrap();
}

async fn uses(ledger: &Subject, tenant: &str) -> Vec<KeyUse> {
    ledger.read(Reach::Gateway).await.unwrap().key_uses(tenant).await.unwrap()
}

pub async fn keys_are_met_once_and_their_use_goes_forward(ledger: Subject) {
    meet(&ledger, "acme", "b", [2; 32], T0).await;
    meet(&ledger, "acme", "a", [1; 32], T0 + 1).await;
    meet(&ledger, "acme", "a", [3; 32], T0 + 2).await;
    meet(&ledger, "other", "a", [1; 32], T0 + 3).await;
    meet(&ledger, "acme", "b", [2; 32], T0 + 4).await;
    let known = |key: &str, digest, first_seen, last_used| KeyUse { key: key.into(), digest, first_seen, last_used };
    let (a, newer, b) = ([1; 32], [3; 32], [2; 32]);
    assert_eq!(
        uses(&ledger, "acme").await,
        [known("a", a, T0 + 1, None), known("a", newer, T0 + 2, None), known("b", b, T0, None)],
        "the first one to see a key is right"
    );
    let note = async |key: &'static str, digest: [u8; 32], at| {
        write!(ledger, [], |tx| tx.note_key_use("acme", key, &digest, at).await).unwrap();
    };
    note("a", a, T0 + 10).await;
    note("a", a, T0 + 9).await;
    note("b", b, T0 + 11).await;
    note("nobody", a, T0 + 12).await;
    assert_eq!(
        uses(&ledger, "acme").await,
        [known("a", a, T0 + 1, Some(T0 + 10)), known("a", newer, T0 + 2, None), known("b", b, T0, Some(T0 + 11))]
    );
    assert_eq!(uses(&ledger, "other").await, [known("a", a, T0 + 3, None)], "another tenant's are its own");
}

pub async fn an_end_is_told_once(ledger: Subject) {
    let tell = |key: &'static str, digest: [u8; 32], ends_at: i64| {
        let ledger = ledger.clone();
        async move { write!(ledger, [], |tx| tx.warn_of_key("acme", key, &digest, ends_at, T0).await).unwrap() }
    };
    assert!(tell("a", [1; 32], T0).await);
    assert!(!tell("a", [1; 32], T0).await, "once");
    assert!(tell("a", [1; 32], T0 + 1).await, "another end is another one");
    assert!(tell("a", [2; 32], T0).await, "and so is another key under the same id");
    assert!(tell("b", [1; 32], T0).await);
    for round in 0..20 {
        let all = at_once(&ledger, |_| tell("race", [9; 32], T0 + round)).await;
        let told = all.into_iter().filter(|told| *told).count();
        assert_eq!(told, 1, "round {round}");
    }
}
