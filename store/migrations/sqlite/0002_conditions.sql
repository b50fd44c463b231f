-- The same tables, with conditions on the state that cost nothing. To SQLite a list of more than two words is a table in
-- memory, which each statement fills anew for each index and each CHECK that has one.

CREATE TABLE new_uploads (
    id           BLOB    NOT NULL PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    identity     TEXT    NOT NULL,
    login        TEXT    NOT NULL,
    protocol     TEXT    NOT NULL,
    session      BLOB    NOT NULL,
    parent       BLOB    NOT NULL,
    name         TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state = 'open' OR state = 'detached' OR state = 'sealed' OR state = 'committed' OR state = 'discarded'),
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
INSERT INTO new_uploads SELECT * FROM uploads;
DROP TABLE uploads;
ALTER TABLE new_uploads RENAME TO uploads;
CREATE INDEX uploads_name ON uploads (parent, name) WHERE state NOT IN ('committed', 'discarded');
CREATE INDEX uploads_owner ON uploads (tenant, identity) WHERE state NOT IN ('committed', 'discarded');
CREATE INDEX uploads_holder ON uploads (incarnation) WHERE state NOT IN ('committed', 'discarded');
CREATE INDEX uploads_expiry ON uploads (expires_at) WHERE state = 'detached';
CREATE INDEX uploads_ended ON uploads (updated_at) WHERE state IN ('committed', 'discarded');
-- CREATE | EXCLUSIVE reserves a name while the upload is open or being committed.
CREATE UNIQUE INDEX uploads_reservation ON uploads (parent, name) WHERE exclusive AND state IN ('open', 'sealed');

CREATE TABLE new_blobs (
    key       BLOB    NOT NULL PRIMARY KEY,
    storage   TEXT    NOT NULL,
    prefix    TEXT    NOT NULL,
    state     TEXT    NOT NULL CHECK (state = 'live' OR state = 'doomed' OR state = 'deleting'),
    doomed_at INTEGER,
    CHECK ((state = 'live') = (doomed_at IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO new_blobs SELECT * FROM blobs;
DROP TABLE blobs;
ALTER TABLE new_blobs RENAME TO blobs;
CREATE INDEX blobs_doomed ON blobs (doomed_at) WHERE state <> 'live';

CREATE TABLE new_deliveries (
    webhook     TEXT    NOT NULL,
    event       BLOB    NOT NULL,
    position    INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state = 'pending' OR state = 'delivered' OR state = 'dead'),
    attempts    INTEGER NOT NULL,
    next_at     INTEGER NOT NULL,
    last_result TEXT,
    PRIMARY KEY (webhook, event)
) STRICT, WITHOUT ROWID;
INSERT INTO new_deliveries SELECT * FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;
CREATE INDEX deliveries_pending ON deliveries (webhook, position) WHERE state = 'pending';
