//! What runs beside the control connection.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use causeway_core::Error;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::wire::Reply;

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What the client is told.
    pub(crate) reply: Reply,
    /// What is to be put on record as a refusal of the front's own.
    pub(crate) refusal: Option<Error>,
}

/// A transfer, listing or digest under way.
#[derive(Debug)]
pub(crate) struct Running {
    /// What it is, for STAT.
    pub(crate) what: String,
    /// Bytes moved so far.
    pub(crate) moved: Arc<AtomicU64>,
    /// Ends it.
    pub(crate) abort: CancellationToken,
    /// Tells its end.
    pub(crate) ended: oneshot::Receiver<Ended>,
    /// Says that the data connection is there, or awaited: the time for the first reply.
    pub(crate) opening: Option<(oneshot::Receiver<()>, Reply)>,
    /// Asks whether what came is to be kept, when all of it is there.
    pub(crate) asked: Option<oneshot::Receiver<Answer>>,
    /// How often ABOR came.
    pub(crate) aborts: u32,
    /// Nothing is said of it before its end: what the client sends meanwhile is answered behind it, as replies come in the order
    /// of their commands. ABOR is heard.
    pub(crate) quiet: bool,
    /// It comes to its end whoever goes away, and is not waited for.
    pub(crate) endures: bool,
}

/// Tells the control connection once that something may go on.
#[derive(Debug)]
pub(crate) struct Signal(Option<oneshot::Sender<()>>);

impl Signal {
    /// A signal, and its other end.
    pub(crate) fn new() -> (Self, oneshot::Receiver<()>) {
        let (give, given) = oneshot::channel();
        (Self(Some(give)), given)
    }

    /// Gives it.
    pub(crate) fn give(&mut self) {
        if let Some(give) = self.0.take() {
            // Where the control connection is gone there is nobody to tell.
            let _ = give.send(());
        }
    }
}

/// Takes the answer to a [`Question`]: whether the work may be finished.
pub(crate) type Answer = oneshot::Sender<bool>;

/// Asks the control connection whether the client has aborted the work before its end: the two connections have no order
/// between them, and a client that sends ABOR and then ends the data does not want to see it kept.
#[derive(Debug)]
pub(crate) struct Question(Option<oneshot::Sender<Answer>>);

impl Question {
    /// A question, and its other end.
    pub(crate) fn new() -> (Self, oneshot::Receiver<Answer>) {
        let (ask, asked) = oneshot::channel();
        (Self(Some(ask)), asked)
    }

    /// Whether the work may be finished. `abort` says no meanwhile.
    pub(crate) async fn may_finish(mut self, abort: &CancellationToken) -> bool {
        let (answer, answered) = oneshot::channel();
        if self.0.take().is_none_or(|ask| ask.send(answer).is_err()) {
            return !abort.is_cancelled();
        }
        tokio::select! {
            biased;
            answer = answered => answer.unwrap_or(false),
            () = abort.cancelled() => false,
        }
    }
}

/// What of it comes next.
pub(crate) enum Step {
    /// The reply of its beginning.
    Opening(Reply),
    /// All has come: what the client has said before is to be looked at, and then this answered.
    Asked(Answer),
    /// Its end.
    Ended(Ended),
}

impl Running {
    /// Waits for what comes next of what runs; forever where nothing does.
    pub(crate) async fn step(running: &mut Option<Self>) -> Step {
        if let Some(this) = running
            && let Some((given, _)) = &mut this.opening
        {
            // Given, or dropped unused: then its end follows at once.
            let _ = given.await;
            if let Some((_, reply)) = this.opening.take() {
                return Step::Opening(reply);
            }
        }
        if let Some(this) = running
            && let Some(asked) = &mut this.asked
        {
            // Or it ends without asking.
            let question = asked.await;
            this.asked = None;
            if let Ok(answer) = question {
                return Step::Asked(answer);
            }
        }
        Step::Ended(Self::wait(running).await)
    }

    /// Waits for the end of what runs; forever where nothing does.
    pub(crate) async fn wait(running: &mut Option<Self>) -> Ended {
        let Some(this) = running else { return std::future::pending().await };
        let ended = (&mut this.ended).await;
        // Its task was lost, which is a fault of the gateway; what it did is left to recovery.
        ended.unwrap_or_else(|_| Ended {
            reply: Reply::new(451, "the gateway met an internal error; try again"),
            refusal: None,
        })
    }
}
