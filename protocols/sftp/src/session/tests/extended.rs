//! The extensions, and what the newer of them must not break.

use super::*;
use crate::codec::tests::Answer;

fn ext(extended: Extended) -> Request {
    Request::Extended(extended)
}

fn copy(from: &Bytes, offset: u64, length: u64, to: &Bytes, at: u64) -> Request {
    ext(Extended::CopyData(Copying { from: from.clone(), offset, length, to: to.clone(), at }))
}

fn hashing(algorithms: &str, start: u64, length: u64, block: u32) -> Hashing {
    Hashing { algorithms: path(algorithms), start, length, block, echo: false }
}

async fn extended(client: &mut Client, request: Extended) -> Bytes {
    match client.ask(ext(request)).await {
        Answer::Extended(body) => body,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn any_version_of_a_client_is_answered_with_3() {
    for version in [0, 1, 2, 3, 4, 6, u32::MAX] {
        let files = FakeFiles::new();
        let mut client = Client::speaking(&files, version).await;
        assert!(matches!(client.ask(Request::Stat(path("/"))).await, Answer::Attributes(_)), "{version}");
        client.leave().await;
    }
}

#[tokio::test]
async fn rename_replaces_nothing_and_posix_rename_does() {
    let files = FakeFiles::new();
    files.put("/a", b"a");
    files.put("/b", b"b");
    let mut client = Client::new(&files).await;
    assert_eq!(client.status(Request::Rename(path("/a"), path("/b"))).await, 4);
    assert_eq!(files.content("/b").unwrap(), b"b");
    assert_eq!(client.status(ext(Extended::PosixRename(path("/a"), path("/b")))).await, 0);
    assert_eq!(files.content("/b").unwrap(), b"a");
    assert_eq!(client.status(ext(Extended::PosixRename(path("/a"), path("/b")))).await, 2);
    for unsupported in [
        ext(Extended::Hardlink(path("/b"), path("/c"))),
        Request::Symlink(path("/b"), path("/c")),
        Request::Readlink(path("/b")),
    ] {
        let Answer::Status(8, sentence) = client.ask(unsupported).await else { panic!() };
        assert!(sentence.contains("copy the file instead"), "{sentence}");
    }
    client.leave().await;
}

#[tokio::test]
async fn homes_owners_limits_and_room() {
    let files = FakeFiles::new();
    files.put("/a", b"a");
    let mut client = Client::new(&files).await;
    for (asked, real) in [("~", "/"), ("~/x/../y", "/y"), ("~edi01/x", "/x"), ("a", "/a")] {
        let Answer::Names(names) = client.ask(ext(Extended::ExpandPath(path(asked)))).await else { panic!() };
        assert_eq!((names.len(), names[0].name.as_str()), (1, real));
    }
    assert_eq!(client.status(ext(Extended::ExpandPath(path("~root/x")))).await, 2);
    for user in ["", "edi01"] {
        let Answer::Names(names) = client.ask(ext(Extended::HomeDirectory(path(user)))).await else { panic!() };
        assert_eq!(names[0].name, "/");
    }
    assert_eq!(client.status(ext(Extended::HomeDirectory(path("root")))).await, 2);
    assert_eq!(files.log(), ["refused list ~root/x", "refused list root"]);

    let owners = extended(&mut client, Extended::OwnersById(vec![0, 1000], vec![0])).await;
    assert_eq!(owners[..], *b"\0\0\0\x10\0\0\0\x08causeway\0\0\0\0\0\0\0\x0c\0\0\0\x08causeway");
    assert_eq!(client.status(ext(Extended::OwnersById(vec![0; 30_000], vec![]))).await, 4);

    let limits = extended(&mut client, Extended::Limits).await;
    assert_eq!(limits[..], [262_144u64, 261_120, 261_120, 256].map(u64::to_be_bytes).concat());
    let handle = client.open("/a", OpenFlags::READ).await;
    let by_path = extended(&mut client, Extended::Statvfs(path("/a"))).await;
    assert_eq!(by_path.len(), 88);
    assert_eq!(by_path[..32], [4096u64, 4096, 1 << 18, 1 << 8].map(u64::to_be_bytes).concat());
    assert_eq!(extended(&mut client, Extended::Fstatvfs(handle)).await, by_path);
    assert_eq!(client.status(ext(Extended::Statvfs(path("/none")))).await, 2);
    client.leave().await;
}

#[tokio::test]
async fn packets_as_long_as_the_limits_say() {
    let files = FakeFiles::new();
    let content = pattern(261_120);
    let mut client = Client::new(&files).await;
    let handle = client.open("/a", PUT | OpenFlags::READ).await;
    assert_eq!(client.status(write(&handle, 0, content.clone())).await, 0);
    let read = Request::Read { handle: handle.clone(), offset: 0, length: u32::MAX };
    assert_eq!(client.ask(read).await, Answer::Data(content.into()));
    assert_eq!(client.status(Request::Close(handle)).await, 0);
    client.leave().await;
}

#[tokio::test]
async fn fsync_tells_of_a_failure_and_then_nothing_is_published() {
    let files = FakeFiles::new();
    files.put("/old", b"old");
    let mut client = Client::new(&files).await;
    let handle = client.open("/a", PUT).await;
    assert_eq!(client.status(write(&handle, 0, "x")).await, 0);
    assert_eq!(client.status(ext(Extended::Fsync(handle.clone()))).await, 0);
    files.fail(true, false);
    let Answer::Status(4, sentence) = client.ask(ext(Extended::Fsync(handle.clone()))).await else { panic!() };
    assert_eq!(sentence, "the disk is away");
    files.fail(false, false);
    assert_eq!(client.status(write(&handle, 1, "y")).await, 4, "the error stays");
    assert_eq!(client.status(Request::Close(handle)).await, 4);
    let reader = client.open("/old", OpenFlags::READ).await;
    assert_eq!(client.status(ext(Extended::Fsync(reader))).await, 0);
    client.leave().await;
    assert_eq!(files.content("/a"), None);
    assert_eq!(files.log()[..2], ["sync /a", "detach /a 1 unavailable"]);
}

#[tokio::test]
async fn a_failed_close_says_so_and_publishes_nothing() {
    let files = FakeFiles::new();
    files.fail(false, true);
    let mut client = Client::new(&files).await;
    let handle = client.open("/a", PUT).await;
    assert_eq!(client.status(write(&handle, 0, "x")).await, 0);
    let Answer::Status(4, sentence) = client.ask(Request::Close(handle)).await else { panic!() };
    assert_eq!(sentence, "the storage is full");
    client.leave().await;
    assert_eq!(files.content("/a"), None);
    assert_eq!(files.log(), ["incomplete /a"]);
}

#[tokio::test]
async fn copies_between_handles() {
    let files = FakeFiles::new();
    let content = pattern(5000);
    files.put("/a", &content);
    let mut client = Client::new(&files).await;
    let from = client.open("/a", OpenFlags::READ).await;

    // Whole, into an empty file: by reference. All in one burst, the closes too.
    let to = client.open("/b", PUT).await;
    let copied = client.send(copy(&from, 0, 0, &to, 0)).await;
    let closed = client.send(Request::Close(to)).await;
    assert_eq!(client.answer(copied).await, Answer::Status(0, "done".into()));
    assert!(matches!(client.answer(closed).await, Answer::Status(0, _)));
    assert_eq!(files.content("/b").unwrap(), content);

    // A part, behind what is there; and beyond the source's end.
    let to = client.open("/c", PUT).await;
    assert_eq!(client.status(write(&to, 0, "head")).await, 0);
    assert_eq!(client.status(copy(&from, 1000, 2500, &to, 4)).await, 0);
    assert_eq!(client.status(copy(&from, 4990, 20, &to, 2504)).await, 1, "it ends before that");
    assert_eq!(client.status(copy(&from, 9000, 0, &to, 0)).await, 0, "nothing is left, and nothing was asked for");
    assert_eq!(client.status(Request::Close(to)).await, 0);
    let expected = [b"head", &content[1000..3500], &content[4990..]].concat();
    assert_eq!(files.content("/c").unwrap(), expected);

    // To the end of a file, and from one that is being written.
    let end = client.open("/c", OpenFlags::WRITE | OpenFlags::APPEND).await;
    assert_eq!(client.status(copy(&from, 0, 3, &end, 0)).await, 0);
    let work = client.open("/d", PUT | OpenFlags::READ).await;
    let written = client.send(write(&work, 0, "fresh")).await;
    let copied = client.send(copy(&work, 0, 0, &end, 0)).await;
    let after = client.send(write(&work, 0, "later")).await;
    for id in [written, copied, after] {
        assert!(matches!(client.answer(id).await, Answer::Status(0, _)));
    }
    assert_eq!(client.status(Request::Close(end)).await, 0);
    let expected = [&expected[..], &content[..3], b"fresh"].concat();
    assert_eq!(files.content("/c").unwrap(), expected);

    // What cannot be: the wrong way round, one handle for both, no handle, a handle that may not be read, a folder.
    let Answer::Handle(folder) = client.ask(Request::Opendir(path("/"))).await else { panic!() };
    let blind = client.open("/e", PUT).await;
    assert_eq!(client.status(copy(&work, 0, 0, &from, 0)).await, 3);
    assert_eq!(client.status(copy(&work, 0, 0, &work, 9)).await, 4);
    assert_eq!(client.status(copy(&path("none"), 0, 0, &work, 0)).await, 4);
    assert_eq!(client.status(copy(&work, 0, 0, &path("none"), 0)).await, 4);
    let other = client.open("/g", PUT).await;
    assert_eq!(client.status(copy(&blind, 0, 0, &other, 0)).await, 3);
    assert_ne!(client.status(Request::Close(other)).await, 0, "nothing is published by it");
    assert_eq!(client.status(copy(&folder, 0, 0, &work, 0)).await, 4);
    assert_eq!(client.status(copy(&from, 0, 0, &folder, 0)).await, 4);
    assert_eq!(client.status(copy(&from, 0, 0, &work, u64::MAX)).await, 4);
    assert_eq!(client.status(Request::Close(work)).await, 4, "a copy that failed is as a write that failed");
    client.leave().await;
    assert_eq!(files.open(), 0);
    assert!(files.log().contains(&"adopt /b".to_owned()));
    assert_eq!(files.log().iter().filter(|line| line.starts_with("adopt ")).count(), 1);
}

#[tokio::test]
async fn copies_both_ways_wait_for_nobody_that_waits() {
    let files = FakeFiles::new();
    let mut client = Client::new(&files).await;
    let a = client.open("/a", PUT | OpenFlags::READ).await;
    let b = client.open("/b", PUT | OpenFlags::READ).await;
    let mut ids = vec![client.send(write(&a, 0, "abc")).await, client.send(write(&b, 0, "xyz")).await];
    for step in 1..20 {
        ids.push(client.send(copy(&a, 0, 3, &b, step * 3)).await);
        ids.push(client.send(copy(&b, 0, 3, &a, step * 3)).await);
        ids.push(client.send(Request::Stat(path("/a"))).await);
    }
    for id in ids {
        assert!(!matches!(client.answer(id).await, Answer::Status(1 | 3.., _)));
    }
    assert_eq!(client.status(Request::Close(a)).await, 0);
    assert_eq!(client.status(Request::Close(b)).await, 0);
    assert_eq!(files.content("/a").unwrap(), [b"abc".to_vec(), b"xyz".repeat(19)].concat());
    client.leave().await;
}

#[tokio::test]
async fn a_copy_ends_with_its_client() {
    let files = FakeFiles::new();
    files.put("/a", &pattern(2_000_000));
    files.slow(Duration::from_millis(20));
    let mut client = Client::new(&files).await;
    let from = client.open("/a", OpenFlags::READ).await;
    let to = client.open("/b", PUT).await;
    // A part, so that it takes 1,900 steps of 40 ms.
    client.send(copy(&from, 1, 1_900_000, &to, 0)).await;
    while files.reads() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.write.write_all(&[0xff; 8]).await.unwrap();
    while client.packet().await.is_some() {}
    assert!(matches!(client.session.await.unwrap(), Ended::Broken(_)));
    let log = files.log();
    assert!(log.iter().any(|line| line.starts_with("detach /b")), "{log:?}");
    assert!(!log.iter().any(|line| line.starts_with("commit")), "{log:?}");
    assert_eq!(files.open(), 0);
}

#[tokio::test]
async fn checksums() {
    let files = FakeFiles::new();
    let content = pattern(100_000);
    files.put("/a", &content);
    files.put("/abc", b"abc");
    let mut client = Client::new(&files).await;
    let crc = |data: &[u8]| crc32fast::hash(data).to_be_bytes();
    let of = |algorithm: &str, hashes: &[u8]| {
        let mut body = (algorithm.len() as u32).to_be_bytes().to_vec();
        body.extend_from_slice(algorithm.as_bytes());
        body.extend_from_slice(hashes);
        body
    };
    let handle = client.open("/a", OpenFlags::READ).await;
    let check = |handle: &Bytes, hashing| Extended::CheckHandle(handle.clone(), hashing);

    // What the ledger knows is not read.
    let known = extended(&mut client, check(&handle, hashing("blake3,sha256,md5", 0, 0, 0))).await;
    assert_eq!(known[..], of("sha256", &[7; 32]));
    let known = extended(&mut client, Extended::CheckName(path("/a"), hashing("sha256", 0, 200_000, 0))).await;
    assert_eq!(known[..], of("sha256", &[7; 32]));
    let named = Hashing { echo: true, ..hashing("sha256", 0, 0, 0) };
    let known = extended(&mut client, check(&handle, named)).await;
    assert_eq!(known[..], [&b"\0\0\0\x0acheck-file"[..], &of("sha256", &[7; 32])].concat(), "as paramiko reads it");
    assert_eq!(files.reads(), 0);

    // The rest is.
    let part = extended(&mut client, check(&handle, hashing("crc32", 10, 1000, 0))).await;
    assert_eq!(part[..], of("crc32", &crc(&content[10..1010])));
    let blocks = extended(&mut client, check(&handle, hashing("crc32", 0, 0, 4096))).await;
    let expected: Vec<u8> = content.chunks(4096).flat_map(crc).collect();
    assert_eq!(blocks[..], of("crc32", &expected));
    let named = extended(&mut client, Extended::CheckName(path("/abc"), hashing("md5", 0, 0, 0))).await;
    let md5 = [0x90, 1, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0, 0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72];
    assert_eq!(named[..], of("md5", &md5));
    let empty = extended(&mut client, check(&handle, hashing("crc32", 100_000, 0, 256))).await;
    assert_eq!(empty[..], of("crc32", &[]), "no byte, no block");

    // What is refused, and why.
    files.put("/large", &vec![0; 2_000_000]);
    let large = client.open("/large", OpenFlags::READ).await;
    for (request, word) in [
        (check(&handle, hashing("blake3", 0, 0, 0)), "algorithms"),
        (check(&handle, hashing("md5", 0, 0, 255)), "256 bytes"),
        (check(&handle, hashing("md5", 100_001, 0, 0)), "offset"),
        (check(&large, hashing("sha512", 0, 0, 256)), "too many blocks"),
    ] {
        let Answer::Status(4, sentence) = client.ask(ext(request)).await else { panic!() };
        assert!(sentence.contains(word), "{sentence}");
    }
    assert_eq!(client.status(ext(Extended::CheckName(path("/none"), hashing("md5", 0, 0, 0)))).await, 2);
    let Answer::Handle(folder) = client.ask(Request::Opendir(path("/"))).await else { panic!() };
    assert_eq!(client.status(ext(check(&folder, hashing("md5", 0, 0, 0)))).await, 4);
    client.leave().await;
}

/// Waits until a content is about to be read.
async fn is_reading(files: &FakeFiles) {
    while files.waiting() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn hashing_by_name_keeps_no_other_request_waiting() {
    let files = FakeFiles::new();
    files.put("/a", b"abc");
    files.put("/b", b"abc");
    let mut client = Client::new(&files).await;
    let writer = client.open("/b", OpenFlags::WRITE).await;
    files.hold(true);
    let check = |name: &str, algorithm: &str| ext(Extended::CheckName(path(name), hashing(algorithm, 0, 0, 0)));
    let mut asked = Vec::new();
    for name in ["/a", "/b", "/a"] {
        asked.push(client.send(check(name, "md5")).await);
    }
    is_reading(&files).await;
    // All of these would stand behind the hashes.
    assert!(matches!(client.ask(Request::Stat(path("/a"))).await, Answer::Attributes(_)));
    assert!(matches!(client.ask(check("/a", "sha256")).await, Answer::Extended(_)), "what is known is not read");
    assert_eq!(client.status(write(&writer, 0, "x")).await, 0, "the handle of a file that is hashed goes on");
    assert_eq!(client.status(Request::Rename(path("/a"), path("/c"))).await, 0);
    assert_eq!(client.status(check("/a", "md5")).await, 2);
    assert_eq!(files.waiting(), 1, "one content of a session is read at a time");
    assert!(asked.iter().all(|id| !client.answers.contains_key(id)));
    files.hold(false);
    for id in asked {
        let Answer::Extended(body) = client.answer(id).await else { panic!("no hash") };
        assert_eq!(body[..11], *b"\0\0\0\x03md5\x90\x01\x50\x98", "of the file as it was when it was asked for");
    }
    assert_eq!(client.status(Request::Close(writer)).await, 0);
    assert_eq!(client.leave().await, Ended::Client);
}

#[tokio::test]
async fn a_client_that_asks_no_more_hears_its_hashes() {
    let files = FakeFiles::new();
    files.put("/a", b"abc");
    let mut client = Client::new(&files).await;
    files.hold(true);
    let id = client.send(ext(Extended::CheckName(path("/a"), hashing("md5", 0, 0, 0)))).await;
    client.write.shutdown().await.unwrap();
    is_reading(&files).await;
    files.hold(false);
    assert!(matches!(client.answer(id).await, Answer::Extended(_)));
    assert_eq!(client.leave().await, Ended::Client);
}

#[tokio::test]
async fn hashing_by_name_ends_with_its_session() {
    let files = FakeFiles::new();
    files.put("/large", &vec![0; 5_000_000]);
    let mut client = Client::new(&files).await;
    client.open("/large", OpenFlags::READ).await;
    files.hold(true);
    for _ in 0..3 {
        client.send(ext(Extended::CheckName(path("/large"), hashing("md5", 0, 0, 0)))).await;
    }
    is_reading(&files).await;
    client.shutdown.cancel();
    while !files.log().contains(&"fail /large".to_owned()) {
        tokio::task::yield_now().await;
    }
    files.hold(false);
    let ended = tokio::time::timeout(PATIENCE, client.session).await.expect("an end in time").unwrap();
    assert_eq!(ended, Ended::Closing);
    assert_eq!(files.reads(), 1, "what was being read, and nothing more");
}

#[tokio::test]
async fn setting_what_is_so_already_changes_nothing() {
    let files = FakeFiles::new();
    files.put("/a", b"0123456789");
    let mut client = Client::new(&files).await;
    let all = FileAttributes { size: Some(10), owner: Some((0, 0)), permissions: Some(0o100_644), times: Some((0, 0)) };
    assert_eq!(client.status(Request::Setstat(path("/a"), all)).await, 0);
    let handle = client.open("/a", OpenFlags::READ).await;
    let size = |size| FileAttributes { size: Some(size), ..FileAttributes::default() };
    assert_eq!(client.status(Request::Fsetstat(handle.clone(), size(10))).await, 0);
    assert_eq!(client.status(Request::Fsetstat(handle.clone(), size(9))).await, 3);
    assert_eq!(client.status(Request::Close(handle)).await, 0);
    assert_eq!(files.log(), ["finish /a"], "no upload was begun");
    let lset = |attributes| ext(Extended::Lsetstat(path("/a"), attributes));
    assert_eq!(client.status(lset(FileAttributes { owner: Some((5, 6)), ..all })).await, 0);
    let Answer::Attributes(shown) = client.ask(Request::Lstat(path("/a"))).await else { panic!() };
    assert_eq!(shown, FileAttributes { owner: Some((5, 6)), ..all });
    client.leave().await;
}

#[tokio::test]
async fn a_folder_of_any_size_is_listed_in_bounded_pages() {
    const ENTRIES: usize = 200_000;
    let files = FakeFiles::new();
    files.endless("/many", ENTRIES);
    let mut client = Client::new(&files).await;
    let Answer::Handle(handle) = client.ask(Request::Opendir(path("/many"))).await else { panic!() };
    let mut count = 0;
    loop {
        let id = client.send(Request::Readdir(handle.clone())).await;
        let packet = client.packet().await.unwrap();
        assert!(packet.len() <= 34_000, "{} bytes", packet.len());
        match crate::codec::tests::decode_reply(packet).unwrap() {
            (of, Answer::Names(names)) => {
                assert_eq!(of, id);
                assert!(!names.is_empty());
                count += names.len();
            }
            (_, Answer::Status(1, _)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(count, ENTRIES + 2);
    // What is held at a time is a page, and less than half of one that is left over.
    assert!(files.page() <= 256, "{}", files.page());
    client.leave().await;
}
