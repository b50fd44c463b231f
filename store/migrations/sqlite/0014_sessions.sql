-- Sessions that last, of the processes that share this ledger: what one of them tells the others of those that it has. end_asked
-- is when an administrator asked for its end, which its own process sees to.
CREATE TABLE sessions (
    id             BLOB    NOT NULL PRIMARY KEY,
    tenant         TEXT    NOT NULL,
    identity       TEXT    NOT NULL,
    login          TEXT    NOT NULL,
    protocol       TEXT    NOT NULL,
    client_ip      TEXT    NOT NULL,
    client_version TEXT,
    auth_method    TEXT    NOT NULL,
    node           TEXT    NOT NULL,
    incarnation    BLOB    NOT NULL,
    started_at     INTEGER NOT NULL,
    end_asked      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_tenant ON sessions (tenant, id);
CREATE INDEX sessions_incarnation ON sessions (incarnation);
CREATE INDEX sessions_end_asked ON sessions (incarnation) WHERE end_asked IS NOT NULL;
