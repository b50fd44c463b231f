//! Uploads whose end is told late, or where no path reaches any more: each ends, and keeps no other one from it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causeway_core::namespace::Target;
use causeway_core::ports::{Durability, Ledger as LedgerPort, transact};
use causeway_core::records::{Attributes, UploadRow, UploadState, now};
use causeway_core::transfer::Disposition;
use causeway_core::{Error, ErrorKind, Gateway, Session, Upload, UploadOptions};
use causeway_store::blobs::PowerCut;
use uuid::Uuid;

use crate::harness::inside::{Fault, Faulty, Place, path, sftp, start};
use crate::harness::{Ledger, eventually, on_both_ledgers};

on_both_ledgers!(uploads_that_no_path_reaches_end, nothing_else_waits_for_an_upload_that_no_path_reaches,);

struct Case {
    place: Place,
    blobs: PowerCut,
    installation: Uuid,
}

impl Case {
    async fn new(ledger: Ledger) -> Self {
        Self { place: Place::new(ledger).await, blobs: PowerCut::new(), installation: Uuid::new_v4() }
    }

    async fn start_on(&self, ledger: Arc<dyn LedgerPort>) -> (Arc<Gateway>, Arc<Session>) {
        let gateway = start(ledger, Arc::new(self.blobs.clone()), self.installation).await.unwrap();
        let session = sftp(&gateway, "app").await;
        (gateway, session)
    }

    async fn row(&self, id: Uuid) -> UploadRow {
        self.place.open().await.read().await.unwrap().upload(id).await.unwrap().expect("the upload is there")
    }

    async fn becomes(&self, id: Uuid, state: UploadState) {
        eventually("the upload ends", Duration::from_secs(20), || async {
            (self.row(id).await.state == state).then_some(())
        })
        .await;
    }
}

async fn begin(gateway: &Gateway, session: &Arc<Session>, at: &str) -> Upload {
    let upload = gateway.begin_upload(session, &path(at), UploadOptions::new(Disposition::Replace)).await.unwrap();
    upload.append(Bytes::from_static(b"beginning")).await.unwrap();
    upload
}

fn broken() -> Error {
    Error::new(ErrorKind::Incomplete, "the line broke")
}

/// Makes folders so deep that one below the other has no path, and gives the path of the lower one.
async fn make_deep(gateway: &Gateway, session: &Arc<Session>) -> String {
    for top in ["/low", "/high"] {
        let mut at = top.to_owned();
        for _ in 0..8 {
            gateway.make_folder(session, &path(&at), Attributes::default()).await.unwrap();
            at = format!("{at}/{}", "n".repeat(255));
        }
        gateway.make_folder(session, &path(&at), Attributes::default()).await.unwrap();
    }
    format!("/low{}", format!("/{}", "n".repeat(255)).repeat(8))
}

async fn move_down(gateway: &Gateway, session: &Session) {
    let to = format!("/high{}/low", format!("/{}", "n".repeat(255)).repeat(8));
    gateway.rename(session, &Target::Path(path("/low")), &path(&to), false).await.unwrap();
}

/// Left by the end of the process, expired, removed with all that is there.
async fn uploads_that_no_path_reaches_end(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let (gateway, session) = case.start_on(case.place.open().await).await;
    let deep = make_deep(&gateway, &session).await;
    let published = begin(&gateway, &session, &format!("{deep}/file")).await;
    published.commit().await.unwrap();
    let (lost, other) =
        (begin(&gateway, &session, &format!("{deep}/f")).await, begin(&gateway, &session, "/other").await);
    let late = begin(&gateway, &session, &format!("{deep}/late")).await;
    let (lost_id, other_id) = (lost.id(), other.id());
    move_down(&gateway, &session).await;
    assert_eq!(late.commit().await.unwrap_err().kind(), ErrorKind::InvalidName, "nobody could ever read it");
    drop((gateway, session, lost, other));
    let (gateway, session) = case.start_on(case.place.open().await).await;
    assert_eq!(case.row(lost_id).await.state, UploadState::Detached);
    let own: Vec<Uuid> =
        gateway.incomplete_uploads(&session).await.unwrap().into_iter().map(|upload| upload.id).collect();
    assert_eq!(own, [other_id], "what cannot be gone on with is not offered");
    assert_eq!(gateway.incomplete_upload(&session, lost_id).await.unwrap().path, None);
    transact(&*case.place.open().await, Durability::Process, move |tx| {
        Box::pin(async move {
            for id in [lost_id, other_id] {
                let row = tx.upload(id).await?.expect("the upload is there");
                let row = UploadRow { expires_at: now() - 1_000_000, ..row };
                assert!(tx.update_upload(&row, &[UploadState::Detached], row.generation).await?);
            }
            Ok(())
        })
    })
    .await
    .unwrap();
    gateway.spawn_jobs();
    case.becomes(lost_id, UploadState::Discarded).await;
    case.becomes(other_id, UploadState::Discarded).await;
    gateway.remove_tree(&session, &path("/high")).await.unwrap();
    eventually("all of it is purged", Duration::from_secs(20), || async {
        let used = case.place.open().await.read().await.unwrap().usage("acme", None).await.unwrap();
        (used == 0).then_some(())
    })
    .await;
    gateway.stop().await;
}

/// The ledger is away when both end.
async fn nothing_else_waits_for_an_upload_that_no_path_reaches(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let faulty = Faulty::new(case.place.open().await, Fault::Gone { done: false });
    let (gateway, session) = case.start_on(faulty.clone()).await;
    let deep = make_deep(&gateway, &session).await;
    let mut ids = Vec::new();
    let mut uploads = Vec::new();
    for n in 0..4 {
        for at in [format!("{deep}/{n}"), format!("/{n}")] {
            let upload = begin(&gateway, &session, &at).await;
            ids.push(upload.id());
            uploads.push(upload);
        }
    }
    move_down(&gateway, &session).await;
    faulty.fail_after(0);
    for upload in uploads {
        upload.detach(broken()).await;
    }
    faulty.fail_after(1_000_000);
    assert_eq!(case.row(ids[0]).await.state, UploadState::Open);
    gateway.spawn_jobs();
    for id in ids {
        case.becomes(id, UploadState::Detached).await;
    }
    gateway.stop().await;
}
