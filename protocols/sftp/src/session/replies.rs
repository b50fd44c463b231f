//! Replies on their way out. Every request that was taken up owes the client exactly one reply, and holds a share of the
//! session's allowance until that reply has been sent.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use super::transport::{Gone, Outbound};
use crate::codec::Reply;
use crate::flow::Flow;
use crate::status::{Code, refuse};

/// Small replies are gathered up to this size.
const GATHERED: usize = 32 * 1024;
/// Room for them to begin with.
const FIRST: usize = 1024;

/// What the writer is given.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// The answer to `SSH_FXP_INIT`.
    Version,
    /// A reply, and what its request holds of the allowance.
    Reply { id: u32, reply: Reply, cost: usize },
}

/// What the writer tells the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// So many requests are done with, and give back so many bytes.
    Replies { requests: usize, bytes: usize },
    /// The client takes nothing any more.
    Gone,
}

/// The right, and the duty, to answer one request.
#[derive(Debug)]
pub(super) struct Ticket {
    id: u32,
    cost: usize,
    replies: UnboundedSender<Outgoing>,
    flow: Arc<Flow>,
    answered: bool,
}

impl Ticket {
    /// For the request with this id, which takes `cost` bytes of the allowance.
    pub(super) fn new(id: u32, cost: usize, replies: UnboundedSender<Outgoing>, flow: Arc<Flow>) -> Self {
        flow.begin();
        Self { id, cost, replies, flow, answered: false }
    }

    /// Answers the request.
    pub(super) fn answer(mut self, reply: Reply) {
        self.send(reply);
    }

    fn send(&mut self, reply: Reply) {
        self.answered = true;
        self.flow.end();
        // The writer is there as long as any ticket is; without it nobody waits for a reply.
        let _ = self.replies.send(Outgoing::Reply { id: self.id, reply, cost: self.cost });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Whoever had the request went away without a word, a handle that was closed meanwhile or a fault.
        if !self.answered {
            self.send(refuse(Code::Failure, "the request was given up; open the file again"));
        }
    }
}

/// Sends replies until there can be no more, and hands back the stream. `tell` is called after each stretch that was
/// sent. When `lost` is cancelled nothing is sent any more: a stream may wait for a client that is gone without noticing.
pub(super) async fn write_replies<O: Outbound>(
    mut replies: UnboundedReceiver<Outgoing>,
    mut out: O,
    lost: CancellationToken,
    tell: impl Fn(Sent) + Send,
) -> O {
    let mut batch = Vec::new();
    // Kept only while there is something to send: most sessions are idle most of the time.
    let mut buffer = BytesMut::new();
    let mut gone = false;
    while replies.recv_many(&mut batch, 64).await > 0 {
        let (mut requests, mut bytes) = (0, 0);
        let count = batch.len();
        buffer.reserve(FIRST);
        for (at, outgoing) in batch.drain(..).enumerate() {
            let content = match outgoing {
                Outgoing::Version => {
                    Reply::encode_version(&mut buffer);
                    None
                }
                Outgoing::Reply { id, reply, cost } => {
                    requests += 1;
                    bytes += cost;
                    reply.encode(id, &mut buffer)
                }
            };
            let last = at + 1 == count;
            if !(last || content.is_some() || buffer.len() >= GATHERED) {
                continue;
            }
            // Once the client is gone replies are only counted, so that what is under way comes to its end.
            let head = buffer.split().freeze();
            let body = content.unwrap_or_else(Bytes::new);
            for part in [head, body] {
                if gone || part.is_empty() {
                    continue;
                }
                let sent = tokio::select! {
                    biased;
                    () = lost.cancelled() => Err(Gone),
                    sent = out.send(part) => sent,
                };
                if sent.is_err() {
                    gone = true;
                    tell(Sent::Gone);
                }
            }
            tell(Sent::Replies { requests: std::mem::take(&mut requests), bytes: std::mem::take(&mut bytes) });
        }
        if replies.is_empty() {
            (buffer, batch) = (BytesMut::new(), Vec::new());
        }
    }
    out
}
