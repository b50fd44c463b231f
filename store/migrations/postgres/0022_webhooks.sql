-- How the endpoint of each webhook fares: one word for all nodes. No row: nothing of it has failed yet.
CREATE TABLE webhook_health (
    webhook       TEXT COLLATE "C" NOT NULL PRIMARY KEY,    -- tenant/webhook
    failures      BIGINT NOT NULL,                          -- since the last attempt that was accepted
    failing_since BIGINT,
    probe_at      BIGINT,                                   -- the circuit is open until then; NULL: it is closed
    trips         BIGINT NOT NULL,
    disabled_at   BIGINT,                                   -- nothing is sent; NULL: it is
    disabled_why  TEXT,
    changed_at    BIGINT NOT NULL
);

-- The dead letters.
CREATE INDEX deliveries_dead ON deliveries (webhook, position) WHERE state = 'dead';

-- What is known of a tenant's webhooks is its own: its administrators see it. (Ids of tenants have no slash.)
CREATE POLICY apart ON webhook_health USING ((SELECT reach()) IN ('*', split_part(webhook, '/', 1)));
ALTER TABLE webhook_health ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_health FORCE ROW LEVEL SECURITY;
DROP POLICY apart ON deliveries;
CREATE POLICY apart ON deliveries USING ((SELECT reach()) IN ('*', split_part(webhook, '/', 1)));
