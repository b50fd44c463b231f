//! Where operations are handed in, and who serves them. There is one writer, and whoever holds it takes what waits.
//!
//! - A disk that is slow to sync, or not known yet: the writer's own thread serves, so that no thread of the runtime waits
//!   for the disk.
//! - A swift one ([`Swiftness`]): whoever hands an operation in takes the writer, if it is free, and serves on the spot,
//!   without a switch of threads. Who finds it taken leaves the operation to the holder, who looks for more when it is done.
//!   What still waits after [`ROUNDS`] is left to the thread, and so is everything while many come at once ([`Crowd`]).
//!
//! No operation is left lying: it is put into the queue before the writer is tried, and a holder looks at the queue after
//! it has given the writer back. So either the one finds the writer free, or the other finds the operation.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};

use causeway_core::Result;
use causeway_core::ports::{Durability, Reach, TxOp};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, oneshot};

use super::crowd::Crowd;
use super::writer::{BATCH, Writer};
use crate::ledger::fault;
use crate::swift::Swiftness;

/// How many operations may wait for the writer before callers wait to be let in.
const QUEUE: usize = 1024;

/// How many batches are served on the spot: the caller's own, and what came meanwhile.
const ROUNDS: usize = 2;

/// An operation and who waits for it. If nobody does any more, it is run all the same.
pub(super) struct Request {
    pub(super) reach: Reach,
    pub(super) durability: Durability,
    pub(super) op: Arc<dyn TxOp>,
    pub(super) reply: oneshot::Sender<Result<()>>,
    /// Its place in the queue.
    _place: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Request>,
    /// Nothing more is taken in.
    closed: bool,
    /// Who waits until all is done and the connection closed.
    closers: Vec<oneshot::Sender<()>>,
}

/// What is left for the writer's thread.
enum Rest {
    More,
    Nothing,
    /// Nothing will come any more; who waits for that.
    Ever(Vec<oneshot::Sender<()>>),
}

/// What the hands of the desk and the writer's thread share.
struct Shared {
    queue: Lock<Queue>,
    places: Arc<Semaphore>,
    writer: Arc<Mutex<Writer>>,
    swiftness: Arc<Swiftness>,
    crowd: Crowd,
    /// Calls the writer's thread.
    call: Notify,
}

/// The one desk of a ledger. Dropped, it ends the writer's thread once everything that was handed in is done.
pub(super) struct Desk(Arc<Shared>);

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Request> {
        let mut queue = self.queue();
        let count = queue.waiting.len().min(BATCH);
        queue.waiting.drain(..count).collect()
    }

    /// Serves on the spot, with the writer in hand.
    async fn serve_here(self: Arc<Self>, mut writer: OwnedMutexGuard<Writer>) {
        for _ in 0..ROUNDS {
            let batch = self.take();
            if batch.is_empty() {
                break;
            }
            if batch.len() > 1 {
                self.crowd.note(batch.len());
            }
            writer.serve(batch).await;
        }
        let due = writer.checkpoint_is_due();
        drop(writer);
        let queue = self.queue();
        if due || !queue.waiting.is_empty() || queue.closed {
            self.call.notify_one();
        }
    }

    /// The writer's thread: comes when it is called, and ends when the desk is closed and nothing waits.
    async fn attend(&self) {
        loop {
            self.call.notified().await;
            loop {
                let mut writer = self.writer.lock().await;
                let batch = self.take();
                if !batch.is_empty() {
                    self.crowd.note(batch.len());
                    writer.serve(batch).await;
                }
                if writer.checkpoint_is_due() {
                    writer.checkpoint();
                }
                drop(writer);
                let closers = match self.rest() {
                    Rest::More => continue,
                    Rest::Nothing => break,
                    Rest::Ever(closers) => closers,
                };
                self.writer.lock().await.end();
                for done in closers {
                    let _ = done.send(());
                }
                return;
            }
        }
    }

    fn rest(&self) -> Rest {
        let mut queue = self.queue();
        if !queue.waiting.is_empty() {
            Rest::More
        } else if queue.closed {
            Rest::Ever(std::mem::take(&mut queue.closers))
        } else {
            Rest::Nothing
        }
    }

    fn close(&self, closer: Option<oneshot::Sender<()>>) -> bool {
        let mut queue = self.queue();
        let first = !queue.closed;
        queue.closed = true;
        if first {
            queue.closers.extend(closer);
        }
        drop(queue);
        self.places.close();
        self.call.notify_one();
        first
    }
}

impl Desk {
    /// Opens the desk and starts the writer's thread: a runtime's own threads hash and encrypt, and whoever waits for a disk
    /// must not queue behind them.
    pub(super) fn open(writer: Writer) -> std::io::Result<Self> {
        let swiftness = Arc::clone(writer.swiftness());
        let shared = Arc::new(Shared {
            queue: Lock::default(),
            places: Arc::new(Semaphore::new(QUEUE)),
            writer: Arc::new(Mutex::new(writer)),
            swiftness,
            crowd: Crowd::new(),
            call: Notify::new(),
        });
        let (runtime, own) = (tokio::runtime::Handle::current(), Arc::clone(&shared));
        let work = move || runtime.block_on(own.attend());
        std::thread::Builder::new().name("ledger-writer".to_owned()).spawn(work)?;
        Ok(Self(shared))
    }

    /// Hands an operation in and waits for its end.
    pub(super) async fn write(&self, reach: Reach, durability: Durability, op: Arc<dyn TxOp>) -> Result<()> {
        let place = Arc::clone(&self.0.places).acquire_owned().await.map_err(|_| fault::closing())?;
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.0.queue();
            if queue.closed {
                return Err(fault::closing());
            }
            queue.waiting.push_back(Request { reach, durability, op, reply, _place: place });
        }
        if !self.0.swiftness.is_swift() || self.0.crowd.leaves() {
            self.0.call.notify_one();
        } else if let Ok(writer) = Arc::clone(&self.0.writer).try_lock_owned() {
            let mut served = Box::pin(Arc::clone(&self.0).serve_here(writer));
            // SQLite's statements are ready at the first poll. Work that waits for something else goes on in a task, as the
            // caller may be dropped, and what others have handed in must not depend on it.
            if futures::poll!(served.as_mut()).is_pending() {
                tokio::spawn(served);
            }
        }
        answer.await.unwrap_or_else(|_| Err(fault::closing()))
    }

    /// Takes nothing more in, waits until what was handed in is done, and closes the writer's connection.
    pub(super) async fn close(&self) {
        let (closer, done) = oneshot::channel();
        if self.0.close(Some(closer)) {
            let _ = done.await;
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.0.close(None);
    }
}
