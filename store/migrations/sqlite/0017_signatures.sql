-- The signatures (RFC 9421) of requests that change something: each counts once, on every node and over restarts. Rows are swept
-- soon after their signatures have become too old to be taken.
CREATE TABLE used_signatures (
    tenant  TEXT    NOT NULL,
    api_key TEXT    NOT NULL,
    digest  BLOB    NOT NULL CHECK (length(digest) = 32),   -- SHA-256 of what was signed
    lapses  INTEGER NOT NULL,                               -- from then on it is too old
    PRIMARY KEY (tenant, api_key, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_signatures_age ON used_signatures (lapses);
