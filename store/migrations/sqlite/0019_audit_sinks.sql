-- How far the chains of the trail were sent to what collects them elsewhere (syslog).
CREATE TABLE audit_sinks (
    sink  TEXT    NOT NULL,
    chain TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (sink, chain)
) STRICT, WITHOUT ROWID;
