//! The one statement that counts what waits.

macro_rules! backlog_statements {
    (connection: $connection:ty) => {
        use causeway_core::records::Backlog;

        use crate::ledger::driver::{Driver, Outcome, values};

        type Connection = $connection;

        /// Each part is a bounded piece of a partial index, or the first row of one. The oldest delivery is the oldest of the first
        /// ones of all webhooks, which it steps through from name to name.
        pub(super) async fn backlog(connection: &mut Connection, most: u32) -> Outcome<Backlog> {
            let sql = "WITH RECURSIVE w (webhook) AS (\
                 SELECT (SELECT webhook FROM deliveries WHERE state = 'pending' ORDER BY webhook LIMIT 1) UNION ALL \
                 SELECT (SELECT d.webhook FROM deliveries d WHERE d.state = 'pending' AND d.webhook > w.webhook \
                 ORDER BY d.webhook LIMIT 1) FROM w WHERE w.webhook IS NOT NULL), \
                 j (state) AS (SELECT state FROM jobs WHERE due_at IS NOT NULL LIMIT $1) \
                 SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE state = 'pending' LIMIT $1) AS waiting), \
                 (SELECT MIN((SELECT e.at FROM deliveries d JOIN events e ON e.id = d.event \
                 WHERE d.webhook = w.webhook AND d.state = 'pending' ORDER BY d.position LIMIT 1)) \
                 FROM w WHERE w.webhook IS NOT NULL), \
                 (SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE state = 'dead' LIMIT $1) AS dead), \
                 (SELECT COUNT(*) FROM (SELECT 1 FROM audit_pending LIMIT $1) AS unsealed), \
                 (SELECT e.at FROM audit_pending p JOIN audit_entries e ON e.chain = p.chain AND e.id = p.entry \
                 ORDER BY p.ord LIMIT 1), \
                 (SELECT COUNT(*) FROM (SELECT 1 FROM events WHERE position IS NULL LIMIT $1) AS unpositioned), \
                 (SELECT at FROM events WHERE position IS NULL ORDER BY ord LIMIT 1), \
                 (SELECT COUNT(*) FROM j WHERE j.state = 'queued'), (SELECT COUNT(*) FROM j WHERE j.state = 'running'), \
                 (SELECT COUNT(*) FROM j WHERE j.state = 'retrying')";
            Ok(connection.search(sql, &values![most]).await?.pop().unwrap_or_default())
        }
    };
}

pub(crate) use backlog_statements;
