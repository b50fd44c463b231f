//! Brings the tables of a file up to date. The list of what was done is kept as sqlx keeps it, in `_sqlx_migrations`:
//! files of versions that used sqlx for SQLite too go on being opened.

use rusqlite::{Connection, TransactionBehavior};
use sqlx::migrate::{Migration, Migrator};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// What stands in the way, said to the operator.
type Obstacle = String;

fn said(error: &rusqlite::Error) -> Obstacle {
    error.to_string()
}

/// Does what is not done yet: all of it or nothing.
pub(super) fn run(connection: &mut Connection) -> Result<(), Obstacle> {
    // Most of the time nothing is to do, and then nobody who writes is waited for.
    if missing(connection)?.is_empty() {
        return Ok(());
    }
    // A table that is made anew takes the place of one that others refer to: looked at when all is done instead.
    let rules = |connection: &Connection, on| {
        connection.pragma_update(None, "foreign_keys", on).map_err(|error: rusqlite::Error| said(&error))
    };
    rules(connection, false)?;
    let done = run_missing(connection);
    rules(connection, true)?;
    done
}

fn run_missing(connection: &mut Connection) -> Result<(), Obstacle> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| said(&error))?;
    // Another process may have been first.
    for migration in missing(&transaction)? {
        apply(&transaction, migration).map_err(|error| format!("migration {}: {error}", migration.version))?;
    }
    let broken = transaction.prepare("PRAGMA foreign_key_check").and_then(|mut check| check.exists(()));
    if broken.map_err(|error| said(&error))? {
        return Err("a row refers to another one that is not there; restore the database from a backup".to_owned());
    }
    transaction.commit().map_err(|error| said(&error))
}

/// What is not done yet.
fn missing(connection: &Connection) -> Result<Vec<&'static Migration>, Obstacle> {
    let done = done(connection).map_err(|error| said(&error))?;
    for (version, checksum, success) in &done {
        let known = MIGRATIONS.iter().find(|migration| migration.version == *version);
        let known = known.ok_or_else(|| format!("it was made by a newer version (migration {version})"))?;
        if !success {
            return Err(format!("migration {version} was begun and not ended; restore the database from a backup"));
        }
        if *known.checksum != **checksum {
            return Err(format!("migration {version} is not the one that this version knows"));
        }
    }
    Ok(MIGRATIONS.iter().filter(|known| done.iter().all(|(version, ..)| *version != known.version)).collect())
}

/// Version, checksum and success of what was done.
fn done(connection: &Connection) -> rusqlite::Result<Vec<(i64, Vec<u8>, bool)>> {
    if !connection.table_exists(None, "_sqlx_migrations")? {
        return Ok(Vec::new());
    }
    connection
        .prepare("SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version")?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
}

fn apply(connection: &Connection, migration: &Migration) -> rusqlite::Result<()> {
    let begun = std::time::Instant::now();
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
         installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, \
         execution_time BIGINT NOT NULL)",
    )?;
    connection.execute_batch(migration.sql.as_str())?;
    let nanoseconds = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
    connection
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (?1, ?2, TRUE, ?3, ?4)",
            (migration.version, &*migration.description, &*migration.checksum, nanoseconds),
        )
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(sql: &str) -> Obstacle {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        connection.execute_batch(sql).unwrap();
        run(&mut connection).unwrap_err()
    }

    #[test]
    fn runs_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        let before: Vec<(i64, Vec<u8>, bool)> = done(&connection).unwrap();
        assert_eq!(before.len(), MIGRATIONS.iter().count());
        run(&mut connection).unwrap();
        assert_eq!(done(&connection).unwrap(), before);
    }

    /// The list as sqlx wrote it for the versions before: its table, and SHA-384 of the file's text.
    #[test]
    fn knows_what_sqlx_has_done() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../migrations/sqlite/0001_ledger.sql")).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE _sqlx_migrations (
                    version BIGINT PRIMARY KEY,
                    description TEXT NOT NULL,
                    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
                    success BOOLEAN NOT NULL,
                    checksum BLOB NOT NULL,
                    execution_time BIGINT NOT NULL
                );
                INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES
                    (1, 'ledger', TRUE, x'f8869421362a99f54781ee6c0686a1125124350422ce7870ddab1182efac6aa73d966ad1c529028348d4063b12a12568', 7);",
            )
            .unwrap();
        // What stands in tables that are made anew since.
        connection
            .execute_batch(
                "INSERT INTO blobs VALUES (x'01', 'local', 'acme', 'live', NULL);
                 INSERT INTO blob_refs VALUES (x'01', x'02');
                 INSERT INTO deliveries VALUES ('w', x'03', 1, 'pending', 0, 0, NULL);
                 INSERT INTO uploads VALUES (x'02', 't', 'i', 'l', 'sftp', x'00', x'00', 'n', 'open', 1, x'00', 0, NULL, 0,
                    0, 0, 0, '[]', NULL, 0, NULL, 'local', 'acme', 1, 2, 3);",
            )
            .unwrap();
        run(&mut connection).unwrap();
        let count = |sql: &str| connection.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT COUNT(*) FROM blobs b JOIN blob_refs r ON r.blob = b.key WHERE b.state = 'live'"), 1);
        assert_eq!(count("SELECT COUNT(*) FROM deliveries WHERE state = 'pending' AND last_result IS NULL"), 1);
        assert_eq!(count("SELECT expires_at FROM uploads WHERE state = 'open' AND login = 'l'"), 3);
        assert_eq!(count("PRAGMA foreign_keys"), 1);
        let orphan = connection.execute("INSERT INTO blob_refs VALUES (x'09', x'02')", ()).unwrap_err();
        assert!(orphan.to_string().contains("FOREIGN KEY"), "{orphan}");
        for sql in
            ["UPDATE uploads SET state = 'no'", "UPDATE blobs SET state = 'no'", "UPDATE deliveries SET state = 'no'"]
        {
            let refused = connection.execute(sql, ()).unwrap_err();
            assert!(refused.to_string().contains("CHECK"), "{sql}: {refused}");
        }
        let time: i64 = connection
            .query_row("SELECT execution_time FROM _sqlx_migrations WHERE version = 1", (), |row| row.get(0))
            .unwrap();
        assert_eq!(time, 7, "the first migration was not run again");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let newer = refusal("INSERT INTO _sqlx_migrations VALUES (999, 'later', '', TRUE, x'00', 0)");
        assert!(newer.contains("newer version"), "{newer}");
        let changed = refusal("UPDATE _sqlx_migrations SET checksum = x'00'");
        assert!(changed.contains("not the one"), "{changed}");
        let half = refusal("UPDATE _sqlx_migrations SET success = FALSE");
        assert!(half.contains("not ended"), "{half}");
    }
}
