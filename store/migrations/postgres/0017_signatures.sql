-- The signatures (RFC 9421) of requests that change something: each counts once, on every node and over restarts. Rows are swept
-- soon after their signatures have become too old to be taken.
CREATE TABLE used_signatures (
    tenant  TEXT COLLATE "C" NOT NULL,
    api_key TEXT COLLATE "C" NOT NULL,
    digest  BYTEA            NOT NULL CHECK (length(digest) = 32), -- SHA-256 of what was signed
    lapses  BIGINT           NOT NULL,                             -- from then on it is too old
    PRIMARY KEY (tenant, api_key, digest)
);
CREATE INDEX used_signatures_age ON used_signatures (lapses);

CREATE POLICY apart ON used_signatures USING ((SELECT reach()) IN ('*', tenant));
ALTER TABLE used_signatures ENABLE ROW LEVEL SECURITY;
ALTER TABLE used_signatures FORCE ROW LEVEL SECURITY;
