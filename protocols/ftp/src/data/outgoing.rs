//! Data to the client: RETR and the listings.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::deflate::Packer;
use super::{Broken, DataStream};
use crate::wire::ascii::ToWire;

/// How long a client may take to close a data connection that has ended.
const LINGER: Duration = Duration::from_secs(5);

/// A data connection that is written to.
pub(crate) struct Outgoing {
    pub(crate) stream: DataStream,
    /// TYPE A.
    pub(crate) ascii: Option<ToWire>,
    /// MODE Z.
    pub(crate) packer: Option<Packer>,
    pub(crate) stall: Duration,
    pub(crate) abort: CancellationToken,
    /// Bytes written so far, before packing.
    pub(crate) moved: Arc<AtomicU64>,
}

impl Outgoing {
    /// Writes a piece.
    pub(crate) async fn write(&mut self, piece: &[u8]) -> Result<(), Broken> {
        let mut translated = Vec::new();
        let piece = match &mut self.ascii {
            Some(state) => {
                state.translate(piece, &mut translated);
                &translated
            }
            None => piece,
        };
        let mut packed = Vec::new();
        let bytes = match &mut self.packer {
            Some(packer) => {
                packer.pack(piece, false, &mut packed);
                &packed
            }
            None => piece,
        };
        self.put(bytes).await?;
        self.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    async fn put(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let written = self.step(|stream| stream.write(bytes)).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// One step on the stream, which ends with an abort or when it takes too long.
    async fn step<'s, T, F, W>(&'s mut self, work: W) -> Result<T, Broken>
    where
        W: FnOnce(&'s mut DataStream) -> F,
        F: Future<Output = io::Result<T>>,
    {
        tokio::select! {
            biased;
            () = self.abort.cancelled() => Err(Broken::Aborted),
            done = timeout(self.stall, work(&mut self.stream)) => match done {
                Ok(Ok(done)) => Ok(done),
                Ok(Err(error)) => Err(Broken::Lost(error)),
                Err(_) => Err(Broken::Stalled),
            },
        }
    }

    /// Everything was written: sends the rest and close_notify. What remains is to let the client close.
    pub(crate) async fn finish(mut self) -> Result<Parting, Broken> {
        if let Some(mut packer) = self.packer.take() {
            let mut rest = Vec::new();
            packer.pack(&[], true, &mut rest);
            self.put(&rest).await?;
        }
        self.step(|stream| stream.flush()).await?;
        self.step(|stream| stream.shutdown()).await?;
        Ok(Parting(self.stream))
    }
}

/// A data connection on which all has been said.
pub(crate) struct Parting(pub(crate) DataStream);

impl Parting {
    /// Waits for the client to close, for a while: to close a socket in which bytes wait to be read (the client's own
    /// close_notify, or the rest of an upload that was refused) resets it, and what the client has not taken yet would be
    /// lost.
    pub(crate) async fn linger(mut self) {
        let mut rest = vec![0; 16 * 1024];
        let closing = async { while matches!(self.0.read(&mut rest).await, Ok(read) if read > 0) {} };
        // Whether it does or not: the connection is closed.
        let _ = timeout(LINGER, closing).await;
    }
}
