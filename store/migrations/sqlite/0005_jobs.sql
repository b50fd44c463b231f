-- Transfers in the background. due_at is when a job may be claimed: the end of its lease while it runs, NULL once it has ended.
CREATE TABLE jobs (
    id            BLOB    NOT NULL PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    identity      TEXT    NOT NULL,
    login         TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state = 'queued' OR state = 'running' OR state = 'retrying' OR state = 'completed' OR state = 'failed' OR state = 'cancelled'),
    generation    INTEGER NOT NULL,
    holder        BLOB    NOT NULL,
    due_at        INTEGER,
    priority      INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    planned       INTEGER NOT NULL CHECK (planned IN (0, 1)),
    size          INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    partial       INTEGER NOT NULL,
    files         INTEGER NOT NULL,
    done          INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    error_code    TEXT,
    error_message TEXT,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER,
    job_order     TEXT    NOT NULL                          -- JSON: records::JobOrder
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_unfinished ON jobs (tenant, identity) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_of_tenant ON jobs (tenant, id);
CREATE INDEX jobs_holder ON jobs (holder) WHERE state = 'running';
CREATE INDEX jobs_ended ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- What a job has to do, one step a row, in the order of their numbers. A step is done in the transaction that does it.
CREATE TABLE job_items (
    job           BLOB    NOT NULL,
    number        INTEGER NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind = 'folder' OR kind = 'file' OR kind = 'tree' OR kind = 'prune'),
    source        TEXT    NOT NULL,
    destination   TEXT    NOT NULL,
    size          INTEGER NOT NULL,
    state         TEXT    NOT NULL CHECK (state = 'pending' OR state = 'done' OR state = 'failed'),
    error_code    TEXT,
    error_message TEXT,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

-- Whose turn it is: when a tenant (identity '') and each of its identities last had a job begun.
CREATE TABLE job_turns (
    tenant    TEXT    NOT NULL,
    identity  TEXT    NOT NULL,
    served_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, identity)
) STRICT, WITHOUT ROWID;

-- The requests that named an Idempotency-Key, for a day.
CREATE TABLE keyed_requests (
    tenant   TEXT    NOT NULL,
    identity TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    digest   BLOB    NOT NULL CHECK (length(digest) = 32),
    job      BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (tenant, identity, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX keyed_requests_age ON keyed_requests (at);

-- The transfer that an event ends (transfer.completed, .failed, .cancelled of an upload or download), and whether webhooks are
-- not told of it.
ALTER TABLE events ADD COLUMN transfer BLOB;
ALTER TABLE events ADD COLUMN quiet INTEGER NOT NULL DEFAULT 0 CHECK (quiet IN (0, 1));
CREATE INDEX events_transfers ON events (tenant, transfer, ord) WHERE transfer IS NOT NULL;
