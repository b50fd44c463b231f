-- What is known of API keys beside their records: when the gateway first saw a key, which its age counts from where nothing else
-- says it, and when it last let somebody in. A row stays when its key goes: who brings the same key back does not make it younger.
CREATE TABLE key_uses (
    tenant     TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,                   -- the key's id
    digest     BYTEA            NOT NULL,                   -- SHA-256 of the key: a rotation makes another one under the same id
    first_seen BIGINT           NOT NULL,
    last_used  BIGINT,
    PRIMARY KEY (tenant, key, digest)
);

-- The ends of keys that were told (`key.expiring`), each once, by whichever node comes first.
CREATE TABLE key_warnings (
    tenant  TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    digest  BYTEA            NOT NULL,
    ends_at BIGINT           NOT NULL,
    told_at BIGINT           NOT NULL,
    PRIMARY KEY (tenant, key, digest, ends_at)
);

CREATE POLICY apart ON key_uses USING ((SELECT reach()) IN ('*', tenant));
CREATE POLICY apart ON key_warnings USING ((SELECT reach()) IN ('*', tenant));
ALTER TABLE key_uses ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_uses FORCE ROW LEVEL SECURITY;
ALTER TABLE key_warnings ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_warnings FORCE ROW LEVEL SECURITY;
