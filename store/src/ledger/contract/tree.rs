//! Nodes.

use causeway_core::ErrorKind;
use causeway_core::ports::{Durability, Reach, transact};
use causeway_core::records::{Actor, Attributes, ItemKind, Node};
use uuid::Uuid;

use super::{Subject, T0, file, folder, insert, item, job, root, upload, write};

fn names(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(|node| node.name.as_str()).collect()
}

pub async fn walks_along_names(ledger: Subject) {
    assert!(ledger.read(Reach::Gateway).await.unwrap().walk("acme", &["a"]).await.unwrap().is_empty());
    let root = root(&ledger).await;
    let odd = folder(root.id, "x\"y\\z ]é名$'");
    let deep = file(odd.id, "f");
    insert(&ledger, &odd).await;
    insert(&ledger, &deep).await;
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.walk("acme", &[]).await.unwrap(), std::slice::from_ref(&root));
    assert_eq!(query.walk("acme", &["x\"y\\z ]é名$'", "f"]).await.unwrap(), [root.clone(), odd.clone(), deep.clone()]);
    assert_eq!(query.walk("acme", &["x\"y\\z ]é名$'", "g", "f"]).await.unwrap(), [root.clone(), odd.clone()]);
    assert_eq!(query.walk("acme", &["f"]).await.unwrap(), std::slice::from_ref(&root));
    // Below a file there is nothing, and another tenant is another tree.
    assert_eq!(query.walk("acme", &["x\"y\\z ]é名$'", "f", "f"]).await.unwrap().len(), 3);
    assert!(query.walk("other", &["f"]).await.unwrap().is_empty());
}

pub async fn finds_nodes_and_children(ledger: Subject) {
    let root = root(&ledger).await;
    let node = file(root.id, "f");
    insert(&ledger, &node).await;
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.node(node.id).await.unwrap(), Some(node.clone()));
    assert_eq!(query.node(Uuid::now_v7()).await.unwrap(), None);
    assert_eq!(query.child(root.id, "f").await.unwrap(), Some(node.clone()));
    assert_eq!(query.child(root.id, "F").await.unwrap(), None);
    assert!(query.has_children(root.id).await.unwrap());
    assert!(!query.has_children(node.id).await.unwrap());
    write!(ledger, [node], |tx| tx.delete_node(node.id).await).unwrap();
    assert_eq!(query.node(node.id).await.unwrap(), None);
    assert!(!query.has_children(root.id).await.unwrap());
}

pub async fn names_are_unique(ledger: Subject) {
    let root = root(&ledger).await;
    let (a, b) = (folder(root.id, "a"), folder(root.id, "b"));
    insert(&ledger, &a).await;
    insert(&ledger, &b).await;
    let again = file(root.id, "a");
    let error = write!(ledger, [again], |tx| tx.insert_node(&again).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let onto = Node { name: "a".into(), ..b.clone() };
    let error = write!(ledger, [onto], |tx| tx.update_node(&onto).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    // In another folder, and in other letters, it is another name.
    insert(&ledger, &folder(a.id, "a")).await;
    insert(&ledger, &folder(root.id, "A")).await;
}

pub async fn lists_by_bytes(ledger: Subject) {
    let root = root(&ledger).await;
    let all = ["Z", "a", "a b", "a-b", "ab", "z", "é", "名", "\u{1f600}"];
    for name in all.iter().rev() {
        insert(&ledger, &folder(root.id, name)).await;
    }
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(names(&query.children(root.id, None, 100).await.unwrap()), all);
    let mut seen: Vec<String> = Vec::new();
    loop {
        let page = query.children(root.id, seen.last().map(String::as_str), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|node| node.name));
    }
    assert_eq!(seen, all);
    assert_eq!(names(&query.children(root.id, Some("f"), 2).await.unwrap()), ["z", "é"]);
}

pub async fn tells_ancestors(ledger: Subject) {
    let root = root(&ledger).await;
    let a = folder(root.id, "a");
    let b = file(a.id, "b");
    let adrift = folder(Uuid::now_v7(), "adrift");
    for node in [&a, &b, &adrift] {
        insert(&ledger, node).await;
    }
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let way = [(root.id, "acme".to_owned()), (a.id, "a".to_owned()), (b.id, "b".to_owned())];
    assert_eq!(query.ancestry(b.id).await.unwrap(), way);
    assert_eq!(query.ancestry(root.id).await.unwrap(), way[..1]);
    assert!(query.ancestry(Uuid::now_v7()).await.unwrap().is_empty());
    // What hangs in no tree has no ancestors to speak of.
    assert!(query.ancestry(adrift.id).await.unwrap().is_empty());
}

pub async fn updates_every_field(ledger: Subject) {
    let root = root(&ledger).await;
    let (a, node) = (folder(root.id, "a"), file(root.id, "f"));
    insert(&ledger, &a).await;
    insert(&ledger, &node).await;
    let changed = Node {
        id: node.id,
        content: file(a.id, "x").content,
        created_at: T0 + 1,
        modified_at: -5,
        attributes: Attributes {
            modified_at: None,
            accessed_at: Some(-7),
            mode: Some(0o7777),
            uid: Some(u32::MAX),
            gid: Some(0),
        },
        created_by: Actor { identity: "é".into(), login: String::new(), protocol: "api".into() },
        classification: Some("internal".into()),
        tags: [("k".to_owned(), "v\"".to_owned())].into(),
        ..file(a.id, "g")
    };
    write!(ledger, [changed], |tx| tx.update_node(&changed).await).unwrap();
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.node(node.id).await.unwrap(), Some(changed));
    assert_eq!(query.child(root.id, "f").await.unwrap(), None);
}

