//! What every blob store must do: one suite, and a macro that runs it against a backend.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use causeway_core::ErrorKind;
use causeway_core::ports::BlobStore;
use causeway_core::records::BlobId;
use uuid::Uuid;

/// A new random id.
pub(super) fn blob_id(prefix: &str) -> BlobId {
    BlobId { key: Uuid::new_v4(), storage: "s".into(), prefix: prefix.into() }
}

/// The whole content.
pub(super) async fn read_all(store: &dyn BlobStore, id: &BlobId) -> Bytes {
    store.open(id).await.unwrap().read_at(0, 64 << 20).await.unwrap()
}

/// Writes a blob of these pieces, and syncs it.
pub(super) async fn write(store: &dyn BlobStore, id: &BlobId, pieces: &[&[u8]]) {
    let mut writer = store.create(id).await.unwrap();
    writer.append(pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect()).await.unwrap();
    writer.sync().await.unwrap();
}

/// Runs the suite: `$open` makes a new, empty store (and something that must outlive it). It names its storage `s`.
macro_rules! suite {
    ($backend:ident, $open:expr) => {
        mod $backend {
            $crate::blobs::contract::suite!(@cases $open;
                appends_pieces_in_order, reads_ranges, writes_on_after_a_sync, an_empty_blob_is_a_blob,
                puts_a_whole_blob,
                a_reader_outlives_the_blob, a_reader_sees_what_is_appended, removing_twice_is_fine,
                a_key_is_written_once, a_missing_blob_is_a_fault, belongs_to_one_gateway, lists_keys_in_pages,
                no_prefix_leads_out, takes_many_megabytes, many_at_once
            );
        }
    };
    (@cases $open:expr; $($case:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, _holds) = $open;
                $crate::blobs::contract::$case(store).await;
            }
        )*
    };
}
pub(super) use suite;

suite!(memory, (std::sync::Arc::new(crate::blobs::MemoryBlobs::new()), ()));
suite!(power_cut, (std::sync::Arc::new(crate::blobs::PowerCut::new()), ()));

type Store = Arc<dyn BlobStore>;

pub(super) async fn appends_pieces_in_order(store: Store) {
    for prefix in ["", "acme", "acme/in", "de/ab", "naïve/名"] {
        let id = blob_id(prefix);
        write(&*store, &id, &[b"one, ", b"", b"two, ", b"three"]).await;
        assert_eq!(read_all(&*store, &id).await, &b"one, two, three"[..], "{prefix}");
    }
    // More pieces than one `writev` takes.
    let id = blob_id("acme");
    let pieces: Vec<[u8; 2]> = (0..5000u16).map(u16::to_be_bytes).collect();
    write(&*store, &id, &pieces.iter().map(|piece| &piece[..]).collect::<Vec<_>>()).await;
    assert_eq!(read_all(&*store, &id).await, pieces.concat());
}

pub(super) async fn reads_ranges(store: Store) {
    let id = blob_id("acme");
    let content: Vec<u8> = (0..300_000u32).map(|n| (n * 7 / 3) as u8).collect();
    write(&*store, &id, &content.chunks(777).collect::<Vec<_>>()).await;
    let reader = store.open(&id).await.unwrap();
    for (offset, len) in
        [(0, 0), (0, 1), (0, 300_000), (1, 299_998), (299_999, 1), (776, 2), (131_072, 65_536), (250_000, 50_000)]
    {
        let expected = &content[offset as usize..offset as usize + len];
        assert_eq!(reader.read_at(offset, len).await.unwrap(), expected, "{offset} {len}");
    }
    assert_eq!(reader.read_at(299_990, 100).await.unwrap(), &content[299_990..], "short at the end");
    assert_eq!(reader.read_at(0, 1 << 20).await.unwrap(), &content[..]);
    for offset in [300_000, 300_001, u64::from(u32::MAX), i64::MAX as u64, u64::MAX] {
        assert!(reader.read_at(offset, 10).await.unwrap().is_empty(), "{offset}");
    }
}

