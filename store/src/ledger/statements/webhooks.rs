//! Statements on `webhook_health`, and on deliveries as administrators see and queue them. A webhook is named `tenant/webhook`; whose
//! rows may be reached is the part before the slash.

/// The condition that a webhook is of the tenant at this parameter, or of any where it is NULL (see `Reach`).
macro_rules! of_tenant {
    ($webhook:literal, $tenant:literal) => {
        concat!(
            " AND (",
            $tenant,
            " IS NULL OR substr(",
            $webhook,
            ", 1, length(",
            $tenant,
            ") + 1) = ",
            $tenant,
            " || '/')"
        )
    };
}

/// Deliveries behind a position, the newest first, under one more condition.
macro_rules! deliveries_where {
    ($condition:literal) => {
        concat!(
            "SELECT d.webhook, d.attempts, d.next_at, d.last_result, d.position, d.state, \
             e.id, e.tenant, e.kind, e.at, e.path, e.order_keys, e.body, e.transfer, e.quiet, e.trace \
             FROM deliveries d JOIN events e ON e.id = d.event \
             WHERE d.webhook = $1 AND d.position < $2 AND ",
            $condition,
            of_tenant!("d.webhook", "$4"),
            " ORDER BY d.position DESC LIMIT $3"
        )
    };
}

macro_rules! webhook_statements {
    (connection: $connection:ty) => {
        use causeway_core::records::{Delivery, DeliveryState, EventRecord, Micros, StoredEvent, WebhookHealth};
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, values};
        use crate::ledger::deliveries::{INSERT_DELIVERIES, delivery_rows};
        use crate::ledger::statements::{deliveries_where, of_tenant};

        type Connection = $connection;

        pub(super) async fn webhook_health(
            connection: &mut Connection,
            reach: Option<&str>,
            webhook: &str,
        ) -> Outcome<Option<WebhookHealth>> {
            let sql = concat!(
                "SELECT webhook, failures, failing_since, probe_at, trips, disabled_at, disabled_why, changed_at \
                 FROM webhook_health WHERE webhook = $1",
                of_tenant!("webhook", "$2")
            );
            connection.first(sql, &values![webhook, reach]).await
        }

        pub(super) async fn webhook_healths(
            connection: &mut Connection,
            tenant: Option<&str>,
        ) -> Outcome<Vec<WebhookHealth>> {
            let sql = concat!(
                "SELECT webhook, failures, failing_since, probe_at, trips, disabled_at, disabled_why, changed_at \
                 FROM webhook_health WHERE webhook IS NOT NULL",
                of_tenant!("webhook", "$1"),
                " ORDER BY webhook"
            );
            connection.all(sql, &values![tenant]).await
        }

        pub(super) async fn deliveries(
            connection: &mut Connection,
            reach: Option<&str>,
            webhook: &str,
            state: Option<DeliveryState>,
            before: i64,
            limit: u32,
        ) -> Outcome<Vec<(Delivery, EventRecord)>> {
            // The words stand in the texts, so that the indexes over them count.
            let sql = match state {
                None => concat!(
                    "SELECT * FROM (SELECT * FROM (",
                    deliveries_where!("d.state = 'pending'"),
                    ") AS pending UNION ALL SELECT * FROM (",
                    deliveries_where!("d.state = 'delivered'"),
                    ") AS delivered UNION ALL SELECT * FROM (",
                    deliveries_where!("d.state = 'dead'"),
                    ") AS dead) AS page ORDER BY position DESC LIMIT $3"
                ),
                Some(DeliveryState::Pending) => deliveries_where!("d.state = 'pending'"),
                Some(DeliveryState::Delivered) => deliveries_where!("d.state = 'delivered'"),
                Some(DeliveryState::Dead) => deliveries_where!("d.state = 'dead'"),
            };
            connection.search(sql, &values![webhook, before, limit, reach]).await
        }

        pub(super) async fn events_since(
            connection: &mut Connection,
            tenant: &str,
            since: Micros,
            after: i64,
            limit: u32,
        ) -> Outcome<Vec<StoredEvent>> {
            let sql = "SELECT id, tenant, kind, at, path, order_keys, body, transfer, quiet, trace, position FROM events \
                       WHERE tenant = $1 AND position IS NOT NULL AND position > $3 AND at >= $2 \
                       ORDER BY position LIMIT $4";
            connection.search(sql, &values![tenant, since, after, limit]).await
        }

        pub(super) async fn put_webhook_health(connection: &mut Connection, health: &WebhookHealth) -> Outcome<()> {
            let sql = "INSERT INTO webhook_health \
                       (webhook, failures, failing_since, probe_at, trips, disabled_at, disabled_why, changed_at) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (webhook) DO UPDATE SET \
                       failures = excluded.failures, failing_since = excluded.failing_since, \
                       probe_at = excluded.probe_at, trips = excluded.trips, disabled_at = excluded.disabled_at, \
                       disabled_why = excluded.disabled_why, changed_at = excluded.changed_at";
            let values = values![
                &health.webhook,
                health.failures,
                health.failing_since,
                health.probe_at,
                health.trips,
                health.disabled_at,
                &health.disabled_why,
                health.changed_at,
            ];
            connection.execute(sql, &values).await.map(drop)
        }

        /// One that is there already begins anew.
        pub(super) async fn queue_deliveries(connection: &mut Connection, deliveries: &[Delivery]) -> Outcome<()> {
            let around = (
                INSERT_DELIVERIES,
                " ON CONFLICT (webhook, event) DO UPDATE SET state = excluded.state, attempts = excluded.attempts, \
                 next_at = excluded.next_at, last_result = excluded.last_result",
            );
            connection.rows(around, 7, &delivery_rows(deliveries)).await
        }

        pub(super) async fn requeue_delivery(
            connection: &mut Connection,
            reach: Option<&str>,
            webhook: &str,
            event: Uuid,
            now: Micros,
        ) -> Outcome<bool> {
            let sql = concat!(
                "UPDATE deliveries SET state = 'pending', attempts = 0, next_at = $3 WHERE webhook = $1 AND event = $2",
                of_tenant!("webhook", "$4")
            );
            Ok(connection.execute(sql, &values![webhook, event, now, reach]).await? > 0)
        }

        pub(super) async fn bury_deliveries(
            connection: &mut Connection,
            reach: Option<&str>,
            webhook: &str,
            result: &str,
        ) -> Outcome<u64> {
            let sql = concat!(
                "UPDATE deliveries SET state = 'dead', last_result = $2 WHERE webhook = $1 AND state = 'pending'",
                of_tenant!("webhook", "$3")
            );
            connection.execute(sql, &values![webhook, result, reach]).await
        }

        pub(super) async fn forget_webhook(
            connection: &mut Connection,
            reach: Option<&str>,
            webhook: &str,
        ) -> Outcome<u64> {
            let sql = concat!("DELETE FROM webhook_health WHERE webhook = $1", of_tenant!("webhook", "$2"));
            connection.execute(sql, &values![webhook, reach]).await?;
            let sql = concat!("DELETE FROM deliveries WHERE webhook = $1", of_tenant!("webhook", "$2"));
            connection.execute(sql, &values![webhook, reach]).await
        }
    };
}

pub(crate) use {deliveries_where, of_tenant, webhook_statements};
