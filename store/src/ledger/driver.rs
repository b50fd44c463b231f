//! What the statements need of a database: values to bind, rows to read, four ways to run a text. sqlx is behind it for
//! PostgreSQL, rusqlite for SQLite.
//!
//! Both libraries number parameters `$1`, `$2` … here, whatever order a statement names them in. Columns are read in the
//! order in which the statement selects them.

use std::error::Error as StdError;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use uuid::Uuid;

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// PostgreSQL, or the way to it.
    Postgres(sqlx::Error),
    /// SQLite.
    Sqlite(rusqlite::Error),
    /// What is to be stored does not fit the tables, or what they hold does not fit the records.
    Unfit(Box<dyn StdError + Send + Sync>),
    /// The database is kept from working by somebody else.
    Kept(&'static str),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Postgres(error) => error.fmt(f),
            Self::Sqlite(error) => error.fmt(f),
            Self::Unfit(error) => error.fmt(f),
            Self::Kept(why) => f.write_str(why),
        }
    }
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// What a statement returns.
pub(super) type Outcome<T> = Result<T, Failed>;

/// The failure of a value that does not fit.
pub(super) fn unfit(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Failed {
    Failed::Unfit(error.into())
}

/// A parameter of a statement. NULL has a type too: PostgreSQL wants to know it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'v> {
    Integer(Option<i64>),
    Flag(bool),
    Id(Option<Uuid>),
    Text(Option<&'v str>),
    Bytes(Option<&'v [u8]>),
}

macro_rules! value {
    ($($from:ty => $kind:ident ($value:ident) $made:expr;)*) => {
        $(
            impl<'v> From<$from> for Value<'v> {
                fn from($value: $from) -> Self {
                    Self::$kind($made)
                }
            }
        )*
    };
}

value! {
    i64 => Integer(value) Some(value);
    Option<i64> => Integer(value) value;
    u32 => Integer(value) Some(i64::from(value));
    bool => Flag(value) value;
    Uuid => Id(value) Some(value);
    Option<Uuid> => Id(value) value;
    &'v str => Text(value) Some(value);
    &'v String => Text(value) Some(value);
    &'v Arc<str> => Text(value) Some(value);
    Option<&'v str> => Text(value) value;
    &'v Option<String> => Text(value) value.as_deref();
    &'v [u8] => Bytes(value) Some(value);
    &'v Vec<u8> => Bytes(value) Some(value);
    &'v [u8; 32] => Bytes(value) Some(value);
    Option<&'v [u8]> => Bytes(value) value;
}

/// Makes the list of a statement's parameters, `$1` first.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        [$(crate::ledger::driver::Value::from($value)),*]
    };
}

/// A row that a statement has found. `None` is NULL.
pub(super) trait Row {
    fn integer(&self, at: usize) -> Outcome<Option<i64>>;
    fn flag(&self, at: usize) -> Outcome<Option<bool>>;
    fn id(&self, at: usize) -> Outcome<Option<Uuid>>;
    fn text(&self, at: usize) -> Outcome<Option<&str>>;
    fn bytes(&self, at: usize) -> Outcome<Option<&[u8]>>;
}

/// What a column can be read as.
pub(super) trait Column<'r>: Sized {
    /// The value of this column.
    fn of<R: Row>(row: &'r R, at: usize) -> Outcome<Option<Self>>;
}

macro_rules! column {
    ($($type:ty => $way:ident ($value:ident) $made:expr;)*) => {
        $(
            impl<'r> Column<'r> for $type {
                fn of<R: Row>(row: &'r R, at: usize) -> Outcome<Option<Self>> {
                    let Some($value) = row.$way(at)? else { return Ok(None) };
                    Ok(Some($made))
                }
            }
        )*
    };
}

column! {
    i64 => integer(value) value;
    u64 => integer(value) Self::try_from(value).map_err(unfit)?;
    bool => flag(value) value;
    Uuid => id(value) value;
    &'r str => text(value) value;
    String => text(value) value.to_owned();
    Arc<str> => text(value) Self::from(value);
    Vec<u8> => bytes(value) value.to_vec();
    [u8; 32] => bytes(value) Self::try_from(value).map_err(|_| unfit("a digest of the ledger is not 32 bytes long"))?;
}

/// A column of JSON text.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> Column<'_> for Json<T> {
    fn of<R: Row>(row: &R, at: usize) -> Outcome<Option<Self>> {
        row.text(at)?.map(|text| serde_json::from_str(text).map(Self).map_err(unfit)).transpose()
    }
}

/// The columns of a row, read one after the other.
pub(super) struct Columns<'r, R> {
    row: &'r R,
    at: usize,
}

impl<'r, R: Row> Columns<'r, R> {
    pub(super) const fn new(row: &'r R) -> Self {
        Self { row, at: 0 }
    }

    /// The next column, which may be NULL.
    pub(super) fn maybe<T: Column<'r>>(&mut self) -> Outcome<Option<T>> {
        let at = self.at;
        self.at += 1;
        T::of(self.row, at)
    }

    /// The next column, which is not NULL.
    pub(super) fn take<T: Column<'r>>(&mut self) -> Outcome<T> {
        self.maybe()?.ok_or_else(|| unfit("a column of the ledger is NULL that never is"))
    }
}

/// What a row can be read as.
pub(super) trait Record: Sized + Send {
    /// Reads the columns that make it, in the order in which the statement selects them.
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self>;
}

/// A connection that statements run on. Texts are prepared once per connection.
pub(super) trait Driver: Send {
    /// Every row.
    fn all<T: Record>(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Outcome<Vec<T>>> + Send;

    /// Every row, of a statement that may have to look through a whole table for them.
    fn search<T: Record>(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Outcome<Vec<T>>> + Send;

    /// The first row, if there is one.
    fn first<T: Record>(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Outcome<Option<T>>> + Send;

    /// How many rows were changed.
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> impl Future<Output = Outcome<u64>> + Send;

    /// Runs `VALUES (…), (…)`, with these texts around it, for rows of this many values each, in their order: at once where every statement
    /// is a round trip, one by one where it is not.
    fn rows(
        &mut self,
        around: (&'static str, &'static str),
        width: usize,
        values: &[Value<'_>],
    ) -> impl Future<Output = Outcome<()>> + Send;

    /// Changes what rows of this many values each name: by a text for one of them (`$1`, `$2` … are its values) where they go one by one,
    /// by the text around their `VALUES`, as in [`rows`](Self::rows), where they go at once. (SQLite makes a table of `VALUES` each time.)
    fn updates(
        &mut self,
        each: &'static str,
        around: (&'static str, &'static str),
        width: usize,
        values: &[Value<'_>],
    ) -> impl Future<Output = Outcome<()>> + Send;
}

pub(super) use values;
