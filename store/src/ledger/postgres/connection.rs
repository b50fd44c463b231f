//! Statements on a connection to PostgreSQL.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, PgConnection, Row as _};
use uuid::Uuid;

use crate::ledger::driver::{Columns, Driver, Outcome, Record, Row, Value, unfit};

/// Rows that one statement takes at most.
const ROWS: usize = 200;

fn arguments(values: &[Value<'_>]) -> Outcome<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        match *value {
            Value::Integer(value) => arguments.add(value),
            Value::Flag(value) => arguments.add(value),
            Value::Id(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(unfit)?;
    }
    Ok(arguments)
}

fn record<T: Record>(row: &PgRow) -> Outcome<T> {
    T::read(&mut Columns::new(row))
}

impl Driver for PgConnection {
    async fn all<T: Record>(&mut self, sql: &'static str, values: &[Value<'_>]) -> Outcome<Vec<T>> {
        let rows = sqlx::query_with(sql, arguments(values)?).fetch_all(self).await?;
        rows.iter().map(record).collect()
    }

    async fn search<T: Record>(&mut self, sql: &'static str, values: &[Value<'_>]) -> Outcome<Vec<T>> {
        self.all(sql, values).await
    }

    async fn first<T: Record>(&mut self, sql: &'static str, values: &[Value<'_>]) -> Outcome<Option<T>> {
        let row = sqlx::query_with(sql, arguments(values)?).fetch_optional(self).await?;
        row.as_ref().map(record).transpose()
    }

    async fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Outcome<u64> {
        Ok(sqlx::query_with(sql, arguments(values)?).execute(self).await?.rows_affected())
    }

    async fn rows(
        &mut self,
        (head, tail): (&'static str, &'static str),
        width: usize,
        values: &[Value<'_>],
    ) -> Outcome<()> {
        for some in values.chunks(width.saturating_mul(ROWS)) {
            let rows: Vec<String> = (1..=some.len())
                .collect::<Vec<_>>()
                .chunks(width)
                .map(|row| {
                    let places: Vec<String> = row.iter().map(|number| format!("${number}")).collect();
                    format!("({})", places.join(", "))
                })
                .collect();
            let sql = format!("{head}VALUES {}{tail}", rows.join(", "));
            sqlx::query_with(AssertSqlSafe(sql), arguments(some)?).execute(&mut *self).await?;
        }
        Ok(())
    }

    async fn updates(
        &mut self,
        _each: &'static str,
        around: (&'static str, &'static str),
        width: usize,
        values: &[Value<'_>],
    ) -> Outcome<()> {
        self.rows(around, width, values).await
    }
}

impl Row for PgRow {
    fn integer(&self, at: usize) -> Outcome<Option<i64>> {
        Ok(self.try_get(at)?)
    }

    fn flag(&self, at: usize) -> Outcome<Option<bool>> {
        Ok(self.try_get(at)?)
    }

    fn id(&self, at: usize) -> Outcome<Option<Uuid>> {
        Ok(self.try_get(at)?)
    }

    fn text(&self, at: usize) -> Outcome<Option<&str>> {
        Ok(self.try_get(at)?)
    }

    fn bytes(&self, at: usize) -> Outcome<Option<&[u8]>> {
        Ok(self.try_get(at)?)
    }
}
