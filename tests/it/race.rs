//! Several sessions change one small tree at once, over both protocols: what comes out is what some order of the
//! operations, one after the other, gives; never a mix, never a cycle.

use std::collections::BTreeMap;

use crate::harness::{Gateway, Ledger, Plan, Random, Rest, Sftp, count, on_both_ledgers, sha256};

on_both_ledgers!(every_outcome_is_a_serial_one, one_name_many_writers);

/// One operation on the tree, by paths below the round's folder.
#[derive(Clone, Debug)]
enum Op {
    Put(&'static str, Vec<u8>),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    Mkdir(&'static str),
    Rmdir(&'static str),
}

/// Path to hash; `folder` for folders. The root is the empty path.
type Tree = BTreeMap<String, String>;

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

fn is_folder(tree: &Tree, path: &str) -> bool {
    path.is_empty() || tree.get(path).is_some_and(|kind| kind == "folder")
}

fn has_children(tree: &Tree, path: &str) -> bool {
    tree.keys().any(|p| p.starts_with(&format!("{path}/")))
}

/// What the operation does when nothing else happens: whether it succeeds, and the tree after it.
fn apply(tree: &mut Tree, op: &Op) -> bool {
    match op {
        Op::Put(path, content) => {
            let allowed = is_folder(tree, parent(path)) && !is_folder(tree, path);
            if allowed {
                tree.insert((*path).to_owned(), sha256(content));
            }
            allowed
        }
        Op::Rename(from, to) => {
            let inside = to.starts_with(&format!("{from}/"));
            let allowed = tree.contains_key(*from) && !tree.contains_key(*to) && is_folder(tree, parent(to)) && !inside;
            if allowed {
                let moved: Vec<(String, String)> = tree
                    .iter()
                    .filter(|(p, _)| *p == from || p.starts_with(&format!("{from}/")))
                    .map(|(p, k)| (p.clone(), k.clone()))
                    .collect();
                for (path, kind) in moved {
                    tree.remove(&path);
                    tree.insert(format!("{to}{}", &path[from.len()..]), kind);
                }
            }
            allowed
        }
        Op::Remove(path) => {
            let allowed = tree.get(*path).is_some_and(|kind| kind != "folder");
            if allowed {
                tree.remove(*path);
            }
            allowed
        }
        Op::Mkdir(path) => {
            let allowed = !tree.contains_key(*path) && is_folder(tree, parent(path));
            if allowed {
                tree.insert((*path).to_owned(), "folder".to_owned());
            }
            allowed
        }
        Op::Rmdir(path) => {
            let allowed = tree.get(*path).is_some_and(|kind| kind == "folder") && !has_children(tree, path);
            if allowed {
                tree.remove(*path);
            }
            allowed
        }
    }
}

/// Every order of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut out = Vec::new();
    for shorter in orders(n - 1) {
        for at in 0..n {
            let mut order = shorter.clone();
            order.insert(at, n - 1);
            out.push(order);
        }
    }
    out
}

async fn over_sftp(session: &mut Sftp, root: &str, op: &Op) -> bool {
    let at = |path: &str| format!("{root}/{path}");
    match op {
        Op::Put(path, content) => session.put(&at(path), content).await,
        Op::Rename(from, to) => session.rename(&at(from), &at(to)).await,
        Op::Remove(path) => session.remove(&at(path)).await,
        Op::Mkdir(path) => session.mkdir(&at(path)).await,
        Op::Rmdir(path) => session.rmdir(&at(path)).await,
    }
    .map_err(|status| assert_ne!(status.code, crate::harness::sftp::CONNECTION_LOST, "{op:?}: {status:?}"))
    .is_ok()
}

/// Over REST where this version has the operation; none where it has not.
async fn over_rest(rest: &Rest, root: &str, op: &Op) -> Option<bool> {
    let at = |path: &str| format!("{root}/{path}");
    let answer = match op {
        Op::Put(path, content) => rest.put(&at(path), content).await,
        Op::Mkdir(path) => rest.post_json("/folders", &serde_json::json!({"path": at(path)})).await,
        Op::Rmdir(path) => rest.delete(&format!("/folders?path={}", at(path))).await,
        Op::Rename(..) | Op::Remove(_) => return None,
    };
    assert!(answer.status < 500, "{op:?}: {answer:?}");
    Some(answer.status < 300)
}

