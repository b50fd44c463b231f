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
    /// ABOR came.
    pub(crate) aborting: bool,
}

impl Running {
    /// Waits for the end of what runs; forever where nothing does.
    pub(crate) async fn wait(running: &mut Option<Self>) -> Ended {
        let Some(this) = running else { return std::future::pending().await };
        let ended = (&mut this.ended).await;
        // Its task was lost, which is a fault of the gateway; what it did is left to recovery.
        ended.unwrap_or_else(|_| Ended { reply: Reply::new(451, "the gateway met an internal error; try again") })
    }
}
