-- Transfers in the background. due_at is when a job may be claimed: the end of its lease while it runs, NULL once it has ended.
CREATE TABLE jobs (
    id            UUID    NOT NULL PRIMARY KEY,
    tenant        TEXT COLLATE "C" NOT NULL,
    identity      TEXT COLLATE "C" NOT NULL,
    login         TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL CHECK (state = 'queued' OR state = 'running' OR state = 'retrying' OR state = 'completed' OR state = 'failed' OR state = 'cancelled'),
    generation    BIGINT NOT NULL,
    holder        UUID    NOT NULL,
    due_at        BIGINT,
    priority      BIGINT NOT NULL,
    attempts      BIGINT NOT NULL,
    planned       BOOLEAN NOT NULL,
    size          BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,
    partial       BIGINT NOT NULL,
    files         BIGINT NOT NULL,
    done          BIGINT NOT NULL,
    failed        BIGINT NOT NULL,
    error_code    TEXT,
    error_message TEXT,
    created_at    BIGINT NOT NULL,
    started_at    BIGINT,
    finished_at   BIGINT,
    job_order     TEXT    NOT NULL                          -- JSON: records::JobOrder
);
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_unfinished ON jobs (tenant, identity) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_of_tenant ON jobs (tenant, id);
CREATE INDEX jobs_holder ON jobs (holder) WHERE state = 'running';
CREATE INDEX jobs_ended ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- What a job has to do, one step a row, in the order of their numbers. A step is done in the transaction that does it.
CREATE TABLE job_items (
    job           UUID    NOT NULL,
    number        BIGINT NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL CHECK (kind = 'folder' OR kind = 'file' OR kind = 'tree' OR kind = 'prune'),
    source        TEXT    NOT NULL,
    destination   TEXT    NOT NULL,
    size          BIGINT NOT NULL,
    state         TEXT COLLATE "C" NOT NULL CHECK (state = 'pending' OR state = 'done' OR state = 'failed'),
    error_code    TEXT,
    error_message TEXT,
    PRIMARY KEY (job, number)
);

-- Whose turn it is: when a tenant (identity '') and each of its identities last had a job begun.
CREATE TABLE job_turns (
    tenant    TEXT COLLATE "C" NOT NULL,
    identity  TEXT COLLATE "C" NOT NULL,
    served_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, identity)
);

-- The requests that named an Idempotency-Key, for a day.
CREATE TABLE keyed_requests (
    tenant   TEXT COLLATE "C" NOT NULL,
    identity TEXT COLLATE "C" NOT NULL,
    key      TEXT COLLATE "C" NOT NULL,
    digest   BYTEA NOT NULL CHECK (length(digest) = 32),
    job      UUID    NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (tenant, identity, key)
);
CREATE INDEX keyed_requests_age ON keyed_requests (at);

-- The transfer that an event ends (transfer.completed, .failed, .cancelled of an upload or download), and whether webhooks are
-- not told of it.
ALTER TABLE events ADD COLUMN transfer UUID;
ALTER TABLE events ADD COLUMN quiet BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX events_transfers ON events (tenant, transfer, ord) WHERE transfer IS NOT NULL;
