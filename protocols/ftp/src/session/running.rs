//! What runs beside the control connection.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::wire::Reply;

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What the client is told.
    pub(crate) reply: Reply,
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
    /// ABOR came.
    pub(crate) aborting: bool,
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

/// What of it comes next.
pub(crate) enum Step {
    /// The reply of its beginning.
    Opening(Reply),
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
        Step::Ended(Self::wait(running).await)
    }

    /// Waits for the end of what runs; forever where nothing does.
    pub(crate) async fn wait(running: &mut Option<Self>) -> Ended {
        let Some(this) = running else { return std::future::pending().await };
        let ended = (&mut this.ended).await;
        // Its task was lost, which is a fault of the gateway; what it did is left to recovery.
        ended.unwrap_or_else(|_| Ended { reply: Reply::new(451, "the gateway met an internal error; try again") })
    }
}
