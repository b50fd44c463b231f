//! Commands over an in-memory stream, with files that are in memory too.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::session::fake::FakeFiles;
use crate::session::{HELD, Incoming};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the client can see beside the output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) errors: String,
    pub(crate) status: Option<u32>,
}

struct FromClient {
    read: ReadHalf<DuplexStream>,
    cut: CancellationToken,
    ended: bool,
}

impl Inbound for FromClient {
    async fn next(&mut self) -> Incoming {
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        let read = async {
            if self.ended {
                std::future::pending::<()>().await;
            }
            self.read.read_buf(&mut buffer).await
        };
        tokio::select! {
            // What was sent before the cut arrives before it.
            biased;
            read = read => match read {
                Ok(0) => {
                    self.ended = true;
                    Incoming::End
                }
                Ok(_) => Incoming::Piece(buffer.freeze()),
                Err(_) => Incoming::Lost,
            },
            () = self.cut.cancelled() => Incoming::Lost,
        }
    }
}

struct ToClient {
    write: WriteHalf<DuplexStream>,
    seen: Arc<Mutex<Seen>>,
}

impl Outbound for ToClient {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.write.write_all(&bytes).await.map_err(|_| Gone)
    }

    async fn finish(mut self, status: u32) {
        self.seen.lock().unwrap().status = Some(status);
        let _ = self.write.shutdown().await;
    }
}

impl Console for ToClient {
    async fn send_error(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.seen.lock().unwrap().errors.push_str(std::str::from_utf8(&bytes).unwrap());
        Ok(())
    }
}

/// A client of one command.
pub(crate) struct Peer {
    read: ReadHalf<DuplexStream>,
    write: Option<WriteHalf<DuplexStream>>,
    seen: Arc<Mutex<Seen>>,
    cut: CancellationToken,
    pub(crate) shutdown: CancellationToken,
    pub(crate) flow: Arc<Flow>,
    work: JoinHandle<()>,
}

impl Peer {
    /// Runs this command line.
    pub(crate) fn run(files: &Arc<FakeFiles>, line: &str) -> Self {
        let command = Command::parse(line.as_bytes(), true).unwrap();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let ((read, write), (far_read, far_write)) = (tokio::io::split(near), tokio::io::split(far));
        let (seen, cut, shutdown) = (Arc::<Mutex<Seen>>::default(), CancellationToken::new(), CancellationToken::new());
        let flow = Arc::new(Flow::new());
        let inbound = FromClient { read: far_read, cut: cut.clone(), ended: false };
        let console = ToClient { write: far_write, seen: seen.clone() };
        let (files, held, shuts) = (files.clone(), flow.clone(), shutdown.clone());
        let work =
            tokio::spawn(async move { super::run(&*files, &command, held, inbound, console, &shuts.into()).await });
        Self { read, write: Some(write), seen, cut, shutdown, flow, work }
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let write = self.write.as_mut().expect("the input is open");
        timeout(PATIENCE, write.write_all(bytes.as_ref())).await.expect("it is taken").unwrap();
    }

    /// Expects exactly these bytes next.
    pub(crate) async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let wanted = bytes.as_ref();
        let mut got = vec![0; wanted.len()];
        let read = timeout(PATIENCE, self.read.read_exact(&mut got)).await.expect("an answer in time");
        assert!(read.is_ok(), "the output ended before {:?}", String::from_utf8_lossy(wanted));
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(wanted));
    }

    /// Expects a line that begins with this byte and has this text in it.
    pub(crate) async fn expect_line(&mut self, first: u8, text: &str) {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.push(timeout(PATIENCE, self.read.read_u8()).await.expect("an answer in time").expect("a line"));
        }
        let shown = String::from_utf8_lossy(&line);
        assert!(line.first() == Some(&first) && shown.contains(text), "{shown:?} is not {first} with {text:?}");
    }

    /// Ends the input.
    pub(crate) fn end(&mut self) {
        let write = self.write.take();
        tokio::spawn(async move {
            if let Some(mut write) = write {
                let _ = write.shutdown().await;
            }
        });
    }

    /// The connection breaks.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// Waits for the end; what was not read yet, and what was seen beside it.
    pub(crate) async fn ended(mut self) -> (String, Seen) {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.read.read_to_end(&mut rest)).await.expect("the output ends").unwrap();
        timeout(PATIENCE, &mut self.work).await.expect("the command ends").unwrap();
        assert_eq!(self.flow.queued(), 0, "what nobody took up is given back");
        assert!(self.flow.idle().is_some(), "nothing is being worked on any more");
        let seen = self.seen.lock().unwrap().clone();
        (String::from_utf8_lossy(&rest).into_owned(), seen)
    }
}

async fn output(files: &Arc<FakeFiles>, line: &str) -> (String, Seen) {
    let mut peer = Peer::run(files, line);
    peer.end();
    peer.ended().await
}

fn refusal(line: &str) -> String {
    Command::parse(line.as_bytes(), true).unwrap_err()
}

#[test]
fn every_other_command_is_refused() {
    for line in
        ["ls", "cat /etc/passwd", "rsync --server", "", "sh -c id", "echo ${ShellId}%ComSpec%", "ls; id", "md5summ x"]
    {
        assert!(refusal(line).contains("file gateway"), "{line}: {}", refusal(line));
    }
    assert!(refusal("md5sum a; id").contains("no shell"), "{}", refusal("md5sum a; id"));
    assert!(refusal("scp -t $HOME").contains("no shell"));
    assert!(refusal("scp -t").contains("no path"));
    assert!(refusal("scp -t a b").contains("several targets"));
    assert!(refusal("scp -S x -t a").contains("-S"));
    assert!(refusal("scp a b").contains("-t or -f"));
    assert!(refusal("sha256sum -c sums").contains("-c"));
    assert!(Command::parse(b"scp -t a", false).unwrap_err().contains("without -O"));
    assert!(Command::parse(b"md5sum a", false).is_ok());
    assert!(Command::parse(b"/usr/bin/scp -rpdvt -- -a", true).is_ok());
}

