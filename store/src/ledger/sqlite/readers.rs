//! Connections to read by. They see what is committed and never wait for the writer.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use causeway_core::{Error, Result};
use rusqlite::Connection;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::connection::{Purpose, open};
use crate::ledger::driver::Outcome;
use crate::ledger::fault;

/// A fixed number of connections.
pub(super) struct Readers {
    connections: Vec<Arc<Mutex<Connection>>>,
    free: Arc<Semaphore>,
}

/// A connection, lent until this is dropped.
pub(super) struct Seat {
    // Dropped in this order, so that whoever gets the permit finds the connection.
    connection: OwnedMutexGuard<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    pub(super) fn open(path: &Path, count: usize) -> Outcome<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Arc::new(Mutex::new(open(path, Purpose::Reading)?)));
        }
        Ok(Self { connections, free: Arc::new(Semaphore::new(count)) })
    }

    /// Waits for a free connection. `Unavailable` once they are closed.
    pub(super) async fn seat(&self) -> Result<Seat> {
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| fault::closing())?;
        self.connections
            .iter()
            .find_map(|connection| Arc::clone(connection).try_lock_owned().ok())
            .map(|connection| Seat { connection, _permit: permit })
            .ok_or_else(|| Error::internal("the readers of the ledger are out of count"))
    }

    /// Waits until all are free and closes them.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        let Ok(permits) = self.free.acquire_many(all).await else { return };
        self.free.close();
        drop(permits);
        for connection in &self.connections {
            // A connection can only be closed by value; what stands in its place has no file.
            let Ok(nothing) = Connection::open_in_memory() else { continue };
            let _ = std::mem::replace(&mut *connection.lock().await, nothing).close();
        }
    }
}

impl Deref for Seat {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Seat {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
