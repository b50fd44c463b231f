//! The state machine over an in-memory stream, with files that are in memory too.

mod client;
mod extended;
mod model;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use self::client::{Client, PATIENCE, open, path, pattern, write};
use super::fake::FakeFiles;
use super::*;
use crate::codec::tests::{Answer, encode_init, encode_request};
use crate::codec::{Copying, Extended, FileAttributes, Hashing, OpenFlags, Request};

const PUT: u32 = OpenFlags::WRITE | OpenFlags::CREAT | OpenFlags::TRUNC;

#[tokio::test]
async fn pipelined_put_and_get() {
    let files = FakeFiles::new();
    let mut client = Client::new(&files).await;
    let content = pattern(3_000_000);
    let handle = client.open("/a.bin", PUT).await;
    let mut ids = Vec::new();
    for (index, chunk) in content.chunks(32 * 1024).enumerate() {
        ids.push(client.send(write(&handle, index as u64 * 32 * 1024, chunk.to_vec())).await);
    }
    for id in ids {
        assert_eq!(client.answer(id).await, Answer::Status(0, "done".into()));
    }
    assert_eq!(files.content("/a.bin"), None, "nothing is visible before the close");
    assert_eq!(client.status(Request::Close(handle.clone())).await, 0);
    assert_eq!(files.content("/a.bin").unwrap(), content);
    assert_eq!(client.status(Request::Close(handle)).await, 4, "a closed handle is no more");

    let handle = client.open("/a.bin", OpenFlags::READ).await;
    let mut ids = Vec::new();
    for offset in (0..content.len() + 200_000).step_by(32 * 1024) {
        let request = Request::Read { handle: handle.clone(), offset: offset as u64, length: 32 * 1024 };
        ids.push(client.send(request).await);
    }
    let asked = ids.len();
    let mut got = Vec::new();
    let mut ends = 0;
    for id in ids {
        match client.answer(id).await {
            Answer::Data(data) => got.extend_from_slice(&data),
            Answer::Status(1, _) => ends += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, content);
    assert!(ends > 3);
    // Each read is asked of the download by itself; it is the download that reads ahead in large pieces (core's `ahead`).
    assert_eq!(files.reads(), asked);
    assert_eq!(client.status(Request::Close(handle)).await, 0);
    assert_eq!(client.leave().await, Ended::Client);
    assert_eq!(files.log(), ["commit /a.bin", "finish /a.bin"]);
}

#[tokio::test]
async fn what_is_open_at_the_end_is_incomplete() {
    let files = FakeFiles::new();
    files.put("/old", b"old");
    let mut client = Client::new(&files).await;
    let upload = client.open("/new", PUT).await;
    client.open("/old", OpenFlags::READ).await;
    // The last write is not waited for: it was asked, so it is done.
    client.send(write(&upload, 0, "half")).await;
    assert_eq!(client.leave().await, Ended::Client);
    let mut log = files.log();
    log.sort();
    assert_eq!(log, ["detach /new 4 incomplete", "fail /old"]);
    assert_eq!(files.content("/new"), None);
}

#[tokio::test]
async fn a_failed_write_cannot_be_committed() {
    let files = FakeFiles::new();
    files.limit(10);
    let mut client = Client::new(&files).await;
    let handle = client.open("/a", PUT).await;
    assert_eq!(client.status(write(&handle, 0, "0123456789")).await, 0);
    assert_eq!(client.status(write(&handle, 10, "x")).await, 4);
    assert_eq!(client.status(write(&handle, 0, "y")).await, 4, "the error stays");
    let Answer::Status(4, sentence) = client.ask(Request::Close(handle)).await else { panic!() };
    assert!(sentence.contains("quota"), "{sentence}");
    assert_eq!(client.leave().await, Ended::Client);
    assert_eq!(files.log(), ["detach /a 10 quota_exceeded"]);
}

#[tokio::test]
async fn malformed_packets() {
    let files = FakeFiles::new();
    let mut client = Client::new(&files).await;
    // Known id: the session goes on.
    client.write.write_all(&[0, 0, 0, 7, 3, 0, 0, 0, 77, 0, 0]).await.unwrap();
    assert!(matches!(client.answer(77).await, Answer::Status(5, _)));
    // A type that there is not.
    assert_eq!(client.status(Request::Unknown(99)).await, 8);
    assert_eq!(client.status(Request::Extended(Extended::Unknown(path("vendor-id")))).await, 8);
    // A length that no packet has: the session ends, and what is open stays incomplete.
    client.open("/a", PUT).await;
    client.write.write_all(&[0xff; 64]).await.unwrap();
    assert!(client.packet().await.is_none());
    assert!(matches!(client.session.await.unwrap(), Ended::Broken(_)));
    assert_eq!(files.log(), ["detach /a 0 incomplete"]);

    // No id at all.
    let mut client = Client::new(&files).await;
    client.write.write_all(&[0, 0, 0, 2, 3, 0]).await.unwrap();
    assert!(client.packet().await.is_none());
    assert!(matches!(client.session.await.unwrap(), Ended::Broken(_)));

    // The first packet is not INIT.
    let mut client = Client::raw(&files);
    client.send(Request::Stat(path("/"))).await;
    assert!(client.packet().await.is_none());
    assert!(matches!(client.session.await.unwrap(), Ended::Broken(_)));
}

#[tokio::test]
async fn listings_are_streamed() {
    let files = FakeFiles::new();
    for number in 0..1000 {
        files.put(&format!("/many/file-{number:04}"), b"x");
    }
    let mut client = Client::new(&files).await;
    let Answer::Handle(handle) = client.ask(Request::Opendir(path("/many"))).await else { panic!() };
    let mut names = Vec::new();
    let mut replies = 0;
    loop {
        match client.ask(Request::Readdir(handle.clone())).await {
            Answer::Names(page) => {
                replies += 1;
                names.extend(page.into_iter().map(|entry| {
                    assert!(entry.long_name.ends_with(&entry.name));
                    entry.name
                }));
            }
            Answer::Status(1, _) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(replies > 3);
    assert_eq!(names.len(), 1002);
    assert_eq!(&names[..3], [".", "..", "file-0000"]);
    assert_eq!(client.status(Request::Readdir(handle.clone())).await, 1, "the end stays the end");
    assert_eq!(client.status(Request::Close(handle)).await, 0);
    assert_eq!(client.status(Request::Opendir(path("/none"))).await, 2);
    client.leave().await;
}

#[tokio::test]
async fn handles_are_bounded_and_given_back() {
    let files = FakeFiles::new();
    files.put("/a", b"a");
    let mut client = Client::new(&files).await;
    let mut handles = Vec::new();
    for _ in 0..HANDLES {
        handles.push(client.open("/a", OpenFlags::READ).await);
    }
    assert_eq!(client.status(open("/a", OpenFlags::READ)).await, 4);
    assert_eq!(client.status(Request::Close(handles.pop().unwrap())).await, 0);
    let again = client.open("/a", OpenFlags::READ).await;
    assert!(!handles.contains(&again), "no handle is used twice");
    for bad in [path(""), path("abcd"), path("abcdefgh"), Bytes::from_static(&[0xff; 4])] {
        assert_eq!(client.status(Request::Close(bad)).await, 4);
    }
    client.leave().await;
}

#[tokio::test]
async fn operations_on_one_file_keep_their_order() {
    let files = FakeFiles::new();
    files.slow(Duration::from_millis(30));
    let mut client = Client::new(&files).await;
    let handle = client.open("/a", PUT).await;
    // Nothing of this is waited for.
    let ids = [
        client.send(write(&handle, 0, "hello")).await,
        client.send(Request::Close(handle)).await,
        client.send(Request::Rename(path("/a"), path("/b"))).await,
        client.send(Request::Stat(path("/b"))).await,
        client.send(Request::Remove(path("/b"))).await,
        client.send(Request::Stat(path("/b"))).await,
    ];
    let mut answers = Vec::new();
    for id in ids {
        answers.push(match client.answer(id).await {
            Answer::Status(code, _) => code,
            Answer::Attributes(attributes) => 1000 + attributes.size.unwrap() as u32,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(answers, [0, 0, 0, 1005, 0, 2]);
    client.leave().await;
}

#[tokio::test]
async fn the_ways_to_open() {
    let files = FakeFiles::new();
    files.put("/a", b"0123456789");
    let mut client = Client::new(&files).await;

    // In place.
    let handle = client.open("/a", OpenFlags::WRITE | OpenFlags::READ).await;
    assert_eq!(client.status(write(&handle, 2, "xx")).await, 0);
    let read = Request::Read { handle: handle.clone(), offset: 0, length: 100 };
    assert_eq!(client.ask(read).await, Answer::Data(path("01xx456789")));
    let size = FileAttributes { size: Some(5), times: Some((1, 2)), ..FileAttributes::default() };
    assert_eq!(client.status(Request::Fsetstat(handle.clone(), size)).await, 0);
    let Answer::Attributes(shown) = client.ask(Request::Fstat(handle.clone())).await else { panic!() };
    assert_eq!((shown.size, shown.times), (Some(5), Some((1, 2))));
    assert_eq!(client.status(Request::Close(handle)).await, 0);
    assert_eq!(files.content("/a").unwrap(), b"01xx4");

    // Appending, whatever the offset.
    let handle = client.open("/a", OpenFlags::WRITE | OpenFlags::APPEND).await;
    assert_eq!(client.status(write(&handle, 0, "++")).await, 0);
    let read = Request::Read { handle: handle.clone(), offset: 0, length: 100 };
    assert_eq!(client.status(read).await, 3, "open for writing only");
    assert_eq!(client.status(Request::Close(handle)).await, 0);
    assert_eq!(files.content("/a").unwrap(), b"01xx4++");

    // What is refused.
    assert_eq!(client.status(open("/a", PUT | OpenFlags::EXCL)).await, 4);
    assert_eq!(client.status(open("/none", OpenFlags::WRITE)).await, 2);
    assert_eq!(client.status(open("/none", OpenFlags::READ | OpenFlags::CREAT)).await, 4);
    let handle = client.open("/a", OpenFlags::READ).await;
    assert_eq!(client.status(write(&handle, 0, "x")).await, 3);
    let cut = FileAttributes { size: Some(0), ..FileAttributes::default() };
    assert_eq!(client.status(Request::Fsetstat(handle, cut)).await, 3);

    // The size of a path.
    let cut = FileAttributes { size: Some(3), permissions: Some(0o100_600), ..FileAttributes::default() };
    assert_eq!(client.status(Request::Setstat(path("/a"), cut)).await, 0);
    assert_eq!(files.content("/a").unwrap(), b"01x");
    let Answer::Attributes(shown) = client.ask(Request::Lstat(path("a"))).await else { panic!() };
    assert_eq!(shown.permissions, Some(0o100_600));
    client.leave().await;
}

#[tokio::test]
async fn names() {
    let files = FakeFiles::new();
    let mut client = Client::new(&files).await;
    for (asked, real) in [("", "/"), (".", "/"), ("/a/../b/./c/", "/b/c"), ("../../x", "/x")] {
        let Answer::Names(names) = client.ask(Request::Realpath(path(asked))).await else { panic!() };
        assert_eq!((names.len(), names[0].name.as_str()), (1, real));
    }
    let mkdir = |name: &str| Request::Mkdir(path(name), FileAttributes::default());
    assert_eq!(client.status(mkdir("/d")).await, 0);
    assert_eq!(client.status(mkdir("/d")).await, 4);
    assert_eq!(client.status(Request::Rmdir(path("/d"))).await, 0);
    assert_eq!(client.status(Request::Rmdir(path("/d"))).await, 2);
    let Answer::Attributes(root) = client.ask(Request::Stat(path("/"))).await else { panic!() };
    assert_eq!(root.permissions, Some(0o040_755));

    assert_eq!(client.status(Request::Stat(Bytes::from_static(b"/\xff"))).await, 4);
    assert_eq!(client.status(Request::Realpath(path("/a\u{1}"))).await, 4);
    assert_eq!(client.status(Request::Readlink(path("/a"))).await, 8);
    assert_eq!(client.status(Request::Symlink(path("/a"), path("/b"))).await, 8);
    client.leave().await;
    assert_eq!(files.log(), ["refused list /\u{fffd}", "refused list /a\u{1}", "refused list /a", "refused upload /a"]);
}

#[tokio::test]
async fn what_is_let_in_is_bounded() {
    let files = FakeFiles::new();
    files.slow(Duration::from_millis(1));
    let mut client = Client::new(&files).await;
    let handle = client.open("/a", PUT).await;
    let data = Bytes::from(vec![1; 200_000]);
    // 40 MB ahead, and the replies are read meanwhile only because a client has to do that.
    let mut ids = Vec::new();
    for index in 0..200u64 {
        ids.push(client.send(write(&handle, index * 200_000, data.clone())).await);
    }
    for id in ids {
        assert!(matches!(client.answer(id).await, Answer::Status(0, _)));
    }
    assert_eq!(client.status(Request::Close(handle)).await, 0);
    assert_eq!(files.content("/a").unwrap().len(), 40_000_000);
    client.leave().await;
}

/// Requests without end.
struct Flood {
    packets: Vec<Bytes>,
    then: Bytes,
    pause: Duration,
}

impl Inbound for Flood {
    async fn next(&mut self) -> Incoming {
        if self.pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(self.pause).await;
        }
        Incoming::Piece(self.packets.pop().unwrap_or_else(|| self.then.clone()))
    }
}

/// Takes nothing.
struct Deaf;

impl Outbound for Deaf {
    async fn send(&mut self, _bytes: Bytes) -> Result<(), Gone> {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(())
    }

    async fn finish(self, status: u32) {
        assert_eq!(status, 1);
    }
}

#[tokio::test]
async fn a_client_that_takes_no_replies_is_cut_off() {
    let files = FakeFiles::new();
    files.put("/a", &pattern(100_000));
    let read = Request::Read { handle: path("\0\0\0\u{1}"), offset: 0, length: 100_000 };
    let one = encode_request(2, &read);
    let many: BytesMut = std::iter::repeat_n(&one[..], 2000).flatten().copied().collect();
    let packets = vec![encode_request(1, &open("/a", OpenFlags::READ)), encode_init(3)];
    let flow = Arc::new(Flow::new());
    let inbound = Flood { packets, then: many.freeze(), pause: Duration::ZERO };
    let shutdown = CancellationToken::new();
    let ended = tokio::time::timeout(PATIENCE, run(files, flow, inbound, Deaf, shutdown));
    assert!(matches!(ended.await.unwrap(), Ended::Broken(_)));
}

#[tokio::test]
async fn the_sessions_of_a_connection_share_what_may_wait() {
    let flow = Arc::new(Flow::new());
    flow.arrived(HELD);
    let packets = vec![encode_request(1, &open("/a", PUT)), encode_init(3)];
    let work = run(FakeFiles::new(), flow.clone(), Vanishing(packets), Stuck, CancellationToken::new());
    assert!(matches!(tokio::time::timeout(PATIENCE, work).await.unwrap(), Ended::Broken(_)));
    assert_eq!(flow.queued(), HELD, "only its own bytes are gone");
}

#[tokio::test]
async fn the_size_of_an_incomplete_upload_publishes_nothing() {
    let files = FakeFiles::new();
    files.put("/whole", b"0123456789");
    files.partial("/part", b"0123456789");
    let mut client = Client::new(&files).await;
    let to = |size| FileAttributes { size: Some(size), ..Default::default() };
    assert_eq!(client.status(Request::Setstat(path("/part"), to(20))).await, 0);
    assert_eq!(client.status(Request::Setstat(path("/whole"), to(4))).await, 0);
    client.leave().await;
    assert_eq!(files.content("/part"), None);
    assert_eq!(files.content("/whole").unwrap(), b"0123");
    assert_eq!(files.log(), ["detach /part 20 incomplete", "commit /whole"]);
}

/// Sends what it has, and is gone.
struct Vanishing(Vec<Bytes>);

impl Inbound for Vanishing {
    async fn next(&mut self) -> Incoming {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.0.pop().map_or(Incoming::Lost, Incoming::Piece)
    }
}

/// Waits for a window that nobody will open any more.
struct Stuck;

impl Outbound for Stuck {
    async fn send(&mut self, _bytes: Bytes) -> Result<(), Gone> {
        std::future::pending().await
    }

    async fn finish(self, _status: u32) {}
}

#[tokio::test]
async fn a_client_that_vanishes_while_replies_wait_is_let_go() {
    let files = FakeFiles::new();
    let packets = vec![encode_request(1, &open("/a", PUT)), encode_init(3)];
    let work = run(files.clone(), Arc::new(Flow::new()), Vanishing(packets), Stuck, CancellationToken::new());
    assert_eq!(tokio::time::timeout(PATIENCE, work).await.unwrap(), Ended::Lost);
    assert_eq!(files.log(), ["detach /a 0 incomplete"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nonsense_and_takes_nothing_is_let_go() {
    let files = FakeFiles::new();
    let then = Bytes::from_static(&[0xff; 8]);
    let inbound = Flood { packets: vec![encode_init(3)], then, pause: Duration::from_millis(1) };
    let work = run(files, Arc::new(Flow::new()), inbound, Stuck, CancellationToken::new());
    assert!(matches!(tokio::time::timeout(PATIENCE, work).await.unwrap(), Ended::Broken(_)));
}

#[tokio::test]
async fn a_shutdown_lets_uploads_be_finished() {
    let files = FakeFiles::new();
    files.slow(Duration::from_millis(100));
    let mut client = Client::new(&files).await;
    let done = client.open("/done", PUT).await;
    let half = client.open("/half", PUT).await;
    let close = client.send(Request::Close(done)).await;
    let written = client.send(write(&half, 0, "x")).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    client.shutdown.cancel();
    assert!(matches!(client.answer(close).await, Answer::Status(0, _)));
    assert!(matches!(client.answer(written).await, Answer::Status(0, _)));
    assert_eq!(client.status(open("/more", PUT)).await, 4, "nothing new is begun");
    let written = client.send(write(&half, 1, "y")).await;
    assert!(matches!(client.answer(written).await, Answer::Status(0, _)));
    let close = client.send(Request::Close(half)).await;
    assert!(matches!(client.answer(close).await, Answer::Status(0, _)));
    assert!(client.packet().await.is_none());
    assert_eq!(client.session.await.unwrap(), Ended::Closing);
    let mut log = files.log();
    log.sort();
    assert_eq!(log, ["commit /done", "commit /half"]);
}

#[tokio::test]
async fn a_shutdown_ends_a_session_without_uploads() {
    let files = FakeFiles::new();
    let mut client = Client::new(&files).await;
    client.shutdown.cancel();
    assert!(client.packet().await.is_none());
    assert_eq!(client.session.await.unwrap(), Ended::Closing);
}

#[tokio::test]
async fn a_lost_client_leaves_nothing_open() {
    let files = FakeFiles::new();
    files.slow(Duration::from_millis(20));
    let mut client = Client::new(&files).await;
    let handle = client.open("/a", PUT).await;
    for index in 0..20 {
        client.send(write(&handle, index, "x")).await;
    }
    // Both directions at once, and an open that nobody will hear of.
    client.send(open("/b", PUT)).await;
    let Client { read, write, session, .. } = client;
    drop((read, write));
    tokio::time::timeout(PATIENCE, session).await.unwrap().unwrap();
    let log = files.log();
    assert!(log.iter().all(|line| line.starts_with("detach ")), "{log:?}");
    assert_eq!(files.open(), 0);
}

fn any_request() -> impl Strategy<Value = Request> {
    let name = || prop_oneof!["/a", "/b", "/d/c", "/d", "/", "x/../a"].prop_map(|name| path(&name));
    let handle = || (0u32..6).prop_map(|number| Bytes::copy_from_slice(&number.to_be_bytes()));
    let attributes = || {
        (any::<Option<u16>>(), any::<Option<(u32, u32)>>()).prop_map(|(size, times)| FileAttributes {
            size: size.map(u64::from),
            times,
            ..Default::default()
        })
    };
    prop_oneof![
        (name(), 0u32..64, attributes()).prop_map(|(path, flags, attributes)| Request::Open {
            path,
            flags: OpenFlags(flags),
            attributes
        }),
        handle().prop_map(Request::Close),
        (handle(), 0u64..100, 0u32..100).prop_map(|(handle, offset, length)| Request::Read { handle, offset, length }),
        (handle(), 0u64..100).prop_map(|(handle, offset)| write(&handle, offset, "some bytes")),
        name().prop_map(Request::Stat),
        handle().prop_map(Request::Fstat),
        (name(), attributes()).prop_map(|(n, a)| Request::Setstat(n, a)),
        (handle(), attributes()).prop_map(|(h, a)| Request::Fsetstat(h, a)),
        name().prop_map(Request::Opendir),
        handle().prop_map(Request::Readdir),
        name().prop_map(Request::Remove),
        (name(), attributes()).prop_map(|(n, a)| Request::Mkdir(n, a)),
        name().prop_map(Request::Rmdir),
        (name(), name()).prop_map(|(a, b)| Request::Rename(a, b)),
        (name(), name()).prop_map(|(a, b)| Request::Extended(Extended::PosixRename(a, b))),
        handle().prop_map(|h| Request::Extended(Extended::Fsync(h))),
        handle().prop_map(|h| Request::Extended(Extended::Fstatvfs(h))),
        (handle(), handle(), 0u64..20, 0u64..20).prop_map(|(from, to, offset, length)| {
            Request::Extended(Extended::CopyData(Copying { from, offset, length, to, at: offset }))
        }),
        (handle(), 0u64..20).prop_map(|(h, start)| {
            let hashing = Hashing { algorithms: path("md5"), start, length: 0, block: 256, echo: false };
            Request::Extended(Extended::CheckHandle(h, hashing))
        }),
    ]
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked, in whatever order: each request has one reply, and nothing is left open.
    #[test]
    fn every_request_is_answered_once(requests in proptest::collection::vec(any_request(), 1..60)) {
        block_on(async {
            let files = FakeFiles::new();
            let mut client = Client::new(&files).await;
            let mut ids = Vec::new();
            for request in requests {
                ids.push(client.send(request).await);
            }
            for id in ids {
                client.answer(id).await;
            }
            assert_eq!(client.leave().await, Ended::Client);
            assert_eq!(files.open(), 0);
        });
    }

    /// Whatever bytes come: the session ends, and nothing is left open.
    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..400), short: bool) {
        block_on(async {
            let files = FakeFiles::new();
            let mut client = Client::new(&files).await;
            client.open("/a", PUT).await;
            if short {
                // Small lengths, so that packets come about.
                for part in bytes.chunks(12) {
                    let _ = client.write.write_all(&[0, 0, 0, part.len() as u8]).await;
                    let _ = client.write.write_all(part).await;
                }
            } else {
                let _ = client.write.write_all(&bytes).await;
            }
            client.leave().await;
            assert_eq!(files.open(), 0);
        });
    }
}
