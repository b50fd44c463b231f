//! Uploads and usage.

use causeway_core::ErrorKind;
use causeway_core::ports::Reach;
use causeway_core::records::{Attributes, Segment, UploadConditions, UploadPlan, UploadRow, UploadState};
use uuid::Uuid;

use super::{Subject, T0, blob, upload, write};

async fn begin(ledger: &Subject, row: &UploadRow) {
    write!(ledger, [row], |tx| tx.insert_upload(&row).await).unwrap();
}

async fn change(ledger: &Subject, row: &UploadRow, states: &[UploadState], generation: i64) -> bool {
    let states = states.to_vec();
    write!(ledger, [row, states], |tx| tx.update_upload(&row, &states, generation).await).unwrap()
}

fn ids(rows: Vec<UploadRow>) -> Vec<Uuid> {
    rows.into_iter().map(|row| row.id).collect()
}

pub async fn uploads_keep_every_field(ledger: Subject) {
    let row = UploadRow {
        exclusive: true,
        base_version: Some(Uuid::now_v7()),
        compare_base: true,
        size: i64::MAX as u64,
        prefix: 1,
        reserved: 2,
        segments: vec![
            Segment { start: 0, len: 3, blob: Some(blob()), offset: 9 },
            Segment { start: 3, len: 4, blob: None, offset: 0 },
        ],
        hash_state: Some(vec![0, 255, 7]),
        hashed: 3,
        attributes: Attributes { mode: Some(0o644), modified_at: Some(-1), ..Attributes::default() },
        ..upload(Uuid::now_v7(), "é")
    };
    begin(&ledger, &row).await;
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.upload(row.id).await.unwrap(), Some(row.clone()));
    assert_eq!(query.upload(Uuid::now_v7()).await.unwrap(), None);
    let planned = UploadPlan {
        size: Some(i64::MAX as u64),
        chunk_size: 8,
        sha256: Some("ab".repeat(32)),
        overwrite: true,
        content_type: Some("text/csv; charset=\"ü\"".into()),
        metadata: Some("filename YQ==".into()),
        conditions: UploadConditions { absent: true, present: false, digests: Some(vec!["cd".repeat(32)]) },
    };
    let planned = UploadRow { plan: Some(planned), ..row.clone() };
    assert!(change(&ledger, &planned, &[UploadState::Open], 1).await);
    assert_eq!(query.upload(row.id).await.unwrap(), Some(planned));
    let bare = UploadPlan {
        size: None,
        chunk_size: 1,
        sha256: None,
        overwrite: false,
        content_type: None,
        metadata: None,
        conditions: UploadConditions::default(),
    };
    let bare = UploadRow { id: Uuid::now_v7(), plan: Some(bare), ..row.clone() };
    let bare = UploadRow { name: "bare".into(), ..bare };
    begin(&ledger, &bare).await;
    assert_eq!(query.upload(bare.id).await.unwrap(), Some(bare.clone()));
    let other = UploadRow { id: row.id, generation: 9, ..upload(Uuid::now_v7(), "b") };
    assert!(change(&ledger, &other, &[UploadState::Open], 1).await);
    assert_eq!(query.upload(row.id).await.unwrap(), Some(other));
    // Beyond 2^63-1 there is no size.
    let huge = UploadRow { size: u64::MAX, ..upload(Uuid::now_v7(), "c") };
    assert!(write!(ledger, [huge], |tx| tx.insert_upload(&huge).await).is_err());
}

pub async fn upload_updates_are_conditional(ledger: Subject) {
    use UploadState::{Committed, Detached, Discarded, Open, Sealed};
    let row = upload(Uuid::now_v7(), "a");
    begin(&ledger, &row).await;
    let sealed = UploadRow { state: Sealed, ..row.clone() };
    assert!(!change(&ledger, &sealed, &[Open], 2).await, "another generation");
    assert!(!change(&ledger, &sealed, &[Detached, Sealed, Committed, Discarded], 1).await, "another state");
    assert!(!change(&ledger, &sealed, &[], 1).await, "no state");
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().upload(row.id).await.unwrap(), Some(row.clone()));
    assert!(change(&ledger, &sealed, &[Detached, Open], 1).await);
    assert!(!change(&ledger, &sealed, &[Detached, Open], 1).await);
    let absent = upload(row.parent, "b");
    assert!(!change(&ledger, &absent, &[Open], 1).await);
}

