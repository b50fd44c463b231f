//! Interim responses (RFC 9110 section 15.2) that a handler sends of its own while it works: `104 (Upload Resumption
//! Supported)` of draft-ietf-httpbis-resumable-upload. hyper's server has no way to send one, so they are written between
//! hyper and the connection, on HTTP/1.1 alone, and only where nothing of hyper's can be torn apart by them:
//!
//! - a [`Line`] belongs to a connection, and takes interim responses from the handler of one request, from the request's head
//!   until its answer is there. What was not written by then is dropped: the final response may follow at once.
//! - the connection's stream writes them when hyper flushes it: hyper does that only when it has nothing of its own left to
//!   write (an earlier response, a `100 Continue`). What hyper writes while the stream has one half written waits for its rest.
//!
//! A connection on which no request asked for them pays one relaxed load a flush.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

/// Bytes of interim responses that wait for the connection at most: what goes beyond is left out. A client that takes
/// nothing hears of nothing.
const MAX_WAITING: usize = 16 * 1024;

/// What a connection's stream and the handler of its running request share.
#[derive(Debug, Default)]
pub struct Line {
    /// Whether the handler of a running request has a handle.
    open: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts the requests that had a handle: a handle of an earlier one sends nothing.
    request: u64,
    open: bool,
    waiting: BytesMut,
    /// The task of the connection.
    task: Option<Waker>,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle of a request that begins. HTTP/1.1 answers one request of a connection after the other.
    pub fn open(self: &Arc<Self>) -> Interim {
        let mut state = self.lock();
        state.request += 1;
        state.open = true;
        state.waiting.clear();
        let request = state.request;
        drop(state);
        self.open.store(true, Ordering::Release);
        Interim { line: Arc::clone(self), request }
    }

    /// The answer of the request is there: nothing may go out before it any more that has not begun to.
    pub fn close(&self) {
        let mut state = self.lock();
        state.open = false;
        state.waiting.clear();
        state.task = None;
        drop(state);
        self.open.store(false, Ordering::Release);
    }

    /// What may be written now, as the stream is about to be flushed and hyper has nothing left to write.
    pub fn take(&self, cx: &Context<'_>) -> Option<Bytes> {
        if !self.open.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.lock();
        if !state.open {
            return None;
        }
        match &mut state.task {
            Some(task) => task.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        (!state.waiting.is_empty()).then(|| state.waiting.split().freeze())
    }
}

/// By which the handler of a request sends interim responses. Where the connection cannot take one it is left out: they are
/// optional, every one of them.
#[derive(Clone, Debug)]
pub struct Interim {
    line: Arc<Line>,
    request: u64,
}

impl Interim {
    /// Sends one. `status`: its number and its reason phrase.
    pub fn send(&self, status: &str, headers: &HeaderMap) {
        let mut state = self.line.lock();
        if !state.open || state.request != self.request {
            return;
        }
        let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if state.waiting.len() + length + status.len() + 13 > MAX_WAITING {
            return;
        }
        for piece in [b"HTTP/1.1 ".as_slice(), status.as_bytes(), b"\r\n"] {
            state.waiting.extend_from_slice(piece);
        }
        for (name, value) in headers {
            for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                state.waiting.extend_from_slice(piece);
            }
        }
        state.waiting.extend_from_slice(b"\r\n");
        // Where the connection is not in the middle of its own turn, it has to be told.
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn only_the_running_request_is_heard() {
        let line = Arc::new(Line::default());
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(line.take(&cx), None);
        let first = line.open();
        let headers = HeaderMap::from_iter([(http::header::LOCATION, "/a".parse().unwrap())]);
        first.send("104 Upload Resumption Supported", &headers);
        assert_eq!(line.take(&cx).unwrap(), "HTTP/1.1 104 Upload Resumption Supported\r\nlocation: /a\r\n\r\n");
        assert_eq!(line.take(&cx), None, "once");
        first.send("104", &headers);
        line.close();
        assert_eq!(line.take(&cx), None, "the answer was there first");
        first.send("104", &headers);
        let second = line.open();
        first.send("104", &headers);
        assert_eq!(line.take(&cx), None, "of a request that is over");
        second.send("104", &HeaderMap::new());
        assert_eq!(line.take(&cx).unwrap(), "HTTP/1.1 104\r\n\r\n");
        for _ in 0..MAX_WAITING {
            second.send("104", &headers);
        }
        assert!(line.take(&cx).unwrap().len() <= MAX_WAITING);
    }
}
