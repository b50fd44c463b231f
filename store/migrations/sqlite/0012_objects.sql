-- What administrators declared through the API: identities, logins and the like. What the configuration declares is not here.
-- The version of an object is the generation that its last change made, so no two states of any object have the same one.
CREATE TABLE objects (
    tenant     TEXT    NOT NULL,                            -- '': the gateway's own
    kind       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    body       TEXT    NOT NULL,                            -- JSON, one type for each kind
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, id)
) STRICT;

-- One row: how many changes of objects there were. Every node looks whether it has moved.
CREATE TABLE object_generation (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO object_generation (one, generation) VALUES (1, 0);
