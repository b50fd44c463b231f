//! The corners of the protocol, message by message.

use std::sync::Arc;
use std::time::Duration;

use causeway_core::VirtualPath;
use proptest::prelude::*;

use crate::exec::tests::Peer;
use crate::files::Files;
use crate::session::fake::FakeFiles;

fn files() -> Arc<FakeFiles> {
    let files = FakeFiles::new();
    files.put("/in/old", b"the old one");
    files
}

async fn attributes(files: &FakeFiles, path: &str) -> (Option<u32>, i64) {
    let entry = files.stat(&VirtualPath::parse(path).unwrap()).await.unwrap();
    (entry.attributes.mode, entry.modified_at)
}

#[tokio::test]
async fn a_file_is_committed_before_its_last_answer() {
    let files = files();
    let mut peer = Peer::run(&files, "scp -t /in");
    peer.expect([0]).await;
    peer.send("C0666 5 a b\n").await;
    peer.expect([0]).await;
    peer.send("hel").await;
    peer.send("lo").await;
    assert_eq!(files.content("/in/a b"), None, "nothing is there before the client said that it is complete");
    peer.send([0]).await;
    peer.expect([0]).await;
    assert_eq!(files.content("/in/a b").unwrap(), b"hello");
    // An empty file, and everything in one piece.
    peer.send(b"C0600 0 empty\n\0C0644 2 two\nok\0").await;
    peer.expect([0, 0, 0, 0]).await;
    peer.end();
    assert_eq!(peer.ended().await.1.status, Some(0));
    assert_eq!(files.content("/in/two").unwrap(), b"ok");
    assert_eq!(attributes(&files, "/in/a b").await.0, Some(0o644), "without -p the umask counts");
}

#[tokio::test]
async fn the_target_may_be_a_name() {
    let files = files();
    let mut peer = Peer::run(&files, "scp -t /in/new");
    peer.send("C0644 1 other\nx\0").await;
    peer.expect([0, 0, 0]).await;
    peer.end();
    assert_eq!(peer.ended().await.1.status, Some(0));
    assert_eq!(files.content("/in/new").unwrap(), b"x");
    // A folder is wanted, and there is none.
    let mut peer = Peer::run(&files, "scp -t /in/none/");
    peer.send("C0644 1 other\n").await;
    peer.expect([0]).await;
    peer.expect_line(1, "folder").await;
    peer.end();
    assert_eq!(peer.ended().await.1.status, Some(1));
    let mut peer = Peer::run(&files, "scp -d -t /in/old");
    peer.expect_line(2, "not a folder").await;
    assert_eq!(peer.ended().await.1.status, Some(1));
}

#[tokio::test]
async fn times_and_modes_are_kept_with_p() {
    let files = files();
    let mut peer = Peer::run(&files, "scp -r -p -t /in");
    peer.expect([0]).await;
    for message in ["T100 0 200 0\n", "D0775 0 sub\n", "T300 5 400 0\n", "C0666 1 a\n"] {
        peer.send(message).await;
        peer.expect([0]).await;
    }
    peer.send("x\0").await;
    peer.expect([0]).await;
    // The times of the file are not those of the next one.
    peer.send("C0644 0 b\n\0E\n").await;
    peer.expect([0, 0, 0]).await;
    peer.send("C0644 0 c\n\0").await;
    peer.expect([0, 0]).await;
    peer.end();
    assert_eq!(peer.ended().await.1.status, Some(0));
    assert_eq!(attributes(&files, "/in/sub").await, (Some(0o775), 100_000_000));
    assert_eq!(attributes(&files, "/in/sub/a").await, (Some(0o666), 300_000_005));
    assert_eq!(attributes(&files, "/in/sub/b").await, (Some(0o644), 0));
    assert!(files.content("/in/c").is_some(), "E leads back to the target");
}

#[tokio::test]
async fn names_that_lead_elsewhere_end_the_copy() {
    for name in ["..", ".", "", "../x", "/etc/passwd", "a/b"] {
        for message in [format!("C0644 1 {name}\n"), format!("D0755 0 {name}\n")] {
            let files = files();
            let mut peer = Peer::run(&files, "scp -r -t /in");
            peer.send(&message).await;
            peer.expect([0]).await;
            peer.expect_line(2, "plain name").await;
            assert_eq!(peer.ended().await.1.status, Some(1));
            assert!(files.log().iter().any(|line| line.starts_with("refused ")), "{message:?}: {:?}", files.log());
        }
    }
}