pub async fn changing_what_is_not_there(ledger: Subject) {
    let node = folder(Uuid::now_v7(), "a");
    let error = write!(ledger, [node], |tx| tx.update_node(&node).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = write!(ledger, [node], |tx| tx.delete_node(node.id).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let root = root(&ledger).await;
    let node = file(root.id, "f");
    insert(&ledger, &node).await;
    write!(ledger, [node, root], |tx| {
        assert_eq!(tx.hold_folder(root.id).await?, Some(root.clone()));
        assert_eq!(tx.hold_folder(node.id).await?, None, "a file is no folder");
        assert_eq!(tx.hold_node(node.id).await?, Some(node.clone()));
        assert_eq!(tx.hold_folder(Uuid::now_v7()).await?, None);
        assert_eq!(tx.hold_node(Uuid::now_v7()).await?, None);
        Ok(())
    })
    .unwrap();
}

pub async fn makes_a_root_once(ledger: Subject) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            transact(&*ledger, Reach::Gateway, Durability::Process, |tx| {
                Box::pin(async move { tx.ensure_root("acme", T0).await })
            })
            .await
        });
    }
    let roots = tasks.join_all().await;
    let first = roots[0].clone().unwrap();
    assert!(first.parent.is_nil() && first.is_folder() && first.name == "acme" && first.tenant == "acme");
    assert!(roots.into_iter().all(|root| root.unwrap() == first));
}

pub async fn another_tenants_rows_do_not_exist(ledger: Subject) {
    let root = root(&ledger).await;
    let (one, row, work) = (file(root.id, "file"), upload(root.id, "upload"), job("acme", "i", 0));
    insert(&ledger, &one).await;
    let stored = (row.clone(), work.clone());
    write!(ledger, [stored], |tx| {
        tx.insert_upload(&stored.0).await?;
        tx.insert_job(&stored.1).await?;
        tx.insert_job_items(stored.1.id, &[item(1, ItemKind::File)]).await
    })
    .unwrap();
    let own = Reach::Tenant("acme".into());
    let mut query = ledger.read(own.clone()).await.unwrap();
    assert_eq!(query.node(one.id).await.unwrap().as_ref(), Some(&one));
    assert_eq!(query.children(root.id, None, 9).await.unwrap().len(), 1);
    assert_eq!(query.uploads_named(root.id, "upload").await.unwrap(), std::slice::from_ref(&row));
    assert_eq!(query.job_items(work.id, -1, None, 9).await.unwrap().len(), 1);
    let other = Reach::Tenant("globex".into());
    let mut query = ledger.read(other.clone()).await.unwrap();
    assert_eq!(query.node(one.id).await.unwrap(), None);
    assert_eq!(query.ancestry(one.id).await.unwrap(), []);
    assert_eq!(query.child(root.id, "file").await.unwrap(), None);
    assert_eq!(query.children(root.id, None, 9).await.unwrap(), []);
    assert!(!query.has_children(root.id).await.unwrap());
    assert_eq!(query.upload(row.id).await.unwrap(), None);
    assert_eq!(query.uploads_named(root.id, "upload").await.unwrap(), []);
    assert_eq!(query.job(work.id).await.unwrap(), None);
    assert_eq!(query.job_items(work.id, -1, None, 9).await.unwrap(), []);
    let (file, folder, job) = (one.id, root.id, work.id);
    let seen = transact(&*ledger, other, Durability::Disk, move |tx| {
        Box::pin(async move {
            let held = (tx.hold_node(file).await?, tx.hold_folder(folder).await?, tx.hold_job(job).await?);
            let refused = tx.delete_node(file).await.map_err(|error| error.kind());
            Ok((held, refused, tx.settle_item(job, 1, &item(1, ItemKind::File)).await?))
        })
    })
    .await
    .unwrap();
    assert_eq!(seen, ((None, None, None), Err(ErrorKind::NotFound), false));
    assert_eq!(ledger.read(own).await.unwrap().node(file).await.unwrap(), Some(one));
}
