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

-- A tenant's objects are its own; the gateway's, and the count of all changes, are the gateway's alone.
CREATE POLICY apart ON objects USING ((SELECT reach()) IN ('*', tenant));
ALTER TABLE objects ENABLE ROW LEVEL SECURITY;
ALTER TABLE objects FORCE ROW LEVEL SECURITY;
CREATE POLICY apart ON object_generation USING ((SELECT reach()) = '*');
ALTER TABLE object_generation ENABLE ROW LEVEL SECURITY;
ALTER TABLE object_generation FORCE ROW LEVEL SECURITY;
