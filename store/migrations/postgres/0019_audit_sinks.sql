-- How far the chains of the trail were sent to what collects them elsewhere (syslog).
CREATE TABLE audit_sinks (
    sink  TEXT COLLATE "C" NOT NULL,
    chain TEXT COLLATE "C" NOT NULL,
    seq   BIGINT           NOT NULL,
    PRIMARY KEY (sink, chain)
);

-- Sending is the gateway's own work.
CREATE POLICY apart ON audit_sinks USING ((SELECT reach()) = '*');
ALTER TABLE audit_sinks ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_sinks FORCE ROW LEVEL SECURITY;
