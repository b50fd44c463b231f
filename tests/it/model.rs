//! The namespace against a model of it: any sequence of operations, by two identities with different views, over both
//! ledgers, gives what a plain map gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use causeway_core::namespace::Target;
use causeway_core::records::Attributes;
use causeway_core::transfer::Disposition;
use causeway_core::{ErrorKind, Gateway, Result, Session, UploadOptions, VirtualPath};
use causeway_store::blobs::MemoryBlobs;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::harness::inside::{Place, path, rest, start};
use crate::harness::{Ledger, count};

/// One operation, on paths of the tenant's tree.
#[derive(Clone, Debug)]
enum Op {
    Mkdir(String),
    Rmdir(String),
    Put(String, Vec<u8>),
    /// Only where nothing is.
    Create(String, Vec<u8>),
    Remove(String),
    Rename {
        from: String,
        to: String,
        overwrite: bool,
    },
    Touch(String, i64),
}

/// A file's content and time (set by a client, or none), or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File(Vec<u8>, Option<i64>),
}

type Tree = BTreeMap<String, Kind>;

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

fn is_folder(tree: &Tree, path: &str) -> bool {
    path.is_empty() || tree.get(path) == Some(&Kind::Folder)
}

fn has_children(tree: &Tree, path: &str) -> bool {
    let below = format!("{path}/");
    tree.keys().any(|p| p.starts_with(&below))
}

/// What the operation is to answer; the tree changes where that is success.
fn apply(tree: &mut Tree, op: &Op) -> Result<(), Vec<ErrorKind>> {
    use ErrorKind::{AlreadyExists, InvalidArgument, IsFolder, NoSuchFolder, NotEmpty, NotFolder, NotFound};
    let no_parent = vec![NoSuchFolder, NotFound, NotFolder];
    match op {
        Op::Mkdir(path) => {
            if !is_folder(tree, parent(path)) {
                return Err(no_parent);
            }
            if tree.contains_key(path) {
                return Err(vec![AlreadyExists]);
            }
            tree.insert(path.clone(), Kind::Folder);
        }
        Op::Rmdir(path) => match tree.get(path) {
            None => return Err(no_parent),
            Some(Kind::File(..)) => return Err(vec![NotFolder]),
            Some(Kind::Folder) if has_children(tree, path) => return Err(vec![NotEmpty]),
            Some(Kind::Folder) => {
                tree.remove(path);
            }
        },
        Op::Put(path, content) | Op::Create(path, content) => {
            if !is_folder(tree, parent(path)) {
                return Err(no_parent);
            }
            let time = match (tree.get(path), op) {
                (Some(Kind::Folder), _) => return Err(vec![IsFolder, AlreadyExists]),
                (Some(Kind::File(..)), Op::Create(..)) => return Err(vec![AlreadyExists]),
                _ => None,
            };
            tree.insert(path.clone(), Kind::File(content.clone(), time));
        }
        Op::Remove(path) => match tree.get(path) {
            None => return Err(no_parent),
            Some(Kind::Folder) => return Err(vec![IsFolder]),
            Some(Kind::File(..)) => {
                tree.remove(path);
            }
        },
        Op::Touch(path, time) => match tree.get_mut(path) {
            None => return Err(no_parent),
            Some(Kind::Folder) => {}
            Some(Kind::File(_, at)) => *at = Some(*time),
        },
        Op::Rename { from, to, overwrite } => {
            if !tree.contains_key(from) {
                return Err(no_parent);
            }
            if to == from {
                // Onto itself: nothing changes, or the name is taken; both are right.
                return Ok(());
            }
            if to.starts_with(&format!("{from}/")) {
                return Err(vec![InvalidArgument, NoSuchFolder, NotFound, NotFolder, AlreadyExists, IsFolder]);
            }
            if !is_folder(tree, parent(to)) {
                return Err(no_parent);
            }
            match (&tree[from], tree.get(to)) {
                (_, None) | (Kind::File(..), Some(Kind::File(..))) if tree.get(to).is_none() || *overwrite => {}
                _ => return Err(vec![AlreadyExists, IsFolder, NotFolder, NotEmpty]),
            }
            let below = format!("{from}/");
            let moved: Vec<String> = tree.keys().filter(|p| *p == from || p.starts_with(&below)).cloned().collect();
            for path in moved {
                let kind = tree.remove(&path).unwrap();
                tree.insert(format!("{to}{}", &path[from.len()..]), kind);
            }
        }
    }
    Ok(())
}

