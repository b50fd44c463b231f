//! What only a disk can show.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::blobs::MARKER;
use crate::blobs::contract::{blob_id, read_all, suite, write};

fn open() -> (Arc<dyn BlobStore>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(&folder.path().join("content")).unwrap().named("s");
    (Arc::new(store), folder)
}

suite!(local, super::open());

/// On the spot: a storage that takes its disk for swift, and for memory.
fn open_swift() -> (Arc<dyn BlobStore>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(&folder.path().join("content")).unwrap().named("s");
    let LocalBlobs { root, storage } = store;
    let mut root = Arc::into_inner(root).unwrap();
    root.in_memory = true;
    root.swiftness = Swiftness::always();
    (Arc::new(LocalBlobs { root: Arc::new(root), storage }), folder)
}

suite!(swift, super::open_swift());

/// Without a runtime there is no blocking pool: what comes to its end all the same has not used it.
#[test]
fn a_swift_disk_needs_no_other_thread() {
    use futures::FutureExt as _;
    let (store, _folder) = open_swift();
    let id = blob_id("acme");
    let content = Bytes::from(vec![7; SMALL - 1]);
    store.put(&id, vec![content.slice(..10), content.slice(10..)]).now_or_never().unwrap().unwrap();
    let reader = store.open(&id).now_or_never().unwrap().unwrap();
    assert_eq!(reader.read_at(0, SMALL).now_or_never().unwrap().unwrap(), content);
    assert_eq!(reader.read_at(10, 20).now_or_never().unwrap().unwrap(), content.slice(10..30));
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn the_layout_and_its_permissions() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new/content");
    let store = LocalBlobs::open(&root).unwrap();
    let id = BlobId { key: Uuid::from_u128(0xab << 120 | 7), ..blob_id("acme/in") };
    write(&store, &id, &[b"x"]).await;
    store.claim(Uuid::new_v4()).await.unwrap();
    let path = root.join("acme/in/ab/ab000000000000000000000000000007");
    assert_eq!(std::fs::read(&path).unwrap(), b"x");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&root.join(MARKER)), 0o600);
    for made in [&root, &root.join("acme"), &root.join("acme/in"), &root.join("acme/in/ab")] {
        assert_eq!(mode(made), 0o700, "{}", made.display());
    }
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 2, "the marker and `acme`, nothing left aside");
}

#[tokio::test]
async fn another_process_reads_what_was_synced() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap().named("s");
    let id = blob_id("acme");
    let mut writer = store.create(&id).await.unwrap();
    writer.append(vec![Bytes::from_static(b"durable")]).await.unwrap();
    writer.sync().await.unwrap();
    let other = LocalBlobs::open(folder.path()).unwrap().named("s");
    assert_eq!(read_all(&other, &id).await, &b"durable"[..]);
    assert_eq!(other.keys(None, 10).await.unwrap(), [id]);
}

#[tokio::test]
async fn the_marker_outlives_the_process_and_is_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (Uuid::new_v4(), Uuid::new_v4());
    LocalBlobs::open(folder.path()).unwrap().claim(ours).await.unwrap();
    let again = LocalBlobs::open(folder.path()).unwrap();
    again.claim(ours).await.unwrap();
    assert_eq!(again.claim(other).await.unwrap_err().kind(), ErrorKind::Conflict);

    for broken in ["", "not an id", &"7".repeat(5000)] {
        std::fs::write(folder.path().join(MARKER), broken).unwrap();
        let error = again.claim(ours).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{broken}");
        assert!(error.message().contains("restore it"), "{error}");
    }
    std::fs::remove_file(folder.path().join(MARKER)).unwrap();
    again.claim(other).await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join(MARKER)).unwrap(), format!("{other}\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_claims_at_once_one_succeeds() {
    let (store, _folder) = open();
    let claims: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.claim(Uuid::new_v4()).await })
        })
        .collect();
    let mut succeeded = 0;
    for claim in claims {
        match claim.await.unwrap() {
            Ok(()) => succeeded += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
        }
    }
    assert_eq!(succeeded, 1);
}

#[tokio::test]
async fn the_walk_takes_only_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap().named("s");
    let id = BlobId { key: Uuid::from_u128(0xab << 120 | 0xcd), ..blob_id("acme") };
    write(&store, &id, &[b"x"]).await;
    let shard = folder.path().join("acme/ab");
    std::fs::write(shard.join("notes.txt"), "x").unwrap();
    std::fs::write(shard.join("ab0000000000000000000000000000CE"), "upper case").unwrap();
    std::fs::write(shard.join("cd0000000000000000000000000000cd"), "another shard's").unwrap();
    std::fs::create_dir(shard.join("ab0000000000000000000000000000cf")).unwrap();
    std::fs::create_dir_all(folder.path().join("lost+found/zz")).unwrap();
    std::os::unix::fs::symlink("/", folder.path().join("out")).unwrap();
    assert_eq!(store.keys(None, 10).await.unwrap(), [id]);
}

#[tokio::test]
async fn links_do_not_lead_out() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap();
    assert!(store.create(&blob_id("out")).await.is_err());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// A device that is always full stands in for the disk.
