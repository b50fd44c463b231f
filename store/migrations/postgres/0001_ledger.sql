-- The ledger on PostgreSQL. Times are microseconds since 1970 (UTC). Text compares by its bytes (COLLATE "C").

-- Files (version is set) and folders. The root of a tenant has the nil UUID as its parent and the tenant's id as its name.
CREATE TABLE nodes (
    id             UUID             NOT NULL PRIMARY KEY,
    tenant         TEXT COLLATE "C" NOT NULL,
    parent         UUID             NOT NULL,
    name           TEXT COLLATE "C" NOT NULL,
    version        UUID,
    size           BIGINT,
    sha256         BYTEA,
    content_type   TEXT,
    segments       TEXT,                                    -- JSON: records::Segment
    created_at     BIGINT           NOT NULL,
    modified_at    BIGINT           NOT NULL,
    attributes     TEXT,                                    -- JSON: records::Attributes; NULL: none set
    created_by     TEXT             NOT NULL,               -- JSON: records::Actor
    classification TEXT,
    tags           TEXT,                                    -- JSON: an object of strings; NULL: none
    CONSTRAINT nodes_name UNIQUE (parent, name),
    CHECK ((version IS NULL) = (size IS NULL) AND (version IS NULL) = (sha256 IS NULL) AND (version IS NULL) = (segments IS NULL))
);

CREATE TABLE uploads (
    id           UUID             NOT NULL PRIMARY KEY,
    tenant       TEXT COLLATE "C" NOT NULL,
    identity     TEXT COLLATE "C" NOT NULL,
    login        TEXT             NOT NULL,
    protocol     TEXT             NOT NULL,
    session      UUID             NOT NULL,
    parent       UUID             NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    state        TEXT COLLATE "C" NOT NULL CHECK (state IN ('open', 'detached', 'sealed', 'committed', 'discarded')),
    generation   BIGINT           NOT NULL,
    incarnation  UUID             NOT NULL,
    exclusive    BOOLEAN          NOT NULL,
    base_version UUID,
    compare_base BOOLEAN          NOT NULL,
    size         BIGINT           NOT NULL,
    prefix       BIGINT           NOT NULL,
    reserved     BIGINT           NOT NULL,
    segments     TEXT             NOT NULL,
    hash_state   BYTEA,
    hashed       BIGINT           NOT NULL,
    attributes   TEXT,
    storage      TEXT             NOT NULL,
    prefix_path  TEXT             NOT NULL,
    created_at   BIGINT           NOT NULL,
    updated_at   BIGINT           NOT NULL,
    expires_at   BIGINT           NOT NULL
);
CREATE INDEX uploads_name ON uploads (parent, name) WHERE state IN ('open', 'detached', 'sealed');
CREATE INDEX uploads_owner ON uploads (tenant, identity) WHERE state IN ('open', 'detached', 'sealed');
CREATE INDEX uploads_holder ON uploads (incarnation) WHERE state IN ('open', 'detached', 'sealed');
CREATE INDEX uploads_expiry ON uploads (expires_at) WHERE state = 'detached';
CREATE INDEX uploads_ended ON uploads (updated_at) WHERE state IN ('committed', 'discarded');
-- CREATE | EXCLUSIVE reserves a name while the upload is open or being committed.
CREATE UNIQUE INDEX uploads_reservation ON uploads (parent, name) WHERE exclusive AND state IN ('open', 'sealed');

CREATE TABLE blobs (
    key       UUID             NOT NULL PRIMARY KEY,
    storage   TEXT             NOT NULL,
    prefix    TEXT             NOT NULL,
    state     TEXT COLLATE "C" NOT NULL CHECK (state IN ('live', 'doomed', 'deleting')),
    doomed_at BIGINT,
    CHECK ((state = 'live') = (doomed_at IS NULL))
);
CREATE INDEX blobs_doomed ON blobs (doomed_at) WHERE state <> 'live';

CREATE TABLE blob_refs (
    blob   UUID NOT NULL REFERENCES blobs (key),
    holder UUID NOT NULL,
    PRIMARY KEY (blob, holder)
);
CREATE INDEX blob_refs_holder ON blob_refs (holder);

-- What identities use, in up to 16 parts, so that transactions of one identity need not wait for each other's row.
CREATE TABLE usage (
    tenant   TEXT COLLATE "C" NOT NULL,
    identity TEXT COLLATE "C" NOT NULL,
    shard    BIGINT           NOT NULL,
    bytes    BIGINT           NOT NULL,
    PRIMARY KEY (tenant, identity, shard)
);

-- The trail: append only. An entry waits in audit_pending until the sequencer gives it its place in audit_seals.
CREATE TABLE audit_entries (
    ord       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id        UUID             NOT NULL,
    chain     TEXT COLLATE "C" NOT NULL,
    at        BIGINT           NOT NULL,
    identity  TEXT,
    login     TEXT,
    operation TEXT             NOT NULL,
    outcome   TEXT             NOT NULL,
    path      TEXT COLLATE "C",
    protocol  TEXT             NOT NULL,
    body      BYTEA            NOT NULL,
    UNIQUE (chain, id)
);

CREATE TABLE audit_pending (
    ord   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry UUID             NOT NULL UNIQUE,
    chain TEXT COLLATE "C" NOT NULL
);

CREATE TABLE audit_seals (
    chain TEXT COLLATE "C" NOT NULL,
    seq   BIGINT           NOT NULL,
    entry UUID             NOT NULL UNIQUE,
    hash  BYTEA            NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (chain, seq)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END;
$$;
CREATE TRIGGER audit_entries_no_change BEFORE UPDATE OR DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_entries_no_truncate BEFORE TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_seals_no_change BEFORE UPDATE OR DELETE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_seals_no_truncate BEFORE TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The outbox. ord is the order of queueing; position is what readers go by, and is given by the sequencer.
CREATE TABLE events (
    ord        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         UUID             NOT NULL UNIQUE,
    tenant     TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    at         BIGINT           NOT NULL,
    path       TEXT,
    order_keys TEXT             NOT NULL,                   -- JSON: a list of strings
    body       TEXT             NOT NULL,
    position   BIGINT
);
CREATE INDEX events_unpositioned ON events (ord) WHERE position IS NULL;
CREATE UNIQUE INDEX events_position ON events (position) WHERE position IS NOT NULL;
CREATE INDEX events_of_tenant ON events (tenant, position) WHERE position IS NOT NULL;

CREATE TABLE deliveries (
    webhook     TEXT COLLATE "C" NOT NULL,
    event       UUID             NOT NULL,
    position    BIGINT           NOT NULL,
    state       TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts    BIGINT           NOT NULL,
    next_at     BIGINT           NOT NULL,
    last_result TEXT,
    PRIMARY KEY (webhook, event)
);
CREATE INDEX deliveries_pending ON deliveries (webhook, position) WHERE state = 'pending';

CREATE TABLE leases (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder     UUID             NOT NULL,
    expires_at BIGINT           NOT NULL
);

CREATE TABLE incarnations (
    id           UUID   NOT NULL PRIMARY KEY,
    node         TEXT   NOT NULL,
    installation UUID   NOT NULL,
    heartbeat    BIGINT NOT NULL,
    oldest_read  BIGINT NOT NULL
);