async fn put(
    gateway: &Gateway,
    session: &Arc<Session>,
    at: &VirtualPath,
    content: &[u8],
    disposition: Disposition,
) -> Result<()> {
    let upload = gateway.begin_upload(session, at, UploadOptions::new(disposition)).await?;
    upload.append(Bytes::copy_from_slice(content)).await?;
    upload.commit().await.map(drop)
}

async fn run(gateway: &Gateway, session: &Arc<Session>, op: &Op, seen: impl Fn(&str) -> VirtualPath) -> Result<()> {
    match op {
        Op::Mkdir(at) => gateway.make_folder(session, &seen(at), Attributes::default()).await.map(drop),
        Op::Rmdir(at) => gateway.remove_folder(session, &seen(at)).await,
        Op::Put(at, content) => put(gateway, session, &seen(at), content, Disposition::Replace).await,
        Op::Create(at, content) => {
            put(gateway, session, &seen(at), content, Disposition::Create { reserve: false }).await
        }
        Op::Remove(at) => gateway.remove_file(session, &Target::Path(seen(at))).await,
        Op::Rename { from, to, overwrite } => {
            gateway.rename(session, &Target::Path(seen(from)), &seen(to), *overwrite).await.map(drop)
        }
        Op::Touch(at, time) => {
            let attributes = Attributes { modified_at: Some(*time), ..Attributes::default() };
            gateway.set_attributes(session, &Target::Path(seen(at)), attributes).await.map(drop)
        }
    }
}

/// All that a session sees below a folder, listed in pages of two.
async fn walk(gateway: &Gateway, session: &Arc<Session>, folder: &VirtualPath, out: &mut Tree) {
    let mut listing = gateway.list(session, folder, None).await.unwrap();
    let mut names = Vec::new();
    loop {
        let page = listing.next(2).await.unwrap();
        if page.is_empty() {
            break;
        }
        for entry in page {
            let at = entry.path.as_str().to_owned();
            names.push(entry.name.clone());
            if entry.folder {
                out.insert(at, Kind::Folder);
                Box::pin(walk(gateway, session, &entry.path, out)).await;
            } else {
                let download = gateway.begin_download(session, &Target::Path(entry.path.clone())).await.unwrap();
                let content = download.read_at(0, 1 << 20).await.unwrap().to_vec();
                download.finish().await.unwrap();
                assert_eq!(entry.size, content.len() as u64);
                assert_eq!(entry.sha256.map(hex::encode), Some(crate::harness::sha256(&content)));
                out.insert(at, Kind::File(content, Some(entry.modified_at)));
            }
        }
    }
    let mut sorted = names.clone();
    sorted.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    sorted.dedup();
    assert_eq!(names, sorted, "in the order of bytes, each once");
}

/// Where the tree as it is seen and the model differ. Times count where a client set them.
fn same(seen: &Tree, model: &Tree) -> bool {
    seen.len() == model.len()
        && seen.iter().zip(model).all(|((a, x), (b, y))| {
            a == b
                && match (x, y) {
                    (Kind::File(c, t), Kind::File(d, u)) => c == d && (u.is_none() || t == u),
                    (Kind::Folder, Kind::Folder) => true,
                    _ => false,
                }
        })
}

