//! Copies on this side of the wire that do not come about: nothing is left of them, whatever step failed.

use std::sync::Arc;

use bytes::Bytes;
use causeway_core::namespace::Target;
use causeway_core::ports::{Ledger as _, Reach};
use causeway_core::records::Attributes;
use causeway_core::transfer::Disposition;
use causeway_core::{ErrorKind, Gateway, Session, UploadOptions};
use causeway_store::blobs::MemoryBlobs;

use crate::harness::inside::{Fault, Faulty, Place, path, sftp, start};
use crate::harness::{Ledger, Random, on_both_ledgers};

on_both_ledgers!(a_copy_that_fails_leaves_nothing);

/// More steps of the ledger than a copy has.
const STEPS: usize = 20;

async fn put(gateway: &Gateway, session: &Arc<Session>, name: &str, content: &Bytes) {
    let upload = gateway.begin_upload(session, &path(name), UploadOptions::new(Disposition::Replace)).await.unwrap();
    upload.write_at(0, content.clone()).await.unwrap();
    upload.commit().await.unwrap();
}

/// By reference (`/copy`), and piece by piece into another storage (`/vault/copy`).
async fn a_copy_that_fails_leaves_nothing(ledger: Ledger) {
    let place = Place::new(ledger).await;
    let faulty = Faulty::new(place.open().await, Fault::Refused);
    let gateway = start(faulty.clone(), Arc::new(MemoryBlobs::new()), uuid::Uuid::new_v4()).await.unwrap();
    let app = sftp(&gateway, "app").await;
    gateway.make_folder(&app, &path("/vault"), Attributes::default()).await.unwrap();
    let content = Random::seeded("copies").bytes(300_000);
    put(&gateway, &app, "/from", &content).await;
    let from = Target::Path(path("/from"));
    for to in ["/copy", "/vault/copy"] {
        let used = faulty.read(Reach::Gateway).await.unwrap().usage("acme", None).await.unwrap();
        let mut refused = 0;
        for step in 0..STEPS {
            faulty.fail_after(step);
            let copied = gateway.copy(&app, &from, &path(to), false).await;
            let failed = faulty.failed();
            faulty.fail_after(usize::MAX >> 1);
            let mut query = faulty.read(Reach::Gateway).await.unwrap();
            let left = query.uploads_of("acme", "app").await.unwrap();
            assert!(left.is_empty(), "{to}, step {step}: {left:?}");
            if copied.is_ok() {
                assert!(!failed, "{to}: step {step} failed and the copy did not");
                break;
            }
            refused += 1;
            // The owner would see an upload that can be resumed.
            let seen = gateway.stat(&app, &Target::Path(path(to))).await.unwrap_err();
            assert_eq!(seen.kind(), ErrorKind::NotFound, "{to}, step {step}");
            assert_eq!(query.usage("acme", None).await.unwrap(), used, "{to}, step {step}");
        }
        assert!((2..STEPS).contains(&refused), "{to}: {refused} steps were refused");
        let entry = gateway.stat(&app, &Target::Path(path(to))).await.unwrap();
        assert_eq!(entry.size, content.len() as u64, "{to}");
    }
    gateway.stop().await;
}
