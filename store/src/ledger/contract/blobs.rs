//! Blobs and their references.

use causeway_core::ErrorKind;
use causeway_core::ports::Reach;
use causeway_core::records::BlobState;
use uuid::Uuid;

use super::{Subject, T0, blob, write};

async fn state(ledger: &Subject, key: Uuid) -> Option<(BlobState, Option<i64>)> {
    ledger.read(Reach::Gateway).await.unwrap().blob(key).await.unwrap().map(|row| (row.state, row.doomed_at))
}

pub async fn blobs_are_doomed_with_their_last_reference(ledger: Subject) {
    let (id, upload, version) = (blob(), Uuid::now_v7(), Uuid::now_v7());
    write!(ledger, [id], |tx| tx.insert_blob(&id, upload).await).unwrap();
    let row = ledger.read(Reach::Gateway).await.unwrap().blob(id.key).await.unwrap().unwrap();
    assert_eq!((row.id, row.state, row.doomed_at), (id.clone(), BlobState::Live, None));
    // Twice by one holder is once.
    for _ in 0..2 {
        write!(ledger, [], |tx| tx.reference_blob(id.key, version).await).unwrap();
    }
    write!(ledger, [], |tx| tx.release_blobs(upload, &[], T0).await).unwrap();
    write!(ledger, [], |tx| tx.release_blobs(upload, &[], T0).await).unwrap();
    assert_eq!(state(&ledger, id.key).await, Some((BlobState::Live, None)));
    write!(ledger, [], |tx| tx.release_blobs(version, &[], T0 + 1).await).unwrap();
    assert_eq!(state(&ledger, id.key).await, Some((BlobState::Doomed, Some(T0 + 1))));
}

pub async fn doomed_blobs_take_no_reference(ledger: Subject) {
    let (id, holder, late) = (blob(), Uuid::now_v7(), Uuid::now_v7());
    write!(ledger, [id], |tx| tx.insert_blob(&id, holder).await).unwrap();
    assert!(!write!(ledger, [], |tx| tx.mark_deleting(id.key).await).unwrap(), "a live blob is not deleted");
    write!(ledger, [], |tx| tx.release_blobs(holder, &[], T0).await).unwrap();
    let error = write!(ledger, [], |tx| tx.reference_blob(id.key, late).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let unknown = Uuid::new_v4();
    let error = write!(ledger, [], |tx| tx.reference_blob(unknown, late).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let doomed =
        async |before| ledger.read(Reach::Gateway).await.unwrap().doomed_blobs(before, 10).await.unwrap().len();
    assert_eq!((doomed(T0).await, doomed(T0 + 1).await), (0, 1));
    assert!(write!(ledger, [], |tx| tx.mark_deleting(id.key).await).unwrap());
    // Begun deletions come back whatever their time, and can be gone on with.
    assert_eq!(doomed(T0).await, 1);
    assert!(write!(ledger, [], |tx| tx.mark_deleting(id.key).await).unwrap());
    let error = write!(ledger, [], |tx| tx.reference_blob(id.key, late).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    write!(ledger, [], |tx| tx.delete_blob(id.key).await).unwrap();
    assert_eq!(state(&ledger, id.key).await, None);
    assert!(!write!(ledger, [], |tx| tx.mark_deleting(id.key).await).unwrap());
}

pub async fn keeps_some_blobs(ledger: Subject) {
    let (ids, holder) = ([blob(), blob(), blob()], Uuid::now_v7());
    write!(ledger, [ids], |tx| {
        for id in &ids {
            tx.insert_blob(id, holder).await?;
        }
        Ok(())
    })
    .unwrap();
    let keep = [ids[1].key, Uuid::new_v4()];
    write!(ledger, [], |tx| tx.release_blobs(holder, &keep, T0).await).unwrap();
    let mut states = Vec::new();
    for id in &ids {
        states.push(state(&ledger, id.key).await.unwrap().0);
    }
    assert_eq!(states, [BlobState::Doomed, BlobState::Live, BlobState::Doomed]);
    let doomed = ledger.read(Reach::Gateway).await.unwrap().doomed_blobs(T0 + 1, 1).await.unwrap();
    assert_eq!(doomed.len(), 1, "no more than asked for");
}