async fn check(ledger: Ledger, ops: &[(bool, Op)]) {
    let place = Place::new(ledger).await;
    let (blobs, installation) = (Arc::new(MemoryBlobs::new()), uuid::Uuid::new_v4());
    let mut gateway = start(place.open().await, blobs.clone(), installation).await.unwrap();
    let mut app = rest(&gateway, "app").await;
    let mut peer = rest(&gateway, "peer").await;
    let mut tree = Tree::new();
    // The folder that `peer` sees as its root may not be taken away while it is looked at.
    let _ = gateway.make_folder(&app, &path("/in"), Attributes::default()).await;
    tree.insert("/in".into(), Kind::Folder);
    for (n, (by_peer, op)) in ops.iter().enumerate() {
        let answered = if *by_peer {
            run(&gateway, &peer, op, |at| path(at.strip_prefix("/in").unwrap())).await
        } else {
            run(&gateway, &app, op, path).await
        };
        let expected = apply(&mut tree, op);
        match (&answered, &expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Ok(())) if matches!(op, Op::Rename { from, to, .. } if from == to) => {
                assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{op:?}");
            }
            (Err(error), Err(kinds)) => {
                assert!(
                    kinds.contains(&error.kind()),
                    "operation {n}, {op:?}: {error:?}, not one of {kinds:?}\n{tree:#?}"
                );
            }
            _ => panic!("operation {n}, {op:?}: {answered:?}, expected {expected:?}\n{tree:#?}"),
        }
        if n % 8 == 7 {
            gateway.stop().await;
            gateway = start(place.open().await, blobs.clone(), installation).await.unwrap();
            app = rest(&gateway, "app").await;
            peer = rest(&gateway, "peer").await;
        }
    }
    let mut seen = Tree::new();
    walk(&gateway, &app, &path("/"), &mut seen).await;
    assert!(same(&seen, &tree), "seen {seen:#?}\nexpected {tree:#?}");
    let mut seen = Tree::new();
    walk(&gateway, &peer, &path("/"), &mut seen).await;
    let below: Tree = tree
        .iter()
        .filter_map(|(p, k)| Some((p.strip_prefix("/in")?.to_owned(), k.clone())))
        .filter(|(p, _)| p.starts_with('/'))
        .collect();
    assert!(same(&seen, &below), "by its view: seen {seen:#?}\nexpected {below:#?}");
    gateway.stop().await;
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just("a".to_owned()), 3 => Just("b".to_owned()), 1 => Just("é".to_owned()), 1 => Just("Z %".to_owned())]
}

/// A path of one to three names below `/in` (for both identities) or elsewhere.
fn paths(inside: bool) -> impl Strategy<Value = String> {
    proptest::collection::vec(names(), 1..4)
        .prop_map(move |parts| format!("{}/{}", if inside { "/in" } else { "" }, parts.join("/")))
}

fn ops() -> impl Strategy<Value = (bool, Op)> {
    (any::<bool>(), any::<bool>()).prop_flat_map(|(by_peer, inside)| {
        let at = move || paths(by_peer || inside);
        let content = || proptest::collection::vec(any::<u8>(), 0..40);
        let op = prop_oneof![
            4 => at().prop_map(Op::Mkdir),
            1 => at().prop_map(Op::Rmdir),
            4 => (at(), content()).prop_map(|(p, c)| Op::Put(p, c)),
            1 => (at(), content()).prop_map(|(p, c)| Op::Create(p, c)),
            1 => at().prop_map(Op::Remove),
            3 => (at(), at(), any::<bool>()).prop_map(|(from, to, overwrite)| Op::Rename { from, to, overwrite }),
            1 => (at(), 0..2_000_000_000_i64).prop_map(|(p, t)| Op::Touch(p, t * 1_000_000)),
        ];
        op.prop_map(move |op| (by_peer, op))
    })
}

fn any_sequence_is_as_in_the_model(ledger: Ledger, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let outcome = TestRunner::new(config).run(&proptest::collection::vec(ops(), 1..40), |ops| {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(check(ledger, &ops))));
        done.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".into());
            TestCaseError::fail(text)
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn sqlite() {
    any_sequence_is_as_in_the_model(Ledger::Sqlite, count("CAUSEWAY_MODEL_CASES", 100) as u32);
}

#[test]
fn postgres() {
    if crate::harness::plan::postgres_url().is_some() {
        any_sequence_is_as_in_the_model(Ledger::Postgres, count("CAUSEWAY_MODEL_CASES", 100) as u32 / 4);
    }
}
