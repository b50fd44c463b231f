//! What the fuzz targets call (`fuzz/` in the repository). Each function panics when a rule is broken.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::sync::CancellationToken;

use crate::codec::{Frames, decode, decode_init, kind};
use crate::flow::Flow;
use crate::session::fake::FakeFiles;
use crate::session::{Gone, Inbound, Incoming, Outbound, run};

/// A byte stream, given to the reader of frames at once and in pieces: both must find the same packets, and no packet may
/// make the decoders panic.
pub fn packets(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let mut whole = Frames::new();
    whole.push(Bytes::copy_from_slice(stream));
    let mut pieces = Frames::new();
    let mut found = Vec::new();
    let mut broken = false;
    for piece in stream.chunks(usize::from(step) + 1) {
        pieces.push(Bytes::copy_from_slice(piece));
        while !broken {
            match pieces.take_packet() {
                Ok(Some(packet)) => found.push(packet),
                Ok(None) => break,
                Err(_) => broken = true,
            }
        }
    }
    for expected in found {
        let packet = whole.take_packet();
        assert_eq!(
            packet.as_ref().ok().and_then(Option::as_ref),
            Some(&expected),
            "cut in pieces it is another packet"
        );
        let _ = decode_init(expected.clone());
        if let (Ok((id, _)), Some(sent)) = (decode(expected.clone()), expected.get(1..5)) {
            assert_eq!(id.to_be_bytes(), sent, "the id is what was sent");
        }
    }
    assert_eq!(whole.take_packet().is_err(), broken, "both are broken or none");
}

/// A client that sends `pieces`, and then no more.
struct Script(VecDeque<Bytes>);

impl Inbound for Script {
    async fn next(&mut self) -> Incoming {
        tokio::task::yield_now().await;
        match self.0.pop_front() {
            Some(piece) => Incoming::Piece(piece),
            None => Incoming::End,
        }
    }
}

/// Keeps what the session sends, and its exit status.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<(BytesMut, Option<u32>)>>);

impl Outbound for Record {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self, status: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(status);
    }
}

/// A whole session. The first byte says how: even, the bytes are the stream itself; odd, they are packets without their
/// lengths and ids (one byte of length, kind, fields), which reach deeper. Whatever comes, the session ends, leaves nothing
/// open, and answers in packets of known kinds: each request once at the most, and each one where the client has ended
/// in an orderly way.
pub fn session(data: &[u8]) {
    let Some((&how, script)) = data.split_first() else { return };
    let mut asked: HashMap<u32, bool> = HashMap::new();
    let stream = if how & 1 == 0 { Bytes::copy_from_slice(script) } else { framed(script, &mut asked) };
    let step = (usize::from(how >> 1) + 1) * 37;
    let pieces = stream.chunks(step).map(Bytes::copy_from_slice).collect();

    let files = FakeFiles::new();
    files.put("/f", b"content of a file");
    files.put("/d/g", &[7; 9_000]);
    files.partial("/p", b"half");
    let record = Record::default();
    let (work, answers) = (files.clone(), record.clone());
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    runtime.block_on(async move {
        run(work, Arc::new(Flow::with_handles(256)), Script(pieces), answers, CancellationToken::new()).await;
    });
    assert_eq!(files.open(), 0, "something was left open");

    let mut recorded = record.0.lock().unwrap_or_else(PoisonError::into_inner);
    let status = recorded.1;
    let mut frames = Frames::new();
    frames.push(recorded.0.split().freeze());
    while let Ok(Some(mut packet)) = frames.take_packet() {
        let kind = packet.get_u8();
        if kind == kind::VERSION {
            continue;
        }
        assert!((kind::STATUS..=kind::ATTRS).contains(&kind) || kind == EXTENDED_REPLY, "a reply of kind {kind}");
        let id = packet.get_u32();
        if how & 1 == 1 {
            let answered = asked.get_mut(&id);
            assert!(answered.is_some_and(|answered| !std::mem::replace(answered, true)), "{id} is answered once");
        }
    }
    assert_eq!(frames.held(), 0, "half a reply");
    if how & 1 == 1 && status == Some(0) {
        assert!(asked.values().all(|&answered| answered), "an orderly end with requests that were not answered");
    }
}

/// `SSH_FXP_EXTENDED_REPLY` (draft-ietf-secsh-filexfer-02 section 8).
const EXTENDED_REPLY: u8 = 201;

fn framed(mut script: &[u8], asked: &mut HashMap<u32, bool>) -> Bytes {
    let mut stream = BytesMut::new();
    stream.put_slice(&[0, 0, 0, 5, kind::INIT, 0, 0, 0, 3]);
    let mut id = 0;
    while let Some((&length, rest)) = script.split_first() {
        let Some((packet, rest)) = rest.split_at_checked(usize::from(length)) else { break };
        script = rest;
        let Some((&kind, fields)) = packet.split_first() else { continue };
        id += 1;
        asked.insert(id, false);
        stream.put_u32(fields.len() as u32 + 5);
        stream.put_u8(kind);
        stream.put_u32(id);
        stream.put_slice(fields);
    }
    stream.freeze()
}
