//! What tokens are signed and verified by, and which are revoked.

use causeway_core::ports::{Lock, Reach, Tx};
use causeway_core::records::{IssuerKeys, RevokedGrant, SigningKeyRow};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::{Subject, T0, at_once, write};

pub(in crate::ledger) fn signing_key(kid: &str, signs_from: i64) -> SigningKeyRow {
    SigningKeyRow {
        kid: kid.into(),
        algorithm: "EdDSA".into(),
        public: vec![7; 32],
        private: vec![0, 1, 255].into(),
        sealed: true,
        created_at: signs_from - 5,
        signs_from,
        retired_at: None,
    }
}

async fn insert(ledger: &Subject, row: &SigningKeyRow) -> causeway_core::Result<()> {
    write!(ledger, [row], |tx| tx.insert_signing_key(&row).await)
}

async fn retired(ledger: &Subject) -> Vec<(String, Option<i64>)> {
    let rows = ledger.read(Reach::Gateway).await.unwrap().signing_keys().await.unwrap();
    rows.into_iter().map(|row| (row.kid, row.retired_at)).collect()
}

pub async fn signing_keys_follow_each_other(ledger: Subject) {
    assert!(ledger.read(Reach::Gateway).await.unwrap().signing_keys().await.unwrap().is_empty());
    let (one, two) = (
        signing_key("one", T0),
        SigningKeyRow { sealed: false, retired_at: Some(T0 + 50), ..signing_key("two", T0 + 10) },
    );
    // The older one second: they are told by age.
    insert(&ledger, &two).await.unwrap();
    insert(&ledger, &one).await.unwrap();
    let found = ledger.read(Reach::Gateway).await.unwrap().signing_keys().await.unwrap();
    let parts = |row: &SigningKeyRow| {
        let SigningKeyRow { kid, algorithm, public, private, sealed, created_at, signs_from, retired_at } = row.clone();
        let private = private.expose_secret().to_vec();
        (kid, algorithm, public, private, sealed, (created_at, signs_from, retired_at))
    };
    assert_eq!(found.iter().map(parts).collect::<Vec<_>>(), [parts(&one), parts(&two)]);
    assert!(insert(&ledger, &one).await.is_err(), "an id stands for one key");
    insert(&ledger, &signing_key("three", T0 + 30)).await.unwrap();
    let changed = write!(ledger, [], |tx| tx.retire_signing_keys(T0 + 20, T0 + 90).await).unwrap();
    assert_eq!(changed, 1);
    let (one, two, three) = (Some(T0 + 90), Some(T0 + 50), None);
    assert_eq!(retired(&ledger).await, [("one".into(), one), ("two".into(), two), ("three".into(), three)]);
    let purge = async |now| write!(ledger, [], |tx| tx.purge_tokens(now).await).unwrap();
    assert_eq!(purge(T0 + 49).await, 0);
    assert_eq!(purge(T0 + 50).await, 1);
    assert_eq!(retired(&ledger).await, [("one".into(), one), ("three".into(), three)]);
}

pub async fn one_node_makes_the_first_key(ledger: Subject) {
    async fn make(tx: &mut dyn Tx, kid: &str) -> causeway_core::Result<bool> {
        tx.lock(&[Lock::Other("signing_keys".into())]).await?;
        if !tx.signing_keys().await?.is_empty() {
            return Ok(false);
        }
        tx.insert_signing_key(&signing_key(kid, T0)).await.map(|()| true)
    }
    let all = at_once(&ledger, |ledger| async move {
        let kid = format!("node {}", Uuid::now_v7());
        write!(ledger, [kid], |tx| make(tx, &kid).await).unwrap()
    })
    .await;
    assert_eq!(all.into_iter().filter(|made| *made).count(), 1);
    assert_eq!(retired(&ledger).await.len(), 1);
}

pub async fn revocations_are_read_since(ledger: Subject) {
    let [one, two, three] = [(); 3].map(|()| Uuid::now_v7());
    let revoke = async |grant: Uuid, until: i64, now: i64| {
        write!(ledger, [grant], |tx| tx.revoke_grant(grant, until, now).await).unwrap();
    };
    let read = async |since, now| {
        let mut found = ledger.read(Reach::Gateway).await.unwrap().revoked_grants(since, now).await.unwrap();
        found.sort_by_key(|row| row.grant);
        found
    };
    let row = |grant, until, revoked_at| RevokedGrant { grant, until, revoked_at };
    assert!(read(0, 0).await.is_empty());
    revoke(one, T0 + 100, T0).await;
    revoke(two, T0 + 200, T0 + 10).await;
    revoke(three, T0 + 5, T0 + 10).await;
    assert_eq!(read(0, T0 + 5).await, [row(one, T0 + 100, T0), row(two, T0 + 200, T0 + 10)]);
    assert_eq!(read(T0 + 10, T0 + 5).await, [row(two, T0 + 200, T0 + 10)]);
    assert_eq!(read(T0 + 10, T0 + 4).await.len(), 2);
    // Again: only a later end says more.
    revoke(one, T0 + 50, T0 + 20).await;
    revoke(two, T0 + 300, T0 + 20).await;
    assert_eq!(read(0, T0 + 5).await, [row(one, T0 + 100, T0), row(two, T0 + 300, T0 + 20)]);
    let purge = async |now| write!(ledger, [], |tx| tx.purge_tokens(now).await).unwrap();
    assert_eq!(purge(T0 + 100).await, 2);
    assert_eq!(read(0, 0).await, [row(two, T0 + 300, T0 + 20)]);
}

pub async fn issuer_keys_are_kept(ledger: Subject) {
    let keys =
        |issuer: &str, keys: &str, fetched_at| IssuerKeys { issuer: issuer.into(), keys: keys.into(), fetched_at };
    let put = async |row: &IssuerKeys| write!(ledger, [row], |tx| tx.put_issuer_keys(&row).await).unwrap();
    let read = async |issuer: &str| ledger.read(Reach::Gateway).await.unwrap().issuer_keys(issuer).await.unwrap();
    let (first, later) = (keys("https://a.example", "{\"keys\":[]}", T0), keys("https://a.example", "{}", T0 + 1));
    assert_eq!(read("https://a.example").await, None);
    put(&later).await;
    put(&first).await;
    assert_eq!(read("https://a.example").await, Some(later), "an older set does not come back");
    assert_eq!(read("https://a.example/").await, None);
}
