-- What is known of API keys beside their records: when the gateway first saw a key, which its age counts from where nothing else
-- says it, and when it last let somebody in. A row stays when its key goes: who brings the same key back does not make it younger.
CREATE TABLE key_uses (
    tenant     TEXT    NOT NULL,
    key        TEXT    NOT NULL,                            -- the key's id
    digest     BLOB    NOT NULL,                            -- SHA-256 of the key: a rotation makes another one under the same id
    first_seen INTEGER NOT NULL,
    last_used  INTEGER,
    PRIMARY KEY (tenant, key, digest)
) STRICT, WITHOUT ROWID;

-- The ends of keys that were told (`key.expiring`), each once, by whichever node comes first.
CREATE TABLE key_warnings (
    tenant  TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    digest  BLOB    NOT NULL,
    ends_at INTEGER NOT NULL,
    told_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, key, digest, ends_at)
) STRICT, WITHOUT ROWID;
