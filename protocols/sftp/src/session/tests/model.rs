//! The front end's session on a real gateway, against a model of a filesystem: whatever is asked, in whatever order, both
//! agree on what succeeds, and at the end on every name, content and mode.

use std::collections::BTreeMap;

use super::*;
use crate::codec::tests::Answer;
use crate::tests::Place;

#[derive(Clone, Debug)]
enum Op {
    /// Opens a file for writing, if none is open: flags beside `WRITE`.
    Open(&'static str, u32),
    /// Writes so many bytes at an offset of the open file.
    Write(u64, usize),
    /// Cuts or extends the open file.
    Cut(u64),
    /// Copies so many bytes (0: all) of a file, from an offset, to an offset of the open file.
    Copy(&'static str, u64, u64, u64),
    Sync,
    Close,
    Mkdir(&'static str),
    Rmdir(&'static str),
    Remove(&'static str),
    Rename(&'static str, &'static str, bool),
    Resize(&'static str, u64),
    Mode(&'static str, u32),
}

/// A file's content, or none for a folder; and the mode that was set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    content: Option<Vec<u8>>,
    mode: Option<u32>,
}

/// The file that is open for writing.
#[derive(Debug)]
struct Open {
    path: &'static str,
    content: Vec<u8>,
    append: bool,
}

#[derive(Debug, Default)]
struct Model {
    nodes: BTreeMap<String, Node>,
    open: Option<Open>,
    /// Counts what was written, so that each write is another content.
    writes: usize,
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

impl Model {
    fn is_folder(&self, path: &str) -> bool {
        path.is_empty() || self.nodes.get(path).is_some_and(|node| node.content.is_none())
    }

    fn has_place(&self, path: &str) -> bool {
        self.is_folder(path.rsplit_once('/').map_or("", |(folder, _)| folder))
    }

    fn file(&self, path: &str) -> Option<&Vec<u8>> {
        self.nodes.get(path).and_then(|node| node.content.as_ref())
    }

    /// What is open for writing is in the way of changing its name or its folder's: what happens then is another test's.
    fn concerns_open(&self, path: &str) -> bool {
        self.open.as_ref().is_some_and(|open| open.path == path || below(open.path, path))
    }

    fn put(&mut self, offset: u64, data: &[u8]) {
        let Some(open) = &mut self.open else { return };
        let at = if open.append { open.content.len() } else { offset as usize };
        if !data.is_empty() && open.content.len() < at + data.len() {
            open.content.resize(at + data.len(), 0);
        }
        if !data.is_empty() {
            open.content[at..at + data.len()].copy_from_slice(data);
        }
    }

    /// Whether renaming is allowed; done where it is.
    fn rename(&mut self, from: &str, to: &str, overwrite: bool) -> bool {
        if !self.nodes.contains_key(from) || !self.has_place(to) {
            return false;
        }
        if from == to {
            return true;
        }
        let both_files = self.file(from).is_some() && self.file(to).is_some();
        if below(to, from) || (self.nodes.contains_key(to) && !(overwrite && both_files)) {
            return false;
        }
        let moved: Vec<String> = self.nodes.keys().filter(|path| *path == from || below(path, from)).cloned().collect();
        for path in moved {
            let node = self.nodes.remove(&path).unwrap();
            self.nodes.insert(format!("{to}{}", &path[from.len()..]), node);
        }
        true
    }
}

async fn ok(client: &mut Client, request: Request) -> bool {
    match client.ask(request).await {
        Answer::Status(code, _) => code == 0,
        Answer::Handle(_) => true,
        other => panic!("{other:?}"),
    }
}

/// One step on both sides.
async fn step(client: &mut Client, handle: &mut Option<Bytes>, model: &mut Model, op: &Op) {
    let size = |size| FileAttributes { size: Some(size), ..FileAttributes::default() };
    let (did, expected) = match *op {
        Op::Open(_, _) if model.open.is_some() => return,
        Op::Write(..) | Op::Cut(_) | Op::Copy(..) | Op::Sync | Op::Close if model.open.is_none() => return,
        Op::Open(name, flags) => {
            let there = model.file(name).cloned();
            let create = flags & OpenFlags::CREAT != 0;
            let expected = model.has_place(name)
                && !model.is_folder(name)
                && if flags & OpenFlags::EXCL != 0 { there.is_none() } else { create || there.is_some() };
            let answer = client.ask(open(name, OpenFlags::WRITE | flags)).await;
            if let Answer::Handle(given) = &answer {
                *handle = Some(given.clone());
            }
            if expected {
                let keeps = flags & OpenFlags::TRUNC == 0;
                let content = there.filter(|_| keeps).unwrap_or_default();
                model.open = Some(Open { path: name, content, append: flags & OpenFlags::APPEND != 0 });
            }
            (matches!(answer, Answer::Handle(_)), expected)
        }
        Op::Write(offset, len) => {
            model.writes += 1;
            let data = vec![model.writes as u8; len];
            model.put(offset, &data);
            (ok(client, write(handle.as_ref().unwrap(), offset, data)).await, true)
        }
        Op::Cut(to) => {
            if let Some(open) = &mut model.open {
                open.content.resize(to as usize, 0);
            }
            (ok(client, Request::Fsetstat(handle.clone().unwrap(), size(to))).await, true)
        }
        Op::Copy(from, offset, length, at) => {
            let Some(source) = model.file(from).cloned() else { return };
            let lender = client.open(from, OpenFlags::READ).await;
            let copying = Copying { from: lender.clone(), offset, length, to: handle.clone().unwrap(), at };
            let did = ok(client, Request::Extended(Extended::CopyData(copying))).await;
            assert!(ok(client, Request::Close(lender)).await);
            let rest = source.get(offset as usize..).unwrap_or_default();
            let wanted = if length == 0 { rest.len() } else { length as usize };
            model.put(at, &rest[..wanted.min(rest.len())]);
            (did, wanted <= rest.len())
        }
        Op::Sync => (ok(client, Request::Extended(Extended::Fsync(handle.clone().unwrap()))).await, true),
        Op::Close => {
            let Some(Open { path, content, .. }) = model.open.take() else { return };
            let mode = model.nodes.get(path).and_then(|node| node.mode);
            model.nodes.insert(path.to_owned(), Node { content: Some(content), mode });
            (ok(client, Request::Close(handle.take().unwrap())).await, true)
        }
        Op::Mkdir(name) if !model.concerns_open(name) => {
            let expected = model.has_place(name) && !model.nodes.contains_key(name);
            if expected {
                model.nodes.insert(name.to_owned(), Node { content: None, mode: None });
            }
            (ok(client, Request::Mkdir(path(name), FileAttributes::default())).await, expected)
        }
        Op::Rmdir(name) if !model.concerns_open(name) => {
            let expected = model.is_folder(name) && !model.nodes.keys().any(|path| below(path, name));
            if expected {
                model.nodes.remove(name);
            }
            (ok(client, Request::Rmdir(path(name))).await, expected)
        }
        Op::Remove(name) if !model.concerns_open(name) => {
            let expected = model.file(name).is_some();
            if expected {
                model.nodes.remove(name);
            }
            (ok(client, Request::Remove(path(name))).await, expected)
        }
        Op::Rename(from, to, overwrite) if !model.concerns_open(from) && !model.concerns_open(to) => {
            let request = if overwrite {
                Request::Extended(Extended::PosixRename(path(from), path(to)))
            } else {
                Request::Rename(path(from), path(to))
            };
            (ok(client, request).await, model.rename(from, to, overwrite))
        }
        Op::Resize(name, to) if !model.concerns_open(name) => {
            let expected = model.file(name).is_some();
            if let Some(Node { content: Some(content), .. }) = model.nodes.get_mut(name) {
                content.resize(to as usize, 0);
            }
            (ok(client, Request::Setstat(path(name), size(to))).await, expected)
        }
        Op::Mode(name, mode) if !model.concerns_open(name) => {
            let expected = model.nodes.contains_key(name);
            if let Some(node) = model.nodes.get_mut(name) {
                node.mode = Some(mode);
            }
            let attributes = FileAttributes { permissions: Some(mode), ..FileAttributes::default() };
            (ok(client, Request::Setstat(path(name), attributes)).await, expected)
        }
        _ => return,
    };
    assert_eq!(did, expected, "{op:?} on {model:?}");
}

/// The tree as a client reads it.
async fn tree(client: &mut Client) -> BTreeMap<String, (Option<Vec<u8>>, u32)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let Answer::Handle(handle) = client.ask(Request::Opendir(path(&format!("{folder}/")))).await else { panic!() };
        while let Answer::Names(names) = client.ask(Request::Readdir(handle.clone())).await {
            for entry in names.into_iter().filter(|entry| entry.name != "." && entry.name != "..") {
                let name = format!("{folder}/{}", entry.name);
                let mode = entry.attributes.permissions.unwrap();
                let Answer::Attributes(alone) = client.ask(Request::Stat(path(&name))).await else { panic!() };
                assert_eq!(alone, entry.attributes, "{name}");
                if mode & 0o040_000 != 0 {
                    folders.push(name.clone());
                    found.insert(name, (None, mode & 0o7777));
                    continue;
                }
                let file = client.open(&name, OpenFlags::READ).await;
                let read = Request::Read { handle: file.clone(), offset: 0, length: 100_000 };
                let content = match client.ask(read).await {
                    Answer::Data(data) => data.to_vec(),
                    Answer::Status(1, _) => Vec::new(),
                    other => panic!("{other:?}"),
                };
                assert_eq!(entry.attributes.size, Some(content.len() as u64), "{name}");
                assert!(ok(client, Request::Close(file)).await);
                found.insert(name, (Some(content), mode & 0o7777));
            }
        }
        assert!(ok(client, Request::Close(handle)).await);
    }
    found
}

fn ops() -> impl Strategy<Value = Op> {
    let name = || proptest::sample::select(vec!["/a", "/b", "/d", "/d/a", "/d/e", "/d/e/b"]);
    let flags = proptest::sample::select(vec![
        OpenFlags::CREAT | OpenFlags::TRUNC,
        OpenFlags::CREAT | OpenFlags::EXCL,
        OpenFlags::CREAT,
        OpenFlags::TRUNC,
        OpenFlags::CREAT | OpenFlags::APPEND,
        0,
    ]);
    prop_oneof![
        4 => (name(), flags).prop_map(|(path, flags)| Op::Open(path, flags)),
        4 => (0u64..3000, 0usize..2000).prop_map(|(offset, len)| Op::Write(offset, len)),
        1 => (0u64..4000).prop_map(Op::Cut),
        2 => (name(), 0u64..100, 0u64..100, 0u64..2000).prop_map(|(p, offset, len, at)| Op::Copy(p, offset, len, at)),
        2 => name().prop_map(|path| Op::Copy(path, 0, 0, 0)),
        1 => Just(Op::Sync),
        5 => Just(Op::Close),
        2 => name().prop_map(Op::Mkdir),
        1 => name().prop_map(Op::Rmdir),
        1 => name().prop_map(Op::Remove),
        3 => (name(), name(), any::<bool>()).prop_map(|(from, to, overwrite)| Op::Rename(from, to, overwrite)),
        1 => (name(), 0u64..3000).prop_map(|(path, size)| Op::Resize(path, size)),
        1 => (name(), 0u32..0o1000).prop_map(|(path, mode)| Op::Mode(path, mode)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_session_is_a_filesystem(ops in proptest::collection::vec(ops(), 1..60)) {
        block_on(async {
            let place = Place::new().await;
            let mut client = Client::new(&place.account().await).await;
            let (mut model, mut handle) = (Model::default(), None);
            for op in &ops {
                step(&mut client, &mut handle, &mut model, op).await;
            }
            step(&mut client, &mut handle, &mut model, &Op::Close).await;
            let expected: BTreeMap<_, _> = model
                .nodes
                .into_iter()
                .map(|(path, Node { content, mode })| {
                    let default = if content.is_some() { 0o644 } else { 0o755 };
                    (path, (content, mode.unwrap_or(default)))
                })
                .collect();
            assert_eq!(tree(&mut client).await, expected);
            client.leave().await;
        });
    }
}
