//! The client's side of an in-memory stream, with a session on the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::{Ended, Gone, Inbound, Incoming, Outbound, run};
use crate::codec::tests::{Answer, decode_reply, decode_version, encode_init, encode_request};
use crate::codec::{FileAttributes, Frames, OpenFlags, Request};
use crate::files::Files;
use crate::flow::Flow;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A stream's halves as a channel's.
struct FromStream(ReadHalf<DuplexStream>);
struct ToStream(WriteHalf<DuplexStream>);

impl Inbound for FromStream {
    async fn next(&mut self) -> Incoming {
        let mut buffer = BytesMut::with_capacity(32 * 1024);
        match self.0.read_buf(&mut buffer).await {
            Ok(0) => Incoming::End,
            Ok(_) => Incoming::Piece(buffer.freeze()),
            Err(_) => Incoming::Lost,
        }
    }
}

impl Outbound for ToStream {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.0.write_all(&bytes).await.map_err(|_| Gone)
    }

    async fn finish(mut self, _status: u32) {
        let _ = self.0.shutdown().await;
    }
}

/// Ends as the stream does, but tells no orderly end after it.
struct OnceEnded<I>(I, bool);

impl<I: Inbound> Inbound for OnceEnded<I> {
    async fn next(&mut self) -> Incoming {
        if self.1 {
            std::future::pending::<()>().await;
        }
        let incoming = self.0.next().await;
        self.1 = matches!(incoming, Incoming::End);
        incoming
    }
}

pub(crate) struct Client {
    pub(crate) read: ReadHalf<DuplexStream>,
    pub(crate) write: WriteHalf<DuplexStream>,
    pub(crate) frames: Frames,
    pub(crate) answers: HashMap<u32, Answer>,
    last: u32,
    pub(crate) session: JoinHandle<Ended>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) flow: Arc<Flow>,
}

impl Client {
    pub(crate) fn raw<F: Files>(files: &Arc<F>) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (read, write) = tokio::io::split(far);
        let flow = Arc::new(Flow::new());
        let shutdown = CancellationToken::new();
        let inbound = OnceEnded(FromStream(read), false);
        let work = run(files.clone(), flow.clone(), inbound, ToStream(write), shutdown.clone());
        let session = tokio::spawn(work);
        let (read, write) = tokio::io::split(near);
        Self { read, write, frames: Frames::new(), answers: HashMap::new(), last: 0, session, shutdown, flow }
    }

    pub(crate) async fn new<F: Files>(files: &Arc<F>) -> Self {
        Self::speaking(files, 3).await
    }

    /// A client that says that it speaks this version.
    pub(crate) async fn speaking<F: Files>(files: &Arc<F>, version: u32) -> Self {
        let mut this = Self::raw(files);
        this.write.write_all(&encode_init(version)).await.unwrap();
        let offered = decode_version(this.packet().await.unwrap()).expect("version 3");
        assert!(offered.iter().any(|(name, _)| name == "posix-rename@openssh.com"));
        this
    }

    pub(crate) async fn packet(&mut self) -> Option<Bytes> {
        loop {
            if let Some(packet) = self.frames.take_packet().unwrap() {
                return Some(packet);
            }
            let mut buffer = BytesMut::with_capacity(64 * 1024);
            let read = tokio::time::timeout(PATIENCE, self.read.read_buf(&mut buffer)).await.expect("a reply in time");
            if read.unwrap_or(0) == 0 {
                return None;
            }
            self.frames.push(buffer.freeze());
        }
    }

    pub(crate) async fn send(&mut self, request: Request) -> u32 {
        self.last += 1;
        self.write.write_all(&encode_request(self.last, &request)).await.unwrap();
        self.last
    }

    pub(crate) async fn answer(&mut self, id: u32) -> Answer {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            let packet = self.packet().await.expect("the session goes on");
            let (id, answer) = decode_reply(packet).expect("a well-formed reply");
            assert!(self.answers.insert(id, answer).is_none(), "one reply for each request");
        }
    }

    pub(crate) async fn ask(&mut self, request: Request) -> Answer {
        let id = self.send(request).await;
        self.answer(id).await
    }

    pub(crate) async fn status(&mut self, request: Request) -> u32 {
        match self.ask(request).await {
            Answer::Status(code, _) => code,
            other => panic!("a status is expected, not {other:?}"),
        }
    }

    pub(crate) async fn open(&mut self, path: &str, flags: u32) -> Bytes {
        match self.ask(open(path, flags)).await {
            Answer::Handle(handle) => handle,
            other => panic!("a handle is expected, not {other:?}"),
        }
    }

    /// Says that no more requests come, and waits for the end.
    pub(crate) async fn leave(mut self) -> Ended {
        let _ = self.write.shutdown().await;
        while self.packet().await.is_some() {}
        let ended = tokio::time::timeout(PATIENCE, self.session).await.expect("an end in time").unwrap();
        assert!(self.flow.idle().is_some(), "no request is left without its reply");
        ended
    }
}

pub(crate) fn path(path: &str) -> Bytes {
    Bytes::copy_from_slice(path.as_bytes())
}

pub(crate) fn open(name: &str, flags: u32) -> Request {
    Request::Open { path: path(name), flags: OpenFlags(flags), attributes: FileAttributes::default() }
}

pub(crate) fn write(handle: &Bytes, offset: u64, data: impl Into<Bytes>) -> Request {
    Request::Write { handle: handle.clone(), offset, data: data.into() }
}

pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}