pub(super) async fn writes_on_after_a_sync(store: Store) {
    let id = blob_id("acme");
    let mut writer = store.create(&id).await.unwrap();
    writer.sync().await.unwrap();
    for piece in [&b"one"[..], b" two", b" three"] {
        writer.append(vec![Bytes::from_static(b"").slice(..), Bytes::copy_from_slice(piece)]).await.unwrap();
        writer.sync().await.unwrap();
        writer.sync().await.unwrap();
    }
    drop(writer);
    assert_eq!(read_all(&*store, &id).await, &b"one two three"[..]);
}

pub(super) async fn an_empty_blob_is_a_blob(store: Store) {
    let id = blob_id("acme");
    let mut writer = store.create(&id).await.unwrap();
    writer.append(Vec::new()).await.unwrap();
    writer.append(vec![Bytes::new()]).await.unwrap();
    writer.sync().await.unwrap();
    assert!(read_all(&*store, &id).await.is_empty());
    assert_eq!(store.keys(None, 10).await.unwrap(), [id]);
}

pub(super) async fn puts_a_whole_blob(store: Store) {
    let id = blob_id("acme/in");
    let pieces = [&b"one, "[..], b"", b"two"].map(Bytes::copy_from_slice);
    store.put(&id, pieces.to_vec()).await.unwrap();
    assert_eq!(read_all(&*store, &id).await, &b"one, two"[..]);
    assert!(store.put(&id, pieces.to_vec()).await.is_err(), "a key is written once");
    assert_eq!(read_all(&*store, &id).await, &b"one, two"[..]);
}

pub(super) async fn a_reader_outlives_the_blob(store: Store) {
    let id = blob_id("acme");
    write(&*store, &id, &[b"still here"]).await;
    let reader = store.open(&id).await.unwrap();
    store.remove(&id).await.unwrap();
    assert!(store.open(&id).await.is_err());
    assert_eq!(reader.read_at(6, 100).await.unwrap(), &b"here"[..]);
    assert!(store.keys(None, 10).await.unwrap().is_empty());
}

pub(super) async fn a_reader_sees_what_is_appended(store: Store) {
    let id = blob_id("acme");
    let mut writer = store.create(&id).await.unwrap();
    let reader = store.open(&id).await.unwrap();
    assert!(reader.read_at(0, 10).await.unwrap().is_empty());
    for expected in ["x", "xx", "xxx"] {
        writer.append(vec![Bytes::from_static(b"x")]).await.unwrap();
        assert_eq!(reader.read_at(0, 10).await.unwrap(), expected);
    }
}

pub(super) async fn removing_twice_is_fine(store: Store) {
    let id = blob_id("acme/in");
    store.remove(&id).await.unwrap();
    write(&*store, &id, &[b"x"]).await;
    store.remove(&id).await.unwrap();
    store.remove(&id).await.unwrap();
    write(&*store, &id, &[b"y"]).await;
    assert_eq!(read_all(&*store, &id).await, &b"y"[..]);
}

pub(super) async fn a_key_is_written_once(store: Store) {
    let id = blob_id("acme");
    write(&*store, &id, &[b"first"]).await;
    assert!(store.create(&id).await.is_err());
    assert_eq!(read_all(&*store, &id).await, &b"first"[..]);
}

pub(super) async fn a_missing_blob_is_a_fault(store: Store) {
    let id = blob_id("acme");
    assert_eq!(store.open(&id).await.err().unwrap().kind(), ErrorKind::Internal);
    write(&*store, &id, &[b"x"]).await;
    let elsewhere = BlobId { prefix: "globex".into(), ..id.clone() };
    assert_eq!(store.open(&elsewhere).await.err().unwrap().kind(), ErrorKind::Internal);
    store.remove(&elsewhere).await.unwrap();
    assert_eq!(read_all(&*store, &id).await, &b"x"[..], "the prefix is part of the place");
}