fn choose(random: &mut Random) -> Op {
    let content = random.bytes(40).to_vec();
    match random.below(14) {
        0 => Op::Put("a", content),
        1 => Op::Put("b", content),
        2 => Op::Put("d1/x", content),
        3 => Op::Rename("a", "b"),
        4 => Op::Rename("a", "c"),
        5 => Op::Rename("b", "c"),
        6 => Op::Rename("d1", "d2/d1"),
        7 => Op::Rename("d2", "d1/d2"),
        8 => Op::Rename("d1", "d3"),
        9 => Op::Remove("a"),
        10 => Op::Remove("d1/x"),
        11 => Op::Mkdir("d1/x"),
        12 => Op::Rmdir("d2"),
        _ => Op::Put("d2/y", content),
    }
}

async fn round(gateway: &Gateway, sessions: Vec<Sftp>, rest: &Rest, n: usize, random: &mut Random) -> Vec<Sftp> {
    let root = format!("/inbound/r{n}");
    let mut start = Tree::new();
    let mut sessions = sessions;
    sessions[0].mkdir(&root).await.unwrap();
    for op in [Op::Put("a", b"a".to_vec()), Op::Mkdir("d1"), Op::Mkdir("d2"), Op::Put("d1/x", b"x".to_vec())] {
        assert!(over_sftp(&mut sessions[0], &root, &op).await && apply(&mut start, &op), "{op:?}");
    }
    let ops: Vec<Op> = (0..sessions.len()).map(|_| choose(random)).collect();
    let mut tasks = Vec::new();
    for (op, mut session) in ops.iter().cloned().zip(sessions) {
        let (root, rest, by_rest) = (root.clone(), rest.clone(), random.percent(40));
        tasks.push(tokio::spawn(async move {
            let done = if by_rest { over_rest(&rest, &root, &op).await } else { None };
            let done = match done {
                Some(done) => done,
                None => over_sftp(&mut session, &root, &op).await,
            };
            (done, session)
        }));
    }
    let mut answers = Vec::new();
    let mut back = Vec::new();
    for task in tasks {
        let (done, session) = task.await.unwrap();
        answers.push(done);
        back.push(session);
    }
    let seen: Tree = gateway
        .rest("orders")
        .tree(&root)
        .await
        .into_iter()
        .map(|(path, kind)| (path[root.len() + 1..].to_owned(), kind))
        .collect();
    let serial = orders(ops.len()).into_iter().any(|order| {
        let mut tree = start.clone();
        order.iter().all(|&i| apply(&mut tree, &ops[i]) == answers[i]) && tree == seen
    });
    assert!(serial, "no order of these gives this.\noperations: {ops:#?}\nanswers: {answers:?}\ntree: {seen:#?}");
    // What is listed can be read, and is what its hash says.
    for (path, kind) in seen.iter().filter(|(_, kind)| *kind != "folder") {
        let read = rest.read(&format!("{root}/{path}")).await;
        assert_eq!(sha256(&read.body), *kind, "{path}");
    }
    back
}

async fn every_outcome_is_a_serial_one(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let rest = gateway.rest("orders");
    let mut random = Random::seeded("race");
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(gateway.sftp("app01").await);
    }
    for n in 0..count("CAUSEWAY_RACE_ROUNDS", 150) {
        sessions = round(&gateway, sessions, &rest, n, &mut random).await;
    }
    assert_eq!(rest.get("/audit/verify").await.ok()["valid"], true);
}

async fn one_name_many_writers(ledger: Ledger) {
    let gateway = Plan::new(ledger).start().await;
    let mut random = Random::seeded("writers");
    let contents: Vec<_> = (0..8).map(|_| random.bytes(300_000)).collect();
    let mut tasks = Vec::new();
    for (n, content) in contents.iter().cloned().enumerate() {
        let mut session = gateway.sftp(["app01", "edi01", "edi02"][n % 3]).await;
        let rest = gateway.rest(["orders", "edi"][n % 2]);
        tasks.push(tokio::spawn(async move {
            for _ in 0..5 {
                if n % 2 == 0 {
                    session.put("/inbound/one", &content).await.unwrap();
                } else {
                    rest.put("/inbound/one", &content).await.ok();
                }
            }
        }));
    }
    let rest = gateway.rest("orders");
    let reader = {
        let hashes: Vec<String> = contents.iter().map(|c| sha256(c)).collect();
        let rest = rest.clone();
        tokio::spawn(async move {
            for _ in 0..60 {
                let read = rest.read("/inbound/one").await;
                assert!(read.status == 404 || hashes.contains(&sha256(&read.body)), "a mix: {read:?}");
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
    };
    for task in tasks {
        task.await.unwrap();
    }
    reader.await.unwrap();
    let ok = rest.pages("/audit?operation=upload&outcome=ok&path=/inbound/one&limit=200", "entries").await;
    assert_eq!(ok.len(), 40, "one entry for each acknowledged upload");
    let last = rest.entry("/inbound", "one").await.unwrap();
    assert!(contents.iter().any(|c| last["hash"] == sha256(c)), "{last}");
}
