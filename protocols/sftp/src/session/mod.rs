//! One SFTP session (draft-ietf-secsh-filexfer-02) over a stream of bytes.
//!
//! ```text
//!  inbound ──► Frames ──► Session ──► paths (one after another) ─┐
//!                 (owns all state) ─► one part for each open handle ─┤ tickets
//!                            ▲                                        ▼
//!                            └────────── allowance given back ── writer ──► outbound
//! ```
//! All of these are parts of one task (see [`gathered`]); a part that waits keeps none of the others waiting.
//! The session itself waits for nothing but events, so that it always empties the inbound stream. What it lets into the
//! queues is bounded: by requests, and by the bytes that they and their replies hold ([`REQUESTS`], [`BYTES`]). What it
//! does not let in yet waits as raw bytes, which [`crate::flow`] keeps short; a client that gets past that, because it
//! takes no replies, is cut off at [`HELD`].
//!
//! How it ends: at the client's orderly end everything that was asked is done and answered first. When the client is
//! gone, or sends what is no packet, what was let in is still done, and nothing more is. When the gateway shuts down the
//! session ends as soon as no upload is open in it; those that are may be finished within the gateway's grace, after
//! which the connection is cut. When the gateway ends the session (an administrator, a login that is gone) what was let in is
//! still done and answered. In each case what is open then is not complete: uploads are left to be resumed, downloads
//! have failed.

mod dispatch;
mod entries;
#[cfg(any(test, feature = "fuzz"))]
#[path = "tests/fake.rs"]
pub(crate) mod fake;
mod gathered;
mod handles;
mod paths;
mod replies;
mod transport;
mod verbs;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use causeway_core::{Error, ErrorKind, VirtualPath};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub(crate) use transport::{Gone, Inbound, Incoming, Outbound};

use self::handles::{Job, Open};
use self::paths::{Opened, PathJob};
use self::replies::{Outgoing, Sent};
use crate::codec::{Frames, Reply};
use crate::files::Files;
use crate::flow::Flow;
use crate::status::{Code, refuse};

/// Handles that one connection may have open by default.
pub(crate) const HANDLES: usize = 256;
/// Requests that may be let in and not be answered yet.
pub(crate) const REQUESTS: usize = 128;
/// Bytes that the requests let in, and their replies, may hold.
pub(crate) const BYTES: usize = 8 * 1024 * 1024;
/// Bytes that may wait before they are let in, over all sessions of a connection. The session that goes beyond it ends.
pub(crate) const HELD: usize = 32 * 1024 * 1024;

/// How long a client that sent what is no packet may take to hear the replies before it.
const FAREWELL: Duration = Duration::from_secs(5);

/// What ends a session, beside its client.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    /// The gateway shuts down: what is open may still be finished.
    pub(crate) shutdown: CancellationToken,
    /// The gateway has ended the session: what was let in is still done, and nothing more.
    pub(crate) ended: CancellationToken,
}