pub async fn exclusive_uploads_reserve(ledger: Subject) {
    let parent = Uuid::now_v7();
    let first = UploadRow { exclusive: true, ..upload(parent, "a") };
    begin(&ledger, &first).await;
    // Others that do not ask for the name may be under way.
    begin(&ledger, &upload(parent, "a")).await;
    let second = UploadRow { exclusive: true, ..upload(parent, "a") };
    let error = write!(ledger, [second], |tx| tx.insert_upload(&second).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.message().contains("reserved"), "{error}");
    begin(&ledger, &UploadRow { exclusive: true, ..upload(parent, "b") }).await;
    // A detached one reserves nothing, and cannot come back over another reservation.
    let detached = UploadRow { state: UploadState::Detached, ..first.clone() };
    assert!(change(&ledger, &detached, &[UploadState::Open], 1).await);
    begin(&ledger, &second).await;
    let error = write!(ledger, [first], |tx| tx.update_upload(&first, &[UploadState::Detached], 1).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let ended = UploadRow { state: UploadState::Committed, ..second.clone() };
    assert!(change(&ledger, &ended, &[UploadState::Open], 1).await);
    assert!(change(&ledger, &first, &[UploadState::Detached], 1).await);
}

pub async fn lists_live_uploads(ledger: Subject) {
    use UploadState::{Committed, Detached, Discarded, Open, Sealed};
    let (parent, holder) = (Uuid::now_v7(), Uuid::now_v7());
    let row = |state, name: &str, identity: &str, at| UploadRow {
        state,
        identity: identity.into(),
        incarnation: holder,
        updated_at: at,
        ..upload(parent, name)
    };
    let open = row(Open, "a", "i", T0);
    let detached = row(Detached, "a", "i", T0 + 5);
    let sealed = row(Sealed, "a", "j", T0 + 5);
    let other = row(Open, "b", "i", T0 + 9);
    let elsewhere = UploadRow { parent: Uuid::now_v7(), incarnation: Uuid::now_v7(), ..row(Open, "a", "i", T0 + 7) };
    for one in
        [&open, &detached, &sealed, &other, &elsewhere, &row(Committed, "a", "i", T0), &row(Discarded, "a", "i", T0)]
    {
        begin(&ledger, one).await;
    }
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(ids(query.uploads_named(parent, "a").await.unwrap()), [sealed.id, detached.id, open.id]);
    let within = query.uploads_within(parent, "acme", "i").await.unwrap();
    assert_eq!(ids(within), [detached.id, open.id, other.id]);
    assert!(query.uploads_within(parent, "other", "i").await.unwrap().is_empty());
    let of = query.uploads_of("acme", "i").await.unwrap();
    assert_eq!(ids(of), [other.id, elsewhere.id, detached.id, open.id]);
    assert_eq!(query.uploads_held_by(holder, 100).await.unwrap().len(), 4);
    assert_eq!(query.uploads_held_by(holder, 3).await.unwrap().len(), 3);
}

pub async fn uploads_expire_and_are_purged(ledger: Subject) {
    let parent = Uuid::now_v7();
    let row = |state, name: &str, at| UploadRow { state, updated_at: at, expires_at: at, ..upload(parent, name) };
    let old = row(UploadState::Detached, "a", T0);
    let all = [
        old.clone(),
        row(UploadState::Detached, "b", T0 + 10),
        row(UploadState::Open, "c", T0),
        row(UploadState::Committed, "d", T0),
        row(UploadState::Discarded, "e", T0),
        row(UploadState::Committed, "f", T0 + 10),
    ];
    for one in &all {
        begin(&ledger, one).await;
    }
    assert_eq!(ids(ledger.read(Reach::Gateway).await.unwrap().expired_uploads(T0 + 10, 9).await.unwrap()), [old.id]);
    assert_eq!(write!(ledger, [], |tx| tx.purge_uploads(T0 + 10).await).unwrap(), 2);
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let mut left = Vec::new();
    for one in &all {
        left.push(query.upload(one.id).await.unwrap().is_some());
    }
    assert_eq!(left, [true, true, true, false, false, true]);
}

pub async fn usage_counts_reservations(ledger: Subject) {
    let usage = async |identity| ledger.read(Reach::Gateway).await.unwrap().usage("acme", identity).await.unwrap();
    assert_eq!(usage(None).await, 0);
    for delta in [100, -30, 5] {
        write!(ledger, [], |tx| tx.add_usage("acme", "i", delta).await).unwrap();
    }
    write!(ledger, [], |tx| tx.add_usage("acme", "j", 1000).await).unwrap();
    write!(ledger, [], |tx| tx.add_usage("other", "i", 7).await).unwrap();
    assert_eq!((usage(Some("i")).await, usage(Some("j")).await, usage(None).await), (75, 1000, 1075));
    let row = UploadRow { reserved: 64, ..upload(Uuid::now_v7(), "a") };
    begin(&ledger, &row).await;
    begin(&ledger, &UploadRow { reserved: 9, state: UploadState::Discarded, ..upload(Uuid::now_v7(), "a") }).await;
    assert_eq!((usage(Some("i")).await, usage(Some("j")).await, usage(None).await), (139, 1000, 1139));
    // A transaction sees its own.
    let seen = write!(ledger, [], |tx| {
        tx.add_usage("acme", "i", 1).await?;
        tx.usage("acme", Some("i")).await
    });
    assert_eq!(seen.unwrap(), 140);
    // More taken back than was ever there is none.
    write!(ledger, [], |tx| tx.add_usage("third", "i", -5).await).unwrap();
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().usage("third", None).await.unwrap(), 0);
}
