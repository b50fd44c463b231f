//! What a client sends to a command. One half empties the channel at once, whatever the command does, as [`crate::flow`]
//! wants it; the other half is what the command reads.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::flow::Flow;
use crate::session::{Gone, HELD, Inbound, Incoming};

/// The half that empties the channel.
pub(super) struct Feed<I> {
    inbound: I,
    pieces: Option<UnboundedSender<Bytes>>,
    flow: Arc<Flow>,
    lost: CancellationToken,
    closed: CancellationToken,
}

/// The half that a command reads.
pub(crate) struct Stdin {
    pieces: UnboundedReceiver<Bytes>,
    current: Bytes,
    flow: Arc<Flow>,
    lost: CancellationToken,
}

/// What a line came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is whole; its end is not in it.
    Whole(Vec<u8>),
    /// It is longer than it may be. What is behind it cannot be read any more.
    TooLong,
    /// The input ended in it.
    Cut,
}

/// Both halves. `lost` is cancelled when the client is gone or has sent more than it may, `closed` only when it is gone.
pub(super) fn halves<I: Inbound>(
    inbound: I,
    flow: Arc<Flow>,
    lost: CancellationToken,
    closed: CancellationToken,
) -> (Feed<I>, Stdin) {
    let (sender, pieces) = unbounded_channel();
    let stdin = Stdin { pieces, current: Bytes::new(), flow: flow.clone(), lost: lost.clone() };
    (Feed { inbound, pieces: Some(sender), flow, lost, closed }, stdin)
}

impl<I: Inbound> Feed<I> {
    /// Empties the channel. Does not return: what it runs beside says when it is over.
    pub(super) async fn pump(mut self) {
        loop {
            match self.inbound.next().await {
                Incoming::Piece(piece) => {
                    let size = piece.len();
                    self.flow.arrived(size);
                    let taken = size > 0 && self.pieces.as_ref().is_some_and(|pieces| pieces.send(piece).is_ok());
                    if !taken {
                        self.flow.used(size);
                    } else if self.flow.queued() > HELD {
                        tracing::warn!("a client sends and takes no replies; its command is ended");
                        // What it still sends is thrown away, so that the end of its command gets through to it.
                        self.lost.cancel();
                        self.pieces = None;
                    }
                }
                Incoming::End => self.pieces = None,
                Incoming::Lost => break,
            }
        }
        self.closed.cancel();
        self.lost.cancel();
        self.pieces = None;
        std::future::pending::<()>().await;
    }
}

impl Stdin {
    /// Takes up the next bytes where none are left; false at the end.
    async fn fill(&mut self) -> Result<bool, Gone> {
        if !self.current.is_empty() {
            return Ok(true);
        }
        match self.pieces.recv().await {
            Some(piece) => {
                self.flow.used(piece.len());
                self.current = piece;
                Ok(true)
            }
            None if self.lost.is_cancelled() => Err(Gone),
            None => Ok(false),
        }
    }

    /// The next byte; none at the end. Safe to drop while it waits.
    pub(crate) async fn byte(&mut self) -> Result<Option<u8>, Gone> {
        if !self.fill().await? {
            return Ok(None);
        }
        let byte = self.current.first().copied();
        drop(self.current.split_to(1));
        Ok(byte)
    }

    /// What stands before the next newline, at most `longest` bytes.
    pub(crate) async fn line(&mut self, longest: usize) -> Result<Line, Gone> {
        let mut line = Vec::new();
        loop {
            match self.byte().await? {
                Some(b'\n') => return Ok(Line::Whole(line)),
                Some(_) if line.len() >= longest => return Ok(Line::TooLong),
                Some(byte) => line.push(byte),
                None => return Ok(Line::Cut),
            }
        }
    }

    /// The next bytes, at least one and at most `most`; none at the end.
    pub(crate) async fn piece(&mut self, most: u64) -> Result<Option<Bytes>, Gone> {
        if !self.fill().await? {
            return Ok(None);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(Some(self.current.split_to(self.current.len().min(most))))
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.pieces.close();
        while let Ok(piece) = self.pieces.try_recv() {
            self.flow.used(piece.len());
        }
    }
}
