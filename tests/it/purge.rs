//! Removing a folder with everything in it, in the process: the database goes away after each step of the purge, and the
//! next process goes on where it was.

use std::sync::Arc;
use std::time::Duration;

use causeway_core::namespace::Target;
use causeway_core::ports::Reach;
use causeway_core::records::{Attributes, DETACHED};
use causeway_core::transfer::Disposition;
use causeway_core::{ErrorKind, Gateway, Session, UploadOptions};
use causeway_store::blobs::MemoryBlobs;

use crate::harness::inside::{Fault, Faulty, Place, path, rest, start};
use crate::harness::{Ledger, eventually, on_both_ledgers};

on_both_ledgers!(a_purge_goes_on_after_a_crash, an_upload_into_a_removed_folder_fails);

/// More steps than the purge of the tree below has.
const STEPS: usize = 40;

async fn put(gateway: &Gateway, session: &Arc<Session>, name: &str) {
    let mut options = UploadOptions::new(Disposition::Replace);
    options.make_folders = true;
    let upload = gateway.begin_upload(session, &path(name), options).await.unwrap();
    upload.append(bytes::Bytes::from_static(b"0123456789")).await.unwrap();
    upload.commit().await.unwrap();
}

async fn a_purge_goes_on_after_a_crash(ledger: Ledger) {
    let mut cut = 0;
    for step in 0..STEPS {
        let (place, installation) = (Place::new(ledger).await, uuid::Uuid::new_v4());
        let faulty = Faulty::new(place.open().await, Fault::Gone { done: step % 2 == 0 });
        let blobs = Arc::new(MemoryBlobs::new());
        let gateway = start(faulty.clone(), blobs.clone(), installation).await.unwrap();
        let app = rest(&gateway, "app").await;
        for name in ["/t/a", "/t/x/y/z/b", "/t/x/c", "/t/v/d", "/kept"] {
            put(&gateway, &app, name).await;
        }
        gateway.make_folder(&app, &path("/t/x/empty"), Attributes::default()).await.unwrap();
        gateway.remove_tree(&app, &path("/t")).await.unwrap();
        faulty.fail_after(step);
        gateway.spawn_jobs();
        let done = eventually("the purge ends or is cut", Duration::from_secs(20), || async {
            if faulty.failed() {
                return Some(false);
            }
            let left =
                place.open().await.read(Reach::Gateway).await.unwrap().children(DETACHED, None, 1).await.unwrap();
            left.is_empty().then_some(true)
        })
        .await;
        gateway.stop().await;
        drop(gateway);
        cut += usize::from(!done);

        let again = start(place.open().await, blobs, installation).await.unwrap();
        again.spawn_jobs();
        let reader = place.open().await;
        eventually("all is purged", Duration::from_secs(20), || async {
            let mut query = reader.read(Reach::Gateway).await.unwrap();
            let used = query.usage("acme", None).await.unwrap();
            let left = query.children(DETACHED, None, 1).await.unwrap();
            (left.is_empty() && used == 10).then_some(())
        })
        .await;
        let app = rest(&again, "app").await;
        assert_eq!(again.stat(&app, &Target::Path(path("/kept"))).await.unwrap().size, 10);
        let gone = again.stat(&app, &Target::Path(path("/t"))).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        again.stop().await;
        if done {
            break;
        }
    }
    assert!((5..STEPS).contains(&cut), "{cut} steps were cut");
}

/// An upload that was begun before the folder above it was removed is told so, whether the purge has come by or not.
async fn an_upload_into_a_removed_folder_fails(ledger: Ledger) {
    let place = Place::new(ledger).await;
    let gateway = start(place.open().await, Arc::new(MemoryBlobs::new()), uuid::Uuid::new_v4()).await.unwrap();
    let app = rest(&gateway, "app").await;
    put(&gateway, &app, "/t/x/first").await;
    let (to, replace) = (path("/t/x/late"), || UploadOptions::new(Disposition::Replace));
    let begin = || gateway.begin_upload(&app, &to, replace());
    let (early, late) = (begin().await.unwrap(), begin().await.unwrap());
    gateway.remove_tree(&app, &path("/t")).await.unwrap();
    assert_eq!(early.commit().await.unwrap_err().kind(), ErrorKind::NoSuchFolder);
    gateway.spawn_jobs();
    let reader = place.open().await;
    eventually("all is purged", Duration::from_secs(20), || async {
        reader.read(Reach::Gateway).await.unwrap().children(DETACHED, None, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(late.commit().await.unwrap_err().kind(), ErrorKind::NoSuchFolder);
    // A folder of that name is another one.
    put(&gateway, &app, "/t/x/first").await;
    assert_eq!(gateway.stat(&app, &Target::Path(path("/t/x/first"))).await.unwrap().size, 10);
    gateway.stop().await;
}