#[cfg(any(test, feature = "fuzz"))]
impl From<CancellationToken> for Closing {
    fn from(shutdown: CancellationToken) -> Self {
        Self { shutdown, ended: CancellationToken::new() }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client said that it is done.
    Client,
    /// The client went away.
    Lost,
    /// What the client sent cannot be read any further.
    Broken(&'static str),
    /// The gateway shuts down.
    Closing,
    /// The gateway has ended it.
    Dismissed,
}

impl Ended {
    /// Why what is open now stays incomplete.
    fn reason(self) -> Error {
        let sentence = match self {
            Self::Lost => return Error::broken_off(),
            Self::Client => "the client ended the session without closing the file",
            Self::Broken(_) => "the client sent what is no SFTP packet before the file was closed",
            Self::Closing => "the gateway shut down before the file was closed",
            // Core knows why.
            Self::Dismissed => "the gateway ended the session before the file was closed",
        };
        Error::new(ErrorKind::Incomplete, sentence)
    }

    /// The exit status of the subsystem, as OpenSSH's server has it.
    const fn status(self) -> u32 {
        match self {
            Self::Client => 0,
            Self::Lost | Self::Broken(_) | Self::Closing | Self::Dismissed => 1,
        }
    }
}

/// What its parts tell the session.
enum Event<F: Files> {
    /// An open succeeded, or failed.
    Opened(Option<Opened<F>>),
    /// Something is to be worked on beside all other requests.
    Beside(BoxFuture<'static, ()>),
    /// A handle's part has ended.
    Closed(u32),
    /// Replies were sent.
    Sent(Sent),
}

/// What the tasks of a session share.
#[derive(Debug)]
struct Shared {
    /// Why the session ended, once it has.
    reason: OnceLock<Error>,
    /// Whose turn it is to read content for a checksum.
    hashing: Semaphore,
}

impl Shared {
    fn new() -> Self {
        Self { reason: OnceLock::new(), hashing: Semaphore::new(1) }
    }

    /// The reason, if the session has ended.
    fn ended(&self) -> Option<Error> {
        self.reason.get().cloned()
    }

    /// Why what is open stays incomplete.
    fn reason(&self) -> Error {
        self.ended().unwrap_or_else(|| Error::new(ErrorKind::Incomplete, "the session ended"))
    }
}

/// An open handle, as the session knows it.
struct Handle<F: Files> {
    jobs: UnboundedSender<Job<F>>,
    /// What is being written by it.
    written: Option<VirtualPath>,
    /// Whether its close was let in: the handle is no more, but its last requests are still being worked on.
    closing: bool,
}

/// The state of a session, owned by its task.
struct Session<F: Files> {
    files: Arc<F>,
    flow: Arc<Flow>,
    frames: Frames,
    greeted: bool,
    handles: HashMap<u32, Handle<F>>,
    last_handle: u32,
    /// Opens that were let in and are not done.
    opening: usize,
    /// One for each open handle and each open that is under way.
    places: Vec<OwnedSemaphorePermit>,
    paths: Option<UnboundedSender<PathJob>>,
    replies: UnboundedSender<Outgoing>,
    events: UnboundedSender<Event<F>>,
    parts: FuturesUnordered<BoxFuture<'static, ()>>,
    requests: usize,
    bytes: usize,
    shared: Arc<Shared>,
    /// Whether the gateway shuts down, and only open uploads keep the session.
    closing: bool,
    ended: Option<Ended>,
}

/// Serves a session until it ends, and everything that it began has ended too.
pub(crate) async fn run<F: Files, I: Inbound, O: Outbound>(
    files: Arc<F>,
    flow: Arc<Flow>,
    inbound: I,
    outbound: O,
    closing: impl Into<Closing>,
) -> Ended {
    gathered::gathered(talk(files, flow, inbound, outbound, closing.into())).await
}

async fn talk<F: Files, I: Inbound, O: Outbound>(
    files: Arc<F>,
    flow: Arc<Flow>,
    mut inbound: I,
    outbound: O,
    closing: Closing,
) -> Ended {
    let (replies, outgoing) = unbounded_channel();
    let (events, mut happened) = unbounded_channel();
    let told = events.clone();
    let tell = move |sent| drop(told.send(Event::Sent(sent)));
    let lost = CancellationToken::new();
    let mut writer = pin!(replies::write_replies(outgoing, outbound, lost.clone(), tell));
    let mut written = None;
    let mut session = Session::new(files, flow.clone(), replies, events);
    let mut client = Client { inbound: &mut inbound, flow: &flow, lost: &lost, sends: true, here: true };

    let ended = loop {
        session.let_in();
        if session.closing && !session.uploads() {
            session.end(Ended::Closing);
        }
        if !client.sends && session.requests == 0 && !session.frames.ready() {
            session.end(Ended::Client);
        }
        if let Some(ended) = session.ended
            && session.is_over(&mut happened)
        {
            break ended;
        }
        tokio::select! {
            incoming = client.next(), if client.here => match incoming {
                Incoming::Piece(piece) => session.arrived(piece),
                Incoming::End => {}
                Incoming::Lost => session.end(Ended::Lost),
            },
            Some(event) = happened.recv() => session.happened(event),
            Some(()) = session.parts.next(), if !session.parts.is_empty() => {}
            // It ends only when nothing can be answered any more, which is not before the session's end.
            outbound = &mut writer, if written.is_none() => written = Some(outbound),
            () = closing.shutdown.cancelled(), if !session.closing => session.closing = true,
            () = closing.ended.cancelled(), if session.ended.is_none() => session.end(Ended::Dismissed),
        }
    };

    // The stream is still emptied while the last replies go out, or neither side would get on.
    drop(session);
    drop(happened);
    let patience = async {
        match ended {
            // These were heard, or have their own limits: the connection's idle time, the grace of a shutdown.
            Ended::Client | Ended::Lost | Ended::Closing => std::future::pending().await,
            Ended::Broken(_) | Ended::Dismissed => tokio::time::sleep(FAREWELL).await,
        }
        lost.cancel();
        std::future::pending::<()>().await;
    };
    let farewell = async {
        let outbound = match written {
            Some(outbound) => outbound,
            None => writer.await,
        };
        // A client whose channel is closed goes away by itself, before it is told why the connection is ended.
        if ended != Ended::Dismissed {
            outbound.finish(ended.status()).await;
        }
    };
    tokio::select! {
        () = client.meanwhile(farewell) => {}
        () = patience => {}
    }
    ended
}

/// The inbound stream, and what is known of the other end.
struct Client<'a, I> {
    inbound: &'a mut I,
    flow: &'a Flow,
    /// Cancelled when the client is gone.
    lost: &'a CancellationToken,
    /// Whether requests may still come.
    sends: bool,
    /// Whether the client is there at all.
    here: bool,
}

impl<I: Inbound> Client<'_, I> {
    async fn next(&mut self) -> Incoming {
        let incoming = self.inbound.next().await;
        match &incoming {
            Incoming::Piece(piece) => self.flow.arrived(piece.len()),
            Incoming::End => self.sends = false,
            Incoming::Lost => {
                self.sends = false;
                self.here = false;
                self.lost.cancel();
            }
        }
        incoming
    }

    /// Waits for the work while what comes in is thrown away.
    async fn meanwhile(&mut self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                () = &mut work => return,
                incoming = self.next(), if self.here => {
                    if let Incoming::Piece(piece) = incoming {
                        self.flow.used(piece.len());
                    }
                }
            }
        }
    }
}

