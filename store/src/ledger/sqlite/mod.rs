//! The ledger on SQLite: WAL, one writer that takes operations in batches, a few readers.
//!
//! Statements run at once, on the thread that asks: the writer's where [`desk`] says, those of readers on the runtime's. A
//! look-up takes some microseconds, less than handing it to another thread and waking up again; it does not wait for
//! the writer, and its pages are in memory or one read of the disk away. What may have to look through a whole table (the trail's
//! searches) lets the runtime put another thread in its place meanwhile.

mod connection;
mod crowd;
mod desk;
mod migrations;
mod readers;
mod room;
mod writer;

use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use causeway_core::ports::{Durability, Ledger, Query, Reach, TxOp};
use causeway_core::{Error, ErrorKind, Result};
use rusqlite::Connection;

use self::connection::{Purpose, open};
use self::desk::Desk;
use self::readers::Readers;
use self::room::Room;
use self::session::Session;
use self::writer::Writer;
use crate::swift::Swiftness;

mod nodes {
    crate::ledger::statements::node_statements! {
        connection: rusqlite::Connection,
        nil: "x'00000000000000000000000000000000'",
        json: "$2",
        update: "",
        key_share: ""
    }
}

mod uploads {
    crate::ledger::statements::upload_statements! {
        connection: rusqlite::Connection,
        shard: 0
    }
}

mod blobs {
    crate::ledger::statements::blob_statements! {
        connection: rusqlite::Connection,
        ids: ["(SELECT unhex(value, '-') FROM json_each(", "))"],
        update: ""
    }
}

mod backlog {
    crate::ledger::statements::backlog_statements! { connection: rusqlite::Connection }
}

mod audit {
    crate::ledger::statements::audit_statements! {
        connection: rusqlite::Connection,
        ids: ["(SELECT unhex(value, '-') FROM json_each(", "))"],
        guards: [
            "audit_entries_no_update", "audit_entries_no_delete", "audit_entries_no_replace",
            "audit_seals_no_update", "audit_seals_no_delete", "audit_seals_no_replace",
            "audit_heads_no_update", "audit_heads_no_delete", "audit_heads_no_replace",
            "audit_cuts_no_update", "audit_cuts_no_delete", "audit_cuts_no_replace"
        ],
        there: "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
    }
}

mod events {
    crate::ledger::statements::event_statements! {
        connection: rusqlite::Connection,
        texts: ["(SELECT value FROM json_each(", "))"]
    }
}

mod signatures {
    crate::ledger::statements::signature_statements! { connection: rusqlite::Connection }
}

mod codes {
    crate::ledger::statements::code_statements! { connection: rusqlite::Connection }
}

mod objects {
    crate::ledger::statements::object_statements! {
        connection: rusqlite::Connection,
        member: ["json_extract(", ", '$.identity')"]
    }
}
mod tokens {
    crate::ledger::statements::token_statements! { connection: rusqlite::Connection }
}

mod jobs {
    crate::ledger::statements::job_statements! {
        connection: rusqlite::Connection,
        update: "",
        skip: ""
    }
}

mod webhooks {
    crate::ledger::statements::webhook_statements! { connection: rusqlite::Connection }
}

mod keys {
    crate::ledger::statements::key_statements! { connection: rusqlite::Connection }
}
mod sessions {
    crate::ledger::statements::session_statements! {
        connection: rusqlite::Connection,
        ids: ["(SELECT unhex(value, '-') FROM json_each(", "))"]
    }
}
mod oauth {
    crate::ledger::statements::oauth_statements! { connection: rusqlite::Connection }
}

mod leases {
    crate::ledger::statements::lease_statements! { connection: rusqlite::Connection }
}

mod locks {
    use causeway_core::ports::Lock;

    use crate::ledger::driver::Outcome;

    /// There is one writer: nothing to lock.
    #[allow(clippy::unused_async)]
    pub(super) async fn take(_: &mut rusqlite::Connection, _: &[Lock]) -> Outcome<()> {
        Ok(())
    }
}

mod session {
    crate::ledger::statements::ports! { connection: rusqlite::Connection }
}

/// The ledger in one file, for a gateway of one node.
pub struct SqliteLedger {
    desk: Desk,
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
        let path = path.to_owned();
        let open = tokio::task::spawn_blocking(move || Self::open_now(&path, min_free_bytes));
        open.await.unwrap_or_else(|error| Err(Error::internal(format_args!("opening the ledger: {error}"))))
    }

    fn open_now(path: &Path, min_free_bytes: u64) -> Result<Self> {
        // SQLite gives -wal and -shm the permissions of the database: nobody else is to read names and the trail.
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| cannot_open(path, &error))?;
        let mut connection = open(path, Purpose::Writing).map_err(|error| cannot_open(path, &error))?;
        require_wal(path, &connection)?;
        migrations::run(&mut connection).map_err(|error| cannot_open(path, &error))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| cannot_open(path, &error))?;

        let room = Arc::new(Room::new(folder, min_free_bytes));
        let cores = std::thread::available_parallelism().map_or(4, NonZero::get);
        let readers = Readers::open(path, cores.clamp(4, 8)).map_err(|error| cannot_open(path, &error))?;
        let writer = Writer::new(path, connection, Arc::clone(&room), Arc::new(Swiftness::of(folder)));
        let desk = Desk::open(writer).map_err(|error| cannot_open(path, &error))?;
        Ok(Self { desk, readers, room })
    }
}

fn require_wal(path: &Path, connection: &Connection) -> Result<()> {
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(|error| cannot_open(path, &error))?;
    if mode.eq_ignore_ascii_case("wal") { Ok(()) } else { Err(cannot_open(path, &"its file system cannot do WAL")) }
}

fn cannot_open(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot open the database {}: {why}", path.display()))
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn write(&self, reach: Reach, durability: Durability, op: Arc<dyn TxOp>) -> Result<()> {
        self.desk.write(reach, durability, op).await
    }

    async fn read(&self, reach: Reach) -> Result<Box<dyn Query>> {
        Ok(Box::new(Session::new(self.readers.seat().await?, reach)))
    }

    fn has_room(&self) -> Result<()> {
        self.room.check()
    }

    async fn close(&self) {
        // The writer last: SQLite moves the WAL into the database when the last connection goes.
        self.readers.close().await;
        self.desk.close().await;
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tamper_test;
