-- How the endpoint of each webhook fares: one word for all nodes. No row: nothing of it has failed yet.
CREATE TABLE webhook_health (
    webhook       TEXT    NOT NULL PRIMARY KEY,             -- tenant/webhook
    failures      INTEGER NOT NULL,                         -- since the last attempt that was accepted
    failing_since INTEGER,
    probe_at      INTEGER,                                  -- the circuit is open until then; NULL: it is closed
    trips         INTEGER NOT NULL,
    disabled_at   INTEGER,                                  -- nothing is sent; NULL: it is
    disabled_why  TEXT,
    changed_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The dead letters.
CREATE INDEX deliveries_dead ON deliveries (webhook, position) WHERE state = 'dead';
