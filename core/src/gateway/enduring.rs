//! Work that comes to its end whoever goes away.
//!
//! A commit, say, must not stop halfway because its client was cut off and whoever waited for it was dropped. A task of its
//! own for each would do, but costs a switch of tasks, and often of threads, there and back; for a small file on a swift disk that
//! is as much as the work itself, which then needs to wait for nothing. So the work is polled once in place, and becomes a
//! task only where it has to wait: between the two nobody can drop it, and what waits is never held up by a caller
//! that does not ask.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};
use crate::trace::carried;

/// Does this work to its end, even if the caller is dropped meanwhile; `tasks` waits for it. A panic of the work is `Internal`;
/// `what` names it in the log.
pub(crate) async fn enduring<T: Send + 'static>(
    tasks: &TaskTracker,
    what: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let mut work = Box::pin(tasks.track_future(AssertUnwindSafe(carried(work)).catch_unwind()));
    let ended = match futures::poll!(work.as_mut()) {
        std::task::Poll::Ready(ended) => ended,
        std::task::Poll::Pending => {
            let ended = tokio::spawn(work).await;
            ended.map_err(|error| Error::internal(format_args!("{what}: its task ended: {error}")))?
        }
    };
    ended.map_err(|_| Error::internal(format_args!("{what}: it panicked")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_waits_for_nothing_runs_in_place_and_what_waits_in_a_task() {
        let told = tokio::spawn(async {
            let tasks = TaskTracker::new();
            let at_once = enduring(&tasks, "a test", async { tokio::task::id() }).await.unwrap();
            let later = enduring(&tasks, "a test", async {
                tokio::task::yield_now().await;
                tokio::task::id()
            });
            (tokio::task::id(), at_once, later.await.unwrap())
        });
        let (own, at_once, later) = told.await.unwrap();
        assert_eq!(at_once, own);
        assert_ne!(later, own);
    }

    #[tokio::test]
    async fn ends_without_its_caller_and_is_waited_for() {
        let tasks = TaskTracker::new();
        let (go, ended) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
        let (wait, count) = (go.clone(), ended.clone());
        let mut work = Box::pin(enduring(&tasks, "a test", async move {
            wait.notified().await;
            count.fetch_add(1, Ordering::Relaxed);
        }));
        assert!(futures::poll!(work.as_mut()).is_pending());
        drop(work);
        tasks.close();
        assert!(futures::poll!(std::pin::pin!(tasks.wait())).is_pending(), "nobody waits for it");
        go.notify_one();
        tasks.wait().await;
        assert_eq!(ended.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_ends_it() {
        let tasks = TaskTracker::new();
        for waits in [false, true] {
            let failing = async move {
                if waits {
                    tokio::task::yield_now().await;
                }
                assert_eq!(u8::from(waits), 2, "on purpose");
            };
            let error = enduring(&tasks, "a test", failing).await.unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::Internal);
        }
        tasks.close();
        tasks.wait().await;
    }
}
