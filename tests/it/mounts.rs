//! Moves between mounts that are kept in different storages: the content is copied before the switch of names.

use bytes::Bytes;
use causeway_core::namespace::Target;
use causeway_core::records::Attributes;
use causeway_core::transfer::Disposition;
use causeway_core::{ErrorKind, Gateway, Session, UploadOptions};
use causeway_store::blobs::{Op, PowerCut};
use std::sync::Arc;

use crate::harness::inside::{Place, path, sftp, start_with_vault};
use crate::harness::{Ledger, Random, on_both_ledgers};

on_both_ledgers!(files_move_between_storages);

async fn read(gateway: &Gateway, session: &Arc<Session>, name: &str) -> Result<Vec<u8>, ErrorKind> {
    let download = gateway.begin_download(session, &Target::Path(path(name))).await.map_err(|error| error.kind())?;
    let mut out = Vec::new();
    loop {
        let piece = download.read_at(out.len() as u64, 1 << 20).await.map_err(|error| error.kind())?;
        if piece.is_empty() {
            download.finish().await.unwrap();
            return Ok(out);
        }
        out.extend_from_slice(&piece);
    }
}

async fn files_move_between_storages(ledger: Ledger) {
    let place = Place::new(ledger).await;
    let (local, vault) = (PowerCut::new(), PowerCut::new());
    let installation = uuid::Uuid::new_v4();
    let start = || async {
        let ports = (Arc::new(local.clone()), Arc::new(vault.clone()));
        start_with_vault(place.open().await, ports.0, ports.1, installation).await.unwrap()
    };
    let gateway = start().await;
    let app = sftp(&gateway, "app").await;
    let content = Random::seeded("mounts").bytes(3_000_000);
    gateway.make_folder(&app, &path("/vault"), Attributes::default()).await.unwrap();
    gateway.make_folder(&app, &path("/folder"), Attributes::default()).await.unwrap();
    let upload = gateway.begin_upload(&app, &path("/a"), UploadOptions::new(Disposition::Replace)).await.unwrap();
    upload.write_at(0, content.clone()).await.unwrap();
    let receipt = upload.commit().await.unwrap();

    // A storage that is full: refused, and the file is where it was.
    vault.fail_next(Op::Append, ErrorKind::NoSpace);
    let from = Target::Path(path("/a"));
    let error = gateway.rename(&app, &from, &path("/vault/a"), false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
    assert_eq!(read(&gateway, &app, "/a").await.as_deref(), Ok(&content[..]));

    let moved = gateway.rename(&app, &from, &path("/vault/a"), false).await.unwrap();
    assert_eq!((moved.id, moved.sha256), (receipt.entry.id, receipt.entry.sha256), "the id and the hash stay");
    assert_eq!(read(&gateway, &app, "/a").await, Err(ErrorKind::NotFound));
    assert_eq!(read(&gateway, &app, "/vault/a").await.as_deref(), Ok(&content[..]));
    // A whole folder would have to be copied file by file.
    let folder = Target::Path(path("/folder"));
    let error = gateway.rename(&app, &folder, &path("/vault/folder"), false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    // What was in the way is refused before anything is lost.
    let upload = gateway.begin_upload(&app, &path("/b"), UploadOptions::new(Disposition::Replace)).await.unwrap();
    upload.write_at(0, Bytes::from_static(b"b")).await.unwrap();
    upload.commit().await.unwrap();
    let error = gateway.rename(&app, &Target::Path(path("/b")), &path("/vault/a"), false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(read(&gateway, &app, "/b").await.as_deref(), Ok(&b"b"[..]));

    // It was durable when it was acknowledged: a power cut takes nothing of it.
    gateway.stop().await;
    local.cut();
    vault.cut();
    let gateway = start().await;
    let app = sftp(&gateway, "app").await;
    assert_eq!(read(&gateway, &app, "/vault/a").await.as_deref(), Ok(&content[..]));
    gateway.stop().await;
}
