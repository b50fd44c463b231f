//! OAuth 2.0: sign-ins, grants with their codes, and refresh tokens. Each counts once.

use causeway_core::ports::Reach;
use causeway_core::records::{AuthorizationRequest, Grant, RefreshToken, SignIn};
use uuid::Uuid;

use super::{Subject, T0, at_once, write};

pub(in crate::ledger) fn sign_in(hash: u8) -> SignIn {
    SignIn {
        hash: [hash; 32],
        tenant: "acme".into(),
        identity: "app".into(),
        login: "a".into(),
        factors: 12,
        complete: true,
        mark: [3; 32],
        request: AuthorizationRequest {
            client: "portal".into(),
            redirect_uri: "https://portal.example/callback".into(),
            redirect_named: true,
            scope: Some("files:read".into()),
            state: Some("\"x\" \\ ' %".into()),
            challenge: "c".repeat(43),
        },
        created_at: T0,
        expires_at: T0 + 1000,
    }
}

pub(in crate::ledger) fn grant(code: u8) -> Grant {
    Grant {
        id: Uuid::now_v7(),
        tenant: "acme".into(),
        client: "portal".into(),
        identity: "app".into(),
        login: "a".into(),
        factors: 4,
        mark: [5; 32],
        scopes: "files:read files:write".into(),
        redirect_uri: "https://portal.example/callback".into(),
        redirect_named: false,
        challenge: "c".repeat(43),
        code_hash: [code; 32],
        code_expires_at: T0 + 60,
        code_spent_at: None,
        created_at: T0,
        ends_at: T0 + 10_000,
        revoked_at: None,
    }
}

pub(in crate::ledger) fn token(hash: u8, grant: Uuid) -> RefreshToken {
    RefreshToken {
        hash: [hash; 32],
        tenant: "acme".into(),
        grant,
        created_at: T0,
        expires_at: T0 + 500,
        spent_at: None,
    }
}

async fn add(ledger: &Subject, grant: &Grant) {
    write!(ledger, [grant], |tx| tx.insert_grant(&grant).await).unwrap();
}

async fn spend_code(ledger: &Subject, tenant: &'static str, code: u8, now: i64) -> bool {
    write!(ledger, [], |tx| tx.spend_authorization_code(tenant, &[code; 32], now).await).unwrap()
}

async fn spend_token(ledger: &Subject, tenant: &'static str, token: u8, now: i64) -> bool {
    write!(ledger, [], |tx| tx.spend_refresh_token(tenant, &[token; 32], now).await).unwrap()
}

async fn end(ledger: &Subject, tenant: &'static str, id: Uuid, now: i64) -> bool {
    write!(ledger, [], |tx| tx.end_grant(tenant, id, now).await).unwrap()
}

pub async fn sign_ins_are_taken_once(ledger: Subject) {
    let mut row = sign_in(1);
    write!(ledger, [row], |tx| tx.insert_sign_in(&row).await).unwrap();
    row = SignIn {
        hash: [2; 32],
        complete: false,
        request: AuthorizationRequest { scope: None, state: None, ..row.request },
        ..row
    };
    write!(ledger, [row], |tx| tx.insert_sign_in(&row).await).unwrap();
    let find = async |hash: u8| ledger.read(Reach::Gateway).await.unwrap().sign_in(&[hash; 32]).await.unwrap();
    assert_eq!(find(1).await, Some(sign_in(1)), "every field");
    assert_eq!(find(2).await, Some(row));
    let take = async |hash: u8, now| write!(ledger, [], |tx| tx.take_sign_in(&[hash; 32], now).await).unwrap();
    assert!(!take(1, T0 + 1000).await, "lapsed");
    assert!(take(1, T0 + 999).await);
    assert!(!take(1, T0 + 999).await, "once");
    assert_eq!(find(1).await, None);
    let purge = async |before| write!(ledger, [], |tx| tx.purge_grants(before).await).unwrap();
    assert_eq!(purge(T0 + 1000).await, 0, "before means before");
    assert_eq!(purge(T0 + 1001).await, 1);
    assert_eq!(find(2).await, None);
}

pub async fn authorization_codes_are_spent_once(ledger: Subject) {
    let one = grant(1);
    add(&ledger, &one).await;
    let found = async |tenant, code: u8| {
        ledger.read(Reach::Gateway).await.unwrap().grant_of_code(tenant, &[code; 32]).await.unwrap()
    };
    assert_eq!(found("acme", 1).await, Some(one.clone()), "every field");
    assert_eq!(found("other", 1).await, None, "of its own tenant alone");
    assert!(!spend_code(&ledger, "other", 1, T0 + 1).await);
    assert!(!spend_code(&ledger, "acme", 1, T0 + 60).await, "lapsed");
    assert!(spend_code(&ledger, "acme", 1, T0 + 59).await);
    assert!(!spend_code(&ledger, "acme", 1, T0 + 59).await, "once");
    let spent = Grant { code_spent_at: Some(T0 + 59), ..one };
    assert_eq!(found("acme", 1).await, Some(spent.clone()));
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().grant("acme", spent.id).await.unwrap(), Some(spent.clone()));
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().grant("other", spent.id).await.unwrap(), None);
    let over = grant(2);
    add(&ledger, &over).await;
    assert!(end(&ledger, "acme", over.id, T0 + 1).await);
    assert!(!spend_code(&ledger, "acme", 2, T0 + 2).await, "of a grant that is over");
    assert_eq!(found("acme", 2).await.unwrap().revoked_at, Some(T0 + 1));
}

