//! Statements on `jobs`, `job_items`, `job_turns` and `keyed_requests`.

/// The columns that make a job, of a table called `j`.
macro_rules! job_columns {
    () => {
        "j.id, j.tenant, j.identity, j.login, j.state, j.generation, j.holder, j.due_at, j.priority, j.attempts, j.planned, \
         j.size, j.bytes, j.partial, j.files, j.done, j.failed, j.error_code, j.error_message, j.created_at, j.started_at, \
         j.finished_at, j.job_order"
    };
}

macro_rules! job_statements {
    (connection: $connection:ty, update: $update:literal, skip: $skip:literal) => {
        use causeway_core::records::{ItemState, Job, JobItem, Micros};
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, Value, values};
        use crate::ledger::rows::{JobTexts, signed};
        use crate::ledger::statements::{job_columns, within};

        type Connection = $connection;

        pub(super) async fn job(connection: &mut Connection, reach: Option<&str>, id: Uuid) -> Outcome<Option<Job>> {
            let sql = concat!("SELECT ", job_columns!(), " FROM jobs j WHERE j.id = $1", within!("j.", "$2"));
            connection.first(sql, &values![id, reach]).await
        }

        pub(super) async fn hold_job(connection: &mut Connection, reach: Option<&str>, id: Uuid) -> Outcome<Option<Job>> {
            let sql = concat!("SELECT ", job_columns!(), " FROM jobs j WHERE j.id = $1", within!("j.", "$2"), $update);
            connection.first(sql, &values![id, reach]).await
        }

        pub(super) async fn jobs(connection: &mut Connection, tenant: &str, before: Uuid, limit: u32) -> Outcome<Vec<Job>> {
            let sql = concat!(
                "SELECT ", job_columns!(), " FROM jobs j WHERE j.tenant = $1 AND j.id < $2 ORDER BY j.id DESC LIMIT $3"
            );
            connection.all(sql, &values![tenant, before, limit]).await
        }

        pub(super) async fn job_items(
            connection: &mut Connection,
            reach: Option<&str>,
            job: Uuid,
            after: i64,
            state: Option<ItemState>,
            limit: u32,
        ) -> Outcome<Vec<JobItem>> {
            let sql = concat!(
                "SELECT number, kind, source, destination, size, state, error_code, error_message FROM job_items \
                 WHERE job = $1 AND number > $2 AND ($3 IS NULL OR state = $3) AND EXISTS \
                 (SELECT 1 FROM jobs j WHERE j.id = $1", within!("j.", "$5"), ") ORDER BY number LIMIT $4"
            );
            connection.search(sql, &values![job, after, state.map(ItemState::as_str), limit, reach]).await
        }

        pub(super) async fn next_job_due(connection: &mut Connection) -> Outcome<Option<Micros>> {
            let sql = "SELECT MIN(due_at) FROM jobs WHERE due_at IS NOT NULL";
            let row: Option<Option<i64>> = connection.first(sql, &[]).await?;
            Ok(row.flatten())
        }

        pub(super) async fn unfinished_jobs(
            connection: &mut Connection,
            (tenant, identity): (&str, &str),
            most: u32,
        ) -> Outcome<u64> {
            let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE tenant = $1 AND identity = $2 AND due_at IS NOT NULL \
                       LIMIT $3) AS unfinished";
            let counted: Option<i64> = connection.first(sql, &values![tenant, identity, most]).await?;
            Ok(counted.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
        }

        pub(super) async fn known_request(
            connection: &mut Connection,
            (tenant, identity): (&str, &str),
            key: &str,
            since: Micros,
        ) -> Outcome<Option<([u8; 32], Uuid)>> {
            let sql = "SELECT digest, job FROM keyed_requests WHERE tenant = $1 AND identity = $2 AND key = $3 AND at >= $4";
            connection.first(sql, &values![tenant, identity, key, since]).await
        }

        pub(super) async fn insert_job(connection: &mut Connection, job: &Job) -> Outcome<()> {
            let sql = "INSERT INTO jobs (id, tenant, identity, login, state, generation, holder, due_at, priority, attempts, \
                       planned, size, bytes, partial, files, done, failed, error_code, error_message, created_at, started_at, \
                       finished_at, job_order) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
                       $17, $18, $19, $20, $21, $22, $23)";
            connection.execute(sql, &JobTexts::of(job)?.values(job)).await.map(drop)
        }

        pub(super) async fn update_job(connection: &mut Connection, job: &Job, generation: i64) -> Outcome<bool> {
            let sql = "UPDATE jobs SET identity = $3, login = $4, state = $5, generation = $6, holder = $7, \
                       due_at = $8, priority = $9, attempts = $10, planned = $11, size = $12, bytes = $13, partial = $14, \
                       files = $15, done = $16, failed = $17, error_code = $18, error_message = $19, created_at = $20, \
                       started_at = $21, finished_at = $22, job_order = $23 WHERE id = $1 AND tenant = $2 AND generation = $24";
            let texts = JobTexts::of(job)?;
            let all: Vec<Value<'_>> = texts.values(job).into_iter().chain(values![generation]).collect();
            Ok(connection.execute(sql, &all).await? > 0)
        }

        /// What another transaction is claiming is passed over, so that two workers take two jobs.
        pub(super) async fn claim_job(
            connection: &mut Connection,
            holder: Uuid,
            until: Micros,
            now: Micros,
        ) -> Outcome<Option<Job>> {
            let sql = concat!(
                "SELECT ", job_columns!(), " FROM jobs j \
                 LEFT JOIN job_turns t ON t.tenant = j.tenant AND t.identity = '' \
                 LEFT JOIN job_turns i ON i.tenant = j.tenant AND i.identity = j.identity \
                 WHERE j.due_at <= $1 ORDER BY COALESCE(t.served_at, 0), COALESCE(i.served_at, 0), j.priority DESC, j.id LIMIT 1",
                $skip
            );
            let Some(found) = connection.first::<Job>(sql, &values![now]).await? else { return Ok(None) };
            let sql = "UPDATE jobs SET state = 'running', generation = generation + 1, holder = $2, due_at = $3, \
                       attempts = attempts + 1, partial = 0, started_at = COALESCE(started_at, $4) WHERE id = $1";
            connection.execute(sql, &values![found.id, holder, until, now]).await?;
            let sql = "INSERT INTO job_turns (tenant, identity, served_at) VALUES ($1, $2, $3) \
                       ON CONFLICT (tenant, identity) DO UPDATE SET served_at = excluded.served_at";
            connection.execute(sql, &values![&found.tenant, "", now]).await?;
            connection.execute(sql, &values![&found.tenant, &found.identity, now]).await?;
            job(connection, None, found.id).await
        }

        pub(super) async fn renew_job(
            connection: &mut Connection,
            id: Uuid,
            generation: i64,
            until: Micros,
            partial: u64,
        ) -> Outcome<bool> {
            let sql = "UPDATE jobs SET due_at = $3, partial = $4 WHERE id = $1 AND generation = $2 AND state = 'running'";
            Ok(connection.execute(sql, &values![id, generation, until, signed(partial)?]).await? > 0)
        }

        pub(super) async fn release_jobs(connection: &mut Connection, holder: Uuid, now: Micros) -> Outcome<u64> {
            let sql = "UPDATE jobs SET state = 'retrying', generation = generation + 1, holder = $2, due_at = $3, partial = 0 \
                       WHERE holder = $1 AND state = 'running'";
            connection.execute(sql, &values![holder, Uuid::nil(), now]).await
        }

        pub(super) async fn insert_job_items(connection: &mut Connection, job: Uuid, items: &[JobItem]) -> Outcome<()> {
            let sizes: Vec<i64> = items.iter().map(|item| signed(item.size)).collect::<Outcome<_>>()?;
            let rows: Vec<Value<'_>> = items
                .iter()
                .zip(&sizes)
                .flat_map(|(item, size)| {
                    values![
                        job,
                        item.number,
                        item.kind.as_str(),
                        &item.source,
                        &item.destination,
                        *size,
                        item.state.as_str(),
                        &item.error_code,
                        &item.error_message,
                    ]
                })
                .collect();
            let head = "INSERT INTO job_items (job, number, kind, source, destination, size, state, error_code, error_message) ";
            connection.rows((head, ""), 9, &rows).await
        }

        pub(super) async fn delete_job_items(connection: &mut Connection, job: Uuid) -> Outcome<()> {
            connection.execute("DELETE FROM job_items WHERE job = $1", &values![job]).await.map(drop)
        }

        pub(super) async fn reset_job_items(connection: &mut Connection, job: Uuid) -> Outcome<()> {
            let sql = "UPDATE job_items SET state = 'pending', error_code = NULL, error_message = NULL \
                       WHERE job = $1 AND state = 'failed'";
            connection.execute(sql, &values![job]).await.map(drop)
        }

        pub(super) async fn settle_item(
            connection: &mut Connection,
            reach: Option<&str>,
            job: Uuid,
            generation: i64,
            item: &JobItem,
        ) -> Outcome<bool> {
            // Held until the end of the transaction, whether the step is there or not.
            let sql = concat!(
                "SELECT ", job_columns!(), " FROM jobs j WHERE j.id = $1 AND j.generation = $2 AND j.state = 'running'",
                within!("j.", "$3"), $update
            );
            if connection.first::<Job>(sql, &values![job, generation, reach]).await?.is_none() {
                return Ok(false);
            }
            let failed = i64::from(item.state == ItemState::Failed);
            let done = if failed == 0 { i64::from(item.kind.counts()) } else { 0 };
            let size = signed(item.size)?;
            let sql = "UPDATE job_items SET size = $3, state = $4, error_code = $5, error_message = $6 \
                       WHERE job = $1 AND number = $2 AND state = 'pending'";
            let values =
                values![job, item.number, size, item.state.as_str(), &item.error_code, &item.error_message];
            if connection.execute(sql, &values).await? == 0 {
                return Ok(false);
            }
            let sql = "UPDATE jobs SET bytes = bytes + $2, partial = 0, done = done + $3, failed = failed + $4 WHERE id = $1";
            connection.execute(sql, &values![job, size * done, done, failed]).await?;
            Ok(true)
        }

        /// Two at once that bring the same key meet at it: the second waits for the first, and finds what that one stored.
        pub(super) async fn remember_request(
            connection: &mut Connection,
            (tenant, identity): (&str, &str),
            key: &str,
            (digest, job): (&[u8; 32], Uuid),
            now: Micros,
        ) -> Outcome<Option<([u8; 32], Uuid)>> {
            let sql = "INSERT INTO keyed_requests (tenant, identity, key, digest, job, at) VALUES ($1, $2, $3, $4, $5, $6) \
                       ON CONFLICT (tenant, identity, key) DO NOTHING";
            if connection.execute(sql, &values![tenant, identity, key, digest, job, now]).await? > 0 {
                return Ok(None);
            }
            let sql = "SELECT digest, job FROM keyed_requests WHERE tenant = $1 AND identity = $2 AND key = $3";
            connection.first(sql, &values![tenant, identity, key]).await
        }

        pub(super) async fn purge_requests(connection: &mut Connection, before: Micros) -> Outcome<u64> {
            connection.execute("DELETE FROM keyed_requests WHERE at < $1", &values![before]).await
        }

        pub(super) async fn purge_jobs(connection: &mut Connection, before: Micros) -> Outcome<u64> {
            // Held first: one that is asked for again meanwhile keeps its steps.
            let sql = concat!(
                "SELECT ", job_columns!(), " FROM jobs j WHERE j.finished_at < $1 ORDER BY j.finished_at LIMIT 20", $update
            );
            let ended: Vec<Job> = connection.all(sql, &values![before]).await?;
            for job in &ended {
                connection.execute("DELETE FROM job_items WHERE job = $1", &values![job.id]).await?;
                connection.execute("DELETE FROM jobs WHERE id = $1", &values![job.id]).await?;
            }
            Ok(ended.len() as u64)
        }
    };
}

pub(crate) use {job_columns, job_statements};
