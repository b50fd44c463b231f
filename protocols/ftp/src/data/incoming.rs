//! Data from the client: STOR, APPE, STOU.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use causeway_core::piece::{PIECE, Piece};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::deflate::Unpacker;
use super::outgoing::Parting;
use super::{Broken, DataStream};
use crate::wire::ascii::FromWire;

/// How long the client may take to take our close_notify.
const GOODBYE: Duration = Duration::from_secs(2);

/// A data connection that is read from.
pub(crate) struct Incoming {
    pub(crate) stream: DataStream,
    /// TYPE A.
    pub(crate) ascii: Option<FromWire>,
    /// MODE Z.
    pub(crate) unpacker: Option<Unpacker>,
    /// Whether the stream must end with close_notify.
    pub(crate) notify: bool,
    pub(crate) stall: Duration,
    pub(crate) abort: CancellationToken,
    /// Bytes of content so far.
    pub(crate) moved: Arc<AtomicU64>,
    /// What was read and not handed on.
    pub(crate) piece: Option<Piece>,
    /// What was read and is not unpacked yet.
    pub(crate) packed: Bytes,
    pub(crate) ended: bool,
    /// How it broke, to be told once the content before the break was handed out.
    pub(crate) failure: Option<Broken>,
}

impl Incoming {
    /// The next piece of content; none at its proper end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            let piece = if self.unpacker.is_some() { self.unpacked().await? } else { self.raw().await? };
            let piece = match (piece, &mut self.ascii) {
                (Some(piece), None) => piece,
                (Some(piece), Some(state)) => {
                    let mut out = Vec::with_capacity(piece.len() + 1);
                    state.translate(&piece, &mut out);
                    Bytes::from(out)
                }
                (None, Some(state)) => {
                    let mut out = Vec::new();
                    state.finish(&mut out);
                    if out.is_empty() {
                        return Ok(None);
                    }
                    Bytes::from(out)
                }
                (None, None) => return Ok(None),
            };
            if !piece.is_empty() {
                self.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
                return Ok(Some(piece));
            }
        }
    }

    /// The next piece as it came.
    async fn raw(&mut self) -> Result<Option<Bytes>, Broken> {
        if let Some(how) = self.failure.take() {
            return Err(how);
        }
        while !self.ended && !self.piece.as_ref().is_some_and(Piece::is_full) {
            // Small files are over with a piece or two; large ones do not need it.
            if self.moved.load(Ordering::Relaxed) == 0 {
                self.stream.quicken();
            }
            let piece = self.piece.get_or_insert_default();
            let read = tokio::select! {
                biased;
                () = self.abort.cancelled() => return Err(Broken::Aborted),
                read = timeout(self.stall, self.stream.read(piece.room(PIECE))) => read,
            };
            match read {
                Ok(Ok(0)) => self.ended = true,
                Ok(Ok(count)) => piece.fill(count),
                // The TCP stream ended, the TLS stream did not.
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    if self.notify {
                        return self.broken(Broken::NoNotify);
                    }
                    self.ended = true;
                }
                Ok(Err(error)) => return self.broken(Broken::Lost(error)),
                Err(_) => return self.broken(Broken::Stalled),
            }
        }
        Ok(self.read_so_far())
    }

    /// What came before the break is content, too, which a resumed upload can go on from: it is handed out first.
    fn broken(&mut self, how: Broken) -> Result<Option<Bytes>, Broken> {
        match self.read_so_far() {
            Some(bytes) if self.unpacker.is_none() => {
                self.failure = Some(how);
                Ok(Some(bytes))
            }
            _ => Err(how),
        }
    }

    fn read_so_far(&mut self) -> Option<Bytes> {
        self.piece.take().filter(|piece| !piece.is_empty()).map(Piece::freeze)
    }

    async fn unpacked(&mut self) -> Result<Option<Bytes>, Broken> {
        let mut out = Vec::new();
        loop {
            if self.packed.is_empty() {
                let Some(piece) = self.raw().await? else { return self.unpacked_end(out) };
                self.packed = piece;
            }
            let Some(unpacker) = &mut self.unpacker else { return Ok(None) };
            let used = unpacker.unpack(&self.packed, &mut out).map_err(|_| Broken::Garbled)?;
            let _ = self.packed.split_to(used.min(self.packed.len()));
            if !out.is_empty() {
                return Ok(Some(Bytes::from(out)));
            }
        }
    }

    /// Nothing more comes: what the unpacker still holds may need no more bytes, only room.
    fn unpacked_end(&mut self, mut out: Vec<u8>) -> Result<Option<Bytes>, Broken> {
        let Some(unpacker) = &mut self.unpacker else { return Ok(None) };
        if !unpacker.is_ended() {
            unpacker.unpack(&[], &mut out).map_err(|_| Broken::Garbled)?;
        }
        match (out.is_empty(), unpacker.is_ended()) {
            (true, true) => Ok(None),
            (true, false) => Err(Broken::Garbled),
            (false, _) => Ok(Some(Bytes::from(out))),
        }
    }

    /// The content is complete: answers the client's close_notify with our own.
    pub(crate) async fn finish(mut self) -> Option<Parting> {
        let said = timeout(GOODBYE, self.stream.shutdown()).await;
        matches!(said, Ok(Ok(()))).then_some(Parting(self.stream))
    }
}
