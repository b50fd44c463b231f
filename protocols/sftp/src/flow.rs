//! How much a connection may have under way, seen from its socket.
//!
//! russh widens a channel's window as soon as data has arrived, not when it was used, and it stops its whole loop,
//! window adjustments of the client included, while a channel's receiver is full. So the SSH window cannot slow a client
//! down, and a full receiver can hang both sides. Therefore a channel's receiver is always emptied at once into the
//! session's own queue, and it is the reading of the socket that stops when that queue is long: then TCP slows the client
//! down while replies go on flowing out.
//!
//! No deadlock: the socket stops only while no reply is waiting to be taken by russh. If one waits (for window, for a key
//! exchange), the socket is read on, so that the client's window adjustment or key exchange message gets through. If none
//! waits, whatever is under way ends without any help of the client, and the queue gets shorter. A client that sends
//! without end and never takes its replies meets the session's hard limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::window::Distance;

/// Bytes of requests that may wait in a connection before its socket is read no more.
pub(crate) const QUEUED: usize = 8 * 1024 * 1024;

/// The state of one connection, shared by its socket and its sessions.
#[derive(Debug)]
pub(crate) struct Flow {
    queued: AtomicUsize,
    sending: AtomicUsize,
    working: AtomicUsize,
    began: Instant,
    touched: AtomicU64,
    reader: AtomicWaker,
    handles: Arc<Semaphore>,
    distance: Distance,
    most_handles: usize,
}

impl Flow {
    /// Nothing under way, and the default number of handles.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self::with_handles(crate::session::HANDLES)
    }

    /// Nothing under way; so many files and folders may be open at the same time.
    pub(crate) fn with_handles(handles: usize) -> Self {
        Self {
            most_handles: handles,
            handles: Arc::new(Semaphore::new(handles.min(Semaphore::MAX_PERMITS))),
            distance: Distance::new(),
            queued: AtomicUsize::new(0),
            sending: AtomicUsize::new(0),
            working: AtomicUsize::new(0),
            began: Instant::now(),
            touched: AtomicU64::new(0),
            reader: AtomicWaker::new(),
        }
    }

    /// A place for one more open file or folder, over all sessions of the connection.
    pub(crate) fn handle(&self) -> Option<OwnedSemaphorePermit> {
        self.handles.clone().try_acquire_owned().ok()
    }

    /// Files and folders that may be open at the same time.
    pub(crate) const fn most_handles(&self) -> usize {
        self.most_handles
    }

    /// How far away the client is.
    pub(crate) const fn distance(&self) -> &Distance {
        &self.distance
    }

    /// Bytes came in.
    pub(crate) fn arrived(&self, bytes: usize) {
        self.queued.fetch_add(bytes, Ordering::AcqRel);
        self.touch();
    }

    /// Bytes were taken up, or thrown away.
    pub(crate) fn used(&self, bytes: usize) {
        let before = self.queued.fetch_sub(bytes, Ordering::AcqRel);
        if before >= QUEUED && before.saturating_sub(bytes) < QUEUED {
            self.reader.wake();
        }
    }

    /// Bytes that wait, over all sessions of the connection.
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Acquire)
    }

    /// A reply waits until russh takes it, as long as the guard lives.
    pub(crate) fn send_waits(&self) -> Waiting<'_> {
        self.sending.fetch_add(1, Ordering::AcqRel);
        self.reader.wake();
        Waiting(self)
    }

    /// A request is being worked on.
    pub(crate) fn begin(&self) {
        self.working.fetch_add(1, Ordering::AcqRel);
    }

    /// A request has its reply.
    pub(crate) fn end(&self) {
        self.working.fetch_sub(1, Ordering::AcqRel);
        self.touch();
    }

    /// Something happened.
    pub(crate) fn touch(&self) {
        self.touched.store(self.began.elapsed().as_millis() as u64, Ordering::Release);
    }

    /// For how long nothing has happened; none while a request is being worked on.
    pub(crate) fn idle(&self) -> Option<Duration> {
        if self.working.load(Ordering::Acquire) > 0 {
            return None;
        }
        Some(self.began.elapsed().saturating_sub(Duration::from_millis(self.touched.load(Ordering::Acquire))))
    }

    /// Ready when the socket may be read.
    pub(crate) fn poll_open(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_open() {
            return Poll::Ready(());
        }
        self.reader.register(context.waker());
        if self.is_open() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_open(&self) -> bool {
        self.queued() < QUEUED || self.sending.load(Ordering::Acquire) > 0
    }
}

/// See [`Flow::send_waits`].
pub(crate) struct Waiting<'a>(&'a Flow);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.sending.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker;

    #[test]
    fn the_socket_stops_only_while_no_reply_waits() {
        let flow = Flow::new();
        let waker = noop_waker();
        let mut context = Context::from_waker(&waker);
        assert!(flow.poll_open(&mut context).is_ready());
        flow.arrived(QUEUED);
        assert!(flow.poll_open(&mut context).is_pending());
        let waiting = flow.send_waits();
        assert!(flow.poll_open(&mut context).is_ready());
        drop(waiting);
        assert!(flow.poll_open(&mut context).is_pending());
        flow.used(1);
        assert!(flow.poll_open(&mut context).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_not_idleness() {
        let flow = Flow::new();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(flow.idle(), Some(Duration::from_secs(5)));
        flow.begin();
        assert_eq!(flow.idle(), None);
        flow.end();
        assert_eq!(flow.idle(), Some(Duration::ZERO));
    }
}
