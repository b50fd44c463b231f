//! The ledger on SQLite: WAL, one writer that takes operations in batches, a few readers.

mod readers;
mod room;
mod writer;

use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use causeway_core::ports::{Durability, Ledger, Query, TxOp};
use causeway_core::{Error, ErrorKind, Result};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use self::readers::Readers;
use self::room::Room;
use self::session::Session;
use self::writer::{Command, Request, Writer};
use super::fault;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How many operations may wait for the writer before callers wait to be let in.
const QUEUE: usize = 1024;

mod nodes {
    crate::ledger::statements::node_statements! {
        connection: sqlx::SqliteConnection,
        nil: "x'00000000000000000000000000000000'",
        json: "$2",
        update: "",
        key_share: ""
    }
}

mod uploads {
    crate::ledger::statements::upload_statements! {
        connection: sqlx::SqliteConnection,
        texts: ["(SELECT value FROM json_each(", "))"],
        shard: 0
    }
}

mod blobs {
    crate::ledger::statements::blob_statements! {
        connection: sqlx::SqliteConnection,
        ids: ["(SELECT unhex(value, '-') FROM json_each(", "))"],
        update: ""
    }
}

mod audit {
    crate::ledger::statements::audit_statements! {
        connection: sqlx::SqliteConnection,
        ids: ["(SELECT unhex(value, '-') FROM json_each(", "))"]
    }
}

mod events {
    crate::ledger::statements::event_statements! {
        connection: sqlx::SqliteConnection,
        texts: ["(SELECT value FROM json_each(", "))"]
    }
}

mod leases {
    crate::ledger::statements::lease_statements! { connection: sqlx::SqliteConnection }
}

mod locks {
    use causeway_core::ports::Lock;

    use crate::ledger::rows::Outcome;

    /// There is one writer: nothing to lock.
    #[allow(clippy::unused_async)]
    pub(super) async fn take(_: &mut sqlx::SqliteConnection, _: &[Lock]) -> Outcome<()> {
        Ok(())
    }
}

mod session {
    crate::ledger::statements::ports! { connection: sqlx::SqliteConnection }
}

/// The ledger in one file, for a gateway of one node.
pub struct SqliteLedger {
    queue: mpsc::Sender<Command>,
    readers: Readers,
    room: Arc<Room>,
}

impl SqliteLedger {
    /// Opens the database file, makes it where it is missing, and brings its tables up to date. `min_free_bytes` is how
    /// much room the disk must have for [`Ledger::has_room`] to say yes.
    ///
    /// # Errors
    /// `Unavailable`, with a sentence for the operator: the file cannot be opened, is no database, was made by a newer
    /// version, or lies on a file system that cannot do WAL.
    pub async fn open(path: &Path, min_free_bytes: u64) -> Result<Self> {
        // SQLite gives -wal and -shm the permissions of the database: nobody else is to read names and the trail.
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| cannot_open(path, &error))?;
        let options = options(path);
        let mut connection = options.connect().await.map_err(|error| cannot_open(path, &error))?;
        require_wal(path, &mut connection).await?;
        MIGRATIONS.run(&mut connection).await.map_err(|error| cannot_open(path, &error))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| cannot_open(path, &error))?;

        let room = Arc::new(Room::new(folder, min_free_bytes));
        let cores = std::thread::available_parallelism().map_or(4, NonZero::get);
        let readers = Readers::open(&options.clone().pragma("query_only", "ON"), cores.clamp(4, 8))
            .await
            .map_err(|error| cannot_open(path, &error))?;
        let (queue, commands) = mpsc::channel(QUEUE);
        let writer = Writer::new(options, connection, Arc::clone(&room));
        writer.start(commands).map_err(|error| cannot_open(path, &error))?;
        Ok(Self { queue, readers, room })
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .statement_cache_capacity(256)
        // In pages of 4 KiB: copied into the database every 16 MiB; the file is cut to that once it was larger.
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "16777216")
        // In KiB. No mmap: a failing disk would be a SIGBUS.
        .pragma("cache_size", "-8192")
        .pragma("temp_store", "MEMORY")
        .thread_name(|number| format!("ledger-{number}"))
        .disable_statement_logging()
}

async fn require_wal(path: &Path, connection: &mut SqliteConnection) -> Result<()> {
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(connection)
        .await
        .map_err(|error| cannot_open(path, &error))?;
    if mode.eq_ignore_ascii_case("wal") { Ok(()) } else { Err(cannot_open(path, &"its file system cannot do WAL")) }
}

fn cannot_open(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot open the database {}: {why}", path.display()))
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn write(&self, durability: Durability, op: Arc<dyn TxOp>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let request = Request { durability, op, reply };
        self.queue.send(Command::Run(request)).await.map_err(|_| fault::closing())?;
        answer.await.unwrap_or_else(|_| Err(fault::closing()))
    }

    async fn read(&self) -> Result<Box<dyn Query>> {
        Ok(Box::new(Session::new(self.readers.seat().await?)))
    }

    fn has_room(&self) -> Result<()> {
        self.room.check()
    }

    async fn close(&self) {
        // The writer last: SQLite moves the WAL into the database when the last connection goes.
        self.readers.close().await;
        let (reply, done) = oneshot::channel();
        if self.queue.send(Command::Close(reply)).await.is_ok() {
            let _ = done.await;
        }
    }
}

#[cfg(test)]
mod tests;