pub(super) async fn belongs_to_one_gateway(store: Store) {
    let (ours, other) = (Uuid::new_v4(), Uuid::new_v4());
    write(&*store, &blob_id("acme"), &[b"x"]).await;
    store.claim(ours).await.unwrap();
    store.claim(ours).await.unwrap();
    let error = store.claim(other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains(".causeway-storage") && error.message().contains(&ours.to_string()), "{error}");
    store.claim(ours).await.unwrap();
    assert_eq!(store.keys(None, 10).await.unwrap().len(), 1, "the marker is no blob");
}

pub(super) async fn lists_keys_in_pages(store: Store) {
    assert!(store.keys(None, 10).await.unwrap().is_empty());
    let mut written = Vec::new();
    for n in 0..60u8 {
        let id = blob_id(["", "acme", "acme/in", "de", "de/ab"][usize::from(n) % 5]);
        write(&*store, &id, &[&[n]]).await;
        written.push(id);
    }
    written.sort_by_key(|id| id.key);
    assert_eq!(store.keys(None, 1000).await.unwrap(), written);
    for limit in [1, 7, 59, 60] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.keys(after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.key);
            seen.extend(page);
        }
        assert_eq!(seen, written, "pages of {limit}");
    }
    assert!(store.keys(None, 0).await.unwrap().is_empty());
    assert!(store.keys(Some(Uuid::max()), 10).await.unwrap().is_empty());
    let middle = Uuid::from_u128(1 << 127);
    let upper: Vec<BlobId> = written.into_iter().filter(|id| id.key > middle).collect();
    assert_eq!(store.keys(Some(middle), 1000).await.unwrap(), upper);
}

pub(super) async fn no_prefix_leads_out(store: Store) {
    let long = "x".repeat(256);
    let deep = "x/".repeat(600) + "x";
    for prefix in [
        "..",
        "../x",
        "acme/..",
        "acme/../../x",
        "/",
        "/etc",
        "acme/",
        "acme//in",
        ".",
        "./x",
        "a\0b",
        "a\nb",
        "a\\b",
        ".causeway-storage",
        &long,
        &deep,
    ] {
        let id = blob_id(prefix);
        assert_eq!(store.create(&id).await.err().unwrap().kind(), ErrorKind::InvalidArgument, "{prefix:?}");
        assert_eq!(store.open(&id).await.err().unwrap().kind(), ErrorKind::InvalidArgument, "{prefix:?}");
        assert_eq!(store.remove(&id).await.err().unwrap().kind(), ErrorKind::InvalidArgument, "{prefix:?}");
    }
    assert!(store.keys(None, 10).await.unwrap().is_empty());
}

pub(super) async fn takes_many_megabytes(store: Store) {
    let id = blob_id("acme");
    let piece: Bytes = (0..(256 << 10) + 13u32).map(|n| (n / 3) as u8).collect();
    let mut writer = store.create(&id).await.unwrap();
    for _ in 0..20 {
        writer
            .append(vec![piece.slice(..1000), piece.slice(1000..), piece.clone(), piece.clone(), piece.clone()])
            .await
            .unwrap();
    }
    writer.sync().await.unwrap();
    let reader = store.open(&id).await.unwrap();
    let mut offset = 0;
    loop {
        let part = reader.read_at(offset, 1 << 20).await.unwrap();
        let start = offset as usize % piece.len();
        assert!(part.iter().eq(piece.iter().cycle().skip(start).take(part.len())), "at {offset}");
        offset += part.len() as u64;
        if part.len() < 1 << 20 {
            break;
        }
    }
    assert_eq!(offset, 80 * piece.len() as u64);
}

pub(super) async fn many_at_once(store: Store) {
    let tasks: Vec<_> = (0..64u8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let id = blob_id(["new/a", "new/b"][usize::from(n % 2)]);
                write(&*store, &id, &[&[n; 3000], &[n; 10]]).await;
                assert_eq!(read_all(&*store, &id).await, vec![n; 3010]);
                id.key
            })
        })
        .collect();
    let mut keys = BTreeSet::new();
    for task in tasks {
        keys.insert(task.await.unwrap());
    }
    let listed: Vec<Uuid> = store.keys(None, 1000).await.unwrap().into_iter().map(|id| id.key).collect();
    assert!(listed.into_iter().eq(keys));
}
