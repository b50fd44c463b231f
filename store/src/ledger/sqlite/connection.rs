//! A connection to the file, and how statements run on it: at once, on the thread that asks. Their futures are ready at
//! the first poll.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, Statement};
use uuid::Uuid;

use crate::ledger::driver::{Columns, Driver, Outcome, Record, Row, Value, unfit};

/// How long a statement waits for another process that has locked the file.
const BUSY: Duration = Duration::from_secs(10);

/// Statements that a connection keeps prepared. There are about a hundred.
const PREPARED: usize = 256;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Writing,
    Reading,
}

/// Opens a file that is there.
pub(super) fn open(path: &Path, purpose: Purpose) -> Outcome<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    for (pragma, value) in [
        ("journal_mode", "WAL"),
        ("foreign_keys", "ON"),
        // In pages of 4 KiB: copied into the database every 16 MiB; the file is cut to that once it was larger.
        ("wal_autocheckpoint", "4000"),
        ("journal_size_limit", "16777216"),
        // In KiB. No mmap: a failing disk would be a SIGBUS.
        ("cache_size", if purpose == Purpose::Writing { "-32768" } else { "-8192" }),
        ("temp_store", "MEMORY"),
        ("query_only", if purpose == Purpose::Writing { "OFF" } else { "ON" }),
    ] {
        connection.pragma_update(None, pragma, value)?;
    }
    Ok(connection)
}

/// Runs a text without parameters, and looks at no row.
pub(super) fn say(connection: &Connection, sql: &str) -> Outcome<()> {
    connection.prepare_cached(sql)?.raw_execute()?;
    Ok(())
}

fn prepared<'c>(connection: &'c Connection, sql: &str, values: &[Value<'_>]) -> Outcome<CachedStatement<'c>> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, values)?;
    Ok(statement)
}

fn bind(statement: &mut Statement<'_>, values: &[Value<'_>]) -> Outcome<()> {
    for at in 1..=statement.parameter_count() {
        // To SQLite "$2" is a name: the first that a text has is its first parameter, whatever the number in it.
        let number = statement.parameter_name(at).and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
        let value = number.and_then(|number| values.get(number.checked_sub(1)?));
        match *value.ok_or_else(|| unfit("a statement has a parameter without a value"))? {
            Value::Integer(value) => statement.raw_bind_parameter(at, value)?,
            Value::Flag(value) => statement.raw_bind_parameter(at, value)?,
            Value::Id(value) => statement.raw_bind_parameter(at, value.as_ref().map(|id| id.as_bytes().as_slice()))?,
            Value::Text(value) => statement.raw_bind_parameter(at, value)?,
            Value::Bytes(value) => statement.raw_bind_parameter(at, value)?,
        }
    }
    Ok(())
}

/// Runs a text once for each row of this many values.
fn each(connection: &Connection, sql: &str, width: usize, values: &[Value<'_>]) -> Outcome<()> {
    let mut statement = connection.prepare_cached(sql)?;
    for row in values.chunks(width) {
        bind(&mut statement, row)?;
        statement.raw_execute()?;
    }
    Ok(())
}

fn collect<T: Record>(connection: &Connection, sql: &str, values: &[Value<'_>]) -> Outcome<Vec<T>> {
    let mut statement = prepared(connection, sql, values)?;
    let mut rows = statement.raw_query();
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(T::read(&mut Columns::new(row))?);
    }
    Ok(all)
}

impl Driver for Connection {
    async fn all<T: Record>(&mut self, sql: &'static str, values: &[Value<'_>]) -> Outcome<Vec<T>> {
        collect(self, sql, values)
    }

    /// Where the runtime has other threads, they take over what waits for this one meanwhile.
    async fn search<T: Record>(&mut self, sql: &'static str, values: &[Value<'_>]) -> Outcome<Vec<T>> {
        let threads = tokio::runtime::Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
        if threads { tokio::task::block_in_place(|| collect(self, sql, values)) } else { collect(self, sql, values) }
    }

    async fn first<T: Record>(&mut self, sql: &'static str, values: &[Value<'_>]) -> Outcome<Option<T>> {
        let mut statement = prepared(self, sql, values)?;
        let mut rows = statement.raw_query();
        rows.next()?.map(|row| T::read(&mut Columns::new(row))).transpose()
    }

    async fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Outcome<u64> {
        Ok(prepared(self, sql, values)?.raw_execute()? as u64)
    }

    async fn rows(
        &mut self,
        (head, tail): (&'static str, &'static str),
        width: usize,
        values: &[Value<'_>],
    ) -> Outcome<()> {
        let places: Vec<String> = (1..=width).map(|number| format!("${number}")).collect();
        each(self, &format!("{head}VALUES ({}){tail}", places.join(", ")), width, values)
    }

    async fn updates(
        &mut self,
        sql: &'static str,
        _around: (&'static str, &'static str),
        width: usize,
        values: &[Value<'_>],
    ) -> Outcome<()> {
        each(self, sql, width, values)
    }
}

/// A column that has another type than the tables say.
fn foreign(row: &rusqlite::Row<'_>, at: usize, found: Type) -> rusqlite::Error {
    let name = row.as_ref().column_name(at).unwrap_or_default().to_owned();
    rusqlite::Error::InvalidColumnType(at, name, found)
}

macro_rules! read {
    ($row:ident, $at:ident, $kind:ident($value:ident) => $made:expr) => {
        match $row.get_ref($at)? {
            ValueRef::Null => Ok(None),
            ValueRef::$kind($value) => Ok(Some($made)),
            other => Err(foreign($row, $at, other.data_type()).into()),
        }
    };
}

impl Row for rusqlite::Row<'_> {
    fn integer(&self, at: usize) -> Outcome<Option<i64>> {
        read!(self, at, Integer(value) => value)
    }

    fn flag(&self, at: usize) -> Outcome<Option<bool>> {
        read!(self, at, Integer(value) => value != 0)
    }

    fn id(&self, at: usize) -> Outcome<Option<Uuid>> {
        read!(self, at, Blob(value) => Uuid::from_slice(value).map_err(unfit)?)
    }

    fn text(&self, at: usize) -> Outcome<Option<&str>> {
        read!(self, at, Text(value) => std::str::from_utf8(value).map_err(unfit)?)
    }

    fn bytes(&self, at: usize) -> Outcome<Option<&[u8]>> {
        read!(self, at, Blob(value) => value)
    }
}
