-- Sessions that last, of the processes that share this ledger: what one of them tells the others of those that it has. end_asked
-- is when an administrator asked for its end, which its own process sees to.
CREATE TABLE sessions (
    id             UUID    NOT NULL PRIMARY KEY,
    tenant         TEXT COLLATE "C" NOT NULL,
    identity       TEXT COLLATE "C" NOT NULL,
    login          TEXT COLLATE "C" NOT NULL,
    protocol       TEXT COLLATE "C" NOT NULL,
    client_ip      TEXT    NOT NULL,
    client_version TEXT,
    auth_method    TEXT    NOT NULL,
    node           TEXT    NOT NULL,
    incarnation    UUID    NOT NULL,
    started_at     BIGINT NOT NULL,
    end_asked      BIGINT
);
CREATE INDEX sessions_of_tenant ON sessions (tenant, id);
CREATE INDEX sessions_incarnation ON sessions (incarnation);
CREATE INDEX sessions_end_asked ON sessions (incarnation) WHERE end_asked IS NOT NULL;

CREATE POLICY apart ON sessions USING ((SELECT reach()) IN ('*', tenant));
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