#[tokio::test]
async fn a_failed_write_ends_the_writer() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap();
    let id = blob_id("acme");
    let mut writer = writer::LocalWriter::new(full, store.root.clone(), Place::of(&id).unwrap());
    for _ in 0..2 {
        let error = writer.append(vec![Bytes::from_static(b"x")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
    }
    assert_eq!(writer.sync().await.unwrap_err().kind(), ErrorKind::NoSpace);
}

/// A pipe cannot be synced: its failure stands in for the disk's.
#[tokio::test]
async fn a_failed_sync_ends_the_writer() {
    let (_reads, writes) = std::io::pipe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap();
    let file = File::from(std::os::fd::OwnedFd::from(writes));
    let mut writer = writer::LocalWriter::new(file, store.root.clone(), Place::of(&blob_id("acme")).unwrap());
    writer.append(vec![Bytes::from_static(b"x")]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(writer.sync().await.unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(writer.append(vec![Bytes::from_static(b"x")]).await.unwrap_err().kind(), ErrorKind::Internal);
    }
}

/// Without its shard folder the file would be lost after all, so the sync must not succeed.
#[tokio::test]
async fn a_sync_that_cannot_reach_the_folder_fails() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap();
    let mut writer = store.create(&blob_id("acme")).await.unwrap();
    writer.append(vec![Bytes::from_static(b"x")]).await.unwrap();
    std::fs::remove_dir_all(folder.path().join("acme")).unwrap();
    assert_eq!(writer.sync().await.unwrap_err().kind(), ErrorKind::Internal);
    assert!(writer.sync().await.is_err());
    assert!(store.root.durable().is_empty());
}

/// A session's end drops the future of a write that a thread is still at: what was appended before can be kept, and
/// nothing be added behind bytes that the caller does not know of.
#[tokio::test]
async fn a_write_given_up_leaves_what_was_before() {
    let (reads, writes) = std::io::pipe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut store = LocalBlobs::open(folder.path()).unwrap();
    // Wherever the tests run: a disk, which has threads that wait for it.
    Arc::get_mut(&mut store.root).unwrap().in_memory = false;
    let id = blob_id("acme");
    let mut whole = store.create(&id).await.unwrap();
    whole.append(vec![Bytes::from_static(b"before ")]).await.unwrap();
    let polled_once = tokio::time::timeout(Duration::ZERO, whole.append(vec![Bytes::from_static(b"given up")]));
    if polled_once.await.is_ok() {
        return; // Too fast to be given up.
    }
    assert_eq!(whole.append(vec![Bytes::from_static(b"after")]).await.unwrap_err().kind(), ErrorKind::Incomplete);
    whole.sync().await.unwrap();
    assert_eq!(read_all(&store, &id).await, &b"before given up"[..]);

    // The same with a write that blocks until somebody reads: sync waits for it.
    let file = File::from(std::os::fd::OwnedFd::from(writes));
    let mut stuck = writer::LocalWriter::new(file, store.root.clone(), Place::of(&id).unwrap());
    let large = Bytes::from(vec![0u8; 1 << 20]);
    assert!(tokio::time::timeout(Duration::from_millis(20), stuck.append(vec![large])).await.is_err());
    let drain = std::thread::spawn(move || std::io::copy(&mut { reads }, &mut std::io::sink()).unwrap());
    assert!(stuck.sync().await.is_err(), "a pipe cannot be synced");
    drop(stuck);
    assert_eq!(drain.join().unwrap(), 1 << 20);
}

#[tokio::test]
async fn every_shard_becomes_durable_once() {
    let (folder, base) = (tempfile::tempdir().unwrap(), blob_id("a/b"));
    let store = LocalBlobs::open(folder.path()).unwrap();
    for shard in 0..=u8::MAX {
        let id = BlobId { key: Uuid::from_u128(u128::from(shard) << 120 | 1), ..base.clone() };
        assert!(!store.root.durable().get("a/b").is_some_and(|shards| shards.has(shard)));
        write(&store, &id, &[&[shard]]).await;
        assert!(store.root.durable().get("a/b").unwrap().has(shard));
    }
    assert_eq!(store.keys(None, 300).await.unwrap().len(), 256);
}

#[test]
fn a_root_that_cannot_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for root in [file.clone(), file.join("below")] {
        let error = LocalBlobs::open(&root).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("`root`") && !error.message().contains("file"), "{error}");
    }
}

/// How fast it is, for people: `cargo test -p causeway-store speed -- --ignored --nocapture`, in a folder of `TMPDIR`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn speed() {
    let (store, _folder) = open();
    let piece = Bytes::from(vec![7u8; 32 << 10]);
    let id = blob_id("acme");
    let mut writer = store.create(&id).await.unwrap();
    let (rounds, len) = (8192u32, 256usize << 10);
    let begun = Instant::now();
    for _ in 0..rounds {
        writer.append(vec![piece.clone(); 8]).await.unwrap();
    }
    let appended = begun.elapsed();
    writer.sync().await.unwrap();
    let rate = |time: Duration, bytes: usize| bytes as f64 / time.as_secs_f64() / 1e9;
    let total = rounds as usize * len;
    println!("append 256 KiB: {:.2} GB/s; with sync {:.2} GB/s", rate(appended, total), rate(begun.elapsed(), total));
    let reader = store.open(&id).await.unwrap();
    for len in [4 << 10, 32 << 10, 256 << 10, 1 << 20] {
        let begun = Instant::now();
        for n in 0..total.min(len * 20_000) / len {
            assert_eq!(reader.read_at((n * len) as u64, len).await.unwrap().len(), len);
        }
        let read = total.min(len * 20_000);
        println!(
            "read {} KiB: {:.2} GB/s, {:.1} us",
            len >> 10,
            rate(begun.elapsed(), read),
            begun.elapsed().as_secs_f64() * 1e6 / (read / len) as f64
        );
    }
    for round in ["folders new", "folders known"] {
        let begun = Instant::now();
        for _ in 0..1000 {
            write(&*store, &blob_id("small"), &[&[1; 4096]]).await;
        }
        println!("4 KiB blob, synced, {round}: {:.3} ms", begun.elapsed().as_secs_f64());
    }
}