#[tokio::test]
async fn names_that_are_not_allowed_are_refused_one_by_one() {
    let files = files();
    let mut peer = Peer::run(&files, "scp -t /in");
    peer.expect([0]).await;
    let long = "x".repeat(256);
    for name in [&b"a\x1b[2J"[..], b"a\r", b"\xff", "e\u{301}".as_bytes(), long.as_bytes()] {
        peer.send([b"C0644 1 ", name, b"\n"].concat()).await;
        peer.expect_line(1, "name").await;
    }
    peer.send("C0644 1 good\nx\0").await;
    peer.expect([0, 0]).await;
    peer.end();
    assert_eq!(peer.ended().await.1.status, Some(1));
    assert_eq!(files.content("/in/good").unwrap(), b"x");
    assert_eq!(
        files.log().iter().filter(|line| line.starts_with("refused upload /in/")).count(),
        5,
        "{:?}",
        files.log()
    );
}

#[tokio::test]
async fn what_is_no_message_ends_the_copy() {
    for message in ["X\n", "\n\n", "C0644\n", "T1 2\n", "C9644 1 a\n", "D0755 0 sub\n"] {
        let mut peer = Peer::run(&files(), "scp -t /in");
        peer.send(message).await;
        peer.expect([0]).await;
        peer.expect_line(2, "scp: ").await;
        assert_eq!(peer.ended().await.1.status, Some(1), "{message:?}");
    }
    let mut peer = Peer::run(&files(), "scp -t /in");
    peer.send(vec![b'C'; 10_000]).await;
    peer.expect([0]).await;
    peer.expect_line(2, "too long").await;
    assert_eq!(peer.ended().await.1.status, Some(1));
}

#[tokio::test]
async fn a_file_that_fails_is_told_at_its_end_and_the_rest_goes_on() {
    let files = files();
    files.limit(100);
    let mut peer = Peer::run(&files, "scp -t /in");
    peer.expect([0]).await;
    peer.send("C0644 200000 big\n").await;
    peer.expect([0]).await;
    peer.send(vec![b'C'; 200_000]).await;
    peer.send([0]).await;
    peer.expect_line(1, "quota").await;
    peer.send("C0644 1 old\n").await;
    peer.expect([0]).await;
    peer.send("x\0").await;
    peer.expect([0]).await;
    peer.end();
    assert_eq!(peer.ended().await.1.status, Some(1));
    assert_eq!(files.content("/in/big"), None);
    assert_eq!(files.content("/in/old").unwrap(), b"x");
    assert_eq!(files.log(), ["detach /in/big 0 quota_exceeded", "commit /in/old"]);
}

#[tokio::test]
async fn a_file_that_the_client_could_not_read_is_not_published() {
    for (answer, expected) in [(&b"\x01scp: I/O error\n"[..], 1), (b"\x02over\n", 0), (b"?", 2)] {
        let files = files();
        let mut peer = Peer::run(&files, "scp -t /in");
        peer.expect([0]).await;
        peer.send("C0644 3 old\n").await;
        peer.expect([0]).await;
        peer.send("new").await;
        peer.send(answer).await;
        if expected > 0 {
            peer.expect_line(expected, "scp: ").await;
        }
        peer.end();
        assert_eq!(peer.ended().await.1.status, Some(1));
        assert_eq!(files.content("/in/old").unwrap(), b"the old one");
        assert_eq!(files.log(), ["detach /in/old 3 incomplete"]);
    }
}

#[tokio::test]
async fn a_cut_leaves_the_upload_incomplete() {
    // In the middle, and before the client has said that it is complete; by a broken connection, and by an early end.
    for content in ["ab", "abc"] {
        for orderly in [false, true] {
            let files = files();
            let mut peer = Peer::run(&files, "scp -t /in");
            peer.expect([0]).await;
            peer.send("C0644 3 old\n").await;
            peer.expect([0]).await;
            peer.send(content).await;
            if orderly {
                peer.end();
            } else {
                peer.cut();
            }
            peer.ended().await;
            assert_eq!(files.content("/in/old").unwrap(), b"the old one");
            assert_eq!(files.log(), [format!("detach /in/old {} incomplete", content.len())]);
            assert_eq!(files.open(), 0);
        }
    }
}

#[tokio::test]
async fn an_open_upload_is_finished_at_a_shutdown() {
    let files = files();
    let mut peer = Peer::run(&files, "scp -t /in");
    peer.expect([0]).await;
    peer.send("C0644 3 new\nab").await;
    peer.expect([0]).await;
    peer.shutdown.cancel();
    peer.send("c\0").await;
    peer.expect([0]).await;
    peer.expect_line(2, "shutting down").await;
    assert_eq!(peer.ended().await.1.status, Some(1));
    assert_eq!(files.content("/in/new").unwrap(), b"abc");
}

