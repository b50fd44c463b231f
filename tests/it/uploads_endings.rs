//! Uploads whose end is told late, or where no path reaches any more: each ends, and keeps no other one from it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causeway_core::namespace::Target;
use causeway_core::ports::{Durability, Ledger as LedgerPort, Reach, transact};
use causeway_core::records::{Attributes, UploadConditions, UploadPlan, UploadRow, UploadState, now};
use causeway_core::transfer::{Disposition, PartAt};
use causeway_core::{Error, ErrorKind, Gateway, Session, Upload, UploadOptions};
use causeway_store::blobs::{MemoryBlobs, PowerCut};
use uuid::Uuid;

use crate::harness::inside::{Fault, Faulty, Place, path, rest, sftp, start, start_with_quota};
use crate::harness::{Ledger, eventually, on_both_ledgers};

on_both_ledgers!(
    uploads_that_no_path_reaches_end,
    nothing_else_waits_for_an_upload_that_no_path_reaches,
    one_that_is_renamed_before_it_is_put_away_is_put_away,
    a_late_end_takes_nothing_from_a_newer_upload,
    one_that_changed_nothing_is_forgotten_later,
    parts_at_a_time_take_no_more_than_the_quota,
    nothing_lands_beyond_the_size_that_was_announced_meanwhile,
);

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
        self.place
            .open()
            .await
            .read(Reach::Gateway)
            .await
            .unwrap()
            .upload(id)
            .await
            .unwrap()
            .expect("the upload is there")
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
    transact(&*case.place.open().await, Reach::Gateway, Durability::Process, move |tx| {
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
        let used = case.place.open().await.read(Reach::Gateway).await.unwrap().usage("acme", None).await.unwrap();
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

/// By its own session, to which it still shows.
async fn one_that_is_renamed_before_it_is_put_away_is_put_away(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let faulty = Faulty::new(case.place.open().await, Fault::Gone { done: false });
    let (gateway, session) = case.start_on(faulty.clone()).await;
    let upload = begin(&gateway, &session, "/f").await;
    let id = upload.id();
    faulty.fail_after(0);
    upload.detach(broken()).await;
    faulty.fail_after(1_000_000);
    gateway.rename(&session, &Target::Path(path("/f")), &path("/g"), false).await.unwrap();
    let attributes = Attributes { mode: Some(0o640), ..Attributes::default() };
    gateway.set_attributes(&session, &Target::Path(path("/g")), attributes).await.unwrap();
    gateway.spawn_jobs();
    case.becomes(id, UploadState::Detached).await;
    let row = case.row(id).await;
    assert_eq!((&*row.name, row.attributes.mode, row.prefix), ("g", Some(0o640), 9));
    gateway.stop().await;
}

async fn a_late_end_takes_nothing_from_a_newer_upload(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let faulty = Faulty::new(case.place.open().await, Fault::Gone { done: false });
    let (gateway, session) = case.start_on(faulty.clone()).await;
    let old = begin(&gateway, &session, "/f").await;
    let old_id = old.id();
    faulty.fail_after(0);
    old.detach(broken()).await;
    faulty.fail_after(1_000_000);
    let new = begin(&gateway, &session, "/f").await;
    let new_id = new.id();
    new.detach(broken()).await;
    gateway.spawn_jobs();
    case.becomes(old_id, UploadState::Discarded).await;
    assert_eq!(case.row(new_id).await.state, UploadState::Detached);
    gateway.stop().await;
}

async fn one_that_changed_nothing_is_forgotten_later(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let faulty = Faulty::new(case.place.open().await, Fault::Gone { done: false });
    let (gateway, session) = case.start_on(faulty.clone()).await;
    let mut opened = Vec::new();
    for name in ["/closed", "/broken"] {
        begin(&gateway, &session, name).await.commit().await.unwrap();
        let options = UploadOptions::new(Disposition::Modify { create: false });
        opened.push(gateway.begin_upload(&session, &path(name), options).await.unwrap());
    }
    let ids: Vec<Uuid> = opened.iter().map(Upload::id).collect();
    faulty.fail_after(0);
    opened.pop().unwrap().detach(broken()).await;
    assert_eq!(opened.pop().unwrap().commit().await.unwrap_err().kind(), ErrorKind::Unavailable);
    faulty.fail_after(1_000_000);
    gateway.spawn_jobs();
    for id in ids {
        case.becomes(id, UploadState::Discarded).await;
    }
    gateway.stop().await;
}

fn plan(size: Option<u64>) -> UploadPlan {
    UploadPlan {
        size,
        chunk_size: 1_000,
        sha256: None,
        overwrite: false,
        content_type: None,
        metadata: None,
        conditions: UploadConditions::default(),
    }
}

const ENDLESS: PartAt = PartAt::Following { start: 0, end: None, exact: false, total: None };

/// One of them ends, and what it gives back is not the others' to use.
async fn parts_at_a_time_take_no_more_than_the_quota(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let (blobs, vault) = (Arc::new(case.blobs.clone()), Arc::new(MemoryBlobs::new()));
    let opened = case.place.open().await;
    let gateway = start_with_quota(opened, blobs, vault, case.installation, Some(60_000)).await.unwrap();
    let session = rest(&gateway, "app").await;
    let id = gateway.plan_upload(&session, &path("/f"), plan(None), false).await.unwrap().id;
    let mut little = gateway.begin_part(&session, id, ENDLESS).await.unwrap();
    let mut much = gateway.begin_part(&session, id, ENDLESS).await.unwrap();
    much.write(Bytes::from_static(&[7; 50_000])).await.unwrap();
    little.write(Bytes::from_static(&[7; 100])).await.unwrap();
    little.finish().await.unwrap();
    gateway.plan_upload(&session, &path("/g"), plan(Some(55_000)), false).await.unwrap();
    assert_eq!(much.finish().await.unwrap_err().kind(), ErrorKind::QuotaExceeded);
    assert_eq!(gateway.incomplete_upload(&session, id).await.unwrap().offset, 100);
    gateway.stop().await;
}

async fn nothing_lands_beyond_the_size_that_was_announced_meanwhile(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let (gateway, _) = case.start_on(case.place.open().await).await;
    let session = rest(&gateway, "app").await;
    let id = gateway.plan_upload(&session, &path("/f"), plan(None), false).await.unwrap().id;
    let mut long = gateway.begin_part(&session, id, ENDLESS).await.unwrap();
    let at = PartAt::Following { start: 0, end: Some(50), exact: false, total: Some(50) };
    let mut whole = gateway.begin_part(&session, id, at).await.unwrap();
    whole.write(Bytes::from_static(&[7; 50])).await.unwrap();
    whole.finish().await.unwrap();
    long.write(Bytes::from_static(&[7; 100])).await.unwrap();
    assert_eq!(long.finish().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(gateway.incomplete_upload(&session, id).await.unwrap().offset, 50);
    gateway.stop().await;
}
