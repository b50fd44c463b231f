//! Futures that wake one another all the time, as one task.
//!
//! A session is made of parts that talk through queues: what reads requests, the open handles, what writes replies. As
//! tasks of their own they would cost a switch, and often the waking of another thread, for every request. Inside one task
//! each of these wake-ups would still send the task to the end of the run queue once more. Here a wake-up that comes while
//! the parts are being polled only makes them be polled again.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;
use tokio::task::coop::has_budget_remaining;

/// Polls in a row before the other tasks of the thread have their turn.
const ROUNDS: usize = 64;

/// Nobody polls: a wake-up goes to the task.
const RESTING: u8 = 0;
/// The parts are being polled.
const POLLED: u8 = 1;
/// The parts are being polled, and one of them was woken meanwhile.
const RUNG: u8 = 2;

#[derive(Default)]
struct Bell {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let rung = self.state.compare_exchange(POLLED, RUNG, Ordering::AcqRel, Ordering::Acquire);
        if rung == Err(RESTING) {
            self.task.wake();
        }
    }
}

/// Runs the future, and keeps its wake-ups of itself to itself.
pub(super) async fn gathered<T>(parts: impl Future<Output = T>) -> T {
    let mut parts = Box::pin(parts);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    std::future::poll_fn(|context| poll(parts.as_mut(), &bell, &waker, context)).await
}

fn poll<T>(mut parts: Pin<&mut impl Future<Output = T>>, bell: &Bell, waker: &Waker, context: &Context<'_>) -> Poll<T> {
    bell.task.register(context.waker());
    for _ in 0..ROUNDS {
        bell.state.store(POLLED, Ordering::Release);
        if let Poll::Ready(out) = parts.as_mut().poll(&mut Context::from_waker(waker)) {
            return Poll::Ready(out);
        }
        let rest = bell.state.compare_exchange(POLLED, RESTING, Ordering::AcqRel, Ordering::Acquire);
        if rest.is_ok() {
            return Poll::Pending;
        }
        // Without budget everything of tokio's would say "not yet", and wake.
        if !has_budget_remaining() {
            break;
        }
    }
    bell.state.store(RESTING, Ordering::Release);
    context.waker().wake_by_ref();
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::mpsc::unbounded_channel;

    struct Counted<F> {
        future: Pin<Box<F>>,
        polls: Arc<AtomicUsize>,
    }

    impl<F: Future> Future for Counted<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
            self.polls.fetch_add(1, Ordering::Relaxed);
            self.future.as_mut().poll(context)
        }
    }

    #[tokio::test]
    async fn parts_that_wake_one_another_are_one_poll_of_the_task() {
        let polls = Arc::new(AtomicUsize::new(0));
        let work = gathered(async {
            let (there, mut received) = unbounded_channel();
            let (back, mut returned) = unbounded_channel();
            let echo = async {
                while let Some(n) = received.recv().await {
                    back.send(n).unwrap();
                }
            };
            let ask = async move {
                for n in 0..20 {
                    there.send(n).unwrap();
                    assert_eq!(returned.recv().await, Some(n));
                }
            };
            // The answer comes from what is polled first: each round needs a poll of its own.
            tokio::join!(echo, ask);
        });
        Counted { future: Box::pin(work), polls: polls.clone() }.await;
        assert_eq!(polls.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_part_that_always_wakes_itself_lets_others_run() {
        let spinning = tokio::spawn(gathered(async {
            loop {
                tokio::task::yield_now().await;
            }
        }));
        let (say, hear) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { say.send(()) });
        hear.await.unwrap();
        spinning.abort();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_wake_up_from_another_thread_is_lost() {
        let (send, mut receive) = unbounded_channel();
        let sender = tokio::task::spawn_blocking(move || {
            for n in 0..100_000 {
                send.send(n).unwrap();
            }
        });
        let sum = gathered(async move {
            let mut sum = 0u64;
            while let Some(n) = receive.recv().await {
                sum += n;
            }
            sum
        });
        assert_eq!(tokio::spawn(sum).await.unwrap(), (0..100_000).sum::<u64>());
        sender.await.unwrap();
    }
}