impl<F: Files> Session<F> {
    fn new(
        files: Arc<F>,
        flow: Arc<Flow>,
        replies: UnboundedSender<Outgoing>,
        events: UnboundedSender<Event<F>>,
    ) -> Self {
        let (paths, path_jobs) = unbounded_channel();
        let (told, more) = (events.clone(), events.clone());
        let parts = FuturesUnordered::new();
        let shared = Arc::new(Shared::new());
        let tell = move |opened| drop(told.send(Event::Opened(opened)));
        let beside = move |work| drop(more.send(Event::Beside(work)));
        parts.push(part(paths::serve(files.clone(), shared.clone(), path_jobs, tell, beside)));
        Self {
            files,
            flow,
            frames: Frames::new(),
            greeted: false,
            handles: HashMap::new(),
            last_handle: 0,
            opening: 0,
            places: Vec::new(),
            paths: Some(paths),
            replies,
            events,
            parts,
            requests: 0,
            bytes: 0,
            shared,
            closing: false,
            ended: None,
        }
    }

    /// Bytes came in.
    fn arrived(&mut self, piece: bytes::Bytes) {
        if self.ended.is_some() {
            self.flow.used(piece.len());
            return;
        }
        self.frames.push(piece);
        if self.flow.queued() > HELD {
            self.end(Ended::Broken("the client sends requests and takes no replies"));
        }
    }

