//! `kill -9` at any moment. Workers change their own parts of the tree over SFTP and REST and note what was
//! acknowledged; the daemon is killed while they do, and started again. Then every acknowledged operation is there, the
//! one that was under way is there whole or not at all, and the trail and the webhooks say exactly the same.
//!
//! `CAUSEWAY_CRASH_ROUNDS` and `CAUSEWAY_CRASH_ROUNDS_POSTGRES` set how often (200 and 20).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::harness::sftp::CONNECTION_LOST;
use crate::harness::{Gateway, Ledger, Plan, Random, Receiver, Rest, Sftp, Status, count, say, sha256};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_on_sqlite() {
    crash(Ledger::Sqlite, count("CAUSEWAY_CRASH_ROUNDS", 200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_on_postgres() {
    if crate::harness::plan::postgres_url().is_some() {
        crash(Ledger::Postgres, count("CAUSEWAY_CRASH_ROUNDS_POSTGRES", 20)).await;
    }
}

#[derive(Clone, Debug)]
enum Op {
    Put(String, Bytes),
    Rename(String, String),
    Remove(String),
    Mkdir(String),
    Rmdir(String),
}

/// Path to hash; `folder` for folders.
type Tree = BTreeMap<String, String>;

fn apply(tree: &Tree, op: &Op) -> Tree {
    let mut tree = tree.clone();
    match op {
        Op::Put(path, content) => {
            tree.insert(path.clone(), sha256(content));
        }
        Op::Rename(from, to) => {
            let below = format!("{from}/");
            let moved: Vec<String> = tree.keys().filter(|p| *p == from || p.starts_with(&below)).cloned().collect();
            for path in moved {
                let kind = tree.remove(&path).unwrap();
                tree.insert(format!("{to}{}", &path[from.len()..]), kind);
            }
        }
        Op::Remove(path) | Op::Rmdir(path) => {
            tree.remove(path);
        }
        Op::Mkdir(path) => {
            tree.insert(path.clone(), "folder".to_owned());
        }
    }
    tree
}

/// Whether an upload to this name is announced at once (`uploads.temporary_names`).
fn is_temporary(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|e| e == "part")
}

/// One client, with a folder that is its own.
struct Worker {
    root: String,
    by_rest: bool,
    random: Random,
    serial: usize,
    /// What is there for sure.
    tree: Tree,
    /// What was asked for and not yet acknowledged.
    pending: Option<Op>,
    /// Uploads that are done: path (as uploaded), hash.
    uploaded: Vec<(String, String)>,
    /// What was announced as arrived: path, hash; in this order.
    announced: Vec<(String, String)>,
    /// Hashes of uploads that were under way at a kill and did not happen.
    never: Vec<String>,
}

impl Worker {
    fn new(n: usize, seed: u64) -> Self {
        Self {
            root: format!("/inbound/w{n}"),
            by_rest: n % 2 == 1,
            random: Random::from(seed + n as u64),
            serial: 0,
            tree: Tree::new(),
            pending: None,
            uploaded: Vec::new(),
            announced: Vec::new(),
            never: Vec::new(),
        }
    }

    fn fresh(&mut self, folder: &str, suffix: &str) -> String {
        self.serial += 1;
        format!("{folder}/n{}{suffix}", self.serial)
    }

    fn pick(&mut self, folders: bool) -> Option<String> {
        let of: Vec<String> =
            self.tree.iter().filter(|(_, k)| (*k == "folder") == folders).map(|(p, _)| p.clone()).collect();
        (!of.is_empty()).then(|| self.random.pick(&of).clone())
    }

    /// An operation that the tree, as it is known to be, allows.
    fn choose(&mut self) -> Op {
        let files = self.tree.values().filter(|k| *k != "folder").count();
        let folder = if self.random.percent(40) { self.pick(true) } else { None }.unwrap_or_else(|| self.root.clone());
        let size = match self.random.below(10) {
            0 => 0,
            1 => 1_500_000,
            2..=4 => 200_000,
            _ => 3_000,
        };
        let dice = self.random.below(100);
        let content = self.random.bytes(size + 16);
        if files > 8 || (dice < 12 && files > 0) {
            return Op::Remove(self.pick(false).unwrap());
        }
        if dice < 40 && files > 0 {
            return Op::Put(self.pick(false).unwrap(), content);
        }
        if dice < 55 && files > 0 && !self.by_rest {
            let from = self.pick(false).unwrap();
            return Op::Rename(from, self.fresh(&folder, ""));
        }
        let folders = self.tree.len() - files;
        if dice < 62 && folders < 6 {
            return Op::Mkdir(self.fresh(&self.root.clone(), ".d"));
        }
        if dice < 68
            && !self.by_rest
            && let Some(from) = self.pick(true)
        {
            return Op::Rename(from, self.fresh(&self.root.clone(), ".d"));
        }
        if (dice < 72 || folders >= 6)
            && let Some(empty) = self.pick(true)
            && !self.tree.keys().any(|p| p.starts_with(&format!("{empty}/")))
        {
            return Op::Rmdir(empty);
        }
        let suffix = if self.random.percent(25) && !self.by_rest { ".part" } else { "" };
        Op::Put(self.fresh(&folder, suffix), content)
    }

    /// Notes that an operation has happened.
    fn happened(&mut self, op: &Op) {
        match op {
            Op::Put(path, content) => {
                self.uploaded.push((path.clone(), sha256(content)));
                if !is_temporary(path) {
                    self.announced.push((path.clone(), sha256(content)));
                }
            }
            Op::Rename(from, to) if is_temporary(from) && !is_temporary(to) => {
                self.announced.push((to.clone(), self.tree[from].clone()));
            }
            _ => {}
        }
        self.tree = apply(&self.tree, op);
    }

    /// Works until the connection is lost.
    async fn work(mut self, mut sftp: Sftp, rest: Rest) -> Self {
        loop {
            let op = self.choose();
            self.pending = Some(op.clone());
            let done = if self.by_rest { by_rest(&rest, &op).await } else { by_sftp(&mut sftp, &op).await };
            match done {
                Ok(()) => {
                    self.pending = None;
                    self.happened(&op);
                }
                Err(status) if status.code == CONNECTION_LOST => return self,
                Err(status) => panic!("{} was refused: {status:?}\nin {:#?}", short(&op), self.tree),
            }
        }
    }

    /// Looks at what is there after a restart, and settles what was under way.
    async fn settle(&mut self, rest: &Rest) {
        let mut seen = rest.tree(&self.root).await;
        seen.remove(&self.root);
        if seen == self.tree {
            if let Some(Op::Put(_, content)) = self.pending.take() {
                self.never.push(sha256(&content));
            }
            self.pending = None;
        } else {
            let pending = self.pending.take();
            let then = pending.as_ref().map(|op| apply(&self.tree, op));
            assert_eq!(
                Some(&seen),
                then.as_ref(),
                "what is there is neither what was acknowledged ({:#?}) nor that and the operation under way ({:?})",
                self.tree,
                pending.as_ref().map(short)
            );
            self.happened(&pending.unwrap());
        }
        for (path, hash) in self.tree.iter().filter(|(_, k)| *k != "folder") {
            let read = rest.read(path).await;
            assert_eq!((read.status, &sha256(&read.body)), (200, hash), "{path} is not what it must be");
        }
    }
}

fn short(op: &Op) -> String {
    match op {
        Op::Put(path, content) => format!("put {path}, {} bytes, {}", content.len(), sha256(content)),
        other => format!("{other:?}"),
    }
}

async fn by_sftp(sftp: &mut Sftp, op: &Op) -> Result<(), Status> {
    match op {
        Op::Put(path, content) => sftp.put(path, content).await,
        Op::Rename(from, to) => sftp.rename(from, to).await,
        Op::Remove(path) => sftp.remove(path).await,
        Op::Mkdir(path) => sftp.mkdir(path).await,
        Op::Rmdir(path) => sftp.rmdir(path).await,
    }
}

async fn by_rest(rest: &Rest, op: &Op) -> Result<(), Status> {
    let lost = |error: reqwest::Error| Status { code: CONNECTION_LOST, message: error.to_string() };
    let request = match op {
        Op::Put(path, content) if content.len() % 2 == 0 => rest.put_request(path, content.clone()),
        Op::Put(path, content) => {
            let (folder, name) = path.rsplit_once('/').unwrap();
            rest.form_request(&[
                ("file", Some(name), content),
                ("destination", None, folder.as_bytes()),
                ("overwrite", None, b"true"),
            ])
        }
        Op::Mkdir(path) => rest
            .request(reqwest::Method::POST, "/folders")
            .header("content-type", "application/json")
            .body(json!({ "path": path }).to_string()),
        Op::Rmdir(path) => rest.request(reqwest::Method::DELETE, &format!("/folders?path={path}")),
        Op::Remove(path) => {
            let head = rest
                .request(reqwest::Method::GET, &format!("/files?path={}&limit=200", path.rsplit_once('/').unwrap().0));
            let listed = rest.try_send(head).await.map_err(lost)?.ok();
            let entry = listed["entries"].as_array().unwrap().iter().find(|e| e["path"] == path.as_str());
            let id =
                entry.unwrap_or_else(|| panic!("{path} is not in {listed}"))["file_id"].as_str().unwrap().to_owned();
            rest.request(reqwest::Method::DELETE, &format!("/files/{id}"))
        }
        Op::Rename(..) => unreachable!("not chosen for REST"),
    };
    let answer = rest.try_send(request).await.map_err(lost)?;
    if answer.status < 300 {
        Ok(())
    } else {
        Err(Status { code: u32::from(answer.status), message: format!("{answer:?}") })
    }
}

/// Exactly one audit entry for every upload that happened, none for one that did not, and the chain holds.
async fn check_trail(rest: &Rest, workers: &[Worker]) {
    let mut entries: HashMap<String, usize> = HashMap::new();
    for entry in rest.pages("/audit?operation=upload&outcome=ok&limit=500", "entries").await {
        *entries.entry(entry["hash"].as_str().expect("a hash").to_owned()).or_default() += 1;
    }
    for worker in workers {
        for (path, hash) in &worker.uploaded {
            assert_eq!(entries.remove(hash), Some(1), "audit entries of the upload of {path}, {hash}");
        }
        for hash in &worker.never {
            assert!(!entries.contains_key(hash), "an audit entry of an upload that did not happen: {hash}");
        }
    }
    assert!(entries.is_empty(), "audit entries of uploads that nobody made: {entries:?}");
    let verified = rest.get("/audit/verify").await.ok();
    assert_eq!(verified["valid"], true, "{verified}");
}

/// Every arrival was told at least once, under one id, in order; and nothing was told that did not happen.
async fn check_webhooks(receiver: &Receiver, workers: &[Worker]) {
    let expected: usize = workers.iter().map(|w| w.announced.len()).sum();
    let told = |posts: &[crate::harness::webhooks::Post]| {
        let mut hashes: Vec<String> = posts.iter().map(|p| p.hash().to_owned()).collect();
        hashes.sort();
        hashes.dedup();
        hashes.len()
    };
    crate::harness::eventually("all arrivals are told", Duration::from_mins(2), || async {
        (told(&receiver.posts()) >= expected).then_some(())
    })
    .await;
    let mut first: HashMap<String, (usize, String, String)> = HashMap::new();
    for (n, post) in receiver.posts().into_iter().enumerate() {
        let (hash, path) = (post.hash().to_owned(), post.path().to_owned());
        let known = first.entry(hash).or_insert_with(|| (n, post.id.clone(), path.clone()));
        assert_eq!((&known.1, &known.2), (&post.id, &path), "one arrival, one event: {post:?}");
    }
    for worker in workers {
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (path, hash) in &worker.announced {
            let (n, _, told_path) = first.remove(hash).unwrap_or_else(|| panic!("{path}, {hash} was not told"));
            assert_eq!(told_path, *path);
            if let Some(before) = last.insert(path, n) {
                assert!(before < n, "{path}: told out of order");
            }
        }
    }
    assert!(first.is_empty(), "told, but it did not happen: {first:?}");
}

async fn crash(ledger: Ledger, rounds: usize) {
    let receiver = Receiver::start().await;
    let mut random = Random::seeded("crash");
    let mut gateway = Plan::new(ledger)
        .uploads("incomplete_expiry = \"2s\"")
        .uploads("blob_grace = \"0s\"")
        .webhook("arrivals", &receiver, &["file.uploaded"])
        .start()
        .await;
    let mut workers: Vec<Worker> = (0..4).map(|n| Worker::new(n, random.next())).collect();
    for worker in &workers {
        gateway.rest("orders").post_json("/folders", &json!({"path": worker.root})).await.ok();
    }
    let (mut under_way, mut happened) = (0, 0);
    for round in 0..rounds {
        let mut tasks = Vec::new();
        for worker in workers {
            let (sftp, rest) = (gateway.sftp("app01").await, gateway.rest("orders"));
            tasks.push(tokio::spawn(worker.work(sftp, rest)));
        }
        tokio::time::sleep(Duration::from_millis(20 + random.below(300))).await;
        gateway.kill().await;
        workers = Vec::new();
        for task in tasks {
            workers.push(task.await.expect("a worker failed"));
        }
        gateway.start().await;
        let rest = gateway.rest("orders");
        for worker in &mut workers {
            let (pending, before) = (worker.pending.is_some(), worker.tree.clone());
            worker.settle(&rest).await;
            under_way += usize::from(pending);
            happened += usize::from(pending && worker.tree != before);
        }
        if round % 25 == 24 {
            check_trail(&rest, &workers).await;
        }
    }
    let operations: usize = workers.iter().map(|w| w.uploaded.len()).sum();
    say(&format!(
        "{ledger:?}, {rounds} kills: {operations} uploads, {under_way} operations under way, {happened} of them done"
    ));
    assert!(operations >= rounds, "the workers did work");
    check_trail(&gateway.rest("orders"), &workers).await;
    check_webhooks(&receiver, &workers).await;
    nothing_is_left_over(&mut gateway, &workers).await;
}

/// Broken uploads expire and blobs without a reference are swept: what stays in the storage is what the tree holds.
async fn nothing_is_left_over(gateway: &mut Gateway, workers: &[Worker]) {
    let files: usize = workers.iter().map(|w| w.tree.values().filter(|k| *k != "folder").count()).sum();
    crate::harness::eventually("orphans are swept", Duration::from_mins(1), || async {
        let left = gateway.blob_files().len();
        (left <= files).then_some(())
    })
    .await;
    let rest = gateway.rest("orders");
    for worker in workers {
        for (path, hash) in worker.tree.iter().filter(|(_, k)| *k != "folder") {
            assert_eq!(sha256(&rest.read(path).await.body), *hash, "{path}: swept, but in use");
        }
    }
    gateway.stop().await;
    let verified = gateway.run(&["audit", "verify"]);
    assert!(verified.status.success(), "{verified:?}");
}
