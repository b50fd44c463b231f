//! Transactions against each other, over and over: always one of the serial outcomes.

use causeway_core::ports::{Lock, Reach};
use causeway_core::records::{BlobState, Node, UploadRow};
use causeway_core::{Error, ErrorKind};
use uuid::Uuid;

use super::{Subject, T0, blob, file, folder, insert, root, upload, write};

const ROUNDS: usize = 20;

pub async fn one_of_two_reserves(ledger: Subject) {
    for _ in 0..ROUNDS {
        let parent = Uuid::now_v7();
        let begin = async |row: UploadRow| write!(ledger, [row], |tx| tx.insert_upload(&row).await);
        let one = UploadRow { exclusive: true, ..upload(parent, "lock") };
        let two = UploadRow { exclusive: true, ..upload(parent, "lock") };
        let (one, two) = tokio::join!(begin(one), begin(two));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        assert_eq!(one.and(two).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}

pub async fn one_of_two_makes_a_name(ledger: Subject) {
    let root = root(&ledger).await;
    for round in 0..ROUNDS {
        let make = async |node: Node| {
            write!(ledger, [node], |tx| {
                tx.lock(&[Lock::Name(node.parent, node.name.clone()), Lock::Quota("acme".into())]).await?;
                tx.hold_folder(node.parent).await?.ok_or_else(Error::no_such_folder)?;
                match tx.child(node.parent, &node.name).await? {
                    Some(_) => Err(Error::new(ErrorKind::Conflict, "seen before it was tried")),
                    None => tx.insert_node(&node).await,
                }
            })
        };
        let name = format!("n{round}");
        let (one, two) = tokio::join!(make(folder(root.id, &name)), make(file(root.id, &name)));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        // The second waited for the lock, so it saw what the first had made.
        assert_eq!(one.and(two).unwrap_err().kind(), ErrorKind::Conflict);
    }
}

pub async fn no_orphan_in_a_removed_folder(ledger: Subject) {
    let root = root(&ledger).await;
    for round in 0..ROUNDS {
        let dir = folder(root.id, &format!("d{round}"));
        insert(&ledger, &dir).await;
        let make = async |name: &str| {
            let node = file(dir.id, name);
            write!(ledger, [node], |tx| {
                tx.hold_folder(node.parent).await?.ok_or_else(Error::no_such_folder)?;
                tx.insert_node(&node).await
            })
        };
        let remove = async || {
            write!(ledger, [dir], |tx| {
                tx.hold_node(dir.id).await?.ok_or_else(Error::not_found)?;
                if tx.has_children(dir.id).await? {
                    return Err(Error::new(ErrorKind::NotEmpty, "not empty"));
                }
                tx.delete_node(dir.id).await
            })
        };
        let (one, removed, two) = tokio::join!(make("a"), remove(), make("b"));
        let mut query = ledger.read(Reach::Gateway).await.unwrap();
        let there = query.node(dir.id).await.unwrap().is_some();
        assert_eq!(there, removed.is_err());
        assert_eq!(query.has_children(dir.id).await.unwrap(), there, "{one:?} {removed:?} {two:?}");
        for made in [one, two] {
            match made {
                Ok(()) => assert_eq!(removed.clone().unwrap_err().kind(), ErrorKind::NotEmpty),
                Err(error) => assert_eq!(error.kind(), ErrorKind::NoSuchFolder),
            }
        }
    }
}

pub async fn references_race_with_release(ledger: Subject) {
    for _ in 0..ROUNDS {
        let (id, old, new) = (blob(), Uuid::now_v7(), Uuid::now_v7());
        write!(ledger, [id], |tx| tx.insert_blob(&id, old).await).unwrap();
        let (referenced, released) =
            tokio::join!(async { write!(ledger, [], |tx| tx.reference_blob(id.key, new).await) }, async {
                write!(ledger, [], |tx| tx.release_blobs(old, &[], T0).await)
            },);
        released.unwrap();
        let state = ledger.read(Reach::Gateway).await.unwrap().blob(id.key).await.unwrap().unwrap().state;
        match referenced {
            Ok(()) => assert_eq!(state, BlobState::Live),
            Err(error) => assert_eq!((error.kind(), state), (ErrorKind::Conflict, BlobState::Doomed)),
        }
    }
}

pub async fn last_references_race(ledger: Subject) {
    for _ in 0..ROUNDS {
        let ids = [blob(), blob(), blob()];
        let holders = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
        write!(ledger, [ids], |tx| {
            for id in &ids {
                tx.insert_blob(id, holders[0]).await?;
                tx.reference_blob(id.key, holders[1]).await?;
                tx.reference_blob(id.key, holders[2]).await?;
            }
            Ok(())
        })
        .unwrap();
        let release = async |holder| write!(ledger, [], |tx| tx.release_blobs(holder, &[], T0).await).unwrap();
        tokio::join!(release(holders[0]), release(holders[1]), release(holders[2]));
        for id in &ids {
            let row = ledger.read(Reach::Gateway).await.unwrap().blob(id.key).await.unwrap().unwrap();
            assert_eq!(row.state, BlobState::Doomed);
        }
    }
}

pub async fn counters_lose_nothing(ledger: Subject) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            write!(ledger, [], |tx| {
                tx.add_usage("acme", "i", 3).await?;
                tx.add_usage("acme", "j", -1).await
            })
        });
    }
    assert!(tasks.join_all().await.into_iter().all(|outcome| outcome.is_ok()));
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.usage("acme", Some("i")).await.unwrap(), 300);
    assert_eq!(query.usage("acme", None).await.unwrap(), 200);
}

pub async fn moves_make_no_cycle(ledger: Subject) {
    let root = root(&ledger).await;
    for round in 0..ROUNDS {
        let (a, b) = (folder(root.id, &format!("a{round}")), folder(root.id, &format!("b{round}")));
        insert(&ledger, &a).await;
        insert(&ledger, &b).await;
        let shift = async |what: Uuid, into: Uuid| {
            write!(ledger, [], |tx| {
                tx.lock(&[Lock::Tree("acme".into())]).await?;
                tx.hold_folder(into).await?.ok_or_else(Error::no_such_folder)?;
                if tx.ancestry(into).await?.iter().any(|(id, _)| *id == what) {
                    return Err(Error::new(ErrorKind::InvalidArgument, "into itself"));
                }
                let node = tx.hold_node(what).await?.ok_or_else(Error::not_found)?;
                tx.update_node(&Node { parent: into, ..node }).await
            })
        };
        let (one, two) = tokio::join!(shift(a.id, b.id), shift(b.id, a.id));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let mut query = ledger.read(Reach::Gateway).await.unwrap();
        assert!(!query.ancestry(a.id).await.unwrap().is_empty());
        assert!(!query.ancestry(b.id).await.unwrap().is_empty());
    }
}
