//! The two ends of a session's byte stream. Over SSH they are the halves of a channel; tests and fuzzers bring others.

use std::future::Future;

use bytes::Bytes;

/// What the client sent.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The next bytes of the stream.
    Piece(Bytes),
    /// The client will send no more, but takes what it still gets.
    End,
    /// The client is gone. Nothing comes after this.
    Lost,
}

/// The client is gone.
#[derive(Debug)]
pub(crate) struct Gone;

/// Where requests come from.
pub(crate) trait Inbound: Send + 'static {
    /// Waits for what comes next. Safe to drop while it waits.
    fn next(&mut self) -> impl Future<Output = Incoming> + Send;
}

/// Where replies go.
pub(crate) trait Outbound: Send + 'static {
    /// Sends bytes; returns when they are on their way.
    fn send(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Ends the stream, with the exit status that a server program would have.
    fn finish(self, status: u32) -> impl Future<Output = ()> + Send;
}