#[tokio::test]
async fn checksums_are_written_as_coreutils_does() {
    let files = FakeFiles::new();
    files.put("/in/abc", b"abc");
    files.put("/in/b\\c", b"abc");
    let hash = "900150983cd24fb0d6963f7d28e17f72";
    for (line, expected) in [
        ("md5sum /in/abc", format!("{hash}  /in/abc\n")),
        ("md5sum -b -- in/abc", format!("{hash} *in/abc\n")),
        ("md5sum '/in/b\\c'", format!("\\{hash}  /in/b\\\\c\n")),
        ("md5sum -z '/in/b\\c'", format!("{hash}  /in/b\\c\0")),
        ("md5sum --tag /in/abc", format!("MD5 (/in/abc) = {hash}\n")),
        ("md5sum /in/*", format!("{hash}  /in/abc\n\\{hash}  /in/b\\\\c\n")),
        ("md5 /in/abc", format!("MD5 (/in/abc) = {hash}\n")),
        ("md5 -r /in/abc", format!("{hash} /in/abc\n")),
        ("md5 -q /in/abc", format!("{hash}\n")),
        ("crc32 /in/abc", "352441c2\n".to_owned()),
        // What the ledger knows is not read: no content has this one.
        ("sha256sum /in/abc", format!("{}  /in/abc\n", "07".repeat(32))),
        ("sha1sum /in/abc", "a9993e364706816aba3e25717850c26c9cd0d89d  /in/abc\n".to_owned()),
        ("md5sum", "d41d8cd98f00b204e9800998ecf8427e  -\n".to_owned()),
        ("md5 -r", "d41d8cd98f00b204e9800998ecf8427e\n".to_owned()),
        ("sha1sum -", "da39a3ee5e6b4b0d3255bfef95601890afd80709  -\n".to_owned()),
    ] {
        let (out, seen) = output(&files, line).await;
        assert_eq!(out, expected, "{line}");
        assert_eq!(seen, Seen { errors: String::new(), status: Some(0) }, "{line}");
    }
    assert_eq!(files.open(), 0);
    assert!(files.log().iter().all(|line| line.starts_with("examine ")), "nothing is told to be downloaded");
}

#[tokio::test]
async fn one_missing_file_does_not_stop_the_others() {
    let files = FakeFiles::new();
    files.put("/in/a", b"");
    let (out, seen) = output(&files, "md5sum /in /gone /in/a").await;
    assert_eq!(out, "d41d8cd98f00b204e9800998ecf8427e  /in/a\n");
    assert_eq!(seen.status, Some(1));
    assert!(seen.errors.starts_with("md5sum: /in: ") && seen.errors.contains("\nmd5sum: /gone: "), "{seen:?}");
}

#[tokio::test]
async fn the_input_is_hashed_too() {
    let files = FakeFiles::new();
    let mut peer = Peer::run(&files, "sha256sum");
    peer.send(b"ab").await;
    peer.send(b"c").await;
    peer.end();
    let (out, seen) = peer.ended().await;
    assert_eq!(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n");
    assert_eq!(seen.status, Some(0));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_command() {
    let files = FakeFiles::new();
    let peer = Peer::run(&files, "md5sum");
    peer.cut();
    assert_eq!(peer.ended().await.1.status, None);
}

#[tokio::test]
async fn a_client_that_only_sends_is_told_the_end() {
    let files = FakeFiles::new();
    files.put("/in/a", &vec![0; 4 * 1024 * 1024]);
    files.slow(Duration::from_millis(500));
    let mut peer = Peer::run(&files, "md5sum /in/a");
    let piece = vec![0; 1024 * 1024];
    for _ in 0..=HELD / piece.len() + 1 {
        peer.send(&piece).await;
    }
    let (out, seen) = peer.ended().await;
    assert_eq!((out.as_str(), seen.status), ("", Some(1)));
}

#[tokio::test]
async fn an_input_that_ends_too_early_has_its_status() {
    for (line, input) in [
        ("scp -t /in", "C0644 5 a\nhe"),
        ("scp -t /in", "C0644 5 a\nhello"),
        ("scp -t /in", "C0644"),
        ("scp -f /in/a", ""),
        ("scp -f /in/a", "\0"),
        ("scp -f /in/a", "\0\0"),
    ] {
        let files = FakeFiles::new();
        files.put("/in/a", b"abc");
        let mut peer = Peer::run(&files, line);
        peer.send(input).await;
        peer.end();
        assert_eq!(peer.ended().await.1.status, Some(1), "{line} {input:?}");
        assert_eq!(files.open(), 0);
    }
}

#[tokio::test]
async fn a_shutdown_ends_a_command() {
    let files = FakeFiles::new();
    let peer = Peer::run(&files, "md5sum");
    peer.shutdown.cancel();
    let (_, seen) = peer.ended().await;
    assert_eq!(seen.status, Some(1));
    assert!(seen.errors.contains("shutting down"), "{seen:?}");
}

proptest! {
    #[test]
    fn no_command_line_panics(line in proptest::collection::vec(any::<u8>(), 0..60), scp in any::<bool>()) {
        let _ = Command::parse(&line, scp);
    }

    #[test]
    fn no_arguments_panic(line in "(scp|md5sum|crc32|md5)( (-[a-z-]{0,4}|[a-z/*~'\"\\\\]{0,6})){0,4}") {
        let _ = Command::parse(line.as_bytes(), true);
    }
}