pub async fn refresh_tokens_are_spent_once(ledger: Subject) {
    let (one, other) = (grant(1), grant(2));
    for (grant, hash) in [(&one, 1), (&other, 2)] {
        add(&ledger, grant).await;
        let row = token(hash, grant.id);
        write!(ledger, [row], |tx| tx.insert_refresh_token(&row).await).unwrap();
    }
    let found = async |tenant, hash: u8| {
        ledger.read(Reach::Gateway).await.unwrap().refresh_token(tenant, &[hash; 32]).await.unwrap()
    };
    assert_eq!(found("acme", 1).await, Some(token(1, one.id)), "every field");
    assert_eq!(found("other", 1).await, None);
    assert!(!spend_token(&ledger, "other", 1, T0 + 1).await);
    assert!(!spend_token(&ledger, "acme", 1, T0 + 500).await, "lapsed");
    assert!(spend_token(&ledger, "acme", 1, T0 + 499).await);
    assert!(!spend_token(&ledger, "acme", 1, T0 + 499).await, "once");
    assert_eq!(found("acme", 1).await.unwrap().spent_at, Some(T0 + 499));
    assert!(end(&ledger, "acme", other.id, T0 + 1).await);
    assert!(!spend_token(&ledger, "acme", 2, T0 + 2).await, "of a grant that is over");
    assert_eq!(found("acme", 2).await.unwrap().spent_at, None);
}

pub async fn grants_end_once(ledger: Subject) {
    let one = grant(1);
    add(&ledger, &one).await;
    assert!(!end(&ledger, "other", one.id, T0 + 1).await);
    assert!(end(&ledger, "acme", one.id, T0 + 1).await);
    assert!(!end(&ledger, "acme", one.id, T0 + 2).await);
    assert!(!end(&ledger, "acme", Uuid::now_v7(), T0 + 2).await);
}

pub async fn grants_are_listed_and_purged(ledger: Subject) {
    let grants = [1, 2, 3, 4, 5].map(grant);
    for (n, grant) in grants.iter().enumerate() {
        add(&ledger, grant).await;
        let row = token(n as u8 + 1, grant.id);
        write!(ledger, [row], |tx| tx.insert_refresh_token(&row).await).unwrap();
    }
    for code in [1, 2, 3] {
        assert!(spend_code(&ledger, "acme", code, T0 + 1).await);
    }
    assert!(end(&ledger, "acme", grants[1].id, T0 + 2).await);
    let live = async |after, now, limit| {
        let rows = ledger.read(Reach::Gateway).await.unwrap().live_grants(after, now, limit).await.unwrap();
        rows.into_iter().map(|grant| grant.id).collect::<Vec<_>>()
    };
    assert_eq!(live(Uuid::nil(), T0 + 3, 10).await, [grants[0].id, grants[2].id], "exchanged and not over");
    assert_eq!(live(Uuid::nil(), T0 + 3, 1).await, [grants[0].id]);
    assert_eq!(live(grants[0].id, T0 + 3, 10).await, [grants[2].id]);
    assert!(live(Uuid::nil(), T0 + 10_000, 10).await.is_empty(), "ended by themselves");
    let purge = async |before| write!(ledger, [], |tx| tx.purge_grants(before).await).unwrap();
    assert_eq!(purge(T0 + 2).await, 0);
    // The one that was ended, with its token.
    assert_eq!(purge(T0 + 3).await, 2);
    // Those whose codes nobody came for.
    assert_eq!(purge(T0 + 61).await, 4);
    assert_eq!(purge(T0 + 10_000).await, 0);
    assert_eq!(purge(T0 + 10_001).await, 4);
    for hash in 1..=5 {
        assert_eq!(ledger.read(Reach::Gateway).await.unwrap().refresh_token("acme", &[hash; 32]).await.unwrap(), None);
    }
}

pub async fn one_of_many_spends(ledger: Subject) {
    for round in 0..10_u8 {
        let one = grant(round);
        add(&ledger, &one).await;
        let (row, step) = (token(round, one.id), SignIn { hash: [round; 32], ..sign_in(0) });
        write!(ledger, [row, step], |tx| {
            tx.insert_sign_in(&step).await?;
            tx.insert_refresh_token(&row).await
        })
        .unwrap();
        let all = at_once(&ledger, |ledger| async move {
            let taken = write!(ledger, [], |tx| tx.take_sign_in(&[round; 32], T0 + 1).await).unwrap();
            let code = spend_code(&ledger, "acme", round, T0 + 1).await;
            let token = spend_token(&ledger, "acme", round, T0 + 1).await;
            [taken, code, token].map(usize::from)
        })
        .await;
        let won = all.into_iter().fold([0; 3], |sum, one| [0, 1, 2].map(|n| sum[n] + one[n]));
        assert_eq!(won, [1, 1, 1], "round {round}");
    }
}
