-- The ledger on SQLite. Ids are 16 bytes, times are microseconds since 1970 (UTC), names compare by their bytes (BINARY).
-- WITHOUT ROWID: rows lie in the order of their key, and a look-up by key is one descent instead of two.

-- Files (version is set) and folders. The root of a tenant has the nil UUID as its parent and the tenant's id as its name.
CREATE TABLE nodes (
    id             BLOB    NOT NULL PRIMARY KEY,
    tenant         TEXT    NOT NULL,
    parent         BLOB    NOT NULL,
    name           TEXT    NOT NULL,
    version        BLOB,
    size           INTEGER,
    sha256         BLOB,
    content_type   TEXT,
    segments       TEXT,                                    -- JSON: records::Segment
    created_at     INTEGER NOT NULL,
    modified_at    INTEGER NOT NULL,
    attributes     TEXT,                                    -- JSON: records::Attributes; NULL: none set
    created_by     TEXT    NOT NULL,                        -- JSON: records::Actor
    classification TEXT,
    tags           TEXT,                                    -- JSON: an object of strings; NULL: none
    UNIQUE (parent, name),
    CHECK ((version IS NULL) = (size IS NULL) AND (version IS NULL) = (sha256 IS NULL) AND (version IS NULL) = (segments IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE uploads (
    id           BLOB    NOT NULL PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    identity     TEXT    NOT NULL,
    login        TEXT    NOT NULL,
    protocol     TEXT    NOT NULL,
    session      BLOB    NOT NULL,
    parent       BLOB    NOT NULL,
    name         TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('open', 'detached', 'sealed', 'committed', 'discarded')),
    generation   INTEGER NOT NULL,
    incarnation  BLOB    NOT NULL,
    exclusive    INTEGER NOT NULL CHECK (exclusive IN (0, 1)),
    base_version BLOB,
    compare_base INTEGER NOT NULL CHECK (compare_base IN (0, 1)),
    size         INTEGER NOT NULL,
    prefix       INTEGER NOT NULL,
    reserved     INTEGER NOT NULL,
    segments     TEXT    NOT NULL,
    hash_state   BLOB,
    hashed       INTEGER NOT NULL,
    attributes   TEXT,
    storage      TEXT    NOT NULL,
    prefix_path  TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_name ON uploads (parent, name) WHERE state IN ('open', 'detached', 'sealed');
CREATE INDEX uploads_owner ON uploads (tenant, identity) WHERE state IN ('open', 'detached', 'sealed');
CREATE INDEX uploads_holder ON uploads (incarnation) WHERE state IN ('open', 'detached', 'sealed');
CREATE INDEX uploads_expiry ON uploads (expires_at) WHERE state = 'detached';
CREATE INDEX uploads_ended ON uploads (updated_at) WHERE state IN ('committed', 'discarded');
-- CREATE | EXCLUSIVE reserves a name while the upload is open or being committed.
CREATE UNIQUE INDEX uploads_reservation ON uploads (parent, name) WHERE exclusive AND state IN ('open', 'sealed');

CREATE TABLE blobs (
    key       BLOB    NOT NULL PRIMARY KEY,
    storage   TEXT    NOT NULL,
    prefix    TEXT    NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('live', 'doomed', 'deleting')),
    doomed_at INTEGER,
    CHECK ((state = 'live') = (doomed_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_doomed ON blobs (doomed_at) WHERE state <> 'live';

CREATE TABLE blob_refs (
    blob   BLOB NOT NULL REFERENCES blobs (key),
    holder BLOB NOT NULL,
    PRIMARY KEY (blob, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_refs_holder ON blob_refs (holder);

-- What identities use, in up to 16 parts, so that transactions of one identity need not wait for each other's row.
CREATE TABLE usage (
    tenant   TEXT    NOT NULL,
    identity TEXT    NOT NULL,
    shard    INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    PRIMARY KEY (tenant, identity, shard)
) STRICT, WITHOUT ROWID;

-- The trail: append only. An entry waits in audit_pending until the sequencer gives it its place in audit_seals.
CREATE TABLE audit_entries (
    ord       INTEGER PRIMARY KEY,
    id        BLOB    NOT NULL,
    chain     TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    identity  TEXT,
    login     TEXT,
    operation TEXT    NOT NULL,
    outcome   TEXT    NOT NULL,
    path      TEXT,
    protocol  TEXT    NOT NULL,
    body      BLOB    NOT NULL,
    UNIQUE (chain, id)
) STRICT;
CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries
BEGIN
    SELECT RAISE(ABORT, 'audit entries are append-only');
END;
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries
BEGIN
    SELECT RAISE(ABORT, 'audit entries are append-only');
END;

CREATE TABLE audit_pending (
    ord   INTEGER PRIMARY KEY,
    entry BLOB    NOT NULL UNIQUE,
    chain TEXT    NOT NULL
) STRICT;

CREATE TABLE audit_seals (
    chain TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    entry BLOB    NOT NULL UNIQUE,
    hash  BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_seals_no_update BEFORE UPDATE ON audit_seals
BEGIN
    SELECT RAISE(ABORT, 'audit seals are append-only');
END;
CREATE TRIGGER audit_seals_no_delete BEFORE DELETE ON audit_seals
BEGIN
    SELECT RAISE(ABORT, 'audit seals are append-only');
END;

-- The outbox. ord is the order of queueing; position is what readers go by, and is given by the sequencer.
CREATE TABLE events (
    ord        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB    NOT NULL UNIQUE,
    tenant     TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    path       TEXT,
    order_keys TEXT    NOT NULL,                            -- JSON: a list of strings
    body       TEXT    NOT NULL,
    position   INTEGER
) STRICT;
CREATE INDEX events_unpositioned ON events (ord) WHERE position IS NULL;
CREATE UNIQUE INDEX events_position ON events (position) WHERE position IS NOT NULL;
CREATE INDEX events_of_tenant ON events (tenant, position) WHERE position IS NOT NULL;

CREATE TABLE deliveries (
    webhook     TEXT    NOT NULL,
    event       BLOB    NOT NULL,
    position    INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts    INTEGER NOT NULL,
    next_at     INTEGER NOT NULL,
    last_result TEXT,
    PRIMARY KEY (webhook, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_pending ON deliveries (webhook, position) WHERE state = 'pending';

CREATE TABLE leases (
    name       TEXT    NOT NULL PRIMARY KEY,
    holder     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE incarnations (
    id           BLOB    NOT NULL PRIMARY KEY,
    node         TEXT    NOT NULL,
    installation BLOB    NOT NULL,
    heartbeat    INTEGER NOT NULL,
    oldest_read  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