#[tokio::test]
async fn what_comes_in_is_held_back_and_given_back() {
    let files = files();
    files.slow(Duration::from_millis(5));
    let mut peer = Peer::run(&files, "scp -t /in");
    peer.expect([0]).await;
    peer.send("C0644 1000000 big\n").await;
    peer.expect([0]).await;
    peer.send(vec![7; 1_000_000]).await;
    assert!(peer.flow.queued() > 0, "the channel is emptied though writing is slow");
    peer.send([0]).await;
    peer.expect([0]).await;
    peer.end();
    assert_eq!(peer.ended().await.1.status, Some(0));
    assert_eq!(files.content("/in/big").unwrap().len(), 1_000_000);
}

#[tokio::test]
async fn files_are_given_as_openssh_gives_them() {
    let files = files();
    files.put("/in/sub/b", b"");
    let mut peer = Peer::run(&files, "scp -r -p -f /in");
    peer.send([0]).await;
    for (line, content) in [
        ("T0 0 0 0\n", ""),
        ("D0755 0 in\n", ""),
        ("T0 0 0 0\n", ""),
        ("C0644 11 old\n", "the old one\0"),
        ("T0 0 0 0\n", ""),
        ("D0755 0 sub\n", ""),
        ("T0 0 0 0\n", ""),
        ("C0644 0 b\n", "\0"),
        ("E\n", ""),
        ("E\n", ""),
    ] {
        peer.expect(line).await;
        peer.send([0]).await;
        if !content.is_empty() {
            peer.expect(content).await;
            peer.send([0]).await;
        }
    }
    assert_eq!(peer.ended().await.1.status, Some(0));
    assert_eq!(files.log(), ["finish /in/old", "finish /in/sub/b"]);
}

#[tokio::test]
async fn several_sources_and_patterns() {
    let files = files();
    files.put("/in/other", b"o");
    let mut peer = Peer::run(&files, "scp -f /in/gone /in '/in/o*' /in/ot*");
    peer.send([0]).await;
    peer.expect_line(1, "/in/gone").await;
    peer.expect_line(1, "-r").await;
    peer.expect_line(1, "/in/o*").await;
    peer.expect("C0644 1 other\n").await;
    // The client does not want it.
    peer.send("\x01no room\n").await;
    assert_eq!(peer.ended().await.1.status, Some(1));
    assert_eq!(files.log(), ["failed download /in", "fail /in/other"]);
}

#[tokio::test]
async fn the_root_is_given_without_a_name() {
    let mut peer = Peer::run(&files(), "scp -r -f .");
    peer.send([0]).await;
    peer.expect("D0755 0 in\n").await;
    peer.send([0]).await;
    peer.expect("C0644 11 old\n").await;
    peer.send([0]).await;
    peer.expect("the old one\0").await;
    peer.send([0]).await;
    peer.expect("E\n").await;
    peer.send([0]).await;
    assert_eq!(peer.ended().await.1.status, Some(0));
}

#[tokio::test]
async fn a_download_that_is_not_confirmed_has_failed() {
    for (answer, cut) in [(&b""[..], true), (b"\x01disk full\n", false), (b"\x02gone\n", false)] {
        let files = files();
        let mut peer = Peer::run(&files, "scp -f /in/old");
        peer.send([0]).await;
        peer.expect("C0644 11 old\n").await;
        peer.send([0]).await;
        peer.expect("the old one\0").await;
        peer.send(answer).await;
        if cut {
            peer.cut();
        }
        peer.ended().await;
        assert_eq!(files.log(), ["fail /in/old"]);
    }
    // A client that takes nothing and goes away.
    let files = files();
    files.put("/in/big", &vec![0; 1_000_000]);
    let mut peer = Peer::run(&files, "scp -f /in/big");
    peer.send([0, 0]).await;
    peer.expect("C0644 1000000 big\n").await;
    peer.cut();
    peer.ended().await;
    assert_eq!(files.log(), ["fail /in/big"]);
    assert_eq!(files.open(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever a client sends, and in whatever pieces: the command ends, nothing stays open, nothing lies elsewhere.
    #[test]
    fn any_input_ends(
        parts in proptest::collection::vec(prop_oneof![
            Just(b"C0644 3 a\n".to_vec()), Just(b"D0755 0 sub\n".to_vec()), Just(b"E\n".to_vec()), Just(b"T1 0 2 0\n".to_vec()),
            Just(b"abc\0".to_vec()), Just(vec![0]), Just(b"\x01no\n".to_vec()), Just(b"C0644 2 ..\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..12),
        ], 0..12),
        sink in any::<bool>(),
        cut in any::<bool>(),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let files = files();
            let mut peer = Peer::run(&files, if sink { "scp -r -t /in" } else { "scp -r -f /in" });
            peer.send(parts.concat()).await;
            if cut { peer.cut(); } else { peer.end(); }
            peer.ended().await;
            assert_eq!(files.open(), 0);
            assert!(!files.log().iter().any(|line| line.starts_with("dropped ")), "{:?}", files.log());
        });
    }
}
