-- What administrators declared through the API: identities, logins and the like. What the configuration declares is not here.
-- The version of an object is the generation that its last change made, so no two states of any object have the same one.
CREATE TABLE objects (
    tenant     TEXT COLLATE "C" NOT NULL,                   -- '': the gateway's own
    kind       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    body       TEXT    NOT NULL,                            -- JSON, one type for each kind
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);

-- One row: how many changes of objects there were. Every node looks whether it has moved.
CREATE TABLE object_generation (
    one        BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    generation BIGINT NOT NULL
);
INSERT INTO object_generation (one, generation) VALUES (1, 0);
