//! Statements on the audit trail, and on events and their deliveries (contract, `events.md`).

/// The conditions of `GET /audit`, on an entry `e`.
macro_rules! audit_matches {
    () => {
        " AND ($3 IS NULL OR e.at >= $3) AND ($4 IS NULL OR e.at < $4) AND ($5 IS NULL OR e.identity = $5) \
         AND ($6 IS NULL OR e.login = $6) AND ($7 IS NULL OR e.operation = $7) AND ($8 IS NULL OR e.outcome = $8) \
         AND ($9 IS NULL OR e.protocol = $9) \
         AND ($10 IS NULL OR e.path = $10 OR substr(e.path, 1, length($10) + 1) = $10 || '/')"
    };
}

macro_rules! audit_statements {
    (connection: $connection:ty, ids: [$ids_open:literal, $ids_close:literal], guards: [$($guard:literal),*], there: $there:literal) => {
        use causeway_core::audit::TRAIL;
        use causeway_core::records::{AuditFilter, AuditHead, AuditRecord, AuditRow, HeadKind, Seal};
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, Value, values};
        use crate::ledger::rows::json;
        use crate::ledger::statements::audit_matches;

        type Connection = $connection;

        pub(super) async fn audit(
            connection: &mut Connection,
            chain: &str,
            filter: &AuditFilter,
            limit: u32,
        ) -> Outcome<Vec<AuditRow>> {
            // "/" is the path that all paths lie below.
            let path = filter.path.as_deref().map(|path| path.trim_end_matches('/'));
            // Each half by an index, as far as a page goes.
            let sql = concat!(
                "SELECT id, chain, at, identity, login, operation, outcome, path, protocol, body, seq, hash FROM (SELECT * FROM (\
                 SELECT e.id, e.chain, e.at, e.identity, e.login, e.operation, e.outcome, e.path, e.protocol, e.body, s.seq, \
                 s.hash, 0 AS late, s.seq AS place FROM audit_seals s \
                 JOIN audit_entries e ON e.chain = s.chain AND e.id = s.entry WHERE s.chain = $1 AND s.seq > $2",
                audit_matches!(),
                " ORDER BY s.seq LIMIT $11) AS sealed UNION ALL SELECT * FROM (\
                 SELECT e.id, e.chain, e.at, e.identity, e.login, e.operation, e.outcome, e.path, e.protocol, e.body, \
                 CAST(NULL AS BIGINT) AS seq, CAST(NULL AS BYTEA) AS hash, 1 AS late, p.ord AS place FROM audit_pending p \
                 JOIN audit_entries e ON e.chain = p.chain AND e.id = p.entry WHERE p.chain = $1",
                audit_matches!(),
                " ORDER BY p.ord LIMIT $11) AS waiting) AS page ORDER BY late, place LIMIT $11"
            );
            let values = values![
                chain,
                filter.after.unwrap_or(0),
                filter.since,
                filter.until,
                &filter.identity,
                &filter.login,
                &filter.operation,
                &filter.outcome,
                &filter.protocol,
                path,
                limit,
            ];
            connection.search(sql, &values).await
        }

        /// Steps from name to name along the keys' order instead of reading every entry.
        pub(super) async fn chains(connection: &mut Connection) -> Outcome<Vec<String>> {
            let sql = "WITH RECURSIVE e (chain) AS (SELECT (SELECT chain FROM audit_entries ORDER BY chain LIMIT 1) UNION ALL \
                 SELECT (SELECT a.chain FROM audit_entries a WHERE a.chain > e.chain ORDER BY a.chain LIMIT 1) \
                 FROM e WHERE e.chain IS NOT NULL), \
                 s (chain) AS (SELECT (SELECT chain FROM audit_seals ORDER BY chain LIMIT 1) UNION ALL \
                 SELECT (SELECT a.chain FROM audit_seals a WHERE a.chain > s.chain ORDER BY a.chain LIMIT 1) \
                 FROM s WHERE s.chain IS NOT NULL) \
                 SELECT chain FROM e WHERE chain IS NOT NULL UNION SELECT chain FROM s WHERE chain IS NOT NULL ORDER BY 1";
            connection.all(sql, &[]).await
        }

        pub(super) async fn seals(
            connection: &mut Connection,
            chain: &str,
            after: i64,
            limit: u32,
        ) -> Outcome<Vec<(Seal, Option<AuditRecord>)>> {
            let sql = "SELECT s.chain, s.seq, s.entry, s.hash, e.id, e.chain, e.at, e.identity, e.login, e.operation, e.outcome, \
                       e.path, e.protocol, e.body FROM audit_seals s \
                       LEFT JOIN audit_entries e ON e.chain = s.chain AND e.id = s.entry \
                       WHERE s.chain = $1 AND s.seq > $2 ORDER BY s.seq LIMIT $3";
            connection.all(sql, &values![chain, after, limit]).await
        }

        pub(super) async fn unsealed_counts(connection: &mut Connection, chain: &str) -> Outcome<(u64, u64)> {
            let sql = "SELECT (SELECT COUNT(*) FROM audit_pending WHERE chain = $1), \
                       (SELECT COUNT(*) FROM audit_entries e WHERE e.chain = $1 \
                       AND NOT EXISTS (SELECT 1 FROM audit_pending p WHERE p.entry = e.id AND p.chain = e.chain) \
                       AND NOT EXISTS (SELECT 1 FROM audit_seals s WHERE s.entry = e.id AND s.chain = e.chain))";
            Ok(connection.search(sql, &values![chain]).await?.pop().unwrap_or_default())
        }

        pub(super) async fn append_audit(connection: &mut Connection, record: &AuditRecord) -> Outcome<()> {
            if !TRAIL {
                return Ok(());
            }
            let sql = "INSERT INTO audit_entries (id, chain, at, identity, login, operation, outcome, path, protocol, body) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
            let values = values![
                record.id,
                &record.chain,
                record.at,
                &record.identity,
                &record.login,
                &record.operation,
                &record.outcome,
                &record.path,
                &record.protocol,
                &record.body,
            ];
            connection.execute(sql, &values).await?;
            let sql = "INSERT INTO audit_pending (entry, chain) VALUES ($1, $2)";
            connection.execute(sql, &values![record.id, &record.chain]).await.map(drop)
        }

        pub(super) async fn unsealed(connection: &mut Connection, limit: u32) -> Outcome<Vec<(Uuid, String, Vec<u8>)>> {
            let sql = "SELECT e.id, e.chain, e.body FROM audit_pending p \
                       JOIN audit_entries e ON e.chain = p.chain AND e.id = p.entry ORDER BY p.ord LIMIT $1";
            connection.all(sql, &values![limit]).await
        }

        pub(super) async fn last_seal(connection: &mut Connection, chain: &str) -> Outcome<Option<Seal>> {
            let sql = "SELECT chain, seq, entry, hash FROM audit_seals WHERE chain = $1 ORDER BY seq DESC LIMIT 1";
            connection.first(sql, &values![chain]).await
        }

        pub(super) async fn insert_seals(connection: &mut Connection, seals: &[Seal]) -> Outcome<()> {
            let rows: Vec<Value<'_>> =
                seals.iter().flat_map(|seal| values![&seal.chain, seal.seq, seal.entry, &seal.hash]).collect();
            connection.rows(("INSERT INTO audit_seals (chain, seq, entry, hash) ", ""), 4, &rows).await?;
            let entries: Vec<Uuid> = seals.iter().map(|seal| seal.entry).collect();
            let sql = concat!("DELETE FROM audit_pending WHERE entry IN ", $ids_open, "$1", $ids_close);
            connection.execute(sql, &values![&json(&entries)?]).await.map(drop)
        }

        pub(super) async fn audit_heads(
            connection: &mut Connection,
            chain: &str,
            after: i64,
            limit: u32,
        ) -> Outcome<Vec<AuditHead>> {
            let sql = "SELECT FALSE, chain, seq, hash, at, public_key, signature FROM audit_heads \
                       WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT $3";
            connection.all(sql, &values![chain, after, limit]).await
        }

        pub(super) async fn audit_cuts(connection: &mut Connection, chain: &str) -> Outcome<Vec<AuditHead>> {
            let sql = "SELECT TRUE, chain, seq, hash, at, public_key, signature FROM audit_cuts WHERE chain = $1 ORDER BY seq";
            connection.all(sql, &values![chain]).await
        }

        pub(super) async fn insert_audit_head(connection: &mut Connection, head: &AuditHead) -> Outcome<()> {
            let sql = match head.kind {
                HeadKind::Head => {
                    "INSERT INTO audit_heads (chain, seq, hash, at, public_key, signature) VALUES ($1, $2, $3, $4, $5, $6)"
                }
                HeadKind::Cut => {
                    "INSERT INTO audit_cuts (chain, seq, hash, at, public_key, signature) VALUES ($1, $2, $3, $4, $5, $6)"
                }
            };
            let values = values![&head.chain, head.seq, &head.hash, head.at, &head.key, &head.signature];
            connection.execute(sql, &values).await.map(drop)
        }

        pub(super) async fn lost_guards(connection: &mut Connection) -> Outcome<Vec<String>> {
            let there: Vec<String> = connection.all($there, &[]).await?;
            let wanted = [$($guard),*].into_iter().filter(|name| !there.iter().any(|one| one == name));
            Ok(wanted.map(str::to_owned).collect())
        }

        pub(super) async fn sink_places(connection: &mut Connection, sink: &str) -> Outcome<Vec<(String, i64)>> {
            connection.all("SELECT chain, seq FROM audit_sinks WHERE sink = $1", &values![sink]).await
        }

        pub(super) async fn put_sink_place(
            connection: &mut Connection,
            sink: &str,
            chain: &str,
            seq: i64,
        ) -> Outcome<()> {
            let sql = "INSERT INTO audit_sinks (sink, chain, seq) VALUES ($1, $2, $3) \
                       ON CONFLICT (sink, chain) DO UPDATE SET seq = excluded.seq";
            connection.execute(sql, &values![sink, chain, seq]).await.map(drop)
        }

        /// The entries before their seals, by which the triggers know them.
        pub(super) async fn cut_audit(connection: &mut Connection, chain: &str, upto: i64) -> Outcome<u64> {
            let sql = "DELETE FROM audit_entries WHERE chain = $1 \
                       AND id IN (SELECT entry FROM audit_seals WHERE chain = $1 AND seq <= $2)";
            let entries = connection.execute(sql, &values![chain, upto]).await?;
            let seals = "DELETE FROM audit_seals WHERE chain = $1 AND seq <= $2";
            let heads = "DELETE FROM audit_heads WHERE chain = $1 AND seq < $2";
            let cuts = "DELETE FROM audit_cuts WHERE chain = $1 AND seq < $2";
            for sql in [seals, heads, cuts] {
                connection.execute(sql, &values![chain, upto]).await?;
            }
            Ok(entries)
        }
    };
}