    /// Lets in as many of the waiting packets as the allowance has room for.
    fn let_in(&mut self) {
        while self.ended.is_none() && self.requests < REQUESTS && self.bytes < BYTES {
            match self.frames.take_packet() {
                Ok(Some(packet)) => {
                    self.flow.used(packet.len() + 4);
                    self.packet(packet);
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(?error, "the stream cannot be cut into packets");
                    self.end(Ended::Broken("a packet has a length that no packet can have"));
                }
            }
        }
    }

    fn happened(&mut self, event: Event<F>) {
        match event {
            Event::Opened(opened) => {
                self.opening = self.opening.saturating_sub(1);
                if let Some(opened) = opened {
                    self.register(opened);
                }
            }
            Event::Beside(work) => self.parts.push(part(work)),
            Event::Closed(handle) => {
                self.handles.remove(&handle);
            }
            Event::Sent(Sent::Replies { requests, bytes }) => {
                self.requests = self.requests.saturating_sub(requests);
                self.bytes = self.bytes.saturating_sub(bytes);
            }
            Event::Sent(Sent::Gone) => self.end(Ended::Lost),
        }
        self.places.truncate(self.handles.len() + self.opening);
    }

    /// Gives what was opened a handle and a part. Handles are numbers that no other handle of the session ever had.
    fn register(&mut self, Opened { ticket, open }: Opened<F>) {
        let (jobs, received) = unbounded_channel();
        let written = if let Open::Upload(handle) = &open { Some(handle.path.clone()) } else { None };
        let handle = self.last_handle.checked_add(1).filter(|_| self.ended.is_none());
        let events = self.events.clone();
        let work = handles::serve(open, received, self.files.clone(), self.shared.clone());
        self.parts.push(part(async move {
            work.await;
            if let Some(handle) = handle {
                // The session is there as long as its parts are.
                let _ = events.send(Event::Closed(handle));
            }
        }));
        let Some(handle) = handle else {
            // Without a queue the part ends what was opened at once.
            ticket.answer(refuse(Code::Failure, "the session is ending; connect again"));
            return;
        };
        self.last_handle = handle;
        self.handles.insert(handle, Handle { jobs, written, closing: false });
        ticket.answer(Reply::Handle(handle));
    }

    /// Whether an upload is open, or about to be.
    fn uploads(&self) -> bool {
        self.opening > 0 || self.handles.values().any(|handle| handle.written.is_some())
    }

    /// Lets nothing more in, and lets everything that is under way come to its end.
    fn end(&mut self, ended: Ended) {
        if self.ended.is_some() {
            return;
        }
        if let Ended::Broken(reason) = ended {
            tracing::warn!(reason, "an SFTP session is ended");
        }
        self.ended = Some(ended);
        let _ = self.shared.reason.set(ended.reason());
        self.flow.used(self.frames.held());
        self.frames.clear();
        self.paths = None;
        self.handles.clear();
    }

    /// Whether every part has ended, and told everything.
    fn is_over(&mut self, happened: &mut UnboundedReceiver<Event<F>>) -> bool {
        if !self.parts.is_empty() {
            return false;
        }
        while let Ok(event) = happened.try_recv() {
            self.happened(event);
        }
        self.parts.is_empty()
    }
}

/// A part of the session. One that panics leaves the others alone: whoever waits for it is told by its tickets.
fn part(work: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, ()> {
    let caught = AssertUnwindSafe(Box::pin(work)).catch_unwind();
    caught
        .map(|ended| {
            if ended.is_err() {
                tracing::error!("a part of an SFTP session panicked");
            }
        })
        .boxed()
}

#[cfg(test)]
pub(crate) mod tests;
