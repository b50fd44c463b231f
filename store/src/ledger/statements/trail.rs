//! Statements on the audit trail, and on events and their deliveries (contract, `events.md`).

macro_rules! audit_statements {
    (connection: $connection:ty, ids: [$ids_open:literal, $ids_close:literal]) => {
        use causeway_core::records::{AuditFilter, AuditRecord, AuditRow, Seal};
        use sqlx::QueryBuilder;
        use uuid::Uuid;

        use crate::ledger::rows::{EntryLine, Outcome, SealLine, json};

        type Connection = $connection;

        pub(super) async fn audit(
            connection: &mut Connection,
            chain: &str,
            filter: &AuditFilter,
            limit: u32,
        ) -> Outcome<Vec<AuditRow>> {
            // "/" is the path that all paths lie below.
            let path = filter.path.as_deref().map(|path| path.trim_end_matches('/'));
            let rows: Vec<EntryLine> = sqlx::query_as(
                "SELECT e.id, e.chain, e.at, e.identity, e.login, e.operation, e.outcome, e.path, e.protocol, e.body, s.seq, s.hash \
                 FROM audit_entries e LEFT JOIN audit_seals s ON s.entry = e.id AND s.chain = e.chain \
                 WHERE e.chain = $1 AND e.id > $2 AND ($3 IS NULL OR e.at >= $3) AND ($4 IS NULL OR e.at < $4) \
                 AND ($5 IS NULL OR e.identity = $5) AND ($6 IS NULL OR e.login = $6) AND ($7 IS NULL OR e.operation = $7) \
                 AND ($8 IS NULL OR e.outcome = $8) AND ($9 IS NULL OR e.protocol = $9) \
                 AND ($10 IS NULL OR e.path = $10 OR substr(e.path, 1, length($10) + 1) = $10 || '/') \
                 ORDER BY e.id LIMIT $11",
            )
            .bind(chain)
            .bind(filter.after.unwrap_or_default())
            .bind(filter.since)
            .bind(filter.until)
            .bind(filter.identity.as_deref())
            .bind(filter.login.as_deref())
            .bind(filter.operation.as_deref())
            .bind(filter.outcome.as_deref())
            .bind(filter.protocol.as_deref())
            .bind(path)
            .bind(i64::from(limit))
            .fetch_all(connection)
            .await?;
            rows.into_iter().map(EntryLine::entry).collect()
        }

        /// Steps from name to name along the keys' order instead of reading every entry.
        pub(super) async fn chains(connection: &mut Connection) -> Outcome<Vec<String>> {
            sqlx::query_scalar(
                "WITH RECURSIVE e (chain) AS (SELECT (SELECT chain FROM audit_entries ORDER BY chain LIMIT 1) UNION ALL \
                 SELECT (SELECT a.chain FROM audit_entries a WHERE a.chain > e.chain ORDER BY a.chain LIMIT 1) \
                 FROM e WHERE e.chain IS NOT NULL), \
                 s (chain) AS (SELECT (SELECT chain FROM audit_seals ORDER BY chain LIMIT 1) UNION ALL \
                 SELECT (SELECT a.chain FROM audit_seals a WHERE a.chain > s.chain ORDER BY a.chain LIMIT 1) \
                 FROM s WHERE s.chain IS NOT NULL) \
                 SELECT chain FROM e WHERE chain IS NOT NULL UNION SELECT chain FROM s WHERE chain IS NOT NULL ORDER BY 1",
            )
            .fetch_all(connection)
            .await
        }

        pub(super) async fn seals(
            connection: &mut Connection,
            chain: &str,
            after: i64,
            limit: u32,
        ) -> Outcome<Vec<(Seal, Option<Vec<u8>>)>> {
            let rows: Vec<SealLine> = sqlx::query_as(
                "SELECT s.chain, s.seq, s.entry, s.hash, e.body FROM audit_seals s \
                 LEFT JOIN audit_entries e ON e.chain = s.chain AND e.id = s.entry \
                 WHERE s.chain = $1 AND s.seq > $2 ORDER BY s.seq LIMIT $3",
            )
            .bind(chain)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(connection)
            .await?;
            rows.into_iter().map(SealLine::seal).collect()
        }

        pub(super) async fn unsealed_counts(connection: &mut Connection, chain: &str) -> Outcome<(u64, u64)> {
            let (waiting, foreign): (i64, i64) = sqlx::query_as(
                "SELECT (SELECT COUNT(*) FROM audit_pending WHERE chain = $1), \
                 (SELECT COUNT(*) FROM audit_entries e WHERE e.chain = $1 \
                 AND NOT EXISTS (SELECT 1 FROM audit_pending p WHERE p.entry = e.id AND p.chain = e.chain) \
                 AND NOT EXISTS (SELECT 1 FROM audit_seals s WHERE s.entry = e.id AND s.chain = e.chain))",
            )
            .bind(chain)
            .fetch_one(connection)
            .await?;
            Ok((waiting.unsigned_abs(), foreign.unsigned_abs()))
        }

        pub(super) async fn append_audit(connection: &mut Connection, record: &AuditRecord) -> Outcome<()> {
            sqlx::query(
                "INSERT INTO audit_entries (id, chain, at, identity, login, operation, outcome, path, protocol, body) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(record.id)
            .bind(&record.chain)
            .bind(record.at)
            .bind(record.identity.as_deref())
            .bind(record.login.as_deref())
            .bind(&record.operation)
            .bind(&record.outcome)
            .bind(record.path.as_deref())
            .bind(&record.protocol)
            .bind(record.body.as_slice())
            .execute(&mut *connection)
            .await?;
            sqlx::query("INSERT INTO audit_pending (entry, chain) VALUES ($1, $2)")
                .bind(record.id)
                .bind(&record.chain)
                .execute(connection)
                .await
                .map(drop)
        }

        pub(super) async fn unsealed(connection: &mut Connection, limit: u32) -> Outcome<Vec<(Uuid, String, Vec<u8>)>> {
            sqlx::query_as(
                "SELECT e.id, e.chain, e.body FROM audit_pending p JOIN audit_entries e ON e.chain = p.chain AND e.id = p.entry \
                 ORDER BY p.ord LIMIT $1",
            )
            .bind(i64::from(limit))
            .fetch_all(connection)
            .await
        }

        pub(super) async fn last_seal(connection: &mut Connection, chain: &str) -> Outcome<Option<Seal>> {
            let row: Option<SealLine> = sqlx::query_as(
                "SELECT chain, seq, entry, hash, NULL AS body FROM audit_seals WHERE chain = $1 ORDER BY seq DESC LIMIT 1",
            )
            .bind(chain)
            .fetch_optional(connection)
            .await?;
            row.map(|row| row.seal().map(|(seal, _)| seal)).transpose()
        }

        pub(super) async fn insert_seals(connection: &mut Connection, seals: &[Seal]) -> Outcome<()> {
            for some in seals.chunks(200) {
                QueryBuilder::new("INSERT INTO audit_seals (chain, seq, entry, hash) ")
                    .push_values(some, |mut row, seal| {
                        row.push_bind(seal.chain.as_str())
                            .push_bind(seal.seq)
                            .push_bind(seal.entry)
                            .push_bind(seal.hash.as_slice());
                    })
                    .build()
                    .execute(&mut *connection)
                    .await?;
                let entries: Vec<Uuid> = some.iter().map(|seal| seal.entry).collect();
                sqlx::query(concat!("DELETE FROM audit_pending WHERE entry IN ", $ids_open, "$1", $ids_close))
                    .bind(json(&entries)?)
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(())
        }
    };
}

macro_rules! event_statements {
    (connection: $connection:ty, texts: [$texts_open:literal, $texts_close:literal]) => {
        use causeway_core::records::{Delivery, EventRecord, StoredEvent};
        use sqlx::QueryBuilder;
        use uuid::Uuid;

        use crate::ledger::rows::{DeliveryLine, EventLine, Outcome, delivery_word, json};

        type Connection = $connection;

        pub(super) async fn events(
            connection: &mut Connection,
            tenant: &str,
            after: i64,
            kinds: &[String],
            limit: u32,
        ) -> Outcome<Vec<StoredEvent>> {
            let kinds = if kinds.is_empty() { None } else { Some(json(kinds)?) };
            let rows: Vec<EventLine> = sqlx::query_as(concat!(
                "SELECT id, tenant, kind, at, path, order_keys, body, position FROM events \
                 WHERE tenant = $1 AND position IS NOT NULL AND position > $2 AND ($3 IS NULL OR kind IN ",
                $texts_open, "$3", $texts_close, ") ORDER BY position LIMIT $4"
            ))
            .bind(tenant)
            .bind(after)
            .bind(kinds)
            .bind(i64::from(limit))
            .fetch_all(connection)
            .await?;
            rows.into_iter().map(EventLine::stored).collect()
        }

        pub(super) async fn event_position(connection: &mut Connection, id: Uuid) -> Outcome<Option<i64>> {
            let row: Option<Option<i64>> = sqlx::query_scalar("SELECT position FROM events WHERE id = $1")
                .bind(id)
                .fetch_optional(connection)
                .await?;
            Ok(row.flatten())
        }

        pub(super) async fn pending_deliveries(
            connection: &mut Connection,
            webhook: &str,
            limit: u32,
        ) -> Outcome<Vec<(Delivery, EventRecord)>> {
            let rows: Vec<DeliveryLine> = sqlx::query_as(
                "SELECT d.webhook, d.attempts, d.next_at, d.last_result, d.position AS delivery_position, \
                 e.id, e.tenant, e.kind, e.at, e.path, e.order_keys, e.body, e.position \
                 FROM deliveries d JOIN events e ON e.id = d.event \
                 WHERE d.webhook = $1 AND d.state = 'pending' ORDER BY d.position LIMIT $2",
            )
            .bind(webhook)
            .bind(i64::from(limit))
            .fetch_all(connection)
            .await?;
            rows.into_iter().map(DeliveryLine::pending).collect()
        }

        pub(super) async fn append_events(connection: &mut Connection, events: &[EventRecord]) -> Outcome<()> {
            for some in events.chunks(50) {
                let mut rows = Vec::with_capacity(some.len());
                for event in some {
                    rows.push((event, json(&event.order_keys)?));
                }
                // Rows get their `ord` one after the other, as they stand in the list.
                QueryBuilder::new("INSERT INTO events (id, tenant, kind, at, path, order_keys, body) ")
                    .push_values(rows, |mut row, (event, order_keys)| {
                        row.push_bind(event.id)
                            .push_bind(event.tenant.as_str())
                            .push_bind(event.kind.as_str())
                            .push_bind(event.at)
                            .push_bind(event.path.as_deref())
                            .push_bind(order_keys)
                            .push_bind(event.body.as_str());
                    })
                    .build()
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(())
        }

        pub(super) async fn unpositioned(connection: &mut Connection, limit: u32) -> Outcome<Vec<EventRecord>> {
            let rows: Vec<EventLine> = sqlx::query_as(
                "SELECT id, tenant, kind, at, path, order_keys, body, position FROM events \
                 WHERE position IS NULL ORDER BY ord LIMIT $1",
            )
            .bind(i64::from(limit))
            .fetch_all(connection)
            .await?;
            rows.into_iter().map(EventLine::event).collect()
        }

        pub(super) async fn last_position(connection: &mut Connection) -> Outcome<i64> {
            let row: Option<i64> = sqlx::query_scalar("SELECT MAX(position) FROM events WHERE position IS NOT NULL")
                .fetch_one(connection)
                .await?;
            Ok(row.unwrap_or(0))
        }

        /// `column1` and `column2` are what both databases call the columns of VALUES.
        pub(super) async fn position_events(
            connection: &mut Connection,
            positions: &[(Uuid, i64)],
            deliveries: &[Delivery],
        ) -> Outcome<()> {
            for some in positions.chunks(200) {
                QueryBuilder::new("UPDATE events SET position = v.column2 FROM (")
                    .push_values(some, |mut row, (id, position)| {
                        row.push_bind(*id).push_bind(*position);
                    })
                    .push(") AS v WHERE events.id = v.column1")
                    .build()
                    .execute(&mut *connection)
                    .await?;
            }
            for some in deliveries.chunks(200) {
                QueryBuilder::new("INSERT INTO deliveries (webhook, event, position, state, attempts, next_at, last_result) ")
                    .push_values(some, |mut row, delivery| {
                        row.push_bind(delivery.webhook.as_str())
                            .push_bind(delivery.event)
                            .push_bind(delivery.position)
                            .push_bind(delivery_word(delivery.state))
                            .push_bind(delivery.attempts)
                            .push_bind(delivery.next_at)
                            .push_bind(delivery.last_result.as_deref());
                    })
                    .build()
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(())
        }

        pub(super) async fn update_delivery(connection: &mut Connection, delivery: &Delivery) -> Outcome<()> {
            sqlx::query(
                "UPDATE deliveries SET state = $3, attempts = $4, next_at = $5, last_result = $6 WHERE webhook = $1 AND event = $2",
            )
            .bind(&delivery.webhook)
            .bind(delivery.event)
            .bind(delivery_word(delivery.state))
            .bind(delivery.attempts)
            .bind(delivery.next_at)
            .bind(delivery.last_result.as_deref())
            .execute(connection)
            .await
            .map(drop)
        }
    };
}

pub(crate) use {audit_statements, event_statements};