macro_rules! event_statements {
    (connection: $connection:ty, texts: [$texts_open:literal, $texts_close:literal]) => {
        use causeway_core::audit::TRAIL;
        use causeway_core::records::{Delivery, EventRecord, StoredEvent};
        use causeway_core::trace::TraceContext;
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, Value, values};
        use crate::ledger::deliveries::{INSERT_DELIVERIES, delivery_rows, delivery_word};
        use crate::ledger::rows::json;
        use crate::ledger::statements::within;

        type Connection = $connection;

        pub(super) async fn events(
            connection: &mut Connection,
            tenant: &str,
            after: i64,
            kinds: &[String],
            limit: u32,
        ) -> Outcome<Vec<StoredEvent>> {
            let kinds = if kinds.is_empty() { None } else { Some(json(kinds)?) };
            let sql = concat!(
                "SELECT id, tenant, kind, at, path, order_keys, body, transfer, quiet, trace, position FROM events \
                 WHERE tenant = $1 AND position IS NOT NULL AND position > $2 AND ($3 IS NULL OR kind IN ",
                $texts_open,
                "$3",
                $texts_close,
                ") ORDER BY position LIMIT $4"
            );
            connection.search(sql, &values![tenant, after, &kinds, limit]).await
        }

        pub(super) async fn latest_events(
            connection: &mut Connection,
            tenant: &str,
            before: i64,
            limit: u32,
        ) -> Outcome<Vec<StoredEvent>> {
            let sql = "SELECT id, tenant, kind, at, path, order_keys, body, transfer, quiet, trace, position FROM events \
                       WHERE tenant = $1 AND position IS NOT NULL AND position < $2 ORDER BY position DESC LIMIT $3";
            connection.all(sql, &values![tenant, before, limit]).await
        }

        /// It looks once for each tenant, however many events there are.
        pub(super) async fn event_tenants(connection: &mut Connection) -> Outcome<Vec<(String, i64)>> {
            let sql = "WITH RECURSIVE t (tenant) AS (\
                 SELECT (SELECT tenant FROM events WHERE position IS NOT NULL ORDER BY tenant LIMIT 1) UNION ALL \
                 SELECT (SELECT e.tenant FROM events e WHERE e.position IS NOT NULL AND e.tenant > t.tenant ORDER BY e.tenant LIMIT 1) \
                 FROM t WHERE t.tenant IS NOT NULL) \
                 SELECT tenant, (SELECT e.position FROM events e WHERE e.position IS NOT NULL AND e.tenant = t.tenant \
                 ORDER BY e.position DESC LIMIT 1) FROM t WHERE tenant IS NOT NULL ORDER BY 1";
            connection.all(sql, &[]).await
        }

        pub(super) async fn event_position(
            connection: &mut Connection,
            reach: Option<&str>,
            id: Uuid,
        ) -> Outcome<Option<i64>> {
            let sql = concat!("SELECT position FROM events WHERE id = $1", within!("", "$2"));
            let row: Option<Option<i64>> = connection.first(sql, &values![id, reach]).await?;
            Ok(row.flatten())
        }

        pub(super) async fn transfer_ends(
            connection: &mut Connection,
            tenant: &str,
            before: Uuid,
            limit: u32,
        ) -> Outcome<Vec<EventRecord>> {
            let sql = "SELECT id, tenant, kind, at, path, order_keys, body, transfer, quiet, trace FROM events \
                       WHERE tenant = $1 AND transfer < $2 ORDER BY transfer DESC, ord DESC LIMIT $3";
            connection.all(sql, &values![tenant, before, limit]).await
        }

        pub(super) async fn pending_deliveries(
            connection: &mut Connection,
            webhook: &str,
            limit: u32,
        ) -> Outcome<Vec<(Delivery, EventRecord)>> {
            let sql = "SELECT d.webhook, d.attempts, d.next_at, d.last_result, d.position, d.state, \
                       e.id, e.tenant, e.kind, e.at, e.path, e.order_keys, e.body, e.transfer, e.quiet, e.trace \
                       FROM deliveries d JOIN events e ON e.id = d.event \
                       WHERE d.webhook = $1 AND d.state = 'pending' ORDER BY d.position LIMIT $2";
            connection.all(sql, &values![webhook, limit]).await
        }

        /// Rows get their `ord` one after the other, as they stand in the list.
        pub(super) async fn append_events(connection: &mut Connection, events: &[EventRecord]) -> Outcome<()> {
            if !TRAIL {
                return Ok(());
            }
            let keys: Vec<String> = events.iter().map(|event| json(&event.order_keys)).collect::<Outcome<_>>()?;
            let traces: Vec<Option<String>> =
                events.iter().map(|event| event.trace.as_ref().map(TraceContext::to_stored)).collect();
            let rows: Vec<Value<'_>> = events
                .iter()
                .zip(keys.iter().zip(&traces))
                .flat_map(|(event, (keys, trace))| {
                    values![
                        event.id,
                        &event.tenant,
                        &event.kind,
                        event.at,
                        &event.path,
                        keys,
                        &event.body,
                        event.transfer,
                        event.quiet,
                        trace,
                    ]
                })
                .collect();
            let head = "INSERT INTO events (id, tenant, kind, at, path, order_keys, body, transfer, quiet, trace) ";
            connection.rows((head, ""), 10, &rows).await
        }

        pub(super) async fn unpositioned(connection: &mut Connection, limit: u32) -> Outcome<Vec<EventRecord>> {
            let sql = "SELECT id, tenant, kind, at, path, order_keys, body, transfer, quiet, trace FROM events \
                       WHERE position IS NULL ORDER BY ord LIMIT $1";
            connection.all(sql, &values![limit]).await
        }

        pub(super) async fn last_position(connection: &mut Connection) -> Outcome<i64> {
            let sql = "SELECT MAX(position) FROM events WHERE position IS NOT NULL";
            let row: Option<Option<i64>> = connection.first(sql, &[]).await?;
            Ok(row.flatten().unwrap_or(0))
        }

        /// `column1` and `column2` are what both databases call the columns of VALUES.
        pub(super) async fn position_events(
            connection: &mut Connection,
            positions: &[(Uuid, i64)],
            deliveries: &[Delivery],
        ) -> Outcome<()> {
            let rows: Vec<Value<'_>> = positions.iter().flat_map(|(id, position)| values![*id, *position]).collect();
            let each = "UPDATE events SET position = $2 WHERE id = $1";
            let around = ("UPDATE events SET position = v.column2 FROM (", ") AS v WHERE events.id = v.column1");
            connection.updates(each, around, 2, &rows).await?;
            connection.rows((INSERT_DELIVERIES, ""), 7, &delivery_rows(deliveries)).await
        }

        /// As for positions. A result is that of the attempt after those that are in the row.
        pub(super) async fn update_deliveries(connection: &mut Connection, deliveries: &[Delivery]) -> Outcome<()> {
            let rows: Vec<Value<'_>> = deliveries
                .iter()
                .flat_map(|delivery| {
                    values![
                        &delivery.webhook,
                        delivery.event,
                        delivery_word(delivery.state),
                        delivery.attempts,
                        delivery.next_at,
                        &delivery.last_result,
                    ]
                })
                .collect();
            let each = "UPDATE deliveries SET state = $3, attempts = $4, next_at = $5, last_result = $6 \
                        WHERE webhook = $1 AND event = $2 AND attempts = $4 - 1";
            let around = (
                "UPDATE deliveries SET state = v.column3, attempts = v.column4, next_at = v.column5, last_result = v.column6 FROM (",
                ") AS v WHERE deliveries.webhook = v.column1 AND deliveries.event = v.column2 \
                 AND deliveries.attempts = v.column4 - 1",
            );
            connection.updates(each, around, 6, &rows).await
        }
    };
}

pub(crate) use {audit_matches, audit_statements, event_statements};
